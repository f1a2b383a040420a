//! The state word of a slot: generation, phase and kill request in one atomic.
//!
//! Each phase names who owns the stack.
//!
//! | phase | owner of the stack | to |
//! |---|---|---|
//! | `FREE` | the free list | `RUNNABLE`, by who took the slot from it |
//! | `RUNNABLE` | its worker: running, or in its queue or inbox; before it starts, a deque or injector | `PARKED` (commit), `NOTIFIED` (wake), `FREE` |
//! | `NOTIFIED` | its worker, and the next park returns at once | `RUNNABLE` (refused commit), `FREE` |
//! | `PARKED` | nobody: whoever wakes it moves it | `RUNNABLE`, by the waker, which then queues it |
//!
//! "New", "queued" and "running" are one phase: which of them holds is known to whoever owns the
//! actor (a new one has no home yet), so starting an actor and taking it from the queue cost no
//! atomic operation. A wake that finds an actor queued
//! marks it `NOTIFIED`; at worst its next park returns once for nothing.
//!
//! # Why no wake is lost
//! The waker publishes its data, then does a read-modify-write on the word *in every phase*, also
//! where it changes nothing. The parking side registers its waker, looks at the data, and then does
//! a read-modify-write on the word (commit or refused commit). The two are totally ordered: if the
//! wake comes first, the commit finds `NOTIFIED` and the actor looks again, seeing the data
//! because both are acquire-release; if the commit comes first, the wake finds `PARKED`.
//!
//! That the actor's waits are in a scope (a deadline or a token around them) is another bit, the actor's
//! own: it is looked at together with the kill request.
//!
//! A kill request is a bit beside the phase. A commit expects the bit clear, so an actor with a
//! kill request never parks before it has seen it.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::pid::INDEX_BITS;

/// In the free list.
pub(crate) const FREE: u64 = 0;
/// Running or about to.
pub(crate) const RUNNABLE: u64 = 1;
/// As `RUNNABLE`, and woken since.
pub(crate) const NOTIFIED: u64 = 2;
/// Waits to be woken.
pub(crate) const PARKED: u64 = 3;

const PHASE: u64 = 0b111;
/// Somebody asked the actor to unwind.
const KILLED: u64 = 0b1000;
/// The actor's waits are in a scope. Changed by the actor, or by its spawner before it starts.
const SCOPED: u64 = 0b1_0000;
/// The generation stands where it stands in a pid.
const GENERATION_SHIFT: u32 = INDEX_BITS;

/// One reading of a state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    #[inline(always)]
    pub(crate) fn phase(self) -> u64 {
        self.0 & PHASE
    }
    #[inline(always)]
    pub(crate) fn killed(self) -> bool {
        self.0 & KILLED != 0
    }
    /// Whether a wait has to mind more than what it waits for: a kill, or a scope.
    #[inline(always)]
    pub(crate) fn needs_care(self) -> bool {
        self.0 & (KILLED | SCOPED) != 0
    }
    #[inline(always)]
    pub(crate) fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }
    /// Whether an actor lives here.
    #[inline(always)]
    pub(crate) fn live(self) -> bool {
        self.phase() != FREE
    }
    #[inline(always)]
    fn with_phase(self, phase: u64) -> Self {
        Self(self.0 & !PHASE | phase)
    }
}

/// What a wake or kill obliges its caller to.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The caller has moved the actor out of `PARKED` and must put it into its worker's queue.
    Schedule,
    /// Nothing is to be done: it runs or will run, or the pid is stale.
    Nothing,
}

/// What a commit found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The actor is parked, and from now on belongs to whoever wakes it.
    Parked,
    /// It was woken or killed meanwhile, and still belongs to its worker.
    Refused,
}

/// What became of a slot whose actor has ended.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    /// It can be used again, with the next generation.
    Reusable,
    /// Its generations are used up; it must never be used again.
    UsedUp,
}

/// The state word. The table in the module doc says who may do what.
#[repr(transparent)]
pub(crate) struct State(AtomicU64);

impl State {
    #[cfg(test)]
    fn new(generation: u64) -> Self {
        Self(AtomicU64::new(generation << GENERATION_SHIFT))
    }

    #[inline(always)]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Acquire))
    }

    /// `FREE => RUNNABLE`. By who took the slot from the free list. Gives the generation of the new life.
    #[inline(always)]
    pub(crate) fn occupy(&self) -> u64 {
        let free = Snapshot(self.0.load(Relaxed));
        debug_assert_eq!(free.phase(), FREE);
        // Release: a stale waker that reads this must see no more than the generation, but a
        // report that walks the slots also reads the record behind it.
        self.0.store(free.with_phase(RUNNABLE).0, Release);
        free.generation()
    }

    /// `RUNNABLE => PARKED`, or refused: `NOTIFIED => RUNNABLE`, or a kill request that the
    /// actor does not ignore. By the actor's worker, once the actor is off its stack.
    #[inline(always)]
    pub(crate) fn commit(&self, ignores_kill: impl Fn() -> bool) -> Commit {
        let mut now = Snapshot(self.0.load(Relaxed));
        loop {
            let refused = now.phase() == NOTIFIED || now.killed() && !ignores_kill();
            let next = now.with_phase(if refused { RUNNABLE } else { PARKED });
            // AcqRel in both directions, pairs with the one in `wake`: see the module doc.
            match self.0.compare_exchange_weak(now.0, next.0, AcqRel, Relaxed) {
                Ok(_) if refused => return Commit::Refused,
                Ok(_) => return Commit::Parked,
                Err(found) => now = Snapshot(found),
            }
        }
    }

    /// Notes whether the actor's waits are in a scope, in any phase. By the actor, or by its spawner.
    pub(crate) fn set_scoped(&self, scoped: bool) {
        if scoped {
            self.0.fetch_or(SCOPED, Relaxed);
        } else {
            self.0.fetch_and(!SCOPED, Relaxed);
        }
    }

    /// `PARKED => RUNNABLE`, `RUNNABLE => NOTIFIED`. By anybody, at any time.
    #[inline(always)]
    pub(crate) fn wake(&self, generation: u64) -> Woken {
        self.rouse(generation, 0)
    }

    /// As [`wake`](Self::wake), and asks the actor to unwind. By anybody, at any time.
    pub(crate) fn kill(&self, generation: u64) -> Woken {
        self.rouse(generation, KILLED)
    }

    #[inline(always)]
    fn rouse(&self, generation: u64, request: u64) -> Woken {
        let mut now = Snapshot(self.0.load(Relaxed));
        loop {
            if now.generation() != generation {
                return Woken::Nothing;
            }
            let next = match now.phase() {
                FREE => return Woken::Nothing,
                PARKED => now.with_phase(RUNNABLE),
                RUNNABLE => now.with_phase(NOTIFIED),
                _ => now,
            };
            // AcqRel, also where nothing changes, pairs with `commit`: see the module doc.
            match self.0.compare_exchange_weak(now.0, next.0 | request, AcqRel, Relaxed) {
                Ok(_) if now.phase() == PARKED => return Woken::Schedule,
                Ok(_) => return Woken::Nothing,
                Err(found) => now = Snapshot(found),
            }
        }
    }

    /// Any phase `=> FREE`, with the next generation. By the actor's worker, when the actor has
    /// ended, or by its spawner, when it never became visible.
    #[inline(always)]
    pub(crate) fn free(&self, last_generation: u64) -> Freed {
        let generation = Snapshot(self.0.load(Relaxed)).generation();
        if generation >= last_generation {
            // The generation stays, the phase is FREE: no waker ever matches a live actor here.
            self.0.store(generation << GENERATION_SHIFT, Release);
            return Freed::UsedUp;
        }
        // Release: what the life did stands before what the next one does. A wake or kill that
        // comes in between is overwritten, and was for an actor that has ended.
        self.0.store((generation + 1) << GENERATION_SHIFT, Release);
        Freed::Reusable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(generation: u64) -> State {
        let state = State::new(generation);
        assert_eq!(state.occupy(), generation);
        state
    }

    #[test]
    fn a_wake_before_the_park_is_kept() {
        let state = started(7);
        assert_eq!(state.wake(7), Woken::Nothing);
        assert_eq!(state.commit(|| false), Commit::Refused);
        assert_eq!(state.commit(|| false), Commit::Parked);
    }

    #[test]
    fn only_one_of_many_wakes_schedules() {
        let state = started(0);
        assert_eq!(state.commit(|| false), Commit::Parked);
        assert_eq!(state.wake(0), Woken::Schedule);
        assert_eq!(state.wake(0), Woken::Nothing);
    }

    #[test]
    fn a_stale_wake_or_kill_does_nothing() {
        let state = started(3);
        assert_eq!(state.commit(|| false), Commit::Parked);
        assert_eq!(state.wake(2), Woken::Nothing);
        assert_eq!(state.kill(4), Woken::Nothing);
        assert_eq!(state.load().phase(), PARKED);
        assert_eq!(state.free(9), Freed::Reusable);
        assert_eq!(state.kill(3), Woken::Nothing);
        assert_eq!(state.wake(4), Woken::Nothing, "nobody lives there yet");
        assert!(!state.load().live());
    }

    #[test]
    fn an_unseen_kill_refuses_every_commit_and_a_seen_one_does_not() {
        let state = started(0);
        assert_eq!(state.kill(0), Woken::Nothing);
        assert_eq!(state.commit(|| false), Commit::Refused);
        assert_eq!(state.commit(|| false), Commit::Refused);
        assert_eq!(state.commit(|| true), Commit::Parked);
        assert!(state.load().killed());
    }

    #[test]
    fn the_mark_of_a_scope_stays_through_parks_and_wakes_and_ends_with_the_life() {
        let state = started(1);
        state.set_scoped(true);
        assert_eq!(state.commit(|| false), Commit::Parked);
        assert_eq!(state.wake(1), Woken::Schedule);
        assert!(state.load().needs_care() && !state.load().killed());
        state.set_scoped(false);
        assert!(!state.load().needs_care());
        state.set_scoped(true);
        assert_eq!(state.free(9), Freed::Reusable);
        assert_eq!(state.occupy(), 2);
        assert!(!state.load().needs_care());
    }

    #[test]
    fn a_kill_before_the_start_is_seen_at_the_start() {
        let state = State::new(0);
        state.occupy();
        assert_eq!(state.kill(0), Woken::Nothing);
        assert!(state.load().killed());
        assert_eq!(state.commit(|| false), Commit::Refused);
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let state = State::new(0);
        for generation in 0..3 {
            assert_eq!(state.occupy(), generation);
            let freed = state.free(2);
            assert_eq!(freed, if generation < 2 { Freed::Reusable } else { Freed::UsedUp });
        }
        assert_eq!(state.wake(2), Woken::Nothing);
    }
}
