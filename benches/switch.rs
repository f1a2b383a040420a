//! Yielding in turn, and awaiting what is ready.

#[path = "support/stopwatch.rs"]
mod stopwatch;
#[path = "support/switch.rs"]
mod switch;

use criterion::{Criterion, criterion_group, criterion_main};
use smarm::Config;
use tokio::task::yield_now;

fn yields(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(1).stack_size(64 << 10));
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (count, name) in [(2, "yield/2"), (1_000, "yield/1000"), (100_000, "yield/100000")] {
        let mut group = criterion.benchmark_group(name);
        // Time per yield: criterion asks for iterations, each actor does its share of them.
        let share = |iterations: u64| iterations.div_ceil(count as u64);
        let scaled = |iterations: u64, time: std::time::Duration| {
            time.mul_f64(iterations as f64 / (share(iterations) * count as u64) as f64)
        };
        if count > 1_000 {
            group.sample_size(10);
        }
        group.bench_function("smarm", |bencher| {
            bencher.iter_custom(|n| scaled(n, switch::actors(&smarm, count, share(n))));
        });
        group.bench_function("tokio yield_now", |bencher| {
            bencher.iter_custom(|n| scaled(n, switch::tasks(&tokio, count, share(n), yield_now)));
        });
        group.bench_function("tokio waking itself", |bencher| {
            bencher.iter_custom(|n| scaled(n, switch::tasks(&tokio, count, share(n), switch::wake_oneself)));
        });
        group.finish();
    }
}

fn ready(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(1));
    criterion.bench_function("await_future(ready)/smarm", |bencher| {
        bencher.iter_custom(|n| switch::await_ready(&smarm, n));
    });
}

criterion_group!(benches, yields, ready);
criterion_main!(benches);
