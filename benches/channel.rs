//! Messages to and fro, from many to one, from many to many, and from one to all.

#[path = "support/channel.rs"]
mod channel;
#[path = "support/queues.rs"]
mod queues;
#[path = "support/stopwatch.rs"]
mod stopwatch;

use channel::{
    actor_ping_pong, actors_to_one, task_ping_pong, task_ping_pong_apart, tasks_to_one, tasks_to_one_bounded,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
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
        peers(&mut group, None, producers, 1);
        group.finish();

        let mut group = criterion.benchmark_group(format!("{producers} to one, bounded, two workers"));
        group.throughput(Throughput::Elements(1)).sample_size(30);
        group.bench_function("smarm", |bencher| {
            bencher.iter_custom(|n| actors_to_one(&smarm, workers, Some(CAPACITY), whole(n)));
        });
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|n| tasks_to_one_bounded(&tokio, producers, CAPACITY, whole(n)));
        });
        peers(&mut group, Some(CAPACITY), producers, 1);
        group.finish();
    }
}

/// Other crates' channels between OS threads, for which they are made.
fn peers(group: &mut BenchmarkGroup<'_, WallTime>, capacity: Option<usize>, senders: u64, receivers: u64) {
    let whole = |iterations: u64| iterations.next_multiple_of(senders);
    group.bench_function("crossbeam, threads", |bencher| {
        let make = || capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
        bencher.iter_custom(|n| queues::threads(make(), senders, receivers, whole(n)));
    });
    group.bench_function("flume, threads", |bencher| {
        let make = || capacity.map_or_else(flume::unbounded, flume::bounded);
        bencher.iter_custom(|n| queues::threads(make(), senders, receivers, whole(n)));
    });
    group.bench_function("kanal, threads", |bencher| {
        let make = || capacity.map_or_else(kanal::unbounded, kanal::bounded);
        bencher.iter_custom(|n| queues::threads(make(), senders, receivers, whole(n)));
    });
}

fn many_to_many(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(2));
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    for capacity in [None, Some(CAPACITY)] {
        let name = if capacity.is_some() { "4 to 4, bounded, two workers" } else { "4 to 4, two workers" };
        let whole = |iterations: u64| iterations.next_multiple_of(4);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1)).sample_size(20);
        group.bench_function("smarm", |bencher| {
            bencher.iter_custom(|n| queues::actors(&smarm, capacity, 4, whole(n)));
        });
        group.bench_function("async-channel on tokio", |bencher| {
            bencher.iter_custom(|n| queues::tasks(&tokio, capacity, 4, whole(n)));
        });
        peers(&mut group, capacity, 4, 4);
        group.bench_function("async-channel, threads", |bencher| {
            let make = || capacity.map_or_else(async_channel::unbounded, async_channel::bounded);
            bencher.iter_custom(|n| queues::threads(make(), 4, 4, whole(n)));
        });
        group.finish();
    }
}

fn one_to_all(criterion: &mut Criterion) {
    for workers in [1, 2] {
        let smarm = smarm::runtime::init(Config::exact(workers));
        let tokio =
            Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime");
        let mut group = criterion.benchmark_group(format!("broadcast to 100, workers: {workers}"));
        group.sample_size(20);
        group.bench_function("smarm", |bencher| {
            bencher.iter_custom(|n| queues::actors_broadcast(&smarm, 100, n));
        });
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|n| queues::tasks_broadcast(&tokio, 100, n));
        });
        group.finish();
        let mut group = criterion.benchmark_group(format!("watch to and fro, workers: {workers}"));
        group.sample_size(20);
        group.bench_function("smarm", |bencher| bencher.iter_custom(|n| queues::actors_watch(&smarm, n)));
        group.bench_function("tokio", |bencher| bencher.iter_custom(|n| queues::tasks_watch(&tokio, n)));
        group.finish();
    }
}

criterion_group!(benches, ping_pong, many_to_one, many_to_many, one_to_all);
criterion_main!(benches);
