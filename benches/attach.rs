//! Between an actor of an attached runtime and a task of the multi-thread runtime that it is attached
//! to, with peers: two tasks, which tokio brings together on one thread; tasks of two runtimes, which
//! are on different threads as the actor is; and an OS thread in `Handle::block_on` with a task.

#[path = "support/attach.rs"]
mod attach;

use attach::{actors_call_tasks, tasks_call_tasks, threads_call_tasks};
use criterion::{Criterion, criterion_group, criterion_main};

/// Under load.
const MANY: u64 = 64;

fn round_trips(criterion: &mut Criterion) {
    let multi_thread =
        || tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (tokio, other) = (multi_thread(), multi_thread());
    let attached = |spin| smarm_compat::Builder::new().spin(spin).attach(tokio.handle()).expect("a runtime");
    let (spinning, sleeping) = (attached(true), attached(false));
    for pairs in [MANY, 1] {
        let name = format!("round trip with a task of a multi-thread runtime, {pairs} at a time");
        let mut group = criterion.benchmark_group(name);
        for (name, runtime) in [("actor", &spinning), ("actor, without spinning", &sleeping)] {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|n| actors_call_tasks(runtime, pairs, n));
            });
        }
        for (name, caller) in [("task", &tokio), ("task of another runtime", &other)] {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|n| tasks_call_tasks(caller, &tokio, pairs, n));
            });
        }
        group.bench_function("thread in Handle::block_on", |bencher| {
            bencher.iter_custom(|n| threads_call_tasks(&tokio, pairs, n));
        });
        group.finish();
    }
}

criterion_group!(benches, round_trips);
criterion_main!(benches);
