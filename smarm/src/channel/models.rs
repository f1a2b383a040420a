//! Models of the channel, bounded and not. A block has two slots here, so each runs into the next block.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | list | two senders, receiver | one sends two messages, one sends one; the receiver waits for each, and for the end | each arrives once, in its sender's order; nobody waits for ever | filling and waiting without ordering; waiting torn |
//! | leaving | sender, receiver | the receiver leaves while two messages are sent | each is dropped or given back, once | abandoning torn |
//! | bound | sender, receiver | two messages through a channel for one | both arrive; nobody waits for ever | giving a permit back torn |
//! | rendezvous | sender, receiver | a message is sent while the receiver begins to wait, and then for the end | it arrives, once; nobody waits for ever | the wake of a receiver left out |

use super::testing::Counted;
use super::{bounded, channel};
use crate::primitive::atomic::Ordering::{AcqRel, Release};
use crate::primitive::flaw::{Flaw, Op, Step, omitted, torn, weakened};
use crate::primitive::model::{block_on, check, check_flawed, spawn};

fn list() {
    let (tx, mut rx) = channel();
    let other = tx.clone();
    let first = spawn(move || {
        tx.send(10).unwrap();
        tx.send(11).unwrap();
    });
    let second = spawn(move || other.send(20).unwrap());
    let mut received = Vec::new();
    while let Ok(message) = block_on(rx.recv_async()) {
        received.push(message);
    }
    assert!(matches!(received[..], [10, 11, 20] | [10, 20, 11] | [20, 10, 11]), "{received:?}");
    first.join().unwrap();
    second.join().unwrap();
}

fn flawed(flaw: Flaw) {
    check_flawed(flaw, 2, list);
}

#[test]
fn each_message_arrives_once_and_in_order() {
    check(1, list);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_fill_without_ordering_is_caught() {
    flawed(weakened("channel/list.rs", Op::Modify, AcqRel));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_wait_without_ordering_is_caught() {
    flawed(weakened("channel/list/receiving.rs", Op::Exchange, Release));
}

#[test]
#[should_panic]
fn a_torn_wait_is_caught() {
    flawed(torn("channel/list/receiving.rs", Op::Exchange, Release));
}

fn leaving() {
    let counted = Counted::new();
    let tokens = [counted.token(), counted.token()];
    let (tx, rx) = channel();
    let sender = spawn(move || {
        for token in tokens {
            drop(tx.send(token));
        }
    });
    drop(rx);
    sender.join().unwrap();
    assert_eq!(counted.alive(), 0, "a message was lost");
}

#[test]
fn a_receiver_that_leaves_loses_no_message() {
    check(2, leaving);
}

#[test]
#[should_panic]
fn a_torn_abandoning_is_caught() {
    check_flawed(torn("channel/list.rs", Op::Modify, AcqRel), 2, leaving);
}

fn bound() {
    let (tx, mut rx) = bounded(1);
    let sender = spawn(move || {
        for message in [1, 2] {
            block_on(tx.send_async(message)).unwrap();
        }
    });
    for message in [1, 2] {
        assert_eq!(block_on(rx.recv_async()), Ok(message));
    }
    sender.join().unwrap();
}

#[test]
fn a_sender_that_waits_for_room_gets_it() {
    check(2, bound);
}

#[test]
#[should_panic]
fn a_torn_permit_is_caught() {
    check_flawed(torn("channel/bound.rs", Op::Modify, AcqRel), 3, bound);
}

fn rendezvous() {
    let (tx, mut rx) = bounded(0);
    let sender = spawn(move || block_on(tx.send_async(1)).unwrap());
    assert_eq!(block_on(rx.recv_async()), Ok(1));
    assert!(block_on(rx.recv_async()).is_err(), "it came twice");
    sender.join().unwrap();
}

#[test]
fn a_rendezvous_comes_about_once() {
    check(3, rendezvous);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sender_that_wakes_no_receiver_is_caught() {
    check_flawed(omitted(Step::WakeReceiver), 3, rendezvous);
}
