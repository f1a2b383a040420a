//! A block of the list: slots for 32 messages, and what is needed to find and to reuse it.
//!
//! | state of a slot | message | to |
//! |---|---|---|
//! | `EMPTY` | being written, or not yet | `WAITING` by the receiver, `FULL` by the slot's sender |
//! | `WAITING` | as above; who fills the slot owes the receiver a wake | `EMPTY` by the receiver, `FULL` |
//! | `FULL` | written, the receiver's | stays until the block is reused |
//! | `END` | none: all senders are gone, this slot is the last | |
//! | `ABANDONED` | the receiver is gone: who fills the slot keeps the message | `FULL` |

use std::mem::MaybeUninit;
use std::ptr;

use crate::primitive::UnsafeCell;
use crate::primitive::atomic::Ordering::{Acquire, Relaxed};
use crate::primitive::atomic::{AtomicPtr, AtomicU8, AtomicUsize};

/// Slots per block. Few in models, so that they get to the next block soon.
pub(super) const SLOTS: usize = if cfg!(all(test, smarm_loom)) { 2 } else { 32 };

/// Nothing is written yet.
pub(super) const EMPTY: u8 = 0;
/// Nothing is written yet, and the receiver waits for it.
pub(super) const WAITING: u8 = 1;
/// The message is written.
pub(super) const FULL: u8 = 2;
/// There is no message, and none follows.
pub(super) const END: u8 = 3;
/// Nothing is written yet, and nobody will read it.
pub(super) const ABANDONED: u8 = 4;

/// `vacated_at` of a block that senders may still have to find.
const NEVER: usize = usize::MAX;

pub(super) struct Slot<T> {
    pub(super) state: AtomicU8,
    /// Written by the one sender that claimed the slot, before it sets `FULL`; read once, by the
    /// receiver after that, or by the sender itself if it found the slot abandoned.
    pub(super) message: UnsafeCell<MaybeUninit<T>>,
}

pub(super) struct Block<T> {
    /// The position of the first slot; changed only while the block is in nobody's list.
    pub(super) start: AtomicUsize,
    /// The block that follows, null until a sender needs it.
    pub(super) next: AtomicPtr<Block<T>>,
    /// No sender with a claim from this position on can reach the block.
    pub(super) vacated_at: AtomicUsize,
    slots: [Slot<T>; SLOTS],
}

impl<T> Block<T> {
    pub(super) fn allocate(start: usize) -> *mut Block<T> {
        let block = Box::into_raw(Box::<Block<T>>::new_uninit()).cast::<Block<T>>();
        // In place: a block of large messages has no room on an actor's stack.
        // SAFETY: the memory is fresh; a slot's message needs no initialisation.
        unsafe {
            (&raw mut (*block).start).write(AtomicUsize::new(start));
            (&raw mut (*block).next).write(AtomicPtr::new(ptr::null_mut()));
            (&raw mut (*block).vacated_at).write(AtomicUsize::new(NEVER));
            for slot in 0..SLOTS {
                (&raw mut (*block).slots[slot].state).write(AtomicU8::new(EMPTY));
                #[cfg(all(test, smarm_loom))] // loom's cells have more than the message in them
                (&raw mut (*block).slots[slot].message).write(UnsafeCell::new(MaybeUninit::uninit()));
            }
        }
        block
    }

    /// Makes a block that nobody else refers to as good as new, but for its start.
    pub(super) fn reset(&self) {
        self.next.store(ptr::null_mut(), Relaxed);
        self.vacated_at.store(NEVER, Relaxed);
        for slot in &self.slots {
            slot.state.store(EMPTY, Relaxed);
        }
    }

    /// The slot of a position that lies in this block.
    pub(super) fn slot(&self, position: usize) -> &Slot<T> {
        &self.slots[position % SLOTS]
    }

    /// Whether the first `count` slots are full.
    pub(super) fn is_full(&self, count: usize) -> bool {
        self.slots[..count].iter().all(|slot| slot.state.load(Acquire) == FULL)
    }
}
