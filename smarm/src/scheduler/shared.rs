//! What the workers of one runtime share: the injector, the deques' stealing ends, and who sleeps.
//!
//! # Protocol: a new actor finds a worker
//! 1. The spawner pushes the actor (deque or injector), then looks whether somebody sleeps and
//!    nobody searches. If so it summons one sleeper, which counts as searching from then on.
//! 2. A worker that runs dry searches. When it finds something and was the last to search, it
//!    summons another if there is more: so a burst wakes workers one after the other.
//! 3. A worker that found nothing goes to sleep: it marks itself asleep, counts itself among the
//!    sleepers, stops counting as searching, and then looks at every queue once more.
//!
//! # Why no new actor is forgotten
//! Push and look in (1), and count and look in (3), are separated by sequentially consistent
//! operations. Either the spawner sees a sleeper and no searcher, and summons; or it sees a searcher,
//! who has yet to do the last look of (3) or the hand-on of (2); or it sees no sleeper, and then
//! every worker has the last look of (3) before it.
//!
//! # Protocol: a new actor for a worker that goes
//! A host may drop its worker while the runtime lives, which stops the runtime. A spawner that was admitted before
//! puts its actor somewhere after.
//! 1. Who spawns for a certain worker pushes the actor into its inbox, and then looks whether that has left.
//! 2. A worker that goes marks itself as having left, and then looks at its inbox once more.
//!
//! Both push and mark are sequentially consistent, so one of the two finds the actor. It hands that to the injector,
//! for those who are left to start and to kill. When nobody is, which is found in the same way, whoever finds that
//! [takes care](super::worker::take_care) of it.

use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::monitor::Monitor;
use super::paused::PausedClock;
use crate::actor::home::Home;
use crate::actor::park::rouse;
use crate::actor::slot::Slot;
use crate::chaos::Choice;
use crate::hooks::Installed;
use crate::primitive::atomic::{
    AtomicBool, AtomicU8, AtomicUsize,
    Ordering::{Acquire, Relaxed, SeqCst},
    fence,
};
use crate::primitive::deque::{self, Injector, Steal, Stealer};
use crate::primitive::{Mutex, Step, omits};
use crate::stack::area::Area;
use crate::stack::guard::Guard;

/// Spawns are accepted.
const OPEN: u8 = 0;
/// Spawns are refused, and all actors are being killed.
const STOPPING: u8 = 1;

/// What the workers need to know of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// Where the stacks of actors that ask for nothing else come from.
    pub(crate) area: Area,
    pub(crate) guard: Guard,
    pub(crate) slice: Duration,
    /// The last generation that a slot may have: smaller in tests.
    pub(crate) last_generation: u64,
    pub(crate) hooks: Installed,
    pub(crate) chaos: Choice,
    /// The clock stands still and leaps.
    pub(crate) paused: bool,
}

/// See the module doc.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) homes: Box<[&'static Home]>,
    injector: Injector<u32>,
    stealers: Box<[Stealer<u32>]>,
    /// Workers that sleep, or are about to. A single worker counts as sleeping always: its home
    /// tells, and those who inject look there.
    sleeping: AtomicUsize,
    /// Workers that look for new actors.
    searching: AtomicUsize,
    phase: AtomicU8,
    /// Actors spawned by threads that are no workers of this runtime.
    spawned_outside: AtomicUsize,
    /// Spawns from outside that turned out to be refused.
    refused_outside: AtomicUsize,
    /// Stacks with live frames that were given up.
    pub(crate) leaked: AtomicUsize,
    /// Workers that have gone or are about to.
    workers_leaving: AtomicUsize,
    /// Of each worker: whether nobody empties its inbox any more.
    left: Box<[AtomicBool]>,
    /// How often somebody was asked to take care of what came after all workers.
    pub(super) asked_to_care: AtomicUsize,
    workers_gone: Mutex<Gone>,
    pub(crate) monitor: Monitor,
    pub(crate) paused: Option<Arc<PausedClock>>,
}

/// How many workers have gone, and who waits for all.
#[derive(Default)]
struct Gone {
    count: usize,
    waiting: Vec<Waker>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, stealers: Vec<Stealer<u32>>) -> Self {
        let homes: Box<[&'static Home]> = stealers.iter().map(|_| Home::claim()).collect();
        Self {
            left: homes.iter().map(|_| AtomicBool::new(false)).collect(),
            asked_to_care: AtomicUsize::new(0),
            paused: settings.paused.then(|| PausedClock::new(homes.clone())),
            settings,
            homes,
            injector: Injector::new(),
            sleeping: AtomicUsize::new(usize::from(stealers.len() == 1)),
            stealers: stealers.into(),
            searching: AtomicUsize::new(0),
            phase: AtomicU8::new(OPEN),
            spawned_outside: AtomicUsize::new(0),
            refused_outside: AtomicUsize::new(0),
            leaked: AtomicUsize::new(0),
            workers_leaving: AtomicUsize::new(0),
            workers_gone: Mutex::default(),
            monitor: Monitor::default(),
        }
    }

    /// Whether spawns are refused.
    #[inline(always)]
    pub(crate) fn stopping(&self) -> bool {
        self.phase.load(Relaxed) == STOPPING
    }

    /// Refuses spawns from now on and has every worker kill its actors.
    pub(crate) fn stop(&self) {
        if self.phase.swap(STOPPING, SeqCst) == OPEN {
            self.wake_all();
        }
    }

    /// Wakes every worker, so that it looks at `stopping` and `live`.
    pub(crate) fn wake_all(&self) {
        for home in &self.homes {
            home.wake_host();
        }
    }

    /// How many actors have been spawned and have not ended.
    ///
    /// If it gives 0 then there was a moment without actors: what has ended is read first, and
    /// an actor counts as ended after those that it spawned count as spawned.
    pub(crate) fn live(&self) -> usize {
        let sum = |count: fn(&Home) -> usize| self.homes.iter().map(|home| count(home)).sum::<usize>();
        let ended = sum(|home| home.pulse.ended.load(Acquire)) + self.refused_outside.load(SeqCst);
        let spawned = sum(|home| home.pulse.spawned.load(Acquire)) + self.spawned_outside.load(SeqCst);
        spawned.saturating_sub(ended)
    }

    /// Counts an actor that is to be spawned from outside. `false` if spawns are refused.
    #[must_use]
    pub(crate) fn admit_outside(&self) -> bool {
        self.spawned_outside.fetch_add(1, SeqCst);
        if self.phase.load(SeqCst) == OPEN {
            return true;
        }
        self.refuse_outside();
        false
    }

    /// Takes back an [`admit_outside`](Self::admit_outside).
    fn refuse_outside(&self) {
        self.refused_outside.fetch_add(1, SeqCst);
        if self.stopping() {
            self.wake_all();
        }
    }

    /// Hands a new actor from outside to whichever worker comes first.
    pub(crate) fn inject(&self, actor: u32) {
        self.injector.push(actor);
        self.summon_for_new();
    }

    /// Hands a new actor from outside to this worker.
    pub(crate) fn send(&self, worker: usize, actor: &'static Slot) {
        let home = self.homes[worker];
        if home.push(actor) {
            home.rouse();
        } // else somebody else has woken that worker
        // SeqCst, as the push: pairs with `leave`.
        if self.left[worker].load(SeqCst) {
            self.forward(worker);
        }
    }

    /// Marks a worker as one that starts no more actors.
    pub(super) fn leave(&self, worker: usize) {
        self.left[worker].store(true, SeqCst); // false => true. Pairs with `send`.
        if !omits(Step::LookAfterLeaving) && self.homes[worker].has_mail() {
            self.forward(worker);
        }
    }

    /// Hands new actors for a worker that has left to the others.
    #[cold]
    fn forward(&self, worker: usize) {
        self.homes[worker].take(|actor| {
            // Else it is mail for one that was leaked.
            if actor.seat.home().is_none() {
                self.inject(actor.index());
            }
        });
    }

    /// Whether there are new actors although all workers have gone.
    pub(super) fn is_orphaned(&self) -> bool {
        let gone = self.workers_gone.lock().unwrap_or_else(PoisonError::into_inner).count;
        gone >= self.homes.len() && self.has_new()
    }

    /// Step 1 of the protocol, after the push.
    #[inline(always)]
    pub(crate) fn summon_for_new(&self) {
        fence(SeqCst);
        if self.sleeping.load(Relaxed) > 0 && self.searching.load(Relaxed) == 0 {
            self.summon();
        }
    }

    /// Wakes one sleeping worker to search.
    #[cold]
    pub(crate) fn summon(&self) {
        loop {
            // Counted before it is awake, so that the count never falls below the truth.
            self.searching.fetch_add(1, SeqCst);
            if let Some(home) = self.homes.iter().find(|home| home.summon()) {
                return home.wake_host();
            }
            // Nobody slept. Others may have relied on this call meanwhile.
            let relied_upon = self.searching.fetch_sub(1, SeqCst) == 1 && self.has_new();
            if !relied_upon || !self.homes.iter().any(|home| home.sleeps()) {
                return;
            }
        }
    }

    /// Counts the caller as searching.
    pub(crate) fn begin_search(&self) {
        self.searching.fetch_add(1, SeqCst);
    }

    /// Takes back one of two counts of the caller, who goes on searching.
    pub(crate) fn uncount_search(&self) {
        self.searching.fetch_sub(1, SeqCst);
    }

    /// Step 2: the caller has found something to do and searches no more.
    pub(crate) fn end_search(&self) {
        if self.searching.fetch_sub(1, SeqCst) == 1 && self.has_new() && self.sleeping.load(SeqCst) > 0 {
            self.summon();
        }
    }

    /// Step 3, once `Home::fall_asleep` is done: the caller sleeps and searches no more.
    pub(crate) fn sleep(&self, searching: bool) {
        if !self.is_single() {
            self.sleeping.fetch_add(1, SeqCst);
        }
        if searching {
            self.searching.fetch_sub(1, SeqCst);
        }
    }

    /// The caller, who has this home, sleeps no more.
    pub(crate) fn rise(&self, home: &Home) {
        if !self.is_single() {
            self.sleeping.fetch_sub(1, SeqCst);
        }
        self.monitor.stir(&home.pulse);
    }

    /// Whether there is one worker only.
    #[inline(always)]
    pub(crate) fn is_single(&self) -> bool {
        self.homes.len() == 1
    }

    /// Whether an actor that has not started lies in the injector.
    #[inline(always)]
    pub(crate) fn has_injected(&self) -> bool {
        !self.injector.is_empty()
    }

    /// Whether an actor that has not started lies in any deque or in the injector.
    pub(crate) fn has_new(&self) -> bool {
        self.has_new_beside(usize::MAX)
    }

    /// As [`has_new`](Self::has_new), but for the deque of worker `own`, who knows it to be empty.
    #[inline(always)]
    pub(crate) fn has_new_beside(&self, own: usize) -> bool {
        let others = || self.stealers.iter().enumerate().filter(|(index, _)| *index != own);
        self.has_injected() || others().any(|(_, stealer)| !stealer.is_empty())
    }

    /// Takes a new actor from the injector, and some more into `deque`.
    #[inline(always)]
    pub(crate) fn take_injected(&self, deque: &deque::Worker<u32>) -> Option<u32> {
        if self.injector.is_empty() {
            return None;
        }
        retry(|| self.injector.steal_batch_and_pop(deque))
    }

    /// Takes the oldest new actor from the deque of worker `from`.
    pub(crate) fn steal(&self, from: usize) -> Option<u32> {
        let stealer = &self.stealers[from];
        if stealer.is_empty() {
            return None;
        }
        retry(|| stealer.steal())
    }

    /// Counts a worker that will be gone soon. Says whether it is the last, or comes after that.
    #[must_use]
    pub(crate) fn worker_leaves(&self) -> bool {
        self.workers_leaving.fetch_add(1, SeqCst) + 1 >= self.homes.len()
    }

    /// Counts a worker that has gone.
    pub(crate) fn worker_gone(&self) {
        let waiting = {
            let mut gone = self.workers_gone.lock().unwrap_or_else(PoisonError::into_inner);
            gone.count += 1;
            if gone.count < self.homes.len() { Vec::new() } else { std::mem::take(&mut gone.waiting) }
        };
        waiting.into_iter().for_each(rouse);
    }

    /// Ready once every worker has gone.
    pub(crate) async fn all_gone(&self) {
        poll_fn(|cx| {
            let mut gone = self.workers_gone.lock().unwrap_or_else(PoisonError::into_inner);
            if gone.count >= self.homes.len() {
                return Poll::Ready(());
            }
            if !gone.waiting.iter().any(|known| known.will_wake(cx.waker())) {
                gone.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.leaked.load(Relaxed) == 0 {
            self.homes.iter().for_each(|home| home.retire());
        }
    }
}

fn retry(mut steal: impl FnMut() -> Steal<u32>) -> Option<u32> {
    loop {
        match steal() {
            Steal::Success(actor) => return Some(actor),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}
