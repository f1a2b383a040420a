//! The sending half.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use super::receiver::Receiver;
use super::{Ref, SendError, Shared};
use crate::actor::park;
use crate::channel::crowd::Crowd;
use crate::sync::departure::{Departure, closed_family};

/// The half that sends. Clones send to the same receivers.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

// The channel is in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// A channel without receivers yet.
    pub fn new(value: T) -> Self {
        let shared = Shared {
            value: Mutex::new(Arc::new(value)),
            version: 0.into(),
            senders: 1.into(),
            closed: false.into(),
            changes: Crowd::new(),
            departure: Departure::new(),
        };
        Sender { shared: Arc::new(shared) }
    }

    /// Puts a new value in place, and wakes all receivers that wait. Never waits.
    ///
    /// # Errors
    /// Gives the value back if there is no receiver, and changes nothing; see
    /// [`send_replace`](Self::send_replace).
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        drop(self.replace(value));
        Ok(())
    }

    fn replace(&self, value: T) -> Arc<T> {
        park::yield_if_overdue();
        self.shared.publish(Arc::new(value), None).unwrap_or_else(|value| value)
    }

    /// A snapshot of the value.
    pub fn borrow(&self) -> Ref<T> {
        Ref { value: self.shared.snapshot().0, changed: false }
    }

    /// A receiver that has seen the value that there is.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.shared)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.departure.receivers()
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.senders.load(SeqCst)
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

impl<T: Clone> Sender<T> {
    /// Puts a new value in place, whether or not there are receivers, and gives the one of before: a clone, if
    /// somebody has it borrowed.
    pub fn send_replace(&self, value: T) -> T {
        Arc::unwrap_or_clone(self.replace(value))
    }

    /// Modifies the value, whether or not there are receivers, and tells them.
    ///
    /// `modify` gets a clone of the value. It is called again, with a new clone, if another sender was
    /// faster. If it panics, nothing has changed.
    ///
    /// ```
    /// let (tx, rx) = smarm::sync::watch::channel(vec![1]);
    /// tx.send_modify(|list| list.push(2));
    /// assert_eq!(*rx.borrow(), [1, 2]);
    /// ```
    pub fn send_modify(&self, mut modify: impl FnMut(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// As [`send_modify`](Self::send_modify), but the clone becomes the value only if `modify` says so.
    /// Gives what it said.
    pub fn send_if_modified(&self, mut modify: impl FnMut(&mut T) -> bool) -> bool {
        park::yield_if_overdue();
        loop {
            let (value, version) = self.shared.snapshot();
            let mut fresh = T::clone(&value);
            if !modify(&mut fresh) {
                return false;
            }
            if self.shared.publish(Arc::new(fresh), Some(version)).is_ok() {
                return true;
            }
        }
    }
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
            self.shared.changes.wake_all();
        }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Sender::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("value", &self.borrow()).finish_non_exhaustive()
    }
}
