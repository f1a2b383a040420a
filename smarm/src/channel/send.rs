//! The sending half.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::error::{SendError, SendTimeoutError, TrySendError};
use super::sending::{Delivery, Sending};
use super::shared::Shared;
use crate::actor::park::{self, Interrupt};

/// The half that sends. Clones send to the same receiver, or the same
/// [many](crate::sync::mpmc), and share nothing else.
pub struct Sender<T> {
    pub(super) shared: NonNull<Shared<T>>,
    /// Of a sink: a message that it has accepted and the channel has not. It uses `shared`, so it goes
    /// before the sender leaves.
    pub(super) delivery: Option<Pin<Box<Delivery<T>>>>,
}

// SAFETY: messages are moved from one thread to another, and never shared.
unsafe impl<T: Send> Send for Sender<T> {}
// SAFETY: as above; the sending side is for any number of senders at once.
unsafe impl<T: Send> Sync for Sender<T> {}
// The channel is in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// # Safety
    /// `shared` counts this sender.
    pub(super) unsafe fn new(shared: NonNull<Shared<T>>) -> Self {
        Sender { shared, delivery: None }
    }

    pub(super) fn shared(&self) -> &Shared<T> {
        // SAFETY: the allocation lives until both sides have left, and this sender has not.
        unsafe { self.shared.as_ref() }
    }

    /// Sends a message; waits for room if the channel is bounded and full.
    ///
    /// # Errors
    /// Gives the message back if the receiver is gone or closed the channel, or if the wait is interrupted
    /// (see [`SendError`]).
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        park::yield_if_overdue();
        match self.shared().try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(message)) => Err(SendError(message)),
            Err(TrySendError::Full(message)) => {
                self.wait(message, None).map_err(|error| SendError(error.into_inner()))
            }
        }
    }

    /// Sends a message if that is possible at once: if there is room and no other sender waits, or,
    /// in a channel of capacity 0, if the receiver waits. (If that is a future which is then dropped, or an actor
    /// which is then killed, the message stays for the next receive.)
    ///
    /// # Errors
    /// [`TrySendError::Full`] if it is not, [`TrySendError::Closed`] as [`send`](Self::send).
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        park::yield_if_overdue();
        match self.shared().try_send(message) {
            Err(TrySendError::Full(message)) => self.shared().hand(message),
            sent => sent,
        }
    }

    /// Sends a message; waits for room, at most for `timeout`.
    ///
    /// # Errors
    /// [`SendTimeoutError::TimedOut`] if there was no room in time; else as [`send`](Self::send).
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        park::yield_if_overdue();
        match self.shared().try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(message)) => Err(SendTimeoutError::Closed(message)),
            Err(TrySendError::Full(message)) => self.wait(message, park::now().checked_add(timeout)),
        }
    }

    /// Sends a message; waits for room until `deadline`. If there is room, it is sent even if that has
    /// passed.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.wait(message, Some(deadline))
    }

    /// Waits for room for a message for which there is none.
    #[cold]
    pub(crate) fn wait(&self, message: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        let mut sending = pin!(self.send_async(message));
        let interrupt = match park::wait_until(sending.as_mut(), deadline) {
            Ok(outcome) => return outcome.map_err(|SendError(message)| SendTimeoutError::Closed(message)),
            Err(interrupt) => interrupt,
        };
        match (sending.withdraw(), interrupt) {
            (None, _) => Ok(()),
            (Some(message), Interrupt::TimedOut) => Err(SendTimeoutError::TimedOut(message)),
            (Some(message), Interrupt::Cancelled) => Err(SendTimeoutError::Cancelled(message)),
        }
    }

    /// Sends a message from async code.
    ///
    /// Dropped half-way, the future leaves the queue of those who wait, which goes on without it, and
    /// drops the message, unless the channel has taken that already: then it is received. Who wants the
    /// message back gives up with [`try_send`](Self::try_send) or [`send_timeout`](Self::send_timeout).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_async(&self, message: T) -> Sending<'_, T> {
        Sending::new(self.shared(), message)
    }

    /// How many messages the channel holds, `None` if any number.
    pub fn capacity(&self) -> Option<usize> {
        self.shared().bound.as_ref().map(|bound| bound.capacity())
    }

    /// Whether the receiver is gone or closed the channel, so that a send would fail.
    pub fn is_closed(&self) -> bool {
        self.shared().list.is_closed()
    }

    /// Whether both send to the same receiver.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        self.shared == other.shared
    }

    /// How many messages were sent and not received, those included that are just being sent.
    pub fn len(&self) -> usize {
        self.shared().list.len()
    }

    /// Whether all messages were received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared().add_sender();
        Sender { shared: self.shared, delivery: None }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        drop(self.delivery.take());
        // SAFETY: this sender is counted, and this is its end.
        unsafe { Shared::sender_leaves(self.shared) };
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("len", &self.len()).finish_non_exhaustive()
    }
}
