//! The steps of the migration: one service, four times, each a process of its own.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use smarm_migration::load::Load;
use smarm_migration::process::Process;
use smarm_migration::titles::Titles;

use super::serving::FURTHER;
use crate::measure::{Figures, cpu_clock_of, cpu_time};
use crate::peer::Peer::{self, Step0, Step1, Step2, Step3};
use crate::workload::Against::One;
use crate::workload::{Job, Workload, bar};

const FEEDS: usize = 2;
/// For a title: nobody gives one up.
const PATIENCE: Duration = Duration::from_secs(30);

pub const WORKLOADS: [Workload; 1] = [Workload {
    name: "migration",
    title: "A service that moves over in four steps",
    group: "Servers",
    unit: "request, of the server's CPU",
    of: "connections",
    workers: 2,
    shows: "the service of `examples/migration` after each step, asked for links, redirections, new links and titles, \
            with SQLite below and another service beside it: what each step of moving brings",
    hides: "a network and a real database; client, service and the other service share two CPUs",
    peers: &[Step0, Step1, Step2, Step3],
    limits: &[],
    tiny: 4,
    quick: &[64],
    full: &[64],
    further: FURTHER,
    bars: &[bar("wall", One(Step0), 1.0), bar("p99", One(Step0), 1.0)],
    run: serve_and_ask,
}];

/// The programs of the steps, which stand beside this one.
fn program(step: Peer) -> PathBuf {
    env::current_exe().expect("Linux knows it").with_file_name(match step {
        Step0 => "step0",
        Step1 => "step1",
        Step2 => "step2",
        Step3 => "step3",
        other => panic!("{other:?} is no step"),
    })
}

/// Builds them as this program was built.
///
/// # Errors
/// They cannot be built.
pub fn build() -> Result<(), Box<dyn Error>> {
    let own = program(Step0);
    let folder = own.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
    let profile = match folder {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => return Err("this program is in no folder of a profile".into()),
    };
    // With this package, so that both want the same of what they depend on.
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--quiet", "--profile", profile])
        .args(["-p", "bench-report", "-p", "smarm-migration", "--bins"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("the steps cannot be built: {status}").into()) }
}

fn serve_and_ask(job: &Job) -> Figures {
    let program = program(job.peer);
    let program = program.to_str().expect("a path of text");
    let titles = Titles::start().expect("there is a port");
    let process = Process::start(program, titles.address(), PATIENCE)
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo build --release -p smarm-migration`"));
    let mut load = Load::connect(process.address(), job.size as usize, FEEDS).expect("it answers");
    let length = if job.effort.tiny { Duration::from_millis(1) } else { job.effort.length };
    load.play(length).expect("it answers"); // to warm up
    let clock = cpu_clock_of(process.id());
    let before = cpu_time(clock);
    let mut round = load.play(length).expect("it answers");
    let used = cpu_time(clock) - before;
    drop(load);
    process.stop();
    let (_, status) = process.wait().expect("it was started here");
    assert!(status.success(), "it ends well");
    let requests = round.requests as f64;
    Figures::cost(used.as_secs_f64() * 1e9 / requests)
        .with("wall", round.elapsed.as_secs_f64() * 1e9 / requests)
        .with_latencies(&mut round.latencies)
}
