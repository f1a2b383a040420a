//! A send that keeps its message until it may send it: what a `select!` waits with.
//!
//! A [`Sending`](super::Sending) is queued with its message, which a receiver then takes at any time: right for
//! a sender that wants nothing but to send. Among the arms of a `select!` that would be one arm too many, if
//! another has won meanwhile. So this one is queued for a permit, and its message moves in the very poll that
//! is ready. If it is dropped with a permit, that goes to the next who waits.
//!
//! In a channel of capacity 0 there are no permits. There it is queued with its message, which a receiver takes
//! only with the claim of the select; when it is dropped, it puts the message back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::bound::Queued;
use super::claim::Claimant;
use super::error::{SendError, TrySendError};
use super::rendezvous::{Parcel, Rendezvous};
use super::send::Sender;
use super::waitlist::Node;

/// The source of [`select::send`](crate::select::send). Dropped half-way, it leaves the message where it is.
///
/// Awaited as a future, it may have sent its message before it is polled again, in a channel of capacity 0; then
/// that is gone from its variable when it is dropped.
#[must_use = "futures do nothing unless awaited"]
pub struct SendFrom<'a, T> {
    sender: &'a Sender<T>,
    /// There until it is sent, or refused.
    message: &'a mut Option<T>,
    /// The node was queued, and it was not seen yet whether it was served.
    queued: bool,
    node: Node<Parcel<T>>,
    /// Of an arm of a select, if that can be claimed.
    claimant: Option<Claimant>,
}

impl<'a, T> SendFrom<'a, T> {
    pub(crate) fn new(sender: &'a Sender<T>, message: &'a mut Option<T>) -> Self {
        SendFrom { sender, message, queued: false, node: Node::new(Parcel::empty()), claimant: None }
    }
}

impl<T> SendFrom<'_, T> {
    /// Says whether it is one that a counterpart can claim: this arm of a select.
    ///
    /// # Safety
    /// The send is dropped before the select ends.
    pub(crate) unsafe fn enroll(self: Pin<&mut Self>, claimant: Claimant) -> bool {
        let meets = self.sender.shared().rendezvous().is_some();
        if meets {
            // SAFETY: nothing is moved out of the node.
            unsafe { self.get_unchecked_mut() }.claimant = Some(claimant);
        }
        meets
    }

    /// Wakes a receiver that missed it.
    pub(crate) fn notify(self: Pin<&mut Self>, own: &Waker) {
        if let (Some(rendezvous), Some(claimant)) = (self.sender.shared().rendezvous(), self.claimant) {
            rendezvous.notify(claimant, own);
        }
    }

    #[cold]
    fn poll_rendezvous(
        &mut self,
        rendezvous: &Rendezvous<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        // SAFETY: the node is pinned with the future.
        let node = unsafe { Pin::new_unchecked(&self.node) };
        if self.queued {
            // SAFETY: the node was queued here.
            let refused = ready!(unsafe { rendezvous.poll_sent(node, cx) });
            self.queued = false;
            return Poll::Ready(refused.map_or(Ok(()), |message| Err(SendError(message))));
        }
        let message = self.message.take().expect("a send without a message was polled");
        let list = &self.sender.shared().list;
        if self.claimant.is_some_and(|claimant| !claimant.waits()) {
            return match rendezvous.hand(list, message) {
                Err(TrySendError::Full(message)) => {
                    *self.message = Some(message);
                    Poll::Pending
                }
                handed => Poll::Ready(handed.map_err(|error| SendError(error.into_inner()))),
            };
        }
        let waker = cx.waker().clone();
        // SAFETY: the node is pinned, new, and taken off by `drop`, and that before the select ends.
        let polled = unsafe { rendezvous.queue(list, node, message, self.claimant, waker) };
        self.queued = polled.is_pending();
        polled.map_err(SendError)
    }
}

impl<T> Future for SendFrom<'_, T> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    /// If there is no message, as after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is pinned with the future.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        let shared = this.sender.shared();
        if let Some(rendezvous) = shared.rendezvous() {
            return this.poll_rendezvous(rendezvous, cx);
        }
        if let (true, Some(bound)) = (this.queued, &shared.bound) {
            // SAFETY: the node was queued here.
            ready!(unsafe { bound.poll_served(node, cx) });
            this.queued = false;
        } else {
            let message = this.message.take().expect("a send without a message was polled");
            match (shared.try_send(message), &shared.bound) {
                (Ok(()), _) => return Poll::Ready(Ok(())),
                (Err(TrySendError::Full(message)), Some(bound)) => {
                    *this.message = Some(message);
                    // SAFETY: the node is pinned, new, and taken off by `drop`.
                    if let Queued::Waiting = unsafe { bound.queue_for_room(node, None, cx.waker().clone()) } {
                        this.queued = true;
                        return Poll::Pending;
                    }
                }
                (Err(error), _) => return Poll::Ready(Err(SendError(error.into_inner()))),
            }
        }
        // With a permit; or the bound is closed, and then the list is, too.
        let message = this.message.take().expect("it is kept until here");
        Poll::Ready(shared.list.push(message).map_err(SendError))
    }
}

impl<T> Drop for SendFrom<'_, T> {
    fn drop(&mut self) {
        let shared = self.sender.shared();
        if let (true, Some(rendezvous)) = (self.queued, shared.rendezvous()) {
            // SAFETY: queued here, so the future is pinned.
            *self.message = unsafe { rendezvous.give_up(Pin::new_unchecked(&self.node)) };
        } else if let (true, Some(bound)) = (self.queued, &shared.bound) {
            // SAFETY: queued here, so the future is pinned.
            unsafe { bound.give_up_permit(&shared.list, Pin::new_unchecked(&self.node)) };
        }
    }
}

impl<T> fmt::Debug for SendFrom<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFrom").field("queued", &self.queued).finish_non_exhaustive()
    }
}
