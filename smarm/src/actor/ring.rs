//! The queue of started actors that can run: a ring which only its worker touches.

use super::slot::Slot;

/// A first-in first-out ring of actors. It grows only in [`reserve`](Self::reserve), which is
/// called when an actor is started, so that a wake never allocates.
pub(crate) struct Ring {
    /// A power of two long.
    places: Box<[Option<&'static Slot>]>,
    /// Counts all actors ever taken; the place is this modulo the length.
    head: usize,
    /// Counts all actors ever put in.
    tail: usize,
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self { places: vec![None; 64].into_boxed_slice(), head: 0, tail: 0 }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.tail.wrapping_sub(self.head)
    }

    #[inline(always)]
    fn mask(&self) -> usize {
        self.places.len() - 1
    }

    /// Makes room for this many actors in all.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, actors: usize) {
        if actors > self.places.len() {
            self.grow(actors);
        }
    }

    #[cold]
    fn grow(&mut self, actors: usize) {
        let mut places = vec![None; actors.next_power_of_two()].into_boxed_slice();
        for (count, place) in (self.head..self.tail).zip(&mut places) {
            *place = self.places[count & self.mask()];
        }
        (self.head, self.tail, self.places) = (0, self.len(), places);
    }

    /// Puts an actor behind all others.
    ///
    /// # Panics
    /// If there is no room, which means that an actor stands in the ring twice.
    #[inline(always)]
    pub(crate) fn push(&mut self, actor: &'static Slot) {
        assert!(
            self.len() < self.places.len(),
            "smarm bug: the run queue holds more than the started actors"
        );
        let place = self.tail & self.mask();
        self.places[place] = Some(actor);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Takes the actor that has waited longest.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<&'static Slot> {
        if self.len() == 0 {
            return None;
        }
        let place = self.head & self.mask();
        self.head = self.head.wrapping_add(1);
        self.places[place].take()
    }

    /// Takes the actor that came last.
    pub(crate) fn pop_last(&mut self) -> Option<&'static Slot> {
        if self.len() == 0 {
            return None;
        }
        self.tail = self.tail.wrapping_sub(1);
        let place = self.tail & self.mask();
        self.places[place].take()
    }

    /// Changes the actor that comes next for the one that would come after `ahead` others.
    pub(crate) fn bring_forward(&mut self, ahead: usize) {
        debug_assert!(ahead < self.len());
        let (next, other) = (self.head & self.mask(), self.head.wrapping_add(ahead) & self.mask());
        self.places.swap(next, other);
    }

    /// How many actors were taken, about: the ring counts anew when it grows.
    #[inline(always)]
    pub(crate) fn taken(&self) -> usize {
        self.head
    }

    /// The actor that will come after `ahead` others.
    #[inline(always)]
    pub(crate) fn peek(&self, ahead: usize) -> Option<&'static Slot> {
        self.places[self.head.wrapping_add(ahead) & self.mask()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::slot;
    use crate::stack::{area::Area, guard::Guard, pool};

    fn slots(count: u32) -> Vec<&'static Slot> {
        let area = Area::for_size(16 << 10, Guard::Mprotect).unwrap();
        (0..count).map(|_| slot::prepare(pool::acquire_shared(area).unwrap()).unwrap()).collect()
    }

    #[test]
    fn the_actor_that_is_brought_forward_changes_places_with_the_next() {
        let actors = slots(3);
        let mut ring = Ring::new();
        actors.iter().for_each(|actor| ring.push(actor));
        ring.bring_forward(2);
        for expected in [2, 1, 0] {
            assert!(std::ptr::eq(ring.pop().unwrap(), actors[expected]));
        }
        for actor in actors {
            // SAFETY: acquired above, and never used.
            unsafe { pool::release_shared(actor.index()) };
        }
    }

    #[test]
    fn actors_leave_in_the_order_in_which_they_came_also_across_a_growth() {
        let actors = slots(200);
        let mut ring = Ring::new();
        for actor in &actors[..50] {
            ring.push(actor);
        }
        for actor in &actors[..40] {
            assert!(std::ptr::eq(ring.pop().unwrap(), *actor));
        }
        ring.reserve(200);
        for actor in &actors[50..] {
            ring.push(actor);
        }
        assert!(std::ptr::eq(ring.peek(1).unwrap(), actors[41]));
        for actor in &actors[40..] {
            assert!(std::ptr::eq(ring.pop().unwrap(), *actor));
        }
        assert!(ring.pop().is_none());
        for actor in actors {
            // SAFETY: acquired above, and never used.
            unsafe { pool::release_shared(actor.index()) };
        }
    }
}
