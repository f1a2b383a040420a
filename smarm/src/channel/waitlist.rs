//! A first-in, first-out list of those who wait for something, linked through their own futures.
//!
//! | word | meaning |
//! |---|---|
//! | node | one waiter's place, pinned in its future |
//! | entry | what the waiter brings or gets, in the node |
//! | queued | the node is in the list |
//! | served | the node was taken off the list by [`WaitList::pop_front`] |
//!
//! Everything happens under one lock, which the primitive holds for some instructions only: nothing
//! is allocated under it (an allocator that switches actors would leave it locked) and no user code
//! runs (wakers are cloned, woken and dropped outside).
//!
//! 1. A waiter clones its waker, locks, finds that it must wait, and is queued.
//! 2. Who has something to give locks, takes the oldest waiter off, gives, unlocks, and wakes.
//! 3. The waiter locks and sees that it was served.
//! 4. A waiter that gives up locks and takes itself off. If it was served by then, it uses what it
//!    got or passes it on.
//!
//! Rejected: nodes in an allocation of their own (a `malloc` per wait); a queue of wakers in a
//! `VecDeque` (it grows under the lock, and giving up is linear).

use std::cell::UnsafeCell;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::ptr;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use crate::context::prefetch;
use crate::primitive::{Mutex, MutexGuard};

/// One waiter's place. It is used under the lock of the one list that it was ever queued in.
pub(crate) struct Node<E> {
    inner: UnsafeCell<Inner<E>>,
    _pinned: PhantomPinned,
}

struct Inner<E> {
    prev: *const Node<E>,
    next: *const Node<E>,
    /// There while the node is queued.
    waker: Option<Waker>,
    entry: E,
}

// SAFETY: a node's contents are touched only by who owns it or holds the lock of its list, and may
// move from one thread to another.
unsafe impl<E: Send> Send for Node<E> {}
// SAFETY: a shared reference gives nothing without the lock.
unsafe impl<E: Send> Sync for Node<E> {}

impl<E> Node<E> {
    pub(crate) const fn new(entry: E) -> Self {
        let inner = Inner { prev: ptr::null(), next: ptr::null(), waker: None, entry };
        Node { inner: UnsafeCell::new(inner), _pinned: PhantomPinned }
    }
}

/// The lock, and the list that it guards.
pub(crate) struct Waiters<E>(Mutex<WaitList<E>>);

/// What has become of a waiter's place.
pub(crate) enum Place {
    /// It was taken off the list.
    Served,
    /// It is queued with the waker of now.
    Waiting,
    /// It is queued with another waker, which a fresh one has to replace.
    Outdated,
}

/// The waiters, oldest first.
pub(crate) struct WaitList<E> {
    head: *const Node<E>,
    tail: *const Node<E>,
}

// SAFETY: the list owns the right to touch its nodes, which may move from one thread to another.
unsafe impl<E: Send> Send for WaitList<E> {}

impl<E> Waiters<E> {
    pub(crate) const fn new() -> Self {
        Waiters(Mutex::new(WaitList::new()))
    }

    /// Locks the list.
    pub(crate) fn lock(&self) -> MutexGuard<'_, WaitList<E>> {
        // Nothing panics under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a node that was queued has been served, in which case the list is locked; else the
    /// context's waker takes the place of the one of before.
    ///
    /// # Safety
    /// The node was queued in this list.
    pub(crate) unsafe fn poll_served(
        &self,
        node: Pin<&Node<E>>,
        cx: &mut Context<'_>,
    ) -> Poll<MutexGuard<'_, WaitList<E>>> {
        let mut fresh = None;
        loop {
            let mut list = self.lock();
            // SAFETY: the caller's duty.
            match unsafe { list.renew(node, cx.waker(), &mut fresh) } {
                Place::Served if fresh.is_none() => return Poll::Ready(list),
                Place::Served => {
                    drop(list);
                    fresh = None;
                }
                Place::Waiting => {
                    drop(list);
                    return Poll::Pending;
                }
                Place::Outdated => {
                    drop(list);
                    fresh = Some(cx.waker().clone());
                }
            }
        }
    }
}

impl<E> WaitList<E> {
    pub(crate) const fn new() -> Self {
        WaitList { head: ptr::null(), tail: ptr::null() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// The entry of the oldest waiter.
    pub(crate) fn front(&self) -> Option<&E> {
        // SAFETY: queued nodes are alive, and the list is locked and borrowed as long as the entry.
        unsafe { self.head.as_ref().map(|node| &(*node.inner.get()).entry) }
    }

    /// Queues a node.
    ///
    /// # Safety
    /// The node is not queued, and was in no other list. Before it is dropped,
    /// [`remove`](Self::remove) is called, and until then its owner touches it through this list only.
    pub(crate) unsafe fn push_back(&mut self, node: Pin<&Node<E>>, waker: Waker) {
        let node = ptr::from_ref(node.get_ref());
        // SAFETY: the list is locked, and the node and the last one are of this list and alive.
        unsafe {
            let inner = (*node).inner.get();
            (*inner).prev = self.tail;
            (*inner).next = ptr::null();
            // It held no waker, as it was not queued, so nothing is dropped.
            (*inner).waker = Some(waker);
            match self.tail.as_ref() {
                Some(last) => (*last.inner.get()).next = node,
                None => self.head = node,
            }
        }
        self.tail = node;
    }

    /// Takes the oldest waiter off the list: it is served when the lock is released, and woken then.
    pub(crate) fn pop_front(&mut self) -> Option<(Waker, &mut E)> {
        // SAFETY: queued nodes are alive, as they are removed before they are dropped.
        let node = unsafe { self.head.as_ref()? };
        // SAFETY: the list is locked, and the node is queued in it. The entry is borrowed as long as
        // the list.
        unsafe {
            let waker = self.unlink(node)?;
            if let Some(next) = self.head.as_ref() {
                // Touched when `next` is taken off, and in nobody's cache by then.
                prefetch((*next.inner.get()).next.cast());
            }
            Some((waker, &mut (*node.inner.get()).entry))
        }
    }

    /// Takes the oldest waiter off whose entry, and waker, are as asked for, which is asked for each in turn until
    /// then.
    pub(crate) fn pop_first(
        &mut self,
        mut fits: impl FnMut(&mut E, Option<&Waker>) -> bool,
    ) -> Option<(Waker, &mut E)> {
        let mut node = self.head;
        // SAFETY: queued nodes are alive, and the list is locked.
        while let Some(queued) = unsafe { node.as_ref() } {
            // SAFETY: as above; no other reference to what is in the node lives.
            unsafe {
                let inner = &mut *queued.inner.get();
                if fits(&mut inner.entry, inner.waker.as_ref()) {
                    let waker = self.unlink(queued)?;
                    return Some((waker, &mut (*queued.inner.get()).entry));
                }
                node = (*queued.inner.get()).next;
            }
        }
        None
    }

    /// Whether all waiters' entries are so.
    pub(crate) fn all(&self, mut is_so: impl FnMut(&E) -> bool) -> bool {
        let mut node = self.head;
        // SAFETY: queued nodes are alive, and the list is locked and borrowed.
        while let Some(inner) = unsafe { node.as_ref().map(|node| &*node.inner.get()) } {
            if !is_so(&inner.entry) {
                return false;
            }
            node = inner.next;
        }
        true
    }

    /// Whether a node is queued, with `waker` or in exchange for a fresh one, if there is that: the stale one is in
    /// its place then, to be dropped outside the lock.
    ///
    /// # Safety
    /// The node is queued in this list, was, or will be.
    pub(crate) unsafe fn renew(
        &mut self,
        node: Pin<&Node<E>>,
        waker: &Waker,
        fresh: &mut Option<Waker>,
    ) -> Place {
        // SAFETY: the list is locked, and the node is of this list (the caller's duty).
        let Some(queued) = (unsafe { &mut (*node.inner.get()).waker }) else { return Place::Served };
        if queued.will_wake(waker) {
            return Place::Waiting;
        }
        let Some(fresh) = fresh else { return Place::Outdated };
        mem::swap(queued, fresh);
        Place::Waiting
    }

    /// Takes a node off the list if it is queued, and gives its waker then, to be dropped outside the
    /// lock.
    ///
    /// # Safety
    /// The node was queued in this list, now or before.
    pub(crate) unsafe fn remove(&mut self, node: Pin<&Node<E>>) -> Option<Waker> {
        // SAFETY: the caller's duty.
        unsafe { self.unlink(node.get_ref()) }
    }

    /// The entry of a node.
    ///
    /// # Safety
    /// The node is queued in this list, was, or will be.
    pub(crate) unsafe fn entry<'a>(&'a mut self, node: Pin<&'a Node<E>>) -> &'a mut E {
        // SAFETY: the list is locked, and borrowed as long as the entry.
        unsafe { &mut (*node.get_ref().inner.get()).entry }
    }

    /// # Safety
    /// As [`remove`](Self::remove).
    unsafe fn unlink(&mut self, node: &Node<E>) -> Option<Waker> {
        // SAFETY: the list is locked, and the node and its neighbours, if any, are of this list and
        // alive.
        unsafe {
            let inner = node.inner.get();
            let waker = (*inner).waker.take()?;
            let (prev, next) = ((*inner).prev, (*inner).next);
            match prev.as_ref() {
                Some(prev) => (*prev.inner.get()).next = next,
                None => self.head = next,
            }
            match next.as_ref() {
                Some(next) => (*next.inner.get()).prev = prev,
                None => self.tail = prev,
            }
            Some(waker)
        }
    }
}
