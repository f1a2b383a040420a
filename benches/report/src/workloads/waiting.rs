//! Timers, memory of those that wait, and neighbours that compute.

use std::time::Duration;

use crate::measure::repeat;
use crate::peer::Peer::{May, Smarm, SmarmTokio, Threads, TokioCurrent};
use crate::workload::Against::{Figure, Nobody, Tokio};
use crate::workload::{Workload, bar};

/// What actors that only wait need: the less address space each has, the less of a page table is its own.
const SMALL_STACK: usize = 16 << 10;

pub const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "timers",
        title: "Waits with a time limit, all at once",
        group: "Timers and memory",
        unit: "wait",
        of: "waiting",
        workers: 1,
        shows: "spawn, a timer that is set, a message that comes in time, and the timer cancelled",
        hides: "timers that fire, and may, whose coroutines do not start while one on the same worker gives way again \
                and again",
        peers: &[Smarm, SmarmTokio, TokioCurrent],
        limits: &[],
        tiny: 20,
        quick: &[100_000],
        full: &[1_000, 100_000, 1_000_000],
        further: &[],
        bars: &[bar("cost", Tokio, 0.7)],
        run: |job| {
            let count = job.size;
            repeat(&job.effort, count, on_peer!(job, waiting::set_and_cancel(count)))
        },
    },
    Workload {
        name: "lateness",
        title: "Timers that fire within a second",
        group: "Timers and memory",
        unit: "sleep, of CPU time",
        of: "sleepers",
        workers: 1,
        shows: "how late a sleeper wakes, and what all of it takes of the CPU, spawn and join included, with memory \
                that was used before",
        hides: "a busy worker: this one has nothing else to do; and the first use of memory, which is most of what a \
                first burst costs (see the parked actors)",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[(May, 10_000), (Threads, 1_000)],
        tiny: 20,
        quick: &[1_000, 100_000],
        full: &[1_000, 100_000, 1_000_000],
        further: &[("p50", "late, p50, µs"), ("p99", "late, p99, µs"), ("max", "worst, µs")],
        bars: &[bar("cost", Tokio, 0.7), bar("p99", Tokio, 0.1)],
        run: |job| {
            let count = job.size;
            let (set, due) = if job.effort.tiny {
                (Duration::from_millis(20), Duration::from_millis(10))
            } else {
                // Long enough that the last one is set before the first is due.
                (Duration::from_millis(100) + Duration::from_micros(3) * count as u32, Duration::from_secs(1))
            };
            on_peer!(job, waiting::lateness(count, set, due))()
        },
    },
    Workload {
        name: "memory",
        title: "Parked actors",
        group: "Timers and memory",
        unit: "spawn, until all wait",
        of: "parked",
        workers: 1,
        shows: "what an actor that waits takes of memory, page tables included, and what is left of it after \
                all have ended (of what the burst took, and when the least was reached, within seven seconds); smarm's \
                have stacks of 16 KiB, the others what they have by default (OS threads 256 KiB)",
        hides: "deeper stacks: each page that an actor has touched stays its own; and that smarm keeps each actor's slot \
                and its part of a page table for ever, some 150 bytes",
        peers: &[Smarm, SmarmTokio, TokioCurrent, Threads],
        limits: &[(Threads, 1_000)],
        tiny: 20,
        quick: &[1_000, 100_000],
        full: &[1_000, 100_000, 1_000_000],
        further: &[
            ("bytes", "bytes each"),
            ("before", "before, bytes"),
            ("during", "all parked, bytes"),
            ("after", "after, bytes"),
            ("left", "share left"),
            ("seconds", "reached after, s"),
        ],
        bars: &[bar("bytes", Nobody, 4_300.0), bar("left", Nobody, 0.1), bar("after", Figure("before"), 1.1)],
        run: |job| {
            let count = job.size;
            let patience = if job.effort.tiny { Duration::ZERO } else { Duration::from_secs(7) };
            on_peer!(job, job.config().stack_size(SMALL_STACK), waiting::parked(count, patience))()
        },
    },
    Workload {
        name: "neighbour",
        title: "A ticker beside one that computes",
        group: "Timers and memory",
        unit: "tick, how late",
        of: "",
        workers: 1,
        shows: "whether somebody who computes for half a second holds up a ticker of one millisecond on the same \
                worker: smarm's computing actor says `check!()` now and then, for the others there is no such \
                thing, and their kernel or nobody helps",
        hides: "that a tokio task may give way by hand, or go to `spawn_blocking`",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[("p50", "p50, µs"), ("p99", "p99, µs"), ("max", "worst, µs")],
        bars: &[bar("p99", Nobody, 15_000.0), bar("p99", Tokio, 1.0)],
        run: |job| {
            let (ticks, compute) = if job.effort.tiny { (3, 15) } else { (60, 500) };
            let compute = Duration::from_millis(compute);
            on_peer!(job, waiting::neighbour(ticks, compute))()
        },
    },
];
