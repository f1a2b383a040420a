//! The half of a worker that other threads see: its inbox, and whether it sleeps.
//!
//! # Protocol: wake from elsewhere
//! 1. The waker moves the actor out of `PARKED` and so holds it.
//! 2. It pushes the actor onto the inbox, a Treiber stack linked through the slots: no allocation.
//! 3. Whoever pushed onto an *empty* inbox looks at `sleep`; if the worker is `ASLEEP` it moves it
//!    to `AWAKE` and wakes its host. Later pushers rely on the first.
//!
//! # Protocol: sleep
//! 1. The worker stores its host's waker, then swaps `sleep` to `ASLEEP`.
//! 2. It looks at its inbox and at everything else that could give it work once more.
//!
//! # Why no wake is lost
//! Push (2) and swap (1) are sequentially consistent read-modify-writes and each side looks after
//! its own: either the pusher sees `ASLEEP`, or the worker sees the push.
//!
//! Homes are leaked and used again by later runtimes: a waker that has just pushed its actor may
//! still look at `sleep` after that actor has ended and its runtime is gone. At worst it wakes a
//! stranger's host for nothing.

use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32 as AtomicTenancy, AtomicU64, AtomicUsize as AtomicHint,
};
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use super::slot::{Slot, slot};
use crate::primitive::atomic::{
    self, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, SeqCst},
};
use crate::primitive::{Mutex, leak};
use crate::timer::due::Ring;
use crate::timer::wheel::Key;

/// The worker runs, or will look at its inbox before it sleeps.
const AWAKE: u32 = 0;
/// The worker's host must be woken.
const ASLEEP: u32 = 1;
/// The host has been woken so that the worker looks for actors to start; it counts as searching.
const SUMMONED: u32 = 2;

/// What other threads see of a worker.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Home {
    /// Top of the inbox: index of a slot plus one, or 0.
    inbox: AtomicU32,
    sleep: AtomicU32,
    /// How to wake the host. Locked by the worker when its host changes, and to wake it.
    host: Mutex<Option<Waker>>,
    /// Timers of the worker that were given up elsewhere.
    returned: Mutex<Vec<Returned>>,
    /// Whether there are such. Stored under the lock.
    any_returned: AtomicBool,
    /// Counts the workers that this has been the home of.
    tenancy: AtomicTenancy,
    pub(crate) pulse: Pulse,
    pub(crate) crowding: Crowding,
}

/// What a worker tells the others about its load, on a cache line of its own, which seldom changes.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Crowding {
    /// How many actors can run, if there are new ones among them, which others may take; else 0. Stored by the
    /// worker when new actors have their turn: a hint.
    runnable: AtomicHint,
}

impl Crowding {
    /// See the field.
    #[inline(always)]
    pub(crate) fn runnable(&self) -> usize {
        self.runnable.load(Relaxed)
    }

    /// Says how many. By the worker.
    #[inline(always)]
    pub(crate) fn tell(&self, runnable: usize) {
        if self.runnable() != runnable {
            self.runnable.store(runnable, Relaxed);
        }
    }
}

/// A timer in the wheel of a worker that was given up on another thread.
pub(crate) enum Returned {
    /// See [`alarm`](super::alarm).
    Alarm(Arc<dyn Ring>),
    /// See [`reminder`](super::reminder).
    Reminder {
        /// Of which worker, as the home may have another one.
        tenancy: u32,
        key: Key,
    },
}

/// What the monitor and the worker say to each other, on a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Pulse {
    /// Set by the monitor: the running slice has been too long. Cleared by the worker.
    pub(crate) overdue: AtomicBool,
    /// The worker has nothing to run. Stored by it.
    resting: atomic::AtomicBool,
    /// Which actor runs, or null. Stored by the worker at each switch.
    running: AtomicPtr<Slot>,
    /// Counts switches; stored by the worker.
    pub(crate) switches: AtomicU32,
    /// Counts turns; stored by the worker.
    pub(crate) turns: AtomicU64,
    /// Counts actors that this worker's thread has spawned; stored by the worker.
    pub(crate) spawned: AtomicUsize,
    /// Counts actors that have ended on this worker; stored by the worker.
    pub(crate) ended: AtomicUsize,
}

impl Pulse {
    /// Whether the worker has nothing to run.
    pub(crate) fn rests(&self) -> bool {
        self.resting.load(Relaxed)
    }

    /// Says whether the worker has nothing to run. By the worker.
    #[inline(always)]
    pub(crate) fn rest(&self, resting: bool) {
        self.resting.store(resting, Relaxed);
    }

    /// Which actor runs.
    #[inline(always)]
    pub(crate) fn running(&self) -> Option<&'static Slot> {
        // SAFETY: slots are never unmapped.
        unsafe { self.running.load(Relaxed).as_ref() }
    }

    /// Says which actor runs. By the worker.
    #[inline(always)]
    pub(crate) fn run(&self, actor: Option<&'static Slot>) {
        self.running.store(actor.map_or(ptr::null_mut(), |actor| ptr::from_ref(actor).cast_mut()), Relaxed);
    }
}

/// Homes that no worker uses now.
static SPARE: std::sync::Mutex<Vec<&'static Home>> = std::sync::Mutex::new(Vec::new());

impl Home {
    /// A home that was used before, or a new one.
    pub(crate) fn claim() -> &'static Self {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let home = spare.unwrap_or_else(|| leak(Self::default()));
        home.tenancy.fetch_add(1, Relaxed);
        home
    }

    /// Which of the workers that had this home has it now.
    pub(crate) fn tenancy(&self) -> u32 {
        self.tenancy.load(Relaxed)
    }

    /// Gives the home back. Its inbox must be empty and its worker gone.
    pub(crate) fn retire(&'static self) {
        debug_assert!(!self.has_mail());
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.sleep.store(AWAKE, SeqCst);
        self.pulse.overdue.store(false, Relaxed);
        for counter in [&self.pulse.spawned, &self.pulse.ended] {
            counter.store(0, Relaxed);
        }
        self.pulse.switches.store(0, Relaxed); // what a seed brings in chaos mode depends on it
        self.pulse.run(None);
        self.pulse.rest(false);
        self.crowding.tell(0);
        // A model's home is of no use to its next execution.
        if !cfg!(all(test, smarm_loom)) {
            SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }

    /// Queues an actor which the caller has moved out of `PARKED`. Says whether the caller must
    /// now [`rouse`](Self::rouse) the worker.
    #[must_use]
    pub(crate) fn push(&self, actor: &Slot) -> bool {
        let this = actor.index() + 1;
        let mut top = self.inbox.load(Relaxed);
        loop {
            actor.link.store(top, Relaxed);
            // SeqCst: pairs with the swap in `fall_asleep`. Release: pairs with `take`.
            match self.inbox.compare_exchange_weak(top, this, SeqCst, Relaxed) {
                Ok(_) => return top == 0,
                Err(found) => top = found,
            }
        }
    }

    /// Whether the inbox holds an actor.
    #[inline(always)]
    pub(crate) fn has_mail(&self) -> bool {
        // SeqCst: as step 2 of the sleep protocol it comes after the swap in `fall_asleep`, which orders no
        // load that is less. A plain load all the same.
        self.inbox.load(SeqCst) != 0
    }

    /// Takes all actors out of the inbox, the one that came first first. By the worker.
    pub(crate) fn take(&self, mut each: impl FnMut(&'static Slot)) {
        let mut newest = self.inbox.swap(0, Acquire);
        let mut oldest = 0;
        while newest != 0 {
            let link = &slot(newest - 1).link;
            let next = link.load(Relaxed);
            link.store(oldest, Relaxed);
            (oldest, newest) = (newest, next);
        }
        while oldest != 0 {
            let actor = slot(oldest - 1);
            oldest = actor.link.load(Relaxed);
            each(actor);
        }
    }

    /// Step 1 of the sleep protocol. The host's waker must stand in `host` already.
    pub(crate) fn fall_asleep(&self) {
        self.sleep.swap(ASLEEP, SeqCst); // AWAKE => ASLEEP
    }

    /// Step 3 of a wake from elsewhere: wakes the host if the worker sleeps.
    pub(crate) fn rouse(&self) {
        // ASLEEP => AWAKE. SeqCst: pairs with `fall_asleep`.
        if self.sleep.load(SeqCst) == ASLEEP
            && self.sleep.compare_exchange(ASLEEP, AWAKE, SeqCst, Relaxed).is_ok()
        {
            self.wake_host();
        }
    }

    /// `ASLEEP => SUMMONED`. Says whether this call did it; the caller then owes the worker a place
    /// among the searching ones and a [`wake_host`](Self::wake_host).
    #[must_use]
    pub(crate) fn summon(&self) -> bool {
        self.sleep.load(SeqCst) == ASLEEP
            && self.sleep.compare_exchange(ASLEEP, SUMMONED, SeqCst, Relaxed).is_ok()
    }

    /// Whether the worker sleeps and nobody has woken it.
    #[inline(always)]
    pub(crate) fn sleeps(&self) -> bool {
        self.sleep.load(SeqCst) == ASLEEP
    }

    /// `ASLEEP, SUMMONED => AWAKE`. By the worker, when it runs again. Says whether it was summoned.
    pub(crate) fn wake_up(&self) -> bool {
        self.sleep.swap(AWAKE, SeqCst) == SUMMONED
    }

    /// Remembers how to wake the host.
    pub(crate) fn set_host(&self, waker: Waker) {
        let old = self.host.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
        drop(old);
    }

    /// Gives a timer back, on another thread than its worker's.
    pub(crate) fn give_back(&self, timer: Returned) {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.push(timer);
        self.any_returned.store(true, Relaxed);
    }

    /// Whether a timer was given back. By the worker; who misses one finds it the next time.
    #[inline(always)]
    pub(crate) fn has_returned(&self) -> bool {
        self.any_returned.load(Relaxed)
    }

    /// Takes what was given back. By the worker.
    pub(crate) fn returned(&self) -> Vec<Returned> {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        self.any_returned.store(false, Relaxed);
        std::mem::take(&mut returned)
    }

    /// Wakes the host, outside the lock.
    pub(crate) fn wake_host(&self) {
        let waker = self.host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
