//! Models of the oneshot.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | value | sender, receiver | one sends, the other waits, with a new waker each time | it arrives; nobody waits for ever | finishing, or registering, without ordering or torn |
//! | timeout | sender, receiver | the receiver looks, gives up waiting and is dropped, while the value is sent | the value is received, dropped or given back, once | closing without ordering |

use std::cell::Cell;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use super::channel;
use crate::channel::testing::Counted;
use crate::primitive::atomic::Ordering::AcqRel;
use crate::primitive::flaw::{Flaw, Op, skipped, torn, weakened};
use crate::primitive::model::{block_on, check, check_flawed, poll_once, spawn};

/// Whether two threads agree on the order of what is in it.
struct Racy(crate::primitive::UnsafeCell<u32>);

// SAFETY: the model tells whether its accesses are ordered.
unsafe impl Send for Racy {}

fn value() {
    let (tx, mut rx) = channel();
    let sender = spawn(move || assert!(tx.send(Racy(crate::primitive::UnsafeCell::new(7))).is_ok()));
    let received = match poll_once(&mut rx) {
        Poll::Ready(received) => received,
        Poll::Pending => block_on(rx),
    };
    // SAFETY: received, so it is this thread's alone.
    assert_eq!(received.map(|racy| unsafe { *racy.0.get() }), Ok(7));
    sender.join().unwrap();
}

fn flawed(flaw: Flaw) {
    check_flawed(flaw, 3, value);
}

#[test]
fn the_value_arrives() {
    check(4, value);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_send_without_ordering_is_caught() {
    flawed(weakened("channel/oneshot.rs", Op::Exchange, AcqRel));
}

#[test]
#[should_panic]
fn a_torn_send_is_caught() {
    flawed(torn("channel/oneshot.rs", Op::Exchange, AcqRel));
}

#[test]
#[should_panic]
fn a_registration_without_ordering_is_caught() {
    flawed(weakened("channel/oneshot.rs", Op::Modify, AcqRel));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_registration_that_does_nothing_is_caught() {
    flawed(skipped("channel/oneshot.rs", Op::Modify, AcqRel));
}

fn timeout() {
    let counted = Arc::new(Counted::new());
    let (tx, mut rx) = channel();
    let token = counted.token();
    let sender = spawn(move || drop(tx.send(token)));
    let past = Instant::now();
    let received = Cell::new(rx.recv_deadline(past).is_ok());
    if !received.get() {
        received.set(rx.try_recv().is_ok());
    }
    drop(rx);
    sender.join().unwrap();
    assert_eq!(counted.alive(), 0, "the value was lost");
}

#[test]
fn a_value_whose_receiver_gives_up_is_dropped_once() {
    check(4, timeout);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_closing_without_ordering_is_caught() {
    check_flawed(weakened("channel/oneshot.rs", Op::Modify, AcqRel), 3, timeout);
}
