//! New actors: where spawns put them, in which order the worker takes them, and how they are evened out between
//! workers.

use super::Core;
use crate::actor::local::{self, NEW_EVERY, OLDEST_EVERY, Place};
use crate::actor::park::own_code;
use crate::actor::slot::{self, Slot};
use crate::chaos;
use crate::primitive::atomic::Ordering::{Relaxed, Release};
use crate::sim;
use crate::stack::StackError;
use crate::stack::area::Area;

impl Core {
    /// Takes a new actor from the own ones or from the injector.
    #[inline(always)]
    pub(super) fn next_new(&self, tick: u32) -> Option<u32> {
        if chaos::by_tick(tick, 2)
            .map_or(tick.is_multiple_of(NEW_EVERY * OLDEST_EVERY), |number| number.is_multiple_of(2))
        {
            let oldest = self.oldest_new();
            if oldest.is_some() {
                return oldest;
            }
        }
        let mut fresh = self.fresh.borrow_mut();
        if let Some(newest) = fresh.pop_back() {
            local::prefetch_new(&fresh);
            return Some(newest);
        }
        drop(fresh);
        if !self.deque.is_empty()
            && let Some(newest) = self.deque.pop()
        {
            return Some(newest);
        }
        self.shared.take_injected(&self.deque)
    }

    /// Tells the others how many actors can run here, of which `new` is the next; if there is no new one, takes one of a
    /// worker that has more to run than this one even then.
    ///
    /// Without that, four equal actors that compute and yield stay as three and one on two workers: a worker with an
    /// actor of its own does not run dry, so it steals nothing, and once started they cannot be evened out.
    #[inline(always)]
    pub(super) fn even_out(&self, new: Option<u32>) -> Option<u32> {
        let (local, shared) = (&self.local, &*self.shared);
        let waiting = self.deque.len();
        let runnable = local.queued() + waiting + usize::from(new.is_some());
        local.home.crowding.tell(if waiting > 0 { runnable } else { 0 });
        if new.is_some() {
            return new;
        }
        let after = |worker: usize| if worker + 1 == shared.homes.len() { 0 } else { worker + 1 };
        let mut next = after(self.neighbour.get());
        if next == self.index {
            next = after(next);
        }
        self.neighbour.set(next);
        if shared.homes[next].crowding.runnable() < runnable + 2 {
            return None;
        }
        shared.steal(next)
    }

    /// Takes the new actor that has waited longest.
    #[cold]
    fn oldest_new(&self) -> Option<u32> {
        let injected = self.shared.take_injected(&self.deque);
        // What was injected may have come to a single worker's deque in a batch, and before any of its own.
        injected.or_else(|| self.shared.steal(self.index)).or_else(|| self.fresh.borrow_mut().pop_front())
    }

    /// Makes a new actor this worker's, for ever.
    #[inline(always)]
    pub(super) fn start(&self, actor: &'static Slot) {
        actor.seat.take(self.local.home);
        if self.shared.stopping() {
            local::kill(actor.pid()); // it ends as soon as it begins
        }
        let started = self.started.get() + 1;
        self.started.set(started);
        self.local.reserve(started);
    }

    /// Takes a stack and a slot for an actor that this thread spawns.
    #[inline(always)]
    pub(crate) fn acquire(&self, area: Area) -> Result<&'static Slot, StackError> {
        let _own_code = own_code();
        let index = self.pool.borrow_mut().acquire(area)?;
        slot::prepare(index).inspect_err(|_| {
            // SAFETY: acquired above, and nothing was put there.
            unsafe { self.pool.borrow_mut().release(index) }
        })
    }

    /// Counts an actor that this thread spawns.
    #[inline(always)]
    fn count_spawn(&self) {
        let spawned = &self.local.home.pulse.spawned;
        spawned.store(spawned.load(Relaxed) + 1, Release);
    }

    /// Puts a new actor where any worker may take it.
    #[inline(always)]
    pub(crate) fn offer(&self, actor: &Slot) {
        sim::spawned(actor);
        self.count_spawn();
        self.local.expects_new.set(true);
        let own_code = own_code();
        if self.shared.is_single() {
            self.fresh.borrow_mut().push_back(actor.index());
        } else {
            self.deque.push(actor.index());
            self.shared.summon_for_new();
        }
        drop(own_code);
        self.stir();
    }

    /// Starts a new actor here, behind those that can run already.
    pub(crate) fn keep(&self, actor: &'static Slot) {
        sim::spawned(actor);
        self.count_spawn();
        let own_code = own_code();
        self.start(actor);
        self.local.queue(actor);
        drop(own_code);
        self.stir();
    }

    /// Tells the host about a spawn by a task beside the worker.
    #[inline(always)]
    fn stir(&self) {
        if self.local.place() == Place::Host {
            self.local.stir();
        }
    }
}
