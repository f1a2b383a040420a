//! Fetching ahead: with very many actors in turn, the slot and the stack of each are cold.

use std::collections::VecDeque;
use std::ops::Range;

use crate::actor::ring::Ring;
use crate::actor::slot::{Slot, slot};
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
            unsafe { prefetch_lines(slot, RESUMED) };
        }
    }
}

/// Of a stack that is not touched for long, the lines from and to which more is fetched, from where it points on: one
/// translation is looked up for all. Of an actor that goes on: what it calls then, and the frames that it returns to.
const RESUMED: Range<isize> = -1..5;
/// Of a new one: its first frames, its closure, and the half of its record that says what to call.
const BEGINNING: Range<isize> = -3..3;

/// # Safety
/// As for [`prefetch_frames`].
#[inline(always)]
unsafe fn prefetch_lines(actor: &Slot, lines: Range<isize>) {
    // SAFETY: by the caller this thread owns the stack.
    let sp = unsafe { (*actor.context.get()).stack_pointer() };
    for line in lines {
        prefetch(std::ptr::with_exposed_provenance(sp.wrapping_add_signed(line * 64)));
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

/// As [`prefetch_ahead`], of the new actors of a single worker, of which the last comes first. Between their spawns and
/// their beginnings, all of them were written.
#[inline(always)]
pub(crate) fn prefetch_new(new: &VecDeque<u32>) {
    if new.len().is_multiple_of(AT_ONCE) && new.len() > FAR + AT_ONCE {
        prefetch_some_new(new);
    }
}

#[inline(never)]
fn prefetch_some_new(new: &VecDeque<u32>) {
    let last = new.len() - 1;
    for place in 0..AT_ONCE {
        prefetch(std::ptr::from_ref(slot(new[last - FAR - place])).cast());
    }
    for place in 0..AT_ONCE {
        // SAFETY: the actor is new, and in this worker's queue, from which nobody else takes any.
        unsafe { prefetch_lines(slot(new[last - NEAR - place]), BEGINNING) };
    }
}
