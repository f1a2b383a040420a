//! What is drawn in a simulation apart from the schedule, which has the dice of chaos mode.

use std::ops::Range;

use crate::chaos::{GAMMA, mix};

/// So that its stream differs from that of the schedule's dice, which begin with the same seed.
const STREAM: u64 = 0x6e65_7477_6f72_6b21;

/// SplitMix64, as chaos mode has it.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed ^ STREAM))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number of the range; its start, if the range is empty.
    pub(super) fn within(&mut self, range: &Range<u64>) -> u64 {
        match range.end.saturating_sub(range.start) {
            0 => range.start,
            span => range.start + self.next() % span,
        }
    }

    /// Whether something of this probability comes true. What is certain or impossible draws nothing.
    pub(super) fn strikes(&mut self, probability: f64) -> bool {
        if probability <= 0.0 || probability >= 1.0 {
            return probability >= 1.0;
        }
        // 53 bits are as many as an f64 has.
        ((self.next() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_lies_in_the_range_and_strikes_as_often_as_it_should() {
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| (5..8).contains(&random.within(&(5..8)))));
        assert_eq!(random.within(&(5..5)), 5);
        let strikes = (0..10_000).filter(|_| random.strikes(0.25)).count();
        assert!((2_300..2_700).contains(&strikes));
        assert!(!random.strikes(0.0) && random.strikes(1.0));
    }
}
