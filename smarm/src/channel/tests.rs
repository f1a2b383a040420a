//! What every channel but oneshot promises, whatever its capacity.

mod bounded;
mod stress;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::testing::{Counted, Wakes};
use super::*;

/// A channel of each kind that holds `messages` without waiting.
fn roomy<T>(messages: usize) -> [(Sender<T>, Receiver<T>); 2] {
    [channel(), bounded(messages)]
}

/// A channel of each kind.
fn all<T>() -> [(Sender<T>, Receiver<T>); 4] {
    [channel(), bounded(0), bounded(1), bounded(100)]
}

#[test]
fn messages_are_received_in_the_order_of_sending() {
    for (tx, rx) in roomy(1000) {
        for n in 0..1000 {
            tx.send(n).unwrap();
        }
        assert_eq!((tx.len(), rx.len()), (1000, 1000));
        for n in 0..1000 {
            assert_eq!(rx.recv(), Ok(n));
        }
        assert!(rx.is_empty() && tx.is_empty());
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn what_was_sent_is_received_after_the_last_sender_is_gone() {
    for (tx, rx) in roomy(100) {
        let other = tx.clone();
        for n in 0..100 {
            if n % 2 == 0 { &tx } else { &other }.send(n).unwrap();
        }
        drop(tx);
        drop(other);
        assert_eq!(rx.len(), 100);
        assert_eq!(rx.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert_eq!(rx.recv(), Err(RecvError::Closed));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(rx.len(), 0);
    }
}

#[test]
fn a_receiver_gone_gives_every_message_back() {
    for (tx, rx) in all() {
        assert!(!tx.is_closed());
        drop(rx);
        assert!(tx.is_closed());
        assert_eq!(tx.send(1), Err(SendError(1)));
        assert_eq!(tx.try_send(2), Err(TrySendError::Closed(2)));
        assert_eq!(tx.send_timeout(3, Duration::MAX), Err(SendTimeoutError::Closed(3)));
        assert_eq!(tx.send_deadline(4, Instant::now()), Err(SendTimeoutError::Closed(4)));
        let mut sending = pin!(tx.send_async(5));
        assert_eq!(Wakes::new().poll(&mut sending), Poll::Ready(Err(SendError(5))));
    }
}

#[test]
fn a_closed_channel_gives_what_was_sent_before() {
    for (tx, rx) in roomy(3) {
        tx.send(1).unwrap();
        rx.close();
        rx.close();
        assert_eq!(tx.send(2), Err(SendError(2)));
        assert_eq!(rx.len(), 1);
        assert_eq!(rx.recv(), Ok(1));
        assert_eq!(rx.recv(), Err(RecvError::Closed));
        drop(tx);
        assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
        assert_eq!((rx.len(), rx.recv()), (0, Err(RecvError::Closed)));
    }
}

#[test]
fn the_last_sender_gone_wakes_the_receiver_and_no_other_does() {
    for (tx, mut rx) in all::<()>() {
        let wakes = Wakes::new();
        let other = tx.clone();
        let mut recv = pin!(rx.recv_async());
        assert_eq!(wakes.poll(&mut recv), Poll::Pending);
        drop(tx);
        assert_eq!(wakes.count(), 0);
        drop(other);
        assert_eq!(wakes.count(), 1);
        assert_eq!(wakes.poll(&mut recv), Poll::Ready(Err(RecvError::Closed)));
    }
}

#[test]
fn a_message_wakes_the_last_waker_once() {
    for (tx, mut rx) in all() {
        let (first, last) = (Wakes::new(), Wakes::new());
        let mut recv = pin!(rx.recv_async());
        assert_eq!(first.poll(&mut recv), Poll::Pending);
        assert_eq!(last.poll(&mut recv), Poll::Pending);
        assert_eq!(last.poll(&mut recv), Poll::Pending);
        assert_eq!(first.references(), 1);
        tx.try_send(7).unwrap();
        assert_eq!((first.count(), last.count()), (0, 1));
        assert_eq!(last.poll(&mut recv), Poll::Ready(Ok(7)));
        assert_eq!(last.references(), 1);
    }
}

#[test]
fn a_dropped_receive_loses_nothing_and_is_not_woken() {
    for (tx, mut rx) in roomy(3) {
        let wakes = Wakes::new();
        for n in 0..40 {
            assert_eq!(wakes.poll(&mut rx.recv_async()), Poll::Pending);
            assert_eq!(wakes.references(), 1);
            tx.send(n).unwrap();
            assert_eq!(rx.recv(), Ok(n));
        }
        {
            let mut recv = pin!(rx.recv_async());
            assert_eq!(wakes.poll(&mut recv), Poll::Pending);
            tx.send(40).unwrap();
            assert_eq!(wakes.count(), 1);
        }
        assert_eq!(rx.recv(), Ok(40));
        assert_eq!(wakes.count(), 1);
    }
}

#[test]
fn a_receive_times_out_and_a_message_that_is_there_beats_the_deadline() {
    for (tx, rx) in roomy(3) {
        assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::TimedOut));
        assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::TimedOut));
        assert_eq!(rx.recv_deadline(Instant::now()), Err(RecvTimeoutError::TimedOut));
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(1));
        assert_eq!(rx.recv_deadline(Instant::now()), Ok(2));
        drop(tx);
        assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
    }
}

#[test]
fn every_message_is_dropped_exactly_once() {
    for received in [0, 1, 31, 32, 33, 70, 100] {
        for sender_first in [true, false] {
            for (tx, rx) in roomy(100) {
                let counted = Counted::new();
                for _ in 0..100 {
                    tx.send(counted.token()).unwrap();
                }
                drop(rx.iter().take(received).collect::<Vec<_>>());
                assert_eq!(counted.alive(), 100 - received);
                if sender_first {
                    drop(tx);
                    drop(rx);
                    assert_eq!(counted.alive(), 0);
                } else {
                    drop(rx);
                    assert_eq!(counted.alive(), 0);
                    drop(tx);
                }
            }
        }
    }
}

#[test]
fn a_destructor_that_panics_does_not_keep_the_other_messages() {
    struct Bomb(#[expect(dead_code, reason = "it is there to be dropped")] testing::Token);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("a destructor that panics");
            }
        }
    }
    for (tx, rx) in roomy(100) {
        let counted = Counted::new();
        for _ in 0..100 {
            tx.send(Bomb(counted.token())).unwrap();
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(rx))).is_err());
        assert_eq!(counted.alive(), 0);
        assert!(tx.is_closed());
    }
}

#[test]
fn a_waker_left_behind_is_dropped() {
    for (tx, mut rx) in all::<()>() {
        let wakes = Wakes::new();
        assert_eq!(rx.poll_recv(&mut Context::from_waker(&wakes.waker())), Poll::Pending);
        drop(rx);
        assert_eq!(wakes.references(), 1);
        drop(tx);
        assert_eq!(wakes.count(), 0);
    }
}

#[test]
fn a_receiver_is_a_stream_and_iterates() {
    for (tx, mut rx) in roomy(10) {
        let wakes = Wakes::new();
        let waker = wakes.waker();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(Pin::new(&mut rx).poll_next(&mut cx), Poll::Pending);
        tx.send(1).unwrap();
        assert_eq!(wakes.count(), 1);
        assert_eq!(Pin::new(&mut rx).poll_next(&mut cx), Poll::Ready(Some(1)));
        tx.send(2).unwrap();
        tx.send(3).unwrap();
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [2, 3]);
        tx.send(4).unwrap();
        drop(tx);
        assert_eq!((&rx).into_iter().next(), Some(4));
        assert_eq!(Pin::new(&mut rx).poll_next(&mut cx), Poll::Ready(None));
        assert_eq!(rx.into_iter().next(), None);
    }
}

#[test]
fn clones_send_to_the_same_receiver() {
    let (tx, _rx) = channel::<()>();
    let (other, _other_rx) = channel::<()>();
    assert!(tx.same_channel(&tx.clone()));
    assert!(!tx.same_channel(&other));
    assert_eq!(tx.capacity(), None);
}

#[test]
fn both_halves_and_their_futures_can_move_to_another_thread() {
    fn assert_send<T: Send>(_: T) {}
    fn assert_sync<T: Sync>(_: T) {}
    let (tx, mut rx) = channel::<std::cell::Cell<u8>>();
    assert_send(rx.recv_async());
    assert_send(tx.send_async(0.into()));
    assert_sync(&tx);
    assert_send(tx);
    assert_send(rx);
}
