//! The receiving half.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::{Arrivals, RecvError, Shared, TryRecvError};
use crate::actor::park;
use crate::channel::crowd::{Attend, Crowd};

/// A half that receives: all that is sent since it was made. It is not cloned but
/// [subscribed anew](Self::resubscribe).
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The position of its next message.
    next: u64,
    /// Of a stream that waits.
    streaming: Option<Pin<Box<Attend<Arrivals<T>>>>>,
}

// The channel is in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn new(shared: &Arc<Shared<T>>) -> Self {
        Receiver { next: shared.subscribe(), shared: Arc::clone(shared), streaming: None }
    }

    /// A receiver of what is sent from now on, whatever this one has still to receive.
    pub fn resubscribe(&self) -> Self {
        Receiver::new(&self.shared)
    }

    /// How many messages it has still to receive, those included that it has missed: if there are more than
    /// the capacity, the next receive says [`Lagged`](RecvError::Lagged).
    pub fn len(&self) -> usize {
        (self.shared.tail.load(SeqCst) - self.next) as usize
    }

    /// Whether it has received everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(SeqCst)
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.senders.load(SeqCst)
    }

    /// Whether both receive from the same senders.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Takes this receiver's share of its next message.
    #[inline]
    fn take(&mut self) -> Result<Arc<T>, TryRecvError> {
        // Before the tail: the last sender sends nothing after it.
        let closed = self.shared.closed.load(SeqCst);
        if self.shared.tail.load(SeqCst) == self.next {
            return Err(if closed { TryRecvError::Closed } else { TryRecvError::Empty });
        }
        let mut ring = self.shared.ring();
        let oldest = ring.oldest();
        if self.next < oldest {
            let missed = oldest - self.next;
            self.next = oldest;
            return Err(TryRecvError::Lagged(missed));
        }
        let share = ring.slot(self.next).share();
        drop(ring);
        self.next += 1;
        Ok(share.expect("it is kept until all have received it"))
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next message.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] with the number of messages that were overwritten before it came to them, after
    /// which it goes on with the oldest that is there; [`RecvError::Closed`] when it has received everything and
    /// all senders are gone; the others when the wait is interrupted.
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.recv_until(None)
    }

    /// Waits for the next message, at most for `timeout`.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`] if there was none in time; else as [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvError> {
        match self.try_recv() {
            Err(TryRecvError::Empty) => self.recv_until(park::now().checked_add(timeout)),
            received => received.map_err(settled),
        }
    }

    /// Waits for the next message until `deadline`. A message that is there is received even if that has
    /// passed.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvError> {
        self.recv_until(Some(deadline))
    }

    /// Takes the next message if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none; else as [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        park::yield_if_overdue();
        self.take().map(Arc::unwrap_or_clone)
    }

    /// Receives the next message in async code.
    ///
    /// Dropped half-way, the future loses nothing.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] and [`RecvError::Closed`] as [`recv`](Self::recv), and no other.
    pub fn recv_async(&mut self) -> Recv<'_, T> {
        Recv { attend: Attend::new(Arrivals(Arc::clone(&self.shared))), receiver: self }
    }

    fn poll_with(
        &mut self,
        mut attend: Pin<&mut Attend<Arrivals<T>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RecvError>> {
        loop {
            match self.take() {
                Err(TryRecvError::Empty) => {}
                received => return Poll::Ready(received.map(Arc::unwrap_or_clone).map_err(settled)),
            }
            ready!(attend.as_mut().poll(cx, || self.shared.has_news(self.next)));
        }
    }

    #[inline]
    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<T, RecvError> {
        loop {
            match self.try_recv() {
                Err(TryRecvError::Empty) => {}
                received => return received.map_err(settled),
            }
            // The message is cloned outside of the wait, where it may wait itself.
            park::wait_until(Arrival::new(&self.shared, self.next), deadline)?;
        }
    }
}

/// The error of a receive that need not wait.
fn settled(error: TryRecvError) -> RecvError {
    match error {
        TryRecvError::Lagged(missed) => RecvError::Lagged(missed),
        TryRecvError::Closed | TryRecvError::Empty => RecvError::Closed,
    }
}

/// The wait for a message.
struct Arrival<'a, T> {
    shared: &'a Shared<T>,
    next: u64,
    attend: Attend<&'a Crowd>,
}

impl<'a, T> Arrival<'a, T> {
    fn new(shared: &'a Shared<T>, next: u64) -> Self {
        Arrival { shared, next, attend: Attend::new(&shared.arrivals) }
    }
}

impl<T> Future for Arrival<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (shared, next) = (self.shared, self.next);
        // SAFETY: the only field that is pinned with the future, which is not moved out of it.
        let attend = unsafe { self.map_unchecked_mut(|this| &mut this.attend) };
        attend.poll(cx, || shared.has_news(next))
    }
}

/// The future of [`Receiver::recv_async`]. Dropped half-way, it loses nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
    attend: Attend<Arrivals<T>>,
}

impl<T: Clone> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of `attend`, the only field that is pinned with the future.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        this.receiver.poll_with(unsafe { Pin::new_unchecked(&mut this.attend) }, cx)
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

/// The messages as they come, and [`RecvError::Lagged`] where some are missing, until the channel is closed
/// and all is received.
///
/// Dropped half-way, a future made of the stream (such as `StreamExt::next` of the crate `futures`) loses
/// nothing; its waker stays with the channel, which wakes it once, for nothing.
impl<T: Clone> Stream for Receiver<T> {
    type Item = Result<T, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut attend = this
            .streaming
            .take()
            .unwrap_or_else(|| Box::pin(Attend::new(Arrivals(Arc::clone(&this.shared)))));
        let received = this.poll_with(attend.as_mut(), cx);
        this.streaming = Some(attend);
        Poll::Ready(match ready!(received) {
            Err(RecvError::Closed) => None,
            received => Some(received),
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.streaming = None;
        // What is dropped with this receiver is collected under the lock, and dropped outside.
        let own_code = park::own_code();
        let mut ring = self.shared.ring();
        let first = self.next.max(ring.oldest());
        let dropped: Vec<_> =
            (first..ring.tail).filter_map(|position| ring.slot(position).give_up()).collect();
        ring.receivers -= 1;
        let last = self.shared.departure.leave();
        drop(ring);
        drop(own_code);
        if last {
            self.shared.departure.wake();
        }
        drop(dropped);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}
