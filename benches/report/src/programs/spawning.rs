//! Spawning and joining.

use std::hint::black_box;
use std::time::Duration;

use crate::measure::Stopwatch;

use super::super::World;
use super::messages::below;

program! {
    /// Spawns one and joins it, `rounds` times.
    pub fn one_by_one(rounds: u64) -> Duration {
        let stopwatch = Stopwatch::start();
        let mut sum = 0;
        for round in 0..rounds {
            sum += wait!(W::join(go!({ black_box(round) })));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(rounds));
        elapsed
    }
}

program! {
    /// Spawns them all, then joins them all.
    pub fn at_once(count: u64) -> Duration {
        let mut actors = Vec::with_capacity(count as usize);
        let stopwatch = Stopwatch::start();
        for number in 0..count {
            actors.push(go!({ black_box(number) }));
        }
        let mut sum = 0;
        for actor in actors {
            sum += wait!(W::join(actor));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(count));
        elapsed
    }
}

/// One that spawns the next one and joins it, down to `depth`.
fn chain<W: World>(depth: u64) -> W::Join<u64> {
    go!({ if depth == 0 { 0 } else { depth + wait!(W::join(chain::<W>(depth - 1))) } })
}

program! {
    /// Each spawns the next one and joins it.
    pub fn nested(depth: u64) -> Duration {
        let stopwatch = Stopwatch::start();
        let sum = wait!(W::join(chain::<W>(depth)));
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, depth * (depth + 1) / 2);
        elapsed
    }
}

/// Ten children, down to the leaves, which give their numbers; all others give the sum of their children.
fn node<W: World>(first: u64, leaves: u64) -> W::Join<u64> {
    go!({
        if leaves == 1 {
            first
        } else {
            let each = leaves / 10;
            let children: [_; 10] = std::array::from_fn(|child| node::<W>(first + child as u64 * each, each));
            let mut sum = 0;
            for child in children {
                sum += wait!(W::join(child));
            }
            sum
        }
    })
}

program! {
    /// A tree with so many leaves, a power of ten.
    pub fn skynet(leaves: u64) -> Duration {
        let stopwatch = Stopwatch::start();
        let sum = wait!(W::join(node::<W>(0, leaves)));
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(leaves));
        elapsed
    }
}
