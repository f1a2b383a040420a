//! Giving way to others: actors beside tokio tasks.
//!
//! Each function performs `rounds` yields per actor or task, and gives the time from the moment
//! when all have started to the moment when the last has done its rounds. Until all have started,
//! those that have give way to the others: that part is warm-up and is not measured.

use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::stopwatch::Stopwatch;

/// What the actors or tasks of one run share.
struct Run {
    waiting: AtomicUsize,
    running: AtomicUsize,
    stopwatch: OnceLock<Stopwatch>,
    elapsed: OnceLock<Duration>,
}

impl Run {
    fn new(count: usize) -> Self {
        Self {
            waiting: AtomicUsize::new(count),
            running: AtomicUsize::new(count),
            stopwatch: OnceLock::new(),
            elapsed: OnceLock::new(),
        }
    }

    fn arrive(&self) {
        if self.waiting.fetch_sub(1, Relaxed) == 1 {
            let stopwatch = Stopwatch::start(true);
            assert!(self.stopwatch.set(stopwatch).is_ok(), "only the last to arrive begins");
        }
    }

    fn all_here(&self) -> bool {
        self.waiting.load(Relaxed) == 0
    }

    fn finish(&self) {
        if self.running.fetch_sub(1, Relaxed) == 1 {
            let elapsed = self.stopwatch.get().expect("all have arrived").elapsed();
            self.elapsed.set(elapsed).expect("only the last to finish ends");
        }
    }

    fn elapsed(&self) -> Duration {
        assert_eq!(self.running.load(Relaxed), 0);
        *self.elapsed.get().expect("all have finished")
    }
}

/// `count` actors of a runtime of one worker yield in turn.
pub fn actors(runtime: &smarm::Runtime, count: usize, rounds: u64) -> Duration {
    runtime.run(|| {
        let run = Arc::new(Run::new(count));
        let actors: Vec<_> = (0..count)
            .map(|_| {
                let run = run.clone();
                smarm::spawn(move || {
                    run.arrive();
                    while !run.all_here() {
                        smarm::yield_now();
                    }
                    let mut done = 0;
                    while done < rounds {
                        smarm::yield_now();
                        done += 1;
                    }
                    run.finish();
                    done
                })
            })
            .collect();
        let done: u64 = actors.into_iter().map(|actor| actor.join().expect("it does not panic")).sum();
        assert_eq!(done, count as u64 * rounds);
        run.elapsed()
    })
}

/// `count` tokio tasks on one thread give way in turn, by the future that `give_way` makes.
pub fn tasks<F>(
    runtime: &tokio::runtime::Runtime,
    count: usize,
    rounds: u64,
    give_way: impl Fn() -> F + Copy + Send + 'static,
) -> Duration
where
    F: Future<Output = ()> + Send,
{
    runtime.block_on(async {
        let run = Arc::new(Run::new(count));
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let run = run.clone();
                tokio::spawn(async move {
                    run.arrive();
                    while !run.all_here() {
                        give_way().await;
                    }
                    let mut done = 0;
                    while done < rounds {
                        give_way().await;
                        done += 1;
                    }
                    run.finish();
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.expect("it does not panic");
        }
        assert_eq!(done, count as u64 * rounds);
        run.elapsed()
    })
}

/// Gives way by waking itself: the cheapest way tokio has, which does not let the I/O driver run.
pub fn wake_oneself() -> WakeOneself {
    WakeOneself { woken: false }
}

/// See [`wake_oneself`].
pub struct WakeOneself {
    woken: bool,
}

impl Future for WakeOneself {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.woken {
            return Poll::Ready(());
        }
        self.woken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// An actor awaits `rounds` futures that are ready, on one worker.
pub fn await_ready(runtime: &smarm::Runtime, rounds: u64) -> Duration {
    runtime.run(|| {
        let stopwatch = Stopwatch::start(true);
        let mut sum = 0;
        for round in 0..rounds {
            sum += smarm::compat::await_future(ready(black_box(round)));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, rounds * rounds.saturating_sub(1) / 2);
        elapsed
    })
}
