//! A send under way, which is all that the forms of sending that wait have in common.

use std::fmt;
use std::future::Future;
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, ready};

use super::bound::Queued;
use super::error::{SendError, TrySendError};
use super::rendezvous::Parcel;
use super::shared::Shared;
use super::waitlist::Node;

/// A message on its way into a channel. Dropping it takes the message back out of the queue of those
/// who wait, and drops it, unless the channel has it already.
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Delivery<T> {
    shared: NonNull<Shared<T>>,
    /// The message, while it is neither in the node nor sent.
    message: Option<T>,
    /// The node was queued, and what became of it was not seen yet.
    queued: bool,
    node: Node<Parcel<T>>,
    _pinned: PhantomPinned,
}

// SAFETY: the message is moved from one thread to another; of what is shared, the senders' side is
// used, which is for any number of threads.
unsafe impl<T: Send> Send for Delivery<T> {}
// SAFETY: a shared reference gives nothing.
unsafe impl<T: Send> Sync for Delivery<T> {}

impl<T> Delivery<T> {
    /// # Safety
    /// `shared` lives longer than the delivery: a counted sender does.
    pub(super) unsafe fn new(shared: NonNull<Shared<T>>, message: T) -> Self {
        Delivery {
            shared,
            message: Some(message),
            queued: false,
            node: Node::new(Parcel::empty()),
            _pinned: PhantomPinned,
        }
    }

    /// Gives up: gives the message, if that was not sent.
    pub(super) fn withdraw(self: Pin<&mut Self>) -> Option<T> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: by the caller of `new`.
        match unsafe { &this.shared.as_ref().bound } {
            Some(bound) if this.queued => {
                this.queued = false;
                // SAFETY: the node is pinned with the delivery, and was queued here.
                unsafe { bound.give_up(Pin::new_unchecked(&this.node)) }
            }
            _ => this.message.take(),
        }
    }
}

impl<T> Future for Delivery<T> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is pinned with the delivery.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        // SAFETY: by the caller of `new`.
        let shared = unsafe { this.shared.as_ref() };
        if let (true, Some(bound)) = (this.queued, &shared.bound) {
            // SAFETY: the node was queued here.
            let refused = ready!(unsafe { bound.poll_served(node, cx) });
            this.queued = false;
            return Poll::Ready(refused.map_or(Ok(()), |message| Err(SendError(message))));
        }
        let message = this.message.take().expect("a send was polled after it was ready");
        let message = match (shared.try_send(message), &shared.bound) {
            (Ok(()), _) => return Poll::Ready(Ok(())),
            (Err(TrySendError::Full(message)), Some(bound)) => {
                // SAFETY: the node is pinned, new, and removed by `withdraw` when it is dropped.
                match unsafe { bound.queue(&shared.list, node, message, cx.waker().clone()) } {
                    Queued::Waiting => {
                        this.queued = true;
                        return Poll::Pending;
                    }
                    Queued::Sent => return Poll::Ready(Ok(())),
                    Queued::Permitted(message) => match shared.list.push(message) {
                        Ok(()) => return Poll::Ready(Ok(())),
                        Err(message) => message,
                    },
                    Queued::Closed(message) => message,
                }
            }
            (Err(error), _) => error.into_inner(),
        };
        Poll::Ready(Err(SendError(message)))
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        // SAFETY: it was pinned if it was ever polled, and is not moved while it is dropped.
        drop(unsafe { Pin::new_unchecked(self) }.withdraw());
    }
}

/// The future of [`Sender::send_async`](super::Sender::send_async).
///
/// Dropped half-way, it leaves the queue of those who wait to send, and drops the message, unless the
/// channel has taken that already: then it is received.
#[must_use = "futures do nothing unless awaited"]
pub struct Sending<'a, T> {
    delivery: Delivery<T>,
    /// Borrowed from a sender, which keeps it alive.
    _shared: PhantomData<&'a Shared<T>>,
}

impl<'a, T> Sending<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>, message: T) -> Self {
        // SAFETY: borrowed for longer than this lives.
        let delivery = unsafe { Delivery::new(NonNull::from(shared), message) };
        Sending { delivery, _shared: PhantomData }
    }

    fn delivery(self: Pin<&mut Self>) -> Pin<&mut Delivery<T>> {
        // SAFETY: the only field that is pinned with the future, which is not moved out of it.
        unsafe { self.map_unchecked_mut(|this| &mut this.delivery) }
    }

    /// Gives up: gives the message, if that was not sent.
    pub(super) fn withdraw(self: Pin<&mut Self>) -> Option<T> {
        self.delivery().withdraw()
    }
}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    /// If polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.delivery().poll(cx)
    }
}

impl<T> fmt::Debug for Sending<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("queued", &self.delivery.queued).finish_non_exhaustive()
    }
}
