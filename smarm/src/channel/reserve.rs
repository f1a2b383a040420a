//! A send that keeps its message until it may send it: what a `select!` waits with.
//!
//! A [`Sending`](super::Sending) is queued with its message, which a receiver then takes at any time: right for
//! a sender that wants nothing but to send. Among the arms of a `select!` that would be one arm too many, if
//! another has won meanwhile. So this one is queued for a permit, and its message moves in the very poll that
//! is ready. If it is dropped with a permit, that goes to the next who waits.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::bound::Queued;
use super::error::{SendError, TrySendError};
use super::send::Sender;
use super::waitlist::Node;

/// The future of [`select::send`](crate::select::send). Dropped half-way, it leaves the message where it is.
#[must_use = "futures do nothing unless awaited"]
pub struct SendFrom<'a, T> {
    sender: &'a Sender<T>,
    /// There until it is sent, or refused.
    message: &'a mut Option<T>,
    /// The node was queued, and it was not seen yet whether it was served.
    queued: bool,
    node: Node<Option<T>>,
}

impl<'a, T> SendFrom<'a, T> {
    pub(crate) fn new(sender: &'a Sender<T>, message: &'a mut Option<T>) -> Self {
        SendFrom { sender, message, queued: false, node: Node::new(None) }
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
                    if let Queued::Waiting = unsafe { bound.queue(node, None, cx.waker().clone()) } {
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
        if let (true, Some(bound)) = (self.queued, &shared.bound) {
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
