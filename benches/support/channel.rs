//! Messages between actors, beside messages between tokio tasks.
//!
//! Where it matters on which worker an actor runs, the caller says so; tokio places its tasks as it
//! likes, but for the two runtimes of one thread each in [`task_ping_pong_apart`].

use std::time::{Duration, Instant};

use smarm::channel;
use tokio::runtime::Runtime as Tokio;
use tokio::sync::mpsc;

use crate::stopwatch::Stopwatch;

/// Two actors, on these workers, send a number to and fro `rounds` times.
pub fn actor_ping_pong(runtime: &smarm::Runtime, workers: [usize; 2], rounds: u64) -> Duration {
    runtime.run(|| {
        let (to_echo, requests) = channel::channel();
        let (to_caller, answers) = channel::channel();
        let echo = smarm::Builder::new().worker(workers[1]).spawn(move || {
            for number in requests {
                if to_caller.send(number + 1).is_err() {
                    break;
                }
            }
        });
        let caller = smarm::Builder::new().worker(workers[0]).spawn(move || {
            let stopwatch = Stopwatch::start_in_actor();
            let mut number = 0;
            for _ in 0..rounds {
                to_echo.send(number).expect("the echo listens");
                number = answers.recv().expect("the echo answers");
            }
            let elapsed = stopwatch.elapsed();
            assert_eq!(number, rounds);
            elapsed
        });
        let elapsed = caller.expect("there is a stack").join().expect("it does not panic");
        echo.expect("there is a stack").join().expect("it does not panic");
        elapsed
    })
}

async fn echo(mut requests: mpsc::UnboundedReceiver<u64>, to_caller: mpsc::UnboundedSender<u64>) {
    while let Some(number) = requests.recv().await {
        if to_caller.send(number + 1).is_err() {
            break;
        }
    }
}

async fn call(
    to_echo: mpsc::UnboundedSender<u64>,
    mut answers: mpsc::UnboundedReceiver<u64>,
    rounds: u64,
    alone: bool,
) -> Duration {
    let stopwatch = Stopwatch::start(alone);
    let mut number = 0;
    for _ in 0..rounds {
        to_echo.send(number).expect("the echo listens");
        number = answers.recv().await.expect("the echo answers");
    }
    let elapsed = stopwatch.elapsed();
    assert_eq!(number, rounds);
    elapsed
}

/// Two tasks of one runtime send a number to and fro `rounds` times.
pub fn task_ping_pong(runtime: &Tokio, rounds: u64) -> Duration {
    let (to_echo, requests) = mpsc::unbounded_channel();
    let (to_caller, answers) = mpsc::unbounded_channel();
    runtime.block_on(async {
        let echo = tokio::spawn(echo(requests, to_caller));
        let alone = runtime.metrics().num_workers() == 1;
        let elapsed = tokio::spawn(call(to_echo, answers, rounds, alone)).await.expect("it does not panic");
        echo.await.expect("it does not panic");
        elapsed
    })
}

/// As [`task_ping_pong`], between two single-threaded runtimes on threads of their own.
pub fn task_ping_pong_apart(runtimes: &[Tokio; 2], rounds: u64) -> Duration {
    let (to_echo, requests) = mpsc::unbounded_channel();
    let (to_caller, answers) = mpsc::unbounded_channel();
    let run_echo = || {
        runtimes[1]
            .block_on(async { tokio::spawn(echo(requests, to_caller)).await.expect("it does not panic") })
    };
    std::thread::scope(|scope| {
        scope.spawn(run_echo);
        runtimes[0].block_on(async {
            tokio::spawn(call(to_echo, answers, rounds, false)).await.expect("it does not panic")
        })
    })
}

/// One actor on worker 0 receives `messages` from as many others as there are `producers`, which
/// names their workers. With a `capacity` the channel is bounded.
pub fn actors_to_one(
    runtime: &smarm::Runtime,
    producers: &[usize],
    capacity: Option<usize>,
    messages: u64,
) -> Duration {
    let each = messages / producers.len() as u64;
    runtime.run(|| {
        let (sender, receiver) = capacity.map_or_else(channel::channel, channel::bounded);
        let consumer = smarm::Builder::new().worker(0).spawn(move || {
            let (mut begin, mut count, mut sum) = (None, 0, 0);
            for message in receiver {
                begin.get_or_insert_with(Instant::now);
                count += 1;
                sum += message;
            }
            (begin.map_or(Duration::ZERO, |begin| begin.elapsed()), count, sum)
        });
        for worker in producers {
            let sender = sender.clone();
            let producer = smarm::Builder::new().worker(*worker).spawn(move || {
                for message in 0..each {
                    sender.send(message).expect("the receiver is there");
                }
            });
            drop(producer.expect("there is a stack"));
        }
        drop(sender);
        let (elapsed, count, sum): (_, u64, u64) =
            consumer.expect("there is a stack").join().expect("it does not panic");
        check(producers.len() as u64, each, count, sum);
        elapsed
    })
}

/// As [`actors_to_one`], of tasks, unbounded.
pub fn tasks_to_one(runtime: &Tokio, producers: u64, messages: u64) -> Duration {
    let each = messages / producers;
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let consumer = tokio::spawn(async move {
            let (mut begin, mut count, mut sum) = (None, 0, 0);
            while let Some(message) = receiver.recv().await {
                begin.get_or_insert_with(Instant::now);
                count += 1;
                sum += message;
            }
            (begin.map_or(Duration::ZERO, |begin| begin.elapsed()), count, sum)
        });
        for _ in 0..producers {
            let sender = sender.clone();
            tokio::spawn(async move {
                for message in 0..each {
                    sender.send(message).expect("the receiver is there");
                }
            });
        }
        drop(sender);
        let (elapsed, count, sum) = consumer.await.expect("it does not panic");
        check(producers, each, count, sum);
        elapsed
    })
}

/// As [`actors_to_one`], of tasks, bounded.
pub fn tasks_to_one_bounded(runtime: &Tokio, producers: u64, capacity: usize, messages: u64) -> Duration {
    let each = messages / producers;
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(capacity);
        let consumer = tokio::spawn(async move {
            let (mut begin, mut count, mut sum) = (None, 0, 0);
            while let Some(message) = receiver.recv().await {
                begin.get_or_insert_with(Instant::now);
                count += 1;
                sum += message;
            }
            (begin.map_or(Duration::ZERO, |begin| begin.elapsed()), count, sum)
        });
        for _ in 0..producers {
            let sender = sender.clone();
            tokio::spawn(async move {
                for message in 0..each {
                    sender.send(message).await.expect("the receiver is there");
                }
            });
        }
        drop(sender);
        let (elapsed, count, sum) = consumer.await.expect("it does not panic");
        check(producers, each, count, sum);
        elapsed
    })
}

fn check(producers: u64, each: u64, count: u64, sum: u64) {
    assert_eq!(count, producers * each);
    assert_eq!(sum, producers * (each * each.saturating_sub(1) / 2));
}
