//! The half of a worker that only its own thread sees: run queue, timers, the running actor, and
//! the switch between the worker's stack and the actors'.
//!
//! ```text
//!   worker's stack                          actor's stack
//!   resume(slot) ── switch ──────────────►  ... runs ...
//!                                           leave(Parting::…)
//!   acts on the parting  ◄────── switch ──
//! ```
//!
//! What an actor wants done when it leaves its stack (its *parting*) is done by the worker after the
//! switch. So a waker never sees an actor half-saved, and a future is polled on the worker's deep
//! stack.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};

use super::home::Home;
use super::ring::Ring;
use super::slot::{Errand, Slot, slot};
use super::state::{Commit, Woken};
use crate::context::{self, Context};
use crate::pid::Pid;
use crate::timer::wheel::Wheel;

thread_local! {
    /// The worker that was polled last on this thread and is still there.
    static LOCAL: Cell<*const Local> = const { Cell::new(std::ptr::null()) };
}

/// What an actor wants done once it is off its stack. What `Poll` and `Call` refer to stands in
/// [`Local::errand`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Queue it behind the others.
    Yield,
    /// Leave it parked, unless it was woken meanwhile.
    Park,
    /// Poll the errand, and resume the actor when that is ready; until then it is parked.
    Poll,
    /// Call the errand, and resume the actor at once.
    Call,
    /// It has ended.
    End,
}

/// Whose code the thread runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// The host's, or what the host runs beside the worker.
    Host,
    /// The worker's own.
    Worker,
    /// An actor's, on its own stack.
    Actor,
    /// A future's that an actor waits for, on the worker's stack.
    InPoll,
    /// A closure's that an actor runs on the worker's stack.
    InCall,
    /// The panic hook's, on an actor's stack. It must not leave it: another panic on this thread
    /// before the hook has ended would abort the process.
    InHook,
}

/// How many times in a row the fast slot goes before the queue.
const STREAK: u32 = 16;

/// See the module doc. All cells belong to the worker's thread.
pub(crate) struct Local {
    pub(crate) home: &'static Home,
    /// The suspended worker while an actor runs.
    worker: UnsafeCell<Context>,
    place: Cell<Place>,
    /// The actor that runs or ran last.
    running: Cell<Option<&'static Slot>>,
    parting: Cell<Parting>,
    /// What the worker is to poll or call, for the partings that say so.
    errand: Cell<*mut *mut Errand>,
    ring: UnsafeCell<Ring>,
    /// The actor that the running one woke last; goes before the ring.
    next: Cell<Option<&'static Slot>>,
    streak: Cell<u32>,
    pub(crate) wheel: RefCell<Wheel<Pid>>,
    /// Actors that are parked while they unwind; see `park::is_unwinding`.
    pub(crate) parked_unwinding: Cell<u32>,
    /// How many sections of smarm's own code, which must not be left, the running actor is in.
    pub(crate) own_code: Cell<u32>,
    /// The worker has told its host that it has nothing to do.
    idle: Cell<bool>,
    /// How this thread wakes the host, while the worker is idle.
    host: RefCell<Option<Waker>>,
    /// The host wants the turn to end.
    pub(crate) turn_over: Cell<bool>,
}

impl Local {
    pub(crate) fn new(home: &'static Home, now: u64) -> Self {
        Self {
            home,
            worker: UnsafeCell::new(Context::EMPTY),
            place: Cell::new(Place::Host),
            running: Cell::new(None),
            parting: Cell::new(Parting::Park),
            errand: Cell::new(std::ptr::null_mut()),
            ring: UnsafeCell::new(Ring::new()),
            next: Cell::new(None),
            streak: Cell::new(0),
            wheel: RefCell::new(Wheel::new(now)),
            parked_unwinding: Cell::new(0),
            own_code: Cell::new(0),
            idle: Cell::new(false),
            host: RefCell::new(None),
            turn_over: Cell::new(false),
        }
    }

    /// The worker of this thread, if it has one.
    #[inline(always)]
    pub(crate) fn current() -> Option<&'static Self> {
        // SAFETY: the worker clears the pointer on this thread before the `Local` goes. Callers
        // keep the reference no longer than the call they are in, and no actor outlives its worker.
        unsafe { LOCAL.get().as_ref() }
    }

    /// The running actor and its worker, if the caller is an actor on its own stack.
    #[inline(always)]
    pub(crate) fn running() -> Option<(&'static Self, &'static Slot)> {
        let local = Self::current()?;
        if local.place.get() != Place::Actor {
            return None;
        }
        local.running.get().map(|slot| (local, slot))
    }

    /// The actor on whose behalf this thread runs, be it on its own stack or on the worker's.
    #[inline(always)]
    pub(crate) fn on_behalf_of(&self) -> Option<&'static Slot> {
        let on_stack = matches!(self.place.get(), Place::Host | Place::Worker);
        self.running.get().filter(|_| !on_stack)
    }

    /// Whose code runs.
    #[inline(always)]
    pub(crate) fn place(&self) -> Place {
        self.place.get()
    }

    /// Whether the monitor finds that the running slice has been too long.
    #[inline(always)]
    pub(crate) fn overdue(&self) -> bool {
        self.home.pulse.overdue.load(Relaxed)
    }

    pub(crate) fn clear_overdue(&self) {
        self.home.pulse.overdue.store(false, Relaxed);
    }

    /// Says whose code runs from now on.
    pub(crate) fn set_place(&self, place: Place) {
        self.place.set(place);
    }

    /// Makes `this` the thread's worker, running its own code, until the guard goes. It stays the
    /// thread's worker after that, so that tasks beside it reach it without a hop.
    ///
    /// # Safety
    /// `this` is valid until [`forget`](Self::forget), and so is whatever [`current`](Self::current)
    /// is cast to.
    pub(crate) unsafe fn enter<'a>(this: *const Self) -> Entered<'a> {
        let outer = LOCAL.replace(this);
        // SAFETY: see `current`, and above.
        let (outer, local) = unsafe { (outer.as_ref(), &*this) };
        local.place.set(Place::Worker);
        Entered { local, outer: outer.filter(|outer| outer.place.get() != Place::Host) }
    }

    /// Forgets this worker on its thread.
    pub(crate) fn forget(&self) {
        if std::ptr::eq(LOCAL.get(), self) {
            LOCAL.set(std::ptr::null());
        }
    }

    /// Makes room in the queue for one more started actor.
    #[inline(always)]
    pub(crate) fn reserve(&self, started: usize) {
        self.with_ring(|ring| ring.reserve(started));
    }

    /// Queues an actor behind all others. Allocates nothing.
    #[inline(always)]
    pub(crate) fn queue(&self, actor: &'static Slot) {
        self.with_ring(|ring| ring.push(actor));
    }

    /// Queues an actor that was woken on this thread: in the fast slot if an actor did it.
    #[inline(always)]
    pub(crate) fn queue_woken(&self, actor: &'static Slot) {
        if self.place.get() == Place::Actor {
            if let Some(earlier) = self.next.replace(Some(actor)) {
                self.queue(earlier);
            }
        } else {
            self.queue(actor);
            if self.idle.get() {
                self.stir();
            }
        }
    }

    /// Tells the host that its idle worker has something to do. By the worker's own thread.
    #[cold]
    pub(crate) fn stir(&self) {
        if self.idle.replace(false) {
            let waker = self.host.borrow().clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether the worker has told its host that it has nothing to do.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.set(idle);
    }

    /// Remembers how to wake the host. Says whether that is news.
    pub(crate) fn set_host(&self, waker: &Waker) -> bool {
        let mut host = self.host.borrow_mut();
        if host.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return false;
        }
        *host = Some(waker.clone());
        true
    }

    #[inline(always)]
    fn with_ring<R>(&self, f: impl FnOnce(&mut Ring) -> R) -> R {
        // SAFETY: the ring belongs to the worker's thread, and the closures passed here, all in this
        // file, call nothing that comes back to the ring.
        f(unsafe { &mut *self.ring.get() })
    }

    /// Takes the actor that shall run next.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<&'static Slot> {
        if let Some(actor) = self.next.get() {
            self.next.set(None);
            let streak = self.streak.get();
            if streak < STREAK || self.with_ring(|ring| ring.len() == 0) {
                self.streak.set(streak + 1);
                return Some(actor);
            }
            self.queue(actor);
        }
        self.streak.set(0);
        self.with_ring(|ring| {
            if ring.len() > FAR {
                prefetch_ahead(ring);
            }
            ring.pop()
        })
    }

    /// Runs an actor until it parts. Gives back the actor if it has ended.
    ///
    /// # Safety
    /// The caller is this worker on its own stack, and owns the actor's stack.
    #[inline(always)]
    pub(crate) unsafe fn resume(&self, actor: &'static Slot) -> Option<&'static Slot> {
        self.running.set(Some(actor));
        let mut ended = None;
        // SAFETY: passed on.
        if actor.errand.get().is_null() || unsafe { self.poll(actor) } {
            // SAFETY: passed on.
            ended = unsafe { self.run(actor) };
        }
        self.place.set(Place::Worker);
        ended
    }

    /// As [`resume`](Self::resume), with nothing to poll first.
    #[inline(always)]
    unsafe fn run(&self, actor: &'static Slot) -> Option<&'static Slot> {
        loop {
            self.place.set(Place::Actor);
            // SAFETY: the worker's context is this thread's alone; the actor's is valid because the
            // caller owns its stack, and its flow was suspended on this thread or has not started.
            unsafe { context::switch(self.worker.get(), actor.context.get()) };
            // Compared one after the other: a jump table would wait for a load.
            let parting = self.parting.get();
            if parting == Parting::Yield {
                self.queue(actor);
                return None;
            }
            if parting == Parting::Park {
                self.commit(actor);
                return None;
            }
            if parting == Parting::End {
                return Some(actor);
            }
            let errand = self.errand.get();
            if parting == Parting::Call {
                self.place.set(Place::InCall);
                // SAFETY: the closure stands on the stack of the actor, which is suspended until
                // this returns; the closure does not unwind.
                let _: Poll<()> = unsafe { (**errand)() };
                continue;
            }
            actor.errand.set(errand);
            // SAFETY: the actor has just set it, and this worker owns its stack.
            if !unsafe { self.poll(actor) } {
                return None;
            }
        }
    }

    #[inline(always)]
    fn commit(&self, actor: &'static Slot) {
        // SAFETY: the actor is off its stack and not parked yet, so its record is this thread's.
        let ignores_kill = || unsafe { (*actor.record()).ignores_kill.get() };
        match actor.state.commit(ignores_kill) {
            Commit::Parked => {}
            // Behind the others: an actor that wakes itself must not keep them from running.
            Commit::Refused => self.queue(actor),
        }
    }

    /// Polls what the actor waits for. Says whether to resume it now; if not, it is parked.
    ///
    /// # Safety
    /// This worker owns the actor's stack, and the actor waits with [`Parting::Poll`].
    unsafe fn poll(&self, actor: &'static Slot) -> bool {
        self.place.set(Place::InPoll);
        // SAFETY: the errand stands on the stack of the actor, which is suspended in
        // `park::poll_natively`, and does not unwind.
        let polled = unsafe { (**actor.errand.get())() };
        self.place.set(Place::Worker);
        if polled.is_ready() {
            actor.errand.set(std::ptr::null_mut());
            return true;
        }
        self.commit(actor);
        false
    }

    /// Leaves the running actor's stack for the worker's; returns when the actor is resumed.
    ///
    /// # Safety
    /// `actor` is the running actor, on its own stack. For `Poll` and `Call`, `errand` is valid until
    /// this returns, and does not unwind when called.
    #[inline(never)]
    pub(crate) unsafe fn leave(&self, actor: &Slot, parting: Parting, errand: *mut *mut Errand) {
        self.parting.set(parting);
        self.errand.set(errand);
        // SAFETY: the worker is suspended in `run`, on this thread; the actor owns its own context.
        unsafe { context::switch(actor.context.get(), self.worker.get()) };
    }
}

/// Undoes [`Local::enter`].
pub(crate) struct Entered<'a> {
    local: &'a Local,
    /// The worker in the middle of whose poll this one is polled. It cannot go meanwhile.
    outer: Option<&'static Local>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.local.place.set(Place::Host);
        if let Some(outer) = self.outer {
            LOCAL.set(outer);
        }
    }
}

/// The slot of the actor this many places ahead is fetched, ...
const FAR: usize = 8;
/// ... and the top of the stack of the one this many places ahead.
const NEAR: usize = 4;

/// Fetches what the actors that come next will touch: with many, each is cold.
#[inline(always)]
fn prefetch_ahead(ring: &Ring) {
    if let Some(slot) = ring.peek(FAR) {
        prefetch(std::ptr::from_ref(slot).cast());
    }
    if let Some(slot) = ring.peek(NEAR) {
        // SAFETY: the actor is in this worker's queue, so this thread owns its stack.
        let sp = unsafe { (*slot.context.get()).stack_pointer() };
        prefetch(std::ptr::with_exposed_provenance(sp));
        prefetch(std::ptr::with_exposed_provenance(sp + 64));
    }
}

#[inline(always)]
fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address is harmless.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast()) };
}

/// Wakes the actor with this pid, if it still lives.
#[inline(always)]
pub(crate) fn wake(pid: Pid) {
    let actor = slot(pid.index());
    match actor.state.wake(pid.generation()) {
        Woken::Schedule => schedule(actor),
        Woken::Nothing => {}
    }
}

/// Asks the actor with this pid to unwind, if it still lives.
pub(crate) fn kill(pid: Pid) {
    let actor = slot(pid.index());
    match actor.state.kill(pid.generation()) {
        Woken::Schedule => schedule(actor),
        Woken::Nothing => {
            if let Some(home) = actor.home()
                && home.pulse.running.load(Relaxed) == pid.index() + 1
            {
                // It computes: its next `check!` shall look.
                home.pulse.overdue.store(true, Relaxed);
            }
        }
    }
}

/// Queues an actor which the caller has moved out of `PARKED`.
#[inline(always)]
fn schedule(actor: &'static Slot) {
    let home = actor.home().expect("smarm bug: a parked actor has no worker");
    match Local::current() {
        Some(local) if std::ptr::eq(local.home, home) => local.queue_woken(actor),
        _ => {
            if home.push(actor) {
                home.rouse();
            }
        }
    }
}
