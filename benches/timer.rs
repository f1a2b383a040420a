//! Timers in great numbers: set and cancelled, and set and fired, beside tokio's.
//!
//! `cargo bench --bench timer -- --quick` takes some 20 seconds, `--full` some minutes. smarm and tokio run in
//! turn, so that what else the machine does hits both, and medians are compared. Nothing is asserted of the
//! times; that each timer is given back, or fires once and never early, is.
//!
//! What is measured: a timer that holds a message (`send_after`) is set and taken back; a future that sleeps is
//! polled once, which sets its timer, and dropped, on both sides. Timers that fire are due at random within a
//! second, all set before the first is; each is late by the time from its deadline until its receiver has it.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use smarm::time::{send_after, send_at, sleep_async, sleep_until_async};
use smarm::{Config, Runtime};

/// How thoroughly.
struct Effort {
    timers: usize,
    rounds: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // Without `--bench` it is cargo's test of the benches: whether they run at all.
    let effort = match (has("--bench") || has("--quick"), has("--full")) {
        (_, true) => Effort { timers: 1_000_000, rounds: 9 },
        (true, _) => Effort { timers: 1_000_000, rounds: 3 },
        _ => Effort { timers: 2_000, rounds: 1 },
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{} timers, {} rounds; load {}", effort.timers, effort.rounds, load.trim());
    cancelling(&effort);
    firing(&effort);
}

fn smarm() -> Runtime {
    smarm::runtime::init(Config::exact(1))
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// In whole seconds, of no order, below an hour.
fn delay(number: usize) -> Duration {
    Duration::from_secs(1800 + (number as u64).wrapping_mul(2_654_435_761) % 1800)
}

/// Sets all timers, then cancels all: so many are pending at once.
fn cancelling(effort: &Effort) {
    let count = effort.timers;
    let (ours, current, multi) = (smarm(), current_thread(), multi_thread());
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..effort.rounds {
        times[0].push(ours.run(|| {
            let (sender, receiver) = smarm::channel();
            timed(|| {
                let set: Vec<_> = (0..count).map(|n| send_after(delay(n), &sender, n)).collect();
                for (number, handle) in set.into_iter().enumerate() {
                    assert_eq!(handle.cancel(), Ok(number));
                }
                assert!(receiver.is_empty());
            })
        }));
        times[1].push(ours.run(|| timed(|| poll_and_drop(count, |n| sleep_async(delay(n))))));
        times[2].push(
            current.block_on(async { timed(|| poll_and_drop(count, |n| tokio::time::sleep(delay(n)))) }),
        );
        let theirs = async move { timed(|| poll_and_drop(count, |n| tokio::time::sleep(delay(n)))) };
        times[3].push(multi.block_on(multi.spawn(theirs)).expect("it does not panic"));
    }
    let [messages, sleeps, current, multi] =
        times.map(|times| median(times).as_secs_f64() * 1e9 / count as f64);
    println!("set and cancel, ns per timer");
    println!("  tokio sleep, current_thread {current:8.1}");
    println!("  tokio sleep, multi_thread   {multi:8.1}");
    line("  smarm sleep_async", sleeps, current, multi, 0.7);
    line("  smarm send_after and cancel", messages, current, multi, 0.7);
}

/// Sets the timers of futures and drops these.
fn poll_and_drop<F: Future<Output = ()>>(count: usize, make: impl Fn(usize) -> F) {
    let mut context = Context::from_waker(Waker::noop());
    let mut set: Vec<Pin<Box<F>>> = (0..count).map(|number| Box::pin(make(number))).collect();
    for sleep in &mut set {
        assert!(sleep.as_mut().poll(&mut context).is_pending());
    }
    drop(set);
}

/// Lets all timers fire within a second.
fn firing(effort: &Effort) {
    let count = effort.timers;
    let (ours, current, multi) = (smarm(), current_thread(), multi_thread());
    let mut seen: [Vec<Lateness>; 4] = Default::default();
    for _ in 0..effort.rounds {
        seen[0].push(ours.run(move || {
            let (sender, receiver) = smarm::channel();
            let cpu = cpu_time();
            let begin = first_deadline(count);
            for number in 0..count {
                let deadline = begin + moment(number);
                drop(send_at(deadline, &sender, deadline));
            }
            let set = Instant::now();
            drop(sender);
            let late = receiver.iter().map(late).collect();
            Lateness::of(late, count, set < begin, cpu_time() - cpu)
        }));
        seen[1].push(
            ours.run(move || {
                smarm::compat::await_future(sleepers(count, begin_of(count), sleep_until_async))
            }),
        );
        let sleep = |at: Instant| tokio::time::sleep_until(at.into());
        seen[2].push(current.block_on(sleepers(count, begin_of(count), sleep)));
        let (to, from) = mpsc::channel();
        let theirs = async move { drop(to.send(sleepers(count, begin_of(count), sleep).await)) };
        multi.block_on(multi.spawn(theirs)).expect("it does not panic");
        seen[3].push(from.recv().expect("the task has sent it"));
    }
    println!("fire within a second: lateness in ns, and CPU time of the process per timer in ns");
    let names = [
        "smarm send_at",
        "smarm sleeps joined",
        "tokio sleeps joined, current_thread",
        "tokio sleeps joined, multi_thread",
    ];
    let medians = seen.map(|rounds| {
        let of = |part: fn(&Lateness) -> Duration| median(rounds.iter().map(part).collect());
        let in_time = rounds.iter().all(|round| round.in_time);
        (of(|round| round.p50), of(|round| round.p99), of(|round| round.cpu), in_time)
    });
    for (name, (p50, p99, cpu, in_time)) in names.iter().zip(&medians) {
        let note = if *in_time { "" } else { "  (the first was due before all were set)" };
        println!(
            "  {name:36} p50 {:>11} p99 {:>11} cpu {:8.1}{note}",
            p50.as_nanos(),
            p99.as_nanos(),
            cpu.as_secs_f64() * 1e9 / count as f64
        );
    }
    for ours in 0..2 {
        for theirs in 2..4 {
            let ratio = |part: fn(&(Duration, Duration, Duration, bool)) -> Duration| {
                part(&medians[ours]).as_secs_f64() / part(&medians[theirs]).as_secs_f64()
            };
            let (p99, cpu) = (ratio(|seen| seen.1), ratio(|seen| seen.2));
            let verdict = |holds: bool| if holds { "holds" } else { "misses" };
            println!(
                "  {} to {}: p99 {p99:.3} (<= 0.1: {}), cpu {cpu:.3} (<= 0.7: {})",
                names[ours],
                names[theirs],
                verdict(p99 <= 0.1),
                verdict(cpu <= 0.7)
            );
        }
    }
}

/// So long setting all of them may take, by far.
fn begin_of(count: usize) -> impl Fn() -> Instant {
    move || first_deadline(count)
}

fn first_deadline(count: usize) -> Instant {
    Instant::now() + Duration::from_nanos(3_000 * count as u64) + Duration::from_millis(20)
}

/// Within a second, of no order; the same in every run.
fn moment(number: usize) -> Duration {
    Duration::from_nanos((number as u64).wrapping_mul(11_400_714_819_323_198_485) % 1_000_000_000)
}

fn late(deadline: Instant) -> Duration {
    Instant::now().checked_duration_since(deadline).expect("a timer was early")
}

/// One task that waits for all of them in the order of their deadlines: nothing but the timers, and the wakes
/// of that task, is measured.
async fn sleepers<F: Future<Output = ()>>(
    count: usize,
    begin: impl Fn() -> Instant,
    sleep: impl Fn(Instant) -> F,
) -> Lateness {
    let cpu = cpu_time();
    let begin = begin();
    let mut deadlines: Vec<Instant> = (0..count).map(|number| begin + moment(number)).collect();
    deadlines.sort_unstable();
    let mut set: Vec<(Instant, Pin<Box<F>>)> =
        deadlines.into_iter().map(|deadline| (deadline, Box::pin(sleep(deadline)))).collect();
    // All timers are set by a first poll, with the waker that a task has.
    let mut in_time = true;
    std::future::poll_fn(|context| {
        for (_, sleep) in &mut set {
            // Where the machine is so busy that one is due already, the line says so.
            in_time &= sleep.as_mut().poll(context).is_pending();
        }
        std::task::Poll::Ready(())
    })
    .await;
    in_time &= Instant::now() < begin;
    let mut seen = Vec::with_capacity(count);
    for (deadline, sleep) in set {
        sleep.await; // one that was ready at the first poll is so again, on both sides
        seen.push(late(deadline));
    }
    Lateness::of(seen, count, in_time, cpu_time() - cpu)
}

struct Lateness {
    p50: Duration,
    p99: Duration,
    cpu: Duration,
    /// All timers were set before the first was due.
    in_time: bool,
}

impl Lateness {
    fn of(mut seen: Vec<Duration>, count: usize, in_time: bool, cpu: Duration) -> Self {
        assert_eq!(seen.len(), count, "each fires once");
        seen.sort_unstable();
        Self { p50: seen[count / 2], p99: seen[count * 99 / 100], cpu, in_time }
    }
}

/// Of the whole process: tokio's multi-thread runtime works on several threads.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time of the process, so that others matter less; one thread of it does all the work.
fn timed(work: impl FnOnce()) -> Duration {
    let begin = cpu_time();
    work();
    cpu_time() - begin
}

fn line(name: &str, ours: f64, current: f64, multi: f64, most: f64) {
    let verdict = if ours <= most * current.min(multi) { "holds" } else { "misses" };
    println!(
        "{name:29} {ours:8.1}  to current_thread {:.3}, to multi_thread {:.3} (<= {most}: {verdict})",
        ours / current,
        ours / multi
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
