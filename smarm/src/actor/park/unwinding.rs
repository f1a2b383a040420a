//! Waits of actors that unwind, and what unwinding says.

use std::any::Any;
use std::panic::resume_unwind;
use std::thread;

use super::{Kill, Parting, Running};
use crate::unwinding;

impl Running {
    /// Leaves the thread to others, who do not unwind for that.
    #[cold]
    pub(super) fn leave_while_panicking(self, parting: Parting) {
        let parked = &self.record().parked_unwinding;
        let own = unwinding::set_aside();
        parked.set(true);
        // SAFETY: as in `leave`.
        unsafe { self.local.leave(self.slot, parting) };
        parked.set(false);
        drop(own);
    }

    /// Whether an await goes on to its end, whatever comes: the actor unwinds. To be asked in a poll on its behalf,
    /// while it waits for that, or is parked with it as its errand.
    #[cold]
    pub(in crate::actor) fn awaits_to_the_end(self) -> bool {
        self.record().parked_unwinding.get() || thread::panicking()
    }

    /// Unwinds, unless the actor does so already.
    #[cold]
    pub(super) fn unwind(self) {
        if !thread::panicking() {
            resume_unwind(Box::new(Kill));
        }
    }
}

/// The text of a panic payload, if it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a payload that is no string"
    }
}
