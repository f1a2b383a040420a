//! A count of permits that are given out in the order of asking, any number at a time: what [`Semaphore`] and
//! [`RwLock`] are made of.
//!
//! | word | meaning |
//! |---|---|
//! | permit | the right to one unit of something |
//! | ask | how many permits a waiter wants; they are granted together or not at all |
//! | barging | taking permits while others wait; it does not happen |
//!
//! One word, `state`, holds the number of free permits and the flags `WAITERS` and `CLOSED`.
//!
//! Acquiring:
//! 1. Take the permits if there are enough and nobody waits: one compare-and-swap, and no lock.
//! 2. Else lock the list, and either find them after all (and nobody who waits), or set `WAITERS` and be
//!    queued.
//!
//! Releasing:
//! 1. Add the permits: one addition. If `WAITERS` was not set, that is all.
//! 2. Else lock the list, and while there are enough permits for the oldest waiter, take them for it, take it
//!    off the list, and wake it outside the lock.
//!
//! Giving up: a waiter that leaves takes itself off the list, and does step 2 of releasing, as the next one may
//! ask for less. If it was served before, it releases what it got.
//!
//! So a large ask cannot starve: while it is the oldest, nobody else gets any permit.
//!
//! **No wake is lost**: the addition that releases permits and the compare-and-swap that sets `WAITERS` change
//! the same word, so either the releaser sees that somebody waits, or the waiter sees the permits. `WAITERS`
//! changes under the lock only, and is set exactly while somebody is queued; while it is set, permits are taken
//! under the lock only.
//!
//! Rejected: giving a waiter its permits one by one as they come (it would have to give them all back when it
//! leaves).
//!
//! [`Semaphore`]: super::Semaphore
//! [`RwLock`]: super::RwLock

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::task::{Context, Poll, Waker};

use crate::actor::park::rouse;
use crate::channel::waitlist::{Node, WaitList, Waiters};

/// In `state`: somebody is queued.
const WAITERS: usize = 1;
/// In `state`: no permits are given out any more.
const CLOSED: usize = 1 << 1;
/// In `state`: one free permit.
const PERMIT: usize = 1 << 2;

/// The largest number of free permits.
pub(super) const MAX: usize = usize::MAX / PERMIT / 2;

pub(super) struct Permits {
    /// The number of free permits, times `PERMIT`, and the flags.
    state: AtomicUsize,
    /// The entry is the ask. [`REFUSED`] takes its place in those who are taken off because of `CLOSED`.
    waiters: Waiters<usize>,
}

/// No ask, as nobody needs to wait for nothing.
const REFUSED: usize = 0;

/// No permits are given out any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// Why there are no permits now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Closed,
    /// There are not enough, or others wait already.
    Few,
}

impl Permits {
    /// At most [`MAX`].
    pub(super) const fn new(count: usize) -> Self {
        Permits { state: AtomicUsize::new(count * PERMIT), waiters: Waiters::new() }
    }

    pub(super) fn available(&self) -> usize {
        self.state.load(Acquire) / PERMIT
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Acquire) & CLOSED != 0
    }

    /// Step 1 of acquiring.
    #[inline]
    pub(super) fn try_acquire(&self, count: usize) -> Result<(), Refusal> {
        let mut state = self.state.load(Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            if !grants(state, count) {
                return Err(Refusal::Few);
            }
            // n permits => n - count. Acquire: pairs with the Release of `release`.
            match self.state.compare_exchange_weak(state, state - count * PERMIT, Acquire, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => state = now,
            }
        }
    }

    /// Waits for so many permits. Dropped half-way, it releases what it may have got.
    pub(super) fn acquire(&self, count: usize) -> Asking<'_> {
        Asking { permits: self, count, queued: false, node: Node::new(count) }
    }

    /// Adds permits, new ones or such as were acquired.
    #[inline]
    pub(super) fn release(&self, count: usize) {
        // n permits => n + count. Release: what their holder did is seen by the next one.
        let before = self.state.fetch_add(count * PERMIT, AcqRel);
        if before & WAITERS != 0 {
            self.serve();
        }
    }

    /// Takes away up to so many free permits, also from under those who wait for them; gives how many.
    pub(super) fn take_up_to(&self, count: usize) -> usize {
        // n permits => n - taken.
        let taken = |state: usize| count.min(state / PERMIT);
        let update = |state: usize| Some(state - taken(state) * PERMIT);
        // With waiters, the number is changed under the lock.
        let list = self.waiters.lock();
        let before = self.state.fetch_update(Acquire, Relaxed, update).unwrap_or_else(|state| state);
        drop(list);
        taken(before)
    }

    /// Refuses all who wait, and who come later.
    pub(super) fn close(&self) {
        let list = self.waiters.lock();
        // _ => CLOSED, under the lock. Release: what was done before is seen by those who are refused.
        self.state.fetch_or(CLOSED, Release);
        drop(list);
        self.serve();
    }

    /// Step 2 of releasing.
    #[cold]
    fn serve(&self) {
        loop {
            let mut list = self.waiters.lock();
            let Some(waker) = self.serve_oldest(&mut list) else { return };
            let last = list.is_empty();
            drop(list);
            rouse(waker);
            if last {
                return;
            }
        }
    }

    /// Grants or refuses what the oldest waiter asks for, if that can be done.
    fn serve_oldest(&self, list: &mut WaitList<usize>) -> Option<Waker> {
        let ask = *list.front()?;
        let state = self.state.load(Acquire);
        if state & CLOSED == 0 {
            if state / PERMIT < ask {
                return None;
            }
            // n permits => n - ask. While somebody is queued, only the lock's holder takes any.
            self.state.fetch_sub(ask * PERMIT, Acquire);
        }
        let (waker, entry) = list.pop_front()?;
        if state & CLOSED != 0 {
            *entry = REFUSED;
        }
        self.note_if_empty(list);
        Some(waker)
    }

    /// Clears `WAITERS` if it is not true any more.
    fn note_if_empty(&self, list: &WaitList<usize>) {
        if list.is_empty() {
            // WAITERS => _, under the lock.
            self.state.fetch_and(!WAITERS, Relaxed);
        }
    }

    /// Step 2 of acquiring: `None` if the node is queued.
    ///
    /// # Safety
    /// As [`WaitList::push_back`].
    unsafe fn acquire_or_queue(
        &self,
        count: usize,
        node: Pin<&Node<usize>>,
        cx: &Context<'_>,
    ) -> Option<Result<(), Closed>> {
        let waker = cx.waker().clone();
        let mut list = self.waiters.lock();
        let mut state = self.state.load(Relaxed);
        loop {
            if state & CLOSED != 0 {
                // The waker is dropped outside the lock.
                drop(list);
                return Some(Err(Closed));
            }
            let granted = grants(state, count);
            let new = if granted { state - count * PERMIT } else { state | WAITERS };
            // As in `try_acquire`; or _ => WAITERS. Pairs with the addition in `release`.
            match self.state.compare_exchange_weak(state, new, AcqRel, Relaxed) {
                Ok(_) if granted => {
                    drop(list);
                    return Some(Ok(()));
                }
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // SAFETY: the caller's duty.
        unsafe { list.push_back(node, waker) };
        None
    }
}

/// Whether a newcomer who asks for so many gets them at once. Nothing is always to be had.
#[inline]
fn grants(state: usize, count: usize) -> bool {
    count == 0 || (state & WAITERS == 0 && state / PERMIT >= count)
}

/// The future of [`Permits::acquire`].
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Asking<'a> {
    permits: &'a Permits,
    count: usize,
    /// The node was queued, and it was not seen yet whether it was served.
    queued: bool,
    node: Node<usize>,
}

impl Future for Asking<'_> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is pinned with the future.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        let outcome = if this.queued {
            // SAFETY: the node was queued here.
            match unsafe { this.permits.waiters.poll_served(node, cx) } {
                Poll::Ready(mut list) => {
                    // SAFETY: as above.
                    let refused = unsafe { *list.entry(node) } == REFUSED;
                    Some(if refused { Err(Closed) } else { Ok(()) })
                }
                Poll::Pending => None,
            }
        } else {
            match this.permits.try_acquire(this.count) {
                Ok(()) => Some(Ok(())),
                Err(Refusal::Closed) => Some(Err(Closed)),
                // SAFETY: the node is pinned, not queued, and taken off by `drop`.
                Err(Refusal::Few) => unsafe { this.permits.acquire_or_queue(this.count, node, cx) },
            }
        };
        this.queued = outcome.is_none();
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.queued {
            return;
        }
        // SAFETY: the node was queued here, so the future is pinned.
        let node = unsafe { Pin::new_unchecked(&self.node) };
        let mut list = self.permits.waiters.lock();
        // SAFETY: as above.
        let (waker, ask) = unsafe { (list.remove(node), *list.entry(node)) };
        self.permits.note_if_empty(&list);
        drop(list);
        if waker.is_some() {
            // The next one may ask for less.
            self.permits.serve();
        } else if ask != REFUSED {
            self.permits.release(ask);
        }
    }
}
