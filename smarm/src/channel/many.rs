//! Many receivers of one channel: the receiving side of the list under a lock, and a queue of the
//! receivers that wait.
//!
//! | word | meaning |
//! |---|---|
//! | side | the right to receive: the lock of the queue |
//! | waiter | a receiver in the queue |
//! | notified | a receiver that was taken off the queue and woken, and has not run yet |
//! | watch | the one slot of the list that is `WAITING`, and wakes the side when it is filled |
//!
//! The senders are those of any channel, and send in the same way, without a lock: they meet the
//! receivers in the slot that is watched.
//!
//! Receiving:
//! 1. Lock the side. Take the message at the head if there is one, whoever waits, and unlock.
//! 2. Else be queued. If no slot is watched, watch the head's. If that has just been filled: back to 1.
//!
//! A sender that fills the watched slot:
//! 3. Locks the side and takes one waiter off for that message, and one for each full slot that
//!    follows. If waiters are left, it watches the first slot that is not full. Then it unlocks, and wakes.
//!
//! 4. A notified receiver begins again at 1. One that gives up, and leaves a message behind, notifies the
//!    next waiter in its place.
//!
//! **No wake is lost**: while there are waiters, either a slot `w` is watched and every slot between the
//! head and `w` is full, or a sender is on its way to step 3. There are at least as many notified as
//! messages between head and `w`: each was notified for one of them, and only a receive, which takes a
//! message, or step 4 makes them fewer. A slot that a preempted sender has claimed and not filled is
//! watched, so nobody sleeps over what follows it.
//!
//! **In order**: messages are bound to a receiver by step 1 and not before, so a receive that is given up
//! cannot bring any out of order, and none travels back.
//!
//! In a channel of capacity 0 there is nothing of this: receivers wait in the [`rendezvous`](super::rendezvous).
//!
//! Rejected: one receiver waiting in the list for all (while its worker is busy, the others sleep over
//! later messages); messages handed over to a waiter's own place (one that is given up brings its message
//! back, after later ones have been received); a lock around everything (senders wait for receivers).

#[cfg(all(test, smarm_loom))]
mod models;

use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::bound::Bound;
use super::claim::Claimant;
use super::error::TryRecvError;
use super::list::Watch;
use super::rendezvous::{Bond, Offer};
use super::send::Sender;
use super::shared::Shared;
use super::waitlist::{Node, WaitList, Waiters};
use crate::actor::park::{OwnCode, own_code, rouse};
use crate::primitive::atomic::AtomicUsize;
use crate::primitive::atomic::Ordering::{AcqRel, Relaxed};
use crate::primitive::{MutexGuard, Step, UnsafeCell, omits};

/// How many waiters are woken at once.
const BATCH: usize = 16;

/// What the receivers share beyond the list.
pub(super) struct Many {
    receivers: AtomicUsize,
    /// Its lock guards `watch` and the receiving side of the list.
    waiters: Waiters<Offer>,
    watch: UnsafeCell<Watching>,
}

#[derive(Clone, Copy)]
enum Watching {
    Nothing,
    /// This position; or its sender is on the way to step 3.
    At(usize),
    /// Somebody in step 3 has let go of the side in between.
    InHand,
}

// SAFETY: `watch` is only touched under the lock of `waiters`.
unsafe impl Sync for Many {}

impl Many {
    fn new() -> Self {
        Many {
            receivers: AtomicUsize::new(1),
            waiters: Waiters::new(),
            watch: UnsafeCell::new(Watching::Nothing),
        }
    }
}

/// The right to receive.
struct Side<'a, T> {
    shared: &'a Shared<T>,
    /// The cell: a reference to what is in it would last until who drops this has ended, which is after the unlocking.
    watch: &'a UnsafeCell<Watching>,
    waiters: MutexGuard<'a, WaitList<Offer>>,
    /// Blocks are allocated and freed under the lock. Ends after that.
    _own_code: OwnCode,
}

/// The wakers of receivers that were taken off the queue, to be woken outside the lock.
struct Batch {
    wakers: [Option<Waker>; BATCH],
    len: usize,
}

impl Batch {
    const fn new() -> Self {
        Batch { wakers: [const { None }; BATCH], len: 0 }
    }

    /// Takes the oldest waiter off. Says whether there may be more, and room for it.
    fn take(&mut self, waiters: &mut WaitList<Offer>) -> bool {
        if self.len == BATCH {
            return false;
        }
        let Some((waker, _)) = waiters.pop_front() else { return false };
        self.wakers[self.len] = Some(waker);
        self.len += 1;
        self.len < BATCH && !waiters.is_empty()
    }

    fn wake(self) {
        self.wakers.into_iter().take(self.len).flatten().for_each(rouse);
    }
}

impl<'a, T> Side<'a, T> {
    #[inline]
    fn lock(shared: &'a Shared<T>) -> Self {
        let many = shared.many.as_deref().expect("it was made for many receivers");
        let own_code = own_code();
        let waiters = many.waiters.lock();
        Side { shared, watch: &many.watch, waiters, _own_code: own_code }
    }

    #[inline]
    fn watching(&self) -> Watching {
        // SAFETY: the lock is held.
        unsafe { *self.watch.get() }
    }

    #[inline]
    fn set_watching(&mut self, watching: Watching) {
        // SAFETY: the lock is held.
        unsafe { *self.watch.get() = watching };
    }

    /// Step 1.
    #[inline]
    fn pop(&mut self) -> Result<T, TryRecvError> {
        // SAFETY: this is the side.
        unsafe { self.shared.list.pop() }
    }

    /// Step 2; `false` if the head's slot has just been filled, and the node is not queued.
    ///
    /// # Safety
    /// As [`WaitList::push_back`].
    unsafe fn queue(&mut self, node: Pin<&Node<Offer>>, waker: Waker) -> Result<(), Waker> {
        if matches!(self.watching(), Watching::Nothing) {
            // SAFETY: this is the side, and no slot is watched.
            let watch = unsafe {
                let head = self.shared.list.head_position();
                self.shared.list.watch(head, self.shared.side_waker(), || false)
            };
            let Watch::At(position) = watch else { return Err(waker) };
            self.set_watching(Watching::At(position));
        }
        // SAFETY: the caller's duty.
        unsafe { self.waiters.push_back(node, waker) };
        Ok(())
    }

    /// Step 3, by the sender that filled the watched slot.
    fn serve(mut self, mut from: usize) {
        let shared = self.shared;
        loop {
            let mut batch = Batch::new();
            let mut ended = false;
            self.set_watching(Watching::Nothing);
            if !self.waiters.is_empty() {
                // SAFETY: this is the side; the watch was used, and its waker moved out before this call.
                let watch = unsafe {
                    from = from.max(shared.list.head_position());
                    let waiters = &mut *self.waiters;
                    shared.list.watch(from, shared.side_waker(), || batch.take(waiters))
                };
                match watch {
                    Watch::At(position) => self.set_watching(Watching::At(position)),
                    Watch::Stopped(next) => from = next,
                    Watch::Ended => {
                        while batch.take(&mut self.waiters) {}
                        ended = true;
                    }
                }
            }
            let again = !self.waiters.is_empty() && (ended || matches!(self.watching(), Watching::Nothing));
            if again {
                self.set_watching(Watching::InHand);
            }
            drop(self);
            batch.wake();
            if !again {
                return;
            }
            self = Side::lock(shared);
        }
    }

    /// A receive that was queued gives up. Gives whom to wake, or whose waker to drop, outside the lock.
    ///
    /// # Safety
    /// The node was queued here.
    unsafe fn leave(&mut self, node: Pin<&Node<Offer>>) -> (Option<Waker>, Option<Waker>) {
        // SAFETY: the caller's duty.
        let own = unsafe { self.waiters.remove(node) };
        if own.is_none() {
            // It was notified. Step 4.
            // SAFETY: this is the side.
            let left_behind = !omits(Step::WakeNext) && unsafe { self.shared.list.is_ready() };
            let next = left_behind.then(|| self.waiters.pop_front()).flatten();
            return (next.map(|(waker, _)| waker), None);
        }
        if let Watching::At(position) = self.watching()
            && self.waiters.is_empty()
            // SAFETY: this is the side.
            && unsafe { self.shared.list.unwatch(position) }
        {
            self.set_watching(Watching::Nothing);
        }
        (None, own)
    }
}

impl<T> Shared<T> {
    /// The waker that is woken when the watched slot is filled. It owns nothing.
    fn side_waker(&self) -> Waker {
        fn clone<T>(shared: *const ()) -> RawWaker {
            RawWaker::new(shared, Table::<T>::TABLE)
        }
        fn wake<T>(shared: *const ()) {
            // SAFETY: only a sender that fills the watched slot wakes it, and that has not left.
            let side = Side::lock(unsafe { &*shared.cast::<Shared<T>>() });
            // There is one who uses a watch, and meanwhile nobody watches anew.
            let Watching::At(from) = side.watching() else { return };
            side.serve(from);
        }
        struct Table<T>(PhantomData<T>);
        impl<T> Table<T> {
            const TABLE: &'static RawWakerVTable =
                &RawWakerVTable::new(clone::<T>, wake::<T>, wake::<T>, |_| {});
        }
        // SAFETY: the functions of the table own nothing. The waker is given to the list only, whose senders
        // use it while `shared` is there, from any thread; the lock makes that sound.
        unsafe { Waker::new(std::ptr::from_ref(self).cast(), Table::<T>::TABLE) }
    }

    /// Of a channel with room for messages: the permit of one that was received.
    #[inline]
    fn give_permit_back(&self) {
        if let Some(bound) = &self.bound {
            bound.release(&self.list);
        }
    }
}

/// A counted reference of one receiver to its channel.
pub(crate) struct Receivers<T>(NonNull<Shared<T>>);

// SAFETY: messages are moved from one thread to another, and never shared.
unsafe impl<T: Send> Send for Receivers<T> {}
// SAFETY: as above; the receiving side is locked.
unsafe impl<T: Send> Sync for Receivers<T> {}

impl<T> Receivers<T> {
    /// A channel for many senders and many receivers, and one of each.
    #[track_caller]
    pub(crate) fn allocate(capacity: Option<usize>) -> (Sender<T>, Self) {
        let shared = Shared::allocate(capacity.map(Bound::new), Some(Many::new()));
        // SAFETY: a new `shared` counts one sender.
        (unsafe { Sender::new(shared) }, Receivers(shared))
    }

    fn shared(&self) -> &Shared<T> {
        // SAFETY: the allocation lives until both sides have left, and this receiver has not.
        unsafe { self.0.as_ref() }
    }

    fn many(&self) -> &Many {
        self.shared().many.as_deref().expect("it was made for many receivers")
    }

    /// Takes a message if there is one.
    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let shared = self.shared();
        if let Some(rendezvous) = shared.rendezvous() {
            return rendezvous.try_recv(&shared.list);
        }
        let popped = Side::lock(shared).pop();
        if popped.is_ok() {
            shared.give_permit_back();
        }
        popped
    }

    /// Makes sending fail from now on.
    pub(crate) fn close(&self) {
        let side = Side::lock(self.shared());
        if side.shared.rendezvous().is_none() {
            // SAFETY: this is the side; senders that are refused are woken by `Bound::close`, whose wakers do not
            // come back here.
            unsafe { side.shared.list.close() };
        }
        drop(side);
        if let Some(bound) = &self.shared().bound {
            bound.close(&self.shared().list);
        }
        loop {
            let mut batch = Batch::new();
            let mut side = Side::lock(self.shared());
            while batch.take(&mut side.waiters) {}
            let all = side.waiters.is_empty();
            drop(side);
            batch.wake();
            if all {
                return;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shared().list.len()
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.shared().bound.as_ref().map(|bound| bound.capacity())
    }

    /// Whether sending fails.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared().list.is_finished()
    }

    pub(crate) fn count(&self) -> usize {
        self.many().receivers.load(Relaxed)
    }

    pub(crate) fn same_channel(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Clone for Receivers<T> {
    fn clone(&self) -> Self {
        self.many().receivers.fetch_add(1, Relaxed);
        Receivers(self.0)
    }
}

impl<T> Drop for Receivers<T> {
    fn drop(&mut self) {
        // Release: what this receiver did comes before the last one leaves, which acquires that.
        if self.many().receivers.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: this was the last receiver, and its end.
            unsafe { Shared::receiver_leaves(self.0) };
        }
    }
}

/// A receive under way. Dropping it gives up: a message that it was woken for goes to another one.
pub(crate) struct Receive<T> {
    shared: NonNull<Shared<T>>,
    /// The node was queued, and it was not seen yet whether it was notified.
    queued: bool,
    bond: Bond,
    node: Node<Offer>,
    _pinned: PhantomPinned,
}

// SAFETY: as `Receivers`.
unsafe impl<T: Send> Send for Receive<T> {}
// SAFETY: a shared reference gives nothing.
unsafe impl<T: Send> Sync for Receive<T> {}

impl<T> Receive<T> {
    /// # Safety
    /// The receiver lives longer.
    pub(crate) unsafe fn new(receiver: &Receivers<T>) -> Self {
        Receive {
            shared: receiver.0,
            queued: false,
            bond: Bond::Loose,
            node: Node::new(Offer::new()),
            _pinned: PhantomPinned,
        }
    }

    /// Of a call that looks once more when it gives up.
    pub(crate) fn firm(mut self) -> Self {
        self.bond = Bond::Firm;
        self
    }

    /// Says whether it is one that a counterpart can claim: this arm of a select.
    ///
    /// # Safety
    /// The receive is dropped before the select ends.
    pub(crate) unsafe fn enroll(self: Pin<&mut Self>, claimant: Claimant) -> bool {
        // SAFETY: by the caller of `new`.
        let meets = unsafe { self.shared.as_ref() }.rendezvous().is_some();
        if meets {
            // SAFETY: nothing is moved out of the node.
            unsafe { self.get_unchecked_mut() }.bond = Bond::Arm(claimant);
        }
        meets
    }

    /// Takes a message, or has the waker woken when there may be one.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, TryRecvError>> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: by the caller of `new`.
        let shared = unsafe { this.shared.as_ref() };
        if let Some(rendezvous) = shared.rendezvous() {
            // SAFETY: the node is pinned with the receive, which has it leave when it is dropped before it was
            // ready, and that before the select ends.
            let polled =
                unsafe { rendezvous.poll_recv(&shared.list, Pin::new_unchecked(&this.node), this.bond, cx) };
            this.queued = polled.is_pending();
            return polled;
        }
        if this.queued {
            let many = shared.many.as_deref().expect("it was made for many receivers");
            // SAFETY: the node is pinned with the receive, and was queued here.
            if unsafe { many.waiters.poll_served(Pin::new_unchecked(&this.node), cx) }.is_pending() {
                return Poll::Pending;
            }
        }
        let mut waker = None;
        loop {
            let mut side = Side::lock(shared);
            let popped = side.pop();
            if !matches!(popped, Err(TryRecvError::Empty)) {
                this.queued = false;
                drop(side);
                if popped.is_ok() {
                    shared.give_permit_back();
                }
                return Poll::Ready(popped);
            }
            let Some(own) = waker.take() else {
                drop(side);
                waker = Some(cx.waker().clone());
                continue;
            };
            // SAFETY: the node is pinned with the receive, is not queued (any more), and is removed by `drop`.
            match unsafe { side.queue(Pin::new_unchecked(&this.node), own) } {
                Ok(()) => {
                    this.queued = true;
                    return Poll::Pending;
                }
                Err(own) => {
                    drop(side);
                    waker = Some(own);
                }
            }
        }
    }
}

impl<T> Drop for Receive<T> {
    fn drop(&mut self) {
        if !self.queued {
            return;
        }
        // SAFETY: by the caller of `new`.
        let shared = unsafe { self.shared.as_ref() };
        // SAFETY: the node was queued, so the receive is pinned.
        let node = unsafe { Pin::new_unchecked(&self.node) };
        if let Some(rendezvous) = shared.rendezvous() {
            // SAFETY: the node was queued there.
            return unsafe { rendezvous.leave(&shared.list, node) };
        }
        let mut side = Side::lock(shared);
        // SAFETY: the node was queued here.
        let (next, own) = unsafe { side.leave(node) };
        drop(side);
        drop(own);
        if let Some(next) = next {
            rouse(next);
        }
    }
}
