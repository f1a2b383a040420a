//! The sending half.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::receiver::Receiver;
use super::{SendError, Shared};
use crate::actor::park;
use crate::sync::departure::closed_family;

/// The half that sends. Clones send to the same receivers.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

// The channel is in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// A channel without receivers yet.
    ///
    /// # Panics
    /// If `capacity` is 0, or more than memory can hold.
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a broadcast channel needs a capacity of at least 1");
        Sender { shared: Arc::new(Shared::new(capacity)) }
    }

    /// Sends a message to all receivers that there are. Gives their number. Never waits; a message that
    /// some have not received may be overwritten.
    ///
    /// # Errors
    /// Gives the message back if there is no receiver. There can be some later.
    #[inline]
    pub fn send(&self, message: T) -> Result<usize, SendError<T>> {
        park::yield_if_overdue();
        let shared = &*self.shared;
        let message = Arc::new(message);
        let mut ring = shared.ring();
        let receivers = ring.receivers;
        if receivers == 0 {
            drop(ring);
            let message = Arc::into_inner(message).expect("nobody has received it");
            return Err(SendError(message));
        }
        let overwritten = ring.push(message);
        shared.tail.store(ring.tail, SeqCst);
        drop(ring);
        shared.arrivals.wake_all();
        drop(overwritten);
        Ok(receivers)
    }

    /// A receiver of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.shared)
    }

    /// How many messages there are that somebody has not received.
    pub fn len(&self) -> usize {
        let mut ring = self.shared.ring();
        let (oldest, tail) = (ring.oldest(), ring.tail);
        (oldest..tail)
            .find(|position| ring.slot(*position).left > 0)
            .map_or(0, |first| (tail - first) as usize)
    }

    /// Whether all receivers have received everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages are kept for receivers that are slow.
    pub fn capacity(&self) -> usize {
        self.shared.ring().slots.len()
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.departure.receivers()
    }

    /// Whether there is no receiver, so that a send would fail.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Whether both send to the same receivers.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    closed_family!();
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, SeqCst);
        Sender { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, SeqCst) == 1 {
            self.shared.closed.store(true, SeqCst);
            self.shared.arrivals.wake_all();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("receivers", &self.receiver_count()).finish_non_exhaustive()
    }
}
