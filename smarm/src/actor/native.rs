//! What an actor has its worker do on the worker's own deep stack: poll a future of somebody else's,
//! or call code with deep frames.
//!
//! # Protocol: await
//! 1. The actor puts an [`Await`] on its stack, with the future in it, and calls its poll function on
//!    the worker's stack, with its pid as the waker. If the future is ready, it is dropped there,
//!    and that is all: no switch, and no more than a call.
//! 2. If not, the actor leaves the `Await` as an errand in its slot and parks.
//! 3. Whoever wakes the actor queues it, and the worker polls the errand *before* it switches: a
//!    wake-up for nothing never resumes the actor.
//! 4. A kill, a deadline or a panic of the future also resumes the actor, which then drops what is
//!    left of the future, again on the worker's stack.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::future::Future;
use std::marker::PhantomPinned;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::ptr;
use std::task::{Context, Poll};
use std::thread;
use std::time::Instant;

use super::local::Place;
use super::park::{
    Interrupt, Manner, Running, Timer, is_unwinding, mind_budget, resume_panic, wait_elsewhere,
};

/// The head of what the worker polls for a parked actor: the whole of it follows.
#[repr(C)]
pub(crate) struct Errand {
    poll: unsafe extern "C" fn(*mut c_void),
    /// Written by `poll`.
    stage: Stage,
}

/// How far an errand is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The future is not ready: the actor stays parked.
    Pending,
    /// Its output is there.
    Ready,
    /// It panicked, and the payload is there.
    Panicked,
    /// The deadline has passed, or the scope of the actor's waits is over.
    Over(Interrupt),
    /// The actor is to unwind.
    Killed,
}

impl Errand {
    /// Polls it. Ready if the actor is to be resumed.
    ///
    /// # Safety
    /// The caller is the worker on its own stack; the errand is alive, and its actor suspended.
    #[inline(always)]
    pub(super) unsafe fn poll(errand: *mut Self) -> Poll<()> {
        // SAFETY: passed on.
        unsafe {
            ((*errand).poll)(errand.cast());
            if (*errand).stage == Stage::Pending { Poll::Pending } else { Poll::Ready(()) }
        }
    }
}

/// A future and the actor that waits for it. On the actor's stack, where it never moves.
#[repr(C)]
struct Await<F: Future> {
    errand: Errand,
    actor: Running,
    /// What kills come do not end the wait.
    to_the_end: bool,
    deadline: Option<Instant>,
    timer: Timer,
    /// There at [`Stage::Ready`].
    output: MaybeUninit<F::Output>,
    /// There at [`Stage::Panicked`].
    payload: MaybeUninit<Box<dyn Any + Send>>,
    /// Dropped in place.
    future: Option<F>,
    _pinned: PhantomPinned,
}

impl<F: Future> Await<F> {
    /// Steps 1 and 3: polls the future on the stack that it is called on.
    ///
    /// # Safety
    /// `this` is a pinned `Await<F>`, and its actor is suspended or waits for this call.
    unsafe extern "C" fn poll(this: *mut c_void) {
        // SAFETY: by the caller this is the only reference.
        let this = unsafe { &mut *this.cast::<Self>() };
        let care = this.actor.needs_care() && !this.to_the_end;
        if care && this.actor.killed() {
            this.errand.stage = Stage::Killed;
            return;
        }
        let waker = this.actor.waker();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the future stands in a pinned `Await` and is dropped in place.
            let mut future = unsafe { Pin::new_unchecked(&mut this.future) };
            let inner = future.as_mut().as_pin_mut().expect("polled until it is ready");
            match inner.poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => false,
                Poll::Ready(output) => {
                    // Written where it is read, by fields: an enum around it would be copied as a
                    // whole, right after it was written in parts, which stalls.
                    future.set(None);
                    this.output.write(output);
                    true
                }
            }
        }));
        this.errand.stage = match polled {
            Ok(true) => Stage::Ready,
            Ok(false) if this.timer.is_over(this.deadline) => Stage::Over(Interrupt::TimedOut),
            Ok(false) if care => this.actor.scope_over().map_or(Stage::Pending, Stage::Over),
            Ok(false) => Stage::Pending,
            Err(payload) => {
                this.payload.write(payload);
                Stage::Panicked
            }
        };
    }
}

impl<F: Future> Await<F> {
    /// Step 4, for a wait that has ended without an output: drops what is left of the future, and
    /// unwinds or says why.
    ///
    /// # Safety
    /// `self` is pinned, is not used after this, and its worker is done with it.
    #[cold]
    #[inline(never)]
    #[track_caller]
    unsafe fn end(&mut self, stage: Stage) -> Interrupt {
        struct DropRest<'a, F: Future>(&'a mut Await<F>);
        impl<F: Future> Drop for DropRest<'_, F> {
            fn drop(&mut self) {
                // SAFETY: the last use, by the duty of the caller of `end`.
                unsafe { ptr::drop_in_place(&raw mut self.0.timer) };
                if self.0.future.is_some() {
                    drop_natively(&mut self.0.future);
                }
            }
        }
        let this = DropRest(self);
        match stage {
            Stage::Over(interrupt) => interrupt,
            Stage::Panicked => {
                // SAFETY: at this stage it is there, and it is read once.
                resume_panic(unsafe { this.0.payload.assume_init_read() })
            }
            Stage::Killed | Stage::Pending | Stage::Ready => {
                this.0.actor.obey();
                Interrupt::Cancelled
            }
        }
    }
}

/// Step 4: drops a pinned future in place, on the worker's stack.
#[cold]
pub(crate) fn drop_natively<F>(future: &mut Option<F>) {
    // Assigned in place, never moved out.
    if let Err(payload) = call_natively(|| catch_unwind(AssertUnwindSafe(|| *future = None)))
        && !is_unwinding()
    {
        resume_panic(payload);
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
        let manner = if is_unwinding() { Manner::Unbroken } else { Manner::Breakable };
        return wait_elsewhere(pin!(future), deadline, manner);
    };
    // While the actor unwinds, a kill that comes later does not end the wait either.
    let to_the_end = (actor.needs_care() || thread::panicking()) && actor.goes_to_the_end();
    // What follows does not unwind before `end` has it dropped.
    let mut wait = ManuallyDrop::new(Await {
        errand: Errand { poll: Await::<F>::poll, stage: Stage::Pending },
        actor,
        to_the_end,
        deadline,
        timer: Timer::new(actor),
        output: MaybeUninit::uninit(),
        payload: MaybeUninit::uninit(),
        future: Some(future),
        _pinned: PhantomPinned,
    });
    // Pinned: it stays in this frame, is not touched but through the pointer, and the future is dropped
    // in place before the frame goes.
    let wait: *mut Await<F> = &raw mut *wait;
    // SAFETY: the `Await` is pinned, catches what its future panics with, and is not touched from
    // here until the call has returned.
    let mut stage = unsafe {
        actor.call(Place::InPoll, Await::<F>::poll, wait.cast());
        (*wait).errand.stage
    };
    if stage == Stage::Pending {
        actor.mind_budget();
        // SAFETY: as above, until the actor is resumed.
        let park = || unsafe { actor.park_with(wait.cast()) };
        if to_the_end {
            ignoring_kills(&actor.record().ignores_kill, park)
        } else {
            park()
        }
        // SAFETY: as above; the worker is done with it.
        stage = unsafe { (*wait).errand.stage };
    }
    if stage != Stage::Ready {
        // SAFETY: as above.
        return Err(unsafe { (*wait).end(stage) });
    }
    // SAFETY: at this stage the output is there and read once, and the future is gone.
    let output = unsafe {
        ptr::drop_in_place(&raw mut (*wait).timer);
        (*wait).output.assume_init_read()
    };
    actor.yield_if_overdue();
    Ok(output)
}

#[cold]
fn ignoring_kills(ignores: &Cell<bool>, leave: impl FnOnce()) {
    let before = ignores.replace(true);
    leave();
    ignores.set(before);
}

/// Runs `f` on the worker's stack, if the caller is an actor; else on the caller's. A panic in it
/// continues in the caller.
pub(crate) fn call_natively<R>(f: impl FnOnce() -> R) -> R {
    call_at(Place::InCall, f)
}

/// As [`call_natively`], for a poll of a future of somebody else's, among others that the actor waits for.
pub(crate) fn poll_natively<R>(f: impl FnOnce() -> Poll<R>) -> Poll<R> {
    let polled = call_at(Place::InPoll, f);
    if polled.is_pending() {
        mind_budget();
    }
    polled
}

fn call_at<R>(place: Place, f: impl FnOnce() -> R) -> R {
    /// A closure to be called, and what came of it.
    struct Call<F, R>(Option<F>, Option<thread::Result<R>>);

    /// # Safety
    /// `this` is a `Call<F, R>` that nobody else refers to.
    unsafe extern "C" fn call<F: FnOnce() -> R, R>(this: *mut c_void) {
        // SAFETY: by the caller.
        let Call(f, outcome) = unsafe { &mut *this.cast::<Call<F, R>>() };
        let f = f.take().expect("called once");
        *outcome = Some(catch_unwind(AssertUnwindSafe(f)));
    }

    fn call_for<F: FnOnce() -> R, R>(actor: Running, place: Place, f: F) -> thread::Result<R> {
        let mut this = Call(Some(f), None);
        // SAFETY: `this` is alive, and `call` catches what the closure panics with.
        unsafe { actor.call(place, call::<F, R>, ptr::from_mut(&mut this).cast()) };
        this.1.expect("called")
    }

    match Running::current() {
        None => f(),
        Some(actor) => call_for(actor, place, f).unwrap_or_else(|payload| resume_panic(payload)),
    }
}
