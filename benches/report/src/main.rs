//! Runs all side-by-side workloads and writes the report of them, `docs/BENCHMARKS.md`, with its plots.
//!
//! | command | does |
//! |---|---|
//! | `cargo run --release -p bench-report -- --quick` | all of it, in some five minutes |
//! | `cargo run --release -p bench-report -- --full` | with more sizes and repetitions, in some forty |
//! | `… --only NAME` | only the workloads whose name begins so; prints, writes nothing |
//! | `… --minutes N` | another limit of time |
//! | `… --check` | each once, at a tiny size, for its result |
//!
//! Each measurement is a process of its own (this program, with a hidden argument): runtimes do not disturb
//! each other, and memory can be measured. The peers take turns, many times, and medians are compared.

#![allow(unreachable_pub, reason = "a program has no outside")]

mod bodies;
mod client;
#[path = "../../../examples/http_native/connection.rs"]
mod connection;
mod machine;
mod measure;
mod meeting;
mod memory;
mod peer;
mod plots;
mod primes;
mod report;
#[path = "../../../examples/http_native/request.rs"]
mod request;
mod servers;
mod session;
mod workload;
mod workloads;
mod world;

#[path = "../../support/attach.rs"]
mod calls;
#[path = "../../support/bridge.rs"]
#[allow(dead_code, reason = "other benches need the rest of it")]
mod letters;
#[path = "../../support/stopwatch.rs"]
#[allow(dead_code, reason = "other benches need the rest of it")]
mod stopwatch;

use std::error::Error;
use std::time::Duration;

use measure::Effort;
use peer::Peer;
use session::Plan;
use workload::Job;

const USAGE: &str = "arguments: --quick | --full | --check [--only NAME]... [--minutes N]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--one", name, peer, size, milliseconds] => {
            let peer = Peer::named(peer).ok_or("there is no such peer")?;
            return measure_one(name, peer, size.parse()?, milliseconds.parse()?);
        }
        ["--serve", what, peer, workers] => {
            workloads::serve(what, Peer::named(peer).ok_or("there is no such peer")?, workers.parse()?);
            return Ok(());
        }
        _ => {}
    }
    let mut plan = None;
    let (mut only, mut minutes) = (Vec::new(), None);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => plan = Some(Plan::quick()),
            "--full" => plan = Some(Plan::full()),
            "--check" => plan = Some(Plan::check()),
            "--only" => only.push(arguments.next().ok_or(USAGE)?),
            "--minutes" => minutes = Some(arguments.next().ok_or(USAGE)?.parse::<f64>()?),
            _ => return Err(format!("{argument} is not known; {USAGE}").into()),
        }
    }
    let mut plan = plan.ok_or(USAGE)?;
    plan.only = only;
    if let Some(minutes) = minutes {
        plan.time = Duration::from_secs_f64(minutes * 60.0);
    }
    let outcome = session::run(&plan)?;
    if plan.writes() {
        // Before the plots, as it says whether the commit has been changed.
        report::write(&outcome)?;
        plots::write(&outcome)?;
        println!("written: docs/BENCHMARKS.md and docs/benchmarks/");
    }
    Ok(())
}

/// What a process of its own does: it measures one peer once, and prints the figures.
fn measure_one(name: &str, peer: Peer, size: u64, milliseconds: u64) -> Result<(), Box<dyn Error>> {
    let workload = workload::all().into_iter().find(|workload| workload.name == name);
    let workload = workload.ok_or("there is no such workload")?;
    measure::set_alone(workload.workers == 1 && session::is_on_one_thread(name, peer));
    let effort = Effort { length: Duration::from_millis(milliseconds), tiny: milliseconds == 0 };
    (workload.run)(&Job { peer, size, workers: workload.workers, effort }).print();
    // Threads that a peer leaves behind do not count.
    std::process::exit(0)
}
