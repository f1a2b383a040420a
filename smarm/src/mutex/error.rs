//! Why a mutex or a read-write lock was not locked, or not without reserve. `G` is the guard.

use std::error::Error;
use std::fmt;

/// Why [`Mutex::lock`](super::Mutex::lock), or a lock of an [`RwLock`](crate::sync::RwLock), did not simply give
/// the guard.
pub enum LockError<G> {
    /// It is locked, but a panic or a kill interrupted an earlier holder, who may have left the value
    /// half changed.
    Poisoned(G),
    /// It was not free in time, or by the deadline of the caller's [scope](crate::cancel). If that cannot be, look
    /// for a holder that waits for something which the caller should do.
    TimedOut,
    /// A token of the caller's [scope](crate::cancel) was cancelled; or the caller is an actor that is being
    /// killed and waits in a destructor.
    Cancelled,
}

/// Why [`Mutex::try_lock`](super::Mutex::try_lock), or a try of an [`RwLock`](crate::sync::RwLock), did not simply
/// give the guard.
pub enum TryLockError<G> {
    /// As [`LockError::Poisoned`].
    Poisoned(G),
    /// Somebody holds it, or waits for it.
    WouldBlock,
}

const POISONED: &str = "the lock is poisoned: an earlier holder panicked or was killed";

impl<G> LockError<G> {
    /// The guard, if it was locked, whether or not its value is all right.
    pub fn into_guard(self) -> Option<G> {
        match self {
            LockError::Poisoned(guard) => Some(guard),
            LockError::TimedOut | LockError::Cancelled => None,
        }
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockError::Poisoned(_) => "Poisoned(..)",
            LockError::TimedOut => "TimedOut",
            LockError::Cancelled => "Cancelled",
        })
    }
}

impl<G> fmt::Debug for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryLockError::Poisoned(_) => "Poisoned(..)",
            TryLockError::WouldBlock => "WouldBlock",
        })
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockError::Poisoned(_) => POISONED,
            LockError::TimedOut => "the lock was not free in time",
            LockError::Cancelled => "the wait was cancelled",
        })
    }
}

impl<G> fmt::Display for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryLockError::Poisoned(_) => POISONED,
            TryLockError::WouldBlock => "the lock is taken",
        })
    }
}

impl<G> Error for LockError<G> {}
impl<G> Error for TryLockError<G> {}
