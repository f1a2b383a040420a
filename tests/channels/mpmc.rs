//! `smarm::sync::mpmc`.
//!
//! cb: crossbeam-channel; fl: flume; ka: kanal; ac: async-channel. Unit tests are in
//! `smarm/src/sync/mpmc/tests.rs`. For capacity 0 see the module `rendezvous`.
//!
//! | line | counterparts | smarm | test |
//! |---|---|---|---|
//! | each message is received once, by one receiver | all | yes | unit: `each_message_is_received_once_and_each_receiver_sees_every_sender_in_order` |
//! | first in, first out | all | yes, also over receives that are given up | `the_oldest_message_goes_first_whoever_gave_up_before` |
//! | disconnected when all senders are gone; what is there is received first | all | yes | `what_is_left_is_shared_out_before_the_end_is_told` |
//! | disconnected when all receivers are gone: sends give back | cb, fl, ac; ka drops in `send` | yes | `messages_come_back_when_the_last_receiver_is_gone_and_not_before` |
//! | the messages left are dropped with the last receiver | fl, ka; cb and ac: with the channel | with the last receiver | `what_is_left_is_dropped_with_the_last_receiver` |
//! | a destructor that panics there | no word | the others are dropped, and the panic goes on | the same |
//! | `close` by any receiver closes for all | ka, ac | yes | `one_receiver_closes_for_all` |
//! | all that wait are woken at the end | all | yes | unit: `more_waiters_than_are_woken_at_once_are_all_woken` |
//! | one message wakes one receiver | cb, fl, ac | the oldest | unit: `each_message_wakes_one_receiver_the_oldest_first` |
//! | a receiver may be faster than the one that was woken | cb, fl, ac | yes | unit: `a_receiver_whose_message_another_took_waits_on_and_gets_the_next` |
//! | waiting senders are served in order | fl, ka | yes, and never overtaken | `senders_that_wait_are_served_in_order_by_all_receivers` |
//! | a receive dropped after its wake | fl, ac: passes it on; ka: may lose the message | passes it on | unit: `a_receive_that_is_dropped_after_its_wake_wakes_the_next` |
//! | timeouts: what is there beats the deadline | cb, fl | yes | `a_deadline_in_the_past_takes_what_is_there` |
//! | `len`, `capacity`, counts | all | yes | `a_channel_tells_its_numbers` |
//! | a receiver is a stream | fl, ac | yes | `streams_of_clones_share_the_messages` |
//! | a receiver shared by reference | all (`Sync`) | yes | `a_receiver_is_shared_by_reference` |
//! | a message is received while its receiver's worker is busy, by another | - | yes | `a_receiver_on_a_busy_worker_keeps_nothing_from_the_others` |

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures::{StreamExt, future};
use smarm::Builder;
use smarm::sync::mpmc::{
    Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError, bounded, unbounded,
};
use smarm_workspace::{Drops, PATIENCE, Signal, block_on, until, within, workers};

use crate::{Bomb, Wakes, panics, poll_once};

fn both<T>(room: usize) -> [(Sender<T>, Receiver<T>); 2] {
    [unbounded(), bounded(room)]
}

#[test]
fn the_oldest_message_goes_first_whoever_gave_up_before() {
    for (tx, rx) in both(10) {
        let mut waits: Vec<_> = (0..4).map(|_| Box::pin(rx.recv_async())).collect();
        assert!(waits.iter_mut().all(|wait| poll_once(wait.as_mut()).is_pending()));
        (0..4).for_each(|n| tx.send(n).unwrap());
        // All four are woken. Two give up, in whatever order.
        drop(waits.remove(0));
        assert_eq!(poll_once(waits[2].as_mut()), Poll::Ready(Ok(0)));
        drop(waits.remove(0));
        assert_eq!(rx.try_recv(), Ok(1));
        assert_eq!(poll_once(waits[0].as_mut()), Poll::Ready(Ok(2)));
        assert_eq!(rx.recv(), Ok(3));
    }
}

#[test]
fn what_is_left_is_shared_out_before_the_end_is_told() {
    for (tx, rx) in both(3) {
        (0..3).for_each(|n| tx.send(n).unwrap());
        assert!(!rx.is_closed());
        drop(tx);
        assert!(rx.is_closed());
        let other = rx.clone();
        assert_eq!((rx.recv(), other.try_recv(), other.recv()), (Ok(0), Ok(1), Ok(2)));
        for rx in [&rx, &other] {
            assert_eq!(rx.recv(), Err(RecvError::Closed));
            assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
            assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
        }
    }
}

#[test]
fn messages_come_back_when_the_last_receiver_is_gone_and_not_before() {
    for (tx, rx) in both(1) {
        let other = rx.clone();
        drop(rx);
        assert_eq!(tx.send(0), Ok(()));
        let wakes = Wakes::default();
        let mut send = pin!(tx.send_async(1));
        let waits = wakes.poll(send.as_mut()).is_pending();
        assert_eq!(waits, tx.capacity().is_some());
        drop(other);
        assert!(tx.is_closed());
        if waits {
            assert_eq!(wakes.count(), 1);
            assert_eq!(wakes.poll(send), Poll::Ready(Err(SendError(1))));
        }
        assert_eq!(tx.send(2), Err(SendError(2)));
        assert_eq!(tx.try_send(3), Err(TrySendError::Closed(3)));
    }
}

#[test]
fn what_is_left_is_dropped_with_the_last_receiver() {
    for (tx, rx) in both(100) {
        let drops = Drops::new();
        let other = rx.clone();
        for n in 0..100 {
            assert!(tx.send(((n == 50).then(|| Bomb), drops.counted())).is_ok());
        }
        drop(other);
        assert_eq!(drops.count(), 0);
        assert!(panics(|| drop(rx)));
        assert_eq!(drops.count(), 100);
    }
}

#[test]
fn one_receiver_closes_for_all() {
    for (tx, rx) in both(1) {
        tx.send(1).unwrap();
        let other = rx.clone();
        let wakes = Wakes::default();
        let mut wait = pin!(other.recv_async());
        rx.close();
        rx.close();
        assert_eq!(tx.send(2), Err(SendError(2)));
        assert_eq!(wakes.poll(wait.as_mut()), Poll::Ready(Ok(1)));
        assert_eq!(rx.recv(), Err(RecvError::Closed));
    }
    for (tx, rx) in both::<u8>(1) {
        let wakes = Wakes::default();
        let mut wait = pin!(rx.recv_async());
        assert!(wakes.poll(wait.as_mut()).is_pending());
        rx.clone().close();
        assert_eq!(wakes.count(), 1);
        assert_eq!(wakes.poll(wait), Poll::Ready(Err(RecvError::Closed)));
        drop(tx);
    }
}

#[test]
fn senders_that_wait_are_served_in_order_by_all_receivers() {
    let (tx, rx) = bounded(1);
    tx.send(0).unwrap();
    let mut sends: Vec<_> = (1..=3).map(|n| Box::pin(tx.send_async(n))).collect();
    assert!(sends.iter_mut().all(|send| poll_once(send.as_mut()).is_pending()));
    let other = rx.clone();
    for n in 0..4 {
        assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "nobody overtakes");
        assert_eq!(if n % 2 == 0 { &rx } else { &other }.recv(), Ok(n));
    }
    assert!(sends.iter_mut().all(|send| poll_once(send.as_mut()) == Poll::Ready(Ok(()))));
    assert_eq!(tx.try_send(9), Ok(()));
}

#[test]
fn a_deadline_in_the_past_takes_what_is_there() {
    for (tx, rx) in both(2) {
        assert_eq!(rx.recv_deadline(Instant::now()), Err(RecvTimeoutError::TimedOut));
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        assert_eq!(rx.recv_deadline(Instant::now()), Ok(1));
        assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(2));
    }
}

#[test]
fn a_channel_tells_its_numbers() {
    let (tx, rx) = bounded(3);
    assert_eq!((tx.capacity(), rx.capacity(), rx.receiver_count()), (Some(3), Some(3), 1));
    tx.send(1).unwrap();
    let other = rx.clone();
    assert_eq!((tx.len(), rx.len(), other.is_empty(), other.receiver_count()), (1, 1, false, 2));
    drop(rx);
    assert_eq!(other.receiver_count(), 1);
    let (_tx, stranger) = unbounded::<i32>();
    assert_eq!(stranger.capacity(), None);
    assert!(other.same_channel(&other.clone()) && !other.same_channel(&stranger));
}

#[test]
fn streams_of_clones_share_the_messages() {
    within(PATIENCE, || {
        for (tx, rx) in both(2) {
            let runtime = workers(2);
            let sums: Vec<_> = (0..3)
                .map(|_| {
                    let rx = rx.clone();
                    let stream =
                        rx.fold((0, 0), |(n, sum), message: u64| future::ready((n + 1, sum + message)));
                    runtime.spawn(move || smarm::compat::await_future(stream)).unwrap()
                })
                .collect();
            let last = thread::spawn(move || block_on(rx.map(|n| (1, n)).collect::<Vec<_>>()));
            let source = runtime.spawn(move || (0..1_000).for_each(|n| tx.send(n).unwrap())).unwrap();
            source.join().unwrap();
            let mut got = sums.into_iter().map(|sum| sum.join().unwrap()).collect::<Vec<_>>();
            got.extend(last.join().unwrap());
            let (n, sum) = got.iter().fold((0, 0), |(n, sum), (m, part)| (n + m, sum + part));
            assert_eq!((n, sum), (1_000, 999 * 500));
        }
    });
}

#[test]
fn a_stream_that_is_left_alone_gives_its_wake_up_on_when_it_is_dropped() {
    let (tx, rx) = unbounded();
    let (mut left, other) = (rx.clone(), rx);
    let wakes = Wakes::default();
    assert!(poll_once(pin!(left.next())).is_pending());
    let mut wait = pin!(other.recv_async());
    assert!(wakes.poll(wait.as_mut()).is_pending());
    tx.send(1).unwrap();
    assert_eq!(wakes.count(), 0);
    drop(left);
    assert_eq!(wakes.count(), 1);
    assert_eq!(wakes.poll(wait), Poll::Ready(Ok(1)));
}

#[test]
fn a_receiver_is_shared_by_reference() {
    within(PATIENCE, || {
        for (tx, rx) in both(4) {
            let total: u64 = thread::scope(|scope| {
                let receivers: Vec<_> = (0..3).map(|_| scope.spawn(|| rx.iter().sum::<u64>())).collect();
                (0..1_000).for_each(|n| tx.send(n).unwrap());
                drop(tx);
                receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum()
            });
            assert_eq!(total, 999 * 500);
        }
    });
}

#[test]
fn a_receiver_on_a_busy_worker_keeps_nothing_from_the_others() {
    within(PATIENCE, || {
        for (tx, rx) in both(4) {
            let runtime = workers(2);
            let handle = runtime.handle();
            let (waiting, done, go_on) = (Signal::new(), Signal::new(), Arc::new(Signal::new()));
            // The one that has waited longest sits on worker 0, which then is kept busy.
            let spawn = |worker, rx: Receiver<u8>| {
                let (waiting, done) = (waiting.clone(), done.clone());
                let receive = move || {
                    let mut first = pin!(rx.recv_async());
                    // Told when it is queued, so that the other one is behind it.
                    assert!(poll_once(first.as_mut()).is_pending());
                    waiting.raise();
                    let mut received = smarm::compat::await_future(first);
                    while received.is_ok() {
                        done.raise();
                        received = rx.recv();
                    }
                };
                Builder::new().runtime(&handle).worker(worker).spawn(receive).unwrap()
            };
            let slow = spawn(0, rx.clone());
            waiting.wait(1);
            let fast = spawn(1, rx);
            waiting.wait(2);
            let busy = Signal::new();
            let (theirs, until_then) = (busy.clone(), go_on.clone());
            let hog = move || {
                theirs.raise();
                while until_then.count() == 0 {
                    std::hint::spin_loop();
                }
            };
            let hog = Builder::new().runtime(&handle).worker(0).spawn(hog).unwrap();
            busy.wait(1);
            tx.send(1).unwrap();
            tx.send(2).unwrap();
            until(|| done.count() == 2);
            go_on.raise();
            drop(tx);
            for actor in [slow, fast, hog] {
                actor.join().unwrap();
            }
        }
    });
}
