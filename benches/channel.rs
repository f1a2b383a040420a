//! Messages to and fro, and from many to one.

#[path = "support/channel.rs"]
mod channel;
#[path = "support/stopwatch.rs"]
mod stopwatch;

use channel::{
    actor_ping_pong, actors_to_one, task_ping_pong, task_ping_pong_apart, tasks_to_one, tasks_to_one_bounded,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smarm::Config;
use tokio::runtime::Builder;

const CAPACITY: usize = 128;

fn current_thread() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn ping_pong(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(1));
    let tokio = current_thread();
    let mut group = criterion.benchmark_group("ping-pong, one worker");
    group.bench_function("smarm", |bencher| bencher.iter_custom(|n| actor_ping_pong(&smarm, [0, 0], n)));
    group.bench_function("tokio", |bencher| bencher.iter_custom(|n| task_ping_pong(&tokio, n)));
    group.finish();
    drop((smarm, tokio));

    let smarm = smarm::runtime::init(Config::exact(2));
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let apart = [current_thread(), current_thread()];
    let mut group = criterion.benchmark_group("ping-pong, different workers");
    group.sample_size(30);
    group.bench_function("smarm", |bencher| bencher.iter_custom(|n| actor_ping_pong(&smarm, [0, 1], n)));
    group.bench_function("tokio multi_thread", |bencher| bencher.iter_custom(|n| task_ping_pong(&tokio, n)));
    group.bench_function("tokio, two current_thread", |bencher| {
        bencher.iter_custom(|n| task_ping_pong_apart(&apart, n));
    });
    group.finish();
}

fn many_to_one(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(2));
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    for workers in [&[1][..], &[1, 0, 1, 0][..]] {
        let producers = workers.len() as u64;
        let whole = |iterations: u64| iterations.next_multiple_of(producers);

        let mut group = criterion.benchmark_group(format!("{producers} to one, two workers"));
        group.throughput(Throughput::Elements(1)).sample_size(30);
        group.bench_function("smarm", |bencher| {
            bencher.iter_custom(|n| actors_to_one(&smarm, workers, None, whole(n)));
        });
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|n| tasks_to_one(&tokio, producers, whole(n)));
        });
        group.finish();

        let mut group = criterion.benchmark_group(format!("{producers} to one, bounded, two workers"));
        group.throughput(Throughput::Elements(1)).sample_size(30);
        group.bench_function("smarm", |bencher| {
            bencher.iter_custom(|n| actors_to_one(&smarm, workers, Some(CAPACITY), whole(n)));
        });
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|n| tasks_to_one_bounded(&tokio, producers, CAPACITY, whole(n)));
        });
        group.finish();
    }
}

criterion_group!(benches, ping_pong, many_to_one);
criterion_main!(benches);
