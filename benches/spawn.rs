//! Spawning and joining, one by one, many at once, and as a tree.

#[path = "support/spawn.rs"]
mod spawn;
#[path = "support/stopwatch.rs"]
mod stopwatch;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use smarm::Config;
use tokio::runtime::Builder;

fn on_one_worker(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(1));
    let tokio = Builder::new_current_thread().enable_all().build().expect("a runtime");

    let mut group = criterion.benchmark_group("spawn and join");
    group.bench_function("smarm", |bencher| bencher.iter_custom(|n| spawn::actor_by_actor(&smarm, n)));
    group.bench_function("tokio", |bencher| bencher.iter_custom(|n| spawn::task_by_task(&tokio, n)));
    group.finish();

    let mut group = criterion.benchmark_group("spawn 100000, then join all");
    group.sample_size(10);
    group.bench_function("smarm", |bencher| {
        bencher.iter_custom(|n| repeated(n, || spawn::actors_at_once(&smarm, 100_000)));
    });
    group.bench_function("tokio", |bencher| {
        bencher.iter_custom(|n| repeated(n, || spawn::tasks_at_once(&tokio, 100_000)));
    });
    group.finish();
}

fn on_two_workers(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(2));
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");

    let mut group = criterion.benchmark_group("skynet of 1000000 leaves, two workers");
    group.sample_size(10);
    group.bench_function("smarm", |bencher| {
        bencher.iter_custom(|n| repeated(n, || spawn::skynet_of_actors(&smarm, 1_000_000)));
    });
    group.bench_function("tokio", |bencher| {
        bencher.iter_custom(|n| repeated(n, || spawn::skynet_of_tasks(&tokio, 1_000_000)));
    });
    group.finish();
}

fn repeated(times: u64, mut run: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| run()).sum()
}

criterion_group!(benches, on_one_worker, on_two_workers);
criterion_main!(benches);
