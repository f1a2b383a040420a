//! The mark of a lock whose value may be half changed, because a holder's guard was dropped by an unwinding: a
//! panic, a kill, or a scope that is over.
//!
//! Who gets the right to change the value takes a [`Stake`], and ends it with the guard.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

/// Relaxed throughout: for a holder it is ordered by the lock itself.
pub(crate) struct Poison(AtomicBool);

/// Whether a holder was unwinding already when it got the lock, so that its drop says nothing about the value.
#[derive(Clone, Copy)]
pub(crate) struct Stake {
    unwinding: bool,
}

impl Stake {
    #[inline]
    pub(crate) fn new() -> Self {
        Stake { unwinding: thread::panicking() }
    }
}

impl Poison {
    pub(crate) const fn new() -> Self {
        Poison(AtomicBool::new(false))
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Relaxed);
    }

    /// A holder's guard is dropped, before it unlocks.
    #[inline]
    pub(crate) fn end(&self, stake: Stake) {
        if !stake.unwinding && thread::panicking() {
            self.set();
        }
    }
}
