//! Computing.

use crate::measure::repeat;
use crate::peer::Peer::{May, Smarm, SmarmTokio, Threads, TokioMulti};
use crate::workload::Against::Tokio;
use crate::workload::{Workload, bar};

pub const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "primes",
        title: "Primes below 200,000",
        group: "Computing",
        unit: "run",
        of: "",
        workers: 2,
        shows: "that sharing out costs nothing beside the work: 200 parts, trial division",
        hides: "runtimes: nearly all of it is the same arithmetic",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let limit = if job.effort.tiny { 3_500 } else { 200_000 };
            repeat(&job.effort, 1, on_peer!(job, computing::primes(limit)))
        },
    },
    Workload {
        name: "n-body",
        title: "Four solar systems",
        group: "Computing",
        unit: "run",
        of: "",
        workers: 2,
        shows: "floating point on stacks of their own, 20,000 steps each, which give way every 1,000",
        hides: "runtimes, as above",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let steps = if job.effort.tiny { 1_000 } else { 20_000 };
            repeat(&job.effort, 1, on_peer!(job, computing::n_body(steps)))
        },
    },
];
