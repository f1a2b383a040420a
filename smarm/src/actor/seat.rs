//! The half of an actor's state that only its worker's thread changes: which worker that is, and
//! whether the actor is parked there.
//!
//! | phase | the actor | to |
//! |---|---|---|
//! | `RUNNABLE` | runs, or is queued | `PARKED` (commit), `NOTIFIED` (wake) |
//! | `NOTIFIED` | as above, and its next park returns at once | `RUNNABLE` (refused commit) |
//! | `PARKED` | waits: its stack is nobody's | `RUNNABLE`, by the wake, which then queues it |
//!
//! An actor never changes thread, so all its parks, and all wakes on that thread, are plain loads and
//! stores; wakes from other threads come through the inbox, as [`state`](super::state) tells.
//!
//! "Queued" and "running" are one phase: which of them holds is known to the worker. A wake that finds
//! an actor queued marks it `NOTIFIED`; at worst its next park returns once for nothing.
//!
//! The phase stands in the low bits of the pointer to the worker's [`Home`], which other threads read:
//! one store changes it, and who compares the pointer has the phase.

use super::home::Home;
use crate::primitive::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

const RUNNABLE: usize = 0;
const NOTIFIED: usize = 1;
const PARKED: usize = 2;
const PHASE: usize = 3;
/// A waker of this life was made.
const EXPOSED: usize = 4;
const FLAGS: usize = PHASE | EXPOSED;

const _: () = assert!(align_of::<Home>() > FLAGS);

/// What a wake obliges its caller to.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The caller must queue the actor.
    Schedule,
    /// Nothing is to be done: it runs or will run.
    Nothing,
}

/// What a commit found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The actor is parked.
    Parked,
    /// It was woken meanwhile: the caller must queue it.
    Refused,
}

/// A seat as its worker's thread has just read it: nobody else writes it.
#[derive(Clone, Copy)]
pub(crate) struct Reading(usize);

/// See the module doc.
#[repr(transparent)]
pub(crate) struct Seat(AtomicUsize);

impl Seat {
    #[cfg(all(test, smarm_loom))]
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Nobody's: a new actor that no worker has started. By who took the slot from the free list.
    #[inline(always)]
    pub(crate) fn vacate(&self) {
        self.0.store(0, Release);
    }

    /// The worker starts the actor.
    #[inline(always)]
    pub(crate) fn take(&self, home: &'static Home) {
        self.0.store(std::ptr::from_ref(home).expose_provenance() | RUNNABLE, Release);
    }

    /// The worker that has started the actor, if one has. From any thread.
    #[inline(always)]
    pub(crate) fn home(&self) -> Option<&'static Home> {
        let home = std::ptr::with_exposed_provenance::<Home>(self.0.load(Acquire) & !FLAGS);
        // SAFETY: `take` got the address from a reference, and homes are never freed.
        unsafe { home.as_ref() }
    }

    /// What a wake by this worker's thread needs to know of the seat, if the actor sits at this worker. From any
    /// thread.
    #[inline(always)]
    pub(crate) fn reading_at(&self, home: &'static Home) -> Option<Reading> {
        let now = self.0.load(Acquire);
        (now & !FLAGS == std::ptr::from_ref(home).addr()).then_some(Reading(now))
    }

    /// Whether the actor sits at this worker. From any thread.
    #[inline(always)]
    pub(crate) fn is_at(&self, home: &'static Home) -> bool {
        self.0.load(Acquire) & !FLAGS == std::ptr::from_ref(home).addr()
    }
}

/// By the worker's thread alone.
impl Seat {
    /// Whether [`set_exposed`](Self::set_exposed) was called in this life.
    #[inline(always)]
    pub(crate) fn exposed(&self) -> bool {
        self.0.load(Relaxed) & EXPOSED != 0
    }

    pub(crate) fn set_exposed(&self) {
        self.0.store(self.0.load(Relaxed) | EXPOSED, Release);
    }

    /// `RUNNABLE => PARKED`, as [`commit`](Self::commit) does for an actor that is not killed. `false`, and nothing is
    /// done, if it was woken.
    #[inline(always)]
    pub(crate) fn park(&self) -> bool {
        let now = self.0.load(Relaxed);
        debug_assert_ne!(now & PHASE, PARKED);
        let park = now & PHASE == RUNNABLE;
        if park {
            self.set(now, PARKED);
        }
        park
    }

    /// `RUNNABLE => PARKED`; or refused, if it was woken or `killed`, `NOTIFIED => RUNNABLE`. Once the
    /// actor is off its stack.
    #[inline(always)]
    pub(crate) fn commit(&self, killed: bool) -> Commit {
        let now = self.0.load(Relaxed);
        debug_assert_ne!(now & PHASE, PARKED);
        if now & PHASE == NOTIFIED || killed {
            self.set(now, RUNNABLE);
            return Commit::Refused;
        }
        self.set(now, PARKED);
        Commit::Parked
    }

    /// `PARKED => RUNNABLE`, `RUNNABLE => NOTIFIED`.
    #[inline(always)]
    pub(crate) fn wake(&self) -> Woken {
        self.wake_from(Reading(self.0.load(Relaxed)))
    }

    /// As [`wake`](Self::wake), by a reading that was just made.
    #[inline(always)]
    pub(crate) fn wake_from(&self, Reading(now): Reading) -> Woken {
        if now & PHASE == PARKED {
            self.set(now, RUNNABLE);
            return Woken::Schedule;
        }
        self.set(now, NOTIFIED);
        Woken::Nothing
    }

    #[inline(always)]
    fn set(&self, now: usize, phase: usize) {
        // Release: who reads the pointer in it may use what is behind it.
        self.0.store(now & !PHASE | phase, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> (Seat, &'static Home) {
        let home = Box::leak(Box::default());
        let seat = Seat(AtomicUsize::new(0));
        assert!(seat.home().is_none());
        seat.take(home);
        (seat, home)
    }

    #[test]
    fn a_wake_before_the_park_is_kept() {
        let (seat, _) = started();
        assert_eq!(seat.wake(), Woken::Nothing);
        assert_eq!(seat.commit(false), Commit::Refused);
        assert_eq!(seat.commit(false), Commit::Parked);
    }

    #[test]
    fn only_one_of_many_wakes_schedules() {
        let (seat, _) = started();
        assert_eq!(seat.commit(false), Commit::Parked);
        assert_eq!(seat.wake(), Woken::Schedule);
        assert_eq!(seat.wake(), Woken::Nothing);
    }

    #[test]
    fn a_kill_refuses_the_commit() {
        let (seat, _) = started();
        assert_eq!(seat.commit(true), Commit::Refused);
        assert_eq!(seat.commit(false), Commit::Parked);
    }

    #[test]
    fn the_worker_and_the_exposure_stay_the_same_through_all_phases() {
        let (seat, home) = started();
        assert!(!seat.exposed());
        seat.set_exposed();
        for _ in 0..2 {
            let _ = seat.wake();
            let _ = seat.commit(false);
            let _ = seat.commit(false);
            assert!(seat.exposed() && seat.is_at(home));
            assert!(seat.home().is_some_and(|found| std::ptr::eq(found, home)));
            let _ = seat.wake();
        }
        seat.vacate();
        assert!(seat.home().is_none() && !seat.exposed());
    }
}
