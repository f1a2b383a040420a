//! The receiver's side of a list.

use std::task::Waker;

use super::{CLAIM, CLOSED, Head, List};
use crate::channel::block::{ABANDONED, EMPTY, END, FULL, SLOTS, Slot, WAITING};
use crate::channel::error::TryRecvError;
use crate::primitive::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitive::read_only;

/// The receiver's side.
///
/// # Safety
/// Of all these functions: the caller is the only receiver, and calls one at a time.
impl<T> List<T> {
    #[inline]
    fn head_slot(&self) -> &Slot<T> {
        // SAFETY: the receiver has not passed the head's block, so it is not given back.
        unsafe { &*self.head.block.get() }.slot(self.head.position.load(Relaxed))
    }

    /// Whether there is a message, or the end.
    #[inline]
    pub(in crate::channel) unsafe fn is_ready(&self) -> bool {
        matches!(self.head_slot().state.load(Relaxed), FULL | END)
    }

    /// Step 1 of receiving.
    #[inline]
    pub(in crate::channel) unsafe fn pop(&self) -> Result<T, TryRecvError> {
        let slot = self.head_slot();
        // Pairs with the swap in `fill`.
        match slot.state.load(Acquire) {
            FULL => {
                // SAFETY: FULL: it was written, and the head moves on, so it is read once.
                let message = unsafe { (*slot.message.get()).assume_init_read() };
                self.pass_full();
                Ok(message)
            }
            END => Err(TryRecvError::Closed),
            _ if self.head.position.load(Relaxed) == self.head.end.load(Relaxed) => Err(TryRecvError::Closed),
            _ => Err(TryRecvError::Empty),
        }
    }

    /// Moves on from a slot that was full.
    #[inline]
    fn pass_full(&self) {
        let position = self.head.position.load(Relaxed) + 1;
        self.head.position.store(position, Relaxed);
        if position.is_multiple_of(SLOTS) {
            // SAFETY: as in `head_slot`.
            let block = unsafe { &*self.head.block.get() };
            // There, by step 3 of the sender that filled the last slot.
            self.head.block.set(block.next.load(Acquire));
            self.give_back_vacated(position);
        }
    }

    #[cold]
    fn give_back_vacated(&self, position: usize) {
        loop {
            let oldest = self.head.oldest.get();
            if oldest == self.head.block.get() {
                return;
            }
            // SAFETY: only the receiver gives blocks of the list back.
            let block = unsafe { &*oldest };
            // Pairs with the store in `vacate`.
            if block.vacated_at.load(Acquire) > position {
                return;
            }
            self.head.oldest.set(block.next.load(Relaxed));
            block.reset();
            // SAFETY: the receiver has left the block, no sender's claim leads to it (see the module's
            // documentation), and it has just been reset.
            unsafe { self.give_back(oldest) };
        }
    }

    /// Step 2 of receiving: asks for `waker` to be woken when the head's slot is filled, in place of
    /// any waker of before. Gives `false` if it was filled meanwhile. `copy` clones the waker.
    #[inline(always)]
    pub(in crate::channel) unsafe fn register(&self, waker: &Waker, copy: impl FnOnce() -> Waker) -> bool {
        // Pairs with the store in `wake`.
        if self.wait.armed.load(Acquire) {
            // SAFETY: the caller's duty.
            if let Some(pending) = unsafe { self.register_again(waker) } {
                return pending;
            }
        }
        let fresh = copy();
        let slot = self.head_slot();
        // SAFETY: not armed, and no slot is WAITING, so nobody else touches the waker.
        unsafe { (*self.wait.waker.get()).write(fresh) };
        self.wait.armed.store(true, Relaxed);
        // EMPTY => WAITING. Release: the waker is written. Pairs with the swap in `fill`.
        if slot.state.compare_exchange(EMPTY, WAITING, Release, Relaxed).is_ok() {
            return true;
        }
        // SAFETY: the slot did not become WAITING, so the waker is still the receiver's.
        let unused = unsafe { (*self.wait.waker.get()).assume_init_read() };
        self.wait.armed.store(false, Relaxed);
        drop(unused);
        false
    }

    /// Step 2 of receiving when there is, or was, a waker already. `None` says to register anew.
    #[cold]
    unsafe fn register_again(&self, waker: &Waker) -> Option<bool> {
        let state = self.head_slot().state.load(Relaxed);
        if state != EMPTY && state != WAITING {
            return Some(false);
        }
        if state == WAITING {
            // SAFETY: the waker was written before the slot became WAITING, by this receiver. A sender
            // may be moving it out right now, which is a read too; `will_wake` compares addresses.
            if unsafe { (*read_only(&self.wait.waker)).assume_init_ref() }.will_wake(waker) {
                return Some(true);
            }
            // SAFETY: the caller's duty.
            unsafe { self.deregister() };
        }
        // As in `register`.
        if self.wait.armed.load(Acquire) {
            waker.wake_by_ref();
            return Some(true);
        }
        None
    }

    /// Takes the registration back, unless it was used.
    pub(in crate::channel) unsafe fn deregister(&self) {
        // WAITING => EMPTY.
        if self.head_slot().state.compare_exchange(WAITING, EMPTY, Relaxed, Relaxed).is_ok() {
            // SAFETY: the slot was WAITING and no sender has turned it, so the waker is the receiver's.
            let unused = unsafe { (*self.wait.waker.get()).assume_init_read() };
            self.wait.armed.store(false, Relaxed);
            drop(unused);
        }
    }

    /// Makes later claims void. What was claimed before can still be received.
    pub(in crate::channel) unsafe fn close(&self) {
        let position = self.tail.position.fetch_or(CLOSED, AcqRel);
        if position & CLOSED == 0 {
            self.head.end.store(position / CLAIM, Relaxed);
        }
    }

    /// The receiver leaves: drops all messages, those that are still being sent with their senders.
    pub(in crate::channel) unsafe fn abandon(&self) {
        // SAFETY: the caller's duty.
        unsafe {
            self.close();
            self.deregister();
        }
        /// Goes on when the destructor of a message panics.
        struct GoOn<'a, T>(&'a List<T>);
        impl<T> Drop for GoOn<'_, T> {
            fn drop(&mut self) {
                // SAFETY: made below by the receiver, which does nothing else meanwhile.
                unsafe { self.0.abandon_rest() };
            }
        }
        let go_on = GoOn(self);
        // SAFETY: the caller's duty.
        unsafe {
            while let Ok(message) = self.pop() {
                drop(message);
            }
            self.abandon_rest();
        }
        drop(go_on);
    }

    /// Drops or abandons every slot from the head on. From here on no block is given back, as senders
    /// look into abandoned slots.
    unsafe fn abandon_rest(&self) {
        let Head { position, block, end, .. } = &self.head;
        while position.load(Relaxed) < end.load(Relaxed) {
            let slot = self.head_slot();
            let next = position.load(Relaxed) + 1;
            if next.is_multiple_of(SLOTS) {
                // SAFETY: as in `head_slot`.
                block.set(self.next(unsafe { &*block.get() }));
            }
            position.store(next, Relaxed);
            // EMPTY | FULL | END => ABANDONED. Acquire: the message is written. Pairs with the swap in
            // `fill`.
            if slot.state.swap(ABANDONED, AcqRel) == FULL {
                // SAFETY: FULL, and read once, as the head has moved on.
                drop(unsafe { (*slot.message.get()).assume_init_read() });
            }
        }
    }
}
