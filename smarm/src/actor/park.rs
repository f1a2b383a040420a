//! How everything waits: a future is polled by whoever waits for it, be it an actor or a plain OS
//! thread, and parks that caller between polls.
//!
//! | function | polls on | for |
//! |---|---|---|
//! | [`wait()`], [`wait_until`], [`wait_uncancelled`] | the caller's stack | smarm's own shallow futures |
//! | [`await_natively`] | the worker's stack | futures of others, which may need deep frames |
//! | [`call_natively`] | the worker's stack | code of others that needs deep frames |
//!
//! # Kill
//! A wait that finds a kill request unwinds the actor, unless it unwinds already: then a wait that
//! can fail fails with [`Interrupt::Cancelled`], and one that cannot waits on. Code that swallows
//! the unwinding is unwound again by its next wait.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use super::local::{Local, Parting, Place};
use super::record::Record;
use super::slot::{Errand, Slot};
use super::waker::waker;
use crate::pid::Pid;
use crate::timer::{clock, wheel};

/// Why a wait ended without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The deadline passed.
    TimedOut,
    /// The actor is being killed and already unwinds, so it cannot unwind again.
    Cancelled,
}

/// What a kill does to a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It unwinds; while the actor unwinds already, the wait gives [`Interrupt::Cancelled`].
    Breakable,
    /// It unwinds; while the actor unwinds already, the wait goes on.
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

    #[inline(always)]
    fn record(self) -> &'static Record {
        // SAFETY: the record of a running actor is alive until its closure has ended, and the
        // reference is kept no longer than the call that asked for it.
        unsafe { &*self.slot.record() }
    }

    #[inline(always)]
    fn killed(self) -> bool {
        self.slot.state.load().killed()
    }

    #[inline(always)]
    fn leave(self, parting: Parting) {
        self.leave_to(parting, ptr::null_mut());
    }

    /// Leaves for the worker to poll or call something on its stack.
    #[inline(always)]
    fn leave_for(self, parting: Parting, errand: &mut (dyn FnMut() -> Poll<()> + '_)) {
        let errand: *mut (dyn FnMut() -> Poll<()> + '_) = errand;
        // SAFETY: extends the lifetime; the worker calls it before `leave` returns and never again.
        let mut errand: *mut Errand = unsafe { std::mem::transmute(errand) };
        self.leave_to(parting, &raw mut errand);
    }

    #[inline(always)]
    fn leave_to(self, parting: Parting, errand: *mut *mut Errand) {
        if thread::panicking() {
            return self.leave_while_panicking(parting, errand);
        }
        // SAFETY: this is the running actor on its own stack. `Poll` and `Call` come through
        // `leave_for`, whose callers keep their closures alive and catch panics in them.
        unsafe { self.local.leave(self.slot, parting, errand) };
    }

    /// An actor that parks while it unwinds makes `thread::panicking` true for its neighbours: the
    /// worker counts such actors.
    #[cold]
    fn leave_while_panicking(self, parting: Parting, errand: *mut *mut Errand) {
        let parked = &self.local.parked_unwinding;
        let own = u32::from(is_unwinding());
        parked.set(parked.get() + own);
        // SAFETY: as in `leave_to`.
        unsafe { self.local.leave(self.slot, parting, errand) };
        parked.set(parked.get() - own);
    }

    /// Unwinds if the actor is to be killed and does not unwind yet. Says whether it is killed.
    #[inline(always)]
    fn obey(self) -> bool {
        let killed = self.killed();
        if killed {
            self.unwind();
        }
        killed
    }

    /// Unwinds, unless the actor does so already.
    #[cold]
    fn unwind(self) {
        if !is_unwinding() {
            self.record().panicked.set(true);
            resume_unwind(Box::new(Kill));
        }
    }

    /// Yields if the running slice has been too long, and nobody has forbidden it.
    #[inline(always)]
    pub(crate) fn yield_if_overdue(self) {
        if self.local.overdue() {
            self.yield_overdue();
        }
    }

    #[cold]
    fn yield_overdue(self) {
        self.local.clear_overdue();
        if self.record().undisturbed.get() == 0 {
            self.leave(Parting::Yield);
        }
    }

    /// Yields if the running slice has been too long; unwinds if the actor is to be killed.
    #[inline(always)]
    pub(crate) fn check(self) {
        if self.local.overdue() {
            self.obey();
            self.yield_overdue();
            self.obey();
        }
    }

    /// Yields, and does not look for a kill: for places that must not unwind.
    pub(crate) fn yield_without_unwinding(self) {
        self.yield_overdue();
    }

    /// Parks until `poll`, run on the worker's stack, is ready. It must not unwind.
    #[inline(always)]
    fn poll_natively(self, poll: &mut (dyn FnMut() -> Poll<()> + '_), to_the_end: bool) {
        if to_the_end {
            let ignores = &self.record().ignores_kill;
            let before = ignores.replace(true);
            self.leave_for(Parting::Poll, poll);
            ignores.set(before);
        } else {
            self.leave_for(Parting::Poll, poll);
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
        Some(actor) => wait_actor(actor, pin!(future), deadline, Manner::Breakable),
        None => wait_elsewhere(pin!(future), deadline),
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

#[track_caller]
fn wait_to_the_end<F: Future>(future: F, manner: Manner) -> F::Output {
    let waited = match Running::current() {
        Some(actor) => wait_actor(actor, pin!(future), None, manner),
        None => wait_elsewhere(pin!(future), None),
    };
    waited.unwrap_or_else(|interrupt| {
        unreachable!("a wait without deadline that ignores kills ended with {interrupt:?}")
    })
}

#[inline(always)]
fn wait_actor<F: Future>(
    actor: Running,
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
    manner: Manner,
) -> Result<F::Output, Interrupt> {
    let waker = waker(actor.pid());
    let mut cx = Context::from_waker(&waker);
    // smarm's own futures allocate under their locks.
    let mut poll = || {
        let _own_code = own_code();
        future.as_mut().poll(&mut cx)
    };
    if let Poll::Ready(value) = poll() {
        actor.yield_if_overdue();
        return Ok(value);
    }
    let mut timer = Timer { actor, key: None };
    if let Some(deadline) = deadline
        && !timer.arm(deadline)
    {
        return Err(Interrupt::TimedOut);
    }
    loop {
        let killed = if manner == Manner::Unbroken { actor.killed() } else { actor.obey() };
        match (killed, manner) {
            (true, Manner::Breakable) => return Err(Interrupt::Cancelled),
            (true, _) | (_, Manner::Unbroken) => actor.park_regardless(),
            (false, _) => actor.leave(Parting::Park),
        }
        if let Poll::Ready(value) = poll() {
            return Ok(value);
        }
        if timer.has_fired() {
            return Err(Interrupt::TimedOut);
        }
    }
}

/// An entry in the wheel of the actor's worker, taken out when the wait ends however it ends.
struct Timer {
    actor: Running,
    key: Option<wheel::Key>,
}

impl Timer {
    /// Sets the timer. Gives `false` if the deadline has passed already.
    fn arm(&mut self, deadline: Instant) -> bool {
        let (deadline, now) = (clock::nanos(deadline), clock::now());
        if deadline <= now {
            return false;
        }
        let _own_code = own_code();
        self.key = Some(self.actor.local.wheel.borrow_mut().insert(deadline, self.actor.pid()));
        true
    }

    fn has_fired(&self) -> bool {
        self.key.as_ref().is_some_and(|key| self.actor.local.wheel.borrow().has_fired(key))
    }
}

impl Drop for Timer {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.actor.local.wheel.borrow_mut().release(key);
        }
    }
}

/// A wait by somebody who is no actor on its own stack.
#[cold]
#[track_caller]
fn wait_elsewhere<F: Future>(
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
) -> Result<F::Output, Interrupt> {
    let Some(misuse) = misuse() else {
        return wait_thread(future, deadline);
    };
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => panic!("{misuse}"),
    }
}

/// Panics where a wait would.
#[track_caller]
pub(crate) fn check_may_wait() {
    if Running::current().is_none()
        && let Some(misuse) = misuse()
    {
        panic!("{misuse}");
    }
}

/// Why the caller, who is no actor on its own stack, must not wait; if it must not.
fn misuse() -> Option<&'static str> {
    match Local::current()?.place() {
        Place::InPoll => Some(
            "smarm: a blocking call inside a future that an actor awaits would block all actors of its worker; \
             use the call's async form (`recv_async().await`, `lock_async().await`, `handle.await`, ...)",
        ),
        Place::InCall => Some(
            "smarm: a blocking call inside `on_native_stack` cannot park the actor; \
             wait before or after it, on the actor's own stack",
        ),
        Place::Host | Place::Worker => Some(
            "smarm: a blocking call on the thread of a worker, outside any actor, would stop that worker; \
             use the call's async form (`recv_async().await`, `handle.await`, ...), or make it in an actor",
        ),
        Place::Actor | Place::InHook => None,
    }
}

/// Wakes an OS thread that waits with `thread::park`.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn wait_thread<F: Future>(
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
) -> Result<F::Output, Interrupt> {
    thread_local!(static WAKER: Cell<Option<Waker>> = const { Cell::new(None) });
    let waker = WAKER.with(Cell::take).unwrap_or_else(|| Arc::new(ThreadWaker(thread::current())).into());
    let mut cx = Context::from_waker(&waker);
    let result = loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            break Ok(value);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => break Err(Interrupt::TimedOut),
            },
        }
    };
    WAKER.with(|cell| cell.set(Some(waker)));
    result
}

/// Waits for a future of somebody else's, polling it on the worker's stack, each time before the
/// actor is resumed. It is dropped there too. A panic in it continues in the caller.
#[track_caller]
pub(crate) fn await_natively<F: Future>(
    future: F,
    deadline: Option<Instant>,
) -> Result<F::Output, Interrupt> {
    let Some(actor) = Running::current() else {
        return wait_elsewhere(pin!(future), deadline);
    };
    let mut future = DropNatively(Some(future));
    let waker = waker(actor.pid());
    let mut timer = Timer { actor, key: None };
    let mut outcome: Option<thread::Result<Result<F::Output, Interrupt>>> = None;
    // While the actor unwinds, a kill that comes later does not end the wait either.
    let to_the_end = actor.obey() || is_unwinding();
    let mut poll = || {
        if actor.killed() && !to_the_end {
            return Poll::Ready(()); // to unwind, or to be cancelled, on its own stack
        }
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the future stands in a local of `await_natively` that is never moved; it is
            // dropped in place, here or by `DropNatively`.
            let mut pinned = unsafe { Pin::new_unchecked(&mut future.0) };
            let inner = pinned.as_mut().as_pin_mut().expect("polled until it is ready");
            let polled = inner.poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                pinned.set(None);
            }
            polled
        }));
        outcome = match polled {
            Ok(Poll::Ready(value)) => Some(Ok(Ok(value))),
            Ok(Poll::Pending) => match deadline {
                Some(deadline) if timer.key.is_none() && !timer.arm(deadline) => {
                    Some(Ok(Err(Interrupt::TimedOut)))
                }
                _ if timer.has_fired() => Some(Ok(Err(Interrupt::TimedOut))),
                _ => None,
            },
            Err(payload) => Some(Err(payload)),
        };
        if outcome.is_some() { Poll::Ready(()) } else { Poll::Pending }
    };
    actor.poll_natively(&mut poll, to_the_end);
    match outcome {
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

/// Drops what it holds on the worker's stack.
struct DropNatively<F>(Option<F>);

impl<F> Drop for DropNatively<F> {
    fn drop(&mut self) {
        if self.0.is_none() {
            return;
        }
        // Assigned in place, never moved out: the future was pinned.
        if let Err(payload) = call_natively(|| catch_unwind(AssertUnwindSafe(|| self.0 = None)))
            && !is_unwinding()
        {
            resume_unwind(payload);
        }
    }
}

/// Runs `f` on the worker's stack, if the caller is an actor; else on the caller's. A panic in it
/// continues in the caller, unless that unwinds already.
pub(crate) fn call_natively<R>(f: impl FnOnce() -> R) -> R {
    let Some(actor) = Running::current() else {
        return f();
    };
    let mut f = Some(f);
    let mut outcome = None;
    actor.leave_for(Parting::Call, &mut || {
        let f = f.take().expect("called once");
        outcome = Some(catch_unwind(AssertUnwindSafe(f)));
        Poll::Ready(())
    });
    match outcome.expect("the worker has called it") {
        Ok(value) => value,
        Err(payload) => resume_unwind(payload),
    }
}

/// Lets the other actors of the worker run, then goes on. Unwinds if the actor is to be killed.
pub(crate) fn yield_now() {
    match Running::current() {
        Some(actor) => {
            actor.leave(Parting::Yield);
            actor.obey();
        }
        None => thread::yield_now(),
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

/// Whether the caller unwinds. Unlike `thread::panicking` it is not misled by a neighbour on the
/// same worker that is parked while it unwinds.
pub(crate) fn is_unwinding() -> bool {
    if !thread::panicking() {
        return false;
    }
    match Running::current() {
        // While a neighbour is parked so, the thread's panic count says nothing about this actor;
        // then it unwinds if a panic has been seen on it.
        Some(actor) if actor.local.parked_unwinding.get() > 0 => actor.record().panicked.get(),
        _ => true,
    }
}

/// The text of a panic payload, if it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a payload that is no string"
    }
}
