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
use std::ffi::c_void;
use std::future::Future;
use std::hint::unreachable_unchecked;
use std::marker::PhantomPinned;
use std::mem::{self, ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr;
use std::task::{Context, Poll};
use std::thread;
use std::time::Instant;

use super::local::Place;
use super::park::{Interrupt, Manner, Running, Timer, mind_budget, wait_elsewhere};

/// The head of what the worker polls for a parked actor: the whole of it follows.
#[repr(C)]
pub(crate) struct Errand {
    poll: unsafe extern "C" fn(*mut c_void),
    /// Written by `poll`, and by nobody before: the actor would read what it had written itself, and the processor, which
    /// expects that, lose time.
    stage: MaybeUninit<Stage>,
}

/// How far an errand is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The future is not ready: the actor stays parked.
    Pending,
    /// Its output is there, and it is dropped.
    Ready,
    /// It panicked, and the payload is there.
    Panicked,
    /// It panicked as it was dropped, after it was ready, and the payload is there.
    PanickedInDrop,
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
            if (*errand).stage() == Stage::Pending { Poll::Pending } else { Poll::Ready(()) }
        }
    }
}

impl Errand {
    /// # Safety
    /// It was polled.
    #[inline(always)]
    unsafe fn stage(&self) -> Stage {
        // SAFETY: `poll` has written it.
        unsafe { self.stage.assume_init() }
    }
}

/// When an await is over.
pub(crate) trait Limit: Copy {
    /// What is dropped when it ends.
    type Timer;

    fn deadline(self) -> Option<Instant>;

    fn timer(self, actor: Running) -> Self::Timer;

    /// Whether the deadline has passed; sets the timer the first time.
    fn is_over(self, timer: &mut Self::Timer) -> bool;
}

/// An await without a deadline.
#[derive(Clone, Copy)]
pub(crate) struct Never;

impl Limit for Never {
    type Timer = ();

    #[inline(always)]
    fn deadline(self) -> Option<Instant> {
        None
    }
    #[inline(always)]
    fn timer(self, _: Running) {}
    #[inline(always)]
    fn is_over(self, (): &mut ()) -> bool {
        false
    }
}

impl Limit for Option<Instant> {
    type Timer = Timer;

    #[inline(always)]
    fn deadline(self) -> Option<Instant> {
        self
    }
    #[inline(always)]
    fn timer(self, actor: Running) -> Timer {
        Timer::new(actor)
    }
    #[inline(always)]
    fn is_over(self, timer: &mut Timer) -> bool {
        timer.is_over(self)
    }
}

/// A future and the actor that waits for it. On the actor's stack, where it never moves.
#[repr(C)]
struct Await<F: Future, L: Limit> {
    errand: Errand,
    actor: Running,
    limit: L,
    timer: L::Timer,
    /// There at [`Stage::Ready`].
    output: MaybeUninit<Poll<F::Output>>,
    /// There when it panicked.
    payload: MaybeUninit<Box<dyn Any + Send>>,
    /// Dropped in place, when it is ready or at the end.
    future: ManuallyDrop<F>,
    _pinned: PhantomPinned,
}

impl<F: Future, L: Limit> Await<F, L> {
    /// Steps 1 and 3: polls the future on the stack that it is called on.
    ///
    /// # Safety
    /// `this` is a pinned `Await<F, L>` whose future is alive, and its actor is suspended or waits for this call.
    unsafe extern "C" fn poll(this: *mut c_void) {
        // SAFETY: by the caller this is the only reference.
        let this = unsafe { &mut *this.cast::<Self>() };
        let state = this.actor.state();
        if !state.is_plain() && !this.prepare() {
            this.errand.stage.write(Stage::Killed);
            return;
        }
        let waker = this.actor.exposed_waker(state);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the future stands in a pinned `Await` and is dropped in place.
            let future = unsafe { Pin::new_unchecked(&mut *this.future) };
            let polled = future.poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                return false;
            }
            // SAFETY: from here on the copy is the output.
            unsafe { copy_by_words(&raw const polled, this.output.as_mut_ptr()) };
            mem::forget(polled);
            true
        }));
        let stage = match polled {
            Ok(true) => {
                // SAFETY: the future is not used from here on.
                let dropped =
                    catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(&mut this.future) }));
                match dropped {
                    Ok(()) => Stage::Ready,
                    Err(payload) => this.note_panic_in_drop(payload),
                }
            }
            Ok(false) if this.limit.is_over(&mut this.timer) => Stage::Over(Interrupt::TimedOut),
            Ok(false) if this.actor.state().needs_care() => this.look_at_scope(),
            Ok(false) => Stage::Pending,
            Err(payload) => this.note_panic(payload),
        };
        this.errand.stage.write(stage);
    }

    /// For an actor that is to be killed, is in a scope or is not exposed. Says whether to poll.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self) -> bool {
        let killed = self.actor.killed() && !self.actor.awaits_to_the_end();
        if !killed {
            self.actor.make_exposed();
        }
        !killed
    }

    /// For an actor that is in a scope, perhaps, and whose future was pending.
    #[cold]
    #[inline(never)]
    fn look_at_scope(&self) -> Stage {
        let over = if self.actor.awaits_to_the_end() { None } else { self.actor.scope_over() };
        over.map_or(Stage::Pending, Stage::Over)
    }

    /// For a future that panicked as it was polled.
    #[cold]
    #[inline(never)]
    fn note_panic(&mut self, payload: Box<dyn Any + Send>) -> Stage {
        self.payload.write(payload);
        Stage::Panicked
    }

    /// For a future that panicked as it was dropped, after its output was written.
    #[cold]
    #[inline(never)]
    fn note_panic_in_drop(&mut self, payload: Box<dyn Any + Send>) -> Stage {
        self.payload.write(payload);
        // SAFETY: it is there, and from here on it is not.
        unsafe { self.output.assume_init_drop() };
        Stage::PanickedInDrop
    }

    /// Step 4, for a wait that has ended without an output: drops what is left of the future, and
    /// unwinds or says why.
    ///
    /// # Safety
    /// `self` is pinned, is not used after this, and its worker is done with it.
    #[cold]
    #[inline(never)]
    #[track_caller]
    unsafe fn end(&mut self, stage: Stage) -> Interrupt {
        struct DropRest<'a, F: Future, L: Limit>(&'a mut Await<F, L>, Stage);
        impl<F: Future, L: Limit> Drop for DropRest<'_, F, L> {
            fn drop(&mut self) {
                // SAFETY: the last use, by the duty of the caller of `end`.
                unsafe { ptr::drop_in_place(&raw mut self.0.timer) };
                if self.1 != Stage::PanickedInDrop {
                    // SAFETY: it was not dropped, and is not used from here on.
                    drop_on_worker(|| unsafe { ManuallyDrop::drop(&mut self.0.future) });
                }
            }
        }
        let this = DropRest(self, stage);
        match stage {
            Stage::Over(interrupt) => interrupt,
            Stage::Panicked | Stage::PanickedInDrop => {
                // SAFETY: at these stages it is there, and it is read once.
                resume_unwind(unsafe { this.0.payload.assume_init_read() })
            }
            Stage::Killed | Stage::Pending | Stage::Ready => {
                this.0.actor.obey();
                Interrupt::Cancelled
            }
        }
    }
}

/// Copies what was just written, word by word: the processor would make larger pieces wait until the parts that
/// they were written in have reached the cache.
///
/// # Safety
/// As for `ptr::copy_nonoverlapping` of one value.
#[inline(always)]
unsafe fn copy_by_words<T>(from: *const T, to: *mut T) {
    /// A word of any kind, or none.
    type Word = MaybeUninit<*mut u8>;
    /// What is shorter is in registers.
    const SHORTEST: usize = 3;
    /// What is longer is seldom written in small parts alone.
    const LONGEST: usize = 8;
    let words = size_of::<T>() / size_of::<Word>();
    // SAFETY: by the caller; and what is copied by words consists of such.
    unsafe {
        if size_of::<T>().is_multiple_of(size_of::<Word>())
            && align_of::<T>() >= align_of::<Word>()
            && (SHORTEST..=LONGEST).contains(&words)
        {
            for word in 0..words {
                // Volatile, as the compiler would put words together.
                to.cast::<Word>().add(word).write(from.cast::<Word>().add(word).read_volatile());
            }
        } else {
            ptr::copy_nonoverlapping(from, to, 1);
        }
    }
}

/// Step 4: drops a pinned future in place, on the worker's stack.
#[cold]
pub(crate) fn drop_natively<F>(future: &mut Option<F>) {
    // Assigned in place, never moved out.
    drop_on_worker(|| *future = None);
}

fn drop_on_worker(drop: impl FnOnce()) {
    if let Err(payload) = call_natively(|| catch_unwind(AssertUnwindSafe(drop)))
        && !thread::panicking()
    {
        resume_unwind(payload);
    }
}

/// Waits for a future of somebody else's, polling it on the worker's stack, each time before the
/// actor is resumed. It is dropped there too. A panic in it continues in the caller.
///
/// What comes of it goes to `done` or to `interrupted`: a result of both would be one copy more.
#[inline]
#[track_caller]
pub(crate) fn await_natively<F: Future, L: Limit, R>(
    future: F,
    limit: L,
    done: impl FnOnce(F::Output) -> R,
    interrupted: impl FnOnce(Interrupt) -> R,
) -> R {
    let Some(actor) = Running::current() else {
        let manner = if thread::panicking() { Manner::Unbroken } else { Manner::Breakable };
        return match wait_elsewhere(pin!(future), limit.deadline(), manner) {
            Ok(output) => done(output),
            Err(interrupt) => interrupted(interrupt),
        };
    };
    // What follows does not unwind before `end` has it dropped.
    let mut wait = ManuallyDrop::new(Await {
        errand: Errand { poll: Await::<F, L>::poll, stage: MaybeUninit::uninit() },
        actor,
        limit,
        timer: limit.timer(actor),
        output: MaybeUninit::uninit(),
        payload: MaybeUninit::uninit(),
        future: ManuallyDrop::new(future),
        _pinned: PhantomPinned,
    });
    // Pinned: it stays in this frame, is not touched but through the pointer, and the future is dropped
    // in place before the frame goes.
    let wait: *mut Await<F, L> = &raw mut *wait;
    // SAFETY: the `Await` is pinned, catches what its future panics with, and is not touched from
    // here until the call has returned.
    let mut stage = unsafe {
        actor.call(Place::InPoll, Await::<F, L>::poll, wait.cast());
        (*wait).errand.stage()
    };
    if stage == Stage::Pending {
        // SAFETY: as above, until the actor is resumed, when the worker is done with it.
        stage = unsafe {
            actor.park_with(wait.cast());
            (*wait).errand.stage()
        };
    }
    if stage != Stage::Ready {
        // SAFETY: as above.
        return interrupted(unsafe { (*wait).end(stage) });
    }
    // SAFETY: as above.
    unsafe { ptr::drop_in_place(&raw mut (*wait).timer) };
    actor.yield_if_overdue();
    let mut output = MaybeUninit::uninit();
    // SAFETY: at this stage the output is there and read once, and the future is gone. Last of all, so that nothing
    // has to move it.
    let output = unsafe {
        copy_by_words((*wait).output.as_ptr(), output.as_mut_ptr());
        output.assume_init()
    };
    match output {
        Poll::Ready(output) => done(output),
        // SAFETY: that is no output.
        Poll::Pending => unsafe { unreachable_unchecked() },
    }
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
        Some(actor) => call_for(actor, place, f).unwrap_or_else(|payload| resume_unwind(payload)),
    }
}
