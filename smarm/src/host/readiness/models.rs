//! Models of the readiness of a descriptor.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | event | reactor, waiter | a byte comes, then its event; the waiter tries, and waits | no event is lost | the look under the lock left out; the clearing torn; the event without ordering |

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Waker;

use super::{Attempt, Readiness, WaitId};
use crate::primitive::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Relaxed},
};
use crate::primitive::flaw::{Flaw, Op, Step, omitted, torn, weakened};
use crate::primitive::model::{block_on, check, check_flawed, spawn};

fn event() {
    let shared = Arc::new((Readiness::new(), AtomicBool::new(false)));
    let theirs = shared.clone();
    let reactor = spawn(move || {
        let (readiness, there) = &*theirs;
        there.store(true, Relaxed);
        let mut woken = Vec::new();
        readiness.set(false, &mut woken);
        woken.into_iter().for_each(Waker::wake);
    });
    let (readiness, there) = &*shared;
    let mut attempt = || Ok(if there.load(Relaxed) { Attempt::Done(1) } else { Attempt::WouldBlock });
    let read = block_on(poll_fn(|cx| readiness.poll(WaitId(1), cx, &mut attempt)));
    assert_eq!(read.unwrap(), 1);
    reactor.join().unwrap();
}

fn flawed(flaw: Flaw) {
    check_flawed(flaw, 3, event);
}

#[test]
fn no_event_is_lost() {
    check(4, event);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wait_that_does_not_look_under_the_lock_is_caught() {
    flawed(omitted(Step::LookUnderLock));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_clearing_that_is_torn_is_caught() {
    flawed(torn("host/readiness.rs", Op::Exchange, AcqRel));
}

#[test]
#[should_panic(expected = "deadlock")]
fn an_event_without_ordering_is_caught() {
    flawed(weakened("host/readiness.rs", Op::Exchange, AcqRel));
}
