//! What an actor has its worker do on the worker's own deep stack: poll a future of somebody else's,
//! or call code with deep frames.
//!
//! # Protocol: await
//! 1. The actor puts an [`Await`] on its stack, with the future in it, and leaves for the worker.
//! 2. The worker polls it with the actor's pid as the waker. If it is ready, the worker drops the
//!    future there and resumes the actor; if not, the actor is parked.
//! 3. Whoever wakes the actor queues it, and the worker polls again *before* it switches: a wake-up
//!    for nothing never resumes the actor.
//! 4. A kill, a deadline or a panic of the future also resumes the actor, which then drops what is
//!    left of the future, again on the worker's stack.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr;
use std::task::{Context, Poll};
use std::thread;
use std::time::Instant;

use super::local::Parting;
use super::park::{Interrupt, Running, Timer, is_unwinding, wait_elsewhere};
use super::waker::waker;

/// The head of what the worker polls or calls: the whole of it follows.
#[repr(C)]
pub(crate) struct Errand {
    /// Ready if the actor is to be resumed. Does not unwind.
    call: unsafe fn(*mut Errand) -> Poll<()>,
}

impl Errand {
    /// Does the errand.
    ///
    /// # Safety
    /// The caller is the worker on its own stack; the errand is alive, and its actor suspended.
    #[inline(always)]
    pub(super) unsafe fn call(errand: *mut Self) -> Poll<()> {
        // SAFETY: passed on.
        unsafe { ((*errand).call)(errand) }
    }
}

/// How an awaited future ended; nothing if the actor is to be killed.
type Outcome<T> = Option<thread::Result<Result<T, Interrupt>>>;

/// A future and the actor that waits for it. On the actor's stack, where it never moves.
#[repr(C)]
struct Await<F: Future> {
    errand: Errand,
    actor: Running,
    /// What kills come do not end the wait.
    to_the_end: bool,
    deadline: Option<Instant>,
    timer: Timer,
    outcome: Outcome<F::Output>,
    /// Dropped in place.
    future: Option<F>,
    _pinned: PhantomPinned,
}

impl<F: Future> Await<F> {
    /// Steps 2 and 3.
    ///
    /// # Safety
    /// As for [`Errand::call`]; the errand is the head of an `Await<F>`.
    unsafe fn poll(errand: *mut Errand) -> Poll<()> {
        // SAFETY: by the caller; the actor is suspended, so this is the only reference.
        let this = unsafe { &mut *errand.cast::<Self>() };
        if this.actor.killed() && !this.to_the_end {
            return Poll::Ready(()); // to unwind on its own stack
        }
        let waker = waker(this.actor.pid());
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the future stands in a pinned `Await` and is dropped in place.
            let mut future = unsafe { Pin::new_unchecked(&mut this.future) };
            let inner = future.as_mut().as_pin_mut().expect("polled until it is ready");
            let polled = inner.poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                future.set(None);
            }
            polled
        }));
        this.outcome = match polled {
            Ok(Poll::Ready(value)) => Some(Ok(Ok(value))),
            Ok(Poll::Pending) if this.timer.is_over(this.deadline) => Some(Ok(Err(Interrupt::TimedOut))),
            Ok(Poll::Pending) => return Poll::Pending,
            Err(payload) => Some(Err(payload)),
        };
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Await<F> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.future.is_some() {
            drop_natively(&mut self.future);
        }
    }
}

/// Step 4: drops a pinned future in place, on the worker's stack.
#[cold]
fn drop_natively<F>(future: &mut Option<F>) {
    // Assigned in place, never moved out.
    if let Err(payload) = call_natively(|| catch_unwind(AssertUnwindSafe(|| *future = None)))
        && !is_unwinding()
    {
        resume_unwind(payload);
    }
}

/// Waits for a future of somebody else's, polling it on the worker's stack, each time before the
/// actor is resumed. It is dropped there too. A panic in it continues in the caller.
#[inline]
#[track_caller]
pub(crate) fn await_natively<F: Future>(
    future: F,
    deadline: Option<Instant>,
) -> Result<F::Output, Interrupt> {
    let Some(actor) = Running::current() else {
        return wait_elsewhere(pin!(future), deadline);
    };
    // While the actor unwinds, a kill that comes later does not end the wait either.
    let to_the_end = actor.obey() || thread::panicking() && is_unwinding();
    let mut wait = pin!(Await {
        errand: Errand { call: Await::<F>::poll },
        actor,
        to_the_end,
        deadline,
        timer: Timer::new(actor),
        outcome: None,
        future: Some(future),
        _pinned: PhantomPinned,
    });
    // SAFETY: nothing is moved out of the pinned value.
    let wait: *mut Await<F> = unsafe { wait.as_mut().get_unchecked_mut() };
    let leave = || {
        // SAFETY: the `Await` is alive, catches what its future panics with, and is not touched
        // from here until the worker is done with it.
        unsafe { actor.leave_for(Parting::Poll, wait.cast()) };
    };
    if to_the_end {
        ignoring_kills(&actor.record().ignores_kill, leave)
    } else {
        leave()
    }
    // SAFETY: as above; the worker is done.
    match unsafe { (*wait).outcome.take() } {
        Some(Ok(result)) => {
            actor.yield_if_overdue();
            result
        }
        Some(Err(payload)) => resume_unwind(payload),
        None => {
            actor.obey();
            Err(Interrupt::Cancelled)
        }
    }
}

#[cold]
fn ignoring_kills(ignores: &Cell<bool>, leave: impl FnOnce()) {
    let before = ignores.replace(true);
    leave();
    ignores.set(before);
}

/// A closure to be called on the worker's stack.
#[repr(C)]
struct Call<F, R> {
    errand: Errand,
    f: Option<F>,
    outcome: Option<thread::Result<R>>,
}

impl<F: FnOnce() -> R, R> Call<F, R> {
    /// # Safety
    /// As for [`Errand::call`]; the errand is the head of a `Call<F, R>`.
    unsafe fn call(errand: *mut Errand) -> Poll<()> {
        // SAFETY: by the caller; the actor is suspended, so this is the only reference.
        let this = unsafe { &mut *errand.cast::<Self>() };
        let f = this.f.take().expect("called once");
        this.outcome = Some(catch_unwind(AssertUnwindSafe(f)));
        Poll::Ready(())
    }
}

/// Runs `f` on the worker's stack, if the caller is an actor; else on the caller's. A panic in it
/// continues in the caller.
pub(crate) fn call_natively<R>(f: impl FnOnce() -> R) -> R {
    fn call<F: FnOnce() -> R, R>(actor: Running, f: F) -> thread::Result<R> {
        let mut call = Call { errand: Errand { call: Call::<F, R>::call }, f: Some(f), outcome: None };
        // SAFETY: the `Call` is alive until this returns, and catches what the closure panics with.
        unsafe { actor.leave_for(Parting::Call, ptr::from_mut(&mut call).cast()) };
        call.outcome.take().expect("the worker has called it")
    }
    match Running::current() {
        None => f(),
        Some(actor) => call(actor, f).unwrap_or_else(|payload| resume_unwind(payload)),
    }
}
