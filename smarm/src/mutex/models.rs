//! Models of the mutex.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | hand-over | three | each locks, adds, unlocks | one holder at a time, who sees what the last one did; nobody waits for ever | unlocking, or locking, without ordering; locking torn; unlocking skipped |
//! | giving up | three | one holds, one asks and gives up, one waits | what was handed to who gave up is passed on | the passing on left out |

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;

use super::Mutex;
use crate::primitive::atomic::Ordering::{Acquire, Release};
use crate::primitive::flaw::{Flaw, Op, Step, omitted, skipped, torn, weakened};
use crate::primitive::model::{Parker, block_on, check, check_flawed, spawn};

fn add(mutex: &Mutex<u32>) {
    if let Ok(mut guard) = block_on(mutex.lock_async()) {
        *guard += 1;
    }
}

fn hand_over() {
    let mutex = Arc::new(Mutex::new(0));
    let theirs = mutex.clone();
    let other = spawn(move || add(&theirs));
    add(&mutex);
    add(&mutex);
    other.join().unwrap();
    assert_eq!(block_on(mutex.lock_async()).ok().map(|guard| *guard), Some(3));
}

#[test]
fn one_holds_it_at_a_time_and_sees_what_the_last_one_did() {
    check(2, hand_over);
}

fn flawed(flaw: Flaw) {
    check_flawed(flaw, 2, hand_over);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_unlock_without_ordering_is_caught() {
    flawed(weakened("mutex.rs", Op::Exchange, Release));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_without_ordering_is_caught() {
    flawed(weakened("mutex.rs", Op::Exchange, Acquire));
}

#[test]
#[should_panic]
fn a_torn_lock_is_caught() {
    flawed(torn("mutex.rs", Op::Exchange, Acquire));
}

#[test]
#[should_panic(expected = "deadlock")]
fn an_unlock_that_does_nothing_is_caught() {
    flawed(skipped("mutex.rs", Op::Exchange, Release));
}

fn giving_up() {
    let mutex = Arc::new(Mutex::new(0));
    let theirs = mutex.clone();
    let patient = spawn(move || add(&theirs));
    let theirs = mutex.clone();
    let impatient = spawn(move || {
        let parker = Parker::new();
        let mut lock = pin!(theirs.lock_async());
        let _ = lock.as_mut().poll(&mut Context::from_waker(&parker.waker()));
    });
    add(&mutex);
    patient.join().unwrap();
    impatient.join().unwrap();
    assert_eq!(block_on(mutex.lock_async()).ok().map(|guard| *guard), Some(2));
}

#[test]
fn what_was_handed_to_one_who_gives_up_is_passed_on() {
    check(2, giving_up);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_waiter_that_keeps_what_it_does_not_want_is_caught() {
    check_flawed(omitted(Step::PassOn), 2, giving_up);
}
