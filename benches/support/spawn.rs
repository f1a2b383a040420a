//! Spawning and joining: actors beside tokio tasks.
//!
//! The actor or task that spawns is itself one of the runtime's, as in a service: tokio polls the
//! future of `block_on` at a higher cost than a task.

use std::hint::black_box;
use std::time::Duration;

use crate::stopwatch::Stopwatch;

/// Spawns an empty actor and joins it, `rounds` times.
pub fn actor_by_actor(runtime: &smarm::Runtime, rounds: u64) -> Duration {
    runtime.run(|| {
        let stopwatch = Stopwatch::start_in_actor();
        let mut sum = 0;
        for round in 0..rounds {
            sum += smarm::spawn(move || black_box(round)).join().expect("it does not panic");
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(rounds));
        elapsed
    })
}

/// Spawns an empty task and awaits it, `rounds` times.
pub fn task_by_task(runtime: &tokio::runtime::Runtime, rounds: u64) -> Duration {
    in_a_task(runtime, async move {
        let stopwatch = Stopwatch::start_in_task();
        let mut sum = 0;
        for round in 0..rounds {
            sum += tokio::spawn(async move { black_box(round) }).await.expect("it does not panic");
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(rounds));
        elapsed
    })
}

/// Spawns `count` actors, then joins them all.
pub fn actors_at_once(runtime: &smarm::Runtime, count: u64) -> Duration {
    runtime.run(|| {
        let mut actors = Vec::with_capacity(count as usize);
        let stopwatch = Stopwatch::start_in_actor();
        for number in 0..count {
            actors.push(smarm::spawn(move || black_box(number)));
        }
        let mut sum = 0;
        for actor in actors {
            sum += actor.join().expect("it does not panic");
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(count));
        elapsed
    })
}

/// Spawns `count` tasks, then awaits them all.
pub fn tasks_at_once(runtime: &tokio::runtime::Runtime, count: u64) -> Duration {
    in_a_task(runtime, async move {
        let mut tasks = Vec::with_capacity(count as usize);
        let stopwatch = Stopwatch::start_in_task();
        for number in 0..count {
            tasks.push(tokio::spawn(async move { black_box(number) }));
        }
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("it does not panic");
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(count));
        elapsed
    })
}

/// A tree of actors with ten children each; the leaves, `leaves` in number, give their numbers, and
/// all others the sum of their children.
pub fn skynet_of_actors(runtime: &smarm::Runtime, leaves: u64) -> Duration {
    fn node(first: u64, leaves: u64) -> smarm::JoinHandle<u64> {
        smarm::spawn(move || {
            if leaves == 1 {
                return first;
            }
            let each = leaves / 10;
            let children: [_; 10] = std::array::from_fn(|child| node(first + child as u64 * each, each));
            children.into_iter().map(|child| child.join().expect("it does not panic")).sum()
        })
    }
    runtime.run(|| {
        let stopwatch = Stopwatch::start_in_actor();
        let sum = node(0, leaves).join().expect("it does not panic");
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(leaves));
        elapsed
    })
}

/// As [`skynet_of_actors`], of tasks.
pub fn skynet_of_tasks(runtime: &tokio::runtime::Runtime, leaves: u64) -> Duration {
    fn node(first: u64, leaves: u64) -> tokio::task::JoinHandle<u64> {
        tokio::spawn(async move {
            if leaves == 1 {
                return first;
            }
            let each = leaves / 10;
            let children: [_; 10] = std::array::from_fn(|child| node(first + child as u64 * each, each));
            let mut sum = 0;
            for child in children {
                sum += child.await.expect("it does not panic");
            }
            sum
        })
    }
    in_a_task(runtime, async move {
        let stopwatch = Stopwatch::start_in_task();
        let sum = node(0, leaves).await.expect("it does not panic");
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, below(leaves));
        elapsed
    })
}

fn in_a_task(
    runtime: &tokio::runtime::Runtime,
    work: impl Future<Output = Duration> + Send + 'static,
) -> Duration {
    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
}

/// The sum of the numbers below `count`.
fn below(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}
