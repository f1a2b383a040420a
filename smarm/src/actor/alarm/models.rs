//! Models of an alarm.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | rung | worker, waiter | it rings while the waiter leaves another waker | the waiter learns of it | the ringing not noted |
//! | cancel | worker, owner | it rings while it is cancelled | its action is done or given back, once, and the owner is told which | the ringing not noted |

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Poll, Waker};

use super::{Action, Alarm, Entry, State};
use crate::primitive::Mutex;
use crate::primitive::flaw::{Step, omitted};
use crate::primitive::model::{block_on, check, check_flawed, spawn};
use crate::timer::due::{Owner, Ring};

fn alarm<A: Action>(action: A) -> Arc<Alarm<A>> {
    let state = State { action: Some(action), rung: false, entry: Entry::None };
    Arc::new(Alarm { state: Mutex::new(state) })
}

fn rung() {
    let alarm = alarm(Waker::noop().clone());
    let theirs = alarm.clone();
    let worker = spawn(move || theirs.ring(Owner::ELSEWHERE, &mut |_| unreachable!("it is in no wheel")));
    block_on(poll_fn(|cx| {
        if alarm.change(|waker| *waker = cx.waker().clone()) { Poll::Pending } else { Poll::Ready(()) }
    }));
    worker.join().unwrap();
}

#[test]
fn who_waits_learns_that_it_has_rung() {
    check(4, rung);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_ringing_that_is_not_noted_is_caught() {
    check_flawed(omitted(Step::NoteRung), 4, rung);
}

/// Counts how often it is done.
struct Errand(Arc<AtomicUsize>);

impl Action for Errand {
    fn act(self) -> Option<Self> {
        self.0.fetch_add(1, Relaxed);
        None
    }
}

fn cancel() {
    let done = Arc::new(AtomicUsize::new(0));
    let alarm = alarm(Errand(done.clone()));
    let theirs = alarm.clone();
    let worker = spawn(move || theirs.ring(Owner::ELSEWHERE, &mut |_| unreachable!("it is in no wheel")));
    let (back, rung) = alarm.cancel();
    worker.join().unwrap();
    assert_eq!(done.load(Relaxed) + usize::from(back.is_some()), 1);
    assert_eq!(rung, back.is_none());
}

#[test]
fn what_is_cancelled_as_it_rings_is_done_or_given_back() {
    check(4, cancel);
}

#[test]
#[should_panic(expected = "left == right")]
fn a_cancelling_that_is_not_told_of_the_ringing_is_caught() {
    check_flawed(omitted(Step::NoteRung), 4, cancel);
}
