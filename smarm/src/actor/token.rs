//! One token per actor, as std has one per thread: what `unpark` leaves for the next `park`.
//!
//! | the actor's word | generation *g* of its slot |
//! |---|---|
//! | below 2*g* + 1 | has no token |
//! | 2*g* + 1 | has one |
//!
//! 1. [`give`] raises the word to 2*g* + 1, then wakes the actor.
//! 2. [`take`] lowers it from 2*g* + 1 to 2*g*.
//!
//! No token is lost: an actor looks for it after each wake-up and before it parks. A late token for an actor
//! that has ended is lower than what the word means to its successor, so it neither gives one to that nor
//! takes one away.
//!
//! The words stand apart from the slots, which are as small as a switch wants them, in chunks that are made
//! when an actor of theirs is first given a token. Like slots, they stay for ever.

use std::array;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::local;
use crate::pid::{INDEX_BITS, Pid};

const CHUNK_BITS: u32 = 10;

/// The words of so many slots in a row.
struct Chunk([AtomicU64; 1 << CHUNK_BITS]);

/// Null where no actor was given a token. Pages of it become resident as they are touched.
static CHUNKS: [AtomicPtr<Chunk>; 1 << (INDEX_BITS - CHUNK_BITS)] =
    [const { AtomicPtr::new(ptr::null_mut()) }; 1 << (INDEX_BITS - CHUNK_BITS)];

/// Gives the actor its token, unless it has one, and wakes it. One that has ended does not mind.
pub(crate) fn give(pid: Pid) {
    raise(pid);
    local::wake(pid);
}

fn raise(pid: Pid) {
    let place = &CHUNKS[(pid.index() >> CHUNK_BITS) as usize];
    let mut chunk = place.load(Acquire);
    if chunk.is_null() {
        let made = Box::into_raw(Box::new(Chunk(array::from_fn(|_| AtomicU64::new(0)))));
        chunk = match place.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire) {
            Ok(_) => made,
            Err(theirs) => {
                // SAFETY: it was made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                theirs
            }
        };
    }
    // SAFETY: a chunk that was published is never freed.
    let word = unsafe { word(chunk, pid) };
    // below => 2g + 1. Release: what the giver did before is seen by whoever takes it.
    word.fetch_max(pid.generation() << 1 | 1, AcqRel);
}

/// Takes the actor's token, if it has one.
pub(crate) fn take(pid: Pid) -> bool {
    let chunk = CHUNKS[(pid.index() >> CHUNK_BITS) as usize].load(Acquire);
    if chunk.is_null() {
        return false;
    }
    // SAFETY: a chunk that was published is never freed.
    let word = unsafe { word(chunk, pid) };
    let none = pid.generation() << 1;
    // 2g + 1 => 2g. Pairs with the maximum in `give`.
    word.load(Relaxed) == none | 1 && word.compare_exchange(none | 1, none, AcqRel, Relaxed).is_ok()
}

/// # Safety
/// The chunk is valid for ever.
unsafe fn word(chunk: *mut Chunk, pid: Pid) -> &'static AtomicU64 {
    // SAFETY: passed on.
    unsafe { &(&(*chunk).0)[pid.index() as usize % (1 << CHUNK_BITS)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beyond what the tests of this process use as slots.
    const SLOT: u32 = (1 << INDEX_BITS) - 7;

    #[test]
    fn a_token_is_taken_once_however_often_it_was_given() {
        let pid = Pid::new(SLOT, 3);
        assert!(!take(pid));
        for _ in 0..2 {
            raise(pid);
        }
        assert!(take(pid));
        assert!(!take(pid));
    }

    #[test]
    fn a_late_token_for_an_actor_before_is_not_the_successors_and_takes_none_away() {
        let (before, now) = (Pid::new(SLOT + 1, 8), Pid::new(SLOT + 1, 9));
        raise(before);
        assert!(!take(now));
        raise(now);
        raise(before);
        assert!(take(now));
    }
}
