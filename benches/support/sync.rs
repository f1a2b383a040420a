//! Locks and semaphores between actors, beside those of tokio between tasks.
//!
//! The clock runs from when all actors or tasks are there until all have ended. The actors are spread evenly over the
//! workers, for good; tokio moves its tasks as it likes.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime as Tokio;

use crate::stopwatch::Stopwatch;

/// How many take part.
pub const CROWD: u64 = 1000;

/// A crowd of actors each call `body`.
pub fn actors(runtime: &smarm::Runtime, crowd: u64, body: impl Fn() + Send + Sync + 'static) -> Duration {
    runtime.run(move || {
        let workers = smarm::Handle::current().workers();
        let start = Arc::new(smarm::sync::Barrier::new(crowd as usize + 1));
        let body = Arc::new(body);
        let crowd: Vec<_> = (0..crowd)
            .map(|n| {
                let (start, body) = (start.clone(), body.clone());
                let actor = smarm::Builder::new().worker(n as usize % workers).spawn(move || {
                    start.wait();
                    body();
                });
                actor.expect("there is a stack")
            })
            .collect();
        let stopwatch = Stopwatch::start_in_actor();
        start.wait();
        crowd.into_iter().for_each(|actor| actor.join().expect("it does not panic"));
        stopwatch.elapsed()
    })
}

/// As [`actors`], with tasks.
pub fn tasks<B: Future<Output = ()> + Send + 'static>(
    runtime: &Tokio,
    crowd: u64,
    body: impl Fn() -> B + Send + 'static,
) -> Duration {
    let run = async move {
        let start = Arc::new(tokio::sync::Barrier::new(crowd as usize + 1));
        let crowd: Vec<_> = (0..crowd)
            .map(|_| {
                let (start, body) = (start.clone(), body());
                tokio::spawn(async move {
                    start.wait().await;
                    body.await;
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
