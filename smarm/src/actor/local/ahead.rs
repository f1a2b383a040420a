//! Fetching ahead: with very many actors in turn, the slot and the stack of each are cold.

use crate::actor::ring::Ring;
use crate::actor::slot::Slot;
use crate::context::prefetch;

/// The slots of the actors from this many places ahead on are fetched, ...
const FAR: usize = 32;
/// ... and the tops of the stacks of those from this many places ahead on, ...
const NEAR: usize = 16;
/// ... for so many actors at a time. A fetch waits for the translation of its address, and every stack has one
/// of its own: those of several stacks are looked up side by side.
const AT_ONCE: usize = 8;

/// Fetches what the actors that come next will touch: with many, each is cold.
#[inline(always)]
pub(super) fn prefetch_ahead(ring: &Ring) {
    if ring.taken().is_multiple_of(AT_ONCE) && ring.len() > FAR + AT_ONCE {
        prefetch_some(ring);
    }
}

#[inline(never)]
fn prefetch_some(ring: &Ring) {
    for place in 0..AT_ONCE {
        if let Some(slot) = ring.peek(FAR + place) {
            prefetch(std::ptr::from_ref(slot).cast());
        }
    }
    for place in 0..AT_ONCE {
        if let Some(slot) = ring.peek(NEAR + place) {
            // SAFETY: the actor is in this worker's queue.
            unsafe { prefetch_frames(slot) };
        }
    }
}

/// Fetches what an actor touches first when it goes on.
///
/// # Safety
/// It is this thread's, and suspended.
#[inline(always)]
pub(super) unsafe fn prefetch_frames(actor: &'static Slot) {
    // SAFETY: by the above this thread owns the stack.
    let sp = unsafe { (*actor.context.get()).stack_pointer() };
    prefetch(std::ptr::with_exposed_provenance(sp));
    prefetch(std::ptr::with_exposed_provenance(sp + 64));
}

/// As [`prefetch_ahead`] for an actor that is woken together with some others, too few of them for that.
///
/// # Safety
/// As for [`prefetch_frames`].
#[inline(always)]
pub(super) unsafe fn prefetch_woken(ring: &Ring, actor: &'static Slot) {
    if ring.len() <= FAR + AT_ONCE {
        // SAFETY: passed on.
        unsafe { prefetch_frames(actor) };
    }
}
