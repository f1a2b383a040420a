//! Broadcast and watch.

use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use smarm::Config;
use smarm::sync::{broadcast, watch};

use crate::poll_once;

/// A step of a program. Numbers choose among those that there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    CloneSender,
    DropSender,
    Subscribe,
    /// From this receiver: `resubscribe`, `clone`.
    Derive(usize),
    DropReceiver(usize),
    Try(usize),
    Wait(usize),
    /// Of a watch.
    Modify(bool),
    Mark(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        8 => Just(Send),
        1 => Just(CloneSender),
        1 => Just(DropSender),
        2 => Just(Subscribe),
        2 => (0..8_usize).prop_map(Derive),
        2 => (0..8_usize).prop_map(DropReceiver),
        6 => (0..8_usize).prop_map(Try),
        6 => (0..8_usize).prop_map(Wait),
        3 => any::<bool>().prop_map(Modify),
        2 => (0..8_usize, any::<bool>()).prop_map(|(n, changed)| Mark(n, changed)),
    ]
}

pub(super) fn broadcast(config: Config, cases: u32, capacity: usize) {
    use broadcast::{RecvError, SendError, TryRecvError};
    super::check(config, cases, step, move |program| {
        let (tx, rx) = broadcast::channel(capacity);
        let (mut senders, mut sent) = (vec![tx], 0_u64);
        let mut receivers = vec![(rx, 0_u64)]; // with its next message
        for step in program {
            let count = receivers.len();
            let of = |n: usize| n % count.max(1);
            match *step {
                Step::Send => {
                    let Some(tx) = senders.last() else { continue };
                    if count == 0 {
                        assert_eq!(tx.send(sent), Err(SendError(sent)));
                    } else {
                        assert_eq!(tx.send(sent), Ok(count));
                        sent += 1;
                    }
                }
                Step::CloneSender => senders.extend(senders.last().cloned()),
                Step::DropSender => drop(senders.pop()),
                Step::Subscribe => receivers.extend(senders.last().map(|tx| (tx.subscribe(), sent))),
                Step::Derive(n) if count > 0 => {
                    let anew = receivers[of(n)].0.resubscribe();
                    receivers.push((anew, sent));
                }
                Step::DropReceiver(n) if count > 0 => drop(receivers.remove(of(n))),
                Step::Try(n) | Step::Wait(n) if count > 0 => {
                    let (rx, next) = &mut receivers[of(n)];
                    let oldest = sent.saturating_sub(capacity as u64);
                    let expected = if *next < oldest {
                        let missed = oldest - *next;
                        *next = oldest;
                        Err(TryRecvError::Lagged(missed))
                    } else if *next < sent {
                        *next += 1;
                        Ok(*next - 1)
                    } else if senders.is_empty() {
                        Err(TryRecvError::Closed)
                    } else {
                        Err(TryRecvError::Empty)
                    };
                    if let Step::Try(_) = step {
                        assert_eq!(rx.try_recv(), expected);
                    } else {
                        let expected = match expected {
                            Ok(message) => Poll::Ready(Ok(message)),
                            Err(TryRecvError::Empty) => Poll::Pending,
                            Err(TryRecvError::Closed) => Poll::Ready(Err(RecvError::Closed)),
                            Err(TryRecvError::Lagged(missed)) => Poll::Ready(Err(RecvError::Lagged(missed))),
                        };
                        assert_eq!(poll_once(pin!(rx.recv_async())), expected);
                    }
                }
                _ => {}
            }
            assert!(receivers.iter().all(|(rx, next)| rx.len() as u64 == sent - next));
            if let Some(tx) = senders.last() {
                let oldest = sent.saturating_sub(capacity as u64);
                let behind = receivers.iter().map(|(_, next)| *next).min().unwrap_or(sent);
                assert_eq!(tx.len() as u64, sent - behind.max(oldest));
                assert_eq!(tx.receiver_count(), receivers.len());
            }
        }
    });
}

pub(super) fn watch(config: Config, cases: u32) {
    use watch::{RecvError, SendError};
    super::check(config, cases, step, |program| {
        let (tx, rx) = watch::channel(0_u64);
        let (mut senders, mut value) = (vec![tx], 0);
        let mut receivers = vec![(rx, true)]; // with whether it has seen the value
        for step in program {
            let count = receivers.len();
            let of = |n: usize| n % count.max(1);
            let mut changed = false;
            match *step {
                Step::Send => {
                    let Some(tx) = senders.last() else { continue };
                    changed = count > 0;
                    assert_eq!(tx.send(value + 1), if changed { Ok(()) } else { Err(SendError(value + 1)) });
                }
                Step::Modify(really) => {
                    let Some(tx) = senders.last() else { continue };
                    let modify = |value: &mut u64| {
                        *value += 1;
                        really
                    };
                    assert_eq!(tx.send_if_modified(modify), really);
                    changed = really;
                }
                Step::CloneSender => senders.extend(senders.last().cloned()),
                Step::DropSender => drop(senders.pop()),
                Step::Subscribe => receivers.extend(senders.last().map(|tx| (tx.subscribe(), true))),
                Step::Derive(n) if count > 0 => {
                    let (rx, seen) = &receivers[of(n)];
                    let derived = (rx.clone(), *seen);
                    receivers.push(derived);
                }
                Step::DropReceiver(n) if count > 0 => drop(receivers.remove(of(n))),
                Step::Mark(n, new) if count > 0 => {
                    let (rx, seen) = &mut receivers[of(n)];
                    if new {
                        rx.mark_changed()
                    } else {
                        rx.mark_unchanged()
                    }
                    *seen = !new;
                }
                Step::Try(n) if count > 0 => {
                    let (rx, seen) = &mut receivers[of(n)];
                    let new = if senders.is_empty() { Err(RecvError::Closed) } else { Ok(!*seen) };
                    assert_eq!(rx.has_changed(), new);
                    assert_eq!((*rx.borrow(), rx.borrow().has_changed()), (value, !*seen));
                    assert_eq!((*rx.borrow_and_update(), rx.borrow().has_changed()), (value, false));
                    *seen = true;
                }
                Step::Wait(n) if count > 0 => {
                    let (rx, seen) = &mut receivers[of(n)];
                    let expected = match (*seen, senders.is_empty()) {
                        (false, _) => Poll::Ready(Ok(())),
                        (true, true) => Poll::Ready(Err(RecvError::Closed)),
                        (true, false) => Poll::Pending,
                    };
                    assert_eq!(poll_once(pin!(rx.changed_async())), expected);
                    *seen = true;
                }
                _ => {}
            }
            if changed {
                value += 1;
                receivers.iter_mut().for_each(|(_, seen)| *seen = false);
            }
            assert!(receivers.iter().all(|(rx, _)| *rx.borrow() == value));
        }
    });
}
