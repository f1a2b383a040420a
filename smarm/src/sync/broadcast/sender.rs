//! The sending half.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::receiver::Receiver;
use super::{SendError, Shared};
use crate::actor::park;
use crate::channel::crowd::{Attend, Crowd};

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
        self.shared.receivers.load(SeqCst)
    }

    /// Whether there is no receiver, so that a send would fail.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Whether both send to the same receivers.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Waits until there is no receiver.
    ///
    /// # Panics
    /// Where a wait would block others, as in a future that an actor awaits: see
    /// [`closed_async`](Self::closed_async). Unwinds when the caller's [scope](crate::cancel) is over.
    #[track_caller]
    pub fn closed(&self) {
        park::wait_uncancelled(self.closed_async());
    }

    /// Waits until there is no receiver, at most for `timeout`. Says whether there is none. A scope that
    /// is over, and the killing of an actor that unwinds, end the wait sooner.
    ///
    /// # Panics
    /// As [`closed`](Self::closed).
    #[track_caller]
    pub fn closed_timeout(&self, timeout: Duration) -> bool {
        self.closed_until(park::now().checked_add(timeout))
    }

    /// As [`closed_timeout`](Self::closed_timeout), until `deadline`.
    ///
    /// # Panics
    /// As [`closed`](Self::closed).
    #[track_caller]
    pub fn closed_deadline(&self, deadline: Instant) -> bool {
        self.closed_until(Some(deadline))
    }

    #[track_caller]
    fn closed_until(&self, deadline: Option<Instant>) -> bool {
        park::wait_until(self.closed_async(), deadline).is_ok() || self.is_closed()
    }

    /// Ready when there is no receiver. Dropped half-way, it leaves no trace.
    pub fn closed_async(&self) -> Closed<'_> {
        let attend = Attend::new(&self.shared.departure);
        Closed { receivers: &self.shared.receivers, attend }
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
            self.shared.arrivals.wake_all();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("receivers", &self.receiver_count()).finish_non_exhaustive()
    }
}

/// The future of [`Sender::closed_async`].
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<'a> {
    receivers: &'a std::sync::atomic::AtomicUsize,
    attend: Attend<&'a Crowd>,
}

impl Future for Closed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let receivers = self.receivers;
        // SAFETY: the only field that is pinned with the future, which is not moved out of it.
        let attend = unsafe { self.map_unchecked_mut(|this| &mut this.attend) };
        attend.poll(cx, || receivers.load(SeqCst) == 0)
    }
}

impl fmt::Debug for Closed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}
