//! Models of selects whose counterparts may decide for them, in channels of capacity 0.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | one of two | a select, two receivers | the select sends to either, then leaves | one receiver gets its message, the other one learns of the end | claiming torn |
//! | mutual | two selects | each sends to the other, or receives from it | one sends and the other receives; nobody waits for ever | resting torn; nobody wakes who was missed |

use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};

use super::arms::{Also, Arms, Either, End};
use super::wait::poll_claimable;
use super::{recv, send};
use crate::channel::{Receiver, Sender, bounded};
use crate::primitive::Step;
use crate::primitive::atomic::Ordering::AcqRel;
use crate::primitive::flaw::{Flaw, Op, omitted, torn};
use crate::primitive::model::{block_on, check, check_flawed, spawn};

/// What `select!` does, but for the park.
fn choose<A: Arms>(mut arms: Pin<&mut A>) -> A::Output {
    assert!(arms.as_mut().enroll(0, true));
    block_on(poll_fn(|cx| poll_claimable(arms.as_mut(), 0, cx)))
}

fn one_of_two() {
    let ((one, mut from_one), (two, mut from_two)) = (bounded(0), bounded(0));
    let receivers = [
        spawn(move || block_on(from_one.recv_async()).ok()),
        spawn(move || block_on(from_two.recv_async()).ok()),
    ];
    let (mut first, mut second) = (Some(1), Some(2));
    {
        let list = Also::new(Some(send(&two, &mut second)), End::new());
        let arms = pin!(Also::new(Some(send(&one, &mut first)), list));
        match choose(arms) {
            Either::This(sent) | Either::Rest(Either::This(sent)) => sent.unwrap(),
            Either::Rest(Either::Rest(never)) => match never {},
        }
    }
    drop((one, two));
    let received = receivers.map(|receiver| receiver.join().unwrap());
    assert!(matches!(received, [Some(1), None] | [None, Some(2)]), "{received:?}");
    assert_eq!((received[0].or(first), received[1].or(second)), (Some(1), Some(2)), "each is in one place");
}

fn mutual() {
    let ((to_two, from_one), (to_one, from_two)) = (bounded(0), bounded(0));
    /// Gives what was received, or else `None`.
    fn meet(number: u32, tx: Sender<u32>, rx: Receiver<u32>) -> Option<u32> {
        // What ends in a deadlock is not dropped: the checker is gone by then.
        let mut all = ManuallyDrop::new((tx, rx, Some(number)));
        let (tx, rx, message) = &mut *all;
        let list = Also::new(Some(send(tx, message)), Also::new(Some(recv(&*rx)), End::new()));
        let mut arms = ManuallyDrop::new(Box::pin(list));
        let outcome = match choose(arms.as_mut()) {
            Either::This(sent) => {
                sent.unwrap();
                None
            }
            Either::Rest(Either::This(received)) => Some(received.unwrap()),
            Either::Rest(Either::Rest(never)) => match never {},
        };
        drop(ManuallyDrop::into_inner(arms));
        drop(ManuallyDrop::into_inner(all));
        outcome
    }
    let other = spawn(move || meet(2, to_one, from_one));
    let one = meet(1, to_two, from_two);
    let outcome = (one, other.join().unwrap());
    assert!(matches!(outcome, (Some(2), None) | (None, Some(1))), "{outcome:?}");
}

fn flawed(flaw: Flaw, model: fn()) {
    check_flawed(flaw, 3, model);
}

#[test]
fn one_of_two_counterparts_meets_a_select() {
    check(2, one_of_two);
}

#[test]
#[should_panic]
fn a_torn_claim_is_caught() {
    flawed(torn("channel/claim.rs", Op::Exchange, AcqRel), one_of_two);
}

#[test]
fn two_selects_that_look_for_each_other_meet() {
    check(3, mutual);
}

#[test]
#[should_panic]
fn a_torn_rest_is_caught() {
    flawed(torn("channel/claim.rs", Op::Modify, AcqRel), mutual);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_counterpart_that_was_missed_and_is_not_woken_is_caught() {
    flawed(omitted(Step::WakeMissed), mutual);
}
