//! What only the inside can show: wakes and drops, counted; and many threads at once.

use std::task::Poll;
use std::thread;

use super::*;
use crate::channel::testing::{Counted, Wakes, times};

#[test]
fn a_value_wakes_each_who_waits_once() {
    let (tx, rx) = channel(0);
    let mut receivers = vec![rx; 70];
    let wakes: Vec<_> = receivers.iter().map(|_| Wakes::new()).collect();
    let mut waits: Vec<_> = receivers.iter_mut().map(|rx| Box::pin(rx.changed_async())).collect();
    for (wait, wakes) in waits.iter_mut().zip(&wakes) {
        assert!(wakes.poll(wait).is_pending());
    }
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    for (wait, wakes) in waits.iter_mut().zip(&wakes) {
        assert_eq!(wakes.count(), 1);
        assert_eq!(wakes.poll(wait), Poll::Ready(Ok(())));
        assert_eq!(wakes.references(), 1);
    }
}

#[test]
fn a_dropped_wait_leaves_nothing_behind_and_has_not_seen() {
    let (tx, mut rx) = channel(0);
    let wakes = Wakes::new();
    {
        let mut wait = Box::pin(rx.changed_async());
        assert!(wakes.poll(&mut wait).is_pending());
        tx.send(1).unwrap();
    }
    assert_eq!((wakes.count(), wakes.references()), (1, 1));
    assert_eq!(rx.has_changed(), Ok(true));
}

#[test]
fn a_value_is_dropped_when_it_is_replaced_and_nobody_has_it_borrowed() {
    let counted = Counted::new();
    let (tx, rx) = channel(counted.token());
    tx.send(counted.token()).unwrap();
    assert_eq!(counted.alive(), 1);
    let borrowed = rx.borrow();
    tx.send(counted.token()).unwrap();
    assert_eq!(counted.alive(), 2);
    drop(borrowed);
    assert_eq!(counted.alive(), 1);
    drop((tx, rx));
    assert_eq!(counted.alive(), 0);
}

#[test]
fn modifications_of_many_senders_are_all_made_and_the_last_is_seen() {
    const EACH: usize = times(if cfg!(debug_assertions) { 2_000 } else { 20_000 });
    let (tx, mut rx) = channel(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            let tx = tx.clone();
            scope.spawn(move || (0..EACH).for_each(|_| tx.send_modify(|n| *n += 1)));
        }
        drop(tx);
        let mut last = 0;
        while rx.changed().is_ok() {
            let now = *rx.borrow_and_update();
            assert!(now >= last);
            last = now;
        }
        assert_eq!(last, 3 * EACH);
    });
}
