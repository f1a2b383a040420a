//! A hierarchical timing wheel: what is due later, with insert and cancel in constant time.
//!
//! | word | meaning |
//! |---|---|
//! | tick | 2^15 ns (32.768 µs), the wheel's unit of time |
//! | level | 64 slots; a slot of level *n* spans 64^*n* ticks |
//! | elapsed | the tick that the wheel has moved on to |
//! | entry | a payload and the tick it is due at: its deadline rounded *up*, so it is never early |
//! | key | the owner's right to an entry; it must be given back with [`Wheel::release`] |
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
//! After G. Varghese and T. Lauck, *Hashed and Hierarchical Timing Wheels: Data Structures for the
//! Efficient Implementation of a Timer Facility*, SOSP 1987, scheme 7.
//!
//! Rejected: a heap (cancelling, which is what mandatory timeouts mostly do, is O(log n)) and a
//! cancelled flag on entries left in place (they pin their payloads until they would have fired).

/// A tick is 2^15 ns.
const TICK_BITS: u32 = 15;
/// A digit: the level's slot, 0 to 63.
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Nine digits hold every tick that a `u64` of nanoseconds can name, so there is no overflow list.
const LEVELS: usize = 9;
/// No node.
const NIL: u32 = u32::MAX;

/// The owner's right to one entry. It is given back with [`Wheel::release`]; an entry whose key is
/// lost stays in the wheel's memory.
#[derive(Debug)]
#[must_use = "an entry whose key is lost is never freed"]
pub(crate) struct Key(u32);

/// One entry, or a free place for one.
struct Node<T> {
    prev: u32,
    /// The next node of the slot, or of the free list.
    next: u32,
    tick: u64,
    /// There while the entry is pending; taken when it fires.
    payload: Option<T>,
}

/// The entries of one slot, oldest first.
#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    tail: u32,
}

impl Slot {
    const EMPTY: Slot = Slot { head: NIL, tail: NIL };
}

/// The wheel. Times are in nanoseconds on a clock of the owner's choice that never goes back.
pub(crate) struct Wheel<T> {
    elapsed: u64,
    pending: usize,
    /// Bit *n*: level *n* has entries.
    levels: u16,
    /// Bit *s* of element *n*: slot *s* of level *n* has entries.
    occupied: [u64; LEVELS],
    /// Level by level.
    slots: Box<[Slot]>,
    nodes: Vec<Node<T>>,
    free: u32,
}

impl<T> Wheel<T> {
    /// An empty wheel that starts at `now`.
    pub(crate) fn new(now: u64) -> Self {
        Wheel {
            elapsed: now >> TICK_BITS,
            pending: 0,
            levels: 0,
            occupied: [0; LEVELS],
            slots: vec![Slot::EMPTY; LEVELS * SLOTS].into_boxed_slice(),
            nodes: Vec::new(),
            free: NIL,
        }
    }

    /// Adds an entry that is due at `deadline`; if that has passed, at the next
    /// [`pop_expired`](Self::pop_expired). `u64::MAX` is never.
    ///
    /// Allocates only when there are more entries, pending or fired, than ever before.
    ///
    /// # Panics
    /// At 2^32 - 1 entries.
    pub(crate) fn insert(&mut self, deadline: u64, payload: T) -> Key {
        let tick = deadline.div_ceil(1 << TICK_BITS).max(self.elapsed);
        let node = Node { prev: NIL, next: NIL, tick, payload: Some(payload) };
        let index = self.free;
        let index = if index == NIL {
            let index = u32::try_from(self.nodes.len()).ok().filter(|&index| index != NIL);
            let index = index.expect("a timer wheel holds at most 2^32 - 1 entries");
            self.nodes.push(node);
            index
        } else {
            let place = &mut self.nodes[index as usize];
            self.free = place.next;
            *place = node;
            index
        };
        self.append(index);
        self.pending += 1;
        Key(index)
    }

    /// Frees an entry: gives its payload if it was pending, which cancels it, and `None` if it had
    /// fired.
    pub(crate) fn release(&mut self, key: Key) -> Option<T> {
        let Key(index) = key;
        if self.nodes[index as usize].payload.is_some() {
            self.unlink(index);
            self.pending -= 1;
        }
        let node = &mut self.nodes[index as usize];
        node.next = self.free;
        self.free = index;
        node.payload.take()
    }

    /// Whether the entry has fired.
    pub(crate) fn has_fired(&self, key: &Key) -> bool {
        self.nodes[key.0 as usize].payload.is_none()
    }

    /// Moves the wheel on to `now` and takes the payload of the earliest entry that is due, `None`
    /// when there is none left. To be called until it gives `None`.
    ///
    /// The entry stays allocated, as fired, until its owner releases the key.
    pub(crate) fn pop_expired(&mut self, now: u64) -> Option<T> {
        let now = now >> TICK_BITS;
        while let Some((level, slot, start)) = self.earliest().filter(|&(_, _, start)| start <= now) {
            self.elapsed = start;
            if level > 0 {
                self.cascade(level, slot);
                continue;
            }
            let index = self.slots[slot].head;
            self.unlink(index);
            self.pending -= 1;
            return self.nodes[index as usize].payload.take();
        }
        // Every entry is due after `now`, so none shares the digit that `now` has on its level, and
        // each stays where it lies.
        self.elapsed = self.elapsed.max(now);
        None
    }

    /// When to call [`pop_expired`](Self::pop_expired) next: not after the earliest deadline rounded
    /// up to its tick. Nothing may be due at that time, but then the wheel moves on: it is exact
    /// when the earliest slot holds one entry, and early by less than the span of a slot otherwise.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let (level, slot, start) = self.earliest()?;
        let Slot { head, tail } = self.slots[level * SLOTS + slot];
        // Most often a slot far ahead holds one entry: naming its own tick saves the wake-ups that
        // would only cascade it.
        let tick = if head == tail { self.nodes[head as usize].tick } else { start };
        Some(tick.saturating_mul(1 << TICK_BITS))
    }

    /// What is pending, with the time that it is due at, in no order.
    pub(crate) fn into_pending(self) -> impl Iterator<Item = (u64, T)> {
        let time = |tick: u64| tick.saturating_mul(1 << TICK_BITS);
        self.nodes.into_iter().filter_map(move |node| Some((time(node.tick), node.payload?)))
    }

    /// How many entries are pending.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pending
    }

    /// Whether no entry is pending.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// The earliest slot in use: its level, its place there, and its first tick.
    fn earliest(&self) -> Option<(usize, usize, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let slot = self.occupied[level as usize].trailing_zeros();
        let above = (level + 1) * DIGIT_BITS;
        let start = self.elapsed >> above << above | u64::from(slot) << (level * DIGIT_BITS);
        Some((level as usize, slot as usize, start))
    }

    /// The level and the slot in which an entry of this tick lies.
    fn position(&self, tick: u64) -> (usize, usize) {
        let highest_difference = (tick ^ self.elapsed | 1).ilog2();
        let level = highest_difference / DIGIT_BITS;
        let slot = (tick >> (level * DIGIT_BITS)) as usize % SLOTS;
        (level as usize, slot)
    }

    /// Puts a node at the end of its slot.
    fn append(&mut self, index: u32) {
        let (level, slot) = self.position(self.nodes[index as usize].tick);
        let list = &mut self.slots[level * SLOTS + slot];
        let last = std::mem::replace(&mut list.tail, index);
        if last == NIL {
            list.head = index;
            self.occupied[level] |= 1 << slot;
            self.levels |= 1 << level;
        } else {
            self.nodes[last as usize].next = index;
        }
        let node = &mut self.nodes[index as usize];
        node.prev = last;
        node.next = NIL;
    }

    /// Takes a pending node out of its slot.
    fn unlink(&mut self, index: u32) {
        let Node { prev, next, tick, .. } = self.nodes[index as usize];
        let (level, slot) = self.position(tick);
        let list = &mut self.slots[level * SLOTS + slot];
        match prev {
            NIL => list.head = next,
            prev => self.nodes[prev as usize].next = next,
        }
        match next {
            NIL => list.tail = prev,
            next => self.nodes[next as usize].prev = prev,
        }
        if list.head == NIL {
            self.vacate(level, slot);
        }
    }

    /// Puts all entries of a slot on lower levels. `elapsed` is at the slot's first tick.
    fn cascade(&mut self, level: usize, slot: usize) {
        let list = std::mem::replace(&mut self.slots[level * SLOTS + slot], Slot::EMPTY);
        self.vacate(level, slot);
        let mut index = list.head;
        while index != NIL {
            let next = self.nodes[index as usize].next;
            self.append(index);
            index = next;
        }
    }

    /// Marks a slot as empty.
    fn vacate(&mut self, level: usize, slot: usize) {
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap};

    const TICK: u64 = 1 << TICK_BITS;

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, limit: u64) -> u64 {
            self.next() % limit
        }

        /// Numbers of all magnitudes below 2^`bits`.
        fn scaled(&mut self, bits: u64) -> u64 {
            let magnitude = self.below(bits);
            self.below(1 << magnitude)
        }
    }

    fn drain<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
        std::iter::from_fn(|| wheel.pop_expired(now)).collect()
    }

    #[test]
    fn an_entry_fires_at_its_deadline_rounded_up_to_a_tick_and_never_before() {
        for deadline in [1, TICK - 1, TICK, TICK + 1, 65 * TICK, 4097 * TICK + 5, 1 << 40, (1 << 62) + 1] {
            let mut wheel = Wheel::new(0);
            let key = wheel.insert(deadline, ());
            let due = deadline.div_ceil(TICK) * TICK;
            assert_eq!(wheel.pop_expired(due - 1), None);
            assert!(!wheel.has_fired(&key));
            assert_eq!(wheel.pop_expired(due), Some(()));
            assert!(wheel.has_fired(&key));
            assert_eq!(wheel.release(key), None);
        }
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_the_next_pop() {
        let now = 1000 * TICK + 7;
        let mut wheel = Wheel::new(now);
        let keys = [wheel.insert(0, "zero"), wheel.insert(1000 * TICK, "this tick")];
        assert_eq!(drain(&mut wheel, now), ["zero", "this tick"]);
        assert!(keys.into_iter().all(|key| wheel.release(key).is_none()));
    }

    #[test]
    fn a_released_entry_gives_its_payload_back_and_does_not_fire() {
        let mut wheel = Wheel::new(0);
        let keys: Vec<_> = (0..5).map(|n| wheel.insert(100 * TICK, n)).collect();
        for (n, key) in keys.into_iter().enumerate() {
            assert_eq!(wheel.release(key), Some(n));
        }
        assert!(wheel.is_empty());
        assert_eq!(wheel.next_deadline(), None);
        assert_eq!(wheel.pop_expired(u64::MAX), None);
    }

    #[test]
    fn entries_cascade_through_all_levels_in_order() {
        let mut wheel = Wheel::new(0);
        let mut deadlines = vec![];
        for level in 0..8 {
            for digit in [1, 2, 62, 63] {
                deadlines.push((digit << (level * DIGIT_BITS)) * TICK);
                deadlines.push(((digit << (level * DIGIT_BITS)) | 1) * TICK);
            }
        }
        deadlines.push((1 << 48) * TICK);
        for &deadline in deadlines.iter().rev() {
            let _ = wheel.insert(deadline, deadline);
        }
        deadlines.sort_unstable();
        assert_eq!(drain(&mut wheel, u64::MAX), deadlines);
    }

    #[test]
    fn never_is_never() {
        let mut wheel = Wheel::new(0);
        let key = wheel.insert(u64::MAX, ());
        assert_eq!(wheel.next_deadline(), Some(u64::MAX));
        assert_eq!(wheel.pop_expired(u64::MAX), None);
        assert_eq!(wheel.release(key), Some(()));
    }

    #[test]
    fn entries_of_one_tick_fire_in_the_order_of_insertion() {
        let mut wheel = Wheel::new(0);
        let due = 70_000 * TICK;
        let _ = (wheel.insert(due, 0), wheel.insert(due, 1));
        assert_eq!(drain(&mut wheel, due - 3000 * TICK), []);
        let _ = wheel.insert(due, 2);
        assert_eq!(drain(&mut wheel, due - 3 * TICK), []);
        let _ = wheel.insert(due - TICK + 1, 3);
        assert_eq!(drain(&mut wheel, due), [0, 1, 2, 3]);
    }

    #[test]
    fn a_lone_far_entry_needs_one_wake_up() {
        let mut wheel = Wheel::new(12_345);
        let due = 1_234_567 * TICK;
        let _ = wheel.insert(due, ());
        assert_eq!(wheel.next_deadline(), Some(due));
        assert_eq!(wheel.pop_expired(due), Some(()));
    }

    #[test]
    fn released_places_are_used_again() {
        let mut wheel = Wheel::new(0);
        for round in 0..1000 {
            let (pending, fired) = (wheel.insert((round + 9) * TICK, ()), wheel.insert(0, ()));
            assert_eq!(wheel.pop_expired(round * TICK), Some(()));
            assert_eq!((wheel.release(fired), wheel.release(pending)), (None, Some(())));
        }
        assert_eq!(wheel.nodes.len(), 2);
    }

    #[test]
    fn it_agrees_with_a_sorted_map_whatever_is_done_to_it() {
        for seed in 1..=40 {
            let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
            let mut now = random.scaled(60);
            let mut wheel = Wheel::new(now);
            // (tick, number) to nothing is the order of firing; number to key is who is pending.
            let mut order = BTreeMap::new();
            let mut keys = HashMap::new();
            for number in 0..3000_u64 {
                if now >> 62 > 0 {
                    break; // Beyond the times at which everything can still fire.
                }
                match random.below(8) {
                    0..=3 => {
                        let deadline = match random.below(10) {
                            0 => now.saturating_sub(random.below(1 << 30)),
                            _ => now.saturating_add(random.scaled(63)),
                        };
                        let tick = deadline.div_ceil(TICK).max(now / TICK);
                        order.insert((tick, number), ());
                        keys.insert(number, (wheel.insert(deadline, number), tick));
                    }
                    4..=5 => {
                        let victim = keys.keys().min_by_key(|&&key| key ^ random.0 & 0xFFF).copied();
                        if let Some(victim) = victim {
                            let (key, tick) = keys.remove(&victim).unwrap();
                            assert_eq!(wheel.release(key), Some(victim));
                            order.remove(&(tick, victim));
                        }
                    }
                    6 => now = now.saturating_add(random.scaled(50)),
                    _ => now = wheel.next_deadline().unwrap_or(now).max(now),
                }
                while let Some(fired) = wheel.pop_expired(now) {
                    let ((tick, expected), ()) = order.pop_first().unwrap();
                    assert_eq!(fired, expected);
                    assert!(tick * TICK <= now);
                    let (key, _) = keys.remove(&fired).unwrap();
                    assert!(wheel.has_fired(&key));
                    assert_eq!(wheel.release(key), None);
                }
                let earliest = order.keys().next().map(|&(tick, _)| tick.saturating_mul(TICK));
                assert!(earliest.is_none_or(|earliest| earliest > now));
                assert_eq!(wheel.len(), order.len());
                assert_eq!(wheel.is_empty(), order.is_empty());
                assert_eq!(wheel.next_deadline().is_some(), earliest.is_some());
                assert!(wheel.next_deadline() <= earliest);
                assert!(wheel.next_deadline().is_none_or(|next| next > now));
            }
        }
    }

    #[test]
    fn waking_at_the_next_deadline_fires_everything_in_few_steps() {
        let mut random = Random(77);
        let mut wheel = Wheel::new(0);
        for n in 0..1000 {
            let _ = wheel.insert(random.below(1 << 50), n);
        }
        let (mut wakes, mut fired) = (0, 0);
        while let Some(now) = wheel.next_deadline() {
            wakes += 1;
            fired += drain(&mut wheel, now).len();
        }
        assert_eq!(fired, 1000);
        assert!(wakes <= 1000 * LEVELS);
    }
}
