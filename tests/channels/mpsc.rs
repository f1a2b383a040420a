//! `smarm::channel` and `smarm::channel::bounded(1..)`.
//!
//! std: `std::sync::mpsc`; cb: crossbeam-channel; fl: flume; ka: kanal; tk: `tokio::sync::mpsc`.
//! Tests that are not in this file are in `smarm/src/channel/tests.rs` (unit) and `tests/channels/basics.rs`.
//!
//! | line | counterparts | smarm | test |
//! |---|---|---|---|
//! | what was sent before the last sender left is received | all | yes | unit: `what_was_sent_is_received_after_the_last_sender_is_gone` |
//! | then receiving fails, again and again | all | `Closed` | `a_closed_and_empty_channel_says_so_for_ever` |
//! | sending without a receiver gives the message back | all | yes | unit: `a_receiver_gone_gives_every_message_back` |
//! | the last sender's leaving wakes a waiting receiver | all | yes | channel: `the_end_of_one_side_wakes_actors_that_wait_on_the_other` |
//! | a waiting sender learns that the receiver left, and has its message back | std, cb, fl, tk; ka drops it | as std | channel: the same |
//! | `close` refuses later sends, and keeps what is there | tk; ka and fl have no such | as tk | unit: `a_closed_channel_gives_what_was_sent_before` |
//! | `close` gives their messages back to senders that wait | tk: those with a permit may send still | gives back | unit: `closing_gives_their_messages_back_to_those_who_wait` |
//! | capacity 0 | std, cb, fl, ka: rendezvous; tk panics | rendezvous | module `rendezvous` |
//! | a bound is exact | std, cb, fl, ka; tk | yes | `a_bound_is_exact` |
//! | waiting senders are served in order | tk: yes; std, cb: no promise | yes | unit: `senders_that_wait_are_served_in_the_order_of_their_coming` |
//! | nobody overtakes a waiting sender | tk | yes | unit: `nobody_overtakes_a_sender_that_waits` |
//! | one sender's messages keep their order | all | yes | channel: `messages_of_each_sender_arrive_once_and_in_order` |
//! | sends that happen one after the other, by different senders, are received in that order | all (one queue) | yes | `sends_one_after_the_other_are_received_so_whoever_sends` |
//! | a timeout of 0 takes what is there | std, cb, fl | yes | unit: `a_receive_times_out_and_a_message_that_is_there_beats_the_deadline` |
//! | a timeout beyond the clock waits for ever | std, cb | yes | `a_timeout_beyond_the_clock_waits_on` |
//! | a send that times out gives its message back | cb, fl, ka (optional), tk | yes | unit: `a_timeout_gives_the_message_back` |
//! | messages nobody received are dropped with the receiver | std, cb, fl, tk (with the channel) | yes | unit: `every_message_is_dropped_exactly_once` |
//! | they are dropped in the order of sending | no promise | yes | `what_nobody_received_is_dropped_in_order` |
//! | a message's destructor that panics | std: aborts or leaks, by version; others: no word | the others are dropped, and the panic goes on | unit: `a_destructor_that_panics_does_not_keep_the_other_messages` |
//! | such a message in an error of a send | the caller's | the caller's | `a_message_given_back_is_the_callers_to_drop` |
//! | a receive dropped half-way loses nothing | tk: cancel safe; ka: may lose | nothing | unit: `a_dropped_receive_loses_nothing_and_is_not_woken` |
//! | a send dropped half-way loses its message, and its place | tk | so | `a_send_dropped_half_way_gives_up_message_and_place` |
//! | a receiver can be sent through its own channel | std (leaks) | it stays for as long as nobody takes it out, and can be taken out | `a_sender_travels_through_its_own_channel` |
//! | `is_empty`, `len` | cb, fl, ka, tk | yes | unit: `messages_are_received_in_the_order_of_sending` |
//! | messages without size, and very large ones | all | yes | `messages_of_any_size_arrive` |
//! | `try_iter` ends when nothing is there, `iter` when the channel is closed | std, cb, fl | yes | unit: `a_receiver_is_a_stream_and_iterates` |

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use smarm::channel::{
    Receiver, RecvError, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded,
    channel,
};
use smarm_workspace::{OnDrop, PATIENCE, Signal, within};

use crate::{Bomb, Wakes, poll_once};

fn both<T>(room: usize) -> [(Sender<T>, Receiver<T>); 2] {
    [channel(), bounded(room)]
}

#[test]
fn a_closed_and_empty_channel_says_so_for_ever() {
    for (tx, mut rx) in both::<u8>(1) {
        drop(tx);
        for _ in 0..3 {
            assert_eq!(rx.recv(), Err(RecvError::Closed));
            assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
            assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
            assert_eq!(poll_once(pin!(rx.recv_async())), Poll::Ready(Err(RecvError::Closed)));
        }
    }
}

#[test]
fn a_bound_is_exact() {
    for capacity in [1, 2, 31, 32, 33, 100] {
        let (tx, rx) = bounded(capacity);
        assert_eq!(tx.capacity(), Some(capacity));
        for round in 0..3 {
            for n in 0..capacity {
                assert_eq!(tx.try_send(n), Ok(()), "round {round}");
            }
            assert_eq!(tx.try_send(0), Err(TrySendError::Full(0)));
            assert!(rx.try_iter().eq(0..capacity));
        }
    }
}

#[test]
fn sends_one_after_the_other_are_received_so_whoever_sends() {
    within(PATIENCE, || {
        for (tx, rx) in both(100) {
            for n in 0..100 {
                let tx = tx.clone();
                thread::spawn(move || tx.send(n).unwrap()).join().unwrap();
            }
            assert!(rx.try_iter().eq(0..100));
        }
    });
}

#[test]
fn a_timeout_beyond_the_clock_waits_on() {
    within(PATIENCE, || {
        let ready = Signal::new();
        let (tx, rx) = bounded(1);
        let theirs = ready.clone();
        let thread = thread::spawn(move || {
            theirs.raise();
            let first = rx.recv_timeout(Duration::MAX);
            theirs.raise();
            (first, rx.recv_timeout(Duration::MAX), rx.recv_timeout(Duration::MAX))
        });
        ready.wait(1);
        tx.send_timeout(1, Duration::MAX).unwrap();
        ready.wait(2);
        tx.send_timeout(2, Duration::MAX).unwrap();
        drop(tx);
        assert_eq!(thread.join().unwrap(), (Ok(1), Ok(2), Err(RecvTimeoutError::Closed)));
    });
}

#[test]
fn what_nobody_received_is_dropped_in_order() {
    for (tx, rx) in both(100) {
        let dropped = Arc::new(Mutex::new(Vec::new()));
        for n in 0..100 {
            let dropped = dropped.clone();
            assert!(tx.send(OnDrop(move || dropped.lock().unwrap().push(n))).is_ok());
        }
        drop(rx);
        assert!(dropped.lock().unwrap().iter().copied().eq(0..100));
    }
}

#[test]
fn a_message_given_back_is_the_callers_to_drop() {
    let (tx, rx) = bounded(1);
    tx.try_send(Bomb).unwrap();
    let Err(TrySendError::Full(bomb)) = tx.try_send(Bomb) else { panic!("it is full") };
    std::mem::forget(bomb);
    let Err(SendTimeoutError::TimedOut(bomb)) = tx.send_timeout(Bomb, Duration::ZERO) else {
        panic!("it is full")
    };
    std::mem::forget(bomb);
    std::mem::forget(rx.recv().unwrap());
    drop(rx);
    std::mem::forget(tx.send(Bomb).unwrap_err().into_inner());
}

#[test]
fn a_send_dropped_half_way_gives_up_message_and_place() {
    let (tx, rx) = bounded(1);
    tx.send(0).unwrap();
    let wakes = Wakes::default();
    let mut first = Box::pin(tx.send_async(1));
    let mut second = Box::pin(tx.send_async(2));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(wakes.poll(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(wakes.count(), 1);
    assert_eq!(wakes.poll(second.as_mut()), Poll::Ready(Ok(())));
    assert_eq!((rx.recv(), rx.try_recv()), (Ok(2), Err(TryRecvError::Empty)));
}

#[test]
fn a_sender_travels_through_its_own_channel() {
    struct Travels(Sender<Travels>);
    for (tx, rx) in both(1) {
        tx.send(Travels(tx.clone())).unwrap();
        drop(tx);
        let Travels(tx) = rx.recv().unwrap();
        drop(tx);
        assert!(matches!(rx.recv(), Err(RecvError::Closed)));
    }
}

#[test]
fn messages_of_any_size_arrive() {
    for (tx, rx) in both(100) {
        (0..100).for_each(|_| tx.send(()).unwrap());
        assert_eq!(rx.try_iter().count(), 100);
    }
    for (tx, rx) in both::<[u64; 4096]>(40) {
        (0..40).for_each(|n| tx.send([n; 4096]).unwrap());
        assert!(rx.try_iter().zip(0..).all(|(message, n)| message == [n; 4096]));
        assert!(rx.is_empty());
    }
}
