//! Between an actor and a tokio task.

#[path = "support/bridge.rs"]
mod bridge;
#[path = "support/stopwatch.rs"]
mod stopwatch;

use criterion::{Criterion, criterion_group, criterion_main};

fn round_trips(criterion: &mut Criterion) {
    let smarm = smarm_compat::Builder::new().workers(1).start().expect("a runtime");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

    let mut group = criterion.benchmark_group("round trip with a task, by oneshot");
    group.bench_function("actor", |bencher| {
        bencher.iter_custom(|n| bridge::actor_writes_letters(&smarm, n));
    });
    group.bench_function("task", |bencher| bencher.iter_custom(|n| bridge::task_writes_letters(&tokio, n)));
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    group.bench_function("thread", |bencher| {
        bencher.iter_custom(|n| bridge::thread_writes_letters(&multi, n))
    });
    group.finish();

    let mut group = criterion.benchmark_group("round trip with a task, by mpsc");
    group.bench_function("actor", |bencher| bencher.iter_custom(|n| bridge::actor_and_echo(&smarm, n)));
    group.bench_function("task", |bencher| bencher.iter_custom(|n| bridge::task_and_echo(&tokio, n)));
    group.finish();

    criterion.bench_function("await_future(ready)/smarm on tokio", |bencher| {
        bencher.iter_custom(|n| bridge::await_ready(&smarm, n));
    });
}

criterion_group!(benches, round_trips);
criterion_main!(benches);
