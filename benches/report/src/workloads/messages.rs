//! Messages and locks.

use crate::measure::repeat;
use crate::peer::Peer::{Flume, Kanal, May, Smarm, SmarmTokio, Threads, TokioCurrent, TokioMulti};
use crate::workload::Against::{Nobody, One, Tokio};
use crate::workload::{Workload, bar};

const ROOM: usize = 128;

pub const WORKLOADS: [Workload; 9] = [
    Workload {
        name: "ping-pong",
        title: "Ping-pong on one worker",
        group: "Messages",
        unit: "round trip",
        of: "",
        workers: 1,
        shows: "two messages and two switches, with nobody else about",
        hides: "the way between CPUs",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 0.4), bar("cost", One(May), 0.6), bar("cost", Nobody, 40.0)],
        run: |job| {
            let rounds = job.operations(if job.peer == Threads { 1_000 } else { 50_000 });
            repeat(&job.effort, rounds, on_peer!(job, messages::ping_pong(rounds, 0)))
        },
    },
    Workload {
        name: "ping-pong-2",
        title: "Ping-pong between workers",
        group: "Messages",
        unit: "round trip",
        of: "",
        workers: 2,
        shows: "how fast a message finds an actor of another worker, if the runtime leaves the two apart; tokio \
                and may may move both to one thread",
        hides: "sleeping workers: both are busy all the time",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads, Kanal, Flume],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let rounds = job.operations(if job.peer == Threads { 1_000 } else { 10_000 });
            repeat(&job.effort, rounds, on_peer!(job, messages::ping_pong(rounds, 1)))
        },
    },
    Workload {
        name: "ring",
        title: "A token round a ring of 503",
        group: "Messages",
        unit: "hop",
        of: "",
        workers: 1,
        shows: "a message and a switch to somebody whose stack was not used for 502 hops",
        hides: "work that keeps several busy: only one can run",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 0.4), bar("cost", One(May), 0.6), bar("cost", Nobody, 25.0)],
        run: |job| {
            let members = if job.effort.tiny { 7 } else { 503 };
            let hops = job.operations(if job.peer == Threads { 5_000 } else { 200_000 });
            repeat(&job.effort, hops, on_peer!(job, messages::ring(members, hops)))
        },
    },
    Workload {
        name: "mpsc",
        title: "Many to one, unbounded",
        group: "Messages",
        unit: "message",
        of: "producers",
        workers: 2,
        shows: "how many messages a channel takes from others while somebody empties it",
        hides: "memory: a receiver that is slower lets the queue grow",
        peers: &[Smarm, SmarmTokio, TokioMulti, Kanal, Flume, May, Threads],
        limits: &[],
        tiny: 2,
        quick: &[1, 4],
        full: &[1, 4],
        further: &[],
        bars: &[bar("cost", Tokio, 0.5), bar("cost", One(Kanal), 1.3)],
        run: |job| {
            let (producers, workers) = (job.size as usize, job.workers);
            let messages = job.operations(400_000);
            repeat(&job.effort, messages, on_peer!(job, messages::many_to_one(producers, messages, workers)))
        },
    },
    Workload {
        name: "mpsc-bounded",
        title: "Many to one, with room for 128",
        group: "Messages",
        unit: "message",
        of: "producers",
        workers: 2,
        shows: "what back pressure costs: producers wait whenever the channel is full",
        hides: "other capacities; may has no bounded channel",
        peers: &[Smarm, SmarmTokio, TokioMulti, Kanal, Flume, Threads],
        limits: &[],
        tiny: 2,
        quick: &[1, 4],
        full: &[1, 4],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let (producers, workers) = (job.size as usize, job.workers);
            let messages = job.operations(200_000);
            repeat(
                &job.effort,
                messages,
                on_peer!(job, messages::many_to_one_bounded(producers, messages, workers, ROOM)),
            )
        },
    },
    Workload {
        name: "mutex",
        title: "A mutex that nobody else wants",
        group: "Locks",
        unit: "lock + unlock",
        of: "",
        workers: 1,
        shows: "the path that is taken most often",
        hides: "waiting",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 0.2)],
        run: |job| {
            let rounds = job.operations(500_000);
            repeat(&job.effort, rounds, on_peer!(job, locking::uncontended(rounds)))
        },
    },
    Workload {
        name: "mutex-held",
        title: "A mutex held while giving way",
        group: "Locks",
        unit: "lock + unlock",
        of: "actors",
        workers: 1,
        shows: "waiting in line: everybody else comes to a lock that is held. smarm's locks have a time limit, so \
                each such wait sets a timer",
        hides: "two CPUs",
        peers: &[Smarm, SmarmTokio, TokioCurrent, May, Threads],
        limits: &[],
        tiny: 5,
        quick: &[1_000],
        full: &[10, 1_000],
        further: &[],
        bars: &[bar("cost", Tokio, 0.3)],
        run: |job| {
            let count = job.size as usize;
            let rounds = (job.operations(if job.peer == Threads { 5_000 } else { 50_000 }) / job.size).max(1);
            repeat(&job.effort, rounds * job.size, on_peer!(job, locking::contended(count, rounds, true)))
        },
    },
    Workload {
        name: "mutex-contended",
        title: "A mutex that actors of two workers want",
        group: "Locks",
        unit: "lock + unlock",
        of: "actors",
        workers: 2,
        shows: "short critical sections that two CPUs want at once",
        hides: "fairness: who barges in line is faster here",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 5,
        quick: &[1_000],
        full: &[10, 1_000],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let count = job.size as usize;
            let rounds = (job.operations(200_000) / job.size).max(1);
            repeat(&job.effort, rounds * job.size, on_peer!(job, locking::contended(count, rounds, false)))
        },
    },
    Workload {
        name: "mutex-few",
        title: "A mutex held while giving way, two workers",
        group: "Locks",
        unit: "lock + unlock",
        of: "actors",
        workers: 2,
        shows: "the hand-over of a lock between workers",
        hides: "locks that are free most of the time",
        peers: &[Smarm, SmarmTokio, TokioMulti, May, Threads],
        limits: &[],
        tiny: 5,
        quick: &[100],
        full: &[100],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0)],
        run: |job| {
            let count = job.size as usize;
            let rounds = (job.operations(if job.peer == Threads { 5_000 } else { 20_000 }) / job.size).max(1);
            repeat(&job.effort, rounds * job.size, on_peer!(job, locking::contended(count, rounds, true)))
        },
    },
];
