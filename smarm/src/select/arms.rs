//! The arms of one `select!`, as a list that is a type: each is polled without a call through a pointer.

use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::Selectable;
use super::threads::Watched;
use crate::channel::Claim;

/// An arm, and those after it.
pub struct Also<S: Selectable, R> {
    /// None for an arm that is out.
    wait: Option<S::Wait>,
    deadline: Option<Instant>,
    watched: Option<Watched>,
    /// Dropped last.
    rest: R,
}

/// No more arms.
#[derive(Debug)]
pub struct End {
    claim: Claim,
    _pinned: PhantomPinned,
}

/// What came of this arm, or of one of the rest.
#[derive(Debug)]
pub enum Either<A, B> {
    /// Of this.
    This(A),
    /// Of one of the rest.
    Rest(B),
}

/// No arm is ready in an empty list.
#[derive(Debug)]
pub enum Never {}

/// A list of arms.
pub trait Arms {
    /// Which arm was ready, and with what.
    type Output: Outcome;

    /// How many there are, those included that are out.
    const COUNT: usize;

    /// Polls those from `from` up to `to`, until one is ready.
    fn poll_between(self: Pin<&mut Self>, from: usize, to: usize, cx: &mut Context<'_>)
    -> Poll<Self::Output>;

    /// Whether all are out.
    fn all_out(&self) -> bool;

    /// The earliest deadline.
    fn deadline(&self) -> Option<Instant>;

    /// Adds what a thread is to watch.
    fn watch(&self, all: &mut Vec<Watched>);

    /// Tells the waits which arms they are, from this one on. Says whether a counterpart may decide for one.
    fn enroll(self: Pin<&mut Self>, first: usize, waits: bool) -> bool;

    /// What counterparts compete for.
    fn claim(&self) -> &Claim;

    /// Wakes counterparts that came while the arms were looked at, if this waker does not wake them anyway.
    fn notify(self: Pin<&mut Self>, own: &Waker);

    /// Drops the wait of an arm.
    fn put_out(self: Pin<&mut Self>, index: usize);
}

/// What an arm gave.
pub trait Outcome {
    /// Which arm.
    fn index(&self) -> usize;

    /// Drops it. Gives which arm it was.
    #[inline(always)]
    fn discard(self) -> usize
    where
        Self: Sized,
    {
        self.index()
    }
}

impl Outcome for Never {
    fn index(&self) -> usize {
        match *self {}
    }
}

impl<A, B: Outcome> Outcome for Either<A, B> {
    #[inline(always)]
    fn index(&self) -> usize {
        match self {
            Self::This(_) => 0,
            Self::Rest(rest) => 1 + rest.index(),
        }
    }
}

impl<S: Selectable, R: fmt::Debug> fmt::Debug for Also<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Also")
            .field("out", &self.wait.is_none())
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

impl<S: Selectable, R> Also<S, R> {
    /// An arm that waits for this, before others; none for an arm that is out.
    #[inline(always)]
    pub fn new(source: Option<S>, rest: R) -> Self {
        let Some(source) = source else { return Self { wait: None, deadline: None, watched: None, rest } };
        let (deadline, watched) = (source.deadline(), source.watched());
        Self { wait: Some(source.into_wait()), deadline, watched, rest }
    }

    #[inline(always)]
    fn project(self: Pin<&mut Self>) -> (Pin<&mut Option<S::Wait>>, Pin<&mut R>) {
        // SAFETY: wait and rest are pinned with the list: nothing is moved out of them, and there is no other
        // drop than that of the fields.
        unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.wait), Pin::new_unchecked(&mut this.rest))
        }
    }
}

impl<S: Selectable, R: Arms> Arms for Also<S, R> {
    type Output = Either<S::Output, R::Output>;

    const COUNT: usize = 1 + R::COUNT;

    #[inline(always)]
    fn poll_between(
        self: Pin<&mut Self>,
        from: usize,
        to: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Self::Output> {
        if to == 0 {
            return Poll::Pending;
        }
        let (wait, rest) = self.project();
        if from == 0
            && let Some(wait) = wait.as_pin_mut()
            && let Poll::Ready(output) = wait.poll(cx)
        {
            return Poll::Ready(Either::This(output));
        }
        rest.poll_between(from.saturating_sub(1), to - 1, cx).map(Either::Rest)
    }

    #[inline(always)]
    fn all_out(&self) -> bool {
        self.wait.is_none() && self.rest.all_out()
    }

    #[inline(always)]
    fn deadline(&self) -> Option<Instant> {
        let own = self.deadline.filter(|_| self.wait.is_some());
        match (own, self.rest.deadline()) {
            (Some(own), Some(others)) => Some(own.min(others)),
            (own, others) => own.or(others),
        }
    }

    fn watch(&self, all: &mut Vec<Watched>) {
        if self.wait.is_some() {
            all.extend(self.watched);
        }
        self.rest.watch(all);
    }

    #[inline(always)]
    fn enroll(self: Pin<&mut Self>, first: usize, waits: bool) -> bool {
        let claimant = self.claim().claimant(first, waits);
        let (wait, rest) = self.project();
        // SAFETY: the claim is in the end of the list, which is pinned, and dropped after the waits.
        let own = wait.as_pin_mut().is_some_and(|wait| unsafe { S::enroll(wait, claimant) });
        rest.enroll(first + 1, waits) | own
    }

    #[inline(always)]
    fn claim(&self) -> &Claim {
        self.rest.claim()
    }

    fn notify(self: Pin<&mut Self>, own: &Waker) {
        let (wait, rest) = self.project();
        if let Some(wait) = wait.as_pin_mut() {
            S::notify(wait, own);
        }
        rest.notify(own);
    }

    fn put_out(self: Pin<&mut Self>, index: usize) {
        let (mut wait, rest) = self.project();
        match index.checked_sub(1) {
            None => wait.set(None),
            Some(index) => rest.put_out(index),
        }
    }
}

impl End {
    /// Of a select that is about to look at its arms.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub fn new() -> Self {
        Self { claim: Claim::new(), _pinned: PhantomPinned }
    }
}

impl Arms for End {
    type Output = Never;

    const COUNT: usize = 0;

    #[inline(always)]
    fn poll_between(self: Pin<&mut Self>, _: usize, _: usize, _: &mut Context<'_>) -> Poll<Never> {
        Poll::Pending
    }

    fn all_out(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn watch(&self, _: &mut Vec<Watched>) {}

    #[inline(always)]
    fn enroll(self: Pin<&mut Self>, _: usize, _: bool) -> bool {
        false
    }

    #[inline(always)]
    fn claim(&self) -> &Claim {
        &self.claim
    }

    fn notify(self: Pin<&mut Self>, _own: &Waker) {}

    fn put_out(self: Pin<&mut Self>, index: usize) {
        unreachable!("there is no arm {index} beyond the last one");
    }
}
