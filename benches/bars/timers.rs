//! How late timers are: 10,000 of them, due at random within a second, all set before the first is
//! due.

use std::time::{Duration, Instant};

use crate::report::Bars;
use crate::{current_thread, smarm};

const TIMERS: usize = 10_000;
const MOST_MICROSECONDS: u64 = 1_000_000;
/// How long setting them may take.
const SETTING: Duration = Duration::from_millis(250);

/// Prints the median and the 99th percentile of the lateness. Asserts that no timer is early.
pub fn punctuality(bars: &mut Bars) {
    let name = "timers, lateness";
    if !bars.wants(name) {
        return;
    }
    let (smarm, tokio) = (smarm(1), current_thread());
    let delays = delays();
    let ours = smarm.run(|| {
        let begin = Instant::now() + SETTING;
        let sleepers: Vec<_> = delays
            .iter()
            .map(|delay| {
                let deadline = begin + *delay;
                smarm::spawn(move || {
                    smarm::sleep_until(deadline);
                    Instant::now().checked_duration_since(deadline)
                })
            })
            .collect();
        sleepers.into_iter().map(|sleeper| sleeper.join().expect("it does not panic")).collect()
    });
    let theirs = tokio.block_on(async {
        let begin = Instant::now() + SETTING;
        let sleepers: Vec<_> = delays
            .iter()
            .map(|delay| {
                let deadline = begin + *delay;
                tokio::spawn(async move {
                    tokio::time::sleep_until(deadline.into()).await;
                    Instant::now().checked_duration_since(deadline)
                })
            })
            .collect();
        let mut lateness = Vec::with_capacity(TIMERS);
        for sleeper in sleepers {
            lateness.push(sleeper.await.expect("it does not panic"));
        }
        lateness
    });
    let (ours, theirs) = (Lateness::of(ours), Lateness::of(theirs));
    let nanoseconds = |lateness: Duration| lateness.as_nanos().to_string();
    let most = Duration::from_micros(200);
    bars.print(
        &format!("{name}, median"),
        &nanoseconds(ours.median),
        &nanoseconds(theirs.median),
        &format!("{:.3}", ours.median.as_secs_f64() / theirs.median.as_secs_f64()),
        &format!("<= {} ns", most.as_nanos()),
        Some(ours.median <= most),
    );
    bars.print(
        &format!("{name}, 99 of 100"),
        &nanoseconds(ours.p99),
        &nanoseconds(theirs.p99),
        &format!("{:.3}", ours.p99.as_secs_f64() / theirs.p99.as_secs_f64()),
        "-",
        None,
    );
}

struct Lateness {
    median: Duration,
    p99: Duration,
}

impl Lateness {
    fn of(observed: Vec<Option<Duration>>) -> Self {
        let mut lateness: Vec<Duration> =
            observed.into_iter().map(|late| late.expect("a timer was early")).collect();
        assert_eq!(lateness.len(), TIMERS);
        lateness.sort_unstable();
        Self { median: lateness[TIMERS / 2], p99: lateness[TIMERS * 99 / 100] }
    }
}

/// The same random delays in every run, by xorshift (Marsaglia 2003).
fn delays() -> Vec<Duration> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..TIMERS).map(|_| Duration::from_micros(next() % MOST_MICROSECONDS)).collect()
}
