//! One mutex for all.

use std::sync::Arc;
use std::time::Duration;

use crate::measure::Stopwatch;

use super::super::World;

program! {
    /// One locks and unlocks.
    pub fn uncontended(rounds: u64) -> Duration {
        let mutex = W::mutex(0_u64);
        let stopwatch = Stopwatch::start();
        for _ in 0..rounds {
            *wait!(W::lock(&mutex)) += 1;
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(*wait!(W::lock(&mutex)), rounds);
        elapsed
    }
}

program! {
    /// So many lock it `rounds` times each; if `over_yield`, they give way while they hold it.
    pub fn contended(count: usize, rounds: u64, over_yield: bool) -> Duration {
        let mutex = Arc::new(W::mutex(0_u64));
        let mut actors = Vec::with_capacity(count);
        let stopwatch = Stopwatch::start();
        for _ in 0..count {
            let mutex = mutex.clone();
            actors.push(go!({
                for _ in 0..rounds {
                    let mut value = wait!(W::lock(&mutex));
                    let seen = *value;
                    if over_yield {
                        wait!(W::yield_now());
                    }
                    *value = seen + 1;
                }
            }));
        }
        for actor in actors {
            wait!(W::join(actor));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(*wait!(W::lock(&mutex)), count as u64 * rounds);
        elapsed
    }
}
