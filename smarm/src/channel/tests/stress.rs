//! Many threads at once: nothing is lost, doubled, or out of order.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use super::*;
use crate::channel::testing::{rounds, times};

const SENDERS: usize = 4;

/// The sender's number, and the message's.
type Message = (usize, usize);

/// Each sender sends `count` messages; the receiver checks that they are all there, and in order.
fn all_arrive_in_order(count: usize, (tx, rx): (Sender<Message>, Receiver<Message>)) {
    let count = times(count);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let tx = tx.clone();
            scope.spawn(move || {
                for n in 0..count {
                    match n % 4 {
                        0 => tx.send_timeout((sender, n), Duration::MAX).unwrap(),
                        _ => tx.send((sender, n)).unwrap(),
                    }
                }
            });
        }
        drop(tx);
        let rx = rx; // So that a failure here ends the senders too.
        let mut next = [0; SENDERS];
        let mut receive = 0;
        loop {
            receive += 1;
            let received = match receive % 3 {
                0 => match rx.recv_timeout(Duration::from_nanos(1)) {
                    Err(RecvTimeoutError::TimedOut) => continue,
                    received => received.ok(),
                },
                1 => match rx.try_recv() {
                    Err(TryRecvError::Empty) => continue,
                    received => received.ok(),
                },
                _ => rx.recv().ok(),
            };
            let Some((sender, n)) = received else { break };
            assert_eq!(n, next[sender]);
            next[sender] += 1;
        }
        assert_eq!(next, [count; SENDERS]);
    });
}

#[test]
fn an_unbounded_channel_keeps_the_order_of_each_sender() {
    all_arrive_in_order(30_000, channel());
}

#[test]
fn a_bounded_channel_keeps_the_order_of_each_sender() {
    all_arrive_in_order(3_000, bounded(1));
    all_arrive_in_order(10_000, bounded(100));
}

#[test]
fn a_rendezvous_keeps_the_order_of_each_sender() {
    all_arrive_in_order(3_000, bounded(0));
}

#[test]
fn impatient_senders_know_exactly_what_was_sent() {
    for capacity in [0, 1, 5] {
        let (tx, rx) = bounded(capacity);
        let (counted, sent) = (Counted::new(), AtomicUsize::new(0));
        let received = thread::scope(|scope| {
            for sender in 0..SENDERS {
                let tx = tx.clone();
                let (counted, sent) = (&counted, &sent);
                scope.spawn(move || {
                    for n in 0..times(2_000) as u64 {
                        let timeout = Duration::from_nanos((n * sender as u64) % 50_000);
                        match tx.send_timeout(counted.token(), timeout) {
                            Ok(()) => drop(sent.fetch_add(1, Relaxed)),
                            Err(SendTimeoutError::TimedOut(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            drop(tx);
            rx.iter().count()
        });
        assert_eq!(received, sent.load(Relaxed));
        assert_eq!(counted.alive(), 0);
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_the_receiver_leaves_in_the_middle() {
    for round in rounds(300) {
        for (tx, rx) in all() {
            let counted = Counted::new();
            thread::scope(|scope| {
                for _ in 0..2 {
                    let tx = tx.clone();
                    let counted = &counted;
                    scope.spawn(move || while tx.send(counted.token()).is_ok() {});
                }
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

#[test]
fn receives_that_are_dropped_lose_nothing() {
    const COUNT: usize = times(5_000);
    for (tx, rx) in all() {
        thread::scope(|scope| {
            scope.spawn(move || (0..COUNT).for_each(|n| tx.send(n).unwrap()));
            let mut rx = rx; // So that a failure here ends the sender too.
            let (mut next, mut polls) = (0, 0);
            while next < COUNT {
                polls += 1;
                // Two wakers in turn, so that they are replaced while senders use them.
                let wakes = [Wakes::new(), Wakes::new()];
                let mut recv = pin!(rx.recv_async());
                let first = wakes[0].poll(&mut recv);
                let second = if first.is_pending() { wakes[polls % 2].poll(&mut recv) } else { first };
                if let Poll::Ready(received) = second {
                    assert_eq!(received, Ok(next));
                    next += 1;
                } else {
                    thread::yield_now();
                }
            }
        });
    }
}
