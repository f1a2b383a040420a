//! What can go wrong when sending and receiving. An error of a send gives the message back.

use std::error::Error;
use std::fmt;

use crate::actor::park::Interrupt;

/// The message could not be sent: the receiver is gone or closed the channel; or the wait for room was
/// interrupted, because the caller's [scope](crate::cancel) is over, or because the caller is an actor that is
/// being killed, waits in a destructor, and so cannot be unwound once more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why a message could not be sent at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The channel is full, or other senders wait already.
    Full(T),
    /// The receiver is gone or closed the channel.
    Closed(T),
}

/// Why a message could not be sent in time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendTimeoutError<T> {
    /// There was no room until the deadline, or that of the caller's [scope](crate::cancel).
    TimedOut(T),
    /// The receiver is gone or closed the channel.
    Closed(T),
    /// A token of the caller's [scope](crate::cancel) was cancelled; or the caller is an actor that is being
    /// killed and waits in a destructor.
    Cancelled(T),
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All messages were received, and none can follow.
    Closed,
    /// There was none until the deadline of the caller's [scope](crate::cancel).
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
    /// All messages were received, and none can follow.
    Closed,
}

/// Why there was no message in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// There was none until the deadline, or that of the caller's [scope](crate::cancel).
    TimedOut,
    /// All messages were received, and none can follow.
    Closed,
    /// A token of the caller's [scope](crate::cancel) was cancelled; or the caller is an actor that is being
    /// killed and waits in a destructor.
    Cancelled,
}

impl From<Interrupt> for RecvError {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::TimedOut => Self::TimedOut,
            Interrupt::Cancelled => Self::Cancelled,
        }
    }
}

impl<T> SendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        let (TrySendError::Full(message) | TrySendError::Closed(message)) = self;
        message
    }
}

impl<T> SendTimeoutError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        let (SendTimeoutError::TimedOut(message)
        | SendTimeoutError::Closed(message)
        | SendTimeoutError::Cancelled(message)) = self;
        message
    }
}

// The messages themselves are left out, so that `unwrap` works whether or not they are `Debug`.

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendTimeoutError::TimedOut(_) => "TimedOut(..)",
            SendTimeoutError::Closed(_) => "Closed(..)",
            SendTimeoutError::Cancelled(_) => "Cancelled(..)",
        })
    }
}

const SEND_CLOSED: &str = "sending on a channel whose receiver is gone";
const RECV_CLOSED: &str = "receiving on an empty channel whose senders are gone";
const RECV_TIMED_OUT: &str = "receiving timed out on an empty channel";
const CANCELLED: &str = "the wait was cancelled";

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SEND_CLOSED)
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "sending on a full channel",
            TrySendError::Closed(_) => SEND_CLOSED,
        })
    }
}

impl<T> fmt::Display for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendTimeoutError::TimedOut(_) => "sending timed out on a full channel",
            SendTimeoutError::Closed(_) => SEND_CLOSED,
            SendTimeoutError::Cancelled(_) => CANCELLED,
        })
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::Closed => RECV_CLOSED,
            RecvError::TimedOut => RECV_TIMED_OUT,
            RecvError::Cancelled => CANCELLED,
        })
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "receiving on an empty channel",
            TryRecvError::Closed => RECV_CLOSED,
        })
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvTimeoutError::TimedOut => RECV_TIMED_OUT,
            RecvTimeoutError::Closed => RECV_CLOSED,
            RecvTimeoutError::Cancelled => CANCELLED,
        })
    }
}

impl<T> Error for SendError<T> {}
impl<T> Error for TrySendError<T> {}
impl<T> Error for SendTimeoutError<T> {}
impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}
