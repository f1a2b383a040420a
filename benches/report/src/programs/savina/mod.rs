//! Ten programs of the Savina actor benchmarks (Imam, Sarkar 2014), by actors that only send messages.
//!
//! A sender of this kind is never waited for; a question carries the way back of its answer.

mod contention;
mod service;
mod streams;

pub use contention::{chameneos, philosophers};
pub use service::{bank, barber, dictionary};
pub use streams::{big, bounded_buffer, counting, fork_join, trapezoid};

/// A small generator of random numbers (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
