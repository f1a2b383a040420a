//! The hot paths of smarm, one a run: `bench-guard NAME ROUNDS` does one of them so often.
//!
//! `benches/guard/check` counts the instructions of two runs of different length under callgrind; the
//! difference is what the rounds cost, without start and end. Time is counted in looks at the clock, so that a slow
//! machine takes the same turns as a fast one.

mod clock;

use std::future::{poll_fn, ready};
use std::hint::black_box;
use std::task::Poll;
use std::time::Duration;

use smarm::compat::{await_future, await_timeout};
use smarm::{Config, channel};

/// Longer than any run.
const LONG: Duration = Duration::from_secs(3_600);

/// What does something so many times.
type Path = fn(u64);

const PATHS: [(&str, Path); 6] = [
    ("switch", switch),
    ("spawn_join", spawn_join),
    ("send_recv", send_recv),
    ("await_ready", await_ready),
    ("await_pending", await_pending),
    ("timer_set_cancel", timer_set_cancel),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (name, rounds) = (arguments.next(), arguments.next().and_then(|rounds| rounds.parse().ok()));
    let path = PATHS.iter().find(|(known, _)| Some(*known) == name.as_deref());
    let (Some((_, path)), Some(rounds)) = (path, rounds) else {
        let names: Vec<_> = PATHS.iter().map(|(name, _)| *name).collect();
        eprintln!("arguments: NAME ROUNDS, where NAME is one of {}", names.join(", "));
        std::process::exit(2);
    };
    smarm::runtime::init(Config::exact(1)).run(|| path(rounds));
}

/// Two actors yield to each other: two switches a round.
fn switch(rounds: u64) {
    let yields = move || (0..rounds).for_each(|_| smarm::yield_now());
    let other = smarm::spawn(yields);
    yields();
    other.join().expect("it does not panic");
}

fn spawn_join(rounds: u64) {
    let sum: u64 =
        (0..rounds).map(|n| smarm::spawn(move || black_box(n)).join().expect("it does not panic")).sum();
    assert_eq!(sum, rounds * (rounds - 1) / 2);
}

/// A message to another actor and one back.
fn send_recv(rounds: u64) {
    let (to_echo, requests) = channel::channel();
    let (to_caller, answers) = channel::channel();
    let echo =
        smarm::spawn(move || requests.iter().for_each(|n: u64| to_caller.send(n + 1).expect("it listens")));
    let mut number = 0;
    for _ in 0..rounds {
        to_echo.send(number).expect("the echo listens");
        number = answers.recv().expect("the echo answers");
    }
    assert_eq!(number, rounds);
    drop(to_echo);
    echo.join().expect("it does not panic");
}

fn await_ready(rounds: u64) {
    let sum: u64 = (0..rounds).map(|n| await_future(ready(black_box(n)))).sum();
    assert_eq!(sum, rounds * (rounds - 1) / 2);
}

/// A future that is pending once, and woken at once.
async fn pending_once() {
    let mut polled = false;
    poll_fn(|cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn await_pending(rounds: u64) {
    (0..rounds).for_each(|_| await_future(pending_once()));
}

/// As [`await_pending`], with a time limit that does not pass.
fn timer_set_cancel(rounds: u64) {
    (0..rounds).for_each(|_| await_timeout(LONG, pending_once()).expect("the time is long"));
}
