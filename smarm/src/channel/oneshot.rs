//! A channel for one value: an allocation that two halves share, and one atomic byte.
//!
//! ```
//! use smarm::channel::oneshot;
//!
//! let (reply, answer) = oneshot::channel();
//! std::thread::spawn(move || reply.send(6 * 7));
//! assert_eq!(answer.recv(), Ok(42));
//! ```
//!
//! The sender never waits for room. Either half learns when the other is gone, and the receiver is
//! a [`Future`]. A value that was sent and not received is dropped with the receiver.
//!
//! The byte holds a flag for each thing that one half tells the other:
//!
//! | flags | the state | who may touch the value | who may touch the receiver's waker |
//! |---|---|---|---|
//! | none | empty | sender | receiver |
//! | `RX_WAITING` | waiting | sender | all may read |
//! | `DONE`, `VALUE` | sent | receiver | receiver |
//! | `DONE`, `VALUE`, `RX_WAITING` | sent, and being woken | receiver | all may read |
//! | `DONE` | the sender is gone | nobody | as above |
//! | `RX_CLOSED` without `DONE` | the receiver is gone, or closed | sender | receiver |
//!
//! `TX_LEFT` and `RX_LEFT` say who has let go of the allocation: the second to leave frees it.
//! `TX_WAITING` is to `RX_CLOSED` and the sender's waker what `RX_WAITING` is to `DONE`.
//!
//! Sending:
//! 1. Write the value.
//! 2. If `RX_WAITING` is not set, set `DONE`, `VALUE` and `TX_LEFT` in one step: that is all.
//! 3. Else set `DONE` and `VALUE`, wake the receiver, and leave after that, as the waker lies in the
//!    allocation.
//!
//! Receiving:
//! 1. If `DONE` is set, take what there is. If `TX_LEFT` is set too, dropping the receiver needs no
//!    read-modify-write.
//! 2. Else write the waker, and set `RX_WAITING`. If `DONE` was set by then, take what there is.
//! 3. To change the waker, clear `RX_WAITING` first. If `DONE` was set by then, leave the waker
//!    alone: the sender may be reading it.
//!
//! No wake is lost: `DONE` and `RX_WAITING` are set by read-modify-writes of one byte, so whichever
//! comes second sees the other. No ordering between two locations is needed.
//!
//! Rejected: a reference count beside the state (`Arc`), which costs a read-modify-write more on
//! each side; taking the waker out to wake it, which makes the receiver wait for the sender.

#[cfg(all(test, smarm_loom))]
mod models;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::mem::{self, MaybeUninit};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::actor::park::{self, Interrupt, Running, rouse_by_ref};
use crate::primitive::atomic::AtomicU8;
use crate::primitive::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::primitive::{UnsafeCell, read_only};

/// The sender will not touch the value any more.
const DONE: u8 = 1;
/// The sender wrote a value. Set together with `DONE`.
const VALUE: u8 = 1 << 1;
/// The receiver's waker is written, and the receiver wants to be woken.
const RX_WAITING: u8 = 1 << 2;
/// The receiver takes no value that was not sent by now.
const RX_CLOSED: u8 = 1 << 3;
/// The sender's waker is written, and the sender wants to be woken.
const TX_WAITING: u8 = 1 << 4;
/// The sender has let go of the allocation.
const TX_LEFT: u8 = 1 << 5;
/// The receiver has let go of the allocation.
const RX_LEFT: u8 = 1 << 6;

struct Shared<T> {
    /// Flags, see the table above.
    state: AtomicU8,
    /// The receiver's: the value was taken, or it is known that there will be none. Here, so that a half
    /// is no more than a pointer, and travels in a register.
    finished: Cell<bool>,
    /// Initialised while `VALUE` is set and the receiver has not taken it.
    value: UnsafeCell<MaybeUninit<T>>,
    /// Written by the receiver while neither `RX_WAITING` nor `DONE` is set.
    rx_waker: UnsafeCell<Option<Waker>>,
    /// Written by the sender while neither `TX_WAITING` nor `RX_CLOSED` is set.
    tx_waker: UnsafeCell<Option<Waker>>,
}

/// The half that sends. Dropping it tells the receiver that nothing will come.
pub struct Sender<T> {
    shared: NonNull<Shared<T>>,
}

/// The half that receives. It is a [`Future`] of the value; dropping it tells the sender that nobody
/// wants the value.
///
/// Dropped half-way, it drops a value that was sent already, and a later send gives its value back. To
/// give up waiting and keep the receiver, await `&mut receiver`: dropping that loses nothing.
#[must_use = "nobody receives the value once this is dropped"]
pub struct Receiver<T> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: the halves move the value and wakers from one thread to another, and never share the value.
unsafe impl<T: Send> Send for Sender<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Receiver<T> {}
// SAFETY: a shared reference to a half gives only flags.
unsafe impl<T: Send> Sync for Sender<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Receiver<T> {}
// A half is left in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}
impl<T> Unpin for Receiver<T> {}

/// Makes a channel for one value.
#[inline]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = park::room::<Shared<T>>().as_ptr();
    // Field by field: a whole that is built elsewhere would be copied right after it was written in
    // parts, which stalls.
    // SAFETY: the memory is fresh; `value` needs no initialisation.
    let shared = unsafe {
        (&raw mut (*shared).state).write(AtomicU8::new(0));
        (&raw mut (*shared).finished).write(Cell::new(false));
        #[cfg(all(test, smarm_loom))] // a model's cell has more in it than the value
        (&raw mut (*shared).value).write(UnsafeCell::new(MaybeUninit::uninit()));
        (&raw mut (*shared).rx_waker).write(UnsafeCell::new(None));
        (&raw mut (*shared).tx_waker).write(UnsafeCell::new(None));
        NonNull::new_unchecked(shared)
    };
    (Sender { shared }, Receiver { shared })
}

/// Lets go of one half's share of the allocation, and frees it if the other half has left.
///
/// # Safety
/// The caller is the half that `mine` (`TX_LEFT` or `RX_LEFT`) names and touches the allocation no
/// more; the value is not there, or the receiver's, who has not left.
unsafe fn leave<T>(shared: NonNull<Shared<T>>, mine: u8) {
    // SAFETY: the caller has not left, so the allocation is there.
    let state = unsafe { &shared.as_ref().state };
    // _ => *_LEFT. Release: what this half did comes before the other frees. Acquire: the reverse.
    // Pairs with the same operation, and the one-step send, of the other half.
    if state.fetch_or(mine, AcqRel) & (TX_LEFT | RX_LEFT) != 0 {
        // SAFETY: both have left, so this is the only reference.
        unsafe { park::give_back(shared) };
    }
}

impl<T> Sender<T> {
    fn shared(&self) -> &Shared<T> {
        // SAFETY: the allocation lives until both halves have left, and this one has not.
        unsafe { self.shared.as_ref() }
    }

    /// Sends the value. Never blocks.
    ///
    /// # Errors
    /// Gives the value back if the receiver is gone or closed.
    pub fn send(self, value: T) -> Result<(), T> {
        let cell = self.shared().value.get();
        // SAFETY: without DONE the value is the sender's.
        unsafe { (*cell).write(value) };
        // SAFETY: the value is written, and a sender that has finished is not used again.
        if unsafe { finish(self.shared, DONE | VALUE) } {
            mem::forget(self);
            return Ok(());
        }
        // SAFETY: DONE was not set, so the value is still the sender's, and it was written above.
        Err(unsafe { (*cell).assume_init_read() })
    }

    /// Whether the receiver is gone or closed, so that a send would fail.
    pub fn is_closed(&self) -> bool {
        self.shared().state.load(Relaxed) & RX_CLOSED != 0
    }

    /// Ready when the receiver is gone or closed, for work that is worth nothing without a receiver.
    ///
    /// Given up half-way, nothing is lost: the sender can still send, and the waker may be woken once,
    /// for nothing.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Shared { state, tx_waker, .. } = self.shared();
        // Pairs with the RX_CLOSED of `Receiver::close_state`.
        let seen = state.load(Acquire);
        if seen & RX_CLOSED != 0 {
            return Poll::Ready(());
        }
        if seen & TX_WAITING != 0 {
            // SAFETY: with TX_WAITING set nobody writes the waker.
            if unsafe { &*read_only(tx_waker) }.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            // TX_WAITING => _. If the receiver closed before, it may be reading the waker.
            if state.fetch_and(!TX_WAITING, AcqRel) & RX_CLOSED != 0 {
                return Poll::Ready(());
            }
        }
        let waker = Some(cx.waker().clone());
        // SAFETY: TX_WAITING is clear, and only the sender sets it, so nobody reads the waker.
        let old = unsafe { mem::replace(&mut *tx_waker.get(), waker) };
        // _ => TX_WAITING. Release: the waker is written. Pairs with `Receiver::close_state`.
        let seen = state.fetch_or(TX_WAITING, AcqRel);
        drop(old);
        if seen & RX_CLOSED != 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits, in async code, until the receiver is gone or closed.
    ///
    /// Dropped half-way, the future loses nothing, as [`poll_closed`](Self::poll_closed).
    pub fn closed(&mut self) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(|cx| self.poll_closed(cx))
    }
}

/// Steps 2 and 3 of sending, with or without a value. Gives `false`, and changes nothing, if the
/// receiver is gone or closed.
///
/// # Safety
/// The caller is the sender and has not left. If this gives `true`, it touches the allocation no
/// more. With `VALUE`, the value is written.
unsafe fn finish<T>(shared: NonNull<Shared<T>>, done: u8) -> bool {
    // SAFETY: the sender has not left, so the allocation is there.
    let Shared { state, rx_waker, .. } = unsafe { shared.as_ref() };
    let mut seen = state.load(Relaxed);
    loop {
        if seen & RX_CLOSED != 0 {
            return false;
        }
        let waits = seen & RX_WAITING != 0;
        let new = seen | done | if waits { 0 } else { TX_LEFT };
        // _ => DONE. Release: the value is written, and if this leaves too, all that the sender did
        // comes before the receiver frees. Acquire: the receiver's waker is written. Pairs with the
        // load and the read-modify-writes in `Receiver::poll`.
        match state.compare_exchange_weak(seen, new, AcqRel, Relaxed) {
            Ok(_) if waits => break,
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
    // SAFETY: RX_WAITING was set when DONE was, so the receiver does not write the waker; and the
    // sender has not left.
    if let Some(waker) = unsafe { &*read_only(rx_waker) } {
        rouse_by_ref(waker);
    }
    // SAFETY: the sender's last access; the value, if any, is the receiver's.
    unsafe { leave(shared, TX_LEFT) };
    true
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // SAFETY: a sender that was not consumed by `send` has not left, and this is its end.
        unsafe {
            if !finish(self.shared, DONE) {
                leave(self.shared, TX_LEFT);
            }
        }
    }
}

impl<T> Receiver<T> {
    fn shared(&self) -> &Shared<T> {
        // SAFETY: the allocation lives until both halves have left, and this one has not.
        unsafe { self.shared.as_ref() }
    }

    /// Waits for the value.
    ///
    /// # Errors
    /// [`RecvError::Closed`] if the sender is gone without a value, or the value was received before.
    pub fn recv(mut self) -> Result<T, RecvError> {
        park::wait(&mut self).unwrap_or_else(|interrupt| Err(interrupt.into()))
    }

    /// Takes the value if it is there.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if it is not, [`TryRecvError::Closed`] if it will not be.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        // Pairs with the DONE of `finish`.
        let seen = self.shared().state.load(Acquire);
        if self.is_over(seen) {
            return self.take(seen).ok_or(TryRecvError::Closed);
        }
        Err(TryRecvError::Empty)
    }

    /// Waits for the value, at most for `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::TimedOut`], after which the value can still be received, and the errors of
    /// [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.try_recv() {
            Err(TryRecvError::Empty) => {
                let waited = park::wait_for(&mut *self, timeout);
                self.waited(waited)
            }
            Err(TryRecvError::Closed) => Err(RecvTimeoutError::Closed),
            Ok(value) => Ok(value),
        }
    }

    /// Like [`recv_timeout`](Self::recv_timeout), with a deadline. A value that is there is received
    /// even if the deadline has passed.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        let waited = park::wait_until(&mut *self, Some(deadline));
        self.waited(waited)
    }

    /// Tells the sender that nobody waits for a value any more. One that was sent before can still be
    /// received.
    pub fn close(&mut self) {
        self.close_state();
    }

    /// What comes of a wait with a limit.
    #[inline(always)]
    fn waited(&mut self, waited: Result<Result<T, RecvError>, Interrupt>) -> Result<T, RecvTimeoutError> {
        let interrupt = match waited {
            Ok(result) => return result.map_err(|_| RecvTimeoutError::Closed),
            Err(interrupt) => interrupt,
        };
        // RX_WAITING => _: whoever sends later need not wake. What was sent just now is received.
        // Pairs with the DONE of `finish`.
        let seen = self.shared().state.fetch_and(!RX_WAITING, AcqRel);
        if seen & DONE != 0 {
            return self.take(seen).ok_or(RecvTimeoutError::Closed);
        }
        Err(match interrupt {
            Interrupt::TimedOut => RecvTimeoutError::TimedOut,
            Interrupt::Cancelled => RecvTimeoutError::Cancelled,
        })
    }

    /// Waits for the value on behalf of an actor, as what [`park::wait`] comes to without a future:
    /// what comes out of one, through a `Poll` and a `Result`, is copied right after it was written in
    /// parts, which stalls. `park` parks the actor, and may unwind.
    #[inline(always)]
    pub(crate) fn recv_parking(&mut self, actor: Running, park: impl Fn(Running)) -> Option<T> {
        let waker = actor.waker();
        loop {
            // Pairs with the DONE of `finish`.
            let seen = self.shared().state.load(Acquire);
            if self.is_over(seen) {
                return self.take(seen);
            }
            if let Some(seen) = self.register(seen, &waker, || waker.copy()) {
                return self.take(seen);
            }
            park(actor);
        }
    }

    /// Whether nothing more will come than what came, if the state is as `seen`.
    #[inline(always)]
    fn is_over(&self, seen: u8) -> bool {
        seen & (DONE | RX_CLOSED) != 0 || self.shared().finished.get()
    }

    /// Steps 2 and 3 of receiving, having seen this state. Gives the state if the sender has finished.
    #[inline(always)]
    fn register(&self, mut seen: u8, waker: &Waker, copy: impl FnOnce() -> Waker) -> Option<u8> {
        let Shared { state, rx_waker, .. } = self.shared();
        if seen & RX_WAITING != 0 {
            // SAFETY: with RX_WAITING set nobody writes the waker.
            if unsafe { &*read_only(rx_waker) }.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return None;
            }
            // RX_WAITING => _. Pairs with the DONE of `finish`.
            seen = state.fetch_and(!RX_WAITING, AcqRel);
            if seen & DONE != 0 {
                return Some(seen);
            }
        }
        // SAFETY: RX_WAITING and DONE were clear together, and only the receiver sets
        // RX_WAITING, so the sender does not read the waker.
        let old = unsafe { &mut *rx_waker.get() }.replace(copy());
        // _ => RX_WAITING. Release: the waker is written. Pairs with the DONE of `finish`.
        let seen = state.fetch_or(RX_WAITING, AcqRel);
        drop(old);
        (seen & DONE != 0).then_some(seen)
    }

    /// Takes what the sender left, having seen `DONE`, or that the receiver is closed or finished.
    fn take(&mut self, seen: u8) -> Option<T> {
        if self.shared().finished.replace(true) || seen & VALUE == 0 {
            return None;
        }
        // SAFETY: VALUE is set, so it was written, and this is the first to take it. The caller's
        // Acquire pairs with the Release of `finish`.
        Some(unsafe { (*self.shared().value.get()).assume_init_read() })
    }

    /// Sets `RX_CLOSED`, wakes a sender that waits for that, and gives the state of before.
    fn close_state(&self) -> u8 {
        let Shared { state, tx_waker, .. } = self.shared();
        // _ => RX_CLOSED. Acquire: the sender's waker, and its value, are written. Pairs with
        // `Sender::poll_closed` and with `finish`.
        let seen = state.fetch_or(RX_CLOSED, AcqRel);
        if seen & (TX_WAITING | RX_CLOSED | DONE) == TX_WAITING {
            // SAFETY: TX_WAITING was set when RX_CLOSED was, so the sender does not write the waker.
            if let Some(waker) = unsafe { &*read_only(tx_waker) } {
                rouse_by_ref(waker);
            }
        }
        seen
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    /// Gives no other error than [`RecvError::Closed`].
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Pairs with the DONE of `finish`.
        let seen = self.shared().state.load(Acquire);
        let over = if self.is_over(seen) {
            Some(seen)
        } else {
            self.register(seen, cx.waker(), || cx.waker().clone())
        };
        match over {
            Some(seen) => Poll::Ready(self.take(seen).ok_or(RecvError::Closed)),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Pairs with the TX_LEFT of `finish` and `leave`.
        let seen = self.shared().state.load(Acquire);
        if seen & TX_LEFT != 0 {
            // The sender is gone, so its half of the protocol is not needed.
            let value = self.take(seen);
            // SAFETY: the sender has left, so this is the only reference.
            unsafe { park::give_back(self.shared) };
            drop(value);
            return;
        }
        let seen = self.close_state();
        let value = self.take(seen);
        // SAFETY: the receiver's last access, and the value was taken out.
        unsafe { leave(self.shared, RX_LEFT) };
        drop(value);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.shared().state.load(Relaxed) {
            _ if self.shared().finished.get() => "finished",
            seen if seen & VALUE != 0 => "sent",
            seen if seen & (DONE | RX_CLOSED) != 0 => "closed",
            _ => "empty",
        };
        f.debug_struct("Receiver").field("state", &state).finish_non_exhaustive()
    }
}
