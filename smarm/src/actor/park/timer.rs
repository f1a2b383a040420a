//! The time limit of a wait.

use std::time::{Duration, Instant};

use super::{Running, own_code};
use crate::timer::due::Due;
use crate::timer::{clock, wheel};

/// An entry in the wheel of the actor's worker, taken out when the wait ends however it ends.
pub(crate) struct Timer {
    actor: Running,
    key: Option<wheel::Key>,
}

impl Timer {
    pub(in crate::actor) fn new(actor: Running) -> Self {
        Self { actor, key: None }
    }

    /// Whether the deadline has passed; sets the timer the first time.
    #[inline(always)]
    pub(in crate::actor) fn is_over(&mut self, deadline: Option<Instant>) -> bool {
        match deadline {
            Some(deadline) if self.key.is_none() => !self.arm(deadline),
            Some(_) => self.has_fired(),
            None => false,
        }
    }

    /// Sets the timer. Gives `false` if the deadline has passed already.
    #[inline(never)]
    pub(super) fn arm(&mut self, deadline: Instant) -> bool {
        let (deadline, now) = (clock::nanos(deadline), self.actor.local.now());
        if deadline <= now {
            return false;
        }
        self.insert(deadline);
        true
    }

    /// As [`arm`](Self::arm), for so long from now on; where the clock does not reach that far, for ever.
    #[inline(never)]
    pub(super) fn arm_for(&mut self, timeout: Duration) -> bool {
        if timeout.is_zero() {
            return false;
        }
        let nanos = u64::try_from(timeout.as_nanos()).ok();
        if let Some(deadline) = nanos.and_then(|nanos| self.actor.local.now().checked_add(nanos)) {
            self.insert(deadline);
        }
        true
    }

    #[inline(always)]
    fn insert(&mut self, deadline: u64) {
        let _own_code = own_code();
        self.key = Some(self.actor.local.wheel.borrow_mut().insert(deadline, Due::Actor(self.actor.pid())));
    }

    pub(super) fn has_fired(&self) -> bool {
        self.key.as_ref().is_some_and(|key| self.actor.local.wheel.borrow().has_fired(key))
    }
}

impl Drop for Timer {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.actor.local.wheel.borrow_mut().forget(key);
        }
    }
}
