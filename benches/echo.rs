//! An echo server over loopback, four ways, in turn: requests per second, and how long the slowest of
//! a hundred take.
//!
//! `cargo bench --bench echo` takes some seconds; `-- --full` a minute; without cargo's `--bench` it is
//! one short round. All servers have as many workers as there are CPUs, each with connections of its own,
//! and one client thread keeps one message of 64 bytes on its way on each of 100 connections. They take
//! turns, in short rounds, so that what else the machine does hits all; the medians of the rounds are
//! compared with tokio's.

#[path = "echo/client.rs"]
mod client;
#[path = "echo/servers.rs"]
mod servers;

use std::time::Duration;

use client::{Client, Round};

const CONNECTIONS: usize = 100;
const MESSAGE: usize = 64;

/// One server, and what it is to reach, as a multiple of tokio's requests per second.
struct Contender {
    name: &'static str,
    bar: Option<f64>,
    client: Client,
    rounds: Vec<Round>,
}

fn main() {
    let (mut benches, mut full) = (false, false);
    let mut only = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--bench" | "--quick" => benches = true,
            "--full" => full = true,
            name if !name.starts_with('-') => only.push(name.to_owned()),
            unknown => panic!("{unknown} is not known; arguments: [--quick | --full] [NAME]..."),
        }
    }
    let (rounds, length) = match (benches, full) {
        (_, true) => (100, Duration::from_millis(150)),
        (true, _) => (15, Duration::from_millis(60)),
        _ => (1, Duration::from_millis(20)),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{workers} workers, {CONNECTIONS} connections, {rounds} rounds of {length:?} each");

    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| name.contains(only.as_str()));
    let mut contenders = Vec::new();
    for (name, bar, start) in servers::ALL {
        if wanted(name) {
            let client = Client::connect(&start(workers, CONNECTIONS), CONNECTIONS, MESSAGE);
            contenders.push(Contender { name, bar, client, rounds: Vec::new() });
        }
    }
    for round in 0..=rounds {
        for contender in &mut contenders {
            let measured = contender.client.play(length);
            if round > 0 {
                contender.rounds.push(measured); // after one to warm up
            }
        }
    }
    report(&contenders);
}

fn report(contenders: &[Contender]) {
    println!(
        "{:36} {:>12} {:>10} {:>10} {:>13} {:>8} {:>8} {:>8}",
        "", "requests/s", "p50 us", "p99 us", "server ns/req", "ratio", "p99", "bar"
    );
    let tokio = contenders.iter().find(|contender| contender.name.starts_with("tokio"));
    for contender in contenders {
        let own = Figures::of(&contender.rounds);
        let ratio = |own: f64, pick: fn(&Figures) -> f64| {
            tokio.map_or("-".into(), |tokio| format!("{:.3}", own / pick(&Figures::of(&tokio.rounds))))
        };
        println!(
            "{:36} {:>12.0} {:>10.1} {:>10.1} {:>13.0} {:>8} {:>8} {:>8}",
            contender.name,
            own.per_second,
            own.p50,
            own.p99,
            own.server_time,
            ratio(own.per_second, |tokio| tokio.per_second),
            ratio(own.p99, |tokio| tokio.p99),
            contender.bar.map_or("-".into(), |bar| format!(">= {bar}")),
        );
    }
}

/// The medians of many rounds.
struct Figures {
    per_second: f64,
    /// Microseconds.
    p50: f64,
    p99: f64,
    /// Nanoseconds of CPU per request, of all threads but the client's.
    server_time: f64,
}

impl Figures {
    fn of(rounds: &[Round]) -> Self {
        let median = |pick: fn(&Round) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(pick).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            per_second: median(|round| round.requests as f64 / round.elapsed.as_secs_f64()),
            p50: median(|round| round.p50.as_secs_f64() * 1e6),
            p99: median(|round| round.p99.as_secs_f64() * 1e6),
            server_time: median(|round| round.server_time.as_secs_f64() * 1e9 / round.requests as f64),
        }
    }
}
