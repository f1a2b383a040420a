//! Programs of the Savina benchmarks.

use crate::measure::repeat;
use crate::peer::Peer::{May, Smarm, SmarmTokio, Threads, TokioMulti};
use crate::workload::Against::Tokio;
use crate::workload::{Workload, bar};

pub const WORKLOADS: [Workload; 10] = [
    Workload {
        name: "fork-join",
        title: "Savina: fork-join",
        group: "Savina",
        unit: "message",
        of: "",
        workers: 2,
        shows: "60 actors with an inbox each, filled in turn by one",
        hides: "an inbox that many fill",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations =
                job.operations(if job.peer == Threads { 20_000 } else { 200_000 }).next_multiple_of(60);
            repeat(&job.effort, operations, on_peer!(job, savina::fork_join(operations)))
        },
    },
    Workload {
        name: "counting",
        title: "Savina: counting",
        group: "Savina",
        unit: "message",
        of: "",
        workers: 2,
        shows: "one sender, one receiver, very short messages",
        hides: "contention",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations = job.operations(if job.peer == Threads { 20_000 } else { 200_000 });
            repeat(&job.effort, operations, on_peer!(job, savina::counting(operations)))
        },
    },
    Workload {
        name: "big",
        title: "Savina: big",
        group: "Savina",
        unit: "ping",
        of: "",
        workers: 2,
        shows: "60 actors that ping each other at random: many inboxes, many senders",
        hides: "work in the messages",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let count = if job.effort.tiny { 4 } else { 60 };
            let pings = job.operations(if job.peer == Threads { 6_000 } else { 60_000 }) / count;
            repeat(&job.effort, pings * count, on_peer!(job, savina::big(count as usize, pings)))
        },
    },
    Workload {
        name: "chameneos",
        title: "Savina: chameneos",
        group: "Savina",
        unit: "meeting",
        of: "",
        workers: 2,
        shows: "100 creatures at one mall: an inbox that all want",
        hides: "fairness among the creatures",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations = job.operations(if job.peer == Threads { 2_000 } else { 20_000 });
            repeat(&job.effort, operations, on_peer!(job, savina::chameneos(operations)))
        },
    },
    Workload {
        name: "bounded-buffer",
        title: "Savina: bounded buffer",
        group: "Savina",
        unit: "item",
        of: "",
        workers: 2,
        shows: "40 producers and 40 consumers by way of a manager; each step is a question and its answer",
        hides: "channels with a bound of their own, which do this without a manager",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations =
                job.operations(if job.peer == Threads { 2_000 } else { 20_000 }).next_multiple_of(40);
            repeat(&job.effort, operations, on_peer!(job, savina::bounded_buffer(operations)))
        },
    },
    Workload {
        name: "barber",
        title: "Savina: sleeping barber",
        group: "Savina",
        unit: "haircut",
        of: "",
        workers: 2,
        shows: "200 customers for 100 chairs: refusals, and coming back",
        hides: "patience: who is refused comes back as soon as others had their turn",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations =
                job.operations(if job.peer == Threads { 2_000 } else { 20_000 }).next_multiple_of(200);
            repeat(&job.effort, operations, on_peer!(job, savina::barber(operations)))
        },
    },
    Workload {
        name: "philosophers",
        title: "Savina: dining philosophers",
        group: "Savina",
        unit: "meal",
        of: "",
        workers: 2,
        shows: "20 philosophers who ask an arbitrator until it has both forks for them",
        hides: "waiting in line: who is refused asks again at once",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations =
                job.operations(if job.peer == Threads { 2_000 } else { 20_000 }).next_multiple_of(20);
            repeat(&job.effort, operations, on_peer!(job, savina::philosophers(operations)))
        },
    },
    Workload {
        name: "dictionary",
        title: "Savina: concurrent dictionary",
        group: "Savina",
        unit: "request",
        of: "",
        workers: 2,
        shows: "questions to one actor that has a map",
        hides: "maps that several read at a time",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations =
                job.operations(if job.peer == Threads { 4_000 } else { 40_000 }).next_multiple_of(20);
            repeat(&job.effort, operations, on_peer!(job, savina::dictionary(operations)))
        },
    },
    Workload {
        name: "bank",
        title: "Savina: bank transactions",
        group: "Savina",
        unit: "transfer",
        of: "",
        workers: 2,
        shows: "three actors in a row of questions and answers, on 1,000 accounts",
        hides: "accounts that are busy while they wait",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations =
                job.operations(if job.peer == Threads { 2_000 } else { 20_000 }).next_multiple_of(10);
            repeat(&job.effort, operations, on_peer!(job, savina::bank(operations)))
        },
    },
    Workload {
        name: "trapezoid",
        title: "Savina: trapezoid",
        group: "Savina",
        unit: "piece",
        of: "",
        workers: 2,
        shows: "arithmetic in 100 actors, and one message from each",
        hides: "runtimes: nearly all of it is the same arithmetic",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let operations = job.operations(4_000_000).next_multiple_of(100);
            repeat(&job.effort, operations, on_peer!(job, savina::trapezoid(operations)))
        },
    },
];
