//! Computing, shared out and gathered.

#[path = "support/primes.rs"]
mod primes;
#[path = "support/stopwatch.rs"]
mod stopwatch;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use smarm::Config;
use tokio::runtime::{Builder, Runtime};

fn count(criterion: &mut Criterion) {
    for workers in [1, 2] {
        let smarm = smarm::runtime::init(Config::exact(workers));
        let mut group = criterion.benchmark_group(format!("primes, workers: {workers}"));
        group.sample_size(20);
        group.bench_function("smarm", |bencher| {
            bencher.iter_custom(|n| repeated(n, || primes::by_actors(&smarm)));
        });
        let mut beside = |name: &str, tokio: Runtime| {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|n| repeated(n, || primes::by_tasks(&tokio)));
            });
        };
        if workers == 1 {
            beside("tokio current_thread", Builder::new_current_thread().build().expect("a runtime"));
        }
        let tokio = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        beside("tokio multi_thread", tokio.expect("a runtime"));
        group.finish();
    }
}

fn repeated(times: u64, mut run: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| run()).sum()
}

criterion_group!(benches, count);
criterion_main!(benches);
