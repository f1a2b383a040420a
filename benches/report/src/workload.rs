//! What a workload is: what it does, what it shows and does not, who takes part, and what smarm wants of
//! itself.

use smarm::Config;

use crate::measure::{Effort, Figures};
use crate::peer::Peer;
use crate::workloads;

/// One measurement, in a process of its own.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub peer: Peer,
    pub size: u64,
    pub workers: usize,
    pub effort: Effort,
}

impl Job {
    /// `full` operations, or few if only the result counts.
    pub fn operations(&self, full: u64) -> u64 {
        if self.effort.tiny { (full / 1_000).max(40) } else { full }
    }

    pub fn config(&self) -> Config {
        Config::exact(self.workers)
    }
}

pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    pub group: &'static str,
    /// What the cost is per.
    pub unit: &'static str,
    /// What the size counts; empty if there is only one.
    pub of: &'static str,
    pub workers: usize,
    pub shows: &'static str,
    pub hides: &'static str,
    pub peers: &'static [Peer],
    /// The largest sizes of those who cannot do them all.
    pub limits: &'static [(Peer, u64)],
    pub tiny: u64,
    pub quick: &'static [u64],
    pub full: &'static [u64],
    /// Further figures, beside the cost: name and heading.
    pub further: &'static [(&'static str, &'static str)],
    pub bars: &'static [Bar],
    pub run: fn(&Job) -> Figures,
}

/// Against whom a bar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The best of tokio's that takes part.
    Tokio,
    One(Peer),
    /// An absolute figure.
    Nobody,
    /// Another figure of the same measurement.
    Figure(&'static str),
}

/// What smarm's best mode is to reach.
pub struct Bar {
    pub figure: &'static str,
    pub against: Against,
    pub most: f64,
    /// At this size; at 0, the largest of the run.
    pub at: u64,
}

pub const fn bar(figure: &'static str, against: Against, most: f64) -> Bar {
    Bar { figure, against, most, at: 0 }
}

pub const fn bar_at(at: u64, figure: &'static str, against: Against, most: f64) -> Bar {
    Bar { figure, against, most, at }
}

impl Workload {
    pub fn can(&self, peer: Peer, size: u64) -> bool {
        self.limits.iter().all(|(limited, most)| *limited != peer || size <= *most)
    }
}

/// All of them, in the order of the report.
pub fn all() -> Vec<&'static Workload> {
    workloads::GROUPS.iter().flat_map(|group| group.iter()).collect()
}
