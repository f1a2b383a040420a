//! Where the payloads are: places that keep their number, by which their owners know them.
//!
//! Those that are free stand on a stack of their own. So a place is not touched to be freed, and those that will be
//! used next can be fetched ahead. Which of those that stand in slots are dead is told by a bit each: it takes no
//! look at the places to sweep them out, and the bits of a million fit a cache.
//!
//! When all are free, the memory stays until a next time that all are: if few were used between, it is given
//! back. So bursts that come one after the other find it, and a worker that goes on with little does not keep it.

use crate::context::prefetch;

/// So many are always kept.
const KEPT: usize = 1024;
/// The memory is given back if no more than this part of it was used.
const FEW: usize = 8;
/// The free place that comes so many after the one in use is fetched.
const AHEAD: usize = 4;

/// What is at one place.
pub(super) struct Place<T> {
    pub(super) tick: u64,
    /// There while the timer is pending; taken when it fires or is cancelled.
    pub(super) payload: Option<T>,
}

/// All places of a wheel.
pub(super) struct Places<T> {
    places: Vec<Place<T>>,
    /// Those from here on have not been used since all were free.
    used: usize,
    free: Vec<u32>,
    /// Bit *n* modulo 64 of word *n* / 64: the place *n* is dead.
    dead: Vec<u64>,
}

impl<T> Places<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), used: 0, free: Vec::new(), dead: Vec::new() }
    }

    /// Takes a free place, which is nobody else's until it is [`free`](Self::free)d.
    ///
    /// # Panics
    /// At 2^32 - 1 places.
    #[inline(always)]
    pub(super) fn take(&mut self, tick: u64, payload: T) -> u32 {
        let place = Place { tick, payload: Some(payload) };
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(ahead) = self.free.len().checked_sub(AHEAD) {
                    self.prefetch(self.free[ahead]);
                }
                index
            }
            None => {
                self.used += 1;
                self.used as u32 - 1
            }
        };
        match self.places.get_mut(index as usize) {
            Some(vacant) => *vacant = place,
            None => self.grow(place),
        }
        index
    }

    #[inline(never)]
    fn grow(&mut self, place: Place<T>) {
        assert!(self.places.len() < super::NIL as usize, "a timer wheel holds at most 2^32 - 1 entries");
        self.places.push(place);
        // So that neither freeing nor burying allocates. None is free now.
        if self.free.capacity() < self.places.capacity() {
            self.free.reserve_exact(self.places.capacity());
            self.dead.resize(self.places.capacity().div_ceil(64), 0);
        }
    }

    /// Marks a place as dead, which still stands in a slot.
    #[inline(always)]
    pub(super) fn bury(&mut self, index: u32) {
        self.dead[index as usize / 64] |= 1 << (index % 64);
    }

    /// Frees a place that comes out of its slot, if it is dead. Says whether it was.
    #[inline(always)]
    pub(super) fn free_dead(&mut self, index: u32) -> bool {
        let (word, bit) = (&mut self.dead[index as usize / 64], 1 << (index % 64));
        let dead = *word & bit != 0;
        if dead {
            *word &= !bit;
            self.free(index);
        }
        dead
    }

    /// Gives a place back, which must have no payload.
    #[inline(always)]
    pub(super) fn free(&mut self, index: u32) {
        debug_assert!(self[index].payload.is_none());
        self.free.push(index);
        if self.free.len() == self.used {
            self.free.clear();
            let used = std::mem::take(&mut self.used);
            if self.places.len() > KEPT && used < self.places.len() / FEW {
                self.give_back();
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn give_back(&mut self) {
        *self = Self::new();
    }

    /// Whether there are no more than are always kept.
    #[inline(always)]
    pub(super) fn are_few(&self) -> bool {
        self.places.len() <= KEPT
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, index: u32) {
        prefetch(self.places.as_ptr().wrapping_add(index as usize).cast());
    }

    /// All of them, free ones included.
    pub(super) fn into_all(self) -> impl Iterator<Item = Place<T>> {
        self.places.into_iter()
    }

    #[cfg(any(test, smarm_fuzz))]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many are not free.
    #[cfg(any(test, smarm_fuzz))]
    pub(super) fn count_used(&self) -> usize {
        self.used - self.free.len()
    }
}

impl<T> std::ops::Index<u32> for Places<T> {
    type Output = Place<T>;

    #[inline(always)]
    fn index(&self, index: u32) -> &Place<T> {
        &self.places[index as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Places<T> {
    #[inline(always)]
    fn index_mut(&mut self, index: u32) -> &mut Place<T> {
        &mut self.places[index as usize]
    }
}
