//! The queue of every channel but oneshot: a lock-free list of blocks, for many senders and one
//! receiver.
//!
//! | word | meaning |
//! |---|---|
//! | position | the number of a message, and the slot where it goes |
//! | claim | a sender's right and duty to fill one position |
//! | tail | the next position to claim, and a block at or before it |
//! | head | the position that the receiver reads next, and its block |
//! | vacated | of a block: the tail has passed it |
//!
//! ```text
//!  oldest            head.block          tail.block
//!    |                   |                   |
//!    v                   v                   v
//! [vacated] -> ... -> [F F . W] -> ... -> [F E E E] -> null       spare: [ ]
//!                          ^                  ^
//!                     head.position      tail.position
//! ```
//!
//! Sending:
//! 1. *Claim* a position: one addition to `tail.position`. If the receiver has closed the list, that
//!    is all, and the claim is void.
//! 2. *Find* the block: start at `tail.block`, follow `next`, and append what is missing. Nobody
//!    waits for anybody who appends: all try, one succeeds.
//! 3. Write the message. If the slot is the last of its block, append the next block and *advance the
//!    tail*: while `tail.block` has no slot left to fill, move it on and note in the block left
//!    behind at which position that was.
//! 4. *Fill*: swap `FULL` into the slot. If it was `WAITING`, take the waker and wake the receiver.
//!
//! Receiving:
//! 1. If the slot at the head is `FULL`, take the message and move on. After the last slot of a block
//!    move on to the next one, which is there by step 3 above. Give blocks back that are vacated.
//! 2. Else write the waker and turn that very slot from `EMPTY` to `WAITING`. If that fails, it has
//!    just been filled: back to 1.
//!
//! **No wake is lost**, and no ordering between two locations is needed: the slot's state is the
//! only thing that the one who fills it and the one who waits for it have to agree on, and both
//! change it by read-modify-writes. A sender that has claimed and not filled yet (its thread was
//! preempted) makes the receiver wait for exactly that sender, which wakes it. Nobody spins.
//!
//! **The waker** lies in the head. The receiver writes it while `armed` is false; whoever turns
//! `WAITING` into something else owns it, moves it out, and only then sets `armed` to false.
//! A receiver that finds `armed` set without being `WAITING` has met a sender between these two
//! steps, which can only happen to a receiver that was not asleep; it asks to be polled again.
//!
//! **A block is found** from `tail.block`, which never passes a slot that is not full: a sender's own
//! claim keeps it from passing the block that the sender looks for. **A block is given back** when
//! `head.position` has reached `vacated_at`: a claim from there on was made by an addition that came
//! after the one with which `vacated_at` was read, so that it saw the new `tail.block`; and a sender
//! with a claim from before has filled its slot, as the receiver has passed it, and a sender's last
//! access to any block is to fill its slot.
//!
//! **The end.** The last sender to leave claims a position too, and fills it with `END`. A receiver
//! that closes sets a flag in `tail.position`, so it knows which claims it must still expect.
//! When it leaves, it drops what is there and leaves `ABANDONED` where nothing is there yet: the
//! sender that fills such a slot has the message given back.
//!
//! Rejected: a separate waiting flag for the receiver (it needs sequential consistency, and senders of
//! later messages wake for nothing); the block's pointer and the position in one word or updated
//! together (then senders wait for the one who appends); hazard pointers and epochs (the positions
//! already tell who can be where).
//!
//! The list of blocks with a fetch-and-add per message follows C. Yang and J. Mellor-Crummey, *A
//! Wait-free Queue as Fast as Fetch-and-Add*, PPoPP 2016.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use std::task::Waker;

use super::block::{ABANDONED, Block, EMPTY, END, FULL, SLOTS, Slot, WAITING};
use super::error::TryRecvError;

/// In `Tail::position`: the receiver closed the list, and later claims are void.
const CLOSED: usize = 1;
/// In `Tail::position`: all senders are gone, and the last claim was for `END`.
const ENDED: usize = 1 << 1;
/// In `Tail::position`: one claim.
const CLAIM: usize = 1 << 2;

/// The senders' side.
#[repr(align(128))]
struct Tail<T> {
    /// The next position to claim, times `CLAIM`, and the flags.
    position: AtomicUsize,
    /// At or before the block of every claim that is not filled yet.
    block: AtomicPtr<Block<T>>,
}

/// The receiver's side. Others only read `position` and `end`, and own the waker when they have
/// turned a slot from `WAITING`.
#[repr(align(128))]
struct Head<T> {
    /// The position to read next.
    position: AtomicUsize,
    /// The block of that position.
    block: Cell<*mut Block<T>>,
    /// The first block that was not given back.
    oldest: Cell<*mut Block<T>>,
    /// The first position that is void; `usize::MAX` while the list is open.
    end: AtomicUsize,
    /// Whether the waker is there.
    armed: AtomicBool,
    waker: UnsafeCell<MaybeUninit<Waker>>,
}

/// The right and the duty to fill one position: a receiver that gets there waits for it.
#[must_use = "the receiver waits for every claim to be filled"]
pub(super) struct Claim(usize);

pub(super) struct List<T> {
    tail: Tail<T>,
    head: Head<T>,
    /// A block for reuse, or null. Its contents are as good as new.
    spare: AtomicPtr<Block<T>>,
}

// SAFETY: messages are moved from senders to the receiver and never shared; the head's cells are only
// touched by the receiver (the duty of the callers of its unsafe functions).
unsafe impl<T: Send> Send for List<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for List<T> {}

impl<T> List<T> {
    pub(super) fn new() -> Self {
        let first = Block::allocate(0);
        List {
            tail: Tail { position: AtomicUsize::new(0), block: AtomicPtr::new(first) },
            head: Head {
                position: AtomicUsize::new(0),
                block: Cell::new(first),
                oldest: Cell::new(first),
                end: AtomicUsize::new(usize::MAX),
                armed: AtomicBool::new(false),
                waker: UnsafeCell::new(MaybeUninit::uninit()),
            },
            spare: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Sends a message; gives it back if the list is closed.
    #[inline]
    pub(super) fn push(&self, message: T) -> Result<(), T> {
        match self.claim() {
            Some(claim) => self.fill(claim, message),
            None => Err(message),
        }
    }

    /// Step 1 of sending; `None` if the list is closed.
    #[inline]
    pub(super) fn claim(&self) -> Option<Claim> {
        // Acquire: a claim from `vacated_at` on sees the tail's new block. Pairs with `advance_tail`.
        let position = self.tail.position.fetch_add(CLAIM, Acquire);
        (position & CLOSED == 0).then_some(Claim(position / CLAIM))
    }

    /// Steps 2 to 4 of sending; gives the message back if the receiver has left.
    #[inline]
    pub(super) fn fill(&self, Claim(position): Claim, message: T) -> Result<(), T> {
        let block = self.find(position);
        let slot = block.slot(position);
        // SAFETY: the claim makes this sender the only one to write the slot, once.
        unsafe { (*slot.message.get()).write(message) };
        if position % SLOTS == SLOTS - 1 {
            self.advance_tail(block);
        }
        // EMPTY | WAITING | ABANDONED => FULL. Release: the message is written. Acquire: the waker is.
        // Pairs with `pop`, `register` and `abandon`.
        match slot.state.swap(FULL, AcqRel) {
            EMPTY => Ok(()),
            WAITING => {
                // SAFETY: this was WAITING.
                unsafe { self.wake() };
                Ok(())
            }
            // SAFETY: the receiver has left without reading the slot, and gives back no block from
            // the first abandoned slot on.
            _ => Err(unsafe { (*slot.message.get()).assume_init_read() }),
        }
    }

    /// Tells the receiver that all senders are gone. Called once, by the last of them.
    pub(super) fn finish(&self) {
        let claim = |position| (position & CLOSED == 0).then_some((position + CLAIM) | ENDED);
        // As in `claim`.
        let Ok(position) = self.tail.position.fetch_update(Acquire, Relaxed, claim) else { return };
        let position = position / CLAIM;
        // EMPTY | WAITING | ABANDONED => END. Pairs with `pop` and `register`.
        if self.find(position).slot(position).state.swap(END, AcqRel) == WAITING {
            // SAFETY: this was WAITING.
            unsafe { self.wake() };
        }
    }

    /// Whether the receiver has closed the list.
    pub(super) fn is_closed(&self) -> bool {
        self.tail.position.load(Relaxed) & CLOSED != 0
    }

    /// How many messages are claimed and not received.
    pub(super) fn len(&self) -> usize {
        let head = self.head.position.load(Relaxed);
        let tail = self.tail.position.load(Relaxed);
        let end = (tail / CLAIM - usize::from(tail & ENDED != 0)).min(self.head.end.load(Relaxed));
        end.saturating_sub(head)
    }

    /// Wakes the receiver.
    ///
    /// # Safety
    /// The caller turned a slot from `WAITING` and has not called this for it.
    #[inline]
    unsafe fn wake(&self) {
        // SAFETY: the waker was written before the slot became WAITING, and the caller's swap made it
        // the only one to move it out.
        let waker = unsafe { (*self.head.waker.get()).assume_init_read() };
        // true => false. Release: the waker is moved out. Pairs with `register`.
        self.head.armed.store(false, Release);
        waker.wake();
    }

    /// Step 2 of sending: the block of a claimed position.
    #[inline]
    fn find(&self, position: usize) -> &Block<T> {
        let start = position - position % SLOTS;
        // SAFETY: the claim at `position` is not filled, so the tail's block is not given back.
        let block = unsafe { &*self.tail.block.load(Acquire) };
        if block.start.load(Relaxed) == start { block } else { self.find_after(block, start) }
    }

    #[cold]
    fn find_after<'a>(&'a self, mut block: &'a Block<T>, start: usize) -> &'a Block<T> {
        while block.start.load(Relaxed) != start {
            // SAFETY: as in `find`; blocks after the tail's are not given back either.
            block = unsafe { &*self.next(block) };
        }
        block
    }

    /// The block after this one, appended if need be.
    fn next(&self, block: &Block<T>) -> *mut Block<T> {
        let next = block.next.load(Acquire);
        if !next.is_null() {
            return next;
        }
        let start = block.start.load(Relaxed) + SLOTS;
        let spare = self.spare.swap(ptr::null_mut(), Acquire);
        let fresh = if spare.is_null() {
            Block::allocate(start)
        } else {
            // SAFETY: a block taken from `spare` is this sender's alone.
            unsafe { &*spare }.start.store(start, Relaxed);
            spare
        };
        // null => block. Release: it is initialised. Pairs with the loads of `next`.
        match block.next.compare_exchange(ptr::null_mut(), fresh, AcqRel, Acquire) {
            Ok(_) => fresh,
            Err(theirs) => {
                // SAFETY: nobody else has seen the block, and it is as good as new.
                unsafe { self.give_back(fresh) };
                theirs
            }
        }
    }

    /// Keeps a block for reuse, or frees it.
    ///
    /// # Safety
    /// Nobody else refers to the block, and it is as good as new.
    unsafe fn give_back(&self, block: *mut Block<T>) {
        // null => block. Release: it is as good as new. Pairs with the swap in `next`.
        if self.spare.compare_exchange(ptr::null_mut(), block, Release, Relaxed).is_err() {
            // SAFETY: the caller's duty; blocks come from Box.
            drop(unsafe { Box::from_raw(block) });
        }
    }

    /// Step 3 of sending, for the sender that holds the claim to the last slot of `mine` and has not
    /// filled it.
    #[cold]
    fn advance_tail(&self, mine: &Block<T>) {
        // The receiver counts on it when it has read the last slot.
        self.next(mine);
        let mut block = self.tail.block.load(Acquire);
        loop {
            // SAFETY: as in `find`.
            let passed = unsafe { &*block };
            let last = ptr::eq(passed, mine);
            if !passed.is_full(if last { SLOTS - 1 } else { SLOTS }) {
                return;
            }
            let next = passed.next.load(Acquire);
            // block => next. Release: `next` is initialised.
            if self.tail.block.compare_exchange(block, next, AcqRel, Relaxed).is_err() {
                return; // Another sender is at it.
            }
            // An addition, not a load: later claims must see the new block. Pairs with `claim`.
            let position = self.tail.position.fetch_add(0, AcqRel) / CLAIM;
            // NEVER => position. Release: the last access. Pairs with `give_back_vacated`.
            passed.vacated_at.store(position, Release);
            if last {
                return;
            }
            block = next;
        }
    }
}

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

    /// Step 1 of receiving.
    #[inline]
    pub(super) unsafe fn pop(&self) -> Result<T, TryRecvError> {
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
            // Pairs with the store in `advance_tail`.
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
    /// any waker of before. Gives `false` if it was filled meanwhile.
    #[inline]
    pub(super) unsafe fn register(&self, waker: &Waker) -> bool {
        // Pairs with the store in `wake`.
        if self.head.armed.load(Acquire) {
            // SAFETY: the caller's duty.
            if let Some(pending) = unsafe { self.register_again(waker) } {
                return pending;
            }
        }
        let fresh = waker.clone();
        let slot = self.head_slot();
        // SAFETY: not armed, and no slot is WAITING, so nobody else touches the waker.
        unsafe { (*self.head.waker.get()).write(fresh) };
        self.head.armed.store(true, Relaxed);
        // EMPTY => WAITING. Release: the waker is written. Pairs with the swap in `fill`.
        if slot.state.compare_exchange(EMPTY, WAITING, Release, Relaxed).is_ok() {
            return true;
        }
        // SAFETY: the slot did not become WAITING, so the waker is still the receiver's.
        let unused = unsafe { (*self.head.waker.get()).assume_init_read() };
        self.head.armed.store(false, Relaxed);
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
            if unsafe { (*self.head.waker.get()).assume_init_ref() }.will_wake(waker) {
                return Some(true);
            }
            // SAFETY: the caller's duty.
            unsafe { self.deregister() };
        }
        // As in `register`.
        if self.head.armed.load(Acquire) {
            waker.wake_by_ref();
            return Some(true);
        }
        None
    }

    /// Takes the registration back, unless it was used.
    pub(super) unsafe fn deregister(&self) {
        // WAITING => EMPTY.
        if self.head_slot().state.compare_exchange(WAITING, EMPTY, Relaxed, Relaxed).is_ok() {
            // SAFETY: the slot was WAITING and no sender has turned it, so the waker is the receiver's.
            let unused = unsafe { (*self.head.waker.get()).assume_init_read() };
            self.head.armed.store(false, Relaxed);
            drop(unused);
        }
    }

    /// Makes later claims void. What was claimed before can still be received.
    pub(super) unsafe fn close(&self) {
        let position = self.tail.position.fetch_or(CLOSED, AcqRel);
        if position & CLOSED == 0 {
            self.head.end.store(position / CLAIM, Relaxed);
        }
    }

    /// The receiver leaves: drops all messages, those that are still being sent with their senders.
    pub(super) unsafe fn abandon(&self) {
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

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        // All messages went with the receiver, so only the blocks are left.
        let mut block = self.head.oldest.get();
        while !block.is_null() {
            // SAFETY: nobody else refers to the list, and each block is linked once.
            let freed = unsafe { Box::from_raw(block) };
            block = freed.next.load(Relaxed);
        }
        let spare = *self.spare.get_mut();
        if !spare.is_null() {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(spare) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Counted, Wakes};
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_receiver_waits_for_the_sender_that_claimed_first_and_is_woken_by_it_alone() {
        let (list, wakes) = (List::new(), Wakes::new());
        let slow = list.claim().unwrap();
        list.push("second").unwrap();
        // SAFETY: this test is the receiver.
        unsafe {
            assert_eq!(list.pop(), Err(TryRecvError::Empty));
            assert!(list.register(&wakes.waker()));
            list.push("third").unwrap();
            assert_eq!((list.pop(), wakes.count()), (Err(TryRecvError::Empty), 0));
            list.fill(slow, "first").unwrap();
            assert_eq!(wakes.count(), 1);
            assert_eq!([list.pop(), list.pop(), list.pop()], [Ok("first"), Ok("second"), Ok("third")]);
            list.abandon();
        }
    }

    #[test]
    fn a_sender_that_the_receiver_did_not_wait_for_keeps_its_message() {
        for before in [0, 30, 31, 32, 70] {
            let (list, counted) = (List::new(), Counted::new());
            for _ in 0..before {
                list.push(counted.token()).unwrap();
            }
            let (first, last) = (list.claim().unwrap(), list.claim().unwrap());
            list.push(counted.token()).unwrap();
            // SAFETY: this test is the receiver.
            unsafe { list.abandon() };
            assert_eq!(counted.alive(), 0);
            for claim in [last, first] {
                drop(list.fill(claim, counted.token()).unwrap_err());
            }
            assert!(list.push(counted.token()).is_err());
            assert_eq!(counted.alive(), 0);
        }
    }

    #[test]
    fn two_blocks_serve_any_number_of_messages() {
        let list = List::new();
        let mut blocks = HashSet::new();
        for n in 0..10_000 {
            list.push(n).unwrap();
            blocks.insert(list.head.block.get());
            // SAFETY: this test is the receiver.
            assert_eq!(unsafe { list.pop() }, Ok(n));
        }
        assert_eq!(blocks.len(), 2);
    }

    #[test]
    fn a_slow_sender_keeps_its_block_while_others_fill_those_after_it() {
        let list = List::new();
        let slow = list.claim().unwrap();
        for n in 1..200 {
            list.push(n).unwrap();
        }
        list.fill(slow, 0).unwrap();
        for n in 200..300 {
            list.push(n).unwrap();
        }
        for n in 0..300 {
            // SAFETY: this test is the receiver.
            assert_eq!(unsafe { list.pop() }, Ok(n));
        }
        // All but the block in use, and perhaps the one before, were given back.
        let (oldest, current) = (list.head.oldest.get(), list.head.block.get());
        // SAFETY: blocks between the oldest and the current one are in the list.
        assert!(oldest == current || unsafe { (*oldest).next.load(Relaxed) } == current);
    }

    #[test]
    fn a_receiver_that_meets_a_sender_taking_the_waker_asks_to_be_polled_again() {
        let (list, wakes) = (List::<()>::new(), Wakes::new());
        list.head.armed.store(true, Relaxed);
        // SAFETY: this test is the receiver, and `armed` stands for a sender that takes the waker.
        unsafe {
            assert!(list.register(&wakes.waker()));
            assert_eq!(wakes.count(), 1);
            list.head.armed.store(false, Relaxed);
            assert!(list.register(&wakes.waker()));
            assert_eq!(wakes.count(), 1);
            list.abandon();
        }
    }
}
