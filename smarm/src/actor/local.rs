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
//! What an actor wants done when it leaves its stack (its *parting*) is done after the switch. So a
//! waker never sees an actor half-saved, and a future is polled on the worker's deep stack.
//!
//! How actors hand over to each other is told in [`switching`].

mod ahead;
mod look;
mod switching;
mod wakes;

use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

pub(crate) use self::ahead::prefetch_new;
use self::ahead::{prefetch_ahead, prefetch_frames, prefetch_woken};
use self::look::Looking;
pub(crate) use self::wakes::{kill, prefetch, wake, wake_ahead};
use super::home::Home;
use super::ring::Ring;
use super::seat::Woken;
use super::slot::Slot;
use super::spare::Spare;
use crate::chaos::{self, Dice, Kind};
use crate::context::Context;
use crate::hooks::Hooks;
use crate::host::{self, Clock};
use crate::primitive;
use crate::sim;
use crate::timer::clock;
use crate::timer::due::Due;
use crate::timer::wheel::Wheel;

primitive::thread_local! {
    /// The worker that was polled last on this thread and is still there.
    static LOCAL: Cell<*const Local> = const { Cell::new(std::ptr::null()) };
}

/// What an actor wants done once it is off its stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Queue it behind the others.
    Yield,
    /// Leave it parked, unless it was woken meanwhile.
    Park,
    /// It has ended: give its stack back.
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
    /// A context hook's, on behalf of an actor, on either stack.
    InContextHook,
    /// The panic hook's, on an actor's stack. It must not leave it: another panic on this thread
    /// before the hook has ended would abort the process.
    InHook,
}

/// One in so many actors is a new one, if there is one, however many started ones can run.
pub(crate) const NEW_EVERY: u32 = 8;
/// One in so many new actors is the oldest instead of the newest.
pub(crate) const OLDEST_EVERY: u32 = 16;
/// How many times in a row the fast slot goes before the queue.
const STREAK: u32 = 16;

/// See the module doc. All cells belong to the worker's thread.
pub(crate) struct Local {
    pub(crate) home: &'static Home,
    /// Which worker of that home this is.
    pub(crate) tenancy: u32,
    /// The suspended worker while an actor runs.
    worker: UnsafeCell<Context>,
    place: Cell<Place>,
    parting: Cell<Parting>,
    /// At this tick the worker comes back.
    pub(crate) batch_end: Cell<u32>,
    /// Whether new actors may wait for this worker: actors that hand over come back for them.
    pub(crate) expects_new: Cell<bool>,
    /// The actor that ran last was made to yield, which ends the batch.
    pub(crate) batch_cut: Cell<bool>,
    ring: UnsafeCell<Ring>,
    /// The actor that the running one woke last; goes before the ring.
    next: Cell<Option<&'static Slot>>,
    streak: Cell<u32>,
    /// The actor that ran last gave way, and no other one is queued, but new ones may be there: those it meant, unless
    /// another worker takes them.
    gave_way_to_new: Cell<bool>,
    pub(crate) wheel: RefCell<Wheel<Due>>,
    /// What the wheel goes by, if not the system's clock.
    pub(crate) clock: OnceCell<Arc<dyn Clock>>,
    /// How many sections of smarm's own code, which must not be left, the running actor is in.
    pub(crate) own_code: Cell<u32>,
    /// The worker has told its host that it has nothing to do.
    idle: Cell<bool>,
    /// How this thread wakes the host, while the worker is idle.
    host: Cell<Option<Waker>>,
    /// Whether actors may look for messages from elsewhere before they park.
    looking: Cell<Looking>,
    /// A future was pending since the host was last asked for its budget.
    pub(crate) mind_budget: Cell<bool>,
    /// Called where slices of actors begin and end.
    pub(super) hooks: Option<Arc<dyn Hooks>>,
    /// Kept for the next spawns.
    pub(super) spare: Spare,
    dice: Dice,
}

impl Local {
    pub(crate) fn new(home: &'static Home, now: u64, hooks: Option<Arc<dyn Hooks>>, dice: Dice) -> Self {
        Self {
            home,
            tenancy: home.tenancy(),
            worker: UnsafeCell::new(Context::EMPTY),
            place: Cell::new(Place::Host),
            parting: Cell::new(Parting::Park),
            batch_end: Cell::new(0),
            expects_new: Cell::new(true),
            batch_cut: Cell::new(false),
            ring: UnsafeCell::new(Ring::new()),
            next: Cell::new(None),
            streak: Cell::new(0),
            gave_way_to_new: Cell::new(false),
            wheel: RefCell::new(Wheel::new(now)),
            clock: OnceCell::new(),
            own_code: Cell::new(0),
            idle: Cell::new(false),
            host: Cell::new(None),
            looking: Cell::new(Looking::NEW),
            mind_budget: Cell::new(false),
            hooks,
            spare: Spare::new(),
            dice,
        }
    }

    /// The worker of this thread, if it has one.
    #[inline(always)]
    pub(crate) fn current() -> Option<&'static Self> {
        // SAFETY: the worker clears the pointer on this thread before the `Local` goes. Callers
        // keep the reference no longer than the call they are in, and no actor outlives its worker.
        unsafe { Self::current_ptr().as_ref() }
    }

    /// As [`current`](Self::current), null for none: the pointer that [`enter`](Self::enter) was given, which is good
    /// for all that it is a part of.
    #[inline(always)]
    pub(crate) fn current_ptr() -> *const Self {
        LOCAL.get()
    }

    /// The running actor and its worker, if the caller is an actor on its own stack.
    #[inline(always)]
    pub(crate) fn running() -> Option<(&'static Self, &'static Slot)> {
        let local = Self::current()?;
        if local.place.get() != Place::Actor {
            return None;
        }
        local.home.pulse.running().map(|slot| (local, slot))
    }

    /// The actor on whose behalf this thread runs, be it on its own stack or on the worker's.
    #[inline(always)]
    pub(crate) fn on_behalf_of(&self) -> Option<&'static Slot> {
        let nobody = matches!(self.place.get(), Place::Host | Place::Worker);
        self.home.pulse.running().filter(|_| !nobody)
    }

    /// Notes that a future was pending, perhaps because the host's budget is spent.
    #[inline(always)]
    pub(crate) fn mind_budget(&self) {
        self.mind_budget.set(true);
    }

    /// Whether the turn is over because the host's budget is spent: other futures would only say that
    /// they are pending. To be asked before another actor runs, if a future was pending.
    #[inline(never)]
    pub(crate) fn ask_for_budget(&self) -> bool {
        let spent = host::with_reactor(|reactor| reactor.is_some_and(|reactor| reactor.budget_spent()));
        self.mind_budget.set(spent);
        spent
    }

    /// The time by which the wheel goes.
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        match self.clock.get() {
            None => clock::now(),
            Some(own) => clock::nanos(own.now()),
        }
    }

    /// Whose code runs.
    #[inline(always)]
    pub(crate) fn place(&self) -> Place {
        self.place.get()
    }

    /// Whether the monitor finds that the running slice has been too long.
    #[inline(always)]
    pub(crate) fn overdue(&self) -> bool {
        chaos::measures_slices() && self.home.pulse.overdue.load(Relaxed)
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
    /// `this` is valid until [`forget`](Self::forget), and so is whatever [`current_ptr`](Self::current_ptr)
    /// is cast to.
    pub(crate) unsafe fn enter<'a>(this: *const Self) -> Entered<'a> {
        let outer = LOCAL.replace(this);
        // SAFETY: see `current`, and above.
        let (polled, local) =
            unsafe { (outer.as_ref().is_some_and(|outer| outer.place.get() != Place::Host), &*this) };
        local.place.set(Place::Worker);
        let dice = local.dice.load();
        Entered { local, outer: if polled { outer } else { std::ptr::null() }, _dice: dice }
    }

    /// As [`enter`](Self::enter), if the worker [`stands_by`](Self::stands_by).
    #[inline(always)]
    pub(crate) fn enter_again(&self) -> Entered<'_> {
        debug_assert!(self.stands_by());
        self.place.set(Place::Worker);
        Entered { local: self, outer: std::ptr::null(), _dice: self.dice.load() }
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

    /// Takes back the actor that was queued last.
    pub(crate) fn take_last(&self) -> Option<&'static Slot> {
        self.with_ring(Ring::pop_last)
    }

    /// How many actors are queued.
    #[inline(always)]
    pub(crate) fn queued(&self) -> usize {
        self.with_ring(|ring| ring.len()) + usize::from(self.next.get().is_some())
    }

    /// Wakes an actor of this worker, on its thread.
    #[inline(always)]
    pub(crate) fn wake_own(&self, actor: &'static Slot) {
        match actor.seat.wake() {
            Woken::Schedule => self.queue_woken(actor),
            Woken::Nothing => {}
        }
    }

    /// Queues an actor that was woken on this thread: in the fast slot if an actor did it.
    #[inline(always)]
    fn queue_woken(&self, actor: &'static Slot) {
        if self.place.get() == Place::Actor {
            match self.next.replace(Some(actor)) {
                // SAFETY: it has just been woken at this worker, on its thread.
                None => unsafe { prefetch_frames(actor) },
                Some(earlier) => {
                    self.queue(earlier);
                    // SAFETY: as above.
                    self.with_ring(|ring| unsafe { prefetch_woken(ring, actor) });
                }
            }
        } else {
            self.queue_woken_by_host(actor);
        }
    }

    /// As [`queue_woken`](Self::queue_woken), if no actor did it. Apart, as what it calls would cost a wake registers.
    #[inline(never)]
    fn queue_woken_by_host(&self, actor: &'static Slot) {
        if self.idle.get() {
            self.next.set(Some(actor)); // nobody else is queued
            self.stir();
        } else {
            self.queue(actor);
        }
    }

    /// Tells the host that its idle worker has something to do. By the worker's own thread.
    #[inline(always)]
    pub(crate) fn stir(&self) {
        if self.idle.replace(false) {
            // Out of its place while it is woken: that may run code that comes back here. Cheaper
            // than a clone, which counts references.
            if let Some(waker) = self.host.take() {
                waker.wake_by_ref();
                self.host.set(Some(waker));
            }
        }
    }

    /// Whether the worker has told its host that it has nothing to do.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.set(idle);
    }

    /// Whether this worker is the thread's, as it is after a turn, and none is polled.
    #[inline(always)]
    pub(crate) fn stands_by(&self) -> bool {
        std::ptr::eq(LOCAL.get(), self) && self.place.get() == Place::Host
    }

    /// Whether this wakes the host.
    #[inline(always)]
    pub(crate) fn is_host(&self, waker: &Waker) -> bool {
        // SAFETY: the cell is this thread's, and comparing two wakers runs nobody's code.
        unsafe { &*self.host.as_ptr() }.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Remembers how to wake the host. Says whether that is news.
    pub(crate) fn set_host(&self, waker: &Waker) -> bool {
        if self.is_host(waker) {
            return false;
        }
        let old = self.host.replace(Some(waker.clone()));
        drop(old);
        true
    }

    #[inline(always)]
    fn with_ring<R>(&self, f: impl FnOnce(&mut Ring) -> R) -> R {
        // SAFETY: the ring belongs to the worker's thread, and the closures passed here, all in this
        // module, call nothing that comes back to the ring.
        f(unsafe { &mut *self.ring.get() })
    }

    /// Whether an actor is queued.
    #[inline(always)]
    pub(crate) fn has_queued(&self) -> bool {
        self.next.get().is_some() || self.with_ring(|ring| ring.len() > 0)
    }

    /// Takes the actor that was woken first while the worker was idle.
    #[inline(always)]
    pub(crate) fn take_first(&self) -> Option<&'static Slot> {
        let actor = self.next.get()?;
        self.next.set(None);
        Some(actor)
    }

    /// Takes the actor that shall run next.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<&'static Slot> {
        if chaos::on() {
            if chaos::take_choice()
                && let Some(chosen) = self.next.take()
            {
                return Some(chosen);
            }
            self.shuffle();
        }
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
            prefetch_ahead(ring);
            ring.pop()
        })
    }

    /// In chaos mode: wakes actors for nothing, and has any of those queued come next.
    #[cold]
    fn shuffle(&self) {
        while let Some(victim) = chaos::due(Some(self.tick())) {
            wake(victim);
        }
        if !self.has_queued() || !chaos::strikes(Kind::Order) {
            return;
        }
        if let Some(actor) = self.next.take() {
            self.queue(actor);
        }
        self.with_ring(|ring| ring.bring_forward(chaos::below(ring.len())));
    }

    /// In chaos mode, when nobody is queued: wakes all who are to be woken for nothing. Says whether somebody can run.
    pub(crate) fn wake_early(&self) -> bool {
        while let Some(victim) = chaos::due(None) {
            wake(victim);
        }
        self.has_queued()
    }

    /// Whether a new actor comes next, if there is one, because the last one gave way and nobody else is queued.
    #[inline(always)]
    pub(crate) fn gives_way_to_new(&self) -> bool {
        self.gave_way_to_new.get() && self.gave_way_to_new.replace(false)
    }

    /// Whether new actors have their turn at this tick.
    #[inline(always)]
    pub(crate) fn is_for_new(tick: u32) -> bool {
        chaos::by_tick(tick, 0).unwrap_or(tick).is_multiple_of(NEW_EVERY)
    }

    /// Whether the worker has to come in between because new actors have their turn at this tick: its own, or now
    /// and then those of others.
    #[inline(always)]
    fn comes_back(&self, tick: u32) -> bool {
        Self::is_for_new(tick)
            && (self.expects_new.get() || chaos::on() || tick.is_multiple_of(NEW_EVERY * OLDEST_EVERY))
    }

    /// The actor to hand over to, if the worker need not come in between.
    #[inline(always)]
    fn heir(&self) -> Option<&'static Slot> {
        let tick = self.tick();
        if tick == self.batch_end.get() || self.comes_back(tick) || self.overdue() {
            return None;
        }
        let heir = self.next()?;
        if heir.errand.get().is_null() {
            self.count(tick, heir);
            return Some(heir);
        }
        self.next.set(Some(heir)); // for the worker, which polls first
        chaos::keep_choice();
        None
    }

    /// Counts an actor that is about to run.
    #[inline(always)]
    pub(crate) fn count(&self, tick: u32, actor: &'static Slot) {
        self.home.pulse.switches.store(tick.wrapping_add(1), Relaxed);
        self.home.pulse.run(Some(actor));
        sim::ran(actor);
    }

    /// Ends the batch with the running slice, which has been too long, and has the next one begin with a new
    /// actor: each of those would otherwise wait for some such slices, and timers for a whole batch of them.
    pub(crate) fn end_batch(&self) {
        let next_new = self.tick().wrapping_add(NEW_EVERY - 1) / NEW_EVERY * NEW_EVERY;
        self.home.pulse.switches.store(next_new, Relaxed);
        self.batch_end.set(next_new);
        self.batch_cut.set(true);
    }

    /// How many actors have run.
    #[inline(always)]
    pub(crate) fn tick(&self) -> u32 {
        self.home.pulse.switches.load(Relaxed)
    }
}

/// Undoes [`Local::enter`].
pub(crate) struct Entered<'a> {
    local: &'a Local,
    /// The worker in the middle of whose poll this one is polled, or null. It cannot go meanwhile.
    outer: *const Local,
    _dice: chaos::Loaded<'a>,
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.local.place.set(Place::Host);
        if !self.outer.is_null() {
            LOCAL.set(self.outer);
        }
    }
}
