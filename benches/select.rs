//! Waiting for the first of several receivers, scopes, and groups, beside their relatives.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use smarm::{Config, Group};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// A row of receivers by name, and one of senders in an array.
macro_rules! channels {
    ($make:expr, $senders:ident, [$($rx:ident)*]) => {
        let mut $senders = Vec::new();
        $(let (sender, mut $rx) = $make; $senders.push(sender);)*
    };
}

macro_rules! select_of_smarm {
    ($runtime:expr, $rounds:expr, [$($rx:ident)*]) => {
        $runtime.run(move || {
            channels!(smarm::channel::<u64>(), senders, [$($rx)*]);
            let sender = smarm::spawn(move || {
                for round in 0..$rounds {
                    senders[round as usize % senders.len()].send(round).expect("it is received");
                    smarm::yield_now();
                }
            });
            let start = Instant::now();
            let mut sum = 0;
            for _ in 0..$rounds {
                sum += smarm::select! { $(n = recv(&mut $rx) => n.expect("one comes"),)* };
            }
            let elapsed = start.elapsed();
            sender.join().expect("it does not panic");
            assert_eq!(sum, below($rounds));
            elapsed
        })
    };
}

macro_rules! select_of_tokio {
    ($runtime:expr, $rounds:expr, [$($rx:ident)*]) => {
        $runtime.block_on(async move {
            let rounds = $rounds;
            tokio::spawn(async move {
                channels!(tokio::sync::mpsc::unbounded_channel::<u64>(), senders, [$($rx)*]);
                let sender = tokio::spawn(async move {
                    for round in 0..rounds {
                        senders[round as usize % senders.len()].send(round).expect("it is received");
                        tokio::task::yield_now().await;
                    }
                });
                let start = Instant::now();
                let mut sum = 0;
                for _ in 0..rounds {
                    sum += tokio::select! { $(n = $rx.recv() => n.expect("one comes"),)* };
                }
                let elapsed = start.elapsed();
                sender.await.expect("it does not panic");
                assert_eq!(sum, below(rounds));
                elapsed
            })
            .await
            .expect("it does not panic")
        })
    };
}

/// On two threads, with a `Select` that is made anew for each round, as the macros do.
fn select_of_crossbeam(rounds: u64, count: usize) -> Duration {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..count).map(|_| crossbeam_channel::unbounded::<u64>()).unzip();
    std::thread::scope(|s| {
        s.spawn(|| (0..rounds).for_each(|n| senders[n as usize % count].send(n).expect("it is received")));
        let start = Instant::now();
        let mut sum = 0;
        for _ in 0..rounds {
            let mut select = crossbeam_channel::Select::new();
            for receiver in &receivers {
                select.recv(receiver);
            }
            let ready = select.select();
            let index = ready.index();
            sum += ready.recv(&receivers[index]).expect("one comes");
        }
        assert_eq!(sum, below(rounds));
        start.elapsed()
    })
}

fn selects(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(1));
    let tokio = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("select over 2 receivers");
    group.bench_function("smarm", |b| b.iter_custom(|n| select_of_smarm!(smarm, n, [a b])));
    group.bench_function("tokio", |b| b.iter_custom(|n| select_of_tokio!(tokio, n, [a b])));
    group.bench_function("crossbeam, threads", |b| b.iter_custom(|n| select_of_crossbeam(n, 2)));
    group.finish();
    let mut group = criterion.benchmark_group("select over 16 receivers");
    group.bench_function("smarm", |bencher| {
        bencher.iter_custom(|rounds| select_of_smarm!(smarm, rounds, [a b c d e f g h i j k l m n o p]));
    });
    group.bench_function("tokio", |bencher| {
        bencher.iter_custom(|rounds| select_of_tokio!(tokio, rounds, [a b c d e f g h i j k l m n o p]));
    });
    group.bench_function("crossbeam, threads", |b| b.iter_custom(|n| select_of_crossbeam(n, 16)));
    group.finish();
}

fn scopes(criterion: &mut Criterion) {
    let smarm = smarm::runtime::init(Config::exact(1));
    let tokio = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("8 children");
    group.bench_function("smarm::scope", |bencher| {
        bencher.iter_custom(|rounds| {
            smarm.run(|| {
                let start = Instant::now();
                for _ in 0..rounds {
                    let mut results = [0; 8];
                    smarm::scope(|s| {
                        results
                            .iter_mut()
                            .enumerate()
                            .for_each(|(n, result)| drop(s.spawn(move || *result = n)));
                    });
                    assert_eq!(black_box(results).iter().sum::<usize>(), 28);
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("std::thread::scope", |bencher| {
        bencher.iter(|| {
            let mut results = [0; 8];
            std::thread::scope(|s| {
                results.iter_mut().enumerate().for_each(|(n, result)| drop(s.spawn(move || *result = n)));
            });
            assert_eq!(black_box(results).iter().sum::<usize>(), 28);
        });
    });
    group.bench_function("tokio JoinSet, without borrowing", |bencher| {
        bencher.iter_custom(|rounds| {
            tokio.block_on(async move {
                let start = Instant::now();
                for _ in 0..rounds {
                    let mut set = JoinSet::new();
                    (0..8).for_each(|n| _ = set.spawn(async move { n }));
                    let mut sum = 0;
                    while let Some(n) = set.join_next().await {
                        sum += n.expect("it does not panic");
                    }
                    assert_eq!(black_box(sum), 28);
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

fn groups(criterion: &mut Criterion) {
    const MEMBERS: u64 = 1_000;
    let smarm = smarm::runtime::init(Config::exact(1));
    let tokio = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("group of 1000");
    group.bench_function("smarm::Group", |bencher| {
        bencher.iter_custom(|rounds| {
            smarm.run(|| {
                let start = Instant::now();
                for _ in 0..rounds {
                    let mut group = Group::new();
                    (0..MEMBERS).for_each(|n| _ = group.spawn(move || n));
                    let mut sum = 0;
                    while let Some(n) = group.join_next() {
                        sum += n.expect("it does not panic");
                    }
                    assert_eq!(sum, below(MEMBERS));
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("tokio JoinSet", |bencher| {
        bencher.iter_custom(|rounds| {
            tokio.block_on(async move {
                let start = Instant::now();
                for _ in 0..rounds {
                    let mut set = JoinSet::new();
                    (0..MEMBERS).for_each(|n| _ = set.spawn(async move { n }));
                    let mut sum = 0;
                    while let Some(n) = set.join_next().await {
                        sum += n.expect("it does not panic");
                    }
                    assert_eq!(sum, below(MEMBERS));
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

/// The sum of the numbers below `count`.
fn below(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}

criterion_group!(benches, selects, scopes, groups);
criterion_main!(benches);
