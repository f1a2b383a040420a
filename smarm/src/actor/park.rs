//! How everything waits: a future is polled by whoever waits for it, be it an actor or a plain OS
//! thread, and parks that caller between polls.
//!
//! | function | polls on | for |
//! |---|---|---|
//! | [`wait()`], [`wait_until`], [`wait_for`], [`wait_uncancelled`] | the caller's stack | smarm's own shallow futures |
//!
//! Futures of others, which may need deep frames, are for [`native`](super::native).
//!
//! # Kill
//! A wait that finds a kill request unwinds the actor, unless it unwinds already: then a wait that
//! can fail fails with [`Interrupt::Cancelled`], and one that cannot waits on. Code that swallows
//! the unwinding is unwound again by its next wait.
//!
//! # Scope
//! A wait in a [`scope`](super::scope) that is over fails, and one that cannot fail unwinds to where the scope was
//! entered. Kill and scope are looked for together, by one bit test; the rest is out of the way.

mod elsewhere;
mod rouse;
mod timer;
mod unwinding;

use std::ffi::c_void;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

pub(super) use self::elsewhere::wait_elsewhere;
pub(crate) use self::elsewhere::{caller, check_may_wait, may_wait, own_waker};
pub(crate) use self::rouse::{rouse, rouse_by_ref};
pub(crate) use self::timer::Timer;
pub(crate) use self::unwinding::message;
use super::local::{Local, Parting, Place};
use super::native::Errand;
use super::record::Record;
use super::scope::take_care;
use super::slot::Slot;
pub(crate) use super::spare::{give_back, room};
use super::state::Snapshot;
use super::waker::PidWaker;
use crate::chaos::{self, Kind};
use crate::host::Clock;
use crate::pid::Pid;
use crate::timer::clock;

/// Why a wait ended without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The deadline passed.
    TimedOut,
    /// The actor is being killed and already unwinds, so it cannot unwind again; or a token of the scope was
    /// cancelled.
    Cancelled,
}

/// What a kill does to a wait, and a scope that is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// A kill unwinds it; while the actor unwinds already, the wait gives [`Interrupt::Cancelled`]. A scope
    /// ends it.
    Breakable,
    /// Either unwinds it; while the actor unwinds already, the wait goes on.
    Uncancelled,
    /// Nothing.
    Unbroken,
}

/// The payload with which a killed actor unwinds.
pub(crate) struct Kill;

/// An actor on its own stack.
#[derive(Clone, Copy)]
pub(crate) struct Running {
    local: &'static Local,
    slot: &'static Slot,
}

impl Running {
    /// The running actor, if the caller is one and may leave its stack.
    #[inline(always)]
    pub(crate) fn current() -> Option<Self> {
        let (local, slot) = Local::running()?;
        Some(Self { local, slot })
    }

    #[inline(always)]
    pub(crate) fn pid(self) -> Pid {
        self.slot.pid()
    }

    /// The actor's waker.
    #[inline(always)]
    pub(crate) fn waker(self) -> PidWaker {
        self.slot.waker()
    }

    #[inline(always)]
    pub(super) fn record(self) -> &'static Record {
        // SAFETY: the record of a running actor is alive until its closure has ended, and the
        // reference is kept no longer than the call that asked for it.
        unsafe { &*self.slot.record() }
    }

    /// Whether a wait has to mind more than what it waits for.
    #[inline(always)]
    pub(super) fn needs_care(self) -> bool {
        self.slot.state.load().needs_care()
    }

    #[inline(always)]
    pub(super) fn killed(self) -> bool {
        self.slot.state.load().killed()
    }

    /// Yields or parks.
    #[inline(always)]
    pub(super) fn leave(self, parting: Parting) {
        if thread::panicking() {
            return self.leave_while_panicking(parting);
        }
        // SAFETY: this is the running actor on its own stack.
        unsafe { self.local.leave(self.slot, parting) };
    }

    /// What the actor's state is.
    #[inline(always)]
    pub(super) fn state(self) -> Snapshot {
        self.slot.state.load()
    }

    /// The actor's waker, by its state, if it [is plain](Snapshot::is_plain) or was made so.
    #[inline(always)]
    pub(super) fn exposed_waker(self, state: Snapshot) -> PidWaker {
        self.slot.exposed_waker(state)
    }

    /// See [`Slot::make_exposed`].
    #[cold]
    pub(super) fn make_exposed(self) {
        self.slot.make_exposed();
    }

    /// Leaves an errand for the worker to poll, on its own stack, before it resumes the actor; and
    /// parks. The errand was pending just now.
    ///
    /// # Safety
    /// The errand is valid until this returns, and polling it does not unwind.
    #[inline(always)]
    pub(super) unsafe fn park_with(self, errand: *mut Errand) {
        self.slot.errand.set(errand);
        self.local.mind_budget();
        if thread::panicking() {
            // A kill that comes later does not end the await either.
            return self.park_regardless();
        }
        // SAFETY: this is the running actor on its own stack.
        unsafe { self.local.leave_pending(self.slot) };
    }

    /// Calls `function(argument)` on the worker's stack.
    ///
    /// # Safety
    /// It does not unwind.
    #[inline(always)]
    pub(super) unsafe fn call(
        self,
        place: Place,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    ) {
        // SAFETY: this is the running actor on its own stack; for the rest, passed on.
        unsafe { self.local.call(place, function, argument) };
    }

    /// Unwinds if the actor is to be killed and does not unwind yet. Says whether it is killed.
    #[inline(always)]
    pub(super) fn obey(self) -> bool {
        let killed = self.killed();
        if killed {
            self.unwind();
        }
        killed
    }

    /// Yields if the running slice has been too long, and nobody has forbidden it. Does not look for a
    /// kill, and so never unwinds.
    #[inline(always)]
    pub(crate) fn yield_if_overdue(self) {
        if chaos::strikes(Kind::Yields) || self.local.overdue() {
            self.yield_overdue();
        }
    }

    #[cold]
    fn yield_overdue(self) {
        let overdue = self.local.overdue(); // chaos makes actors yield that are not
        self.local.clear_overdue();
        if self.record().undisturbed.get() == 0 {
            if overdue {
                self.local.end_batch();
            }
            self.leave(Parting::Yield);
        }
    }

    /// Yields if the running slice has been too long; unwinds if the actor is to be killed.
    #[inline(always)]
    pub(crate) fn check(self) {
        if chaos::strikes(Kind::Yields) || self.local.overdue() {
            self.obey();
            self.yield_overdue();
            self.obey();
        }
    }

    /// Looks a while for what the actor waits for, if it comes from another thread and that paid lately. Says
    /// whether it is there.
    #[inline(always)]
    pub(crate) fn look(self, there: impl Fn() -> bool) -> bool {
        self.local.look(there)
    }

    /// Parks until somebody wakes the actor, or did so since its last park. What is waited for must be
    /// registered, and must be looked at after this.
    ///
    /// Unwinds if the actor is to be killed. If it unwinds already, it is cancelled instead.
    #[inline(always)]
    pub(crate) fn park(self) -> Result<(), Interrupt> {
        if self.needs_care() && take_care(self, Manner::Breakable)? {
            self.park_regardless();
        } else {
            self.leave(Parting::Park);
        }
        Ok(())
    }

    /// As [`park`](Self::park), but while the actor unwinds, it waits on.
    #[inline(always)]
    pub(crate) fn park_uncancelled(self) {
        if self.needs_care() && take_care(self, Manner::Uncancelled).unwrap_or(true) {
            self.park_regardless();
        } else {
            self.leave(Parting::Park);
        }
    }

    /// Parks, although a kill may have been asked for.
    fn park_regardless(self) {
        let ignores = &self.record().ignores_kill;
        let before = ignores.replace(true);
        self.leave(Parting::Park);
        ignores.set(before);
    }
}

/// Waits for `future`, polling it on the caller's own stack: for smarm's own shallow futures.
///
/// A kill that arrives during the wait unwinds the actor. While it unwinds, a wait that is not
/// ready at once gives [`Interrupt::Cancelled`].
#[inline(always)]
#[track_caller]
pub(crate) fn wait<F: Future>(future: F) -> Result<F::Output, Interrupt> {
    wait_until(future, None)
}

/// Like [`wait`], and ends with [`Interrupt::TimedOut`] once `deadline` has passed. A future that
/// is ready at its first poll wins over a deadline in the past.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_until<F: Future>(future: F, deadline: Option<Instant>) -> Result<F::Output, Interrupt> {
    match Running::current() {
        Some(actor) => wait_actor(actor, pin!(future), deadline.into(), Manner::Breakable),
        None => wait_elsewhere(pin!(future), deadline, Manner::Breakable),
    }
}

/// As [`wait_until`], at most for `timeout`: asks for the time once, and only if it has to wait.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_for<F: Future>(future: F, timeout: Duration) -> Result<F::Output, Interrupt> {
    match Running::current() {
        Some(actor) => wait_actor(actor, pin!(future), Limit::After(timeout), Manner::Breakable),
        None => wait_elsewhere(pin!(future), now().checked_add(timeout), Manner::Breakable),
    }
}

/// Like [`wait`], for waits whose signature has no error: while the actor unwinds, it goes on
/// waiting.
#[track_caller]
pub(crate) fn wait_uncancelled<F: Future>(future: F) -> F::Output {
    wait_to_the_end(future, Manner::Uncancelled)
}

/// Like [`wait`], but nothing ends it except the future: what the future waits for borrows from the
/// caller's frame. Call [`check_may_wait`] before there is something to wait for.
#[track_caller]
pub(crate) fn wait_unbroken<F: Future>(future: F) -> F::Output {
    wait_to_the_end(future, Manner::Unbroken)
}

/// Like [`wait_uncancelled`], and ends with [`TimedOut`](Interrupt::TimedOut) once `deadline` has passed, and with
/// no other interrupt. The future may have become ready just then.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_uncancelled_until<F: Future>(
    future: F,
    deadline: Option<Instant>,
) -> Result<F::Output, Interrupt> {
    match Running::current() {
        Some(actor) => wait_actor(actor, pin!(future), deadline.into(), Manner::Uncancelled),
        None => wait_elsewhere(pin!(future), deadline, Manner::Uncancelled),
    }
}

#[track_caller]
fn wait_to_the_end<F: Future>(future: F, manner: Manner) -> F::Output {
    let waited = match Running::current() {
        Some(actor) => wait_actor(actor, pin!(future), Limit::Never, manner),
        None => wait_elsewhere(pin!(future), None, manner),
    };
    waited.unwrap_or_else(|interrupt| {
        unreachable!("a wait without deadline that ignores kills ended with {interrupt:?}")
    })
}

/// When a wait is over.
#[derive(Clone, Copy)]
enum Limit {
    Never,
    At(Instant),
    /// So long after its first poll.
    After(Duration),
}

impl From<Option<Instant>> for Limit {
    #[inline(always)]
    fn from(deadline: Option<Instant>) -> Self {
        deadline.map_or(Self::Never, Self::At)
    }
}

#[inline(always)]
fn wait_actor<F: Future>(
    actor: Running,
    mut future: Pin<&mut F>,
    limit: Limit,
    manner: Manner,
) -> Result<F::Output, Interrupt> {
    let waker = actor.waker();
    let mut cx = Context::from_waker(&waker);
    // smarm's own futures allocate under their locks.
    let mut poll = || {
        let _own_code = own_code();
        future.as_mut().poll(&mut cx)
    };
    if chaos::strikes(Kind::Yields) {
        actor.yield_overdue();
    }
    if let Poll::Ready(value) = poll() {
        actor.yield_if_overdue();
        return Ok(value);
    }
    if chaos::strikes(Kind::Polls)
        && let Poll::Ready(value) = poll()
    {
        return Ok(value);
    }
    let mut timer = Timer::new(actor);
    let armed = match limit {
        Limit::Never => true,
        Limit::At(deadline) => timer.arm(deadline),
        Limit::After(timeout) => timer.arm_for(timeout),
    };
    if !armed {
        return Err(Interrupt::TimedOut);
    }
    loop {
        let killed = actor.needs_care() && take_care(actor, manner)?;
        if killed || manner == Manner::Unbroken {
            actor.park_regardless();
        } else {
            actor.leave(Parting::Park);
        }
        if let Poll::Ready(value) = poll() {
            return Ok(value);
        }
        if timer.has_fired() {
            return Err(Interrupt::TimedOut);
        }
    }
}

/// The time, by which all deadlines of smarm's are set and measured: that of the thread's worker if it has
/// a clock of its own, else the system's.
#[inline]
pub(crate) fn now() -> Instant {
    match own_clock() {
        None => Instant::now(),
        Some(clock) => clock.now(),
    }
}

/// Names the slice of the running actor, on whichever stack it is, if the time goes on by itself: what was ahead
/// when the slice began may be late by the rest of it, and no more. No two slices of a worker have one name at a time.
#[inline]
pub(crate) fn slice() -> Option<u32> {
    let local = Local::current()?;
    let own = matches!(local.place(), Place::Actor | Place::InPoll) && local.clock.get().is_none();
    own.then(|| local.tick())
}

/// The clock of the thread's worker, if it has one of its own.
#[inline]
pub(crate) fn own_clock() -> Option<&'static Arc<dyn Clock>> {
    if clock::may_be_own() { Local::current()?.clock.get() } else { None }
}

/// Lets the other actors of the worker run, then goes on. Unwinds if the actor is to be killed.
#[inline]
pub(crate) fn yield_now() {
    match Running::current() {
        Some(actor) => {
            actor.leave(Parting::Yield);
            actor.obey();
        }
        None => thread::yield_now(),
    }
}

/// Ends the worker's turn with the next wait if the host's budget is spent: to be called when a
/// resource of the host was pending.
pub(crate) fn mind_budget() {
    if let Some(actor) = Running::current() {
        actor.local.mind_budget();
    }
}

/// In chaos mode, a place where an actor may be made to yield although its slice is not over; else nothing.
#[inline(always)]
pub(crate) fn chaos_point() {
    if chaos::on() {
        yield_if_overdue();
    }
}

/// Yields if the running slice has been too long.
#[inline(always)]
pub(crate) fn yield_if_overdue() {
    if let Some(actor) = Running::current() {
        actor.yield_if_overdue();
    }
}

/// Keeps allocations from making the actor yield, until it is dropped: for smarm's own code that
/// holds a lock or a borrow.
#[must_use]
pub(crate) struct OwnCode(Option<&'static Local>);

/// Begins a section of smarm's own code that must not be left.
#[inline(always)]
pub(crate) fn own_code() -> OwnCode {
    let local = Local::current();
    if let Some(local) = local {
        local.own_code.set(local.own_code.get() + 1);
    }
    OwnCode(local)
}

impl Drop for OwnCode {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(local) = self.0 {
            local.own_code.set(local.own_code.get() - 1);
        }
    }
}

/// Whether the thread is in a section that [`own_code`] began.
pub(crate) fn in_own_code() -> bool {
    Local::current().is_some_and(|local| local.own_code.get() > 0)
}
