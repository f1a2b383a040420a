//! Models of a cancel token.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | wait | canceller, waiter | it is cancelled while somebody begins to wait | the wait ends, and sees what came before | the look under the lock left out |
//! | child | canceller, maker | it is cancelled while a child is made | the child is cancelled | the look after queueing left out |
//! | grandchild | two cancellers, owner | a token and its child are cancelled while the grandchild, and the child, are dropped | whoever is left is cancelled; nobody touches what is gone | |

use std::sync::Arc;

use super::CancelToken;
use crate::primitive::atomic::{AtomicBool, Ordering::Relaxed};
use crate::primitive::flaw::{Step, omitted};
use crate::primitive::model::{block_on, check, check_flawed, spawn};

fn wait() {
    let token = CancelToken::new();
    let reason = Arc::new(AtomicBool::new(false));
    let (theirs, given) = (token.clone(), reason.clone());
    let canceller = spawn(move || {
        given.store(true, Relaxed);
        theirs.cancel();
    });
    block_on(token.cancelled());
    assert!(reason.load(Relaxed), "what was done before is not seen");
    canceller.join().unwrap();
}

#[test]
fn who_waits_learns_that_it_was_cancelled() {
    check(4, wait);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wait_that_does_not_look_under_the_lock_is_caught() {
    check_flawed(omitted(Step::LookUnderLock), 4, wait);
}

fn child() {
    let token = CancelToken::new();
    let theirs = token.clone();
    let canceller = spawn(move || theirs.cancel());
    let child = token.child_token();
    block_on(child.cancelled());
    canceller.join().unwrap();
}

#[test]
fn a_child_that_is_made_meanwhile_is_cancelled() {
    check(3, child);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_child_that_does_not_look_after_it_was_queued_is_caught() {
    check_flawed(omitted(Step::LookAfterQueueing), 3, child);
}

fn grandchild() {
    let token = CancelToken::new();
    let child = token.child_token();
    let (theirs, grandchild) = (child.clone(), child.child_token());
    let canceller = spawn(move || theirs.cancel());
    let dropper = spawn(move || drop(grandchild));
    token.cancel();
    assert!(child.is_cancelled());
    drop((token, child));
    canceller.join().unwrap();
    dropper.join().unwrap();
}

#[test]
fn tokens_that_are_dropped_while_they_are_cancelled_are_left_alone() {
    check(2, grandchild);
}
