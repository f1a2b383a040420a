//! Which actors unwind. `thread::panicking` counts panics of the thread, on which several actors may be in the middle
//! of one, each parked in a destructor.

use std::any::Any;
use std::panic::resume_unwind;
use std::thread;

use super::{Kill, Parting, Running};

impl Running {
    /// An actor that parks while it unwinds makes `thread::panicking` true for its neighbours: the
    /// worker counts such actors.
    #[cold]
    pub(super) fn leave_while_panicking(self, parting: Parting) {
        let (parked, era) = (&self.local.parked_unwinding, &self.local.era);
        let own = u32::from(is_unwinding());
        if own > 0 && parked.get() == 0 {
            era.set(era.get().wrapping_add(1).max(1));
        }
        parked.set(parked.get() + own);
        if own > 0 {
            self.record().panicked.set(era.get());
        }
        // SAFETY: as in `leave`.
        unsafe { self.local.leave(self.slot, parting) };
        parked.set(parked.get() - own); // until now the era stayed the same
    }

    /// As [`park_with`](Self::park_with). While the actor unwinds, a kill that comes later does not end the await
    /// either.
    #[cold]
    pub(super) fn park_while_panicking(self) {
        if is_unwinding() {
            self.park_regardless();
        } else {
            self.leave_while_panicking(Parting::Park);
        }
    }

    /// Whether an await goes on to its end, whatever comes: the actor unwinds. To be asked in a poll on its behalf,
    /// while it waits for that, or is parked with it as its errand.
    #[cold]
    pub(in crate::actor) fn awaits_to_the_end(self) -> bool {
        let local = self.local;
        let begun_lately =
            local.parked_unwinding.get() > 0 && self.record().panicked.get() == local.era.get();
        // One that is parked while it unwinds counts as having begun in the era in which it parked; what the thread's
        // panic count says is not about it.
        let parked = !self.slot.errand.get().is_null();
        begun_lately || !parked && thread::panicking() && local.parked_unwinding.get() == 0
    }

    /// Unwinds, unless the actor does so already.
    #[cold]
    pub(super) fn unwind(self) {
        if !is_unwinding() {
            resume_panic(Box::new(Kill));
        }
    }
}

/// Unwinds with this payload, without the panic hook. All of smarm's own unwinding goes this way,
/// because [`is_unwinding`] must know of it.
pub(crate) fn resume_panic(payload: Box<dyn Any + Send>) -> ! {
    if let Some(actor) = Running::current() {
        actor.record().panicked.set(actor.local.era.get());
    }
    resume_unwind(payload)
}

/// What the record of the running actor says about the beginning of an unwinding, to be restored by who has
/// ended one.
pub(crate) fn unwinding_mark() -> u32 {
    Running::current().map_or(0, |actor| actor.record().panicked.get())
}

/// See [`unwinding_mark`].
pub(crate) fn restore_unwinding_mark(mark: u32) {
    if let Some(actor) = Running::current() {
        actor.record().panicked.set(mark);
    }
}

/// Whether the caller unwinds. Unlike `thread::panicking` it is not misled by a neighbour on the
/// same worker that is parked while it unwinds.
pub(crate) fn is_unwinding() -> bool {
    if !thread::panicking() {
        return false;
    }
    match Running::current() {
        // While a neighbour is parked so, the thread's panic count says nothing about this actor;
        // then it unwinds if an unwinding was seen to begin on it meanwhile.
        Some(actor) if actor.local.parked_unwinding.get() > 0 => {
            actor.record().panicked.get() == actor.local.era.get()
        }
        _ => true,
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
