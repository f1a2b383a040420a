//! Computing, shared out.

use std::time::Duration;

use crate::bodies;
use crate::measure::Stopwatch;
use crate::primes;

use super::super::World;

program! {
    /// How many primes there are below `limit`: one for each thousand numbers.
    pub fn primes(limit: u32) -> Duration {
        let stopwatch = Stopwatch::start();
        let mut parts = Vec::new();
        for first in (0..limit).step_by(1_000) {
            parts.push(go!({ primes::count(first..limit.min(first + 1_000)) }));
        }
        let mut count = 0;
        for part in parts {
            count += wait!(W::join(part));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(count, primes::below(limit));
        elapsed
    }
}

program! {
    /// Four solar systems, for `steps` of time each, which come back to a coordinator every 1,000 steps.
    pub fn n_body(steps: u64) -> Duration {
        let stopwatch = Stopwatch::start();
        let mut systems = Vec::new();
        for _ in 0..4 {
            systems.push(go!({
                let mut system = bodies::System::new();
                for _ in 0..steps.div_ceil(1_000) {
                    system.advance(steps.min(1_000));
                    wait!(W::yield_now());
                }
                system.energy()
            }));
        }
        let mut energies = Vec::new();
        for system in systems {
            energies.push(wait!(W::join(system)));
        }
        let elapsed = stopwatch.elapsed();
        for energy in energies {
            // It is conserved, as far as such steps do that.
            assert!((energy + 0.169_075).abs() < 1e-4, "the energy is {energy}");
        }
        elapsed
    }
}
