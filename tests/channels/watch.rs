//! `smarm::sync::watch`, measured by `tokio::sync::watch`. Unit tests are in `smarm/src/sync/watch/tests.rs`.
//!
//! | line | tokio documents | smarm | test |
//! |---|---|---|---|
//! | the first value counts as seen | yes | yes | `the_first_value_is_seen_and_the_next_is_not` |
//! | `changed` marks as seen, `borrow` does not, `borrow_and_update` does | yes | yes | the same |
//! | values in between are skipped | yes | yes | `only_the_latest_value_is_there` |
//! | a clone has seen what the original has; `subscribe` has seen the value | yes | yes | `a_clone_has_seen_what_the_original_has` |
//! | `mark_changed`, `mark_unchanged` | yes | yes | the same |
//! | `send` without receivers fails and changes nothing | yes | yes | `without_receivers_a_send_fails_and_a_replace_does_not` |
//! | `send_replace`, `send_modify`, `send_if_modified` work without | yes | yes | the same |
//! | `send_if_modified` tells only if it is told so | yes; the value is modified in place | the value stays as it was | `a_modification_that_is_none_tells_nobody` |
//! | a modification that panics | in place: may be half done, nobody is told | nothing has changed | `a_modification_that_panics_changes_nothing` |
//! | `changed` after the end: a new value first, then an error | yes | yes | `a_last_value_is_seen_before_the_end` |
//! | `has_changed` after the end | an error | an error | the same |
//! | the last value can be borrowed after the end | yes | yes | the same |
//! | `wait_for` looks at the present value first | yes | yes | `waiting_for_a_value_looks_at_the_one_that_is_there` |
//! | `wait_for` after the end: looks at the last value, then fails | yes | yes | the same |
//! | a predicate that panics | goes on in `wait_for` | so | `a_predicate_that_panics_spoils_nothing` |
//! | a borrowed value blocks senders | yes (a read lock: may deadlock) | no: a snapshot | `a_borrowed_value_blocks_nobody` |
//! | `changed` is cancel safe | yes | yes | unit: `a_dropped_wait_leaves_nothing_behind_and_has_not_seen` |
//! | `closed` waits for the last receiver | yes | yes | `a_sender_waits_for_the_last_receiver_to_leave` |
//! | timeouts | (`tokio::time::timeout`) | what is there beats the deadline | `a_new_value_beats_the_deadline` |

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use smarm::sync::watch::{RecvError, RecvTimeoutError, SendError, Sender, channel};
use smarm_workspace::{PATIENCE, block_on, within, workers};

use crate::{Wakes, panics, poll_once};

#[test]
fn the_first_value_is_seen_and_the_next_is_not() {
    let (tx, mut rx) = channel(1);
    assert_eq!((rx.has_changed(), *rx.borrow()), (Ok(false), 1));
    assert!(poll_once(pin!(rx.changed_async())).is_pending());
    tx.send(2).unwrap();
    assert_eq!((rx.has_changed(), *rx.borrow(), rx.borrow().has_changed()), (Ok(true), 2, true));
    assert_eq!(rx.has_changed(), Ok(true));
    let new = rx.borrow_and_update();
    assert_eq!((*new, new.has_changed(), rx.has_changed()), (2, true, Ok(false)));
    tx.send(3).unwrap();
    assert_eq!((rx.changed(), rx.has_changed(), *rx.borrow()), (Ok(()), Ok(false), 3));
    assert!(!rx.borrow().has_changed() && !tx.borrow().has_changed());
}

#[test]
fn only_the_latest_value_is_there() {
    let (tx, mut rx) = channel(0);
    (1..=5).for_each(|n| tx.send(n).unwrap());
    assert_eq!((rx.changed(), *rx.borrow()), (Ok(()), 5));
    assert!(poll_once(pin!(rx.changed_async())).is_pending());
}

#[test]
fn a_clone_has_seen_what_the_original_has() {
    let (tx, mut rx) = channel(0);
    tx.send(1).unwrap();
    let not_seen = rx.clone();
    rx.mark_unchanged();
    let seen = rx.clone();
    assert_eq!((not_seen.has_changed(), seen.has_changed()), (Ok(true), Ok(false)));
    assert_eq!(tx.subscribe().has_changed(), Ok(false));
    rx.mark_changed();
    assert_eq!((rx.has_changed(), rx.changed(), rx.has_changed()), (Ok(true), Ok(()), Ok(false)));
    assert_eq!(tx.receiver_count(), 3);
    assert!(rx.same_channel(&seen));
}

#[test]
fn without_receivers_a_send_fails_and_a_replace_does_not() {
    let (tx, rx) = channel(1);
    drop(rx);
    assert_eq!((tx.send(2), *tx.borrow()), (Err(SendError(2)), 1));
    assert_eq!((tx.send_replace(3), *tx.borrow()), (1, 3));
    tx.send_modify(|n| *n += 1);
    assert!(tx.send_if_modified(|n| {
        *n += 1;
        true
    }));
    let rx = tx.subscribe();
    assert_eq!((*rx.borrow(), rx.has_changed()), (5, Ok(false)));
    tx.send(6).unwrap();
    assert_eq!(*rx.borrow(), 6);
}

#[test]
fn a_modification_that_is_none_tells_nobody() {
    let (tx, mut rx) = channel(1);
    let wakes = Wakes::default();
    let mut wait = pin!(rx.changed_async());
    assert!(wakes.poll(wait.as_mut()).is_pending());
    assert!(!tx.send_if_modified(|n| {
        *n = 2;
        false
    }));
    assert_eq!((wakes.count(), *tx.borrow()), (0, 1));
    tx.send_modify(|n| *n += 1);
    assert_eq!((wakes.count(), wakes.poll(wait)), (1, Poll::Ready(Ok(()))));
}

#[test]
fn a_modification_that_panics_changes_nothing() {
    let (tx, rx) = channel(vec![1]);
    let modify = |list: &mut Vec<i32>| {
        list.clear();
        panic!("while it modifies");
    };
    assert!(panics(|| tx.send_modify(modify)));
    assert_eq!((rx.has_changed(), &**rx.borrow()), (Ok(false), &[1][..]));
    tx.send_modify(|list| list.push(2));
    assert_eq!(**rx.borrow(), [1, 2]);
}

#[test]
fn a_last_value_is_seen_before_the_end() {
    let (tx, mut rx) = channel(1);
    let other = tx.clone();
    tx.send(2).unwrap();
    drop(tx);
    assert_eq!(rx.has_changed(), Ok(true));
    drop(other);
    assert_eq!(rx.has_changed(), Err(RecvError::Closed));
    assert_eq!(rx.changed(), Ok(()));
    assert_eq!(
        (rx.changed(), block_on(rx.changed_async())),
        (Err(RecvError::Closed), Err(RecvError::Closed))
    );
    assert_eq!(rx.changed_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
    assert_eq!((*rx.borrow(), rx.is_closed()), (2, true));
}

#[test]
fn waiting_for_a_value_looks_at_the_one_that_is_there() {
    within(PATIENCE, || {
        let (tx, mut rx) = channel(1);
        assert_eq!(*rx.wait_for(|n| *n == 1).unwrap(), 1);
        let time = Duration::from_micros(1);
        assert_eq!(rx.wait_for_timeout(time, |n| *n == 2).unwrap_err(), RecvTimeoutError::TimedOut);
        let runtime = workers(2);
        let waits = runtime.spawn(move || {
            let found = *rx.wait_for(|n| *n >= 100).unwrap();
            (found, rx)
        });
        while tx.send_replace(*tx.borrow() + 1) < 200 {
            smarm::yield_now();
        }
        let (found, mut rx) = waits.unwrap().join().unwrap();
        assert!((100..=201).contains(&found));
        tx.send(7).unwrap();
        drop(tx);
        assert_eq!(*rx.wait_for(|n| *n == 7).unwrap(), 7);
        assert_eq!(*block_on(rx.wait_for_async(|n| *n == 7)).unwrap(), 7);
        assert_eq!(rx.wait_for(|n| *n == 8).unwrap_err(), RecvError::Closed);
        assert_eq!(block_on(rx.wait_for_async(|n| *n == 8)).unwrap_err(), RecvError::Closed);
        let deadline = Instant::now();
        assert_eq!(rx.wait_for_deadline(deadline, |n| *n == 8).unwrap_err(), RecvTimeoutError::Closed);
    });
}

#[test]
fn a_predicate_that_panics_spoils_nothing() {
    let (tx, mut rx) = channel(1);
    assert!(panics(|| rx.wait_for(|_| panic!("while it looks")).is_ok()));
    tx.send(2).unwrap();
    assert_eq!((rx.changed(), *rx.borrow()), (Ok(()), 2));
}

#[test]
fn a_borrowed_value_blocks_nobody() {
    let (tx, mut rx) = channel(1);
    let (theirs, mine) = (rx.borrow(), tx.borrow());
    tx.send(2).unwrap();
    tx.send_modify(|n| *n += 1);
    assert_eq!((*theirs, *mine, *theirs.clone()), (1, 1, 1));
    assert_eq!(*rx.borrow_and_update(), 3);
    drop((tx, rx));
    assert_eq!(*theirs, 1);
}

#[test]
fn a_sender_waits_for_the_last_receiver_to_leave() {
    within(PATIENCE, || {
        let tx = Sender::new(0);
        assert!(tx.closed_timeout(Duration::ZERO) && tx.is_closed());
        let (rx, other) = (tx.subscribe(), tx.subscribe());
        assert!(!tx.closed_deadline(Instant::now()));
        let wakes = Wakes::default();
        let mut closed = pin!(tx.closed_async());
        assert!(wakes.poll(closed.as_mut()).is_pending());
        drop(rx);
        assert_eq!(wakes.count(), 0);
        drop(other);
        assert_eq!((wakes.count(), wakes.poll(closed)), (1, Poll::Ready(())));
        tx.closed();
    });
}

#[test]
fn a_new_value_beats_the_deadline() {
    let (tx, mut rx) = channel(0);
    assert_eq!(rx.changed_deadline(Instant::now()), Err(RecvTimeoutError::TimedOut));
    assert_eq!(rx.changed_timeout(Duration::from_micros(1)), Err(RecvTimeoutError::TimedOut));
    tx.send(1).unwrap();
    assert_eq!(rx.changed_deadline(Instant::now()), Ok(()));
}
