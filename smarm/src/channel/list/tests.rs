use super::*;
use crate::channel::error::TryRecvError;
use crate::channel::testing::{Counted, Wakes};
use std::collections::HashSet;

#[test]
fn the_receiver_waits_for_the_sender_that_claimed_first_and_is_woken_by_it_alone() {
    let (list, wakes) = (List::new(true), Wakes::new());
    let slow = list.claim().unwrap();
    list.push("second").unwrap();
    // SAFETY: this test is the receiver.
    unsafe {
        assert_eq!(list.pop(), Err(TryRecvError::Empty));
        assert!(list.register(&wakes.waker(), || wakes.waker()));
        list.push("third").unwrap();
        assert_eq!((list.pop(), wakes.count()), (Err(TryRecvError::Empty), 0));
        list.fill(slow, "first").unwrap();
        assert_eq!(wakes.count(), 1);
        assert_eq!([list.pop(), list.pop(), list.pop()], [Ok("first"), Ok("second"), Ok("third")]);
        list.abandon();
    }
}

#[test]
fn a_sender_that_the_receiver_did_not_wait_for_keeps_its_message() {
    for before in [0, 30, 31, 32, 70] {
        let (list, counted) = (List::new(true), Counted::new());
        for _ in 0..before {
            list.push(counted.token()).unwrap();
        }
        let (first, last) = (list.claim().unwrap(), list.claim().unwrap());
        list.push(counted.token()).unwrap();
        // SAFETY: this test is the receiver.
        unsafe { list.abandon() };
        assert_eq!(counted.alive(), 0);
        for claim in [last, first] {
            drop(list.fill(claim, counted.token()).unwrap_err());
        }
        assert!(list.push(counted.token()).is_err());
        assert_eq!(counted.alive(), 0);
    }
}

#[test]
fn two_blocks_serve_any_number_of_messages() {
    let list = List::new(true);
    let mut blocks = HashSet::new();
    for n in 0..10_000 {
        list.push(n).unwrap();
        blocks.insert(list.head.block.get());
        // SAFETY: this test is the receiver.
        assert_eq!(unsafe { list.pop() }, Ok(n));
    }
    assert_eq!(blocks.len(), 2);
}

#[test]
fn a_slow_sender_keeps_its_block_while_others_fill_those_after_it() {
    let list = List::new(true);
    let slow = list.claim().unwrap();
    for n in 1..200 {
        list.push(n).unwrap();
    }
    list.fill(slow, 0).unwrap();
    for n in 200..300 {
        list.push(n).unwrap();
    }
    for n in 0..300 {
        // SAFETY: this test is the receiver.
        assert_eq!(unsafe { list.pop() }, Ok(n));
    }
    // All but the block in use, and perhaps the one before, were given back.
    let (oldest, current) = (list.head.oldest.get(), list.head.block.get());
    // SAFETY: blocks between the oldest and the current one are in the list.
    assert!(oldest == current || unsafe { (*oldest).next.load(Relaxed) } == current);
}

#[test]
fn a_receiver_that_meets_a_sender_taking_the_waker_asks_to_be_polled_again() {
    let (list, wakes) = (List::<()>::new(true), Wakes::new());
    list.wait.armed.store(true, Relaxed);
    // SAFETY: this test is the receiver, and `armed` stands for a sender that takes the waker.
    unsafe {
        assert!(list.register(&wakes.waker(), || wakes.waker()));
        assert_eq!(wakes.count(), 1);
        list.wait.armed.store(false, Relaxed);
        assert!(list.register(&wakes.waker(), || wakes.waker()));
        assert_eq!(wakes.count(), 1);
        list.abandon();
    }
}
