//! `smarm::channel::bounded(0)` and `smarm::sync::mpmc::bounded(0)`.
//!
//! std: `sync_channel(0)`; cb: `crossbeam_channel::bounded(0)`; fl: `flume::bounded(0)`; ka: `kanal::bounded(0)`;
//! tk: refuses a capacity of 0. Unit tests are in `smarm/src/channel/tests/bounded.rs`.
//!
//! | line | counterparts | smarm | test |
//! |---|---|---|---|
//! | a send returns when a receiver has come for its message | std, cb, fl, ka | yes | `a_send_returns_when_a_receiver_comes` |
//! | nothing is kept: `len` is 0 | cb | but for a message that `try_send` gave to a receiver that has not run since | `nothing_is_kept_in_between` |
//! | `try_send` succeeds only while a receiver waits | std, cb, fl | yes | unit: `a_rendezvous_takes_a_message_only_while_the_receiver_waits`; `try_send_meets_as_many_as_wait` |
//! | `try_recv` takes the message of a sender that waits | std, cb, fl | yes | `try_recv_meets_a_sender_that_waits` |
//! | a `send` ends when its message is received, and not when a receiver might | cb | yes | `a_send_ends_when_its_message_is_received` |
//! | a receiver that times out takes nothing | cb | yes | `who_times_out_takes_and_gives_nothing` |
//! | a sender that times out has its message back | cb, fl | yes | the same |
//! | a receive that is dropped after `try_send` met it | ka: the message may be lost | it stays for the next receive | unit: `a_rendezvous_keeps_what_was_sent_to_a_receive_that_was_dropped`; `a_message_for_a_receive_that_was_dropped_goes_to_another` |
//! | one sender's messages are received in order, whoever receives | cb, fl | yes | `nobody_takes_a_later_message_before_the_one_that_was_handed_over`, `concurrent` |
//! | the other side's end wakes who waits | all | yes | `the_end_of_the_other_side_ends_the_wait` |

use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use smarm::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, bounded,
};
use smarm::sync::mpmc;
use smarm_workspace::{PATIENCE, Signal, calm, within};

use crate::{Wakes, poll_once};

#[test]
fn a_send_returns_when_a_receiver_comes() {
    within(PATIENCE, || {
        let sent = Signal::new();
        let (one, one_rx) = bounded(0);
        let (many, many_rx) = mpmc::bounded(0);
        for tx in [one, many] {
            let sent = sent.clone();
            thread::spawn(move || {
                tx.send(1).unwrap();
                sent.raise();
                tx.send(2).unwrap();
                sent.raise();
            });
        }
        assert_eq!(sent.count(), 0);
        assert_eq!((one_rx.recv(), many_rx.recv()), (Ok(1), Ok(1)));
        sent.wait(2);
        assert_eq!(sent.count(), 2);
        assert_eq!((one_rx.recv(), many_rx.recv()), (Ok(2), Ok(2)));
        sent.wait(4);
    });
}

#[test]
fn nothing_is_kept_in_between() {
    let (tx, rx) = mpmc::bounded(0);
    let mut send = pin!(tx.send_async(1));
    assert!(poll_once(send.as_mut()).is_pending());
    assert_eq!((tx.len(), rx.len()), (0, 0));
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(poll_once(send), Poll::Ready(Ok(())));
    assert_eq!((tx.len(), rx.len()), (0, 0));
}

#[test]
fn a_send_ends_when_its_message_is_received() {
    let (tx, rx) = mpmc::bounded(0);
    let mut receive = Box::pin(rx.recv_async());
    let wakes = Wakes::default();
    assert!(wakes.poll(receive.as_mut()).is_pending());
    let mut send = pin!(tx.send_async(1));
    assert!(poll_once(send.as_mut()).is_pending());
    assert_eq!(wakes.count(), 1);
    drop(receive);
    assert!(poll_once(send.as_mut()).is_pending(), "who was woken has left");
    let mut receive = pin!(rx.recv_async());
    assert_eq!(poll_once(receive.as_mut()), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(send), Poll::Ready(Ok(())));
}

#[test]
fn try_send_meets_as_many_as_wait() {
    let (tx, rx) = mpmc::bounded(0);
    assert_eq!(tx.try_send(0), Err(TrySendError::Full(0)));
    let mut waits: Vec<_> = (0..3).map(|_| Box::pin(rx.recv_async())).collect();
    assert!(waits.iter_mut().all(|wait| poll_once(wait.as_mut()).is_pending()));
    drop(waits.pop());
    assert_eq!((tx.try_send(1), tx.try_send(2)), (Ok(()), Ok(())));
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    let received: Vec<_> = waits.iter_mut().map(|wait| poll_once(wait.as_mut())).collect();
    assert_eq!(received, [Poll::Ready(Ok(1)), Poll::Ready(Ok(2))]);
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
}

#[test]
fn try_recv_meets_a_sender_that_waits() {
    let (one, one_rx) = bounded(0);
    let (many, many_rx) = mpmc::bounded(0);
    assert_eq!(one_rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(many_rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(one.try_send(0), Err(TrySendError::Full(0)), "a receive that is over meets nobody");
    assert_eq!(many.try_send(0), Err(TrySendError::Full(0)), "a receive that is over meets nobody");
    let (mut first, mut second) = (pin!(one.send_async(1)), pin!(many.send_async(1)));
    assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
    assert_eq!((one_rx.try_recv(), many_rx.try_recv()), (Ok(1), Ok(1)));
    assert_eq!((poll_once(first), poll_once(second)), (Poll::Ready(Ok(())), Poll::Ready(Ok(()))));
}

#[test]
fn who_times_out_takes_and_gives_nothing() {
    let (one, one_rx) = bounded(0);
    let (many, many_rx) = mpmc::bounded(0);
    let time = Duration::from_micros(10);
    assert_eq!(one_rx.recv_timeout(time), Err(RecvTimeoutError::TimedOut));
    assert_eq!(many_rx.recv_timeout(time), Err(RecvTimeoutError::TimedOut));
    for tx in [one, many] {
        assert_eq!(tx.send_timeout(1, time), Err(SendTimeoutError::TimedOut(1)));
    }
    assert_eq!(one_rx.recv_timeout(time), Err(RecvTimeoutError::Closed));
    assert_eq!(many_rx.recv_timeout(time), Err(RecvTimeoutError::Closed));
}

#[test]
fn a_message_for_a_receive_that_was_dropped_goes_to_another() {
    let (tx, rx) = mpmc::bounded(0);
    let wakes = Wakes::default();
    let (mut first, mut second) = (Box::pin(rx.recv_async()), pin!(rx.recv_async()));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(wakes.poll(second.as_mut()).is_pending());
    tx.try_send(1).unwrap();
    drop(first);
    assert_eq!(wakes.count(), 1);
    assert_eq!(wakes.poll(second), Poll::Ready(Ok(1)));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)), "nobody waits any more");
}

#[test]
fn nobody_takes_a_later_message_before_the_one_that_was_handed_over() {
    within(PATIENCE, || {
        smarm::runtime::init(calm(smarm::Config::exact(1))).run(|| {
            let (tx, rx) = mpmc::bounded(0);
            let theirs = rx.clone();
            let waits = smarm::spawn(move || theirs.recv());
            (0..10).for_each(|_| smarm::yield_now());
            tx.try_send(1).unwrap(); // it was woken, and has not run
            let mut later = pin!(tx.send_async(2));
            assert!(poll_once(later.as_mut()).is_pending());
            let wakes = Wakes::default();
            let mut next = pin!(rx.recv_async());
            assert!(wakes.poll(next.as_mut()).is_pending());
            assert_eq!(waits.join().unwrap(), Ok(1));
            assert_eq!(wakes.count(), 1);
            assert_eq!(wakes.poll(next), Poll::Ready(Ok(2)));
            assert_eq!(poll_once(later), Poll::Ready(Ok(())));
        });
    });
}

#[test]
fn the_end_of_the_other_side_ends_the_wait() {
    within(PATIENCE, || {
        let waiting = Signal::new();
        let (one, one_rx) = bounded(0);
        let (many, many_rx) = mpmc::bounded(0);
        let senders: Vec<_> = [one, many]
            .map(|tx| {
                let waiting = waiting.clone();
                thread::spawn(move || {
                    waiting.raise();
                    tx.send(1)
                })
            })
            .into_iter()
            .collect();
        waiting.wait(2);
        drop((one_rx, many_rx));
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Err(SendError(1)));
        }
        let (tx, rx) = mpmc::bounded::<u8>(0);
        let receivers = [rx.clone(), rx].map(|rx| {
            let waiting = waiting.clone();
            thread::spawn(move || {
                waiting.raise();
                rx.recv()
            })
        });
        waiting.wait(4);
        drop(tx);
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), Err(RecvError::Closed));
        }
    });
}
