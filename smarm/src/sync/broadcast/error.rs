//! Why there is no message.

use std::error::Error;
use std::fmt;

use crate::actor::park::Interrupt;

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// This many messages were overwritten before the receiver came to them. The next receive gives the
    /// oldest that is there.
    Lagged(u64),
    /// All messages were received, and all senders are gone.
    Closed,
    /// There was none in time, or until the deadline of the caller's [scope](crate::cancel).
    TimedOut,
    /// A token of the caller's [scope](crate::cancel) was cancelled; or the caller is an actor that is being
    /// killed and waits in a destructor.
    Cancelled,
}

/// Why there is no message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none yet.
    Empty,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// All messages were received, and all senders are gone.
    Closed,
}

impl From<Interrupt> for RecvError {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::TimedOut => Self::TimedOut,
            Interrupt::Cancelled => Self::Cancelled,
        }
    }
}

fn lagged(f: &mut fmt::Formatter<'_>, missed: u64) -> fmt::Result {
    write!(f, "the receiver was too slow, and missed {missed} messages")
}

const CLOSED: &str = "receiving on an empty channel whose senders are gone";

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::Lagged(missed) => return lagged(f, *missed),
            RecvError::Closed => CLOSED,
            RecvError::TimedOut => "receiving timed out on an empty channel",
            RecvError::Cancelled => "the wait was cancelled",
        })
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "receiving on an empty channel",
            TryRecvError::Lagged(missed) => return lagged(f, *missed),
            TryRecvError::Closed => CLOSED,
        })
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}
