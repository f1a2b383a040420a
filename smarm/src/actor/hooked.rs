//! Where a slice of an actor begins and ends, the runtime's hooks are called.
//!
//! | | begins in | ends in |
//! |---|---|---|
//! | a slice that the worker gives | `Local::run`, on the worker's stack | `Local::successor`, on the actor's |
//! | one that another actor hands over | `Local::successor`, on that other actor's stack | as above |
//! | a poll of what a parked actor awaits | [`Local::poll_hooked`] | [`Local::poll_hooked`] |
//! | the last | as the others | `spawn::main` |
//!
//! On whichever stack a hook runs, this thread owns the actor, and the actor that runs is the one that the
//! hook is called for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use super::local::{Local, Place};
use super::park::own_code;
use super::slot::Slot;
use crate::hooks::{Hooks, Saved};

impl Local {
    /// Whether anybody wants to know where slices begin and end.
    #[inline(always)]
    pub(crate) fn hooked(&self) -> bool {
        self.hooks.is_some()
    }

    /// A slice of this actor begins. By its worker's thread, which owns the actor's stack.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin_slice(&self, actor: &'static Slot) {
        self.call_hook(actor, |hooks, saved| hooks.on_resume(saved));
    }

    /// A slice of this actor ends. As [`begin_slice`](Self::begin_slice).
    #[cold]
    #[inline(never)]
    pub(crate) fn end_slice(&self, actor: &'static Slot) {
        self.call_hook(actor, |hooks, saved| hooks.on_park(saved));
    }

    /// The last slice of this actor ends: drops what was saved.
    #[cold]
    #[inline(never)]
    pub(crate) fn end_last_slice(&self, actor: &'static Slot) {
        self.call_hook(actor, |hooks, saved| {
            hooks.on_park(saved);
            drop(saved.take());
        });
    }

    /// Polls the actor's errand, with hooks.
    ///
    /// # Safety
    /// This worker owns the actor's stack, and the actor has left an errand.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn poll_hooked(&self, actor: &'static Slot) -> Poll<()> {
        self.begin_slice(actor);
        // SAFETY: passed on.
        let polled = unsafe { self.poll_plainly(actor) };
        self.end_slice(actor); // while the actor is still this thread's
        polled
    }

    fn call_hook(&self, actor: &'static Slot, call: impl FnOnce(&dyn Hooks, &mut Saved)) {
        let Some(hooks) = self.hooks.as_deref() else { return };
        let place = self.place();
        self.set_place(Place::InContextHook);
        // A hook may allocate, and must not be left there.
        let own_code = own_code();
        // SAFETY: the caller owns the actor's stack, so its record is this thread's.
        let belongings = unsafe { &(*actor.record()).belongings };
        let mut saved = belongings.belongings().and_then(|known| known.saved.take());
        if catch_unwind(AssertUnwindSafe(|| call(hooks, &mut saved))).is_err() {
            eprintln!("smarm: a hook of actor {} panicked, which nothing can recover from", actor.pid());
            std::process::abort();
        }
        if saved.is_some() {
            belongings.make().saved.set(saved);
        }
        drop(own_code);
        self.set_place(place);
    }
}
