//! Round trips with a tokio task: an actor's beside another task's.
//!
//! The actor's worker is itself a task of the `current_thread` runtime on which the task runs.

use std::future::ready;
use std::hint::black_box;
use std::time::Duration;

use smarm_compat::await_future;
use tokio::runtime::Runtime as Tokio;
use tokio::sync::{mpsc, oneshot};

use crate::stopwatch::Stopwatch;

/// A number, and where to send the next one.
struct Letter {
    number: u64,
    reply: oneshot::Sender<Letter>,
}

/// Answers each letter by the sender that it came with.
async fn correspond(mut inbox: oneshot::Receiver<Letter>) {
    while let Ok(letter) = inbox.await {
        let (reply, next) = oneshot::channel();
        inbox = next;
        if letter.reply.send(Letter { number: letter.number + 1, reply }).is_err() {
            return;
        }
    }
}

/// An actor and a task write letters to each other `rounds` times: two oneshots per round.
pub fn actor_writes_letters(runtime: &smarm::Runtime, rounds: u64) -> Duration {
    runtime.run(|| {
        let (mut outbox, inbox) = oneshot::channel();
        let correspondent = tokio::spawn(correspond(inbox));
        let stopwatch = Stopwatch::start(true);
        let mut number = 0;
        for _ in 0..rounds {
            let (reply, answer) = oneshot::channel();
            outbox.send(Letter { number, reply }).ok().expect("the correspondent reads");
            let letter = await_future(answer).expect("the correspondent answers");
            (number, outbox) = (letter.number, letter.reply);
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(number, rounds);
        drop(outbox);
        await_future(correspondent).expect("it does not panic");
        elapsed
    })
}

/// As [`actor_writes_letters`], of two tasks.
pub fn task_writes_letters(runtime: &Tokio, rounds: u64) -> Duration {
    let work = async move {
        let (mut outbox, inbox) = oneshot::channel();
        let correspondent = tokio::spawn(correspond(inbox));
        let stopwatch = Stopwatch::start(true);
        let mut number = 0;
        for _ in 0..rounds {
            let (reply, answer) = oneshot::channel();
            outbox.send(Letter { number, reply }).ok().expect("the correspondent reads");
            let letter = answer.await.expect("the correspondent answers");
            (number, outbox) = (letter.number, letter.reply);
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(number, rounds);
        drop(outbox);
        correspondent.await.expect("it does not panic");
        elapsed
    };
    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
}

/// As [`actor_writes_letters`], of an OS thread that blocks for each answer, and a task.
pub fn thread_writes_letters(runtime: &Tokio, rounds: u64) -> Duration {
    let (mut outbox, inbox) = oneshot::channel();
    let correspondent = runtime.spawn(correspond(inbox));
    let handle = runtime.handle();
    let stopwatch = Stopwatch::start(false);
    let mut number = 0;
    for _ in 0..rounds {
        let (reply, answer) = oneshot::channel();
        outbox.send(Letter { number, reply }).ok().expect("the correspondent reads");
        let letter = handle.block_on(answer).expect("the correspondent answers");
        (number, outbox) = (letter.number, letter.reply);
    }
    let elapsed = stopwatch.elapsed();
    assert_eq!(number, rounds);
    drop(outbox);
    handle.block_on(correspondent).expect("it does not panic");
    elapsed
}

/// Sends each number back, one higher.
async fn echo(mut requests: mpsc::Receiver<u64>, to_caller: mpsc::Sender<u64>) {
    while let Some(number) = requests.recv().await {
        if to_caller.send(number + 1).await.is_err() {
            return;
        }
    }
}

/// An actor and a task send a number to and fro `rounds` times, by two bounded channels of tokio's.
pub fn actor_and_echo(runtime: &smarm::Runtime, rounds: u64) -> Duration {
    runtime.run(|| {
        let (to_echo, requests) = mpsc::channel(16);
        let (to_caller, mut answers) = mpsc::channel(16);
        let echo = tokio::spawn(echo(requests, to_caller));
        let stopwatch = Stopwatch::start(true);
        let mut number = 0;
        for _ in 0..rounds {
            await_future(to_echo.send(number)).expect("the echo listens");
            number = await_future(answers.recv()).expect("the echo answers");
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(number, rounds);
        drop(to_echo);
        await_future(echo).expect("it does not panic");
        elapsed
    })
}

/// As [`actor_and_echo`], of two tasks.
pub fn task_and_echo(runtime: &Tokio, rounds: u64) -> Duration {
    let work = async move {
        let (to_echo, requests) = mpsc::channel(16);
        let (to_caller, mut answers) = mpsc::channel(16);
        let echo = tokio::spawn(echo(requests, to_caller));
        let stopwatch = Stopwatch::start(true);
        let mut number = 0;
        for _ in 0..rounds {
            to_echo.send(number).await.expect("the echo listens");
            number = answers.recv().await.expect("the echo answers");
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(number, rounds);
        drop(to_echo);
        echo.await.expect("it does not panic");
        elapsed
    };
    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
}

/// An actor awaits `rounds` futures that are ready.
pub fn await_ready(runtime: &smarm::Runtime, rounds: u64) -> Duration {
    runtime.run(|| {
        let stopwatch = Stopwatch::start(true);
        let mut sum = 0;
        for round in 0..rounds {
            sum += await_future(ready(black_box(round)));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, rounds * rounds.saturating_sub(1) / 2);
        elapsed
    })
}
