//! Waking whoever waits, without ever unwinding.
//!
//! Who waits in async code or on a plain thread has a waker of somebody else's, and that may panic. A wake is often
//! one of several that are owed, or comes before the return of a message, or is made by a worker on its own
//! stack; so all of smarm's own wakes go through here, and a panic in one goes no further than the panic hook.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::actor::waker;

/// Wakes whoever this is. Does not unwind.
#[inline(always)]
pub(crate) fn rouse(waker: Waker) {
    if waker::is_pid(&waker) { waker::wake_pid(&waker) } else { rouse_other(waker) }
}

/// As [`rouse`], and leaves the waker to its owner.
#[inline(always)]
pub(crate) fn rouse_by_ref(waker: &Waker) {
    if waker::is_pid(waker) { waker::wake_pid(waker) } else { rouse_other_by_ref(waker) }
}

#[inline(never)]
fn rouse_other(waker: Waker) {
    contain(|| waker.wake());
}

#[inline(never)]
fn rouse_other_by_ref(waker: &Waker) {
    contain(|| waker.wake_by_ref());
}

#[inline(always)]
fn contain(wake: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(wake)) {
        mem::forget(payload); // its own destructor might panic, too
    }
}
