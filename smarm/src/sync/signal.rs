//! A first-in, first-out queue of those who wait to be notified: what [`Notify`], [`Condvar`], [`Barrier`],
//! [`Once`] and [`WaitGroup`] are made of.
//!
//! | word | meaning |
//! |---|---|
//! | notice | what a waiter gets: from `notify_one`, to it alone, or from `notify_all` |
//! | permit | a notice to one that found nobody, kept for whoever waits next, in a signal that `KEEPS` it |
//! | epoch | how often all were notified |
//! | old | of a waiter: all were notified since it began to wait |
//!
//! One word, `state`, holds the epoch and the flags `WAITERS` and `PERMIT`, of which at most one is set.
//!
//! Waiting begins when the future is made: it remembers the epoch. Its first poll
//! 1. is ready if the epoch is another by now, or if there is a permit, which it takes;
//! 2. else locks the list, looks again, sets `WAITERS` and is queued.
//!
//! To notify one:
//! 1. If nobody is queued, set `PERMIT` or do nothing.
//! 2. Else lock the list, take the oldest waiter off, and wake it outside the lock. An old one is woken as
//!    well, and does not count.
//!
//! To notify all:
//! 1. If nobody is queued, count the epoch up.
//! 2. Else do that under the lock, then take off and wake one old waiter after the other.
//!
//! A waiter that leaves takes itself off the list. If it got a notice for one, it passes that on as
//! `notify_one` does; so does whoever has the [`Notice`] and does not accept it.
//!
//! **No wake is lost**: whoever notifies and whoever is queued change the same word, so the second of them sees
//! the first. `WAITERS` changes under the lock only, and is set exactly while somebody is queued.
//!
//! Rejected: moving the list of old waiters away under the lock (one that leaves would not know which list it is
//! in); waking under the lock.
//!
//! [`Notify`]: super::Notify
//! [`Condvar`]: super::Condvar
//! [`Barrier`]: super::Barrier
//! [`Once`]: super::Once
//! [`WaitGroup`]: super::WaitGroup

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::task::{Context, Poll, Waker};

use crate::actor::park::rouse;
use crate::channel::waitlist::{Node, WaitList, Waiters};

/// In `state`: somebody is queued.
const WAITERS: usize = 1;
/// In `state`: a notice is kept for whoever waits next.
const PERMIT: usize = 1 << 1;
/// In `state`: one epoch. The epochs wrap around, which does not matter: a waiter is compared with those of its
/// own time.
const EPOCH: usize = 1 << 2;

pub(super) struct Signal<const KEEPS: bool> {
    /// The epoch, times `EPOCH`, and the flags.
    state: AtomicUsize,
    waiters: Waiters<Place>,
}

/// What a waiter brings and gets.
struct Place {
    /// When it began to wait.
    epoch: usize,
    /// It was taken off for a notice to one.
    alone: bool,
}

fn epoch(state: usize) -> usize {
    state & !(WAITERS | PERMIT)
}

impl<const KEEPS: bool> Signal<KEEPS> {
    pub(super) const fn new() -> Self {
        Signal { state: AtomicUsize::new(0), waiters: Waiters::new() }
    }

    /// Begins to wait: all notices to all from now on are heard.
    pub(super) fn notified(&self) -> Notified<'_, KEEPS> {
        // Pairs with `notify_all`: who sees its epoch sees what was done before it.
        let epoch = epoch(self.state.load(Acquire));
        Notified { signal: self, epoch, queued: false, node: Node::new(Place { epoch, alone: false }) }
    }

    /// Waits until `condition` holds, which whoever makes it hold has to tell all. Looks at it first.
    pub(super) async fn until(&self, condition: impl Fn() -> bool) {
        loop {
            // Made before the look, so that it hears of a change after that.
            let notified = self.notified();
            if condition() {
                return;
            }
            notified.await.accept();
        }
    }

    /// Takes the permit if there is one.
    pub(super) fn try_take(&self) -> bool {
        let take = |state| (state & PERMIT != 0).then_some(state & !PERMIT);
        // PERMIT => _. Acquire: pairs with `notify_one`.
        self.state.fetch_update(Acquire, Relaxed, take).is_ok()
    }

    #[inline]
    pub(super) fn notify_one(&self) {
        let mut state = self.state.load(Relaxed);
        while state & WAITERS == 0 {
            if !KEEPS {
                return;
            }
            // _ | PERMIT => PERMIT. Release: what was done before is seen by whoever takes the permit, also by
            // that of an earlier notice.
            match self.state.compare_exchange_weak(state, state | PERMIT, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
        self.notify_oldest();
    }

    /// Step 2 of notifying one.
    #[cold]
    fn notify_oldest(&self) {
        loop {
            let mut list = self.waiters.lock();
            let now = epoch(self.state.load(Relaxed));
            let Some((waker, place)) = list.pop_front() else {
                if KEEPS {
                    // _ => PERMIT, under the lock, so nobody is queued meanwhile.
                    self.state.fetch_or(PERMIT, Release);
                }
                return;
            };
            let alone = place.epoch == now;
            place.alone = alone;
            self.note_if_empty(&list);
            drop(list);
            rouse(waker);
            if alone {
                return;
            }
        }
    }

    pub(super) fn notify_all(&self) {
        let mut state = self.state.load(Relaxed);
        while state & WAITERS == 0 {
            // Epoch n => n + 1. Pairs with `notified` and the first poll.
            match self.state.compare_exchange_weak(state, state.wrapping_add(EPOCH), AcqRel, Relaxed) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
        self.notify_old();
    }

    /// Step 2 of notifying all.
    #[cold]
    fn notify_old(&self) {
        let list = self.waiters.lock();
        // As in `notify_all`.
        let now = epoch(self.state.fetch_add(EPOCH, AcqRel)).wrapping_add(EPOCH);
        drop(list);
        while let Some(waker) = self.pop_older_than(now) {
            rouse(waker);
        }
    }

    /// Takes the oldest waiter off if it began to wait before this epoch.
    fn pop_older_than(&self, now: usize) -> Option<Waker> {
        let mut list = self.waiters.lock();
        let age = now.wrapping_sub(list.front()?.epoch);
        if age == 0 || age > usize::MAX / 2 {
            return None;
        }
        let (waker, _) = list.pop_front()?;
        self.note_if_empty(&list);
        Some(waker)
    }

    /// Clears `WAITERS` if it is not true any more.
    fn note_if_empty(&self, list: &WaitList<Place>) {
        if list.is_empty() {
            // WAITERS => _, under the lock.
            self.state.fetch_and(!WAITERS, Relaxed);
        }
    }

    /// Step 1 of waiting, since this epoch.
    fn poll_new(&self, since: usize) -> Option<Notice<'_, KEEPS>> {
        // Pairs with `notify_all`.
        if epoch(self.state.load(Acquire)) != since {
            Some(Notice(None))
        } else if self.try_take() {
            Some(Notice(Some(self)))
        } else {
            None
        }
    }

    /// Step 2 of waiting: `None` if the node is queued.
    ///
    /// # Safety
    /// As [`WaitList::push_back`].
    unsafe fn take_or_queue(
        &self,
        since: usize,
        node: Pin<&Node<Place>>,
        waker: Waker,
    ) -> Option<Notice<'_, KEEPS>> {
        let mut list = self.waiters.lock();
        loop {
            let state = self.state.load(Acquire);
            let notice = if epoch(state) != since {
                Notice(None)
            } else if self.try_take() {
                Notice(Some(self))
            } else {
                // _ => WAITERS, under the lock, unless somebody notifies just now.
                if self.state.compare_exchange_weak(state, state | WAITERS, AcqRel, Relaxed).is_err() {
                    continue;
                }
                // SAFETY: the caller's duty.
                unsafe { list.push_back(node, waker) };
                return None;
            };
            // The waker is dropped outside the lock.
            drop(list);
            return Some(notice);
        }
    }
}

/// That its owner was notified. Unless it is accepted, a notice to one is passed on.
#[must_use = "a notice that is not accepted is passed on"]
pub(super) struct Notice<'a, const KEEPS: bool>(Option<&'a Signal<KEEPS>>);

impl<const KEEPS: bool> Notice<'_, KEEPS> {
    pub(super) fn accept(mut self) {
        self.0 = None;
    }
}

impl<const KEEPS: bool> Drop for Notice<'_, KEEPS> {
    fn drop(&mut self) {
        if let Some(signal) = self.0 {
            signal.notify_one();
        }
    }
}

/// The future of [`Signal::notified`].
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Notified<'a, const KEEPS: bool> {
    signal: &'a Signal<KEEPS>,
    epoch: usize,
    /// The node was queued, and it was not seen yet whether it was served.
    queued: bool,
    node: Node<Place>,
}

impl<'a, const KEEPS: bool> Future for Notified<'a, KEEPS> {
    type Output = Notice<'a, KEEPS>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is pinned with the future.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        let notice = if this.queued {
            // SAFETY: the node was queued here.
            match unsafe { this.signal.waiters.poll_served(node, cx) } {
                Poll::Ready(mut list) => {
                    // SAFETY: as above.
                    let alone = unsafe { list.entry(node) }.alone;
                    Some(Notice(alone.then_some(this.signal)))
                }
                Poll::Pending => None,
            }
        } else {
            this.signal.poll_new(this.epoch).or_else(|| {
                // SAFETY: the node is pinned, not queued, and taken off by `drop`.
                unsafe { this.signal.take_or_queue(this.epoch, node, cx.waker().clone()) }
            })
        };
        this.queued = notice.is_none();
        notice.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<const KEEPS: bool> Drop for Notified<'_, KEEPS> {
    fn drop(&mut self) {
        if !self.queued {
            return;
        }
        // SAFETY: the node was queued here, so the future is pinned.
        let node = unsafe { Pin::new_unchecked(&self.node) };
        let mut list = self.signal.waiters.lock();
        // SAFETY: as above.
        let (waker, alone) = unsafe { (list.remove(node), list.entry(node).alone) };
        self.signal.note_if_empty(&list);
        drop(list);
        if alone {
            self.signal.notify_one();
        }
        drop(waker);
    }
}
