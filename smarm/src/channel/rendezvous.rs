//! A channel that holds nothing: a message passes when a sender and a receiver are both there.
//!
//! | word | meaning |
//! |---|---|
//! | parcel | what a sender that waits brings: its message |
//! | offer | what a receiver that waits brings: it would take a message |
//! | notified | a receiver that was taken off the queue and woken, and has not run yet |
//! | handed | of a message: left in the channel's list for a receiver that waits |
//! | owed | of a handed message: its receiver is bound to take it, and others leave it alone |
//!
//! Senders and receivers have a queue each, under one lock.
//!
//! 1. A sender hands its message to the receiver that has waited longest, if that is bound to take it. Else it is
//!    queued with its message, notifies a receiver, and waits.
//! 2. A receiver takes the message of the sender that has waited longest, which is then woken and has sent
//!    it; or it is queued.
//! 3. A receiver that gives up though it was notified notifies the next one, if there is anything for that.
//!
//! Whether a receiver is bound is told by its [`Bond`]:
//!
//! | bond | waits | is it bound to take what it is handed? |
//! |---|---|---|
//! | arm | in a `select!` | if its [claim](super::claim) is got: then no other arm is looked at |
//! | firm | in a blocking call | yes: one that is out of time takes it before it says so |
//! | loose | in a future | no, as that can be dropped: it is notified, and takes a message when it is polled |
//!
//! So neither side is told what the other may yet deny: a receive that is given up has taken nothing, a send that is
//! given up has its message back. (What was handed to an actor that is then killed stays for the next that receives.)
//!
//! **Selects.** A sender may be an arm of a `select!`, too, which another arm may have ended. Step 2 takes its
//! message only with its claim. Who runs needs no claim of its own: it is looking at its arms itself. An arm never
//! meets another one of its own select.
//!
//! **Who cannot wait** (`try_send`) hands its message to loose ones, too. If that is dropped before it is polled,
//! the message, which its sender believes to be sent, stays for the next one that receives.
//!
//! **No wake is lost**: each sender that is queued has notified a receiver, unless none waited; a receiver that
//! comes later looks at all senders before it waits. Each that was notified takes a message, or finds none, or
//! notifies another one. A sender that a receiver could not claim wakes one when it rests.
//!
//! **In order**: receivers take from the oldest sender, but for a select that is being looked after and so does not
//! wait. Messages are handed only if nobody waits to send, and are taken before those of who waits: a receiver
//! that is owed nothing waits while there are some for others, and who takes one notifies the next.
//!
//! Rejected: a permit that a receiver offers, for a sender that does not wait (the message lies in the channel when
//! the receiver has decided otherwise); claims on both sides of each meeting (who runs can speak for itself).

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use super::claim::Claimant;
use super::error::{TryRecvError, TrySendError};
use super::list::List;
use super::waitlist::{Node, Place, WaitList};
use crate::actor::park::{OwnCode, own_code, rouse};
use crate::primitive::{Mutex, MutexGuard, Step, omits};

/// What a sender that waits brings.
pub(super) struct Parcel<T> {
    /// Taken when it is sent, left when it is refused.
    pub(super) message: Option<T>,
    /// Of a sender that is an arm of a select.
    pub(super) claimant: Option<Claimant>,
}

impl<T> Parcel<T> {
    pub(super) const fn empty() -> Self {
        Parcel { message: None, claimant: None }
    }
}

/// How a receiver waits.
#[derive(Clone, Copy)]
pub(crate) enum Bond {
    /// In a future, which may be dropped.
    Loose,
    /// In a blocking call, which looks once more before it gives up.
    Firm,
    /// As this arm of a select.
    Arm(Claimant),
}

impl Bond {
    fn claimant(self) -> Option<Claimant> {
        if let Self::Arm(claimant) = self { Some(claimant) } else { None }
    }
}

/// What a receiver that waits brings.
pub(super) struct Offer {
    bond: Bond,
    /// It was handed a message, and bound to take it.
    owed: bool,
}

impl Offer {
    pub(super) const fn new() -> Self {
        Offer { bond: Bond::Loose, owed: false }
    }
}

pub(super) struct Rendezvous<T> {
    both: Mutex<Both<T>>,
    /// The place of the receiver of a channel that has only one.
    seat: Node<Offer>,
}

struct Both<T> {
    senders: WaitList<Parcel<T>>,
    receivers: WaitList<Offer>,
    /// How many of the handed messages, which are in the channel's list, are owed.
    owed: usize,
    closed: bool,
}

/// The lock of both queues.
struct Locked<'a, T> {
    both: MutexGuard<'a, Both<T>>,
    /// The list allocates and frees under the lock. Ends after that.
    _own_code: OwnCode,
}

impl<T> Deref for Locked<'_, T> {
    type Target = Both<T>;

    fn deref(&self) -> &Both<T> {
        &self.both
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut Both<T> {
        &mut self.both
    }
}

impl<T> Both<T> {
    /// Step 2, of a receiver that is perhaps owed a message. Gives whom to wake outside the lock, too.
    fn take(
        &mut self,
        list: &List<T>,
        own: Option<Claimant>,
        owed: bool,
    ) -> Result<(T, Option<Waker>), TryRecvError> {
        if owed || list.len() > self.owed {
            // SAFETY: who holds the lock is the only receiver.
            let message = unsafe { list.pop() }?;
            self.owed -= usize::from(owed);
            let next = if self.senders.is_empty() { None } else { self.notify(own) };
            return Ok((message, next));
        }
        if list.is_finished() {
            return Err(TryRecvError::Closed);
        }
        if self.owed > 0 {
            return Err(TryRecvError::Empty);
        }
        let consents = |parcel: &mut Parcel<T>, _: Option<&Waker>| match parcel.claimant {
            None => true,
            // SAFETY: an arm leaves the queue before its select ends.
            Some(claimant) => !claimant.is_of(own) && unsafe { claimant.claim() },
        };
        let sender = self.senders.pop_first(consents);
        let taken = sender.and_then(|(waker, parcel)| Some((parcel.message.take()?, Some(waker))));
        taken.ok_or(TryRecvError::Empty)
    }

    /// Hands a message to a receiver that is bound to take it, or to a loose one. Gives whom to wake.
    fn hand(
        &mut self,
        list: &List<T>,
        message: T,
        own: Option<Claimant>,
        to_loose: bool,
    ) -> Result<Waker, T> {
        let senders = &self.senders;
        let found = self.receivers.pop_first(|offer, _| match offer.bond {
            Bond::Loose => to_loose && senders.is_empty(),
            Bond::Firm => senders.is_empty(),
            Bond::Arm(claimant) => {
                let meets = !claimant.is_of(own) && senders.all(|parcel| claimant.is_of(parcel.claimant));
                // SAFETY: an arm leaves the queue before its select ends.
                meets && unsafe { claimant.claim() }
            }
        });
        let Some((waker, offer)) = found else { return Err(message) };
        offer.owed = !matches!(offer.bond, Bond::Loose);
        self.owed += usize::from(offer.owed);
        list.push(message).map(|()| waker)
    }

    /// Takes a receiver off the queue to be woken, which is no arm of this select.
    fn notify(&mut self, own: Option<Claimant>) -> Option<Waker> {
        self.notify_if(own, |_| true)
    }

    /// As [`notify`](Self::notify), of those whose wakers are as asked for.
    fn notify_if(&mut self, own: Option<Claimant>, fits: impl Fn(&Waker) -> bool) -> Option<Waker> {
        let other = |offer: &mut Offer, waker: Option<&Waker>| {
            !offer.bond.claimant().is_some_and(|claimant| claimant.is_of(own)) && waker.is_some_and(&fits)
        };
        self.receivers.pop_first(other).map(|(waker, _)| waker)
    }
}

impl<T> Rendezvous<T> {
    pub(super) fn new() -> Self {
        let both = Both { senders: WaitList::new(), receivers: WaitList::new(), owed: 0, closed: false };
        Rendezvous { both: Mutex::new(both), seat: Node::new(Offer::new()) }
    }

    fn lock(&self) -> Locked<'_, T> {
        let own_code = own_code();
        // Nothing panics under the lock.
        Locked { both: self.both.lock().unwrap_or_else(PoisonError::into_inner), _own_code: own_code }
    }

    /// Step 1: pending if the node is queued. Gives the message back if the channel is closed.
    ///
    /// # Safety
    /// As [`WaitList::push_back`]; the node was never queued. The claimant's select ends after the node has left.
    #[inline(never)]
    pub(super) unsafe fn queue(
        &self,
        list: &List<T>,
        node: Pin<&Node<Parcel<T>>>,
        message: T,
        claimant: Option<Claimant>,
        waker: Waker,
    ) -> Poll<Result<(), T>> {
        let mut both = self.lock();
        if both.closed {
            drop(both);
            return Poll::Ready(Err(message));
        }
        let message = match both.hand(list, message, claimant, false) {
            Ok(receiver) => {
                drop(both);
                rouse(receiver);
                return Poll::Ready(Ok(()));
            }
            Err(message) => message,
        };
        // SAFETY: the caller's duty.
        unsafe {
            *both.senders.entry(node) = Parcel { message: Some(message), claimant };
            both.senders.push_back(node, waker);
        }
        let notified = if omits(Step::WakeReceiver) { None } else { both.notify(claimant) };
        drop(both);
        if let Some(waker) = notified {
            rouse(waker);
        }
        Poll::Pending
    }

    /// Notifies a receiver of a sender that could not be claimed, and now can: not one that its own waker wakes, such
    /// as a future which another arm of this select polls. That would miss it again, for ever.
    pub(super) fn notify(&self, claimant: Claimant, own: &Waker) {
        let notified = self.lock().notify_if(Some(claimant), |waker| !waker.will_wake(own));
        if let Some(waker) = notified {
            rouse(waker);
        }
    }

    /// Ready when a sender that was queued waits no more: with its message, if that was refused.
    ///
    /// # Safety
    /// The node was queued here.
    #[inline(never)]
    pub(super) unsafe fn poll_sent(
        &self,
        node: Pin<&Node<Parcel<T>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        let mut fresh = None;
        loop {
            let mut both = self.lock();
            // SAFETY: the caller's duty.
            match unsafe { both.senders.renew(node, cx.waker(), &mut fresh) } {
                Place::Outdated => {
                    drop(both);
                    fresh = Some(cx.waker().clone());
                }
                Place::Waiting => {
                    drop(both);
                    return Poll::Pending;
                }
                Place::Served => {
                    // SAFETY: the caller's duty.
                    let refused = unsafe { both.senders.entry(node) }.message.take();
                    drop(both);
                    return Poll::Ready(refused);
                }
            }
        }
    }

    /// A sender that was queued gives up: gives its message, if that was not sent.
    ///
    /// # Safety
    /// The node was queued here.
    #[inline(never)]
    pub(super) unsafe fn give_up(&self, node: Pin<&Node<Parcel<T>>>) -> Option<T> {
        let mut both = self.lock();
        // SAFETY: the caller's duty.
        let (waker, message) =
            unsafe { (both.senders.remove(node), both.senders.entry(node).message.take()) };
        drop(both);
        drop(waker);
        message
    }

    /// Step 1, for a sender that does not wait.
    #[inline(never)]
    pub(super) fn hand(&self, list: &List<T>, message: T) -> Result<(), TrySendError<T>> {
        let mut both = self.lock();
        if both.closed {
            drop(both);
            return Err(TrySendError::Closed(message));
        }
        let handed = both.hand(list, message, None, true);
        drop(both);
        handed.map(rouse).map_err(TrySendError::Full)
    }

    /// Step 2, for a receiver that does not wait.
    #[cold]
    #[inline(never)]
    pub(super) fn try_recv(&self, list: &List<T>) -> Result<T, TryRecvError> {
        let taken = self.lock().take(list, None, false);
        let (message, waker) = taken?;
        if let Some(waker) = waker {
            rouse(waker);
        }
        Ok(message)
    }

    /// Step 2, of the only receiver, which has found a handed message in the list, or none.
    ///
    /// # Safety
    /// The caller is the only receiver, and calls one at a time.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn after_pop(&self, list: &List<T>, popped: bool) -> Option<T> {
        if !popped {
            return self.try_recv(list).ok();
        }
        let mut both = self.lock();
        // SAFETY: the seat is where it is until the channel is freed, and is queued here only.
        unsafe { both.receivers.entry(Pin::new_unchecked(&self.seat)) }.owed = false;
        both.owed = 0;
        None
    }

    /// Step 2, at the place of the only receiver.
    ///
    /// # Safety
    /// As [`poll_recv`](Self::poll_recv).
    pub(super) unsafe fn poll_seat(
        &self,
        list: &List<T>,
        bond: Bond,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, TryRecvError>> {
        // SAFETY: the seat is where it is until the channel is freed; the rest is the caller's duty.
        unsafe { self.poll_recv(list, Pin::new_unchecked(&self.seat), bond, cx) }
    }

    /// Step 2. The node is queued if this is pending, but for an arm of a select that does not wait.
    ///
    /// # Safety
    /// As [`WaitList::push_back`]; the node is queued here only. The select of an arm ends after the node
    /// [has left](Self::leave), or this was ready.
    #[inline(never)]
    pub(super) unsafe fn poll_recv(
        &self,
        list: &List<T>,
        node: Pin<&Node<Offer>>,
        bond: Bond,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, TryRecvError>> {
        let own = bond.claimant();
        let mut fresh = None;
        loop {
            let mut both = self.lock();
            // SAFETY: here and below, the caller's duty.
            let owed = unsafe { both.receivers.entry(node) }.owed;
            let taken = both.take(list, own, owed);
            if !matches!(taken, Err(TryRecvError::Empty)) {
                // SAFETY: as above.
                let place = unsafe {
                    both.receivers.entry(node).owed = false;
                    both.receivers.remove(node)
                };
                drop(both);
                drop((place, fresh));
                let (message, waker) = match taken {
                    Ok(taken) => taken,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if let Some(waker) = waker {
                    rouse(waker);
                }
                return Poll::Ready(Ok(message));
            }
            if own.is_some_and(|own| !own.waits()) {
                return Poll::Pending;
            }
            // SAFETY: as above.
            unsafe {
                match (both.receivers.renew(node, cx.waker(), &mut fresh), fresh.take()) {
                    (Place::Waiting, stale) => {
                        both.receivers.entry(node).bond = bond;
                        drop(both);
                        drop(stale);
                        return Poll::Pending;
                    }
                    (Place::Served, Some(waker)) => {
                        both.receivers.entry(node).bond = bond;
                        both.receivers.push_back(node, waker);
                        return Poll::Pending;
                    }
                    (Place::Served | Place::Outdated, _) => {
                        drop(both);
                        fresh = Some(cx.waker().clone());
                    }
                }
            }
        }
    }

    /// The only receiver gives up.
    pub(super) fn leave_seat(&self, list: &List<T>) {
        // SAFETY: the seat is where it is until the channel is freed, and is queued here only.
        unsafe { self.leave(list, Pin::new_unchecked(&self.seat)) };
    }

    /// Step 3, of a receiver that gives up.
    ///
    /// # Safety
    /// The node is queued here only, if at all.
    #[inline(never)]
    pub(super) unsafe fn leave(&self, list: &List<T>, node: Pin<&Node<Offer>>) {
        let mut both = self.lock();
        // SAFETY: the caller's duty.
        let (place, owed) =
            unsafe { (both.receivers.remove(node), std::mem::take(&mut both.receivers.entry(node).owed)) };
        both.owed -= usize::from(owed);
        let something = list.len() > both.owed || !both.senders.is_empty();
        let passes_on = place.is_none() && something && !omits(Step::WakeNext);
        let next = if passes_on { both.notify(None) } else { None };
        drop(both);
        drop(place);
        if let Some(waker) = next {
            rouse(waker);
        }
    }

    /// Refuses those who wait to send, and all who come; receivers learn of it.
    pub(super) fn close(&self, list: &List<T>) {
        let mut both = self.lock();
        // SAFETY: who holds the lock is the only receiver. Nobody waits in the list.
        unsafe { list.close() };
        both.closed = true;
        drop(both);
        loop {
            let refused = self.lock().senders.pop_front().map(|(waker, _)| waker);
            let Some(waker) = refused else { break };
            rouse(waker);
        }
        self.wake_receivers();
    }

    /// Wakes all receivers, as no message will come.
    pub(super) fn wake_receivers(&self) {
        loop {
            let notified = self.lock().notify(None);
            let Some(waker) = notified else { return };
            rouse(waker);
        }
    }
}
