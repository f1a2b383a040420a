//! Tokens: trees of flags that can be waited for.
//!
//! A token is a flag and a list of those who wait for it. A child is one of them: in its parent's list it
//! has a place, whose waker cancels the child. So there is one protocol for all:
//!
//! 1. Who cancels sets the flag under the list's lock, then takes one after the other off the list, and wakes
//!    each outside the lock.
//! 2. Who waits locks, and finds the flag set, or is queued.
//!
//! No wake is lost: whoever was queued under the lock before the flag was set is taken off the list by (1).
//!
//! A child keeps its parent alive, and the parent knows its child weakly. Cancelling and dropping go down,
//! and up, one call per level of the tree.

#[cfg(all(test, smarm_loom))]
mod models;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::actor::park::{self, Interrupt, rouse};
use crate::actor::scope::{Cancel, Subscription};
use crate::channel::waitlist::{Node, Waiters};
use crate::primitive::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use crate::primitive::{Step, omits};

/// Tells any number of actors, tasks and threads to stop. Clones are the same token.
///
/// It can be cancelled and asked from anywhere. [`with_cancel`](crate::with_cancel) ends waits for it.
///
/// ```
/// use smarm::CancelToken;
///
/// let service = CancelToken::new();
/// let request = service.child_token();
/// let sibling = service.child_token();
/// request.cancel();
/// assert!(!service.is_cancelled() && !sibling.is_cancelled());
/// service.cancel();
/// assert!(sibling.is_cancelled() && service.child_token().is_cancelled());
/// ```
#[derive(Clone)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

struct Shared {
    /// Set under the lock of `waiters`, and never cleared.
    cancelled: AtomicBool,
    waiters: Waiters<()>,
    parent: Option<Link>,
}

/// A child's place in its parent's list.
struct Link {
    parent: Arc<Shared>,
    node: Node<()>,
}

/// Cancels a child.
struct Child(Weak<Shared>);

impl Wake for Child {
    fn wake(self: Arc<Self>) {
        if let Some(child) = self.0.upgrade() {
            child.cancel();
        }
    }
}

impl CancelToken {
    /// A token without a parent.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::new(None)) }
    }

    /// A token that is cancelled with this one, or alone.
    pub fn child_token(&self) -> Self {
        let link = Link { parent: self.shared.clone(), node: Node::new(()) };
        let child = Arc::new(Shared::new(Some(link)));
        if let Some(Link { parent, node }) = &child.parent {
            let waker = Waker::from(Arc::new(Child(Arc::downgrade(&child))));
            let mut list = parent.waiters.lock();
            // SAFETY: the node never moves out of the child's allocation, is queued in this list only, and
            // taken off by the child's drop.
            unsafe { list.push_back(Pin::new_unchecked(node), waker) };
            drop(list);
            if parent.is_cancelled() {
                child.cancel();
            }
        }
        Self { shared: child }
    }

    /// Cancels the token and its descendants, and wakes all who wait for them. Once is for ever.
    pub fn cancel(&self) {
        self.shared.cancel();
    }

    /// Whether it, or a token above it, was cancelled.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled()
    }

    /// Waits until it is cancelled. In a destructor of an actor that is being killed, it waits all the same.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: await
    /// [`cancelled`](Self::cancelled) there.
    #[track_caller]
    pub fn wait(&self) {
        park::wait_uncancelled(self.cancelled());
    }

    /// Waits until it is cancelled, at most for `timeout`. Says whether it was. A scope that is over, and the
    /// killing of an actor that unwinds, end the wait sooner.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        match park::wait_until(self.cancelled(), park::now().checked_add(timeout)) {
            Ok(()) => true,
            Err(Interrupt::TimedOut | Interrupt::Cancelled) => self.is_cancelled(),
        }
    }

    /// Ready when it is cancelled.
    ///
    /// Dropped half-way, the future leaves the list of those who wait.
    pub fn cancelled(&self) -> Cancellation<'_> {
        Cancellation { shared: &self.shared, queued: false, node: Node::new(()) }
    }

    pub(super) fn shared(&self) -> Arc<dyn Cancel> {
        self.shared.clone()
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn new(parent: Option<Link>) -> Self {
        Self { cancelled: AtomicBool::new(false), waiters: Waiters::new(), parent }
    }

    fn is_cancelled(&self) -> bool {
        // Pairs with `cancel`.
        self.cancelled.load(Acquire)
    }

    fn cancel(&self) {
        let list = self.waiters.lock();
        // false => true, under the lock. Release: what was done before is seen by those who stop.
        self.cancelled.store(true, Release);
        drop(list);
        loop {
            let mut list = self.waiters.lock();
            let Some((waker, ())) = list.pop_front() else { return };
            drop(list);
            rouse(waker);
        }
    }

    /// Step 2: `true` if it is cancelled; else the node is queued.
    ///
    /// # Safety
    /// As [`WaitList::push_back`](crate::channel::waitlist::WaitList::push_back).
    unsafe fn queue(&self, node: Pin<&Node<()>>, waker: Waker) -> bool {
        let mut list = self.waiters.lock();
        if !omits(Step::LookUnderLock) && self.is_cancelled() {
            drop(list);
            drop(waker);
            return true;
        }
        // SAFETY: the caller's duty.
        unsafe { list.push_back(node, waker) };
        false
    }

    /// Takes a node off the list that may be in it.
    ///
    /// # Safety
    /// The node was queued here.
    unsafe fn leave(&self, node: Pin<&Node<()>>) {
        let mut list = self.waiters.lock();
        // SAFETY: the caller's duty.
        let waker = unsafe { list.remove(node) };
        drop(list);
        drop(waker);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(Link { parent, node }) = &self.parent {
            // SAFETY: queued by `child_token`, in this place.
            unsafe { parent.leave(Pin::new_unchecked(node)) };
        }
    }
}

impl Cancel for Shared {
    fn is_cancelled(&self) -> bool {
        Shared::is_cancelled(self)
    }

    fn subscribe(self: Arc<Self>, waker: Waker) -> Subscription {
        let subscription = Box::new(Subscribed { shared: self, node: Node::new(()) });
        // SAFETY: the node never moves out of its allocation, and is taken off by the drop.
        if unsafe { subscription.shared.queue(Pin::new_unchecked(&subscription.node), waker.clone()) } {
            rouse(waker);
        }
        subscription
    }
}

/// A waker that is woken when the token is cancelled.
struct Subscribed {
    shared: Arc<Shared>,
    node: Node<()>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        // SAFETY: made by `subscribe`, which has queued it, or found that it need not be: then the node is in
        // no list, and stays in none.
        unsafe { self.shared.leave(Pin::new_unchecked(&self.node)) };
    }
}

/// The future of [`CancelToken::cancelled`]. Dropped half-way, it leaves the list of those who wait.
#[must_use = "futures do nothing unless awaited"]
pub struct Cancellation<'a> {
    shared: &'a Shared,
    queued: bool,
    node: Node<()>,
}

impl Future for Cancellation<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is pinned with the future.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        if this.shared.is_cancelled() {
            return Poll::Ready(());
        }
        if this.queued {
            // SAFETY: the node was queued here. It is served by who cancels only.
            return unsafe { this.shared.waiters.poll_served(node, cx) }.map(drop);
        }
        // SAFETY: the node is pinned, not queued, and taken off by `drop`.
        this.queued = unsafe { !this.shared.queue(node, cx.waker().clone()) };
        if this.queued { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Cancellation<'_> {
    fn drop(&mut self) {
        if self.queued {
            // SAFETY: queued here, so the future is pinned.
            unsafe { self.shared.leave(Pin::new_unchecked(&self.node)) };
        }
    }
}

impl fmt::Debug for Cancellation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation").field("queued", &self.queued).finish_non_exhaustive()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
