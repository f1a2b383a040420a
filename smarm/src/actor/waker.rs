//! An actor's `Waker` is its pid.
//!
//! The data pointer of the `RawWaker` is the packed pid: cloning copies it, dropping does nothing,
//! and waking looks up the slot and compares the generation. A waker that outlives its actor does
//! nothing for ever, because slots are never unmapped and no pid comes twice.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::local;
use crate::pid::Pid;

const _: () = assert!(size_of::<*const ()>() == size_of::<u64>());

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, |_| {});

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    local::wake(Pid::from_bits(data.addr() as u64));
}

/// Whether the waker is an actor's.
#[inline(always)]
pub(super) fn is_pid(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &VTABLE)
}

/// The actor's pid, if the waker is one's.
#[inline(always)]
pub(super) fn pid_of(waker: &Waker) -> Option<Pid> {
    is_pid(waker).then(|| Pid::from_bits(waker.data().addr() as u64))
}

/// Wakes the actor whose waker this is, without a look into the table.
#[inline(always)]
pub(super) fn wake_pid(waker: &Waker) {
    wake(waker.data());
}

/// A waker that is known to need no drop.
pub(crate) struct PidWaker(ManuallyDrop<Waker>);

impl PidWaker {
    /// A clone, without a call.
    #[inline(always)]
    pub(crate) fn copy(&self) -> Waker {
        // SAFETY: `clone` in the table copies the same two words.
        unsafe { Waker::new(self.0.data(), &VTABLE) }
    }
}

impl Deref for PidWaker {
    type Target = Waker;
    #[inline(always)]
    fn deref(&self) -> &Waker {
        &self.0
    }
}

/// The waker of the actor with this pid.
#[inline(always)]
pub(crate) fn waker(pid: Pid) -> PidWaker {
    let data = std::ptr::without_provenance(pid.bits() as usize);
    // SAFETY: the functions of the table own nothing and are safe to call from any thread, at any
    // time, with any pid that was ever given out.
    PidWaker(ManuallyDrop::new(unsafe { Waker::new(data, &VTABLE) }))
}
