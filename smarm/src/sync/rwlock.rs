//! A lock for many readers or one writer, handed over in the order of asking.
//!
//! It is a count of [permits](super::permits): a reader has one, a writer has all. What follows from that:
//!
//! - *No writer starves*: readers who come after a writer that waits, wait behind it.
//! - *No reader starves*: a writer that lets go lets in all readers up to the next writer that waits.
//! - *Downgrading* gives back all permits but one, and so cannot let another writer in between.
//! - A reader that reads again while a writer waits is behind that writer, which is behind the reader: both
//!   time out.
//!
//! Rejected: preferring readers (writers starve), or writers (readers do); upgrading (two readers that both want
//! to, wait for each other).

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

use super::permits::{Closed, Permits};
use super::poison::{Poison, Stake};
use crate::actor::park::{self, Interrupt};
use crate::mutex::{LockError, TryLockError};

/// What a writer takes, and so how many readers there can be at once.
const ALL: usize = u32::MAX as usize;

type Read<'a, T> = Result<RwLockReadGuard<'a, T>, LockError<RwLockReadGuard<'a, T>>>;
type Write<'a, T> = Result<RwLockWriteGuard<'a, T>, LockError<RwLockWriteGuard<'a, T>>>;
type TryRead<'a, T> = Result<RwLockReadGuard<'a, T>, TryLockError<RwLockReadGuard<'a, T>>>;
type TryWrite<'a, T> = Result<RwLockWriteGuard<'a, T>, TryLockError<RwLockWriteGuard<'a, T>>>;

/// A value that many can read, or one can change, at a time.
///
/// It differs from [`std::sync::RwLock`] as [`Mutex`](super::Mutex) does from std's: waiting parks the actor and
/// not the thread, [`read`](Self::read) and [`write`](Self::write) have a timeout, and it is handed over in the
/// order of asking, so that neither readers nor writers starve.
///
/// ```
/// use smarm::sync::RwLock;
/// use std::time::Duration;
///
/// const TIME: Duration = Duration::from_secs(5);
///
/// let lock = RwLock::new(5);
/// {
///     let one = lock.read(TIME).unwrap();
///     let other = lock.read(TIME).unwrap(); // many may read
///     assert_eq!(*one + *other, 10);
///     assert!(lock.try_write().is_err());
/// }
/// *lock.write(TIME).unwrap() += 1;
/// assert_eq!(*lock.read(TIME).unwrap(), 6);
/// ```
///
/// # Poisoning
/// As with std, a write guard that is dropped by a panic poisons the lock, as its value may be half changed.
/// The same holds for an actor that is killed while it writes. Read guards do not poison.
///
/// # Deadlocks
/// Do not read while holding a read guard: if a writer asked in between, neither goes on, until the timeouts.
pub struct RwLock<T: ?Sized> {
    permits: Permits,
    poison: Poison,
    value: UnsafeCell<T>,
}

// SAFETY: the lock owns the value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: it gives shared references to several at a time, and an exclusive one to one, who may be on any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// Poisoning tells whether a panic may have left the value half changed.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

impl<T> RwLock<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Self {
        RwLock { permits: Permits::new(ALL), poison: Poison::new(), value: UnsafeCell::new(value) }
    }

    /// Gives the value back.
    ///
    /// # Errors
    /// Gives it in the error if the lock is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.is_poisoned();
        let value = self.value.into_inner();
        if poisoned { Err(PoisonError::new(value)) } else { Ok(value) }
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading; waits for that, at most for `timeout`. [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// [`LockError::TimedOut`]; [`LockError::Poisoned`] with the guard; [`LockError::Cancelled`] if it would
    /// have to wait and must not.
    ///
    /// ```
    /// use smarm::sync::{LockError, RwLock};
    /// use std::time::Duration;
    ///
    /// let lock = RwLock::new(());
    /// let writing = lock.write(Duration::ZERO).unwrap();
    /// assert!(matches!(lock.read(Duration::from_millis(1)), Err(LockError::TimedOut)));
    /// drop(writing);
    /// ```
    #[inline]
    pub fn read(&self, timeout: Duration) -> Read<'_, T> {
        self.lock_for(1, timeout)?;
        self.reading()
    }

    /// Like [`read`](Self::read), with a deadline. A lock that is free is locked even if that has passed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_deadline(&self, deadline: Instant) -> Read<'_, T> {
        self.lock_until(1, Some(deadline))?;
        self.reading()
    }

    /// Locks for reading if nobody writes or waits to.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if somebody does; [`TryLockError::Poisoned`] with the guard.
    #[inline]
    pub fn try_read(&self) -> TryRead<'_, T> {
        self.permits.try_acquire(1).map_err(|_| TryLockError::WouldBlock)?;
        let guard = RwLockReadGuard::new(self);
        if self.is_poisoned() { Err(TryLockError::Poisoned(guard)) } else { Ok(guard) }
    }

    /// Locks for reading in async code. There is no timeout: the task's own way to time out drops the future.
    ///
    /// Dropped half-way, the future gives up its place in the queue; if it has just been let in, it leaves again.
    ///
    /// # Errors
    /// [`LockError::Poisoned`] with the guard, and no other.
    pub async fn read_async(&self) -> Read<'_, T> {
        // A lock is never closed.
        let _open: Result<(), Closed> = self.permits.acquire(1).await;
        self.reading()
    }

    /// Locks for writing; waits for that, at most for `timeout`. [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn write(&self, timeout: Duration) -> Write<'_, T> {
        self.lock_for(ALL, timeout)?;
        self.writing()
    }

    /// Like [`write`](Self::write), with a deadline. A lock that is free is locked even if that has passed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn write_deadline(&self, deadline: Instant) -> Write<'_, T> {
        self.lock_until(ALL, Some(deadline))?;
        self.writing()
    }

    /// Locks for writing if nobody reads or writes.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if somebody does; [`TryLockError::Poisoned`] with the guard.
    #[inline]
    pub fn try_write(&self) -> TryWrite<'_, T> {
        self.permits.try_acquire(ALL).map_err(|_| TryLockError::WouldBlock)?;
        let guard = RwLockWriteGuard::new(self);
        if self.is_poisoned() { Err(TryLockError::Poisoned(guard)) } else { Ok(guard) }
    }

    /// Locks for writing in async code. There is no timeout: the task's own way to time out drops the future.
    ///
    /// Dropped half-way, the future gives up its place in the queue, which lets in readers who waited behind
    /// it; if the lock has just been handed to it, it hands it on.
    ///
    /// # Errors
    /// [`LockError::Poisoned`] with the guard, and no other.
    pub async fn write_async(&self) -> Write<'_, T> {
        // A lock is never closed.
        let _open: Result<(), Closed> = self.permits.acquire(ALL).await;
        self.writing()
    }

    /// The value, which nobody else can use, as the lock is borrowed exclusively.
    ///
    /// # Errors
    /// Gives it in the error if the lock is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.is_poisoned();
        let value = self.value.get_mut();
        if poisoned { Err(PoisonError::new(value)) } else { Ok(value) }
    }

    /// Whether a write guard was dropped by a panic. Unless the caller holds the lock, it may change at once.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Declares the value to be all right.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    #[inline]
    fn lock_for<G>(&self, permits: usize, timeout: Duration) -> Result<(), LockError<G>> {
        match self.permits.try_acquire(permits) {
            Ok(()) => Ok(()),
            Err(_) => self.wait_until(permits, park::now().checked_add(timeout)),
        }
    }

    fn lock_until<G>(&self, permits: usize, deadline: Option<Instant>) -> Result<(), LockError<G>> {
        match self.permits.try_acquire(permits) {
            Ok(()) => Ok(()),
            Err(_) => self.wait_until(permits, deadline),
        }
    }

    #[cold]
    fn wait_until<G>(&self, permits: usize, deadline: Option<Instant>) -> Result<(), LockError<G>> {
        match park::wait_until(self.permits.acquire(permits), deadline) {
            Ok(Ok(()) | Err(Closed)) => Ok(()),
            Err(Interrupt::TimedOut) => Err(LockError::TimedOut),
            Err(Interrupt::Cancelled) => Err(LockError::Cancelled),
        }
    }

    /// What a lock gives to who has just become a reader.
    #[inline]
    fn reading(&self) -> Read<'_, T> {
        let guard = RwLockReadGuard::new(self);
        if self.is_poisoned() { Err(LockError::Poisoned(guard)) } else { Ok(guard) }
    }

    /// What a lock gives to who has just become the writer.
    #[inline]
    fn writing(&self) -> Write<'_, T> {
        let guard = RwLockWriteGuard::new(self);
        if self.is_poisoned() { Err(LockError::Poisoned(guard)) } else { Ok(guard) }
    }
}

/// The right to read the value of an [`RwLock`]; dropping it unlocks.
///
/// It stays on its thread, as in std.
#[must_use = "the lock is unlocked at once when the guard is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives a shared reference to the value only.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// For a reader.
    #[inline]
    fn new(lock: &'a RwLock<T>) -> Self {
        RwLockReadGuard { lock, _not_send: PhantomData }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits.release(1);
    }
}

/// The right to use the value of an [`RwLock`] alone; dropping it unlocks.
///
/// It stays on its thread, as in std.
#[must_use = "the lock is unlocked at once when the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    stake: Stake,
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives a shared reference to the value only.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// For the writer.
    #[inline]
    fn new(lock: &'a RwLock<T>) -> Self {
        RwLockWriteGuard { lock, stake: Stake::new(), _not_send: PhantomData }
    }

    /// Goes on reading, and lets other readers in. No other writer comes in between.
    ///
    /// ```
    /// use smarm::sync::{RwLock, RwLockWriteGuard};
    /// use std::time::Duration;
    ///
    /// let lock = RwLock::new(1);
    /// let mut writing = lock.write(Duration::ZERO).unwrap();
    /// *writing = 2;
    /// let reading = RwLockWriteGuard::downgrade(writing);
    /// assert_eq!(*reading + *lock.try_read().unwrap(), 4);
    /// ```
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let lock = ManuallyDrop::new(guard).lock;
        let reading = RwLockReadGuard::new(lock);
        lock.permits.release(ALL - 1);
        reading
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.end(self.stake);
        self.lock.permits.release(ALL);
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard's owner has a permit, so nobody writes.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard's owner has all permits.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) | Err(TryLockError::Poisoned(guard)) => debug.field("value", &&*guard),
            Err(TryLockError::WouldBlock) => debug.field("value", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}
