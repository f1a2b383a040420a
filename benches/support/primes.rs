//! Computing, shared out: how many primes there are below a limit, chunk by chunk.

use std::ops::Range;
use std::time::Duration;

use crate::stopwatch::Stopwatch;

const LIMIT: u32 = 200_000;
const CHUNK: usize = 1_000;
/// How many primes there are below [`LIMIT`].
const PRIMES: usize = 17_984;

/// By trial division.
fn is_prime(number: u32) -> bool {
    if number < 4 {
        return number > 1;
    }
    !number.is_multiple_of(2)
        && (3..).step_by(2).take_while(|odd| odd * odd <= number).all(|odd| !number.is_multiple_of(odd))
}

fn count(chunk: Range<u32>) -> usize {
    chunk.filter(|number| is_prime(*number)).count()
}

fn chunks() -> impl Iterator<Item = Range<u32>> {
    (0..LIMIT).step_by(CHUNK).map(|first| first..first + CHUNK as u32)
}

/// One actor per chunk.
pub fn by_actors(runtime: &smarm::Runtime) -> Duration {
    runtime.run(|| {
        let stopwatch = Stopwatch::start_in_actor();
        let actors: Vec<_> = chunks().map(|chunk| smarm::spawn(move || count(chunk))).collect();
        let primes: usize = actors.into_iter().map(|actor| actor.join().expect("it does not panic")).sum();
        let elapsed = stopwatch.elapsed();
        assert_eq!(primes, PRIMES);
        elapsed
    })
}

/// One task per chunk.
pub fn by_tasks(runtime: &tokio::runtime::Runtime) -> Duration {
    let work = async {
        let stopwatch = Stopwatch::start_in_task();
        let tasks: Vec<_> = chunks().map(|chunk| tokio::spawn(async move { count(chunk) })).collect();
        let mut primes = 0;
        for task in tasks {
            primes += task.await.expect("it does not panic");
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(primes, PRIMES);
        elapsed
    };
    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
}
