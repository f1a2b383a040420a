//! The queue of every channel but oneshot: a lock-free list of blocks, for many senders and one
//! receiver.
//!
//! | word | meaning |
//! |---|---|
//! | position | the number of a message, and the slot where it goes |
//! | claim | a sender's right and duty to fill one position |
//! | tail | the next position to claim, and two blocks to find it from |
//! | head | the position that the receiver reads next, and its block |
//! | vacated | of a block: full, and no sender will look for it |
//!
//! ```text
//!  oldest         head.block      tail.behind      tail.newest
//!    |                |                |                |
//!    v                v                v                v
//! [vacated] -> .. [F F F W] -> .. [F E F F] -> .. [F E E E] -> null       spare: [ ]
//!                        ^           ^               ^
//!                 head.position   claimed,      tail.position
//!                                 not yet filled
//! ```
//!
//! Sending:
//! 1. *Claim* a position: one addition to `tail.position`. If the receiver has closed the list, that
//!    is all, and the claim is void.
//! 2. *Find* the block: most often it is `tail.newest`. Else start there, or at `tail.behind` if
//!    others have moved `newest` past it, follow `next`, and append what is missing. Nobody waits for
//!    anybody who appends: all try, one succeeds. `newest` only moves on, to where senders are.
//! 3. Write the message. If the slot is the last of its block, append the next block and *vacate*: move
//!    `behind` on from blocks that have no slot left to fill, `newest` too if it is there, and note in
//!    each block left behind at which position that was.
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
//! **The waker** lies beside the head. The receiver writes it while `armed` is false; whoever turns
//! `WAITING` into something else owns it, moves it out, and only then sets `armed` to false.
//! A receiver that finds `armed` set without being `WAITING` has met a sender between these two
//! steps, which can only happen to a receiver that was not asleep; it asks to be polled again.
//!
//! **A block is found** from `tail.behind`, which never passes a slot that is not full: a sender's own
//! claim keeps it from passing the block that the sender looks for. `newest` keeps the walk short for
//! all others while a sender that was preempted holds `behind` back.
//!
//! **A block is given back** when `head.position` has reached `vacated_at`: a claim from there on was
//! made by an addition that came after the one with which `vacated_at` was read, so that it saw both of
//! the tail's pointers beyond the block; and a sender with a claim from before has filled its slot, as
//! the receiver has passed it, and a sender's last access to any block is to fill its slot. In short:
//! *from its claim to its fill, a sender may use every block that the tail's pointers lead it to.*
//!
//! **The end.** The last sender to leave claims a position too, and fills it with `END`. A receiver
//! that closes sets a flag in `tail.position`, so it knows which claims it must still expect.
//! When it leaves, it drops what is there and leaves `ABANDONED` where nothing is there yet: the
//! sender that fills such a slot has the message given back.
//!
//! Rejected: a separate waiting flag for the receiver (it needs sequential consistency, and senders of
//! later messages wake for nothing); `behind` alone (while one sender was preempted, all others walked
//! an ever longer list: 1,000 ns per message with four threads on two cores); the block's pointer and
//! the position updated together (then senders wait for the one who appends); hazard pointers and
//! epochs (the positions already tell who can be where).
//!
//! The list of blocks with a fetch-and-add per message follows C. Yang and J. Mellor-Crummey, *A
//! Wait-free Queue as Fast as Fetch-and-Add*, PPoPP 2016.

mod receiving;
mod watch;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::task::Waker;

pub(super) use watch::Watch;

use super::block::{Block, EMPTY, END, FULL, SLOTS, WAITING};
use crate::actor::park::rouse;
use crate::context::prefetch;
use crate::primitive::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitive::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use crate::primitive::{UnsafeCell, read_only};

/// In `Tail::position`: the receiver closed the list, and later claims are void.
const CLOSED: usize = 1;
/// In `Tail::position`: all senders are gone, and the last claim was for `END`.
const ENDED: usize = 1 << 1;
/// In `Tail::position`: one claim.
const CLAIM: usize = 1 << 2;

/// How many blocks one sender vacates at most.
const VACATE_AT_ONCE: usize = 8;

/// The senders' side.
#[repr(align(128))]
struct Tail<T> {
    /// The next position to claim, times `CLAIM`, and the flags.
    position: AtomicUsize,
    /// Where senders most often find their block. Only moves on.
    newest: AtomicPtr<Block<T>>,
    /// At or before the block of every claim that is not filled yet. Only moves on.
    behind: AtomicPtr<Block<T>>,
}

/// The receiver's side. Others only read `position` and `end`.
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
    /// See [`List::is_plain_to_receiver`].
    plain: bool,
}

/// The receiver's waker: the receiver's, or whose who has turned a slot from `WAITING`. On a cache line
/// that nobody writes while messages flow, so that senders can fetch it ahead at no cost.
#[repr(align(128))]
struct Wait {
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
    wait: Wait,
    /// A block for reuse, or null. Its contents are as good as new.
    spare: AtomicPtr<Block<T>>,
}

// SAFETY: messages are moved from senders to the receiver and never shared; the head's cells are only
// touched by the receiver (the duty of the callers of its unsafe functions).
unsafe impl<T: Send> Send for List<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for List<T> {}

impl<T> List<T> {
    /// A list; a plain one is a channel's that has no bound.
    pub(super) fn new(plain: bool) -> Self {
        let first = Block::allocate(0);
        List {
            tail: Tail {
                position: AtomicUsize::new(0),
                newest: AtomicPtr::new(first),
                behind: AtomicPtr::new(first),
            },
            head: Head {
                position: AtomicUsize::new(0),
                block: Cell::new(first),
                oldest: Cell::new(first),
                end: AtomicUsize::new(usize::MAX),
                plain,
            },
            wait: Wait { armed: AtomicBool::new(false), waker: UnsafeCell::new(MaybeUninit::uninit()) },
            spare: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Whether there is nothing beside the list to look at. On the cache line that the receiver touches anyway.
    #[inline(always)]
    pub(super) fn is_plain_to_receiver(&self) -> bool {
        self.head.plain
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
        // For `wake`, while the claim and the fill fetch their lines.
        prefetch(std::ptr::from_ref(&self.wait).cast());
        // Acquire: a claim from `vacated_at` on sees the tail's new blocks. Pairs with `vacate`.
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
            self.vacate(block);
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

    /// Whether no message can follow: the receiver has closed the list, or all senders are gone.
    pub(super) fn is_finished(&self) -> bool {
        self.tail.position.load(Relaxed) & (CLOSED | ENDED) != 0
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
        let waker = unsafe { (*read_only(&self.wait.waker)).assume_init_read() };
        // true => false. Release: the waker is moved out. Pairs with `register`.
        self.wait.armed.store(false, Release);
        // The receiver, which was asleep, touches this next.
        prefetch(std::ptr::from_ref(&self.head).cast());
        rouse(waker);
    }

    /// Step 2 of sending: the block of a claimed position.
    #[inline]
    fn find(&self, position: usize) -> &Block<T> {
        let start = position - position % SLOTS;
        // SAFETY: from its claim to its fill, a sender may use every block that the tail's pointers lead
        // it to (see the module's documentation), and the claim at `position` is not filled.
        let newest = unsafe { &*self.tail.newest.load(Acquire) };
        if newest.start.load(Relaxed) == start { newest } else { self.find_from(newest, start) }
    }

    #[cold]
    fn find_from<'a>(&'a self, newest: &'a Block<T>, start: usize) -> &'a Block<T> {
        let moves_on = newest.start.load(Relaxed) < start;
        // SAFETY: as in `find`, here and below.
        let mut block = if moves_on { newest } else { unsafe { &*self.tail.behind.load(Acquire) } };
        while block.start.load(Relaxed) != start {
            // SAFETY: as above.
            block = unsafe { &*self.next(block) };
        }
        if moves_on {
            let (from, to) = (ptr::from_ref(newest).cast_mut(), ptr::from_ref(block).cast_mut());
            // Earlier block => later block. Release: it is initialised. If this fails, another sender
            // has moved it on.
            let _ = self.tail.newest.compare_exchange(from, to, Release, Relaxed);
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
    fn vacate(&self, mine: &Block<T>) {
        // The receiver counts on it when it has read the last slot.
        self.next(mine);
        let first = self.tail.behind.load(Acquire);
        let mut end = first;
        // Some blocks at a time, so that no sender pays for a long stop of another.
        for _ in 0..VACATE_AT_ONCE {
            // SAFETY: as in `find`.
            let block = unsafe { &*end };
            let last = ptr::eq(block, mine);
            if !block.is_full(if last { SLOTS - 1 } else { SLOTS }) {
                break;
            }
            end = block.next.load(Acquire);
            if last {
                break;
            }
        }
        if end == first {
            return;
        }
        let mut newest = self.tail.newest.load(Acquire);
        // SAFETY: as in `find`.
        while unsafe { (*newest).start.load(Relaxed) < (*end).start.load(Relaxed) } {
            // Vacated block => `end`. Release: it is initialised.
            match self.tail.newest.compare_exchange(newest, end, Release, Acquire) {
                Ok(_) => break,
                Err(now) => newest = now,
            }
        }
        // `first` => `end`. Release: it is initialised.
        if self.tail.behind.compare_exchange(first, end, Release, Relaxed).is_err() {
            return; // Another sender is at it.
        }
        // An addition, not a load: later claims must see where the pointers are now. Pairs with
        // `claim`.
        let position = self.tail.position.fetch_add(0, AcqRel) / CLAIM;
        let mut vacated = first;
        while vacated != end {
            // SAFETY: as in `find`.
            let block = unsafe { &*vacated };
            vacated = block.next.load(Relaxed);
            // NEVER => position. Release: the last access. Pairs with `give_back_vacated`.
            block.vacated_at.store(position, Release);
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
        let spare = self.spare.load(Relaxed);
        if !spare.is_null() {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(spare) });
        }
    }
}
