//! Round trips with tasks of a multi-thread tokio runtime, by two channels of tokio's: an actor's of
//! an attached smarm runtime, a task's, and an OS thread's.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use smarm_compat::await_future;
use tokio::runtime::{Handle, Runtime as Tokio};
use tokio::sync::mpsc;

/// One end of a pair: what goes to the echo, and what comes back.
struct Caller {
    to_echo: mpsc::Sender<u64>,
    answers: mpsc::Receiver<u64>,
}

impl Caller {
    /// With an echo that is a task of the runtime whose context this is.
    fn new() -> Self {
        Self::with_echo_on(&Handle::current())
    }

    fn with_echo_on(tokio: &Handle) -> Self {
        let (to_echo, mut requests) = mpsc::channel(1);
        let (to_caller, answers) = mpsc::channel(1);
        tokio.spawn(async move {
            while let Some(number) = requests.recv().await {
                if to_caller.send(number + 1).await.is_err() {
                    return;
                }
            }
        });
        Self { to_echo, answers }
    }

    async fn call(&mut self, number: u64) -> u64 {
        self.to_echo.send(number).await.expect("the echo listens");
        self.answers.recv().await.expect("the echo answers")
    }
}

/// `rounds`, shared among `pairs`; each has one at least.
fn share(rounds: u64, pairs: u64) -> u64 {
    (rounds / pairs).max(1)
}

/// What `rounds` would have taken, where each of `pairs` made its share.
fn scaled(elapsed: Duration, rounds: u64, pairs: u64) -> Duration {
    elapsed.mul_f64(rounds as f64 / (share(rounds, pairs) * pairs) as f64)
}

/// `pairs` of an actor and a task.
pub fn actors_call_tasks(runtime: &smarm::Runtime, pairs: u64, rounds: u64) -> Duration {
    let each = share(rounds, pairs);
    let elapsed = runtime.run(|| {
        let start = Instant::now();
        let actors: Vec<_> = (0..pairs)
            .map(|_| {
                smarm::spawn(move || {
                    let mut caller = Caller::new();
                    assert_eq!((0..each).fold(0, |number, _| await_future(caller.call(number))), each);
                })
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().expect("it does not panic"));
        start.elapsed()
    });
    scaled(elapsed, rounds, pairs)
}

/// `pairs` of two tasks: a caller of the one runtime, and an echo of the other, which may be the same.
pub fn tasks_call_tasks(tokio: &Tokio, other: &Tokio, pairs: u64, rounds: u64) -> Duration {
    let each = share(rounds, pairs);
    let other = other.handle().clone();
    let calls = async move {
        let start = Instant::now();
        let tasks: Vec<_> = (0..pairs)
            .map(|_| {
                let other = other.clone();
                tokio::spawn(async move {
                    let (mut caller, mut number) = (Caller::with_echo_on(&other), 0);
                    for _ in 0..each {
                        number = caller.call(number).await;
                    }
                    assert_eq!(number, each);
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
        start.elapsed()
    };
    let elapsed = tokio.block_on(async { tokio::spawn(calls).await.expect("it does not panic") });
    scaled(elapsed, rounds, pairs)
}

/// `pairs` of an OS thread, which calls `Handle::block_on` for each round, and a task.
pub fn threads_call_tasks(tokio: &Tokio, pairs: u64, rounds: u64) -> Duration {
    let each = share(rounds, pairs);
    let gate = Barrier::new(pairs as usize + 1);
    let elapsed = thread::scope(|scope| {
        let threads: Vec<_> = (0..pairs)
            .map(|_| {
                scope.spawn(|| {
                    let mut caller = tokio.block_on(async { Caller::new() });
                    gate.wait();
                    let mut number = 0;
                    for _ in 0..each {
                        number = tokio.handle().block_on(caller.call(number));
                    }
                    assert_eq!(number, each);
                })
            })
            .collect();
        gate.wait();
        let start = Instant::now();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        start.elapsed()
    });
    scaled(elapsed, rounds, pairs)
}

/// As [`threads_call_tasks`], of closures in `spawn_blocking`.
#[allow(dead_code, reason = "the bench of attached actors has no need of it")]
pub fn blocking_closures_call_tasks(tokio: &Tokio, pairs: u64, rounds: u64) -> Duration {
    let each = share(rounds, pairs);
    let start = Instant::now();
    let closures: Vec<_> = (0..pairs)
        .map(|_| {
            let handle = tokio.handle().clone();
            tokio.spawn_blocking(move || {
                let mut caller = handle.block_on(async { Caller::new() });
                assert_eq!((0..each).fold(0, |number, _| handle.block_on(caller.call(number))), each);
            })
        })
        .collect();
    tokio.block_on(async {
        for closure in closures {
            closure.await.expect("it does not panic");
        }
    });
    scaled(start.elapsed(), rounds, pairs)
}
