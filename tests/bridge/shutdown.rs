//! How runtimes on tokio end, in whichever order their parts go.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use smarm::channel::{RecvError, channel};
use smarm::{JoinError, Runtime};
use smarm_compat::await_future;
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, child, message, until, within};

use crate::bridge_support::{WhenDropped, on_tokio, spawn_on, tokio_of, with_a_careful_drop};

const FOR_EVER: Duration = Duration::from_secs(100_000);

/// Actors that wait on each worker for what is tokio's, and for ever.
fn park_many(workers: usize, seen: &Arc<AtomicUsize>) -> usize {
    let parked = Signal::new();
    for worker in 0..workers {
        for kind in 0..4 {
            let (seen, parked) = (seen.clone(), parked.clone());
            drop(spawn_on(worker, move || match kind {
                0 => await_future(with_a_careful_drop(&seen, async {
                    parked.raise();
                    tokio::time::sleep(FOR_EVER).await;
                })),
                1 => await_future(with_a_careful_drop(&seen, async {
                    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                    parked.raise();
                    drop(listener.accept().await);
                })),
                2 => await_future(with_a_careful_drop(&seen, async {
                    let (_sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
                    parked.raise();
                    receiver.recv().await;
                })),
                _ => {
                    // Not in a future, but a local of the actor.
                    let _careful = with_a_careful_drop(&seen, pending::<()>());
                    let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
                    parked.raise();
                    drop(listener.accept());
                }
            }));
        }
    }
    parked.wait(4 * workers);
    4 * workers
}

#[test]
fn what_actors_wait_for_is_dropped_in_tokios_context_when_the_main_actor_returns() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            let seen = Arc::new(AtomicUsize::new(0));
            let runtime = on_tokio(workers);
            let parked = runtime.run(|| park_many(workers, &seen));
            drop(runtime);
            assert_eq!(seen.load(SeqCst), parked);
        }
    });
}

#[test]
fn a_shutdown_with_patience_unwinds_all() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            let seen = Arc::new(AtomicUsize::new(0));
            let runtime = on_tokio(workers);
            let parked = runtime.run(|| park_many(workers, &seen));
            runtime.shutdown(PATIENCE).unwrap();
            assert_eq!(seen.load(SeqCst), parked);
        }
    });
}

#[test]
fn a_shutdown_that_runs_out_of_patience_names_who_runs_on() {
    within(PATIENCE, || {
        let runtime = on_tokio(1);
        let (go, running) = (Arc::new(AtomicBool::new(false)), Signal::new());
        let (theirs, raise) = (go.clone(), running.clone());
        let keeps_its_worker = move || {
            raise.raise();
            while !theirs.load(SeqCst) {
                thread::yield_now();
            }
        };
        let stubborn = smarm::Builder::new().runtime(&runtime.handle()).name("stubborn");
        let stubborn = stubborn.spawn(keeps_its_worker).unwrap();
        running.wait(1);
        let error = runtime.shutdown(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.actors(), [(stubborn.pid(), "stubborn".to_owned())]);
        go.store(true, SeqCst);
        drop(stubborn.join());
    });
}

#[test]
fn a_future_is_dropped_in_tokios_context_when_its_actor_is_killed() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let seen = Arc::new(AtomicUsize::new(0));
                for worker in 0..workers {
                    let parked = Signal::new();
                    let (theirs, raise) = (seen.clone(), parked.clone());
                    let actor = spawn_on(worker, move || {
                        await_future(with_a_careful_drop(&theirs, async {
                            raise.raise();
                            tokio::time::sleep(FOR_EVER).await;
                        }));
                    });
                    parked.wait(1);
                    actor.kill();
                    assert!(actor.join().unwrap_err().is_killed());
                    assert_eq!(seen.load(SeqCst), worker + 1);
                }
            });
        }
    });
}

#[test]
fn a_wait_in_a_destructor_of_a_killed_actor_goes_on_to_its_end() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (parked, ended) = (Signal::new(), Arc::new(AtomicUsize::new(0)));
            let (raise, count) = (parked.clone(), ended.clone());
            let actor = smarm::spawn(move || {
                let _closing = OnDrop(move || {
                    await_future(tokio::time::sleep(Duration::from_millis(2)));
                    let task = tokio::spawn(async { 1 });
                    count.fetch_add(await_future(task).unwrap(), SeqCst);
                });
                await_future(async {
                    raise.raise();
                    pending::<()>().await;
                });
            });
            parked.wait(1);
            actor.kill();
            assert!(actor.join().unwrap_err().is_killed());
            assert_eq!(ended.load(SeqCst), 1);
        });
    });
}

#[test]
fn a_task_that_awaits_an_actor_learns_how_it_ended() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            for worker in 0..2 {
                let (polled, go) = (Signal::new(), Signal::new());
                let (their_go, raise) = (go.clone(), polled.clone());
                let panicking = spawn_on(worker, move || {
                    their_go.wait(1);
                    panic!("boom");
                });
                let killed = spawn_on(worker, || smarm::sleep(FOR_EVER));
                let pid = killed.pid();
                let task = tokio::spawn(async move {
                    let mut panicking = pin!(panicking);
                    std::future::poll_fn(|cx| {
                        let polled = panicking.as_mut().poll(cx);
                        raise.raise();
                        polled
                    })
                    .await
                });
                polled.wait(1);
                go.raise();
                match await_future(task).unwrap() {
                    Err(JoinError::Panicked(payload)) => assert_eq!(payload.message(), "boom"),
                    other => panic!("{other:?}"),
                }
                assert_eq!(killed.pid(), pid);
                killed.kill();
                let task = tokio::spawn(killed);
                assert!(await_future(task).unwrap().unwrap_err().is_killed());
            }
        });
    });
}

#[test]
fn tasks_that_outlive_the_actors_learn_that_these_were_killed() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            let (told, dropped) = (Arc::new(AtomicUsize::new(0)), Drops::new());
            let runtime = on_tokio(workers);
            runtime.run(|| {
                for worker in 0..workers {
                    let parked = Signal::new();
                    let raise = parked.clone();
                    let (sender, mut receiver) = channel::<()>();
                    let actor = spawn_on(worker, move || {
                        let _sender = sender;
                        raise.raise();
                        smarm::sleep(FOR_EVER);
                    });
                    parked.wait(1);
                    let (told, held) = (told.clone(), dropped.counted());
                    tokio_of(workers - 1 - worker).spawn(async move {
                        let _held = held;
                        if actor.await.is_err_and(|error| error.is_killed()) {
                            told.fetch_add(1, SeqCst);
                        }
                        if receiver.recv_async().await == Err(RecvError::Closed) {
                            told.fetch_add(1, SeqCst);
                        }
                        pending::<()>().await;
                    });
                }
            });
            drop(runtime);
            assert_eq!(dropped.count(), workers);
            // With tokio they may go before they have had their turn; what they see is right.
            assert!(told.load(SeqCst) <= 2 * workers);
        }
    });
}

#[test]
fn tasks_that_hold_ends_of_smarms_channels_are_dropped_with_the_runtime() {
    within(PATIENCE, || {
        let runtime = on_tokio(2);
        let drops = Drops::new();
        let (sender, receiver) = channel::<()>();
        let mut outside = runtime.run(|| {
            let mut handles = Vec::new();
            for worker in 0..2 {
                let (sender, held) = (sender.clone(), drops.counted());
                let (theirs, mine) = channel::<u32>();
                let handle = smarm::spawn(|| 5);
                tokio_of(worker).spawn(async move {
                    let _ends = (sender, mine, held, handle);
                    tokio::time::sleep(FOR_EVER).await;
                });
                handles.push(theirs);
            }
            handles
        });
        drop(sender);
        let waiting = thread::spawn(move || receiver.recv());
        drop(runtime);
        assert_eq!(waiting.join().unwrap(), Err(RecvError::Closed));
        assert_eq!(drops.count(), 2);
        assert!(outside.pop().unwrap().send(1).is_err());
    });
}

#[test]
fn what_tasks_hold_is_dropped_in_tokios_context() {
    within(PATIENCE, || {
        let seen = Arc::new(AtomicUsize::new(0));
        let runtime = on_tokio(2);
        runtime.run(|| {
            for worker in 0..2 {
                let seen = seen.clone();
                let task = spawn_on(worker, move || {
                    tokio::spawn(with_a_careful_drop(&seen, tokio::time::sleep(FOR_EVER)))
                });
                drop(task.join().unwrap());
            }
        });
        drop(runtime);
        assert_eq!(seen.load(SeqCst), 2);
    });
}

#[test]
fn a_task_that_spawns_an_actor_in_its_drop_is_refused() {
    within(PATIENCE, || {
        let refused = Arc::new(AtomicUsize::new(0));
        let runtime = on_tokio(1);
        runtime.run(|| {
            let (count, handle) = (refused.clone(), smarm::Handle::current());
            let task = WhenDropped::new(pending::<()>(), move || {
                let late = handle.spawn(|| unreachable!("the runtime has gone"));
                if late.unwrap().join().is_err_and(|error| error.is_killed()) {
                    count.fetch_add(1, SeqCst);
                }
            });
            tokio::spawn(task);
        });
        drop(runtime);
        assert_eq!(refused.load(SeqCst), 1);
    });
}

#[test]
fn a_runtime_may_be_dropped_by_any_thread_or_actor() {
    within(PATIENCE, || {
        let fill = |seen: &Arc<AtomicUsize>| {
            let runtime = on_tokio(2);
            runtime.run(|| park_many(2, seen));
            runtime
        };
        let seen = Arc::new(AtomicUsize::new(0));
        let runtime = fill(&seen);
        thread::spawn(move || drop(runtime)).join().unwrap();
        assert_eq!(seen.load(SeqCst), 8);

        for mut other in [on_tokio(1), smarm_workspace::workers(1)] {
            let runtime = fill(&seen);
            seen.store(0, SeqCst);
            other = {
                other.run(move || drop(runtime));
                other
            };
            assert_eq!(seen.load(SeqCst), 8);
            drop(other);
        }
    });
}

#[test]
fn a_runtime_dropped_by_one_of_its_own_actors_ends() {
    within(PATIENCE, || {
        let runtime = on_tokio(2);
        let handle = runtime.handle();
        let seen = Arc::new(AtomicUsize::new(0));
        runtime.run(|| park_many(2, &seen));
        let (give, take) = channel::<Runtime>();
        let dropping = handle.spawn(move || drop(take.recv())).unwrap();
        give.send(runtime).unwrap();
        drop(dropping.join()); // it may be killed after the drop, or return
        until(|| handle.live() == 0);
        assert_eq!(seen.load(SeqCst), 8);
    });
}

#[test]
fn blocking_closures_that_end_in_time_have_ended_when_the_runtime_has_gone() {
    within(PATIENCE, || {
        let runtime = on_tokio(1);
        let (go, gate) = mpsc::channel::<()>();
        let ended = Arc::new(AtomicBool::new(false));
        let started = Signal::new();
        let (theirs, raise) = (ended.clone(), started.clone());
        runtime.run(move || {
            tokio::task::spawn_blocking(move || {
                raise.raise();
                let _ = gate.recv();
                theirs.store(true, SeqCst);
            });
            started.wait(1);
        });
        let handle = runtime.handle();
        let stopping = thread::spawn(move || drop(runtime));
        until(|| handle.spawn(|| ()).unwrap().join().is_err()); // the shutdown has begun
        assert!(!ended.load(SeqCst));
        drop(go);
        stopping.join().unwrap();
        assert!(ended.load(SeqCst));
    });
}

#[test]
fn a_blocking_closure_that_does_not_end_does_not_outlast_the_patience_of_a_shutdown() {
    within(PATIENCE, || {
        let runtime = on_tokio(1);
        let (go, gate) = mpsc::channel::<()>();
        let started = Signal::new();
        let raise = started.clone();
        runtime.run(move || {
            tokio::task::spawn_blocking(move || {
                raise.raise();
                let _ = gate.recv();
            });
            started.wait(1);
        });
        let error = runtime.shutdown(Duration::from_millis(10)).unwrap_err();
        assert!(error.actors().is_empty());
        assert_eq!(error.threads().len(), 1, "{error}");
        drop(go);
    });
}

#[test]
fn an_actor_killed_while_it_awaits_a_blocking_closure_leaves_that_alone() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (go, gate) = mpsc::channel::<()>();
            let (started, ended) = (Signal::new(), Signal::new());
            let (raise, raise_end) = (started.clone(), ended.clone());
            let actor = smarm::spawn(move || {
                await_future(tokio::task::spawn_blocking(move || {
                    raise.raise();
                    let _ = gate.recv();
                    raise_end.raise();
                }))
            });
            started.wait(1);
            actor.kill();
            assert!(actor.join().unwrap_err().is_killed());
            assert_eq!(ended.count(), 0);
            drop(go);
            ended.wait(1);
        });
    });
}

#[test]
fn a_panic_of_the_main_actor_ends_the_runtime_in_order() {
    within(PATIENCE, || {
        let seen = Arc::new(AtomicUsize::new(0));
        let theirs = seen.clone();
        let runtime = AssertUnwindSafe(on_tokio(2));
        let payload = catch_unwind(move || {
            let runtime = runtime;
            runtime.run(|| {
                park_many(2, &theirs);
                panic!("boom");
            });
        })
        .unwrap_err();
        assert_eq!(message(&*payload), "boom");
        assert_eq!(seen.load(SeqCst), 8);
    });
}

#[test]
fn runtimes_come_and_go_without_a_trace() {
    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }
    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").unwrap().count()
    }
    child::run_well(|| {
        let round = || {
            let seen = Arc::new(AtomicUsize::new(0));
            let runtime = on_tokio(2);
            runtime.run(|| park_many(2, &seen));
            drop(runtime);
            assert_eq!(seen.load(SeqCst), 8);
        };
        let before = threads();
        round(); // opens what is made once and kept
        let before = (descriptors(), before);
        for _ in 0..50 {
            round();
        }
        // A joined thread may be there for a moment more, as the kernel sees it.
        until(|| (descriptors(), threads()) == before);
    });
}
