//! The wait of a `select!`, and where it begins to look.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::arms::Arms;
use super::threads::wait_watching;
use crate::actor::park::{self, Running};
use crate::host;
use crate::primitive::{Step, omits};
use crate::sim;

/// Which arm is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A random one.
    Fair,
    /// The topmost.
    Biased,
}

/// Whether to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Until an arm is ready.
    Awaited,
    /// Not at all.
    Immediate,
}

/// Gives the next outcome. `None` if all arms are out, or none is ready and the caller does not wait.
#[track_caller]
#[inline]
pub fn next<A: Arms>(mut arms: Pin<&mut A>, order: Order, next: Next) -> Option<A::Output> {
    if arms.all_out() {
        return None;
    }
    let start = match order {
        Order::Fair => random_below(A::COUNT),
        Order::Biased => 0,
    };
    let claimable = arms.as_mut().enroll(0, next == Next::Awaited);
    if next == Next::Immediate {
        let polled = {
            let _own_code = park::own_code();
            poll_from(arms, start, &mut Context::from_waker(Waker::noop()))
        };
        park::yield_if_overdue();
        return match polled {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
    }
    Some(wait(arms, start, claimable))
}

/// Polls all arms, once round from this one.
#[inline(always)]
fn poll_from<A: Arms>(mut arms: Pin<&mut A>, start: usize, cx: &mut Context<'_>) -> Poll<A::Output> {
    match arms.as_mut().poll_between(start, A::COUNT, cx) {
        Poll::Pending if start > 0 => arms.poll_between(0, start, cx),
        polled => polled,
    }
}

/// As [`poll_from`], for arms of which a counterpart may decide for one.
#[inline(never)]
pub(super) fn poll_claimable<A: Arms>(
    mut arms: Pin<&mut A>,
    start: usize,
    cx: &mut Context<'_>,
) -> Poll<A::Output> {
    if let Some(arm) = arms.claim().open() {
        return arms.poll_between(arm, arm + 1, cx);
    }
    let polled = poll_from(arms.as_mut(), start, cx);
    if polled.is_pending() && arms.claim().rest() && !omits(Step::WakeMissed) {
        arms.notify(cx.waker());
    }
    polled
}

#[track_caller]
#[inline]
fn wait<A: Arms>(mut arms: Pin<&mut A>, start: usize, claimable: bool) -> A::Output {
    let deadline = arms.deadline();
    let mut watched = Vec::new();
    if Running::current().is_none() && park::may_wait() && host::with_reactor(|reactor| reactor.is_none()) {
        arms.watch(&mut watched);
    }
    loop {
        let poll = poll_fn(|cx| {
            if claimable {
                poll_claimable(arms.as_mut(), start, cx)
            } else {
                poll_from(arms.as_mut(), start, cx)
            }
        });
        let waited = if watched.is_empty() {
            park::wait_uncancelled_until(poll, deadline)
        } else {
            wait_watching(pin!(poll), deadline, &watched)
        };
        // Once its time has come, the timer is ready at the next poll.
        if let Ok(outcome) = waited {
            return outcome;
        }
    }
}

/// All arms of a `select!` are out.
#[cold]
#[track_caller]
pub fn all_out() -> ! {
    panic!(
        "smarm: all arms of a select! are out, by their conditions or because their patterns did not match, and \
         there is none for that: add `else => ...`, or `default => ...`, which does not wait"
    )
}

/// A number below `count`: the next one of this thread, by Marsaglia's xorshift (2003); in a simulation the seed's.
#[inline]
fn random_below(count: usize) -> usize {
    if let Some(drawn) = sim::draw() {
        return (drawn % count as u64) as usize;
    }
    thread_local!(static STATE: Cell<u32> = const { Cell::new(0x9e37_79b9) });
    let mut state = STATE.get();
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    STATE.set(state);
    ((u64::from(state) * count as u64) >> 32) as usize
}
