//! Something that is done once; see [`progress`](super::progress) for how.

use std::fmt;
use std::mem;
use std::time::{Duration, Instant};

use super::WaitError;
use super::poison::Poison;
use super::progress::Progress;
use crate::actor::park;

/// Runs one initialiser, of all that are offered; the others wait for its end. It may wait for whatever it likes.
///
/// As with std, an initialiser that panics (or is killed) poisons it: later calls panic, but for
/// [`call_once_force`](Self::call_once_force).
///
/// ```
/// use smarm::sync::Once;
///
/// static START: Once = Once::new();
/// START.call_once(|| println!("once"));
/// START.call_once(|| unreachable!());
/// assert!(START.is_completed());
/// ```
pub struct Once {
    progress: Progress,
    /// Set before a turn ends that failed.
    poison: Poison,
}

/// What an initialiser given to [`Once::call_once_force`] may ask.
#[derive(Debug)]
pub struct OnceState {
    poisoned: bool,
}

impl OnceState {
    /// Whether an earlier initialiser panicked or was killed.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

const NAME: &str = "a Once";
const POISONED: &str = "smarm: a Once is poisoned: its initialiser panicked or was killed";

impl Once {
    /// Nothing was run.
    pub const fn new() -> Self {
        Once { progress: Progress::new(false), poison: Poison::new() }
    }

    /// Runs `f`, if none was run yet, or waits for the one that runs. In a destructor of an actor that is being
    /// killed it waits all the same.
    ///
    /// # Panics
    /// If it is poisoned; in its own initialiser; and if it has to wait in a future that an actor awaits, or on a
    /// worker's thread outside any actor.
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.is_completed() {
            self.call(false, |_| f());
        }
    }

    /// As [`call_once`](Self::call_once), also if it is poisoned, which it is no more when `f` has returned.
    ///
    /// # Panics
    /// In its own initialiser, and where it must not wait.
    #[inline]
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.is_completed() {
            self.call(true, f);
        }
    }

    /// Whether an initialiser has returned.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.progress.is_done()
    }

    /// Waits until an initialiser has returned.
    ///
    /// # Panics
    /// If it is poisoned, or becomes so; and in a future that an actor awaits, or on a worker's thread outside
    /// any actor: use [`wait_async`](Self::wait_async) there.
    #[track_caller]
    pub fn wait(&self) {
        park::wait_uncancelled(self.progress.done_or(|| self.poison.is_set()));
        self.check();
    }

    /// As [`wait`](Self::wait), also if it is poisoned.
    ///
    /// # Panics
    /// Where it must not wait.
    #[track_caller]
    pub fn wait_force(&self) {
        park::wait_uncancelled(self.progress.done_or(|| false));
    }

    /// As [`wait`](Self::wait), at most for `timeout`.
    ///
    /// # Errors
    /// None has returned in time, or the wait was interrupted.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_until(park::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at most.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), WaitError> {
        self.wait_until(Some(deadline))
    }

    /// Waits until an initialiser has returned, in async code. Dropped half-way, it has no effect.
    ///
    /// # Panics
    /// If it is poisoned, or becomes so.
    pub async fn wait_async(&self) {
        self.progress.done_or(|| self.poison.is_set()).await;
        self.check();
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), WaitError> {
        park::wait_until(self.progress.done_or(|| self.poison.is_set()), deadline)?;
        self.check();
        Ok(())
    }

    #[cold]
    #[track_caller]
    fn call(&self, force: bool, f: impl FnOnce(&OnceState)) {
        let Some(turn) = self.progress.turn(NAME) else { return };
        let poisoned = self.poison.is_set();
        if poisoned && !force {
            drop(turn);
            panic!("{POISONED}");
        }
        let poisons = Poisons(&self.poison);
        f(&OnceState { poisoned });
        mem::forget(poisons);
        self.poison.clear();
        turn.finish();
    }

    #[track_caller]
    fn check(&self) {
        assert!(self.is_completed() || !self.poison.is_set(), "{POISONED}");
    }
}

/// Poisons when it is dropped, which is by an unwinding only.
struct Poisons<'a>(&'a Poison);

impl Drop for Poisons<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("completed", &self.is_completed()).finish_non_exhaustive()
    }
}
