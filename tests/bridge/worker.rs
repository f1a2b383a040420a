//! A worker as a future on a tokio runtime that the caller made, and what happens when that goes first.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use smarm::host::Worker;
use smarm::{Config, Runtime};
use smarm_compat::await_future;
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, child, panic_message, within};
use tokio::task::LocalSet;

use crate::bridge_support::with_a_careful_drop;

const FOR_EVER: Duration = Duration::from_secs(100_000);

/// A runtime with one worker that is yet to be polled.
fn detached() -> (Runtime, Worker) {
    let (runtime, mut workers) = smarm::runtime::detached(Config::exact(1)).unwrap();
    (runtime, workers.pop().unwrap())
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_worker_runs_as_a_future_on_any_current_thread_runtime() {
    within(PATIENCE, || {
        let (runtime, worker) = detached();
        let child = runtime
            .spawn(|| {
                await_future(tokio::time::sleep(Duration::from_millis(1)));
                await_future(tokio::spawn(async { 42 })).unwrap()
            })
            .unwrap();
        let tokio = current_thread();
        let local = LocalSet::new();
        let ended = local.spawn_local(worker);
        assert_eq!(local.block_on(&tokio, child).unwrap(), 42);
        runtime.handle().stop();
        local.block_on(&tokio, ended).unwrap();
        runtime.shutdown(PATIENCE).unwrap();
    });
}

#[test]
fn a_worker_polled_on_a_second_thread_panics_and_says_what_to_do() {
    within(PATIENCE, || {
        let (runtime, worker) = detached();
        let mut worker = Box::pin(worker);
        assert!(worker.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let worker = thread::spawn(move || {
            let told = panic_message(|| worker.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            assert!(told.contains("another thread") && told.contains("LocalSet"), "{told}");
            worker
        })
        .join()
        .unwrap();
        drop(worker);
        drop(runtime);
    });
}

#[test]
fn a_tokio_runtime_that_goes_first_takes_the_actors_with_it() {
    within(PATIENCE, || {
        let (runtime, worker) = detached();
        let (seen, parked) = (Arc::new(AtomicUsize::new(0)), Signal::new());
        let (theirs, raise) = (seen.clone(), parked.clone());
        let tokio = current_thread();
        // A task of the runtime itself: it is spawned, polled and dropped on this thread.
        let actor = runtime
            .spawn(move || {
                await_future(with_a_careful_drop(&theirs, async {
                    raise.raise();
                    tokio::time::sleep(FOR_EVER).await;
                }));
            })
            .unwrap();
        tokio.spawn(worker);
        tokio.block_on(parked.reached(1));
        drop(tokio);
        assert_eq!(seen.load(SeqCst), 1);
        assert!(actor.join().unwrap_err().is_killed());
        // Nobody is left who could run it.
        assert!(runtime.spawn(|| ()).unwrap().join().unwrap_err().is_killed());
        runtime.shutdown(PATIENCE).unwrap();
    });
}

#[test]
fn a_local_set_that_goes_first_takes_the_actors_with_it() {
    within(PATIENCE, || {
        let (runtime, worker) = detached();
        let (drops, parked) = (Drops::new(), Signal::new());
        let (held, raise) = (drops.counted(), parked.clone());
        let actor = runtime
            .spawn(move || {
                let _held = held;
                raise.raise();
                await_future(pending::<()>());
            })
            .unwrap();
        let never_started = {
            let tokio = current_thread();
            let local = LocalSet::new();
            local.spawn_local(worker);
            local.block_on(&tokio, parked.reached(1));
            let never_started = runtime.spawn(|| unreachable!("nobody polls the worker")).unwrap();
            drop(local);
            never_started
        };
        assert_eq!(drops.count(), 1);
        assert!(actor.join().unwrap_err().is_killed());
        assert!(never_started.join().unwrap_err().is_killed());
    });
}

#[test]
fn a_worker_that_is_dropped_before_it_was_polled_ends_what_was_spawned() {
    within(PATIENCE, || {
        let (runtime, worker) = detached();
        let drops = Drops::new();
        let held = drops.counted();
        let actor = runtime.spawn(move || drop(held)).unwrap();
        let tokio = current_thread();
        tokio.spawn(worker);
        drop(tokio);
        assert!(actor.join().unwrap_err().is_killed());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_worker_dropped_on_another_thread_leaks_its_actors_and_says_so() {
    let output = child::run(|| {
        let (runtime, worker) = detached();
        let parked = Signal::new();
        let raise = parked.clone();
        drop(runtime.spawn(move || {
            let _held = OnDrop(|| unreachable!("it cannot be unwound here"));
            raise.raise();
            smarm::sleep(FOR_EVER);
        }));
        let mut worker = Box::pin(worker);
        while parked.count() == 0 {
            let _ = worker.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        thread::spawn(move || drop(worker)).join().unwrap();
        drop(runtime);
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", child::text(&output));
        assert!(child::stderr(&output).contains("leaked"), "{}", child::text(&output));
    }
}
