//! What only the inside can show: wakes, clones and drops, counted.

use std::sync::atomic::AtomicUsize as Count;
use std::task::Poll;
use std::thread;

use super::*;
use crate::channel::testing::{Counted, Wakes, times};

#[test]
fn a_message_wakes_each_waiting_receiver_once() {
    let tx = Sender::new(4);
    let mut receivers: Vec<_> = (0..100).map(|_| tx.subscribe()).collect();
    let wakes: Vec<_> = receivers.iter().map(|_| Wakes::new()).collect();
    let mut waits: Vec<_> = receivers.iter_mut().map(|rx| Box::pin(rx.recv_async())).collect();
    for (wait, wakes) in waits.iter_mut().zip(&wakes) {
        assert!(wakes.poll(wait).is_pending());
    }
    assert_eq!(tx.send(1), Ok(100));
    assert_eq!(tx.send(2), Ok(100));
    for (wait, wakes) in waits.iter_mut().zip(&wakes) {
        assert_eq!(wakes.count(), 1);
        assert_eq!(wakes.poll(wait), Poll::Ready(Ok(1)));
        assert_eq!(wakes.references(), 1);
    }
}

#[test]
fn a_dropped_wait_leaves_nothing_behind() {
    let (tx, mut rx) = channel(4);
    let wakes = Wakes::new();
    assert!(wakes.poll(&mut Box::pin(rx.recv_async())).is_pending());
    assert_eq!(wakes.references(), 1);
    assert!(wakes.poll(&mut Box::pin(tx.closed_async())).is_pending());
    assert_eq!(wakes.references(), 1);
    tx.send(1).unwrap();
    assert_eq!((wakes.count(), rx.recv()), (0, Ok(1)));
}

#[test]
fn the_last_receiver_of_a_message_gets_the_message_itself() {
    struct Cloned(Arc<Count>);
    impl Clone for Cloned {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, SeqCst);
            Cloned(Arc::clone(&self.0))
        }
    }
    let clones = Arc::new(Count::new(0));
    let (tx, rx) = channel(4);
    let mut receivers = [rx, tx.subscribe(), tx.subscribe()];
    tx.send(Cloned(Arc::clone(&clones))).ok().unwrap();
    for (n, rx) in receivers.iter_mut().enumerate() {
        drop(rx.recv().unwrap());
        assert_eq!(clones.load(SeqCst), [1, 2, 2][n]);
    }
    assert_eq!(Arc::strong_count(&clones), 1);
}

#[test]
fn a_message_is_dropped_when_all_have_received_it_or_left_or_it_is_overwritten() {
    let counted = Counted::new();
    let (tx, mut rx) = channel(3);
    let other = tx.subscribe();
    let send = || tx.send(Arc::new(counted.token())).unwrap();
    send();
    send();
    drop(rx.recv().unwrap());
    assert_eq!((counted.alive(), tx.len()), (2, 2));
    drop(other);
    assert_eq!((counted.alive(), tx.len()), (1, 1));
    for _ in 0..3 {
        send();
    }
    assert_eq!(counted.alive(), 3);
    assert_eq!(rx.len(), 4);
    drop(rx);
    assert_eq!((counted.alive(), tx.is_empty()), (0, true));
}

#[test]
fn each_receiver_sees_all_messages_in_one_order_whatever_the_threads() {
    const EACH: usize = times(5_000);
    let tx = Sender::new(64);
    let seen: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let mut rx = tx.subscribe();
                scope.spawn(move || {
                    let (mut seen, mut missed) = (Vec::new(), 0);
                    loop {
                        match rx.recv() {
                            Ok(message) => seen.push(message),
                            Err(RecvError::Lagged(more)) => missed += more,
                            Err(error) => {
                                assert_eq!(error, RecvError::Closed);
                                assert_eq!(seen.len() as u64 + missed, 2 * EACH as u64);
                                return seen;
                            }
                        }
                    }
                })
            })
            .collect();
        for sender in 0..2 {
            let tx = tx.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    tx.send((sender, n)).unwrap();
                }
            });
        }
        drop(tx);
        receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect()
    });
    for seen in seen {
        for sender in 0..2 {
            assert!(seen.iter().filter(|message| message.0 == sender).is_sorted());
        }
    }
}
