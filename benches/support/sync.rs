//! Locks and semaphores between actors, beside those of tokio between tasks.
//!
//! The clock runs from when all actors or tasks are there until all have ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime as Tokio;

use crate::stopwatch::Stopwatch;

/// How many take part.
pub const CROWD: u64 = 1000;

/// A crowd of actors each call `step` with the numbers from 0 to `each`.
pub fn actors(
    runtime: &smarm::Runtime,
    crowd: u64,
    each: u64,
    step: impl Fn(u64) + Send + Sync + 'static,
) -> Duration {
    runtime.run(move || {
        let start = Arc::new(smarm::sync::Barrier::new(crowd as usize + 1));
        let step = Arc::new(step);
        let crowd: Vec<_> = (0..crowd)
            .map(|_| {
                let (start, step) = (start.clone(), step.clone());
                smarm::spawn(move || {
                    start.wait();
                    (0..each).for_each(&*step);
                })
            })
            .collect();
        let stopwatch = Stopwatch::start_in_actor();
        start.wait();
        crowd.into_iter().for_each(|actor| actor.join().expect("it does not panic"));
        stopwatch.elapsed()
    })
}

/// As [`actors`], with tasks.
pub fn tasks<S: Future<Output = ()> + Send>(
    runtime: &Tokio,
    crowd: u64,
    each: u64,
    step: impl Fn(u64) -> S + Send + Sync + 'static,
) -> Duration {
    let run = async move {
        let start = Arc::new(tokio::sync::Barrier::new(crowd as usize + 1));
        let step = Arc::new(step);
        let crowd: Vec<_> = (0..crowd)
            .map(|_| {
                let (start, step) = (start.clone(), step.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    for round in 0..each {
                        step(round).await;
                    }
                })
            })
            .collect();
        let stopwatch = Stopwatch::start_in_task();
        start.wait().await;
        for task in crowd {
            task.await.expect("it does not panic");
        }
        stopwatch.elapsed()
    };
    runtime.block_on(async { tokio::spawn(run).await.expect("it does not panic") })
}
