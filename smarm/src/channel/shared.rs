//! What the senders and the receiver of one channel share, and who frees it.
//!
//! The senders count themselves. The last of them to leave does so for all, and of the two sides,
//! senders and receiver, the second to leave frees the allocation.

use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::bound::Bound;
use super::error::{TryRecvError, TrySendError};
use super::list::List;
use super::many::Many;
use super::rendezvous::{Bond, Rendezvous};
use crate::primitive::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitive::atomic::{AtomicBool, AtomicUsize, fence};

pub(super) struct Shared<T> {
    pub(super) list: List<T>,
    /// None if the channel is unbounded.
    pub(super) bound: Option<Box<Bound<T>>>,
    /// None if there is one receiver only.
    pub(super) many: Option<Box<Many>>,
    senders: AtomicUsize,
    /// Whether one of the two sides has left.
    one_side_left: AtomicBool,
}

impl<T> Shared<T> {
    /// For one sender and one receiver.
    pub(super) fn allocate(bound: Option<Bound<T>>, many: Option<Many>) -> NonNull<Self> {
        NonNull::from(Box::leak(Box::new(Shared {
            list: List::new(bound.is_none()),
            bound: bound.map(Box::new),
            many: many.map(Box::new),
            senders: AtomicUsize::new(1),
            one_side_left: AtomicBool::new(false),
        })))
    }

    /// Counts one sender more. The caller is, or borrows, another one.
    pub(super) fn add_sender(&self) {
        self.senders.fetch_add(1, Relaxed);
    }

    /// One sender leaves.
    ///
    /// # Safety
    /// The caller is a counted sender, and does not use `shared` afterwards.
    pub(super) unsafe fn sender_leaves(shared: NonNull<Self>) {
        // SAFETY: the senders' side has not left.
        let this = unsafe { shared.as_ref() };
        // Release: what this sender did comes before the last one leaves. Pairs with the fence.
        if this.senders.fetch_sub(1, Release) == 1 {
            if cfg!(smarm_sanitizer = "thread") {
                this.senders.load(Acquire); // it knows no fences
            } else {
                fence(Acquire);
            }
            this.list.finish();
            if let Some(rendezvous) = this.rendezvous() {
                rendezvous.wake_receivers();
            }
            // SAFETY: this was the last sender.
            unsafe { Self::side_leaves(shared) };
        }
    }

    /// The receiver leaves. All messages are dropped, now or by those who are sending them.
    ///
    /// # Safety
    /// The caller is the receiver, and does not use `shared` afterwards.
    pub(super) unsafe fn receiver_leaves(shared: NonNull<Self>) {
        /// Leaves even if the destructor of a message panics.
        struct Leave<T>(NonNull<Shared<T>>);
        impl<T> Drop for Leave<T> {
            fn drop(&mut self) {
                // SAFETY: made below by the receiver, as its last act.
                unsafe { Shared::side_leaves(self.0) };
            }
        }
        let leave = Leave(shared);
        // SAFETY: the receiver's side has not left; the caller is the receiver.
        unsafe {
            if let Some(rendezvous) = leave.0.as_ref().rendezvous() {
                rendezvous.leave_seat(&leave.0.as_ref().list);
            }
            leave.0.as_ref().close();
            leave.0.as_ref().list.abandon();
        }
    }

    /// Sends a message if there is room.
    #[inline]
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match &self.bound {
            None => self.list.push(message).map_err(TrySendError::Closed),
            Some(bound) => bound.try_send(&self.list, message),
        }
    }

    /// Sends a message to a receiver that waits, in a channel that has no room for it.
    #[cold]
    pub(super) fn hand(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.rendezvous() {
            Some(rendezvous) => rendezvous.hand(&self.list, message),
            None => Err(TrySendError::Full(message)),
        }
    }

    /// Where senders and receivers meet, in a channel of capacity 0.
    pub(super) fn rendezvous(&self) -> Option<&Rendezvous<T>> {
        self.bound.as_ref().and_then(|bound| bound.rendezvous())
    }

    /// # Safety
    /// Called once for each side, which does not use `shared` afterwards.
    unsafe fn side_leaves(shared: NonNull<Self>) {
        // SAFETY: this side has not left.
        let this = unsafe { shared.as_ref() };
        // false => true. Release and Acquire: all that one side did comes before the other frees.
        if this.one_side_left.swap(true, AcqRel) {
            // SAFETY: both sides have left.
            drop(unsafe { Box::from_raw(shared.as_ptr()) });
        }
    }
}

/// The receiver's side.
///
/// # Safety
/// Of all these functions: the caller is the only receiver, and calls one at a time.
impl<T> Shared<T> {
    /// Takes a message if there is one.
    #[inline]
    pub(super) unsafe fn try_recv(&self) -> Result<T, TryRecvError> {
        // SAFETY: the caller's duty.
        unsafe {
            let popped = self.list.pop();
            if self.list.is_plain_to_receiver() {
                return popped;
            }
            let Some(bound) = &self.bound else { return popped };
            bound.after_pop(&self.list, popped.is_ok()).map_or(popped, Ok)
        }
    }

    /// Takes a message, or has the waker woken when there is one; gives [`TryRecvError::Closed`] when
    /// there will be none. The select of an arm ends after the receiver has [stopped waiting](Self::stop_waiting).
    pub(super) unsafe fn poll_recv(&self, cx: &mut Context<'_>, bond: Bond) -> Poll<Result<T, TryRecvError>> {
        if let Some(rendezvous) = self.rendezvous() {
            // SAFETY: the caller's duty.
            return unsafe { rendezvous.poll_seat(&self.list, bond, cx) };
        }
        loop {
            // SAFETY: the caller's duty.
            unsafe {
                match self.try_recv() {
                    Err(TryRecvError::Empty) => {}
                    outcome => return Poll::Ready(outcome),
                }
                if self.list.register(cx.waker(), || cx.waker().clone()) {
                    return Poll::Pending;
                }
            }
        }
    }

    /// The receiver does not want to be woken any more.
    pub(super) unsafe fn stop_waiting(&self) {
        match self.rendezvous() {
            Some(rendezvous) => rendezvous.leave_seat(&self.list),
            // SAFETY: the caller's duty.
            None => unsafe { self.list.deregister() },
        }
    }

    /// Makes sending fail from now on.
    pub(super) unsafe fn close(&self) {
        if self.rendezvous().is_none() {
            // SAFETY: the caller's duty.
            unsafe { self.list.close() };
        }
        if let Some(bound) = &self.bound {
            bound.close(&self.list);
        }
    }
}
