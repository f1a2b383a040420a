//! What bounds a channel: permits to send, and a first-in, first-out list of senders without one.
//!
//! | word | meaning |
//! |---|---|
//! | permit | room for one message; the channel starts with as many as its capacity |
//! | admit | put the message of the oldest waiting sender into the channel on that sender's behalf |
//! | grant | give a permit to the oldest waiting sender, which has kept its message |
//!
//! One word, `room`, holds the number of free permits and the flags `WAITERS` and `CLOSED`.
//!
//! Sending:
//! 1. Take a permit if there is one and nobody waits: one compare-and-swap, and no lock.
//! 2. Else lock the list, and either find a permit after all (and nobody who waits), or set `WAITERS`
//!    and be queued, with the message.
//!
//! Receiving, once a message was taken from the channel:
//! 1. Give the permit back: one addition. If `WAITERS` was not set, that is all.
//! 2. Else lock the list and take the permit for the oldest waiter, whose message is put into the
//!    channel. That sender needs nothing any more but to be woken.
//!
//! So the senders are served in the order of their coming, newcomers cannot overtake those who wait,
//! and a message that waits is always either with its sender or in the channel: a sender that gives
//! up (it timed out, or its future was dropped) has it back or has sent it.
//!
//! A sender that may yet do something else instead (it waits in a `select!`) is queued without its message. It
//! is granted the permit, and then sends, or gives the permit back as a receiver does: so nothing is ever sent
//! by somebody who has decided otherwise.
//!
//! A capacity of 0 means that there never is a permit: whatever waits then goes to the [`rendezvous`](super::rendezvous).
//!
//! **No wake is lost**: the addition that gives a permit and the compare-and-swap that sets `WAITERS`
//! change the same word, so either the receiver sees that somebody waits or the sender sees the
//! permit. `WAITERS` changes under the lock only, and is set exactly while somebody is queued; while
//! it is set only the receiver takes permits, under the lock.
//!
//! Rejected: a ring buffer of the channel's capacity (memory for what is never sent); waking senders
//! to try again (they race, so the slowest starves).

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::error::TrySendError;
use super::list::List;
use super::rendezvous::{Parcel, Rendezvous};
use super::waitlist::{Node, WaitList, Waiters};
use crate::actor::park::rouse;
use crate::primitive::atomic::AtomicUsize;
use crate::primitive::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// In `room`: senders are queued.
const WAITERS: usize = 1;
/// In `room`: the receiver takes no more messages.
const CLOSED: usize = 1 << 1;
/// In `room`: one free permit.
const PERMIT: usize = 1 << 2;

pub(super) struct Bound<T> {
    capacity: usize,
    /// The number of free permits, times `PERMIT`, and the flags.
    room: AtomicUsize,
    /// A message is taken when it is admitted, left when it is refused. There is none of a sender that is to
    /// be granted a permit.
    waiters: Waiters<Parcel<T>>,
    /// Of a capacity of 0.
    rendezvous: Option<Rendezvous<T>>,
}

/// What became of a sender that would wait.
pub(super) enum Queued<T> {
    Waiting,
    /// A receiver that waited was handed the message.
    Sent,
    /// There is a permit after all; the message has yet to be sent.
    Permitted(T),
    Closed(T),
}

impl<T> Bound<T> {
    /// # Panics
    /// If the capacity is more than a quarter of the address space.
    #[track_caller]
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity <= usize::MAX / PERMIT / 2, "a capacity of {capacity} messages is too large");
        Bound {
            capacity,
            room: AtomicUsize::new(capacity * PERMIT),
            waiters: Waiters::new(),
            rendezvous: (capacity == 0).then(Rendezvous::new),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Step 1 of sending.
    #[inline]
    pub(super) fn try_send(&self, list: &List<T>, message: T) -> Result<(), TrySendError<T>> {
        let mut room = self.room.load(Relaxed);
        loop {
            if room & CLOSED != 0 {
                return Err(TrySendError::Closed(message));
            }
            if room < PERMIT || room & WAITERS != 0 {
                return Err(TrySendError::Full(message));
            }
            // n permits => n - 1. Pairs with the addition in `release`.
            match self.room.compare_exchange_weak(room, room - PERMIT, Acquire, Relaxed) {
                Ok(_) => return list.push(message).map_err(TrySendError::Closed),
                Err(now) => room = now,
            }
        }
    }

    /// Where senders and receivers meet, if this holds nothing.
    #[inline]
    pub(super) fn rendezvous(&self) -> Option<&Rendezvous<T>> {
        self.rendezvous.as_ref()
    }

    /// Step 2 of sending.
    ///
    /// # Safety
    /// As [`WaitList::push_back`]; the node was never queued.
    pub(super) unsafe fn queue(
        &self,
        list: &List<T>,
        node: Pin<&Node<Parcel<T>>>,
        message: T,
        waker: Waker,
    ) -> Queued<T> {
        let Some(rendezvous) = &self.rendezvous else {
            // SAFETY: passed on.
            return unsafe { self.queue_for_room(node, message, waker) };
        };
        // SAFETY: passed on.
        match unsafe { rendezvous.queue(list, node, message, None, waker) } {
            Poll::Pending => Queued::Waiting,
            Poll::Ready(Ok(())) => Queued::Sent,
            Poll::Ready(Err(message)) => Queued::Closed(message),
        }
    }

    /// Step 2 of sending, with a message, or with none for a permit; but of no rendezvous.
    ///
    /// # Safety
    /// As [`WaitList::push_back`]; the node was never queued.
    pub(super) unsafe fn queue_for_room<M: Into<Option<T>>>(
        &self,
        node: Pin<&Node<Parcel<T>>>,
        message: M,
        waker: Waker,
    ) -> Queued<M> {
        let mut list = self.waiters.lock();
        let mut room = self.room.load(Relaxed);
        loop {
            let free = room >= PERMIT && list.is_empty();
            let new = if free { room - PERMIT } else { room | WAITERS };
            if room & CLOSED != 0 {
                drop(list);
                return Queued::Closed(message);
            }
            // As in `try_send`; _ => WAITERS. Pairs with the addition in `release`.
            match self.room.compare_exchange_weak(room, new, AcqRel, Relaxed) {
                Ok(_) if free => {
                    drop(list);
                    return Queued::Permitted(message);
                }
                Ok(_) => break,
                Err(now) => room = now,
            }
        }
        // SAFETY: the caller's duty.
        unsafe {
            list.entry(node).message = message.into();
            list.push_back(node, waker);
        }
        Queued::Waiting
    }

    /// Ready when a sender that was queued waits no more: with its message, if that was refused.
    ///
    /// # Safety
    /// The node was queued here.
    pub(super) unsafe fn poll_served(
        &self,
        node: Pin<&Node<Parcel<T>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        if let Some(rendezvous) = &self.rendezvous {
            // SAFETY: passed on.
            return unsafe { rendezvous.poll_sent(node, cx) };
        }
        // SAFETY: passed on.
        let mut served = ready!(unsafe { self.waiters.poll_served(node, cx) });
        // SAFETY: as above.
        Poll::Ready(unsafe { served.entry(node) }.message.take())
    }

    /// A sender that was queued gives up: gives its message, if that was not sent.
    ///
    /// # Safety
    /// The node was queued here.
    pub(super) unsafe fn give_up(&self, node: Pin<&Node<Parcel<T>>>) -> Option<T> {
        if let Some(rendezvous) = &self.rendezvous {
            // SAFETY: passed on.
            return unsafe { rendezvous.give_up(node) };
        }
        let mut list = self.waiters.lock();
        // SAFETY: the caller's duty.
        let (waker, message) = unsafe { (list.remove(node), list.entry(node).message.take()) };
        self.note_if_empty(&list);
        drop(list);
        drop(waker);
        message
    }

    /// A sender that was queued for a permit gives up: the permit, if it was granted, goes to the next.
    ///
    /// # Safety
    /// The node was queued here, without a message, and it is not known yet that it was served.
    pub(super) unsafe fn give_up_permit(&self, list: &List<T>, node: Pin<&Node<Parcel<T>>>) {
        let mut waiters = self.waiters.lock();
        // SAFETY: the caller's duty.
        let waker = unsafe { waiters.remove(node) };
        self.note_if_empty(&waiters);
        drop(waiters);
        if waker.is_none() {
            self.release(list);
        }
    }

    /// Clears `WAITERS` if it is not true any more.
    fn note_if_empty(&self, list: &WaitList<Parcel<T>>) {
        if list.is_empty() {
            // WAITERS => _, under the lock.
            self.room.fetch_and(!WAITERS, Release);
        }
    }
}

/// The receiver's side.
impl<T> Bound<T> {
    /// Makes room for a message, given whether the list gave one; or takes one that was not in the list.
    ///
    /// # Safety
    /// The caller is the only receiver, and calls one at a time.
    #[inline]
    pub(super) unsafe fn after_pop(&self, list: &List<T>, popped: bool) -> Option<T> {
        match &self.rendezvous {
            // SAFETY: the caller's duty.
            Some(rendezvous) => unsafe { rendezvous.after_pop(list, popped) },
            None if popped => {
                self.release(list);
                None
            }
            None => None,
        }
    }

    /// Gives a permit back.
    #[inline]
    pub(super) fn release(&self, list: &List<T>) {
        // n permits => n + 1. Pairs with the compare-and-swaps in `try_send` and `queue`.
        if self.room.fetch_add(PERMIT, AcqRel) & WAITERS != 0 {
            self.admit(list);
        }
    }

    #[cold]
    fn admit(&self, list: &List<T>) {
        let mut waiters = self.waiters.lock();
        // The one who waited when the permit was given may have left, and a newcomer may have taken the
        // permit before the next one was queued. While somebody is queued, permits are taken under the
        // lock only.
        if self.room.load(Relaxed) < PERMIT {
            return;
        }
        let Some((waker, Parcel { message, .. })) = waiters.pop_front() else { return };
        // Claimed under the lock, so that no later message of this sender comes before this one. If the
        // receiver has just closed the list, the message stays where it is: refused.
        let claim = if message.is_some() { list.claim() } else { None };
        let claimed = claim.and_then(|claim| Some((claim, message.take()?)));
        self.room.fetch_sub(PERMIT, Acquire);
        self.note_if_empty(&waiters);
        drop(waiters);
        if let Some((claim, message)) = claimed {
            // If the receiver has left since the claim, it was sent before that, and is dropped with all else
            // that was not received.
            let _ = list.fill(claim, message);
        }
        rouse(waker);
    }

    /// Refuses those who wait, and all who come. The list is closed, but for that of a rendezvous.
    pub(super) fn close(&self, messages: &List<T>) {
        let list = self.waiters.lock();
        // _ => CLOSED, under the lock: whoever is not queued by now sees it.
        self.room.fetch_or(CLOSED, AcqRel);
        drop(list);
        if let Some(rendezvous) = &self.rendezvous {
            return rendezvous.close(messages);
        }
        loop {
            let mut list = self.waiters.lock();
            let Some((waker, _)) = list.pop_front() else { return };
            self.note_if_empty(&list);
            drop(list);
            rouse(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sending::Sending;
    use super::super::shared::Shared;
    use super::super::testing::Wakes;
    use super::*;

    #[test]
    fn a_permit_that_a_newcomer_took_admits_nobody() {
        let shared = Shared::allocate(Some(Bound::new(1)), None);
        // SAFETY: this test is the only sender and the receiver; both leave at the end.
        unsafe {
            let this = shared.as_ref();
            let bound = this.bound.as_ref().unwrap();
            let wakes = Wakes::new();
            this.try_send("first").unwrap();
            let mut leaves = Box::pin(Sending::new(this, "never sent"));
            assert!(wakes.poll(&mut leaves).is_pending());
            assert_eq!(this.list.pop(), Ok("first"));
            // The receiver gives the permit back, and is preempted before it admits who waits.
            assert_ne!(bound.room.fetch_add(PERMIT, AcqRel) & WAITERS, 0);
            drop(leaves);
            this.try_send("newcomer").unwrap();
            let mut waits = Box::pin(Sending::new(this, "waits"));
            assert!(wakes.poll(&mut waits).is_pending());
            bound.admit(&this.list);
            assert!(wakes.poll(&mut waits).is_pending());
            assert_eq!(this.try_send("no room"), Err(TrySendError::Full("no room")));
            assert_eq!(this.try_recv(), Ok("newcomer"));
            assert_eq!(wakes.poll(&mut waits), Poll::Ready(Ok(())));
            assert_eq!(this.try_recv(), Ok("waits"));
            drop(waits);
            Shared::sender_leaves(shared);
            Shared::receiver_leaves(shared);
        }
    }
}
