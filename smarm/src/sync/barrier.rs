//! A meeting of a fixed number, round after round.
//!
//! One word, `state`, holds the round and how many have arrived in it.
//!
//! 1. Who arrives counts up. Whoever completes the number begins the next round instead, with nobody arrived, and
//!    notifies all; it is the leader.
//! 2. The others wait until the round is another.
//! 3. Who gives up counts down, unless the round is another by now: then it was let through, and is as if it
//!    had left just after.
//!
//! Rejected: keeping a waiter counted that has given up (the others would go on without it).

use std::fmt;
use std::mem;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::{Duration, Instant};

use super::WaitError;
use super::signal::Signal;
use crate::actor::park;

/// In `state`: one round. Below are those who have arrived. Rounds wrap around: to be misled, a waiter would
/// have to sleep through 2³² of them after its own.
const ROUND: u64 = 1 << 32;

/// Lets a number of actors, tasks and threads wait for each other.
///
/// Unlike std's and tokio's, whoever gives up (killed, timed out, its future dropped) does not count any more:
/// the others wait for another in its place.
///
/// ```
/// use smarm::sync::Barrier;
/// use std::sync::Arc;
///
/// smarm::run(|| {
///     let barrier = Arc::new(Barrier::new(10));
///     let actors: Vec<_> = (0..10)
///         .map(|_| {
///             let barrier = barrier.clone();
///             smarm::spawn(move || barrier.wait().is_leader())
///         })
///         .collect();
///     let leaders = actors.into_iter().filter_map(|actor| actor.join().ok()).filter(|leads| *leads).count();
///     assert_eq!(leaders, 1);
/// });
/// ```
pub struct Barrier {
    count: u32,
    /// The round, times `ROUND`, and how many have arrived.
    state: AtomicU64,
    signal: Signal<false>,
}

/// What a wait at a [`Barrier`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether it is the one of its round that leads: the last to come.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier for so many. 0 is as 1: nobody waits.
    ///
    /// # Panics
    /// If they are more than `u32::MAX`.
    #[track_caller]
    pub const fn new(count: usize) -> Self {
        assert!(count <= u32::MAX as usize, "a barrier for more than u32::MAX");
        Barrier { count: count as u32, state: AtomicU64::new(0), signal: Signal::new() }
    }

    /// Waits until so many wait. A wait whose scope is over unwinds to there, see [`cancel`](crate::cancel); in a
    /// destructor of an actor that is being killed it goes on.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: use
    /// [`wait_async`](Self::wait_async) there.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        park::wait_uncancelled(self.wait_async())
    }

    /// Waits until so many wait, at most for `timeout`. After that it does not count any more.
    ///
    /// # Errors
    /// They were not there in time, or the wait was interrupted.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, WaitError> {
        Ok(park::wait_until(self.wait_async(), park::now().checked_add(timeout))?)
    }

    /// Waits until so many wait, until `deadline` at most. If it is the last, it leads even if that has passed.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<BarrierWaitResult, WaitError> {
        Ok(park::wait_until(self.wait_async(), Some(deadline))?)
    }

    /// Waits until so many wait, in async code. It counts from its first poll.
    ///
    /// Dropped half-way, it does not count any more.
    pub async fn wait_async(&self) -> BarrierWaitResult {
        let Some(arrived) = self.arrive() else {
            self.signal.notify_all();
            return BarrierWaitResult(true);
        };
        self.signal.until(|| self.round() != arrived.round).await;
        mem::forget(arrived);
        BarrierWaitResult(false)
    }

    fn round(&self) -> u64 {
        // Pairs with `arrive`: what all did before they came is seen by all who go on.
        self.state.load(Acquire) / ROUND
    }

    /// Step 1: `None` for the leader.
    fn arrive(&self) -> Option<Arrived<'_>> {
        let next = |state: u64| {
            if state % ROUND + 1 >= self.count.into() {
                (state / ROUND).wrapping_add(1).wrapping_mul(ROUND)
            } else {
                state + 1
            }
        };
        // (round, n) => (round, n + 1) | (round + 1, 0).
        let before =
            self.state.fetch_update(AcqRel, Relaxed, |state| Some(next(state))).unwrap_or_else(|state| state);
        let round = before / ROUND;
        (next(before) / ROUND == round).then_some(Arrived { barrier: self, round })
    }
}

/// One who has arrived, and waits. Dropped, it gives up.
struct Arrived<'a> {
    barrier: &'a Barrier,
    round: u64,
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        let leave = |state: u64| (state / ROUND == self.round).then(|| state - 1);
        // (round, n) => (round, n - 1). If that is refused, the round was complete before.
        let _left: Result<u64, u64> = self.barrier.state.fetch_update(AcqRel, Relaxed, leave);
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("count", &self.count).finish_non_exhaustive()
    }
}
