//! Locks and semaphores: alone, and with a thousand who want them at once.

#[path = "support/stopwatch.rs"]
mod stopwatch;
#[path = "support/sync.rs"]
mod sync;

use std::sync::Arc;
use std::time::Duration;

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use smarm::Config;
use smarm::sync::{Mutex, RwLock, Semaphore};
use sync::{CROWD, actors, tasks};
use tokio::runtime::{Builder, Runtime as Tokio};

const TIME: Duration = Duration::from_secs(60);
/// One access in so many writes.
const WRITES: u64 = 20;
const PERMITS: usize = 10;

/// Which waiting there is: none by oneself, between two workers if they meet, or always.
#[derive(Clone, Copy, PartialEq)]
enum Crowd {
    Alone,
    Brief,
    HeldOverYield,
}

impl Crowd {
    fn size(self) -> u64 {
        if self == Crowd::Alone { 1 } else { CROWD }
    }

    /// How often each of them has its turn: in a crowd always as often, so that their coming and going counts
    /// the same on both sides, and little.
    fn rounds(self, iterations: u64) -> u64 {
        match self {
            Crowd::Alone => iterations,
            Crowd::Brief => 1000,
            Crowd::HeldOverYield => 100,
        }
    }

    fn yields(self) -> bool {
        self == Crowd::HeldOverYield
    }

    fn name(self) -> &'static str {
        match self {
            Crowd::Alone => "alone",
            Crowd::Brief => "1000, brief",
            Crowd::HeldOverYield => "1000, held over a yield",
        }
    }
}

/// Two worlds of as many workers.
struct Worlds {
    smarm: smarm::Runtime,
    tokio: Tokio,
    workers: usize,
}

impl Worlds {
    fn new(workers: usize) -> Self {
        let mut tokio = match workers {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        Worlds {
            smarm: smarm::runtime::init(Config::exact(workers)),
            tokio: tokio.worker_threads(workers).enable_all().build().expect("a runtime"),
            workers,
        }
    }
}

/// Has `crowd` do its rounds, checks that they did, and gives what the iterations take.
fn measure(bencher: &mut Bencher, crowd: Crowd, run: impl Fn(u64) -> (Duration, u64)) {
    bencher.iter_custom(|iterations| {
        let each = crowd.rounds(iterations);
        let (elapsed, done) = run(each);
        assert_eq!(done, each * crowd.size());
        elapsed.mul_f64(iterations as f64 / done as f64)
    });
}

fn mutex(criterion: &mut Criterion, worlds: &Worlds, crowd: Crowd) {
    let mut group = criterion.benchmark_group(format!("mutex, {}, {} workers", crowd.name(), worlds.workers));
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function("smarm", |bencher| {
        measure(bencher, crowd, |each| {
            let count = Arc::new(Mutex::new(0));
            let theirs = count.clone();
            let elapsed = actors(&worlds.smarm, crowd.size(), move || {
                for _ in 0..each {
                    let mut guard = theirs.lock(TIME).expect("it is free in time");
                    if crowd.yields() {
                        smarm::yield_now();
                    }
                    *guard += 1;
                }
            });
            let done = *count.lock(TIME).expect("all have ended");
            (elapsed, done)
        });
    });
    group.bench_function("tokio", |bencher| {
        measure(bencher, crowd, |each| {
            let count = Arc::new(tokio::sync::Mutex::new(0));
            let theirs = count.clone();
            let elapsed = tasks(&worlds.tokio, crowd.size(), move || {
                let theirs = theirs.clone();
                async move {
                    for _ in 0..each {
                        let mut guard = theirs.lock().await;
                        if crowd.yields() {
                            tokio::task::yield_now().await;
                        }
                        *guard += 1;
                    }
                }
            });
            let done = *count.blocking_lock();
            (elapsed, done)
        });
    });
    group.finish();
}

fn rwlock(criterion: &mut Criterion, worlds: &Worlds, crowd: Crowd) {
    let name = format!("rwlock with 95 % readers, {}, {} workers", crowd.name(), worlds.workers);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1)).sample_size(20);
    let all = |each: u64, written: u64| {
        let writes = each.div_ceil(WRITES) * crowd.size();
        assert_eq!(written, writes);
        each * crowd.size()
    };
    group.bench_function("smarm", |bencher| {
        measure(bencher, crowd, |each| {
            let lock = Arc::new(RwLock::new(0));
            let theirs = lock.clone();
            let elapsed = actors(&worlds.smarm, crowd.size(), move || {
                for round in 0..each {
                    if round % WRITES == 0 {
                        let mut guard = theirs.write(TIME).expect("it is free in time");
                        if crowd.yields() {
                            smarm::yield_now();
                        }
                        *guard += 1;
                    } else {
                        let guard = theirs.read(TIME).expect("it is free in time");
                        if crowd.yields() {
                            smarm::yield_now();
                        }
                        std::hint::black_box(*guard);
                    }
                }
            });
            let written = *lock.read(TIME).expect("all have ended");
            (elapsed, all(each, written))
        });
    });
    group.bench_function("tokio", |bencher| {
        measure(bencher, crowd, |each| {
            let lock = Arc::new(tokio::sync::RwLock::new(0));
            let theirs = lock.clone();
            let elapsed = tasks(&worlds.tokio, crowd.size(), move || {
                let theirs = theirs.clone();
                async move {
                    for round in 0..each {
                        if round % WRITES == 0 {
                            let mut guard = theirs.write().await;
                            if crowd.yields() {
                                tokio::task::yield_now().await;
                            }
                            *guard += 1;
                        } else {
                            let guard = theirs.read().await;
                            if crowd.yields() {
                                tokio::task::yield_now().await;
                            }
                            std::hint::black_box(*guard);
                        }
                    }
                }
            });
            let written = *lock.blocking_read();
            (elapsed, all(each, written))
        });
    });
    group.finish();
}

fn semaphore(criterion: &mut Criterion, worlds: &Worlds, crowd: Crowd) {
    let name = format!("semaphore of {PERMITS}, {}, {} workers", crowd.name(), worlds.workers);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function("smarm", |bencher| {
        measure(bencher, crowd, |each| {
            let seats = Arc::new(Semaphore::new(PERMITS));
            let theirs = seats.clone();
            let elapsed = actors(&worlds.smarm, crowd.size(), move || {
                for _ in 0..each {
                    let _permit = theirs.acquire().expect("it is not closed");
                    if crowd.yields() {
                        smarm::yield_now();
                    }
                }
            });
            assert_eq!(seats.available_permits(), PERMITS);
            (elapsed, each * crowd.size())
        });
    });
    group.bench_function("tokio", |bencher| {
        measure(bencher, crowd, |each| {
            let seats = Arc::new(tokio::sync::Semaphore::new(PERMITS));
            let theirs = seats.clone();
            let elapsed = tasks(&worlds.tokio, crowd.size(), move || {
                let theirs = theirs.clone();
                async move {
                    for _ in 0..each {
                        let _permit = theirs.acquire().await.expect("it is not closed");
                        if crowd.yields() {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            });
            assert_eq!(seats.available_permits(), PERMITS);
            (elapsed, each * crowd.size())
        });
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    for workers in [1, 2] {
        let worlds = Worlds::new(workers);
        for crowd in [Crowd::Alone, Crowd::Brief, Crowd::HeldOverYield] {
            mutex(criterion, &worlds, crowd);
            rwlock(criterion, &worlds, crowd);
            semaphore(criterion, &worlds, crowd);
        }
    }
}

criterion_group!(all, benches);
criterion_main!(all);
