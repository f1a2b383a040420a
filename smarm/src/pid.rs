//! The identity of an actor: (index, generation).
//!
//! | word | meaning |
//! |---|---|
//! | index | names a slot and its stack for ever |
//! | generation | one life in that slot |
//!
//! Both are packed into one word, which is also the data pointer of the actor's `Waker`. Because a
//! slot whose generations are used up is retired, no two actors of a process ever share a pid.

use std::fmt;

/// Bits of a pid that name the slot.
pub(crate) const INDEX_BITS: u32 = 28;
/// The upper bits of an index: the area of its stack.
const AREA_BITS: u32 = 5;
/// Bits of a pid that name the life in the slot.
pub(crate) const GENERATION_BITS: u32 = 64 - INDEX_BITS;
/// The last generation of a slot; after it the slot is retired.
pub(crate) const LAST_GENERATION: u64 = (1 << GENERATION_BITS) - 1;

/// The identity of an actor, unique in its process for ever.
///
/// It is printed as `slot.generation`, such as `36.2`.
///
/// ```
/// let pid = smarm::run(smarm::self_pid);
/// println!("the main actor was {pid}");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u64);

impl Pid {
    pub(crate) const fn new(index: u32, generation: u64) -> Self {
        debug_assert!(index >> INDEX_BITS == 0 && generation <= LAST_GENERATION);
        Self(generation << INDEX_BITS | index as u64)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Names the slot; a later actor may have the same one.
    #[inline(always)]
    pub(crate) const fn index(self) -> u32 {
        (self.0 & ((1 << INDEX_BITS) - 1)) as u32
    }

    /// Which life in the slot this is, counted from 0.
    #[inline(always)]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> INDEX_BITS
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The upper bits of an index name its area; turned round, the numbers are short.
        let slot =
            (self.index() << AREA_BITS | self.index() >> (INDEX_BITS - AREA_BITS)) & ((1 << INDEX_BITS) - 1);
        write!(f, "{slot}.{}", self.generation())
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_generation_come_back_from_the_packed_word() {
        for index in [0, 1, 1 << 23, (1 << INDEX_BITS) - 1] {
            for generation in [0, 1, LAST_GENERATION] {
                let pid = Pid::from_bits(Pid::new(index, generation).bits());
                assert_eq!((pid.index(), pid.generation()), (index, generation));
            }
        }
    }

    #[test]
    fn a_pid_prints_as_slot_dot_generation_in_short_numbers() {
        assert_eq!(Pid::new(4 << 23 | 1, 2).to_string(), "36.2");
        assert_eq!(format!("{:?}", Pid::new(3, 1)), "Pid(96.1)");
    }
}
