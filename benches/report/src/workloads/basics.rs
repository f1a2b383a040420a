//! Switching and spawning.

use crate::measure::repeat;
use crate::peer::Peer::{May, SelfWaking, Smarm, SmarmTokio, Threads, TokioCurrent, TokioMulti};
use crate::workload::Against::{Nobody, One, Tokio};
use crate::workload::{Workload, bar, bar_at};

pub const WORKLOADS: [Workload; 6] = [
    Workload {
        name: "yield",
        title: "Giving way in turn",
        group: "Actors",
        unit: "yield",
        of: "actors",
        workers: 1,
        shows: "what a switch costs, and with many actors, each of whose stacks has left the caches, what memory \
                adds to it",
        hides: "what the woken have to do; a real actor touches more of its stack than this one",
        peers: &[Smarm, SmarmTokio, TokioCurrent, SelfWaking, May, Threads],
        limits: &[(May, 10_000), (Threads, 1_000)],
        tiny: 3,
        quick: &[1, 2, 100, 10_000, 100_000],
        full: &[1, 2, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
        further: &[],
        bars: &[
            bar_at(2, "cost", Tokio, 0.4),
            bar_at(2, "cost", One(May), 0.6),
            bar_at(2, "cost", Nobody, 12.0),
            bar_at(100_000, "cost", Tokio, 0.4),
        ],
        run: |job| {
            let count = job.size as usize;
            let budget = if job.peer == Threads { 20_000 } else { 400_000 };
            let rounds = (job.operations(budget) / job.size).max(2);
            repeat(&job.effort, rounds * job.size, on_peer!(job, switching::yields(count, rounds)))
        },
    },
    Workload {
        name: "spawn-join",
        title: "Spawn and join, one at a time",
        group: "Actors",
        unit: "spawn + join",
        of: "",
        workers: 1,
        shows: "the whole life of an actor that does nothing, on a stack that is warm",
        hides: "many at once, whose stacks are not",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 0.4), bar("cost", One(May), 0.6), bar("cost", Nobody, 60.0)],
        run: |job| {
            let rounds = job.operations(if job.peer == Threads { 500 } else { 50_000 });
            repeat(&job.effort, rounds, on_peer!(job, spawning::one_by_one(rounds)))
        },
    },
    Workload {
        name: "spawn-burst",
        title: "Spawn many at once, then join them all",
        group: "Actors",
        unit: "spawn + join",
        of: "actors",
        workers: 1,
        shows: "what actors cost that wait for their turn all at the same time",
        hides: "memory that is touched for the first time: a run before has warmed it up",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[(May, 10_000), (Threads, 1_000)],
        tiny: 20,
        quick: &[1, 100, 10_000, 100_000],
        full: &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
        further: &[],
        bars: &[bar_at(100_000, "cost", Tokio, 1.0)],
        run: |job| {
            let count = job.size;
            // Many short bursts count as one, or the clock would.
            let times = (job.operations(if job.peer == Threads { 500 } else { 20_000 }) / count).max(1);
            let mut burst = on_peer!(job, spawning::at_once(count));
            repeat(&job.effort, count * times, || (0..times).map(|_| burst()).sum())
        },
    },
    Workload {
        name: "spawn-burst-2",
        title: "Spawn many at once on two workers",
        group: "Actors",
        unit: "spawn + join",
        of: "actors",
        workers: 2,
        shows: "how new actors spread, and what it costs to share them out",
        hides: "work that is worth sharing: these actors do nothing",
        peers: &[Smarm, SmarmTokio, TokioMulti, May],
        limits: &[(May, 10_000)],
        tiny: 20,
        quick: &[100_000],
        full: &[10_000, 100_000],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let count = job.size;
            repeat(&job.effort, count, on_peer!(job, spawning::at_once(count)))
        },
    },
    Workload {
        name: "spawn-nested",
        title: "Each spawns the next one and joins it",
        group: "Actors",
        unit: "spawn + join",
        of: "deep",
        workers: 1,
        shows: "spawning and waiting where every stack is a new one, as deep calls of actors have it",
        hides: "stealing: there is one worker",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[(Threads, 1_000)],
        tiny: 5,
        quick: &[1_000],
        full: &[1_000],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let depth = job.size;
            repeat(&job.effort, depth + 1, on_peer!(job, spawning::nested(depth)))
        },
    },
    Workload {
        name: "skynet",
        title: "Skynet: a tree of actors",
        group: "Actors",
        unit: "leaf",
        of: "leaves",
        workers: 2,
        shows: "spawning, stealing and joining on both CPUs at once",
        hides: "messages: results come by joins",
        peers: &[Smarm, SmarmTokio, TokioMulti, May],
        limits: &[(May, 10_000)],
        tiny: 10,
        quick: &[10_000, 1_000_000],
        full: &[10_000, 1_000_000],
        further: &[],
        bars: &[bar("cost", Tokio, 0.7)],
        run: |job| {
            let leaves = job.size;
            repeat(&job.effort, leaves, on_peer!(job, spawning::skynet(leaves)))
        },
    },
];
