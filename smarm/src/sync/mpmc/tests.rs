//! What only the inside can show: wakes, counted; and many threads at once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::*;
use crate::channel::testing::{Counted, Wakes, part_of, rounds, times};

fn all<T>() -> [(Sender<T>, Receiver<T>); 4] {
    [unbounded(), bounded(0), bounded(1), bounded(100)]
}

#[test]
fn each_message_wakes_one_receiver_the_oldest_first() {
    for (tx, rx) in all() {
        let wakes = [Wakes::new(), Wakes::new(), Wakes::new()];
        let mut waits = [(); 3].map(|()| Box::pin(rx.recv_async()));
        for (wait, wakes) in waits.iter_mut().zip(&wakes) {
            assert!(wakes.poll(wait).is_pending());
        }
        let counts = || wakes.each_ref().map(Wakes::count);
        let room = tx.capacity() != Some(1);
        tx.try_send(1).unwrap();
        assert_eq!(counts(), [1, 0, 0]);
        if room {
            tx.try_send(2).unwrap();
            assert_eq!(counts(), [1, 1, 0]);
            assert_eq!(wakes[1].poll(&mut waits[1]), Poll::Ready(Ok(1)), "who runs first gets the oldest");
        }
        assert_eq!(wakes[0].poll(&mut waits[0]), Poll::Ready(Ok(1 + i32::from(room))));
        drop(tx);
        assert_eq!(wakes[2].count(), 1);
        assert_eq!(wakes[2].poll(&mut waits[2]), Poll::Ready(Err(RecvError::Closed)));
        assert!(wakes.iter().all(|wakes| wakes.references() == 1));
    }
}

#[test]
fn a_receive_that_is_dropped_after_its_wake_wakes_the_next() {
    for (tx, rx) in all() {
        let wakes = [Wakes::new(), Wakes::new()];
        let mut waits = [(); 2].map(|()| Box::pin(rx.recv_async()));
        for (wait, wakes) in waits.iter_mut().zip(&wakes) {
            assert!(wakes.poll(wait).is_pending());
        }
        tx.try_send(1).unwrap();
        let [first, mut second] = waits;
        assert_eq!((wakes[0].count(), wakes[1].count()), (1, 0));
        drop(first);
        assert_eq!(wakes[1].count(), 1);
        assert_eq!(wakes[1].poll(&mut second), Poll::Ready(Ok(1)));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn a_receiver_whose_message_another_took_waits_on_and_gets_the_next() {
    for (tx, rx) in [unbounded(), bounded(1)] {
        let wakes = Wakes::new();
        let mut wait = Box::pin(rx.recv_async());
        assert!(wakes.poll(&mut wait).is_pending());
        tx.try_send(1).unwrap();
        assert_eq!(rx.clone().try_recv(), Ok(1));
        assert!(wakes.poll(&mut wait).is_pending());
        tx.try_send(2).unwrap();
        assert_eq!(wakes.count(), 2);
        assert_eq!(wakes.poll(&mut wait), Poll::Ready(Ok(2)));
    }
}

#[test]
fn a_rendezvous_makes_up_for_a_message_that_another_receiver_took() {
    let (tx, rx) = bounded(0);
    let wakes = Wakes::new();
    let mut wait = Box::pin(rx.recv_async());
    assert!(wakes.poll(&mut wait).is_pending());
    tx.try_send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1), "taken before the one that was woken could");
    assert!(wakes.poll(&mut wait).is_pending());
    tx.try_send(2).unwrap();
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(wakes.poll(&mut wait), Poll::Ready(Ok(2)));
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
}

#[test]
fn more_waiters_than_are_woken_at_once_are_all_woken() {
    let (tx, rx) = unbounded();
    let wakes: Vec<_> = (0..100).map(|_| Wakes::new()).collect();
    let mut waits: Vec<_> = (0..100).map(|_| Box::pin(rx.recv_async())).collect();
    for (wait, wakes) in waits.iter_mut().zip(&wakes) {
        assert!(wakes.poll(wait).is_pending());
    }
    (0..40).for_each(|n| tx.send(n).unwrap());
    let woken = || wakes.iter().map(Wakes::count).sum::<usize>();
    assert_eq!(woken(), 40);
    waits.truncate(90);
    drop(tx);
    assert_eq!(woken(), 90);
    let got: Vec<_> = waits
        .iter_mut()
        .zip(&wakes)
        .filter_map(|(wait, wakes)| match wakes.poll(wait) {
            Poll::Ready(received) => received.ok(),
            Poll::Pending => panic!("the channel is closed"),
        })
        .collect();
    assert_eq!(got, (0..40).collect::<Vec<_>>());
}

#[test]
fn each_message_is_received_once_and_each_receiver_sees_every_sender_in_order() {
    let each = part_of(if cfg!(debug_assertions) { 4_000 } else { 30_000 });
    for (tx, rx) in all() {
        let seen: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
            for sender in 0..3 {
                let tx = tx.clone();
                scope.spawn(move || (0..each).for_each(|n| tx.send((sender, n)).unwrap()));
            }
            drop(tx);
            let receivers: Vec<_> = (0..3)
                .map(|way| {
                    let rx = rx.clone();
                    scope.spawn(move || {
                        let mut seen = Vec::new();
                        loop {
                            let received = match way {
                                0 => rx.recv().map_err(|_| ()),
                                1 => match rx.recv_timeout(Duration::from_nanos(seen.len() as u64)) {
                                    Err(RecvTimeoutError::TimedOut) => continue,
                                    received => received.map_err(|_| ()),
                                },
                                _ => match rx.try_recv() {
                                    Err(TryRecvError::Empty) => {
                                        thread::yield_now();
                                        continue;
                                    }
                                    received => received.map_err(|_| ()),
                                },
                            };
                            match received {
                                Ok(message) => seen.push(message),
                                Err(()) => return seen,
                            }
                        }
                    })
                })
                .collect();
            receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect()
        });
        for seen in &seen {
            for sender in 0..3 {
                let of_sender = seen.iter().filter(|message| message.0 == sender);
                assert!(of_sender.is_sorted());
            }
        }
        let mut together = seen.concat();
        together.sort_unstable();
        assert!(together.iter().copied().eq((0..3).flat_map(|s| (0..each).map(move |n| (s, n)))));
    }
}

#[test]
fn messages_and_receives_that_are_given_up_are_neither_lost_nor_doubled() {
    for (tx, rx) in all() {
        let (counted, sent, received) = (Counted::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for sender in 0..2 {
                let (tx, counted, sent) = (tx.clone(), &counted, &sent);
                scope.spawn(move || {
                    for n in 0..times(2_000) as u64 {
                        let timeout = Duration::from_nanos((n * (sender + 1)) % 50_000);
                        match tx.send_timeout(counted.token(), timeout) {
                            Ok(()) => drop(sent.fetch_add(1, Relaxed)),
                            Err(error) => assert!(matches!(error, SendTimeoutError::TimedOut(_))),
                        }
                    }
                });
            }
            drop(tx);
            for receiver in 0..2_u64 {
                let (rx, received) = (rx.clone(), &received);
                scope.spawn(move || {
                    for n in 0.. {
                        if n % 3 == receiver {
                            let wakes = Wakes::new();
                            let mut wait = Box::pin(rx.recv_async());
                            let first = wakes.poll(&mut wait);
                            let last = if first.is_pending() { wakes.poll(&mut wait) } else { first };
                            if let Poll::Ready(Ok(_)) = last {
                                received.fetch_add(1, Relaxed);
                            }
                            continue;
                        }
                        match rx.recv_timeout(Duration::from_nanos(n % 50_000)) {
                            Ok(_) => drop(received.fetch_add(1, Relaxed)),
                            Err(RecvTimeoutError::TimedOut) => {}
                            Err(error) => return assert_eq!(error, RecvTimeoutError::Closed),
                        }
                    }
                });
            }
        });
        assert_eq!(sent.into_inner(), received.into_inner());
        assert_eq!(counted.alive(), 0);
    }
}

#[test]
fn receivers_that_leave_or_close_in_the_middle_drop_each_message_once() {
    for round in rounds(200) {
        for (tx, rx) in all() {
            let counted = Counted::new();
            thread::scope(|scope| {
                for _ in 0..2 {
                    let (tx, counted) = (tx.clone(), &counted);
                    scope.spawn(move || while tx.send(counted.token()).is_ok() {});
                }
                let other = rx.clone();
                scope.spawn(move || other.iter().take(round / 2).for_each(drop));
                for _ in 0..round {
                    drop(rx.recv());
                }
                if round % 2 == 0 {
                    rx.close();
                    rx.iter().for_each(drop);
                }
                drop(rx);
                drop(tx);
            });
            assert_eq!(counted.alive(), 0);
        }
    }
}
