//! The four steps of the migration side by side: requests per second, latency, CPU time and memory.
//!
//! `cargo bench --bench migration [-- [--quick | --full] [STEP]...]`. Each step is a process of its own;
//! the same client asks them in turn, round by round. The figures are the medians of all rounds; the
//! latencies are those of each round. So a machine whose speed drifts is not to the advantage of any.
//!
//! Without cargo's `--bench`, as under `cargo test --benches`, it plays one short round of each.

use std::time::Duration;

use smarm_migration::Failure;
use smarm_migration::load::{Load, Round};
use smarm_migration::process::{Process, Usage};
use smarm_migration::titles::Titles;

const STEPS: [(&str, &str); 4] = [
    ("step 0: tokio", env!("CARGO_BIN_EXE_step0")),
    ("step 1: attach, one actor", env!("CARGO_BIN_EXE_step1")),
    ("step 2: attach, mostly actors", env!("CARGO_BIN_EXE_step2")),
    ("step 3: run, native sockets", env!("CARGO_BIN_EXE_step3")),
];
const CONNECTIONS: usize = 64;
const FEEDS: usize = 2;
/// For a title: nobody gives one up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What step 3 wants to be of step 0.
const BAR: &str = "the bar of step 3: requests/s >= 1.0, p99 <= 1.0 of step 0";

struct Contender {
    name: &'static str,
    process: Process,
    load: Load,
    rounds: Vec<Round>,
    before: Usage,
}

fn main() -> Result<(), Failure> {
    let (mut benches, mut full, mut only) = (false, false, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--bench" | "--quick" => benches = true,
            "--full" => full = true,
            name if !name.starts_with('-') => only.push(name.to_owned()),
            unknown => {
                return Err(format!("{unknown} is not known; arguments: [--quick | --full] [STEP]...").into());
            }
        }
    }
    let (rounds, length) = match (benches, full) {
        (_, true) => (100, Duration::from_millis(250)),
        (true, _) => (20, Duration::from_millis(250)),
        (false, _) => (1, Duration::from_millis(20)),
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    println!("{CONNECTIONS} connections, {FEEDS} feeds, {rounds} rounds of {length:?} each");
    println!("load of the machine at the beginning: {load}");
    let titles = Titles::start()?;
    let mut contenders = Vec::new();
    for (name, program) in STEPS {
        if only.is_empty() || only.iter().any(|only| name.contains(only.as_str())) {
            let process = Process::start(program, titles.address(), PATIENCE)?;
            let mut load = Load::connect(process.address(), CONNECTIONS, FEEDS)?;
            load.play(length)?; // to warm up
            let before = process.usage()?;
            contenders.push(Contender { name, process, load, rounds: Vec::new(), before });
        }
    }
    for round in 0..rounds {
        // Whoever is first has to take what the last one left behind; so each is first at times.
        let count = contenders.len();
        for n in 0..count {
            let contender = &mut contenders[(round + n) % count];
            contender.rounds.push(contender.load.play(length)?);
        }
    }
    let figures = contenders.iter().map(Figures::of).collect::<Result<Vec<_>, _>>()?;
    print(&contenders, &figures);
    for Contender { name, process, load, .. } in contenders {
        drop(load);
        process.stop();
        let (_, status) = process.wait()?;
        if !status.success() {
            return Err(format!("{name} ended with {status}").into());
        }
    }
    Ok(())
}

struct Figures {
    per_second: f64,
    /// Microseconds.
    p50: f64,
    p99: f64,
    /// Microseconds of CPU per request.
    cpu: f64,
    usage: Usage,
}

impl Figures {
    fn of(contender: &Contender) -> Result<Self, Failure> {
        let rounds = &contender.rounds;
        let median = |pick: &dyn Fn(&Round) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(pick).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let quantile = |percent: usize| {
            median(&|round| round.latencies[round.latencies.len() * percent / 100].as_secs_f64() * 1e6)
        };
        let usage = contender.process.usage()?;
        let requests: usize = rounds.iter().map(|round| round.requests).sum();
        Ok(Self {
            per_second: median(&|round| round.requests as f64 / round.elapsed.as_secs_f64()),
            p50: quantile(50),
            p99: quantile(99),
            cpu: (usage.cpu - contender.before.cpu).as_secs_f64() * 1e6 / requests as f64,
            usage,
        })
    }
}

fn print(contenders: &[Contender], figures: &[Figures]) {
    println!(
        "{:30} {:>10} {:>8} {:>8} {:>10} {:>8} {:>8} {:>10} {:>8}",
        "", "requests/s", "p50 us", "p99 us", "CPU us/req", "RSS MB", "peak MB", "requests/s", "p99"
    );
    let Some(first) = figures.first() else { return };
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (contender, own) in contenders.iter().zip(figures) {
        println!(
            "{:30} {:>10.0} {:>8.0} {:>8.0} {:>10.1} {:>8.1} {:>8.1} {:>8.2} x {:>6.2} x",
            contender.name,
            own.per_second,
            own.p50,
            own.p99,
            own.cpu,
            megabytes(own.usage.resident),
            megabytes(own.usage.peak),
            own.per_second / first.per_second,
            own.p99 / first.p99,
        );
    }
    println!("{BAR}");
}
