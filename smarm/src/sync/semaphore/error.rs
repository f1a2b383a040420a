//! Why there were no permits.

use std::error::Error;
use std::fmt;

/// Why permits were not acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcquireError {
    /// The semaphore was closed.
    Closed,
    /// There were not enough in time, or by the deadline of the caller's [scope](crate::cancel).
    TimedOut,
    /// A token of the caller's [scope](crate::cancel) was cancelled; or the caller is an actor that is being
    /// killed and waits in a destructor.
    Cancelled,
}

/// Why permits were not acquired at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TryAcquireError {
    /// The semaphore was closed.
    Closed,
    /// There are not enough, or others wait already.
    NoPermits,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the semaphore is closed",
            Self::TimedOut => "there were not enough permits in time",
            Self::Cancelled => "the wait was cancelled",
        })
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the semaphore is closed",
            Self::NoPermits => "there are not enough permits",
        })
    }
}

impl Error for AcquireError {}
impl Error for TryAcquireError {}
