//! Why a wait for an event ended without it.

use std::error::Error;
use std::fmt;

use crate::actor::park::Interrupt;

/// Why a bounded wait ended before that which was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitError {
    /// The time is over, or that of the caller's [scope](crate::cancel).
    TimedOut,
    /// A token of the caller's [scope](crate::cancel) was cancelled; or the caller is an actor that is being
    /// killed and waits in a destructor.
    Cancelled,
}

impl From<Interrupt> for WaitError {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::TimedOut => Self::TimedOut,
            Interrupt::Cancelled => Self::Cancelled,
        }
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the wait timed out",
            Self::Cancelled => "the wait was cancelled",
        })
    }
}

impl Error for WaitError {}
