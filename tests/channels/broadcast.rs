//! `smarm::sync::broadcast`, measured by `tokio::sync::broadcast`. Unit tests are in
//! `smarm/src/sync/broadcast/tests.rs`.
//!
//! | line | tokio documents | smarm | test |
//! |---|---|---|---|
//! | every receiver gets every message sent since it was made | yes | yes | `every_receiver_gets_what_is_sent_since_it_was_made` |
//! | `send` gives the number of receivers, never waits | yes | yes | the same |
//! | `send` without receivers gives the message back, and works again with one | yes | yes | `a_message_without_receivers_comes_back_until_there_is_one` |
//! | a slow receiver gets `Lagged(n)`, then the oldest that is there | yes | yes | `a_slow_receiver_learns_how_many_it_missed_and_goes_on` |
//! | the capacity | rounded up to a power of two | exact | `the_capacity_is_exact` |
//! | a capacity of 0 | panics | panics | `a_capacity_of_0_is_refused` |
//! | the last sender's end: what is there, then `Closed` | yes | yes | `what_is_there_is_received_before_the_end` |
//! | `resubscribe` | from now on | from now on | `a_receiver_subscribed_anew_gets_what_comes` |
//! | `len` of a receiver counts what it missed | yes | yes | `lengths_count_what_is_to_be_received` |
//! | `len` of the sender: what somebody has to receive | yes | yes | the same |
//! | a message is released when all have received it | yes | yes; the last receiver gets it without a clone | unit: `a_message_is_dropped_when_all_have_received_it_or_left_or_it_is_overwritten` |
//! | `recv` is cancel safe | yes | yes | `a_receive_dropped_half_way_loses_nothing` |
//! | `closed` waits for the last receiver | yes | yes | `a_sender_waits_for_the_last_receiver_to_leave` |
//! | timeouts | (`tokio::time::timeout`) | what is there beats the deadline | `a_message_beats_the_deadline` |
//! | a clone that panics | goes on in `recv`; the message counts as received | so | `a_clone_that_panics_costs_that_receiver_that_message` |
//! | a message's destructor that panics | no word | goes on in who drops it; everything else as if it had not | `a_destructor_that_panics_spoils_nothing` |
//! | a receiver as a stream | tokio-stream: with `Lagged` as an item | so | `a_receiver_is_a_stream_which_tells_of_gaps` |

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::StreamExt;
use smarm::sync::broadcast::{RecvError, SendError, Sender, TryRecvError, channel};
use smarm_workspace::{PATIENCE, Signal, block_on, within, workers};

use crate::{Bomb, Wakes, panics, poll_once};

#[test]
fn every_receiver_gets_what_is_sent_since_it_was_made() {
    let (tx, mut first) = channel(8);
    assert_eq!(tx.send(1), Ok(1));
    let mut second = tx.subscribe();
    assert_eq!(tx.send(2), Ok(2));
    assert_eq!((first.recv(), first.recv()), (Ok(1), Ok(2)));
    assert_eq!(second.recv(), Ok(2));
    assert_eq!((first.try_recv(), second.try_recv()), (Err(TryRecvError::Empty), Err(TryRecvError::Empty)));
    assert_eq!((tx.receiver_count(), first.sender_count()), (2, 1));
}

#[test]
fn a_message_without_receivers_comes_back_until_there_is_one() {
    let tx = Sender::new(2);
    assert_eq!(tx.send(1), Err(SendError(1)));
    let mut rx = tx.subscribe();
    assert_eq!((tx.send(2), rx.recv()), (Ok(1), Ok(2)));
    drop(rx);
    assert_eq!(tx.send(3), Err(SendError(3)));
    assert_eq!(tx.subscribe().try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_slow_receiver_learns_how_many_it_missed_and_goes_on() {
    within(PATIENCE, || {
        let (tx, mut rx) = channel(3);
        for n in 0..10 {
            tx.send(n).unwrap();
        }
        assert_eq!(rx.recv(), Err(RecvError::Lagged(7)));
        assert_eq!(rx.try_recv(), Ok(7));
        tx.send(10).unwrap();
        tx.send(11).unwrap();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Lagged(1)));
        assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(9));
        assert_eq!((rx.recv(), rx.recv()), (Ok(10), Ok(11)));
        for n in 12..16 {
            tx.send(n).unwrap();
        }
        assert_eq!(block_on(rx.recv_async()), Err(RecvError::Lagged(1)));
        assert_eq!(block_on(rx.recv_async()), Ok(13));
    });
}

#[test]
fn the_capacity_is_exact() {
    for capacity in [1, 2, 3, 7] {
        let (tx, mut rx) = channel(capacity);
        assert_eq!(tx.capacity(), capacity);
        (0..=capacity).for_each(|n| assert_eq!(tx.send(n), Ok(1)));
        assert_eq!(rx.recv(), Err(RecvError::Lagged(1)));
        (1..=capacity).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
    }
}

#[test]
#[should_panic(expected = "a capacity of at least 1")]
fn a_capacity_of_0_is_refused() {
    channel::<()>(0);
}

#[test]
fn what_is_there_is_received_before_the_end() {
    let (tx, mut rx) = channel(2);
    let other = tx.clone();
    (0..3).for_each(|n| assert_eq!(tx.send(n), Ok(1)));
    drop(tx);
    assert!(!rx.is_closed());
    drop(other);
    assert!(rx.is_closed());
    assert_eq!(rx.recv(), Err(RecvError::Lagged(1)));
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Ok(2)));
    for _ in 0..2 {
        assert_eq!((rx.recv(), rx.try_recv()), (Err(RecvError::Closed), Err(TryRecvError::Closed)));
    }
    assert_eq!(rx.resubscribe().recv(), Err(RecvError::Closed));
}

#[test]
fn a_receiver_subscribed_anew_gets_what_comes() {
    let (tx, mut rx) = channel(4);
    tx.send(1).unwrap();
    let mut anew = rx.resubscribe();
    tx.send(2).unwrap();
    assert_eq!((anew.recv(), rx.recv(), rx.recv()), (Ok(2), Ok(1), Ok(2)));
    assert!(rx.same_channel(&anew));
}

#[test]
fn lengths_count_what_is_to_be_received() {
    let (tx, mut rx) = channel(2);
    let mut other = tx.subscribe();
    (0..3).for_each(|n| assert_eq!(tx.send(n), Ok(2)));
    assert_eq!((tx.len(), rx.len(), other.len()), (2, 3, 3));
    assert_eq!(rx.recv(), Err(RecvError::Lagged(1)));
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Ok(2)));
    assert_eq!((tx.len(), rx.is_empty()), (2, true));
    assert_eq!(other.recv(), Err(RecvError::Lagged(1)));
    assert_eq!(other.recv(), Ok(1));
    assert_eq!(tx.len(), 1);
    drop(other);
    assert!(tx.is_empty());
}

#[test]
fn a_receive_dropped_half_way_loses_nothing() {
    let (tx, mut rx) = channel(2);
    {
        let mut wait = pin!(rx.recv_async());
        assert!(poll_once(wait.as_mut()).is_pending());
        tx.send(1).unwrap();
    }
    let wakes = Wakes::default();
    assert_eq!(wakes.poll(pin!(rx.recv_async())), Poll::Ready(Ok(1)));
    assert_eq!(wakes.count(), 0);
}

#[test]
fn a_sender_waits_for_the_last_receiver_to_leave() {
    within(PATIENCE, || {
        let (tx, rx) = channel::<u8>(1);
        let other = rx.resubscribe();
        assert!(!tx.closed_timeout(Duration::from_micros(1)) && !tx.is_closed());
        let wakes = Wakes::default();
        {
            let mut closed = pin!(tx.closed_async());
            assert!(wakes.poll(closed.as_mut()).is_pending());
            drop(rx);
            assert_eq!(wakes.count(), 0);
            drop(other);
            assert_eq!((wakes.count(), wakes.poll(closed)), (1, Poll::Ready(())));
        }
        assert!(tx.closed_deadline(Instant::now()));

        let rx = tx.subscribe();
        let waiting = Signal::new();
        let theirs = waiting.clone();
        let runtime = workers(1);
        let waits = runtime.spawn(move || {
            theirs.raise();
            tx.closed();
        });
        waiting.wait(1);
        runtime.run(move || drop(rx));
        waits.unwrap().join().unwrap();
    });
}

#[test]
fn a_message_beats_the_deadline() {
    let (tx, mut rx) = channel(2);
    assert_eq!(rx.recv_deadline(Instant::now()), Err(RecvError::TimedOut));
    assert_eq!(rx.recv_timeout(Duration::from_micros(1)), Err(RecvError::TimedOut));
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!(rx.recv_deadline(Instant::now()), Ok(1));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(2));
}

#[test]
fn a_clone_that_panics_costs_that_receiver_that_message() {
    #[derive(Debug, PartialEq)]
    struct Fragile(u8);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 1, "a clone that panics");
            Fragile(self.0)
        }
    }
    let (tx, mut rx) = channel(2);
    let mut other = tx.subscribe();
    tx.send(Fragile(1)).unwrap();
    tx.send(Fragile(2)).unwrap();
    assert!(panics(|| rx.recv()));
    assert_eq!(rx.recv(), Ok(Fragile(2)));
    assert_eq!(other.recv(), Ok(Fragile(1)), "the last one needs no clone");
}

#[test]
fn a_destructor_that_panics_spoils_nothing() {
    let (tx, mut rx) = channel(1);
    let mut waits = tx.subscribe();
    let wakes = Wakes::default();
    let bomb = || Some(std::sync::Arc::new(Bomb));
    assert_eq!(tx.send(bomb()).ok(), Some(2));
    drop(waits.recv());
    let mut wait = pin!(waits.recv_async());
    assert!(wakes.poll(wait.as_mut()).is_pending());
    assert!(panics(|| tx.send(None)), "it drops the one that it overwrites");
    assert_eq!(wakes.count(), 1);
    assert!(matches!(wakes.poll(wait), Poll::Ready(Ok(None))));
    assert!(matches!(rx.recv(), Err(RecvError::Lagged(1))));
    assert!(matches!(rx.recv(), Ok(None)));
    assert_eq!(tx.send(bomb()).ok(), Some(2));
    drop(waits);
    assert!(panics(|| drop(rx)));
    assert!(tx.is_closed());
}

#[test]
fn a_receiver_is_a_stream_which_tells_of_gaps() {
    let (tx, mut rx) = channel(2);
    let wakes = Wakes::default();
    assert!(wakes.poll(pin!(rx.next())).is_pending());
    (0..3).for_each(|n| assert_eq!(tx.send(n), Ok(1)));
    assert_eq!(wakes.count(), 1);
    drop(tx);
    let all = block_on(rx.collect::<Vec<_>>());
    assert_eq!(all, [Err(RecvError::Lagged(1)), Ok(1), Ok(2)]);
}
