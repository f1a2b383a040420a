//! Time that stands still, and leaps when everybody waits.
//!
//! | word | meaning |
//! |---|---|
//! | resting | a worker that has nothing to run, and has said when its earliest timer is due |
//! | held | somebody waits for a call of `block_on_io` that has not returned |
//! | leap | the time becomes that of the earliest timer of all workers |
//!
//! # Protocol
//! 1. A worker that is idle says so with its deadline, under the lock, and then waits until its epoll has
//!    something to report, which it does not take out yet.
//! 2. Whoever rests last looks whether everything waits: all workers rest, nothing is held, no inbox has
//!    mail, no actor is new, and no epoll has anything to report. Then the time leaps, and the workers with
//!    timers due at it are woken.
//! 3. A worker that is woken says that it does not rest, and only then takes out what its epoll reports.
//!
//! # Why the time does not leap over work
//! Work comes from a worker, which does not rest while it makes it; so whoever rests after that sees it: as
//! mail, as a new actor, or as something that an epoll reports, which all stay there until step 3. What
//! other threads may do is not waited for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::actor::home::Home;
use crate::host::sys::poll_fd;
use crate::host::{Clock, Direction};
use crate::timer::clock;

/// The clock of a runtime whose time is paused.
pub(crate) struct PausedClock {
    /// Nanoseconds on the wheels' scale.
    now: AtomicU64,
    homes: Box<[&'static Home]>,
    state: Mutex<State>,
}

struct State {
    /// By worker: its epoll, once it has rested.
    epolls: Vec<Option<OwnedFd>>,
    /// By worker: its earliest deadline while it rests; `u64::MAX` is none.
    resting: Vec<Option<u64>>,
    held: usize,
}

impl PausedClock {
    /// Stops the clock at the present.
    pub(super) fn new(homes: Box<[&'static Home]>) -> Arc<Self> {
        clock::announce_own();
        let state =
            State { epolls: homes.iter().map(|_| None).collect(), resting: vec![None; homes.len()], held: 0 };
        Arc::new(Self { now: AtomicU64::new(clock::now()), homes, state: Mutex::new(state) })
    }

    /// Step 1, and perhaps 2. Says whether a timer of the worker is due.
    ///
    /// # Errors
    /// The system refuses a duplicate of the epoll.
    pub(super) fn rest(
        &self,
        shared: &Shared,
        index: usize,
        deadline: Option<Instant>,
        epoll: BorrowedFd<'_>,
    ) -> io::Result<bool> {
        let mut state = self.lock();
        if state.epolls[index].is_none() {
            state.epolls[index] = Some(epoll.try_clone_to_owned()?);
        }
        let deadline = deadline.map_or(u64::MAX, clock::nanos);
        state.resting[index] = Some(deadline);
        let woken = self.leap(&mut state, shared);
        drop(state);
        woken.into_iter().filter(|other| *other != index).for_each(|other| self.homes[other].wake_host());
        Ok(deadline <= self.now.load(Acquire))
    }

    /// Step 3.
    pub(super) fn rise(&self, index: usize) {
        self.lock().resting[index] = None;
    }

    /// The worker has gone, and nothing will be due there.
    pub(super) fn leave(&self, index: usize) {
        let mut state = self.lock();
        state.resting[index] = Some(u64::MAX);
        state.epolls[index] = None;
        drop(state);
        self.homes.iter().for_each(|home| home.wake_host()); // the others may be all that is left
    }

    /// Step 2. Gives the workers that have timers due.
    fn leap(&self, state: &mut State, shared: &Shared) -> Vec<usize> {
        let deadlines: Option<Vec<u64>> = state.resting.iter().copied().collect();
        let Some(deadlines) = deadlines else { return Vec::new() };
        let earliest = deadlines.iter().copied().min().unwrap_or(u64::MAX);
        let work = || {
            let reports = |epoll: &OwnedFd| {
                // What cannot be asked may have something to report: its worker will find out.
                !matches!(poll_fd(epoll.as_fd(), Direction::Read, Some(Duration::ZERO)), Ok(false))
            };
            self.homes.iter().any(|home| home.has_mail())
                || shared.has_new()
                || state.epolls.iter().flatten().any(reports)
        };
        if earliest == u64::MAX || state.held > 0 || work() {
            return Vec::new();
        }
        let now = self.now.fetch_max(earliest, AcqRel).max(earliest);
        (0..deadlines.len()).filter(|index| deadlines[*index] <= now).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Instant {
        clock::instant(self.now.load(Acquire)).unwrap_or_else(Instant::now)
    }

    fn advance(&self, by: Duration) -> bool {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let add = |now: u64| Some(now.saturating_add(by));
        // The closure always gives a value.
        let (Ok(_) | Err(_)) = self.now.fetch_update(AcqRel, Acquire, add);
        self.homes.iter().for_each(|home| home.wake_host());
        true
    }

    fn hold(&self) {
        self.lock().held += 1;
    }

    fn release(&self) {
        let mut state = self.lock();
        state.held -= 1;
        let last = state.held == 0;
        drop(state);
        if last {
            self.homes.iter().for_each(|home| home.wake_host()); // whoever rests last looks again
        }
    }
}
