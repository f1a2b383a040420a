//! A worker at work.
//!
//! # A turn
//! 1. Timers that are due wake their actors, and the inbox empties into the run queue.
//! 2. Actors run in batches: mostly started ones, now and then a new one. After each batch step 1 is
//!    done again.
//! 3. The turn ends when its time is over (then the host looks after its own affairs and polls
//!    again), when the host's budget is spent, or when nothing can run.
//! 4. In the last case the worker searches for new actors elsewhere, perhaps spins, then sleeps.
//!
//! A clock read costs more than a switch, so a batch is as long as fits a tenth of a turn by the
//! measure of the batches before, and a turn that runs dry within its first batch reads no clock.
//! Should one actor suddenly compute, the monitor's `overdue` mark ends the batch.

#[cfg(all(test, smarm_loom, smarm_shuttle))]
mod compositions;
mod fresh;
mod idle;
#[cfg(all(test, smarm_loom))]
mod models;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use self::idle::SPIN_RETRY;
use super::shared::Shared;
use crate::actor::local::{self, Local, NEW_EVERY};
use crate::actor::park::rouse;
use crate::actor::slot::{self, Slot};
use crate::actor::state::Freed;
use crate::chaos::{self, Dice, Kind};
use crate::host::{self, Clock, Reactor, Turn, native};
use crate::primitive::atomic::Ordering::{Relaxed, Release};
use crate::primitive::deque::Worker as Deque;
use crate::primitive::{Step, omits};
use crate::sim;
use crate::stack::poison;
use crate::stack::pool::{self, LocalPool};
use crate::timer::clock;
use crate::timer::due::Due;

/// How long a turn lasts, in nanoseconds.
const TURN: u64 = 200_000;
/// How long a batch should last, in nanoseconds.
const BATCH: u64 = TURN / 10;
/// The first batch, in actors.
const FIRST_BATCH: u32 = 64;
/// The longest batch, in actors.
const LONGEST_BATCH: u32 = 1024;
/// So many timers that are due are taken out of the wheel before the first of them is minded.
const TIMERS_AT_ONCE: usize = 16;

/// What a worker is made of. Its address stays the same, as actors and the thread point to it.
#[repr(C)]
pub(crate) struct Core {
    // First: see `current`.
    pub(crate) local: Local,
    pub(crate) shared: Arc<Shared>,
    pub(super) index: usize,
    /// New actors of a single worker, from whom nobody steals: newest last.
    fresh: RefCell<VecDeque<u32>>,
    /// New actors, open to thieves at its other end.
    deque: Deque<u32>,
    pool: RefCell<LocalPool>,
    /// Actors that this worker has started and that have not ended.
    pub(super) started: Cell<usize>,
    /// How many actors the next batch runs.
    batch: Cell<u32>,
    /// An actor that was made to yield: it is queued again when timers and mail have been taken in.
    yielded: Cell<Option<&'static Slot>>,
    /// The worker that was looked at last for new actors that it has too many of.
    neighbour: Cell<usize>,
    searching: Cell<bool>,
    asleep: Cell<bool>,
    /// The worker is a single one, and asleep: see [`short_turn`](Self::short_turn).
    takes_short_turns: Cell<bool>,
    /// The kill that a shutdown brings has been spread.
    stopped: Cell<bool>,
    /// Whether the host wants spinning, and how it paid: above 0 it did.
    spin: Cell<Option<u32>>,
    /// Spins from turn to turn instead of in one.
    spins_between_turns: Cell<bool>,
    /// Since when it spins from turn to turn, in nanoseconds; 0 if it does not.
    spinning: Cell<u64>,
    /// How many sleeps from one trial of spinning to the next, and how many are left.
    spin_retry: Cell<u32>,
    spinless: Cell<u32>,
}

/// The worker of this thread, if it has one.
#[inline(always)]
pub(crate) fn current() -> Option<&'static Core> {
    // SAFETY: every `Local` is the first field of a `Core`, and `enter` is given a pointer to the
    // whole of it. For the rest, as for `Local::current`.
    unsafe { Local::current_ptr().cast::<Core>().as_ref() }
}

/// What became of a [short turn](Core::short_turn).
pub(super) enum Short {
    /// There is none to be taken.
    NotTaken,
    /// The worker is idle again.
    Idle,
    /// There is more to do.
    Cut,
}

/// How a batch ended.
enum Batch {
    /// It has run as many actors as it should.
    Full,
    /// No further actor can run.
    Dry,
    /// The monitor found it too long, or the host's budget is spent: the turn is over.
    Cut,
}

/// When a turn looked at the clock. A short one need not.
#[derive(Default)]
struct Watch {
    first: Option<u64>,
    last: Option<u64>,
}

impl Watch {
    fn read(&mut self) -> u64 {
        let now = clock::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        now
    }
}

/// How many turns a worker that is dropped before its runtime has shut down gives its actors to end.
const LAST_TURNS: u32 = 10_000;

impl Core {
    pub(super) fn new(shared: Arc<Shared>, index: usize, deque: Deque<u32>) -> Self {
        let now = shared.paused.as_ref().map_or_else(clock::now, |paused| clock::nanos(paused.now()));
        let dice = Dice::new(shared.settings.chaos, index);
        let local = Local::new(shared.homes[index], now, shared.settings.hooks.0.clone(), dice);
        if let Some(paused) = &shared.paused {
            let (Ok(()) | Err(_)) = local.clock.set(paused.clone()); // it has none so far
        }
        Self {
            local,
            index,
            fresh: RefCell::default(),
            deque,
            pool: RefCell::new(LocalPool::new()),
            started: Cell::new(0),
            batch: Cell::new(FIRST_BATCH),
            yielded: Cell::new(None),
            neighbour: Cell::new(index),
            searching: Cell::new(false),
            asleep: Cell::new(false),
            takes_short_turns: Cell::new(false),
            stopped: Cell::new(false),
            spin: Cell::new(None),
            spins_between_turns: Cell::new(false),
            spinning: Cell::new(0),
            spin_retry: Cell::new(SPIN_RETRY),
            spinless: Cell::new(0),
            shared,
        }
    }

    /// Says that there is nothing to do before `deadline`, and waits in the epoll for what there will be,
    /// without taking that out; the time of a paused clock may leap.
    pub(super) fn rest(&self, deadline: Option<Instant>, epoll: BorrowedFd<'_>) {
        let paused = self.shared.paused.as_ref().expect("only a worker with a paused clock rests");
        match paused.rest(&self.shared, self.index, deadline, epoll) {
            Ok(true) => {}
            Ok(false) => native::wait_for_report(epoll),
            Err(error) => panic!("smarm: a paused clock needs a duplicate of the epoll: {error}"),
        }
        paused.rise(self.index);
    }

    /// Whether the host wants spinning, and where.
    pub(super) fn spin_before_sleep(&self, spin: bool, between_turns: bool) {
        self.spin.set(spin.then_some(0));
        self.spins_between_turns.set(spin && between_turns);
    }

    pub(super) fn enter(&self) -> local::Entered<'_> {
        // SAFETY: the pointer is to the whole core, whose first field is the `Local`.
        unsafe { Local::enter(std::ptr::from_ref(self).cast()) }
    }

    #[inline(always)]
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let timer = if self.has_timers() { self.local.wheel.borrow().next_deadline() } else { None };
        sim::sooner(timer).and_then(clock::instant)
    }

    /// Ends all actors of a worker whose host has given it up, and its runtime: actors for this
    /// worker could never run. The last worker also ends the new ones that nobody has taken.
    /// `false` if some would not end.
    pub(super) fn wind_up(&self, reactor: Option<&dyn Reactor>, last: bool) -> bool {
        self.shared.stop();
        let none = || {
            let no_new = self.deque.is_empty() && self.fresh.borrow().is_empty();
            self.started.get() == 0 && no_new && !self.local.home.has_mail()
        };
        let over = || none() && (!last || self.shared.live() == 0);
        if over() {
            return true;
        }
        // SAFETY: the guard goes at the end of this function, before the reactor and in reverse order.
        let _reactor = reactor.map(|reactor| unsafe { host::enter(reactor) });
        let _entered = self.enter();
        for _ in 0..LAST_TURNS {
            let _ = self.turn();
            if over() {
                return true;
            }
            if none() {
                std::thread::yield_now(); // a spawner that was admitted before the stop has yet to push
            }
        }
        none()
    }

    /// The turn of a single worker that was idle and in which an actor was woken since, as when an
    /// actor and a task talk to each other: what matters of a turn then, in a quarter of the
    /// instructions. Unless it says that the worker is idle again, there is or remains more to do; see
    /// [`after_short_turn`](Self::after_short_turn).
    ///
    /// The clock is not read. If there are timers, one turn in [`NEW_EVERY`] is a whole one, so those that
    /// are due wait for so many actors at most, as they do within a batch.
    #[inline(always)]
    pub(super) fn short_turn(&self) -> Short {
        let (local, shared) = (&self.local, &*self.shared);
        let (home, tick) = (local.home, local.tick());
        if !self.takes_short_turns.get() {
            return Short::NotTaken;
        }
        if tick.is_multiple_of(NEW_EVERY) && self.has_timers() {
            return Short::NotTaken;
        }
        let Some(actor) = local.take_first() else { return Short::NotTaken };
        shared.monitor.stir(&home.pulse);
        self.begin_turn();
        local.batch_end.set(tick.wrapping_add(self.batch.get()));
        local.count(tick, actor);
        // SAFETY: this is the worker, on its own stack, and the actor came out of its queue.
        if let Some(ended) = unsafe { local.resume(actor) } {
            self.bury(ended);
        }
        home.pulse.run(None);
        // While the announcement of the sleep stands, whoever has brought something from elsewhere has yet to wake the
        // host, and will: its queues need no look.
        let nothing = !local.has_queued() && !local.expects_new.get() && home.sleeps();
        if nothing && !local.overdue() && !shared.stopping() {
            home.pulse.rest(true);
            local.set_idle(true);
            return Short::Idle;
        }
        Short::Cut
    }

    /// Whether the turn is over with a short one that was cut; else a whole one does the rest.
    #[cold]
    pub(super) fn after_short_turn(&self) -> Option<Turn> {
        self.budget_spent().then_some(Turn::Busy)
    }

    /// Whether a timer is set.
    #[inline(always)]
    pub(super) fn has_timers(&self) -> bool {
        // SAFETY: nothing changes the wheel before the reference goes. Cheaper than to count it.
        unsafe { self.local.wheel.try_borrow_unguarded() }.map_or(true, |wheel| !wheel.is_empty())
    }

    #[inline(always)]
    fn begin_turn(&self) {
        let pulse = &self.local.home.pulse;
        pulse.turns.store(pulse.turns.load(Relaxed).wrapping_add(1), Relaxed);
        self.local.mind_budget.set(false);
    }

    pub(super) fn turn(&self) -> Turn {
        self.begin_turn();
        self.rise();
        if self.is_spinning() {
            self.look_up();
        }
        let mut watch = Watch::default();
        loop {
            self.take_in(&mut watch);
            match self.run_batch() {
                Batch::Full if self.is_over(&mut watch) => return Turn::Busy,
                Batch::Full => {}
                Batch::Cut => return Turn::Busy,
                Batch::Dry => {
                    if let Some(turn) = self.run_dry() {
                        return turn;
                    }
                }
            }
        }
    }

    /// Reads the clock after a full batch: chooses the length of the next one by what this one took,
    /// and says whether the turn has lasted long enough.
    fn is_over(&self, watch: &mut Watch) -> bool {
        if let Some(over) = sim::is_turn_over(self.local.tick()) {
            return over;
        }
        let before = watch.last;
        let now = watch.read();
        if let Some(before) = before
            && chaos::measures_slices()
        {
            let batch = self.batch.get();
            if now - before > BATCH {
                self.batch.set((batch / 2).max(1));
            } else if now - before < BATCH / 2 {
                self.batch.set((batch * 2).min(LONGEST_BATCH));
            }
        }
        watch.first.is_some_and(|first| now >= first + TURN)
    }

    /// Step 1 of a turn.
    fn take_in(&self, watch: &mut Watch) {
        let local = &self.local;
        if local.home.has_mail() && !chaos::strikes(Kind::Inbox) {
            local.home.take(|actor| {
                if actor.seat.home().is_none() {
                    self.start(actor); // sent to this very worker
                    local.queue(actor);
                } else {
                    sim::mail_came();
                    self.take_mail(actor);
                }
            });
        }
        sim::deliver();
        if !local.wheel.borrow().is_empty() {
            // A clock of the worker's own tells nothing about the length of the turn.
            let now = if local.clock.get().is_none() { watch.read() } else { local.now() };
            local.take_returned();
            let due = local.wheel.borrow_mut().pop_expired(now);
            if let Some(first) = due {
                self.fire(first, now);
            }
        }
        if let Some(actor) = self.yielded.take() {
            local.queue(actor);
        }
        if self.shared.stopping() && !self.stopped.get() {
            self.stopped.set(true);
            self.kill_all();
        }
    }

    /// Wakes and rings whom timers are due for, some at a time: each has been anywhere in memory since its timer was
    /// set, and is fetched while others are taken out of the wheel.
    #[inline(never)]
    fn fire(&self, first: Due, now: u64) {
        let local = &self.local;
        let mut batch = [const { None }; TIMERS_AT_ONCE];
        batch[0] = Some(first);
        let mut filled = 1;
        loop {
            while filled < TIMERS_AT_ONCE
                && let Some(due) = local.wheel.borrow_mut().pop_expired(now)
            {
                local::prefetch(&due);
                batch[filled] = Some(due);
                filled += 1;
            }
            for due in batch[..filled].iter_mut().filter_map(Option::take) {
                match due {
                    Due::Actor(pid) => local::wake_ahead(local, pid),
                    Due::Task(waker) => rouse(waker),
                    Due::Alarm(alarm) => local.ring(alarm),
                }
            }
            if filled < TIMERS_AT_ONCE {
                return;
            }
            filled = 0;
        }
    }

    /// Step 2 of a turn.
    #[inline(never)] // a loop with the registers for itself
    fn run_batch(&self) -> Batch {
        let local = &self.local;
        let pulse = &local.home.pulse;
        let batch =
            chaos::by_tick(local.tick(), 1).map_or(self.batch.get(), |number| number % FIRST_BATCH + 1);
        let batch_end = local.tick().wrapping_add(batch);
        local.batch_end.set(batch_end);
        let own = !self.fresh.borrow().is_empty() || !self.deque.is_empty();
        local.expects_new.set(own || self.shared.has_injected());
        local.batch_cut.set(false);
        let mut end = Batch::Full;
        while local.tick() != local.batch_end.get() {
            let tick = local.tick();
            let Some(actor) = self.next(tick) else {
                end = Batch::Dry;
                break;
            };
            if self.searching.get() {
                self.stop_searching(); // summoned, and found something before it had to search
            }
            local.count(tick, actor);
            // SAFETY: this is the worker, on its own stack, and the actor came out of its queue or
            // was new and has been started by it.
            if let Some(ended) = unsafe { local.resume(actor) } {
                self.bury(ended);
            }
            if local.overdue() || self.budget_spent() {
                pulse.overdue.store(false, Relaxed);
                end = Batch::Cut;
                break;
            }
        }
        pulse.run(None);
        if !local.batch_cut.get() {
            return end;
        }
        // The actor that was made to yield was queued just now.
        self.yielded.set(local.take_last());
        self.batch.set(1); // to be measured anew
        Batch::Cut
    }

    /// Whether the host's budget is spent while another actor could run: it would wait for nothing.
    #[inline(always)]
    fn budget_spent(&self) -> bool {
        let more = || self.local.has_queued() || !self.fresh.borrow().is_empty() || !self.deque.is_empty();
        self.local.mind_budget.get() && more() && self.local.ask_for_budget()
    }

    /// Takes the actor to run next, starting it if it is new.
    #[inline(always)]
    fn next(&self, tick: u32) -> Option<&'static Slot> {
        // Beside others, a new actor is left for who would otherwise have nothing to run.
        let is_for_new = Local::is_for_new(tick) || self.local.gives_way_to_new() && self.shared.is_single();
        if !is_for_new && let Some(actor) = self.local.next() {
            return Some(actor);
        }
        let mut new = self.next_new(tick);
        if Local::is_for_new(tick) && !self.shared.is_single() {
            new = self.even_out(new);
        }
        match new {
            Some(index) => {
                let actor = slot::slot(index);
                self.start(actor);
                Some(actor)
            }
            None => self.local.next(),
        }
    }

    /// Wakes an actor that was woken or killed from elsewhere.
    fn take_mail(&self, actor: &'static Slot) {
        if actor.state.take_mail().live() {
            if self.spin.get().is_some() {
                self.local.allow_looking();
            }
            self.local.wake_own(actor);
        } else {
            self.free(actor, actor.state.free_posted(self.shared.settings.last_generation));
        }
    }

    /// Frees the slot and the stack of an actor that has ended.
    #[inline(always)]
    fn bury(&self, actor: &'static Slot) {
        sim::ended(actor);
        let freed = actor.state.free(self.shared.settings.last_generation, actor.seat.exposed());
        self.free(actor, freed);
    }

    #[inline(always)]
    fn free(&self, actor: &'static Slot, freed: Freed) {
        match freed {
            // SAFETY: the actor has ended and left its stack, and nobody will look for it here.
            Freed::Reusable => unsafe {
                if chaos::strikes(Kind::Poison) {
                    poison::fill(actor.index());
                }
                self.pool.borrow_mut().release(actor.index());
            },
            // SAFETY: as above.
            Freed::UsedUp => unsafe { pool::retire(actor.index()) },
            Freed::Posted => return,
        }
        self.count_end();
    }

    /// Counts an actor that has ended here.
    #[inline(always)]
    fn count_end(&self) {
        self.started.set(self.started.get() - 1);
        let ended = &self.local.home.pulse.ended;
        ended.store(ended.load(Relaxed) + 1, Release);
        if self.shared.stopping() && !omits(Step::LastEnd) && self.shared.live() == 0 {
            self.shared.wake_all();
        }
    }

    /// Kills every actor that this worker has started.
    fn kill_all(&self) {
        for actor in slot::all() {
            let seen = actor.state.load();
            if seen.live() && actor.seat.is_at(self.local.home) {
                local::kill(actor.pid());
            }
        }
    }
}
