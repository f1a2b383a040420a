//! The half of an actor's state that every thread may change: generation, life, kill request and
//! mail, in one atomic word. The other half, running or parked, is the worker's alone: see
//! [`seat`](super::seat).
//!
//! | flag | meaning | set by | cleared by |
//! |---|---|---|---|
//! | `LIVE` | an actor lives here | who took the slot from the free list | its worker, when the actor has ended |
//! | `EXPOSED` | the actor has made a waker | its worker, before it makes the first | with `LIVE` |
//! | `KILLED` | somebody asked the actor to unwind | anybody | with `LIVE` |
//! | `SCOPED` | its waits are in a scope | the actor, or its spawner | as it is set; with `LIVE` |
//! | `MAIL` | the slot lies in its worker's inbox, or is about to | another thread, which then puts it there | its worker, as it takes it out |
//!
//! ```text
//!   a wake on the worker's thread: no atomic operation         a wake from elsewhere
//!     seat: PARKED => RUNNABLE, and into the queue               state: MAIL, and into the inbox
//!                                                                worker: takes it out, clears MAIL,
//!                                                                        wakes the actor as above
//! ```
//!
//! # Why no wake is lost
//! A wake from elsewhere publishes its data, then does a read-modify-write on the word, also if `MAIL`
//! is set already. The worker clears `MAIL` with one, and *after that* looks whether the actor is
//! parked, on its own stack, when all actors are off theirs. The two are totally ordered: if the
//! wake comes first, the actor polls again with the waker's data before it parks; if the clearing comes
//! first, the wake finds no `MAIL` and posts the slot once more. A wake on the worker's own thread
//! needs no order at all.
//!
//! # Why a slot is never in two inboxes
//! The links of an inbox go through the slots. Only who has set `MAIL` links the slot, and a slot whose
//! actor has ended stays out of the free list until its mail has been taken in. `MAIL` is only ever
//! set on an exposed actor, which has a worker; so the end of one that never was exposed, such as
//! one that did not wait, is a plain store.
//!
//! # Why no kill is lost
//! `EXPOSED` and `KILLED` are set by read-modify-writes of one word. If the kill comes first, the
//! worker sees it as it exposes the actor, and so before the actor first parks; else the kill sees
//! `EXPOSED`, and is mail. The same holds for a waker that the spawner made, for the scope that the actor
//! inherits: the actor looks at its scope after it was exposed.
//!
//! That the actor's waits are in a scope (a deadline or a token around them) is another flag, the actor's
//! own: it is looked at together with the kill request.
//!
//! Rejected: running and parked in this word too, which made each park and each wake on one thread a
//! read-modify-write: 4 of the 10 in a round trip of messages, and a third of its time.

use crate::pid::INDEX_BITS;
use crate::primitive::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const LIVE: u64 = 1;
const EXPOSED: u64 = 1 << 1;
const KILLED: u64 = 1 << 2;
const MAIL: u64 = 1 << 3;
/// The actor's waits are in a scope. Changed by the actor, or by its spawner before it starts.
const SCOPED: u64 = 1 << 4;
/// The generation stands where it stands in a pid.
const GENERATION_SHIFT: u32 = INDEX_BITS;

/// One reading of a state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    #[inline(always)]
    pub(crate) fn killed(self) -> bool {
        self.0 & KILLED != 0
    }
    /// Whether a wait has to mind more than what it waits for: a kill, or a scope.
    #[inline(always)]
    pub(crate) fn needs_care(self) -> bool {
        self.0 & (KILLED | SCOPED) != 0
    }
    /// Whether nothing is to be done before the actor waits: it needs no care, and is exposed.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & (EXPOSED | KILLED | SCOPED) == EXPOSED
    }
    #[inline(always)]
    pub(crate) fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }
    /// Whether an actor lives here.
    #[inline(always)]
    pub(crate) fn live(self) -> bool {
        self.0 & LIVE != 0
    }
    /// Whether the actor of this generation lives here.
    #[inline(always)]
    pub(crate) fn is(self, generation: u64) -> bool {
        self.0 & !(EXPOSED | KILLED | MAIL | SCOPED) == generation << GENERATION_SHIFT | LIVE
    }
}

/// What a wake or kill from elsewhere obliges its caller to.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// The caller must put the slot into the inbox of the actor's worker.
    Post,
    /// Nothing is to be done: it is on its way already, the actor will look before it parks, or the
    /// pid is stale.
    Nothing,
}

/// What became of a slot whose actor has ended.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    /// It can be used again, with the next generation.
    Reusable,
    /// Its generations are used up; it must never be used again.
    UsedUp,
    /// It is in the inbox, or about to be: to be freed when it comes out.
    Posted,
}

/// The state word. The table in the module doc says who may do what.
#[repr(transparent)]
pub(crate) struct State(AtomicU64);

impl State {
    #[cfg(test)]
    pub(super) fn new(generation: u64) -> Self {
        Self(AtomicU64::new(generation << GENERATION_SHIFT))
    }

    #[inline(always)]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Acquire))
    }

    /// Begins a life. By who took the slot from the free list. Gives its generation.
    #[inline(always)]
    pub(crate) fn occupy(&self) -> u64 {
        let free = Snapshot(self.0.load(Relaxed));
        debug_assert_eq!(free.0 & (LIVE | EXPOSED | KILLED | MAIL | SCOPED), 0);
        // Release: who sees the life sees that it has no worker yet.
        self.0.store(free.0 | LIVE, Release);
        free.generation()
    }

    /// To be called before the first waker of a life is made. By the actor's worker.
    pub(crate) fn expose(&self) {
        // AcqRel: a kill from before is seen from here on; and who sees the flag sees the worker.
        self.0.fetch_or(EXPOSED, AcqRel);
    }

    /// A wake from another thread than the worker's. At any time.
    #[inline(always)]
    pub(crate) fn wake(&self, generation: u64) -> Mail {
        self.post(generation, 0)
    }

    /// Asks the actor to unwind. From any thread, at any time; the worker's own wakes the actor in
    /// place of posting it.
    pub(crate) fn kill(&self, generation: u64) -> Mail {
        self.post(generation, KILLED)
    }

    #[inline(always)]
    fn post(&self, generation: u64, request: u64) -> Mail {
        let mut now = Snapshot(self.0.load(Relaxed));
        loop {
            if !now.is(generation) {
                return Mail::Nothing;
            }
            let mail = if now.0 & EXPOSED != 0 { MAIL } else { 0 };
            // AcqRel, also where nothing changes, pairs with `take_mail`: see the module doc.
            match self.0.compare_exchange_weak(now.0, now.0 | request | mail, AcqRel, Relaxed) {
                Ok(_) if mail & !now.0 != 0 => return Mail::Post,
                Ok(_) => return Mail::Nothing,
                Err(found) => now = Snapshot(found),
            }
        }
    }

    /// Asks an actor of the caller's own worker to unwind. Says whether it lives.
    pub(crate) fn kill_here(&self, generation: u64) -> bool {
        let lives = self.load().is(generation);
        if lives {
            self.0.fetch_or(KILLED, AcqRel); // only this thread could end the life
        }
        lives
    }

    /// Notes whether the actor's waits are in a scope. By the actor, or by its spawner.
    pub(crate) fn set_scoped(&self, scoped: bool) {
        if scoped {
            self.0.fetch_or(SCOPED, Relaxed);
        } else {
            self.0.fetch_and(!SCOPED, Relaxed);
        }
    }

    /// To be called when the slot came out of the inbox, before anything is done about it.
    #[inline(always)]
    pub(crate) fn take_mail(&self) -> Snapshot {
        // AcqRel pairs with `post`: see the module doc.
        Snapshot(self.0.fetch_and(!MAIL, AcqRel) & !MAIL)
    }

    /// Ends a life. By the actor's worker, when the actor has ended, or by its spawner, when it never
    /// became visible. `exposed` says whether [`expose`](Self::expose) was called in it.
    #[inline(always)]
    pub(crate) fn free(&self, last_generation: u64, exposed: bool) -> Freed {
        let mut now = Snapshot(self.0.load(Relaxed));
        if !exposed {
            // Release: what the life did stands before what the next one does. A kill that comes in
            // between is overwritten, and was for an actor that has ended.
            self.0.store(now.freed(last_generation), Release);
            return now.fate(last_generation);
        }
        loop {
            let ended = if now.0 & MAIL != 0 { now.0 & !LIVE } else { now.freed(last_generation) };
            // Release: as above.
            match self.0.compare_exchange_weak(now.0, ended, AcqRel, Relaxed) {
                Ok(_) if now.0 & MAIL != 0 => return Freed::Posted,
                Ok(_) => return now.fate(last_generation),
                Err(found) => now = Snapshot(found),
            }
        }
    }

    /// Ends a life that [`free`](Self::free) has found [`Posted`](Freed::Posted), after its mail was taken.
    pub(crate) fn free_posted(&self, last_generation: u64) -> Freed {
        let now = Snapshot(self.0.load(Relaxed));
        debug_assert_eq!(now.0 & (LIVE | MAIL), 0);
        self.0.store(now.freed(last_generation), Release); // nobody else changes a word without LIVE
        now.fate(last_generation)
    }
}

impl Snapshot {
    /// The word after this life. After the last one the generation stays: without `LIVE`, nobody
    /// takes it for an actor.
    #[inline(always)]
    fn freed(self, last_generation: u64) -> u64 {
        (self.generation() + u64::from(self.generation() < last_generation)) << GENERATION_SHIFT
    }

    #[inline(always)]
    fn fate(self, last_generation: u64) -> Freed {
        if self.generation() < last_generation { Freed::Reusable } else { Freed::UsedUp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(generation: u64) -> State {
        let state = State::new(generation);
        assert_eq!(state.occupy(), generation);
        state.expose();
        state
    }

    #[test]
    fn only_the_first_of_many_wakes_is_mail() {
        let state = started(7);
        assert_eq!(state.wake(7), Mail::Post);
        assert_eq!(state.wake(7), Mail::Nothing);
        assert_eq!(state.kill(7), Mail::Nothing);
        assert!(state.take_mail().killed());
        assert_eq!(state.wake(7), Mail::Post);
    }

    #[test]
    fn a_stale_wake_or_kill_does_nothing() {
        let state = started(3);
        assert_eq!(state.wake(2), Mail::Nothing);
        assert_eq!(state.kill(4), Mail::Nothing);
        assert!(!state.kill_here(2));
        assert!(!state.load().killed());
        assert_eq!(state.free(9, true), Freed::Reusable);
        assert_eq!(state.kill(3), Mail::Nothing);
        assert_eq!(state.wake(4), Mail::Nothing, "nobody lives there yet");
        assert!(!state.load().live());
    }

    #[test]
    fn a_kill_before_the_start_is_no_mail_and_is_seen_at_the_start() {
        let state = State::new(0);
        state.occupy();
        assert_eq!(state.kill(0), Mail::Nothing);
        assert!(state.load().killed());
        state.expose();
        assert!(state.load().killed());
        assert_eq!(state.kill(0), Mail::Post);
    }

    #[test]
    fn a_slot_in_the_inbox_is_not_free_until_it_comes_out() {
        let state = started(5);
        assert_eq!(state.wake(5), Mail::Post);
        assert_eq!(state.free(9, true), Freed::Posted);
        assert!(!state.load().live(), "the actor has ended all the same");
        assert_eq!(state.wake(5), Mail::Nothing);
        assert!(!state.take_mail().live());
        assert_eq!(state.free_posted(9), Freed::Reusable);
        assert_eq!(state.occupy(), 6);
    }

    #[test]
    fn the_mark_of_a_scope_stays_through_wakes_and_ends_with_the_life() {
        for exposed in [false, true] {
            let state = State::new(1);
            state.occupy();
            state.set_scoped(true);
            if exposed {
                state.expose();
                assert_eq!(state.wake(1), Mail::Post);
                assert!(state.take_mail().needs_care());
            }
            assert!(state.load().needs_care() && !state.load().killed());
            state.set_scoped(false);
            assert!(!state.load().needs_care());
            state.set_scoped(true);
            assert_eq!(state.free(9, exposed), Freed::Reusable);
            assert_eq!(state.occupy(), 2);
            assert!(!state.load().needs_care());
        }
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let state = State::new(0);
        for generation in 0..3 {
            assert_eq!(state.occupy(), generation);
            let freed = state.free(2, generation == 1);
            assert_eq!(freed, if generation < 2 { Freed::Reusable } else { Freed::UsedUp });
        }
        assert_eq!(state.wake(2), Mail::Nothing);
    }
}
