//! What a list offers to [many receivers](super::super::many) beyond the operations of one: to be told
//! when the first position is filled that is not full yet, wherever that is.
//!
//! At most one slot is `WAITING`, as with one receiver, but it need not be the head's.

use std::task::Waker;

use super::*;

/// What became of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel) enum Watch {
    /// The waker is woken when this position is filled.
    At(usize),
    /// The caller wanted no more; this is the next position.
    Stopped(usize),
    /// No message follows.
    Ended,
}

/// # Safety
/// Of all these functions: the caller is the receivers' side, and calls one of that side's functions at a
/// time.
impl<T> List<T> {
    /// The position that is received next.
    pub(in crate::channel) unsafe fn head_position(&self) -> usize {
        self.head.position.load(Relaxed)
    }

    /// Asks for `waker` to be woken when the first position is filled that is not full, from `from` on, which
    /// is not before the head. `pass` is called for each full one before it, and says whether to go on.
    ///
    /// # Safety
    /// No slot is `WAITING`, and whoever turned one from that has moved the waker out.
    pub(in crate::channel) unsafe fn watch(
        &self,
        from: usize,
        waker: Waker,
        mut pass: impl FnMut() -> bool,
    ) -> Watch {
        let mut position = from;
        let mut block = self.block_of(position);
        let outcome = loop {
            if position == self.head.end.load(Relaxed) {
                break Watch::Ended;
            }
            let slot = block.slot(position);
            match slot.state.load(Acquire) {
                FULL => {
                    position += 1;
                    if position.is_multiple_of(SLOTS) {
                        // SAFETY: from the head on, only the receivers' side gives blocks back.
                        block = unsafe { &*self.next(block) };
                    }
                    if !pass() {
                        break Watch::Stopped(position);
                    }
                }
                END => break Watch::Ended,
                _ => {
                    // SAFETY: as no slot is WAITING, nobody else touches the waker (the caller's duty).
                    unsafe { (*self.wait.waker.get()).write(waker.clone()) };
                    self.wait.armed.store(true, Relaxed);
                    // EMPTY => WAITING. Release: the waker is written. Pairs with the swap in `fill`.
                    if slot.state.compare_exchange(EMPTY, WAITING, Release, Relaxed).is_ok() {
                        break Watch::At(position);
                    }
                    // SAFETY: the slot did not become WAITING, so the waker is still this side's.
                    unsafe { self.disarm() };
                }
            }
        };
        drop(waker);
        outcome
    }

    /// Takes back a watch [at](Watch::At) a position; gives `false` if it was used, or is being used.
    pub(in crate::channel) unsafe fn unwatch(&self, position: usize) -> bool {
        if position < self.head.position.load(Relaxed) {
            return false;
        }
        let slot = self.block_of(position).slot(position);
        // WAITING => EMPTY.
        let unused = slot.state.compare_exchange(WAITING, EMPTY, Relaxed, Relaxed).is_ok();
        if unused {
            // SAFETY: no sender has turned the slot, so the waker is this side's.
            unsafe { self.disarm() };
        }
        unused
    }

    /// # Safety
    /// The waker is there, and the receivers' side's.
    unsafe fn disarm(&self) {
        // SAFETY: the caller's duty.
        let unused = unsafe { (*self.wait.waker.get()).assume_init_read() };
        self.wait.armed.store(false, Relaxed);
        drop(unused);
    }

    /// The block of a position that is not before the head.
    fn block_of(&self, position: usize) -> &Block<T> {
        // SAFETY: from the head on, only the receivers' side gives blocks back, here and below.
        let mut block = unsafe { &*self.head.block.get() };
        while position - block.start.load(Relaxed) >= SLOTS {
            // SAFETY: as above.
            block = unsafe { &*self.next(block) };
        }
        block
    }
}
