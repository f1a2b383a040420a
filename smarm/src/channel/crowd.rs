//! All those who wait for the same event, and are woken together.
//!
//! | word | meaning |
//! |---|---|
//! | event | something that the primitive's own state tells: `happened` |
//! | crowd | those who wait for it |
//! | attend | to wait for it: a future |
//!
//! 1. Who waits sees that the event has not happened, is queued and counted, and looks once more.
//! 2. Who brings the event about makes it seen, looks at the count, and, unless that is 0, takes off and
//!    wakes as many as there were.
//!
//! **No wake is lost**: counting and the second look in step 1, and making it seen and the look at the
//! count in step 2, are all sequentially consistent: either the one who waits sees the event, or the one
//! who brings it about sees the count. Those who come after the count of step 2 saw the event.
//!
//! Rejected: a lock of the primitive around both (then the event cannot be published without it, and who
//! is woken runs into that lock).

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::waitlist::{Node, WaitList, Waiters};
use crate::actor::park::rouse;
use crate::primitive::atomic::AtomicUsize;
use crate::primitive::atomic::Ordering::SeqCst;
use crate::primitive::{MutexGuard, constant};

/// How many are woken at once.
const BATCH: usize = 32;

pub(crate) struct Crowd {
    waiters: Waiters<()>,
    /// How many are queued. Changed under the lock of `waiters`.
    waiting: AtomicUsize,
}

impl Crowd {
    constant! {
        pub(crate) const fn new() -> Self {
            Crowd { waiters: Waiters::new(), waiting: AtomicUsize::new(0) }
        }
    }

    /// Step 2, once the event can be seen by sequentially consistent loads.
    #[inline]
    pub(crate) fn wake_all(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.wake_queued();
        }
    }

    #[cold]
    fn wake_queued(&self) {
        let mut left = self.waiting.load(SeqCst);
        while left > 0 {
            let mut batch = [const { None::<Waker> }; BATCH];
            let mut list = self.waiters.lock();
            let mut taken = 0;
            while taken < left.min(BATCH)
                && let Some((waker, ())) = list.pop_front()
            {
                batch[taken] = Some(waker);
                taken += 1;
            }
            self.waiting.fetch_sub(taken, SeqCst);
            drop(list);
            batch.into_iter().take(taken).flatten().for_each(rouse);
            if taken < left.min(BATCH) {
                return; // The others have left.
            }
            left -= taken;
        }
    }

    /// Takes a node off. Its waker is to be dropped outside the lock.
    ///
    /// # Safety
    /// The node was queued here.
    unsafe fn remove(&self, mut list: MutexGuard<'_, WaitList<()>>, node: Pin<&Node<()>>) {
        // SAFETY: the caller's duty.
        let waker = unsafe { list.remove(node) };
        if waker.is_some() {
            self.waiting.fetch_sub(1, SeqCst);
        }
        drop(list);
        drop(waker);
    }
}

/// A place in a crowd. Dropping it leaves.
pub(crate) struct Attend<C: Deref<Target = Crowd>> {
    crowd: C,
    /// The node was queued, and it was not seen yet whether it was woken.
    queued: bool,
    node: Node<()>,
}

impl<C: Deref<Target = Crowd>> Attend<C> {
    pub(crate) fn new(crowd: C) -> Self {
        Attend { crowd, queued: false, node: Node::new(()) }
    }

    /// Ready when the event has happened, by sequentially consistent loads.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, happened: impl Fn() -> bool) -> Poll<()> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is pinned with its place.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        if !happened() {
            // SAFETY: the node was queued here, if it was.
            if this.queued && unsafe { this.crowd.waiters.poll_served(node, cx) }.is_pending() {
                return Poll::Pending;
            }
            let waker = cx.waker().clone();
            let mut list = this.crowd.waiters.lock();
            // SAFETY: the node is pinned, is not queued (any more), and is removed by `drop`.
            unsafe { list.push_back(node, waker) };
            this.crowd.waiting.fetch_add(1, SeqCst);
            drop(list);
            this.queued = true;
            if !happened() {
                return Poll::Pending;
            }
        }
        this.leave();
        Poll::Ready(())
    }

    fn leave(&mut self) {
        if self.queued {
            self.queued = false;
            // SAFETY: the node was queued here, so the place is pinned.
            unsafe { self.crowd.remove(self.crowd.waiters.lock(), Pin::new_unchecked(&self.node)) };
        }
    }
}

impl<C: Deref<Target = Crowd>> Drop for Attend<C> {
    fn drop(&mut self) {
        self.leave();
    }
}
