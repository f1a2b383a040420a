//! What smarm promises of its speed, measured: one line per promise.
//!
//! `cargo bench --bench bars -- --quick` takes half a minute, `--full` some minutes; `--only NAME`
//! takes the lines whose name contains NAME. Each line runs smarm and tokio in turn, so that what
//! else the machine does hits both, and compares medians. Where one thread does all the work, its CPU
//! time is measured. The results of the work are asserted; the
//! times are not: what counts on a quiet machine is the ratio.

#[path = "../support/bridge.rs"]
#[allow(dead_code, reason = "other benches need the rest of it")]
mod bridge;
#[path = "../support/channel.rs"]
mod channel;
mod memory;
#[path = "../support/primes.rs"]
mod primes;
mod report;
#[path = "../support/spawn.rs"]
mod spawn;
#[path = "../support/stopwatch.rs"]
mod stopwatch;
#[path = "../support/switch.rs"]
mod switch;
mod timers;

use report::{Bar, Bars};
use smarm::{Config, Runtime};
use tokio::task::yield_now;

fn main() {
    if std::env::args().nth(1).is_some_and(|first| first == memory::ALONE) {
        println!("{}", memory::measure());
        return;
    }
    let mut bars = Bars::from_arguments();
    yields(&mut bars);
    spawns(&mut bars);
    messages(&mut bars);
    computing(&mut bars);
    bridging(&mut bars);
    timers::punctuality(&mut bars);
    memory::parked_actors(&mut bars);
}

fn smarm(workers: usize) -> Runtime {
    smarm::runtime::init(Config::exact(workers))
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn multi_thread(workers: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build().expect("a runtime")
}

fn yields(bars: &mut Bars) {
    let pair = 1_000;
    bars.compare("yield, 2 on one worker, to yield_now", Bar::Ratio(0.1), 2 * pair, || {
        let (ours, theirs) = (smarm(1), current_thread());
        (move || switch::actors(&ours, 2, pair), move || switch::tasks(&theirs, 2, pair, yield_now))
    });
    bars.compare("yield, 2 on one worker, to self-waking", Bar::Ratio(0.6), 2 * pair, || {
        let (ours, theirs) = (smarm(1), current_thread());
        let give_way = switch::wake_oneself;
        (move || switch::actors(&ours, 2, pair), move || switch::tasks(&theirs, 2, pair, give_way))
    });
    bars.compare("yield, 100000 in turn", Bar::Nanoseconds(60.0), 5_000_000, || {
        let (ours, theirs) = (smarm(1), current_thread());
        let give_way = switch::wake_oneself;
        (move || switch::actors(&ours, 100_000, 50), move || switch::tasks(&theirs, 100_000, 50, give_way))
    });
    let rounds = 20_000;
    bars.alone("await_future(ready)", Bar::Nanoseconds(12.0), rounds, || {
        let ours = smarm(1);
        move || switch::await_ready(&ours, rounds)
    });
}

fn spawns(bars: &mut Bars) {
    let rounds = 2_000;
    bars.compare("spawn and join, one worker", Bar::Ratio(0.4), rounds, || {
        let (ours, theirs) = (smarm(1), current_thread());
        (move || spawn::actor_by_actor(&ours, rounds), move || spawn::task_by_task(&theirs, rounds))
    });
    bars.compare("spawn 100000 and join all, one worker", Bar::Ratio(1.0), 100_000, || {
        let (ours, theirs) = (smarm(1), current_thread());
        (move || spawn::actors_at_once(&ours, 100_000), move || spawn::tasks_at_once(&theirs, 100_000))
    });
    bars.compare("spawn 100000 and join all, two workers", Bar::Ratio(1.0), 100_000, || {
        let (ours, theirs) = (smarm(2), multi_thread(2));
        (move || spawn::actors_at_once(&ours, 100_000), move || spawn::tasks_at_once(&theirs, 100_000))
    });
    bars.compare("skynet of 1000000 leaves, two workers", Bar::Ratio(1.0), 1_000_000, || {
        let (ours, theirs) = (smarm(2), multi_thread(2));
        (
            move || spawn::skynet_of_actors(&ours, 1_000_000),
            move || spawn::skynet_of_tasks(&theirs, 1_000_000),
        )
    });
}

fn messages(bars: &mut Bars) {
    let rounds = 2_000;
    bars.compare("ping-pong, one worker", Bar::Ratio(0.5), rounds, || {
        let (ours, theirs) = (smarm(1), current_thread());
        (
            move || channel::actor_ping_pong(&ours, [0, 0], rounds),
            move || channel::task_ping_pong(&theirs, rounds),
        )
    });
    bars.compare("ping-pong, different workers", Bar::Ratio(1.0), rounds, || {
        let (ours, theirs) = (smarm(2), multi_thread(2));
        (
            move || channel::actor_ping_pong(&ours, [0, 1], rounds),
            move || channel::task_ping_pong(&theirs, rounds),
        )
    });
    bars.compare("ping-pong, different threads for sure", Bar::None, rounds, || {
        let (ours, theirs) = (smarm(2), [current_thread(), current_thread()]);
        (
            move || channel::actor_ping_pong(&ours, [0, 1], rounds),
            move || channel::task_ping_pong_apart(&theirs, rounds),
        )
    });
    let messages = 40_000;
    for (producers, workers) in [("1 producer", &[1][..]), ("4 producers", &[1, 0, 1, 0][..])] {
        let count = workers.len() as u64;
        bars.compare(&format!("{producers}, two workers"), Bar::Ratio(0.7), messages, || {
            let (ours, theirs) = (smarm(2), multi_thread(2));
            (
                move || channel::actors_to_one(&ours, workers, None, messages),
                move || channel::tasks_to_one(&theirs, count, messages),
            )
        });
        bars.compare(&format!("{producers}, bounded, two workers"), Bar::None, messages, || {
            let (ours, theirs) = (smarm(2), multi_thread(2));
            (
                move || channel::actors_to_one(&ours, workers, Some(128), messages),
                move || channel::tasks_to_one_bounded(&theirs, count, 128, messages),
            )
        });
    }
}

fn computing(bars: &mut Bars) {
    bars.compare("primes, one worker", Bar::None, 1, || {
        let (ours, theirs) = (smarm(1), current_thread());
        (move || primes::by_actors(&ours), move || primes::by_tasks(&theirs))
    });
    bars.compare("primes, two workers", Bar::Ratio(1.02), 1, || {
        let (ours, theirs) = (smarm(2), multi_thread(2));
        (move || primes::by_actors(&ours), move || primes::by_tasks(&theirs))
    });
}

fn bridging(bars: &mut Bars) {
    let on_tokio = || smarm_compat::Builder::new().workers(1).start().expect("a runtime");
    let rounds = 2_000;
    bars.compare("actor and task, by oneshot", Bar::Ratio(1.25), rounds, || {
        let (ours, theirs) = (on_tokio(), current_thread());
        (
            move || bridge::actor_writes_letters(&ours, rounds),
            move || bridge::task_writes_letters(&theirs, rounds),
        )
    });
    bars.compare("actor and task, by mpsc", Bar::None, rounds, || {
        let (ours, theirs) = (on_tokio(), current_thread());
        (move || bridge::actor_and_echo(&ours, rounds), move || bridge::task_and_echo(&theirs, rounds))
    });
    bars.alone("await_future(ready), on tokio", Bar::Nanoseconds(12.0), rounds, || {
        let ours = on_tokio();
        move || bridge::await_ready(&ours, rounds)
    });
}
