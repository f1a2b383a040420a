//! The receiving half.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::claim::Claimant;
use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::iterators::iterators;
use super::rendezvous::Bond;
use super::shared::Shared;
use crate::actor::park::{self, Interrupt, Running};

/// The half that receives. There is one per channel; dropping it drops the messages that were not
/// received, and sending fails from then on.
///
/// It can move to another thread, but is used by one at a time, and by one waiter at a time: a second
/// one takes the place of the first, which then sleeps on.
pub struct Receiver<T> {
    shared: NonNull<Shared<T>>,
    /// The receiving side of the list knows of one receiver only.
    _not_sync: PhantomData<Cell<()>>,
}

// SAFETY: messages are moved from one thread to another, never shared, and a receiver is not cloned.
unsafe impl<T: Send> Send for Receiver<T> {}
// The channel is in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    /// # Safety
    /// There is one receiver for each `shared`.
    pub(super) unsafe fn new(shared: NonNull<Shared<T>>) -> Self {
        Receiver { shared, _not_sync: PhantomData }
    }

    fn shared(&self) -> &Shared<T> {
        // SAFETY: the allocation lives until both sides have left, and the receiver has not.
        unsafe { self.shared.as_ref() }
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when all messages were received and all senders are gone, or
    /// [`close`](Self::close) was called; the others when the wait is interrupted.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        park::yield_if_overdue();
        // SAFETY: as in `try_recv`.
        match unsafe { self.shared().try_recv() } {
            Ok(message) => Ok(message),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Empty) => self.recv_waiting(),
        }
    }

    #[inline(always)]
    fn recv_waiting(&self) -> Result<T, RecvError> {
        if self.shared().list.is_plain_to_receiver()
            && let Some(actor) = Running::current()
        {
            return self.recv_parking(actor);
        }
        self.recv_otherwise()
    }

    /// Apart from [`recv_waiting`](Self::recv_waiting), which is inlined.
    #[inline(never)]
    fn recv_otherwise(&self) -> Result<T, RecvError> {
        let mut wait = pin!(Wait::firm(self));
        park::wait(wait.as_mut()).unwrap_or_else(|interrupt| wait.last_look().ok_or_else(|| interrupt.into()))
    }

    /// Waits for a message of an unbounded channel, as what [`park::wait`] comes to without a future:
    /// a message that comes out of one, through a `Poll` and a `Result`, is copied right after it was
    /// written in parts, which stalls.
    #[inline(always)]
    fn recv_parking(&self, actor: Running) -> Result<T, RecvError> {
        let waker = actor.waker();
        loop {
            let list = &self.shared().list;
            // SAFETY: as in `try_recv`.
            let there = actor.look(|| unsafe { list.is_ready() });
            // SAFETY: as in `try_recv`.
            if !there && unsafe { list.register(&waker, || waker.copy()) } {
                let registered = Registered(self);
                if let Err(interrupt) = actor.park() {
                    return Err(interrupt.into());
                }
                registered.stay();
            }
            // SAFETY: as in `try_recv`.
            match unsafe { self.shared().try_recv() } {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Closed) => return Err(RecvError::Closed),
                Err(TryRecvError::Empty) => {}
            }
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
        // SAFETY: this is the only receiver, on one thread at a time as it is not Sync.
        unsafe { self.shared().try_recv() }
    }

    /// Waits for a message, at most for `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::TimedOut`] if there was none in time; else as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Closed) => Err(RecvTimeoutError::Closed),
            Err(TryRecvError::Empty) => self.wait_until(park::now().checked_add(timeout)),
        }
    }

    /// Waits for a message until `deadline`. One that is there is received even if that has passed.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let mut wait = pin!(Wait::firm(self));
        let interrupt = match park::wait_until(wait.as_mut(), deadline) {
            Ok(outcome) => return outcome.map_err(|_| RecvTimeoutError::Closed),
            Err(interrupt) => interrupt,
        };
        wait.last_look().ok_or(match interrupt {
            Interrupt::TimedOut => RecvTimeoutError::TimedOut,
            Interrupt::Cancelled => RecvTimeoutError::Cancelled,
        })
    }

    /// Waits for a message in async code.
    ///
    /// Dropped half-way, the future loses nothing: a message is taken only by the poll that gives it,
    /// and nobody is woken for it any more.
    ///
    /// # Errors
    /// [`RecvError::Closed`] as [`recv`](Self::recv), and no other.
    pub fn recv_async(&mut self) -> Recv<'_, T> {
        Recv(Wait::new(self))
    }

    /// Takes a message, or has `cx`'s waker woken when there is one. Only the waker of the last call
    /// is kept.
    ///
    /// Given up half-way (no further call comes), nothing is lost; see the receiver as a
    /// [`Stream`](#impl-Stream-for-Receiver<T>).
    ///
    /// # Errors
    /// As [`recv_async`](Self::recv_async).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        // SAFETY: as in `try_recv`; of no select.
        unsafe { self.poll(cx, Bond::Loose) }
    }

    /// # Safety
    /// The select of an arm ends after this was ready, or the receiver stopped waiting.
    unsafe fn poll(&self, cx: &mut Context<'_>, bond: Bond) -> Poll<Result<T, RecvError>> {
        // SAFETY: as in `try_recv`.
        unsafe { self.shared().poll_recv(cx, bond) }.map_err(|_| RecvError::Closed)
    }

    /// The messages as they come, waiting for each, until the channel is closed.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there now.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Closes the channel: sending fails from now on. Messages sent before can still be received.
    pub fn close(&self) {
        // SAFETY: as in `try_recv`.
        unsafe { self.shared().close() };
    }

    /// Whether no message can follow those that are there: all senders are gone, or the channel was
    /// [closed](Self::close).
    pub fn is_closed(&self) -> bool {
        self.shared().list.is_finished()
    }

    /// How many messages there are, those included that are just being sent.
    pub fn len(&self) -> usize {
        self.shared().list.len()
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // SAFETY: this is the only receiver, and its end.
        unsafe { Shared::receiver_leaves(self.shared) };
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The waker of an unbounded channel's receiver, which is taken back when the wait unwinds.
struct Registered<'a, T>(&'a Receiver<T>);

impl<T> Registered<'_, T> {
    /// Leaves it where it is: used, or still good for the next wait.
    fn stay(self) {
        std::mem::forget(self);
    }
}

impl<T> Drop for Registered<'_, T> {
    #[cold]
    fn drop(&mut self) {
        // SAFETY: as in `Receiver::try_recv`.
        unsafe { self.0.shared().stop_waiting() };
    }
}

/// The wait of a receiver, borrowed one way or the other. Dropped half-way, it loses nothing.
pub struct Wait<R: Deref<Target = Receiver<T>>, T> {
    receiver: R,
    /// Whether the receiver's waker may be registered.
    registered: bool,
    bond: Bond,
}

impl<R: Deref<Target = Receiver<T>>, T> Wait<R, T> {
    pub(crate) fn new(receiver: R) -> Self {
        Wait { receiver, registered: false, bond: Bond::Loose }
    }

    /// Has nobody wake the receiver any more.
    fn stop(&mut self) {
        if std::mem::take(&mut self.registered) {
            // SAFETY: as in `Receiver::try_recv`.
            unsafe { self.receiver.shared().stop_waiting() };
        }
    }

    /// Says whether it is one that a counterpart can claim: this arm of a select.
    ///
    /// # Safety
    /// The wait is dropped before the select ends.
    #[inline]
    pub(crate) unsafe fn enroll(&mut self, claimant: Claimant) -> bool {
        let meets = self.receiver.shared().rendezvous().is_some();
        if meets {
            self.bond = Bond::Arm(claimant);
        }
        meets
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        // SAFETY: when it is dropped before it was ready, the receiver stops waiting.
        let outcome = unsafe { self.receiver.poll(cx, self.bond) };
        self.registered = outcome.is_pending();
        outcome
    }
}

impl<'a, T> Wait<&'a Receiver<T>, T> {
    /// Of a call that has a [last look](Self::last_look) when it gives up.
    fn firm(receiver: &'a Receiver<T>) -> Self {
        Wait { receiver, registered: false, bond: Bond::Firm }
    }

    /// Ends a wait that is over: gives the message that came meanwhile.
    #[cold]
    fn last_look(&mut self) -> Option<T> {
        self.stop();
        // SAFETY: as in `Receiver::try_recv`.
        unsafe { self.receiver.shared().try_recv() }.ok()
    }
}

impl<R: Deref<Target = Receiver<T>> + Unpin, T> Future for Wait<R, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Wait::poll(self.get_mut(), cx)
    }
}

impl<R: Deref<Target = Receiver<T>>, T> Drop for Wait<R, T> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The future of [`Receiver::recv_async`]. Dropped half-way, it loses nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a, T>(Wait<&'a mut Receiver<T>, T>);

impl<T> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll(cx)
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

iterators!();
