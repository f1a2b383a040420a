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
//! A worker that begins to run looks whether the monitor sleeps, and wakes it; then it says which
//! actor it runs. If it looked before (1), what it says can be seen long before (2), so the monitor
//! sees it; if later, it wakes the monitor. A pause in place of a fence: workers begin to run often,
//! and the monitor falls asleep rarely. While all sleep the monitor wakes only to give memory back, for some
//! seconds, and then is silent.

use std::io;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::actor::home::Home;
use crate::actor::record::Record;
use crate::actor::slot::Slot;
use crate::stack::trim;

/// In what time a tick comes while a worker runs, in halves of a slice.
const TICK: u32 = 1;
/// The same while all are at rest.
const REST_TICK: u32 = 2;
/// A slice that has been seen for so many halves is reported.
const STUCK: u32 = 200;
/// After so many ticks with all workers asleep the monitor makes no more, but to give memory back.
const IDLE: u32 = 5;

/// What workers see of the monitor.
#[derive(Default)]
pub(crate) struct Monitor {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
    stop: AtomicBool,
}

impl Monitor {
    /// Wakes the monitor if it sleeps. By a worker that has just marked itself awake.
    pub(crate) fn stir(&self) {
        if self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst) {
            self.unpark();
        }
    }

    /// Ends the monitor's thread.
    pub(crate) fn stop(&self) {
        self.stop.store(true, SeqCst);
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Starts the monitor of a runtime.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<thread::JoinHandle<()>> {
    let weak = Arc::downgrade(shared);
    let name = format!("{}-monitor", shared.settings.name);
    let handle = thread::Builder::new().name(name).stack_size(256 << 10).spawn(move || watch(&weak))?;
    // Only this call sets it.
    let _ = shared.monitor.thread.set(handle.thread().clone());
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
        if idle >= IDLE && !shared.monitor.asleep.load(SeqCst) {
            idle = 0; // a worker has woken it: from the beginning
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
        idle = if shared.homes.iter().all(|home| at_rest(home)) { idle + 1 } else { 0 };
        tick = if idle > 0 { REST_TICK } else { TICK };
        shared.monitor.asleep.store(idle >= IDLE, SeqCst); // step 1
        wanted |= idle == 0; // whatever ran may have left memory behind
        drop(shared);
        // A `stop` or `stir` since the looks above has left its token: then no pause is made.
        match idle {
            // Step 2 is the look after this pause.
            ..=IDLE => thread::park_timeout(slice * tick / 2),
            _ if wanted => thread::park_timeout(trim_due.saturating_duration_since(Instant::now())),
            _ => thread::park(),
        }
    }
}

/// Whether the worker sleeps, and runs nothing.
fn at_rest(home: &Home) -> bool {
    home.sleeps() && home.pulse.running().is_none()
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
