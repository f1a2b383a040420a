//! Selects over channels of capacity 0, where a message passes when sender and receiver are both there: exactly one
//! arm takes effect on either side.
//!
//! On one worker each step is determined: a woken actor runs when the one that woke it waits or yields.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use smarm::channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded, channel,
};
use smarm::sync::mpmc;
use smarm::{Builder, Config, select, spawn};
use smarm_workspace::{PATIENCE, calm, within};

/// In an actor of a runtime with so many workers: on one, in the order as written.
fn on(workers: usize, f: impl FnOnce() + Send + 'static) {
    let config = Config::exact(workers);
    let config = if workers == 1 { calm(config) } else { config };
    within(PATIENCE, move || smarm::runtime::init(config).run(f));
}

/// Lets all others go on until they wait. For one worker.
fn settle() {
    (0..20).for_each(|_| smarm::yield_now());
}

#[test]
fn a_permit_that_a_loser_gives_back_is_not_left_open() {
    on(1, || {
        let (tx, mut rx) = bounded(0);
        let (other, stop) = channel();
        let theirs = tx.clone();
        let chooser = spawn(move || {
            let mut message = Some(1);
            select! {
                biased;
                n = recv(&stop) => assert_eq!(n, Ok(9)),
                sent = send(&theirs, &mut message) => sent.unwrap(),
            }
            message
        });
        settle();
        other.send(9).unwrap();
        // Both arms are ready now, if the receive meets the send; and then it leaves.
        let received = match pin!(rx.recv_async()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(received) => received.ok(),
            Poll::Pending => None,
        };
        assert_eq!(chooser.join().unwrap().is_none(), received.is_some(), "the message is in one place");
        assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)), "nobody waits to receive");
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    });
}

/// An actor that waits for either channel, and says which one gave what.
fn chooser(
    first: Receiver<u32>,
    second: Receiver<u32>,
) -> smarm::JoinHandle<(Option<u32>, [Receiver<u32>; 2])> {
    spawn(move || {
        let chosen = select! {
            biased;
            n = recv(&first) => n.ok(),
            n = recv(&second) => n.ok(),
        };
        (chosen, [first, second])
    })
}

#[test]
fn a_receive_that_loses_takes_no_message_of_a_sender() {
    on(1, || {
        let (news, news_rx) = channel();
        let (tx, rx) = bounded(0);
        let chooser = chooser(news_rx, rx);
        settle();
        news.send(1).unwrap();
        // The chooser was woken and has not run: this may still decide it.
        let sent = tx.send_timeout(2, Duration::from_millis(1));
        let (chosen, [news, rx]) = chooser.join().unwrap();
        assert!(rx.is_empty(), "nothing is left there");
        match sent {
            Ok(()) => assert_eq!((chosen, news.try_recv()), (Some(2), Ok(1))),
            Err(error) => assert_eq!((chosen, error), (Some(1), SendTimeoutError::TimedOut(2))),
        }
    });
}

#[test]
fn a_message_that_is_handed_to_a_select_decides_it() {
    on(1, || {
        let (news, news_rx) = channel();
        let (tx, rx) = bounded(0);
        let chooser = chooser(news_rx, rx);
        settle();
        tx.try_send(2).unwrap();
        news.send(1).unwrap();
        assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)), "it has decided");
        let (chosen, [news, rx]) = chooser.join().unwrap();
        assert_eq!((chosen, rx.len()), (Some(2), 0));
        assert_eq!(news.try_recv(), Ok(1));
    });
}

#[test]
fn two_messages_that_are_handed_to_one_select_are_one() {
    on(1, || {
        let (one, one_rx) = bounded(0);
        let (two, two_rx) = bounded(0);
        let chooser = chooser(one_rx, two_rx);
        settle();
        two.try_send(2).unwrap();
        assert_eq!(one.try_send(1), Err(TrySendError::Full(1)));
        let (chosen, receivers) = chooser.join().unwrap();
        assert_eq!(chosen, Some(2));
        assert!(receivers.iter().all(|rx| rx.is_empty()));
    });
}

#[test]
fn one_select_sends_to_one_of_two_receivers() {
    on(1, || {
        let (one, one_rx) = bounded(0);
        let (two, two_rx) = bounded(0);
        let chooser = spawn(move || {
            let (mut first, mut second) = (Some(1), Some(2));
            select! {
                sent = send(&one, &mut first) => sent.unwrap(),
                sent = send(&two, &mut second) => sent.unwrap(),
            }
            (first, second)
        });
        settle();
        assert_eq!(two_rx.try_recv(), Ok(2));
        assert_eq!(one_rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(chooser.join().unwrap(), (Some(1), None));
    });
}

#[test]
fn a_select_does_not_meet_itself() {
    on(1, || {
        let (tx, rx) = bounded(0);
        let mut message = Some(1);
        select! {
            _ = recv(&rx) => unreachable!("nobody else sends"),
            _ = send(&tx, &mut message) => unreachable!("nobody else receives"),
            () = after(Duration::from_millis(1)) => {}
        }
        assert_eq!((message, rx.len()), (Some(1), 0));
        let mut chooser = spawn(move || {
            select! {
                received = recv(&rx) => received.ok(),
                sent = send(&tx, &mut message) => { sent.unwrap(); None }
            }
        });
        settle();
        chooser.kill();
        assert!(smarm::compat::await_future(&mut chooser).unwrap_err().is_killed());
    });
}

#[test]
fn a_select_that_meets_itself_still_meets_others() {
    on(1, || {
        let (tx, rx) = mpmc::bounded(0);
        let [one, two] = [0, 1].map(|n| {
            let (tx, rx) = (tx.clone(), rx.clone());
            spawn(move || {
                let mut message = Some(n);
                select! {
                    received = recv(&rx) => received.ok(),
                    sent = send(&tx, &mut message) => { sent.unwrap(); None }
                }
            })
        });
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        assert!(matches!((one, two), (Some(1), None) | (None, Some(0))), "{one:?}, {two:?}");
    });
}

#[test]
fn a_default_meets_who_waits() {
    on(1, || {
        let (tx, rx) = bounded(0);
        let mut message = Some(1);
        let mut attempt = || {
            select! {
                sent = send(&tx, &mut message) => { sent.unwrap(); true }
                default => false,
            }
        };
        assert!(!attempt(), "nobody waits");
        let receiver = spawn(move || (rx.recv(), rx));
        settle();
        assert!(attempt());
        let (received, rx) = receiver.join().unwrap();
        assert_eq!(received, Ok(1));
        let sender = spawn(move || tx.send(2));
        settle();
        select! {
            received = recv(&rx) => assert_eq!(received, Ok(2)),
            default => unreachable!("a sender waits"),
        }
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_closed_rendezvous_is_ready_on_both_sides() {
    on(1, || {
        let (tx, rx) = bounded(0);
        let (_never, news) = channel();
        let chooser = chooser(news, rx);
        settle();
        drop(tx);
        assert_eq!(chooser.join().unwrap().0, None);
        let (tx, rx) = bounded(0);
        let sender = spawn(move || {
            let mut message = Some(1);
            select! {
                sent = send(&tx, &mut message) => sent.map_err(|error| error.0),
                () = after(PATIENCE) => unreachable!(),
            }
        });
        settle();
        drop(rx);
        assert_eq!(sender.join().unwrap(), Err(1));
    });
}

#[test]
fn what_was_handed_to_a_killed_select_is_not_lost() {
    on(1, || {
        let (tx, rx) = mpmc::bounded(0);
        let waits = |rx: mpmc::Receiver<u32>| {
            spawn(move || {
                select! {
                    received = recv(&rx) => received.ok(),
                    () = after(PATIENCE) => None,
                }
            })
        };
        let killed = waits(rx.clone());
        settle();
        let next = waits(rx);
        settle();
        tx.try_send(1).unwrap();
        killed.kill();
        match killed.join() {
            // It was decided before the kill.
            Ok(received) => {
                assert_eq!(received, Some(1));
                next.kill();
            }
            Err(error) => {
                assert!(error.is_killed());
                assert_eq!(next.join().unwrap(), Some(1));
            }
        }
        assert!(tx.is_empty());
    });
}

#[test]
fn a_receive_that_is_out_of_time_takes_what_was_handed_to_it() {
    within(PATIENCE, || {
        let (tx, rx) = bounded(0);
        let (many, many_rx) = mpmc::bounded(0);
        let stop = Arc::new(AtomicUsize::new(0));
        let hand = |tx: Sender<u32>| {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut handed = 0;
                while stop.load(SeqCst) == 0 {
                    handed += u32::from(tx.try_send(handed).is_ok());
                }
                handed
            })
        };
        let senders = [hand(tx), hand(many)];
        let time = Duration::from_micros(20);
        let mut next = [0, 0];
        for round in 0.. {
            let way = round % 2;
            let received = if way == 0 { rx.recv_timeout(time) } else { many_rx.recv_timeout(time) };
            match received {
                Ok(n) => assert_eq!(n, next[way]),
                Err(RecvTimeoutError::TimedOut) => {
                    assert!(rx.is_empty() && many_rx.is_empty(), "nobody waits, and nothing is left");
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            next[way] += 1;
            if next.iter().all(|&next| next >= 100) {
                break;
            }
        }
        stop.store(1, SeqCst);
        let handed = senders.map(|sender| sender.join().unwrap());
        assert_eq!(handed, next);
    });
}

/// Two selects each of which sends to the other and receives from it, so that either may decide for either.
#[test]
fn selects_that_look_for_each_other_meet() {
    const ROUNDS: u32 = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
    on(2, || {
        let (a, from_a) = bounded(0);
        let (b, from_b) = bounded(0);
        let met = |tx: Sender<u32>, rx: Receiver<u32>| {
            move || {
                let (mut sent, mut received) = (0, 0);
                let mut message = Some(0);
                while sent + received < ROUNDS {
                    select! {
                        outcome = send(&tx, &mut message) => {
                            outcome.unwrap();
                            sent += 1;
                            message = Some(sent);
                        }
                        number = recv(&rx) => {
                            assert_eq!(number, Ok(received));
                            received += 1;
                        }
                    }
                }
                (sent, received)
            }
        };
        let one = Builder::new().worker(0).spawn(met(a, from_b)).unwrap();
        let two = Builder::new().worker(1).spawn(met(b, from_a)).unwrap();
        let (sent, received) = one.join().unwrap();
        assert_eq!(two.join().unwrap(), (received, sent));
    });
}

#[test]
fn a_select_with_both_ends_of_a_channel_in_its_arms_rests() {
    on(1, || {
        let (tx, rx) = mpmc::bounded(0);
        let (theirs, other_rx) = (tx.clone(), rx.clone());
        let polls = Arc::new(AtomicUsize::new(0));
        let count = polls.clone();
        let lonely = spawn(move || {
            let mut message = Some(1);
            let mut receive = pin!(other_rx.recv_async());
            let receive = std::future::poll_fn(|cx| {
                count.fetch_add(1, SeqCst);
                receive.as_mut().poll(cx)
            });
            select! {
                n = future(receive) => n.ok(),
                sent = send(&theirs, &mut message) => sent.ok().and(None),
            }
        });
        settle();
        let once = polls.load(SeqCst);
        settle();
        assert_eq!(polls.load(SeqCst), once, "it is woken for what only itself could do");
        assert_eq!(rx.recv(), Ok(1));
        assert_eq!(lonely.join().unwrap(), None);
        drop(tx);
    });
}
