//! The switch between a worker's stack and those of its actors.
//!
//! # Hand-over
//! An actor that yields or parks while another one is queued switches straight to that one, which
//! is one switch instead of two. What it wants done it does itself, as the last act before the switch
//! ([`Local::successor`]): from there on nothing runs on this thread until its context is saved, and no other
//! thread acts on an actor that is parked or queued here, so the rule holds. The worker comes back when a
//! batch is over, when new actors have their turn, when the next actor waits in a poll, and when nothing is
//! queued.
//!
//! Rejected: the one that comes does it, on its own stack; each resumption had to look for it, with a call on a
//! stack that may be cold.

use std::ffi::c_void;
use std::task::Poll;

use super::{Local, Parting, Place};
use crate::actor::native::Errand;
use crate::actor::seat::Commit;
use crate::actor::slot::Slot;
use crate::chaos::{self, Kind};
use crate::context::{self, Context};

impl Local {
    /// Runs actors, beginning with this one, until the worker has to come back. Gives the last one
    /// if it has ended.
    ///
    /// # Safety
    /// The caller is this worker on its own stack, and owns the actor's stack.
    #[inline(always)]
    pub(crate) unsafe fn resume(&self, actor: &'static Slot) -> Option<&'static Slot> {
        let mut ended = None;
        // SAFETY: passed on.
        if actor.errand.get().is_null() || unsafe { self.poll(actor) } {
            // SAFETY: passed on.
            ended = unsafe { self.run(actor) };
        }
        self.place.set(Place::Worker);
        ended
    }

    /// As [`resume`](Self::resume), with nothing to poll first.
    #[inline(always)]
    unsafe fn run(&self, actor: &'static Slot) -> Option<&'static Slot> {
        if self.hooked() {
            self.begin_slice(actor);
        }
        self.place.set(Place::Actor);
        // SAFETY: the worker's context is this thread's alone; the actor's is valid because the
        // caller owns its stack, and its flow was suspended on this thread or has not started.
        unsafe { context::switch(self.worker.get(), actor.context.get()) };
        // Whoever leaves for the worker, it is the running one.
        let Some(actor) = self.home.pulse.running() else { unreachable!("no actor came back") };
        match self.parting.get() {
            Parting::End => {
                // SAFETY: the actor's flow has ended, and the context is this thread's.
                unsafe { (*actor.context.get()).retire() };
                Some(actor)
            }
            parting => {
                if parting == Parting::Yield {
                    self.gave_way_to_new.set(self.expects_new.get() && !self.has_queued());
                }
                self.part(actor, parting);
                None
            }
        }
    }

    /// Does what an actor wants done that has yielded or parked, and is off its stack, or as good as that.
    #[inline(always)]
    fn part(&self, actor: &'static Slot, parting: Parting) {
        if parting == Parting::Yield {
            self.queue(actor);
        } else {
            self.commit(actor);
        }
    }

    #[inline(always)]
    fn commit(&self, actor: &'static Slot) {
        if chaos::on() || actor.state.load().killed() || !actor.seat.park() {
            self.commit_with_care(actor);
        }
    }

    /// As [`commit`](Self::commit), of an actor that was woken or killed.
    #[inline(never)]
    fn commit_with_care(&self, actor: &'static Slot) {
        // SAFETY: the actor is this worker's and not parked yet, so its record is this thread's.
        let ignores_kill = || unsafe { (*actor.record()).ignores_kill.get() };
        match actor.seat.commit(actor.state.load().killed() && !ignores_kill()) {
            Commit::Parked if chaos::strikes(Kind::Wakes) => chaos::threaten(actor.pid(), self.tick()),
            Commit::Parked => {}
            // Behind the others: an actor that wakes itself must not keep them from running.
            Commit::Refused => self.queue(actor),
        }
    }

    /// Polls what the actor waits for. Says whether to resume it now; if not, it is parked.
    ///
    /// # Safety
    /// This worker owns the actor's stack, and the actor has left an errand.
    #[inline(always)]
    unsafe fn poll(&self, actor: &'static Slot) -> bool {
        // SAFETY: passed on.
        let mut polled = unsafe { self.poll_errand(actor) };
        if chaos::strikes(Kind::Polls) && polled.is_pending() {
            // SAFETY: passed on.
            polled = unsafe { self.poll_errand(actor) };
        }
        if polled.is_ready() {
            actor.errand.set(std::ptr::null_mut());
            return true;
        }
        self.mind_budget();
        self.commit(actor);
        false
    }

    /// # Safety
    /// As for [`poll`](Self::poll).
    #[inline(always)]
    unsafe fn poll_errand(&self, actor: &'static Slot) -> Poll<()> {
        // SAFETY: passed on.
        unsafe { if self.hooked() { self.poll_hooked(actor) } else { self.poll_plainly(actor) } }
    }

    /// Polls the actor's errand, without hooks.
    ///
    /// # Safety
    /// As for [`poll`](Self::poll).
    #[inline(always)]
    pub(in crate::actor) unsafe fn poll_plainly(&self, actor: &'static Slot) -> Poll<()> {
        self.place.set(Place::InPoll);
        // SAFETY: the errand stands on the stack of the actor, which is suspended in
        // `native::await_natively`, and does not unwind.
        let polled = unsafe { Errand::poll(actor.errand.get()) };
        self.place.set(Place::Worker);
        polled
    }

    /// Leaves the running actor's stack for the worker's, for ever. Inline, as the return predictor
    /// must not wait for a return that never comes.
    ///
    /// # Safety
    /// `actor` is the running actor, on its own stack, which holds nothing more.
    #[inline(always)]
    pub(crate) unsafe fn end(&self, actor: &'static Slot) {
        self.parting.set(Parting::End);
        // SAFETY: the worker is suspended in `run`, on this thread; the actor owns its own context.
        unsafe { context::switch_for_ever(actor.context.get(), self.worker.get()) };
    }

    /// Leaves the running actor's stack for the next actor's or the worker's; comes back when the
    /// actor is resumed.
    ///
    /// The switch is inlined into whoever waits: each frame between it and the code that goes on is one
    /// that the return predictor guesses wrong, once here and once in the worker.
    ///
    /// # Safety
    /// `actor` is the running actor, on its own stack.
    #[inline(always)]
    pub(crate) unsafe fn leave(&self, actor: &'static Slot, parting: Parting) {
        let to = self.successor(actor, parting);
        // SAFETY: the worker is suspended in `run`, on this thread; the actor owns its own context,
        // and an heir comes from the queue, so this thread owns its stack.
        unsafe { context::switch(actor.context.get(), to) };
    }

    /// As [`leave`](Self::leave), to park, by an actor whose future was pending, so that the host's budget is to be
    /// minded: if nobody is queued, that is the worker's matter.
    ///
    /// # Safety
    /// As for [`leave`](Self::leave).
    #[inline(always)]
    pub(crate) unsafe fn leave_pending(&self, actor: &'static Slot) {
        debug_assert!(self.own_code.get() == 0 && self.mind_budget.get());
        let to = if self.hooked() || self.has_queued() {
            self.successor(actor, Parting::Park)
        } else {
            self.to_worker(Parting::Park)
        };
        // SAFETY: as in `leave`.
        unsafe { context::switch(actor.context.get(), to) };
    }

    /// Where an actor that leaves goes on: with the next actor, after what the leaving one wants done was done,
    /// or with the worker, which does that.
    ///
    /// The caller switches there at once.
    #[inline(never)]
    fn successor(&self, leaver: &'static Slot, parting: Parting) -> *const Context {
        debug_assert!(self.own_code.get() == 0 && parting != Parting::End);
        if self.hooked() || self.mind_budget.get() {
            return self.successor_with_care(leaver, parting);
        }
        match self.heir() {
            Some(heir) => {
                self.part(leaver, parting);
                heir.context.get()
            }
            None => self.to_worker(parting),
        }
    }

    /// As [`successor`](Self::successor), if there are hooks, or the host's budget may be spent. Apart, as what it
    /// calls would cost the other one registers.
    #[cold]
    #[inline(never)]
    fn successor_with_care(&self, leaver: &'static Slot, parting: Parting) -> *const Context {
        if self.hooked() {
            self.end_slice(leaver);
        }
        if self.mind_budget.get() && (!self.has_queued() || self.ask_for_budget()) {
            return self.to_worker(parting);
        }
        match self.heir() {
            Some(heir) => {
                if self.hooked() {
                    self.begin_slice(heir);
                }
                self.part(leaver, parting); // after the hook, which may wake the leaver
                heir.context.get()
            }
            None => self.to_worker(parting),
        }
    }

    #[inline(always)]
    fn to_worker(&self, parting: Parting) -> *const Context {
        self.parting.set(parting);
        self.worker.get()
    }

    /// Calls `function(argument)` on the worker's stack, on behalf of the running actor.
    ///
    /// # Safety
    /// The caller is the running actor, on its own stack. The function does not unwind.
    #[inline(always)]
    pub(crate) unsafe fn call(
        &self,
        place: Place,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    ) {
        self.place.set(place);
        // SAFETY: while an actor runs, the worker is suspended in `run`, on this thread. The function
        // cannot leave this stack, because `place` says that it is not on the actor's.
        unsafe { context::call_on(&*self.worker.get(), function, argument) };
        self.place.set(Place::Actor);
    }
}
