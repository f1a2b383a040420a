//! The two worlds together.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use smarm_compat::Builder;
use tokio::runtime::Handle;
use tokio::task::LocalSet;

use crate::calls;
use crate::letters;
use crate::measure::{Stopwatch, repeat};
use crate::peer::Peer::{
    BlockOn, Smarm, SmarmAttached, SmarmLocal, SmarmTokio, SpawnBlocking, TokioCurrent, TokioMulti, TwoTokios,
};
use crate::peer::{current_thread, multi_thread, smarm_runtime};
use crate::workload::Against::{Nobody, One, Tokio};
use crate::workload::{Job, Workload, bar};

pub const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "ready",
        title: "A future that is ready",
        group: "Bridge",
        unit: "await",
        of: "",
        workers: 1,
        shows: "what `await_future` adds to a future that need not wait, beside an OS thread's `Handle::block_on`",
        hides: "waiting",
        peers: &[Smarm, SmarmTokio, SmarmAttached, BlockOn],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Nobody, 8.0)],
        run: |job| {
            let rounds = job.operations(500_000);
            let tokio = multi_thread(1);
            match job.peer {
                Smarm | SmarmTokio => {
                    let runtime = smarm_runtime(job.peer, job.config());
                    repeat(&job.effort, rounds, || letters::await_ready(&runtime, rounds))
                }
                SmarmAttached => {
                    let runtime = attached(job, tokio.handle());
                    repeat(&job.effort, rounds, || letters::await_ready(&runtime, rounds))
                }
                _ => repeat(&job.effort, rounds, || {
                    let stopwatch = Stopwatch::start();
                    let sum: u64 =
                        (0..rounds).map(|n| tokio.handle().block_on(std::future::ready(black_box(n)))).sum();
                    assert_eq!(sum, rounds * (rounds - 1) / 2);
                    stopwatch.elapsed()
                }),
            }
        },
    },
    Workload {
        name: "letters",
        title: "Round trip on one thread, by oneshots",
        group: "Bridge",
        unit: "round trip",
        of: "",
        workers: 1,
        shows: "an actor and a tokio task that answer each other on the same thread, beside two tasks that do, and beside \
                an OS thread and a task of a multi-thread runtime, by `Handle::block_on`",
        hides: "other threads, but for those two",
        peers: &[SmarmTokio, SmarmLocal, TokioCurrent, BlockOn],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.05), bar("cost", One(BlockOn), 0.02)],
        run: |job| {
            let rounds = job.operations(if job.peer == BlockOn { 2_000 } else { 20_000 });
            match job.peer {
                SmarmTokio => {
                    let runtime = smarm_runtime(job.peer, job.config());
                    repeat(&job.effort, rounds, || letters::actor_writes_letters(&runtime, rounds))
                }
                SmarmLocal => {
                    let (runtime, worker) = Builder::new().local().expect("a runtime");
                    thread::spawn(move || LocalSet::new().block_on(&current_thread(), worker));
                    repeat(&job.effort, rounds, || letters::actor_writes_letters(&runtime, rounds))
                }
                BlockOn => {
                    let runtime = multi_thread(1);
                    repeat(&job.effort, rounds, || letters::thread_writes_letters(&runtime, rounds))
                }
                _ => {
                    let runtime = current_thread();
                    repeat(&job.effort, rounds, || letters::task_writes_letters(&runtime, rounds))
                }
            }
        },
    },
    Workload {
        name: "calls",
        title: "Round trips by two bounded channels",
        group: "Bridge",
        unit: "round trip",
        of: "pairs",
        workers: 1,
        shows: "one that blocks (an actor, a thread) and a tokio task that answers, in each way to bring the two \
                together; two tasks beside them. One worker, one thread of tokio's",
        hides: "work in the answers",
        peers: &[SmarmTokio, SmarmAttached, TokioCurrent, TokioMulti, TwoTokios, BlockOn, SpawnBlocking],
        limits: &[],
        tiny: 2,
        quick: &[1, 64],
        full: &[1, 64],
        further: &[],
        bars: &[bar("cost", Tokio, 1.5), bar("cost", One(BlockOn), 0.1)],
        run: calls_of,
    },
    Workload {
        name: "ask",
        title: "Async code awaits something that may block",
        group: "Bridge",
        unit: "question",
        of: "",
        workers: 1,
        shows: "a task that spawns an actor and awaits its result, beside `spawn_blocking`, which is for such work \
                today, and beside a task that must not block",
        hides: "work in the answers",
        peers: &[SmarmTokio, SmarmAttached, TokioCurrent, SpawnBlocking],
        limits: &[],
        tiny: 1,
        quick: &[1],
        full: &[1],
        further: &[],
        bars: &[bar("cost", Tokio, 1.0), bar("cost", One(SpawnBlocking), 0.1)],
        run: |job| {
            let rounds = job.operations(if job.peer == SpawnBlocking { 2_000 } else { 10_000 });
            match job.peer {
                SmarmTokio => {
                    let runtime = smarm_runtime(job.peer, job.config());
                    repeat(&job.effort, rounds, || {
                        runtime.run(|| {
                            let asking = async move {
                                let stopwatch = Stopwatch::start();
                                let mut sum = 0;
                                for n in 0..rounds {
                                    sum +=
                                        smarm::spawn(move || black_box(n)).await.expect("it does not panic");
                                }
                                checked(sum, rounds, stopwatch)
                            };
                            smarm_compat::await_future(tokio::spawn(asking)).expect("it does not panic")
                        })
                    })
                }
                SmarmAttached => {
                    let tokio = multi_thread(1);
                    let runtime = attached(job, tokio.handle());
                    repeat(&job.effort, rounds, || {
                        let handle = runtime.handle();
                        tokio.block_on(async {
                            let asking = async move {
                                let stopwatch = Stopwatch::start();
                                let mut sum = 0;
                                for n in 0..rounds {
                                    let actor = handle.spawn(move || black_box(n)).expect("there is a stack");
                                    sum += actor.await.expect("it does not panic");
                                }
                                checked(sum, rounds, stopwatch)
                            };
                            tokio::spawn(asking).await.expect("it does not panic")
                        })
                    })
                }
                peer => {
                    let tokio = current_thread();
                    repeat(&job.effort, rounds, || {
                        tokio.block_on(async {
                            let asking = async move {
                                let stopwatch = Stopwatch::start();
                                let mut sum = 0;
                                for n in 0..rounds {
                                    let answer = if peer == SpawnBlocking {
                                        tokio::task::spawn_blocking(move || black_box(n))
                                    } else {
                                        tokio::spawn(async move { black_box(n) })
                                    };
                                    sum += answer.await.expect("it does not panic");
                                }
                                checked(sum, rounds, stopwatch)
                            };
                            tokio::spawn(asking).await.expect("it does not panic")
                        })
                    })
                }
            }
        },
    },
];

fn checked(sum: u64, rounds: u64, stopwatch: Stopwatch) -> Duration {
    let elapsed = stopwatch.elapsed();
    assert_eq!(sum, rounds * (rounds - 1) / 2);
    elapsed
}

fn attached(job: &Job, tokio: &Handle) -> smarm::Runtime {
    Builder::new().workers(job.workers).attach(tokio).expect("a multi-thread runtime")
}

fn calls_of(job: &Job) -> crate::measure::Figures {
    let pairs = job.size;
    let slow = matches!(job.peer, SmarmAttached | TwoTokios | BlockOn | SpawnBlocking);
    let rounds = job.operations(if slow { 2_000 } else { 10_000 }).max(pairs);
    match job.peer {
        SmarmTokio => {
            let runtime = smarm_runtime(job.peer, job.config());
            repeat(&job.effort, rounds, || calls::actors_call_tasks(&runtime, pairs, rounds))
        }
        SmarmAttached => {
            let tokio = multi_thread(1);
            let runtime = attached(job, tokio.handle());
            let _context = tokio.enter();
            repeat(&job.effort, rounds, || calls::actors_call_tasks(&runtime, pairs, rounds))
        }
        TokioCurrent | TokioMulti => {
            let tokio = if job.peer == TokioMulti { multi_thread(1) } else { current_thread() };
            repeat(&job.effort, rounds, || calls::tasks_call_tasks(&tokio, &tokio, pairs, rounds))
        }
        TwoTokios => {
            let (one, other) = (multi_thread(1), multi_thread(1));
            repeat(&job.effort, rounds, || calls::tasks_call_tasks(&one, &other, pairs, rounds))
        }
        BlockOn => {
            let tokio = multi_thread(1);
            repeat(&job.effort, rounds, || calls::threads_call_tasks(&tokio, pairs, rounds))
        }
        _ => {
            let tokio = multi_thread(1);
            repeat(&job.effort, rounds, || calls::blocking_closures_call_tasks(&tokio, pairs, rounds))
        }
    }
}
