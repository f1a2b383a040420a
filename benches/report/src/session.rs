//! The parent: it starts a process for each measurement, the peers in turn, and collects what they print.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::machine;
use crate::measure::Figures;
use crate::peer::Peer;
use crate::workload::{self, Workload};
use crate::workloads;

/// How many times its share of the time a size may take for the least number of rounds.
const PATIENCE: u32 = 4;

/// How thoroughly.
pub struct Plan {
    pub name: &'static str,
    pub only: Vec<String>,
    /// For all of it.
    pub time: Duration,
    sizes: fn(&Workload) -> &[u64],
    /// Of each measurement, after it has warmed up.
    length: Duration,
    /// At least so many measurements of each, and at most so many; fewer if the first ones have taken
    /// [`PATIENCE`] times the size's share of the time.
    rounds: (usize, usize),
}

impl Plan {
    pub fn quick() -> Self {
        Self {
            name: "quick",
            only: Vec::new(),
            time: Duration::from_secs(270),
            sizes: |workload| workload.quick,
            length: Duration::from_millis(40),
            rounds: (1, 5),
        }
    }

    pub fn full() -> Self {
        Self {
            name: "full",
            only: Vec::new(),
            time: Duration::from_secs(37 * 60),
            sizes: |workload| workload.full,
            length: Duration::from_millis(250),
            rounds: (3, 15),
        }
    }

    pub fn check() -> Self {
        Self {
            name: "check",
            only: Vec::new(),
            time: Duration::ZERO,
            sizes: |workload| std::slice::from_ref(&workload.tiny),
            length: Duration::ZERO,
            rounds: (1, 1),
        }
    }

    /// Whether a report is to be written: a part of the workloads makes none.
    pub fn writes(&self) -> bool {
        self.only.is_empty() && self.name != "check"
    }

    fn wants(&self, workload: &Workload) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| workload.name.starts_with(only.as_str()))
    }
}

/// Everything that was measured.
pub struct Outcome {
    pub plan: &'static str,
    pub took: Duration,
    pub load: [String; 2],
    pub measured: Vec<(&'static Workload, Measured)>,
}

/// Of one workload: for each size and peer, the figures of each round.
pub type Measured = BTreeMap<u64, BTreeMap<Peer, Vec<Figures>>>;

/// The quartiles of one figure.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// The middle of the rounds, and where half of them lie.
pub fn spread(rounds: &[Figures], figure: &str) -> Option<Spread> {
    let mut values: Vec<f64> = rounds.iter().filter_map(|figures| figures.value(figure)).collect();
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(Spread { low: values[last / 4], median: values[values.len() / 2], high: values[last - last / 4] })
}

/// Whether all that a peer does in a workload of one worker is done by the thread that measures it.
pub fn is_on_one_thread(workload: &str, peer: Peer) -> bool {
    workload != "ask" && peer != Peer::Threads
}

/// Measures what the plan says.
///
/// # Errors
/// A measurement has failed: most likely a result was wrong.
pub fn run(plan: &Plan) -> Result<Outcome, Box<dyn Error>> {
    let begin = Instant::now();
    let before = machine::load();
    let workloads: Vec<_> = workload::all().into_iter().filter(|workload| plan.wants(workload)).collect();
    if workloads.iter().any(|workload| workload.name == "migration") {
        workloads::build_steps()?;
    }
    let mut measured = Vec::new();
    for (done, workload) in workloads.iter().enumerate() {
        let sizes = (plan.sizes)(workload);
        let mut of_workload = Measured::new();
        println!("[{}/{}, {} s] {}", done + 1, workloads.len(), begin.elapsed().as_secs(), workload.name);
        for (number, &size) in sizes.iter().enumerate() {
            // What is left of the time is shared out evenly among what is left to do.
            let parts =
                (workloads.len() - done - 1) as f64 + (sizes.len() - number) as f64 / sizes.len() as f64;
            let left = plan.time.saturating_sub(begin.elapsed());
            let share = left.div_f64(parts * sizes.len() as f64);
            let begun = Instant::now();
            let of_size = of_workload.entry(size).or_default();
            for round in 0..plan.rounds.1 {
                let most = if round < plan.rounds.0 { share * PATIENCE } else { share };
                if round > 0 && begun.elapsed() >= most {
                    break;
                }
                let peers: Vec<_> = workload.peers.iter().filter(|peer| workload.can(**peer, size)).collect();
                // Now from the front, now from the back, so that nobody always follows the same one.
                let order: Vec<_> = if round % 2 == 0 { peers } else { peers.into_iter().rev().collect() };
                for &peer in order {
                    let figures = measure(workload, peer, size, plan.length)?;
                    of_size.entry(peer).or_default().push(figures);
                }
            }
            print(workload, size, of_size);
        }
        measured.push((*workload, of_workload));
    }
    Ok(Outcome { plan: plan.name, took: begin.elapsed(), load: [before, machine::load()], measured })
}

fn measure(workload: &Workload, peer: Peer, size: u64, length: Duration) -> Result<Figures, Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["--one", workload.name, peer.slug(), &size.to_string(), &length.as_millis().to_string()]);
    let output = child.stderr(Stdio::inherit()).output()?;
    let what = || format!("{} of {} at {size} has failed: {}", workload.name, peer.slug(), output.status);
    if !output.status.success() {
        return Err(what().into());
    }
    Figures::parse(&String::from_utf8(output.stdout)?).ok_or_else(|| what().into())
}

fn print(workload: &Workload, size: u64, measured: &BTreeMap<Peer, Vec<Figures>>) {
    for (peer, rounds) in measured {
        let Some(cost) = spread(rounds, "cost") else { continue };
        let further: String = workload
            .further
            .iter()
            .filter_map(|(figure, heading)| {
                Some(format!("  {heading} {:.1}", spread(rounds, figure)?.median))
            })
            .collect();
        println!(
            "    {:>8} {:20} {:>12.1} ns ({:.1} to {:.1}, {} rounds){further}",
            if workload.of.is_empty() { String::new() } else { size.to_string() },
            peer.slug(),
            cost.median,
            cost.low,
            cost.high,
            rounds.len(),
        );
    }
}
