//! A hierarchical timing wheel: what is due later, with insert and cancel in constant time.
//!
//! | word | meaning |
//! |---|---|
//! | tick | 2^15 ns (32.768 µs), the wheel's unit of time |
//! | level | 64 slots; a slot of level *n* spans 64^*n* ticks |
//! | elapsed | the tick that the wheel has moved on to |
//! | place | a payload and the tick it is due at: its deadline rounded *up*, so it is never early |
//! | entry | what stands in a slot: the number of a place |
//! | key | the owner's right to a place; it must be given back with [`Wheel::release`] |
//! | dead | an entry whose place has been cancelled; the place is freed together with it |
//!
//! A tick is a number of nine digits to the base 64, and an entry lies on the level of the highest
//! digit in which its tick differs from `elapsed`, in the slot which that digit names:
//!
//! ```text
//!                level 8   ...   level 2   level 1   level 0
//! elapsed           0      ...      3         17        60
//! tick of A         0      ...      3         17        62    level 0, slot 62
//! tick of B         0      ...      3         40         5    level 1, slot 40
//! tick of C         0      ...      9          0         0    level 2, slot  9
//! ```
//!
//! So the entries of a level are all due before those of the next one, and on each level the
//! earliest slot is the lowest one in use: one bit mask per level finds it. The wheel moves on in
//! steps:
//!
//! 1. It takes the lowest slot in use of the lowest level in use. If that starts after the time
//!    that it is moved on to, nothing is due.
//! 2. `elapsed` becomes the first tick of that slot.
//! 3. On level 0 all entries of the slot are due at that tick: the oldest one fires.
//! 4. Elsewhere they are put on lower levels in the same order (they *cascade*), as the digit in
//!    which they differed from `elapsed` is now equal. Back to 1.
//!
//! An entry cascades at most once per level, and where it lies follows from `elapsed` and its tick
//! alone, so nothing else is stored. Entries of one tick fire in the order of their insertion.
//!
//! A cascade looks at no place, up to the level that a month is on: with very many timers, each is a cache miss, which
//! then comes once, when the timer fires, and is fetched ahead.
//!
//! Who cancels takes the payload out. The newest entry of a slot goes at once, which is what happens to a wait that
//! does not last, and so does the oldest, as of equal time limits that are served in turn; another one is dead until its slot fires or cascades, has no live entry left, or has so many dead
//! ones that they are swept out ([`SWEEP`]). So each is looked at a few times, and there are never more dead than
//! four times the live ones, but for some per slot.
//!
//! After G. Varghese and T. Lauck, *Hashed and Hierarchical Timing Wheels: Data Structures for the
//! Efficient Implementation of a Timer Facility*, SOSP 1987, scheme 7.
//!
//! Rejected: a heap (cancelling, which is what mandatory timeouts mostly do, is O(log n)); lists that link the
//! places, and entries that their places point to (a cascade then waits for memory at each).

mod places;
mod slots;
#[cfg(test)]
mod tests;

use self::places::Places;
use self::slots::{Chunks, Entry, List};

/// A tick is 2^15 ns.
const TICK_BITS: u32 = 15;
/// A digit: the level's slot, 0 to 63.
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Nine digits hold every tick that a `u64` of nanoseconds can name, so there is no overflow list.
const LEVELS: usize = 9;
/// Up to this level, an entry's half of a tick tells where it goes.
const LOW_LEVELS: u32 = 32 / DIGIT_BITS;
/// A slot has more than so many dead entries, and than four times the live ones, when they are swept out.
const SWEEP: u32 = 16;
/// No place, no chunk.
const NIL: u32 = u32::MAX;

/// The owner's right to one timer. It is given back with [`Wheel::release`]; one whose key is lost stays in the
/// wheel's memory.
#[derive(Debug)]
#[must_use = "a timer whose key is lost is never freed"]
pub(crate) struct Key(u32);

/// What is due within one span of time. It is in use while it has live entries.
struct Slot {
    list: List,
    live: u32,
    dead: u32,
}

/// The wheel. Times are in nanoseconds on a clock of the owner's choice that never goes back.
pub(crate) struct Wheel<T> {
    elapsed: u64,
    pending: usize,
    /// Bit *n*: level *n* has entries.
    levels: u16,
    /// Bit *s* of element *n*: slot *s* of level *n* has entries.
    occupied: [u64; LEVELS],
    /// Level by level; a *spot* is an index here.
    slots: Box<[Slot]>,
    chunks: Chunks,
    places: Places<T>,
}

impl<T> Wheel<T> {
    /// An empty wheel that starts at `now`.
    pub(crate) fn new(now: u64) -> Self {
        Wheel {
            elapsed: now >> TICK_BITS,
            pending: 0,
            levels: 0,
            occupied: [0; LEVELS],
            slots: (0..LEVELS * SLOTS).map(|_| Slot { list: List::EMPTY, live: 0, dead: 0 }).collect(),
            chunks: Chunks::new(),
            places: Places::new(),
        }
    }

    /// Adds a timer that is due at `deadline`; if that has passed, at the next
    /// [`pop_expired`](Self::pop_expired). `u64::MAX` is never.
    ///
    /// # Panics
    /// At 2^32 - 1 timers.
    #[inline(always)]
    pub(crate) fn insert(&mut self, deadline: u64, payload: T) -> Key {
        let tick = deadline.div_ceil(1 << TICK_BITS).max(self.elapsed);
        let place = self.places.take(tick, payload);
        self.pending += 1;
        self.append(self.spot(tick), Entry { low: tick as u32, place });
        Key(place)
    }

    /// Frees a timer: gives its payload if it was pending, which cancels it, and `None` if it had fired.
    #[inline]
    pub(crate) fn release(&mut self, key: Key) -> Option<T> {
        let payload = self.places[key.0].payload.take();
        match payload {
            Some(_) => self.cancelled(key.0),
            None => self.places.free(key.0),
        }
        payload
    }

    /// As [`release`](Self::release), and drops the payload, which must not come back to the wheel. What it does not take out
    /// it need not copy, which touches stack that is cold by then.
    #[inline]
    pub(crate) fn forget(&mut self, key: Key) {
        let place = &mut self.places[key.0];
        if place.payload.is_some() {
            place.payload = None;
            self.cancelled(key.0);
        } else {
            self.places.free(key.0);
        }
    }

    /// Frees a place whose payload was taken out before its time.
    #[inline(always)]
    fn cancelled(&mut self, index: u32) {
        let spot = self.spot(self.places[index].tick);
        let slot = &mut self.slots[spot];
        self.pending -= 1;
        slot.live -= 1;
        if slot.live == 0 && slot.dead == 0 {
            self.places.free(index);
            self.vacate(spot);
        } else if slot.live == 0 {
            self.places.bury(index);
            self.vacate(spot);
        } else if self.chunks.take_last(&slot.list, index) || self.chunks.take_oldest(&mut slot.list, index) {
            self.places.free(index);
        } else {
            slot.dead += 1;
            self.places.bury(index);
            if slot.dead > SWEEP && slot.dead / 4 > slot.live {
                self.sweep(spot);
            }
        }
    }

    /// Whether the timer has fired.
    pub(crate) fn has_fired(&self, key: &Key) -> bool {
        self.places[key.0].payload.is_none()
    }

    /// What the timer holds, while it is pending.
    pub(crate) fn payload_mut(&mut self, key: &Key) -> Option<&mut T> {
        self.places[key.0].payload.as_mut()
    }

    /// Moves the wheel on to `now` and takes the payload of the earliest timer that is due, `None`
    /// when there is none left. To be called until it gives `None`.
    ///
    /// The timer stays allocated, as fired, until its owner releases the key.
    #[inline]
    pub(crate) fn pop_expired(&mut self, now: u64) -> Option<T> {
        let now = now >> TICK_BITS;
        while let Some((spot, start)) = self.earliest().filter(|&(_, start)| start <= now) {
            self.elapsed = start;
            if spot >= SLOTS {
                self.cascade(spot);
                continue;
            }
            let slot = &mut self.slots[spot];
            while let Some((entry, first)) = self.chunks.take_first(&mut slot.list) {
                if first {
                    self.chunks.first_places(&slot.list).for_each(|place| self.places.prefetch(place));
                }
                let Some(payload) = self.places[entry.place].payload.take() else {
                    slot.dead -= 1;
                    self.places.free_dead(entry.place);
                    continue;
                };
                self.pending -= 1;
                slot.live -= 1;
                if slot.live == 0 {
                    self.vacate(spot);
                }
                return Some(payload);
            }
            unreachable!("a slot in use has a live entry");
        }
        // Every timer is due after `now`, so none shares the digit that `now` has on its level, and
        // each stays where it lies.
        self.elapsed = self.elapsed.max(now);
        None
    }

    /// When to call [`pop_expired`](Self::pop_expired) next: not after the earliest deadline rounded
    /// up to its tick. Nothing may be due at that time, but then the wheel moves on: it is exact
    /// when the earliest slot holds one entry, and early by less than the span of a slot otherwise.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let (spot, start) = self.earliest()?;
        let slot = &self.slots[spot];
        // Most often a slot far ahead holds one entry: naming its own tick saves the wake-ups that
        // would only cascade it.
        let only = if slot.live + slot.dead == 1 { self.chunks.only(&slot.list) } else { None };
        let tick = only.map_or(start, |entry| self.places[entry.place].tick);
        Some(tick.saturating_mul(1 << TICK_BITS))
    }

    /// What is pending, with the time that it is due at, in no order.
    pub(crate) fn into_pending(self) -> impl Iterator<Item = (u64, T)> {
        let time = |tick: u64| tick.saturating_mul(1 << TICK_BITS);
        self.places.into_all().filter_map(move |place| Some((time(place.tick), place.payload?)))
    }

    /// How many timers are pending.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pending
    }

    /// Checks that the slots, their marks and the pools agree. `fired` keys have not been released.
    #[cfg(any(test, smarm_fuzz))]
    pub(crate) fn check(&self, fired: usize) {
        let (mut chunks, mut entries, mut live) = (0, 0, 0);
        for (spot, slot) in self.slots.iter().enumerate() {
            let (own, listed) = self.chunks.contents(&slot.list);
            let alive = listed.iter().filter(|entry| self.places[entry.place].payload.is_some()).count();
            assert_eq!((alive, listed.len() - alive), (slot.live as usize, slot.dead as usize));
            assert!(slot.live > 0 || slot.dead == 0 && own == 0, "an unused slot holds something");
            assert_eq!(self.occupied[spot / SLOTS] >> (spot % SLOTS) & 1 == 1, slot.live > 0);
            for entry in &listed {
                let tick = self.places[entry.place].tick;
                assert_eq!((tick as u32, self.spot(tick)), (entry.low, spot));
            }
            chunks += own;
            entries += listed.len();
            live += alive;
        }
        for (level, occupied) in self.occupied.iter().enumerate() {
            assert_eq!(self.levels >> level & 1 == 1, *occupied != 0);
        }
        assert_eq!(chunks + self.chunks.count_free(), self.chunks.len(), "a chunk is lost");
        assert_eq!((live, entries + fired), (self.pending, self.places.count_used()));
    }

    /// Whether no timer is pending.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// The earliest slot in use: its spot and its first tick.
    #[inline(always)]
    fn earliest(&self) -> Option<(usize, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let slot = self.occupied[level as usize].trailing_zeros();
        let above = (level + 1) * DIGIT_BITS;
        let start = self.elapsed >> above << above | u64::from(slot) << (level * DIGIT_BITS);
        Some(((level * SLOTS as u32 + slot) as usize, start))
    }

    /// Puts a live entry at the end of its slot.
    #[inline(always)]
    fn append(&mut self, spot: usize, entry: Entry) {
        let slot = &mut self.slots[spot];
        self.chunks.push(&mut slot.list, entry);
        slot.live += 1;
        if slot.live == 1 {
            self.occupied[spot / SLOTS] |= 1 << (spot % SLOTS);
            self.levels |= 1 << (spot / SLOTS);
        }
    }

    /// Marks a slot as empty which has no live entry left, and frees what is dead.
    #[inline(always)]
    fn vacate(&mut self, spot: usize) {
        if self.slots[spot].dead > 0 {
            self.clear_dead(spot);
        } else {
            self.chunks.clear(&mut self.slots[spot].list);
        }
        self.unmark(spot);
        if self.levels == 0 && self.places.are_few() {
            self.chunks.shrink();
        }
    }

    /// Frees what is dead in a slot that has nothing else. Apart, as its frame would make that of a wait's end larger.
    #[inline(never)]
    fn clear_dead(&mut self, spot: usize) {
        let slot = &mut self.slots[spot];
        slot.dead = 0;
        while let Some(part) = self.chunks.take_part(&mut slot.list) {
            for entry in part.entries() {
                self.places.free_dead(entry.place);
            }
        }
    }

    #[inline(always)]
    fn unmark(&mut self, spot: usize) {
        let level = spot / SLOTS;
        self.occupied[level] &= !(1 << (spot % SLOTS));
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// Puts all entries of a slot on lower levels. `elapsed` is at the slot's first tick.
    fn cascade(&mut self, from: usize) {
        let slot = &mut self.slots[from];
        let mut list = std::mem::replace(&mut slot.list, List::EMPTY);
        slot.live = 0;
        let dead = std::mem::take(&mut slot.dead);
        self.unmark(from);
        let level = (from / SLOTS) as u32;
        let low = level <= LOW_LEVELS;
        let digits = if low { (1 << (level * DIGIT_BITS)) - 1 } else { 0 };
        while let Some(part) = self.chunks.take_part(&mut list) {
            for &entry in part.entries() {
                if dead > 0 && self.places.free_dead(entry.place) {
                    continue;
                }
                // `elapsed` is 0 in all digits below this level, so they differ by what they are.
                let difference = match low {
                    true => u64::from(entry.low & digits),
                    false => self.places[entry.place].tick ^ self.elapsed,
                };
                self.append(spot(difference, difference), entry);
            }
        }
    }

    /// Frees what is dead in a slot.
    #[cold]
    #[inline(never)] // as `clear_dead`
    fn sweep(&mut self, spot: usize) {
        let mut list = std::mem::replace(&mut self.slots[spot].list, List::EMPTY);
        while let Some(part) = self.chunks.take_part(&mut list) {
            for &entry in part.entries() {
                if !self.places.free_dead(entry.place) {
                    self.chunks.push(&mut self.slots[spot].list, entry);
                }
            }
        }
        self.slots[spot].dead = 0;
    }

    /// Where an entry of this tick lies.
    #[inline(always)]
    fn spot(&self, tick: u64) -> usize {
        spot(tick ^ self.elapsed, tick)
    }
}

/// The level of the highest digit of `difference` that is not 0, and the slot that this digit of `tick` names.
#[inline(always)]
fn spot(difference: u64, tick: u64) -> usize {
    let level = (difference | 1).ilog2() / DIGIT_BITS;
    let slot = (tick >> (level * DIGIT_BITS)) as usize % SLOTS;
    level as usize * SLOTS + slot
}
