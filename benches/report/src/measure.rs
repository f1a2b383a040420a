//! What one process measures of one peer, and how it tells its parent.
//!
//! Work on one worker is measured by that thread's CPU time, which stands still while the machine does
//! something else; all other work by the wall clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What has been measured: names and values. `cost` is nanoseconds per operation, and every workload has it.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub Vec<(String, f64)>);

impl Figures {
    pub fn cost(nanoseconds: f64) -> Self {
        Self(vec![("cost".into(), nanoseconds)])
    }

    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.0.push((name.into(), value));
        self
    }

    /// Adds the quantiles of latencies, in microseconds, and the distribution for the plots.
    pub fn with_latencies(mut self, latencies: &mut [Duration]) -> Self {
        latencies.sort_unstable();
        assert!(!latencies.is_empty(), "there was something to measure");
        let at = |share: f64| {
            let place = (latencies.len() as f64 * share) as usize;
            latencies[place.min(latencies.len() - 1)].as_secs_f64() * 1e6
        };
        for (name, share) in QUANTILES {
            self.0.push((name.into(), at(share)));
        }
        self
    }

    pub fn value(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// One line per figure.
    pub fn print(&self) {
        self.0.iter().for_each(|(name, value)| println!("{name} {value}"));
    }

    /// What [`print`](Self::print) has printed.
    pub fn parse(text: &str) -> Option<Self> {
        let figure = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let figures = Self(text.lines().map(figure).collect::<Option<_>>()?);
        figures.value("cost").is_some().then_some(figures)
    }
}

/// The quantiles that are kept of latencies.
pub const QUANTILES: [(&str, f64); 9] = [
    ("p1", 0.01),
    ("p10", 0.1),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

/// How much one process does.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How long it goes on to measure, once it has warmed up.
    pub length: Duration,
    /// Once, without a warm-up: only the result counts.
    pub tiny: bool,
}

/// Does it once to warm up, then for as long as the effort says; gives the median cost of an operation.
pub fn repeat(effort: &Effort, operations: u64, mut once: impl FnMut() -> Duration) -> Figures {
    let mut cost = || once().as_secs_f64() * 1e9 / operations as f64;
    if effort.tiny {
        return Figures::cost(cost());
    }
    cost();
    let begin = Instant::now();
    let mut costs = Vec::new();
    while costs.is_empty() || begin.elapsed() < effort.length {
        costs.push(cost());
    }
    costs.sort_unstable_by(f64::total_cmp);
    Figures::cost(costs[costs.len() / 2])
}

static ALONE: OnceLock<bool> = OnceLock::new();

/// Says whether all work of this process is done by the thread that measures it.
pub fn set_alone(yes: bool) {
    ALONE.set(yes).expect("it is said once");
}

/// Runs from its start, on the clock that fits the workload.
#[derive(Clone, Copy)]
pub enum Stopwatch {
    Thread(Duration),
    Wall(Instant),
}

impl Stopwatch {
    pub fn start() -> Self {
        if ALONE.get().copied().unwrap_or(false) {
            Self::Thread(cpu_time(libc::CLOCK_THREAD_CPUTIME_ID))
        } else {
            Self::Wall(Instant::now())
        }
    }

    /// The time since the start, which was on this thread.
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Thread(start) => cpu_time(libc::CLOCK_THREAD_CPUTIME_ID) - *start,
            Self::Wall(start) => start.elapsed(),
        }
    }
}

/// The time on one of the CPU clocks.
pub fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that is as the call wants it.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0, "Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU clock of another process.
pub fn cpu_clock_of(process: u32) -> libc::clockid_t {
    let mut clock = 0;
    // SAFETY: the pointer is to a local that is as the call wants it.
    let result = unsafe { libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock) };
    assert_eq!(result, 0, "the process runs");
    clock
}
