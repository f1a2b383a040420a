//! The receiving half.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::actor::park::{self, Interrupt};
use crate::channel::iterators::iterators;
use crate::channel::{Claimant, Receive, Receivers, RecvError, RecvTimeoutError, TryRecvError};

/// A half that receives. Clones receive from the same channel: each message goes to one of them. When
/// the last one is dropped, so are the messages that were not received.
pub struct Receiver<T> {
    /// Of a stream that waits. It uses the channel, so it goes before `channel` does.
    streaming: Option<Pin<Box<Receive<T>>>>,
    channel: Receivers<T>,
}

// The channel is in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn new(channel: Receivers<T>) -> Self {
        Receiver { streaming: None, channel }
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when all messages were received and all senders are gone, or
    /// [`close`](Self::close) was called; the others when the wait is interrupted.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Empty) => park::wait(self.recv_firmly())
                .unwrap_or_else(|interrupt| self.last_look().ok_or(interrupt.into())),
        }
    }

    /// Takes a message if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none, or its sender has not finished sending it;
    /// [`TryRecvError::Closed`] as [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        park::yield_if_overdue();
        self.channel.try_recv()
    }

    /// Waits for a message, at most for `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::TimedOut`] if there was none in time; else as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Closed) => Err(RecvTimeoutError::Closed),
            Err(TryRecvError::Empty) => self.recv_until(park::now().checked_add(timeout)),
        }
    }

    /// Waits for a message until `deadline`. A message that is there is received even if that has
    /// passed.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let interrupt = match park::wait_until(self.recv_firmly(), deadline) {
            Ok(received) => return received.map_err(|_| RecvTimeoutError::Closed),
            Err(interrupt) => interrupt,
        };
        self.last_look().ok_or(match interrupt {
            Interrupt::TimedOut => RecvTimeoutError::TimedOut,
            Interrupt::Cancelled => RecvTimeoutError::Cancelled,
        })
    }

    /// For a wait after which, if it is interrupted, comes a [last look](Self::last_look).
    fn recv_firmly(&self) -> Recv<'_, T> {
        // SAFETY: as in `recv_async`.
        Recv { receive: unsafe { Receive::new(&self.channel) }.firm(), _receiver: PhantomData }
    }

    /// After a wait that was interrupted: a message that came meanwhile.
    #[cold]
    fn last_look(&self) -> Option<T> {
        self.channel.try_recv().ok()
    }

    /// Receives a message in async code.
    ///
    /// Dropped half-way, the future loses nothing: a message that it was woken for goes to another
    /// receiver.
    ///
    /// # Errors
    /// [`RecvError::Closed`] as [`recv`](Self::recv), and no other.
    pub fn recv_async(&self) -> Recv<'_, T> {
        // SAFETY: the receiver is borrowed for longer than this lives.
        Recv { receive: unsafe { Receive::new(&self.channel) }, _receiver: PhantomData }
    }

    /// The messages as they come, waiting for each, until the channel is closed.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there now.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Closes the channel for all: sending fails from now on. Messages sent before can still be
    /// received.
    pub fn close(&self) {
        self.channel.close();
    }

    /// Whether no message can follow those that are there: all senders are gone, or somebody called
    /// [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }

    /// How many messages there are, those included that are just being sent.
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages the channel holds, `None` if any number.
    pub fn capacity(&self) -> Option<usize> {
        self.channel.capacity()
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.channel.count()
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        self.channel.same_channel(&other.channel)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver::new(self.channel.clone())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The messages as they come, until the channel is closed and empty.
///
/// Dropped half-way, a future made of the stream (such as `StreamExt::next` of the crate `futures`)
/// loses nothing. But the receiver keeps its place among those who wait, as if it waited on, and a
/// message that it is woken for is left to it, unless another receiver happens to come by: go on with the
/// stream, receive with this receiver, or drop it.
impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Receiver { streaming, channel } = self.get_mut();
        let receive = streaming.get_or_insert_with(|| {
            // SAFETY: the receiver drops it before it leaves the channel.
            Box::pin(unsafe { Receive::new(channel) })
        });
        let received = ready!(receive.as_mut().poll(cx));
        Poll::Ready(received.ok())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}

/// The future of [`Receiver::recv_async`]. Dropped half-way, it loses nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a, T> {
    receive: Receive<T>,
    /// Borrowed from a receiver, which keeps the channel alive.
    _receiver: PhantomData<&'a Receivers<T>>,
}

impl<T> Recv<'_, T> {
    fn receive(self: Pin<&mut Self>) -> Pin<&mut Receive<T>> {
        // SAFETY: the only field that is pinned with the future, which is not moved out of it.
        unsafe { self.map_unchecked_mut(|this| &mut this.receive) }
    }

    /// Says whether it is one that a counterpart can claim: this arm of a select.
    ///
    /// # Safety
    /// The future is dropped before the select ends.
    pub(crate) unsafe fn enroll(self: Pin<&mut Self>, claimant: Claimant) -> bool {
        // SAFETY: passed on.
        unsafe { self.receive().enroll(claimant) }
    }
}

impl<T> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receive().poll(cx).map_err(|_| RecvError::Closed)
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

iterators!();
