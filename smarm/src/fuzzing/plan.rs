//! Reads a program from bytes.
//!
//! A program is over when its bytes are, so a prefix of one is a shorter one, and a byte changed in the middle
//! changes one choice: what fuzzers and shrinking are good at. A choice is a byte modulo the number of alternatives.

/// The bytes that are left.
pub(super) struct Plan<'a>(&'a [u8]);

impl<'a> Plan<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Plan(bytes)
    }

    /// The next byte, `None` at the end.
    pub(super) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte, 0 at the end.
    pub(super) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// One of so many, which are more than none.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// A number below 2^`bits`, of any magnitude, from a byte for that and as many as it needs.
    pub(super) fn span(&mut self, bits: usize) -> u64 {
        let bits = self.below(bits + 1);
        let bytes = bits.div_ceil(8);
        let value = (0..bytes).fold(0, |value, _| value << 8 | u64::from(self.byte()));
        if bits == 0 { 0 } else { value & (u64::MAX >> (64 - bits)) }
    }
}
