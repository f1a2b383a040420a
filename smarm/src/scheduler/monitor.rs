//! The monitor: a thread that looks after the workers while any of them is awake.
//!
//! Each tick it compares every worker's counters with those of the tick before. A tick comes twice in the time that a
//! slice may take, so that one that is too long is found before it has taken more; and once while all workers are at
//! rest, as each tick costs a sleep and a wake-up.
//!
//! | it sees | it does |
//! |---|---|
//! | the same slice as a tick ago | marks the worker overdue: `check!`, smarm's calls and, for actors that opted in, the allocator then yield |
//! | the same turn as a tick ago | likewise, which ends the turn |
//! | the same slice for a second | reports the actor once, and summons others for the worker's new actors |
//! | memory of stacks that nobody needed for a while | gives it back |
//!
//! # Protocol: sleep
//! 1. When all workers have been at rest for some ticks, the monitor marks itself asleep.
//! 2. A tick later it looks at them once more, and only then sleeps for good.
//!
//! A worker that begins to run says that it does not rest, and then looks whether the monitor sleeps, and wakes it. If
//! it looked before (1), what it said before that can be seen long before (2), so the monitor sees it; if later, it
//! wakes the monitor. A pause in place of a fence: workers begin to run often, and the monitor falls asleep rarely.
//! However long the worker is kept from running after its look, it does not rest until it says so.
//!
//! While all sleep the monitor wakes only to give memory back, for some seconds, and then is silent.
//!
//! Rejected: to go by which actor a worker runs. One that the system has taken its CPU from, between its look and its
//! first actor, for as long as the pause lasts, would run that actor unseen.

#[cfg(all(test, smarm_loom))]
mod models;

use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::threads::start_thread;
use crate::actor::home::{Home, Pulse};
use crate::actor::record::Record;
use crate::actor::slot::Slot;
use crate::primitive::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use crate::primitive::{Step, light_fence, omits};
use crate::stack::trim;

/// In what time a tick comes while a worker runs, in halves of a slice.
const TICK: u32 = 1;
/// The same while all are at rest.
const REST_TICK: u32 = 2;
/// A slice that has been seen for so many halves is reported.
const STUCK: u32 = 200;
/// After so many ticks with all workers asleep the monitor makes no more, but to give memory back.
const IDLE: u32 = if cfg!(all(test, smarm_loom)) { 1 } else { 5 };

/// What workers see of the monitor.
#[derive(Default)]
pub(crate) struct Monitor {
    waker: OnceLock<Waker>,
    asleep: AtomicBool,
    stop: AtomicBool,
}

impl Monitor {
    /// Says that a worker rests no more, and wakes the monitor if it sleeps. By that worker.
    #[inline(always)]
    pub(crate) fn stir(&self, pulse: &Pulse) {
        pulse.rest(false);
        // The other half is the pause before step 2.
        light_fence();
        if self.asleep.load(Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        if self.asleep.swap(false, SeqCst) {
            self.unpark();
        }
    }

    /// Step 1, and says whether this is step 2 and the monitor is to sleep for good. `idle` counts for how many ticks
    /// all workers have been at rest. By the monitor.
    fn drowse(&self, idle: &mut u32, at_rest: impl FnOnce() -> bool) -> bool {
        if *idle >= IDLE && !self.asleep.load(SeqCst) {
            *idle = 0; // a worker has woken it: from the beginning
        }
        *idle = if at_rest() { idle.saturating_add(1) } else { 0 };
        self.asleep.store(*idle >= IDLE, SeqCst);
        *idle > IDLE || omits(Step::LookOnceMore) && *idle == IDLE
    }

    /// Ends the monitor's thread.
    pub(crate) fn stop(&self) {
        self.stop.store(true, SeqCst);
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// Unparks the monitor.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Starts the monitor of a runtime.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<thread::JoinHandle<()>> {
    let weak = Arc::downgrade(shared);
    let name = format!("{}-monitor", shared.settings.name);
    let thread = thread::Builder::new().name(name).stack_size(256 << 10);
    let handle = start_thread(thread, || Ok(()), move |()| watch(&weak))?;
    // Only this call sets it.
    let _ = shared.monitor.waker.set(Arc::new(Unpark(handle.thread().clone())).into());
    Ok(handle)
}

/// What the monitor remembers of a worker.
#[derive(Default, Clone)]
struct Seen {
    switches: u32,
    turns: u64,
    /// For how long the same slice has been running, in halves of what it may.
    slice: u32,
    /// The slice has been reported.
    reported: bool,
}

fn watch(shared: &Weak<Shared>) {
    let Some(slice) = shared.upgrade().map(|shared| shared.settings.slice) else { return };
    let mut seen = Vec::new();
    // When to look after memory next, and whether to do so even if all sleep.
    let (mut trim_due, mut wanted) = (Instant::now(), true);
    // For how many ticks all workers have been asleep.
    let mut idle = 0_u32;
    let mut tick = TICK;
    loop {
        // Only weakly held between ticks: the monitor does not keep a runtime alive.
        let Some(shared) = shared.upgrade() else { return };
        if shared.monitor.stop.load(SeqCst) {
            return;
        }
        seen.resize(shared.homes.len(), Seen::default());
        for (home, seen) in shared.homes.iter().zip(&mut seen) {
            look(&shared, home, seen, tick);
        }
        if trim_due <= Instant::now() {
            let next = trim::tick();
            trim_due = Instant::now() + next.unwrap_or(trim::PERIOD);
            wanted = next.is_some();
        }
        let for_good = shared.monitor.drowse(&mut idle, || shared.homes.iter().all(|home| at_rest(home)));
        tick = if idle > 0 { REST_TICK } else { TICK };
        wanted |= idle == 0; // whatever ran may have left memory behind
        drop(shared);
        // A `stop` or `stir` since the looks above has left its token: then no pause is made.
        match for_good {
            // Step 2 is the look after this pause.
            false => thread::park_timeout(slice * tick / 2),
            true if wanted => thread::park_timeout(trim_due.saturating_duration_since(Instant::now())),
            true => thread::park(),
        }
    }
}

/// Whether the worker sleeps, and has nothing to run. The announcement of a single worker's sleep stands while it runs.
fn at_rest(home: &Home) -> bool {
    home.sleeps() && home.pulse.rests()
}

/// Looks at a worker, `passed` halves of a slice after the last time.
fn look(shared: &Shared, home: &Home, seen: &mut Seen, passed: u32) {
    let pulse = &home.pulse;
    let (switches, turns) = (pulse.switches.load(Relaxed), pulse.turns.load(Relaxed));
    let running = pulse.running();
    if at_rest(home) {
        *seen = Seen { switches, turns, ..Seen::default() };
        return;
    }
    let same_slice = switches == seen.switches && running.is_some();
    if same_slice || turns == seen.turns {
        pulse.overdue.store(true, Relaxed);
    }
    *seen = match same_slice {
        true => Seen { switches, turns, slice: seen.slice + passed, reported: seen.reported },
        false => Seen { switches, turns, ..Seen::default() },
    };
    if same_slice && shared.has_new() {
        shared.summon();
    }
    if let Some(actor) = running
        && seen.slice >= STUCK
        && !seen.reported
    {
        seen.reported = true;
        report(actor, shared.settings.slice * (STUCK / 2));
    }
}

/// Says once that an actor keeps its worker busy.
fn report(actor: &Slot, time: Duration) {
    let mut name = [0; 32];
    let length = Record::visible_name(actor.index(), &mut name);
    let name = String::from_utf8_lossy(&name[..length]);
    eprintln!(
        "smarm: actor {} \"{name}\" has kept its worker for {time:?} without a switch; other actors of that worker wait. \
         Move a blocking call into `smarm::io::block_on_io`, or put `smarm::check!()` into a long computation",
        actor.pid(),
    );
}
