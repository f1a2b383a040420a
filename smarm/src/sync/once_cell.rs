//! A value that is made once; see [`progress`](super::progress) for how.

use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use super::WaitError;
use super::progress::{Progress, Turn};
use crate::actor::park;

/// A cell that is written once, by the first of those who would: std's [`OnceLock`](std::sync::OnceLock), whose
/// initialisers may wait, also for what other actors of the same worker do.
///
/// An initialiser that panics, is killed, gives an error, or is a future that is dropped, leaves the cell as it
/// was, and the next one has its turn. The waits of [`get_or_init`](Self::get_or_init) have no form with a
/// timeout: [`with_timeout`](crate::with_timeout) bounds them together with the initialiser.
///
/// ```
/// use smarm::sync::OnceCell;
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// smarm::run(|| {
///     let actors: Vec<_> = (0..3)
///         .map(|n| smarm::spawn(move || CONFIG.get_or_init(|| format!("made by {n}")).as_str()))
///         .collect();
///     for actor in actors {
///         assert_eq!(actor.join().unwrap(), CONFIG.get().unwrap());
///     }
/// });
/// ```
pub struct OnceCell<T> {
    progress: Progress,
    /// Written in a turn, and there when that is done; then it is shared.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the cell owns the value.
unsafe impl<T: Send> Send for OnceCell<T> {}
// SAFETY: it gives shared references to a value that any thread may have put there.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}
// A value that is there was made by an initialiser that returned.
impl<T: UnwindSafe> UnwindSafe for OnceCell<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceCell<T> {}

const NAME: &str = "a OnceCell or LazyLock";

impl<T> OnceCell<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        OnceCell { progress: Progress::new(false), value: UnsafeCell::new(None) }
    }

    /// The value, if there is one. Does not wait.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if self.progress.is_done() {
            // SAFETY: it is done, so the value is only shared from now on.
            unsafe { &*self.value.get() }.as_ref()
        } else {
            None
        }
    }

    /// The value, which nobody else can use, as the cell is borrowed exclusively.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Takes the value out, which leaves the cell empty.
    pub fn take(&mut self) -> Option<T> {
        self.progress.reset();
        self.value.get_mut().take()
    }

    /// The value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Puts a value into an empty cell; waits for the initialiser that runs, if there is one.
    ///
    /// # Errors
    /// Gives the value back if there is another.
    ///
    /// # Panics
    /// As [`get_or_init`](Self::get_or_init), but for the panic of an initialiser.
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        match self.progress.turn(NAME) {
            Some(turn) => {
                self.put(turn, value);
                Ok(())
            }
            None => Err(value),
        }
    }

    /// The value; if there is none, `f` makes it, or that of another caller does, which is waited for. In a
    /// destructor of an actor that is being killed it waits all the same.
    ///
    /// # Panics
    /// In its own initialiser; if `f` panics; and if it has to wait in a future that an actor awaits, or on a
    /// worker's thread outside any actor: use [`get_or_init_async`](Self::get_or_init_async) there.
    #[inline]
    #[track_caller]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_init`](Self::get_or_init), with an initialiser that may fail.
    ///
    /// # Errors
    /// That of `f`.
    ///
    /// # Panics
    /// As [`get_or_init`](Self::get_or_init).
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<F: FnOnce() -> Result<T, E>, E>(&self, f: F) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.init(f),
        }
    }

    /// As [`get_or_init`](Self::get_or_init), in async code.
    ///
    /// Dropped half-way, its own initialiser is dropped as well, and the next caller has its turn.
    ///
    /// ```
    /// # use smarm::{compat::await_future, sync::OnceCell};
    /// # smarm::run(|| {
    /// static ANSWER: OnceCell<u8> = OnceCell::new();
    /// assert_eq!(await_future(ANSWER.get_or_init_async(|| async { 42 })), &42);
    /// # });
    /// ```
    ///
    /// # Panics
    /// In its own initialiser.
    pub async fn get_or_init_async<F: FnOnce() -> Fut, Fut: Future<Output = T>>(&self, f: F) -> &T {
        let made = self.get_or_try_init_async(|| async { Ok::<T, Infallible>(f().await) }).await;
        match made {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_try_init`](Self::get_or_try_init), in async code.
    ///
    /// Dropped half-way, it does as [`get_or_init_async`](Self::get_or_init_async).
    ///
    /// # Errors
    /// That of the initialiser.
    ///
    /// # Panics
    /// In its own initialiser.
    pub async fn get_or_try_init_async<F: FnOnce() -> Fut, Fut: Future<Output = Result<T, E>>, E>(
        &self,
        f: F,
    ) -> Result<&T, E> {
        if let Some(turn) = self.progress.turn_async(NAME).await {
            let value = turn.run(f()).await?;
            self.put(turn, value);
        }
        Ok(self.there())
    }

    /// Waits until there is a value.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: use
    /// [`wait_async`](Self::wait_async) there.
    #[track_caller]
    pub fn wait(&self) -> &T {
        park::wait_uncancelled(self.wait_async())
    }

    /// Waits until there is a value, at most for `timeout`.
    ///
    /// # Errors
    /// There was none in time, or the wait was interrupted.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<&T, WaitError> {
        Ok(park::wait_until(self.wait_async(), park::now().checked_add(timeout))?)
    }

    /// Waits until there is a value, until `deadline` at most.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<&T, WaitError> {
        Ok(park::wait_until(self.wait_async(), Some(deadline))?)
    }

    /// Waits until there is a value, in async code. Dropped half-way, it has no effect.
    pub async fn wait_async(&self) -> &T {
        self.progress.done_or(|| false).await;
        self.there()
    }

    #[cold]
    #[track_caller]
    fn init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(turn) = self.progress.turn(NAME) {
            self.put(turn, f()?);
        }
        Ok(self.there())
    }

    fn put(&self, turn: Turn<'_>, value: T) {
        // SAFETY: in this turn, which is not done, nobody else looks at the value.
        unsafe { *self.value.get() = Some(value) };
        turn.finish();
    }

    /// The value of a cell that is done.
    fn there(&self) -> &T {
        self.get().expect("a cell that is done has a value")
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        OnceCell { progress: Progress::new(true), value: UnsafeCell::new(Some(value)) }
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("OnceCell");
        match self.get() {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<empty>")),
        };
        debug.finish()
    }
}
