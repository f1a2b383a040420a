//! A value that is made when it is first used.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::once_cell::OnceCell;

/// A value that is made when it is first used: std's [`LazyLock`](std::sync::LazyLock), whose initialiser may
/// wait, also for what other actors of the same worker do.
///
/// As with std, an initialiser that panics (or is killed) poisons it, as there is no other: each later use
/// panics.
///
/// ```
/// use smarm::sync::LazyLock;
///
/// static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| vec!["Tom", "Molly"]);
/// assert_eq!(NAMES.len(), 2);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    cell: OnceCell<T>,
    /// Until it is called. Touched in a turn of the cell.
    initialiser: Cell<Option<F>>,
}

// SAFETY: the initialiser is touched by who has the turn to fill the cell, one at a time, and moves to that
// one's thread; for the value, it is as the cell says.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}
// An initialiser that was interrupted is not called again.
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}

impl<T, F> LazyLock<T, F> {
    /// A value that `f` makes.
    pub const fn new(f: F) -> Self {
        LazyLock { cell: OnceCell::new(), initialiser: Cell::new(Some(f)) }
    }

    /// The value, if it was made. Does not wait.
    pub fn get(this: &Self) -> Option<&T> {
        this.cell.get()
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// The value, which is made if need be, or waited for if another is at it. `Deref` does the same.
    ///
    /// # Panics
    /// If it is poisoned, or the initialiser panics; in its own initialiser; and if it has to wait in a future
    /// that an actor awaits, or on a worker's thread outside any actor: use [`force_async`](Self::force_async)
    /// there.
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        this.cell.get_or_init(|| this.initialise())
    }

    /// As [`force`](Self::force), in async code: waits there for another who is at it. The initialiser itself
    /// must not wait then, as it runs in a poll.
    ///
    /// Dropped half-way, it has no effect.
    ///
    /// # Panics
    /// If it is poisoned, or the initialiser panics; and in its own initialiser.
    pub async fn force_async(this: &Self) -> &T {
        this.cell.get_or_init_async(|| async { this.initialise() }).await
    }

    /// In a turn of the cell.
    #[track_caller]
    fn initialise(&self) -> T {
        match self.initialiser.take() {
            Some(initialiser) => initialiser(),
            None => panic!("smarm: a LazyLock is poisoned: its initialiser panicked or was killed"),
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("LazyLock");
        match LazyLock::get(self) {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<not made>")),
        };
        debug.finish()
    }
}
