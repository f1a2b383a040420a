//! Tokens: trees of flags that can be waited for.
//!
//! A token is a flag and a list of those who wait for it. A child is one of them: it has a place in its parent's
//! list, which names it. So there is one protocol for all:
//!
//! 1. Who cancels sets the flag under the list's lock, then takes one after the other off the list. Outside the
//!    lock, it wakes who waits, and does the same with each child before it goes on.
//! 2. Who waits locks, and finds the flag set, or is queued. A child is queued, and then looks at the flag.
//!
//! No wake is lost: whoever was queued under the lock before the flag was set is taken off the list by (1).
//!
//! A child keeps its parent alive, and the parent knows its child weakly. Trees may be deep, so neither cancelling
//! nor dropping takes a call per level: the former finds its way back up by the parents, and a token that is dropped
//! drops those above it that nobody else holds one after the other.
//!
//! Rejected: a child's place in its own allocation (who drops a parent in a loop has to move it out of there).

#[cfg(all(test, smarm_loom))]
mod models;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
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
    waiters: Waiters<Entry>,
    parent: Option<Link>,
}

/// The child whose place it is; `None` of who waits.
type Entry = Option<Weak<Shared>>;

/// A child's place in its parent's list.
struct Link {
    parent: Arc<Shared>,
    node: Pin<Box<Node<Entry>>>,
}

impl CancelToken {
    /// A token without a parent.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::new(None)) }
    }

    /// A token that is cancelled with this one, or alone.
    pub fn child_token(&self) -> Self {
        let shared = Arc::new_cyclic(|child: &Weak<Shared>| {
            let node = Box::pin(Node::new(Some(child.clone())));
            Shared::new(Some(Link { parent: self.shared.clone(), node }))
        });
        if let Some(Link { parent, node }) = &shared.parent {
            let mut list = parent.waiters.lock();
            // SAFETY: the node is queued in this list only, and taken off by the child's drop.
            unsafe { list.push_back(node.as_ref(), Waker::noop().clone()) };
            drop(list);
            if !omits(Step::LookAfterQueueing) && parent.is_cancelled() {
                shared.cancel();
            }
        }
        Self { shared }
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
        Cancellation { shared: &self.shared, queued: false, node: Node::new(None) }
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
        self.set_cancelled();
        // The token whose list is being emptied, if that is one below this one.
        let mut below: Option<Arc<Shared>> = None;
        loop {
            let token = below.as_deref().unwrap_or(self);
            let mut list = token.waiters.lock();
            let next = list.pop_front().map(|(waker, entry)| (waker, entry.take()));
            drop(list);
            match next {
                Some((waker, None)) => rouse(waker),
                Some((_, Some(child))) => {
                    // One that nobody holds is being dropped.
                    if let Some(child) = child.upgrade() {
                        child.set_cancelled();
                        below = Some(child);
                    }
                }
                None => match below {
                    None => return,
                    Some(done) => below = done.parent_below(self),
                },
            }
        }
    }

    fn set_cancelled(&self) {
        let list = self.waiters.lock();
        // false => true, under the lock. Release: what was done before is seen by those who stop.
        self.cancelled.store(true, Release);
        drop(list);
    }

    /// The parent, unless that is `top`.
    fn parent_below(&self, top: &Shared) -> Option<Arc<Shared>> {
        let parent = &self.parent.as_ref()?.parent;
        (!ptr::eq(Arc::as_ptr(parent), top)).then(|| parent.clone())
    }

    /// Step 2: `true` if it is cancelled; else the node is queued.
    ///
    /// # Safety
    /// As [`WaitList::push_back`](crate::channel::waitlist::WaitList::push_back).
    unsafe fn queue(&self, node: Pin<&Node<Entry>>, waker: Waker) -> bool {
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
    unsafe fn leave(&self, node: Pin<&Node<Entry>>) {
        let mut list = self.waiters.lock();
        // SAFETY: the caller's duty.
        let waker = unsafe { list.remove(node) };
        drop(list);
        drop(waker);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut link = self.parent.take();
        while let Some(Link { parent, node }) = link {
            // SAFETY: queued by `child_token`.
            unsafe { parent.leave(node.as_ref()) };
            // The last one that holds it drops it here, and not in a call of its own.
            link = Arc::into_inner(parent).and_then(|mut last| last.parent.take());
        }
    }
}

impl Cancel for Shared {
    fn is_cancelled(&self) -> bool {
        Shared::is_cancelled(self)
    }

    fn subscribe(self: Arc<Self>, waker: Waker) -> Subscription {
        let subscription = Box::new(Subscribed { shared: self, node: Node::new(None) });
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
    node: Node<Entry>,
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
    node: Node<Entry>,
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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::thread;

    use super::CancelToken;

    /// What Miri is to look at: places move and go in any order, on any thread.
    #[test]
    fn branches_of_a_tree_are_dropped_and_cancelled_in_any_order() {
        for round in 0..6 {
            let top = CancelToken::new();
            let mut branches: Vec<Vec<CancelToken>> = (0..3).map(|_| vec![top.child_token()]).collect();
            for branch in &mut branches {
                for _ in 0..8 {
                    let lowest = branch.last().expect("it begins with one").child_token();
                    branch.push(lowest);
                }
            }
            let middle = branches[0][4].clone();
            let mut wait = pin!(middle.cancelled());
            assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            branches.rotate_left(round % 3);
            if round < 3 {
                branches[0].reverse();
            }
            let canceller = thread::spawn({
                let top = top.clone();
                move || top.cancel()
            });
            drop(branches);
            canceller.join().unwrap();
            assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
            assert!(middle.child_token().is_cancelled() && top.is_cancelled());
        }
    }
}
