//! Runtimes that are dropped where one would not expect it. The usual places are in `tests/actors/runtime.rs`,
//! `tests/bridge/shutdown.rs` and `tests/bridge/attach_shutdown.rs`.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use smarm::compat::await_future;
use smarm::{Handle, Runtime};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, child, message, until, within};

use crate::support::{HOSTS, native, on_tokio};

/// Parks some actors on `runtime`, and gives what counts their destructors.
fn park(runtime: &Runtime) -> Drops {
    let (about_to, drops) = (Signal::new(), Drops::new());
    for nth in 0..50 {
        let (about_to, held) = (about_to.clone(), drops.counted());
        drop(runtime.spawn(move || {
            let _held = held;
            about_to.raise();
            match nth % 2 {
                0 => smarm::sleep(Duration::MAX),
                _ => await_future(std::future::pending()),
            }
        }));
    }
    until(|| about_to.count() == 50);
    drops
}

/// Waits until all that was parked has ended.
fn all_ended(handle: &Handle, drops: &Drops) {
    until(|| handle.live() == 0);
    assert_eq!(drops.count(), 50);
}

#[test]
fn by_a_task_beside_its_own_workers() {
    child::run_well(|| {
        let runtime = on_tokio(2);
        let (handle, drops) = (runtime.handle(), park(&runtime));
        let tokio = runtime.run(tokio::runtime::Handle::current);
        drop(tokio.spawn(async move { drop(runtime) }));
        all_ended(&handle, &drops);
    });
}

#[test]
fn by_a_blocking_closure_of_its_own_tokio() {
    child::run_well(|| {
        let runtime = on_tokio(2);
        let (handle, drops) = (runtime.handle(), park(&runtime));
        let tokio = runtime.run(tokio::runtime::Handle::current);
        let (begun, ended) = (Signal::new(), Signal::new());
        let theirs = (begun.clone(), ended.clone());
        drop(tokio.spawn_blocking(move || {
            theirs.0.raise();
            // It waits for the worker's thread, which waits for this closure, but not for ever.
            drop(runtime);
            theirs.1.raise();
        }));
        all_ended(&handle, &drops);
        ended.wait(1);
        assert_eq!(begun.count(), 1);
    });
}

#[test]
fn by_a_task_of_a_service_that_is_not_attached() {
    within(PATIENCE, || {
        let service = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        for (_, start) in HOSTS {
            let runtime = start(2);
            let (handle, drops) = (runtime.handle(), park(&runtime));
            service.block_on(service.spawn(async move { drop(runtime) })).unwrap();
            all_ended(&handle, &drops);
        }
    });
}

#[test]
fn on_the_native_stack_of_its_own_actor_and_of_anothers() {
    within(PATIENCE, || {
        for (_, start) in HOSTS {
            let own = start(1);
            let (handle, drops) = (own.handle(), park(&own));
            let other = start(1);
            let ended = handle.spawn(move || smarm::on_native_stack(move || drop(own))).unwrap();
            all_ended(&handle, &drops);
            drop(ended.join());

            let third = start(1);
            let (handle, drops) = (third.handle(), park(&third));
            other.run(move || smarm::on_native_stack(move || drop(third)));
            all_ended(&handle, &drops);
        }
    });
}

#[test]
fn by_an_actor_that_unwinds() {
    within(PATIENCE, || {
        for (_, start) in HOSTS {
            let (own, other) = (start(1), start(1));
            let (handle, drops) = (own.handle(), park(&own));
            let theirs = handle.spawn(move || {
                let _held = own;
                panic!("with its runtime in hand");
            });
            all_ended(&handle, &drops);
            let ended: Result<(), _> = theirs.unwrap().join();
            assert_eq!(message(&*ended.unwrap_err().into_panic()), "with its runtime in hand");

            let third = start(1);
            let (handle, drops) = (third.handle(), park(&third));
            let caught = catch_unwind(AssertUnwindSafe(|| {
                other.run(move || {
                    let _held = third;
                    panic!("with another runtime in hand");
                })
            }));
            assert_eq!(message(&*caught.unwrap_err()), "with another runtime in hand");
            all_ended(&handle, &drops);
        }
    });
}

#[test]
fn by_an_actor_that_is_killed() {
    within(PATIENCE, || {
        for (_, start) in HOSTS {
            let (own, other) = (start(1), start(1));
            let (handle, drops) = (own.handle(), park(&own));
            let holding = Signal::new();
            let theirs = holding.clone();
            let holder = other
                .spawn(move || {
                    let _held = own;
                    theirs.raise();
                    smarm::sleep(Duration::MAX);
                })
                .unwrap();
            holding.wait(1);
            holder.kill();
            assert!(holder.join().unwrap_err().is_killed());
            all_ended(&handle, &drops);
        }
    });
}

#[test]
fn by_the_end_of_a_thread_whose_thread_local_has_it() {
    thread_local!(static KEPT: RefCell<Option<Runtime>> = const { RefCell::new(None) });
    within(PATIENCE, || {
        for (_, start) in HOSTS {
            let runtime = start(2);
            let (handle, drops) = (runtime.handle(), park(&runtime));
            thread::spawn(move || KEPT.set(Some(runtime))).join().unwrap();
            all_ended(&handle, &drops);
        }
    });
}

#[test]
fn in_a_destructor_of_one_of_its_own_actors_while_it_shuts_down() {
    within(PATIENCE, || {
        for (_, start) in HOSTS {
            let (own, other) = (start(2), start(2));
            let (handle, drops) = (other.handle(), park(&other));
            let parked = Signal::new();
            let theirs = parked.clone();
            // The shutdown of one drops the other, on the way.
            drop(own.spawn(move || {
                let mut other = Some(other);
                let _drops = OnDrop(move || drop(other.take()));
                theirs.raise();
                smarm::sleep(Duration::MAX);
            }));
            parked.wait(1);
            drop(own);
            all_ended(&handle, &drops);
        }
    });
}

#[test]
fn by_several_threads_at_once_that_all_made_one() {
    child::run_well(|| {
        thread::scope(|scope| {
            for nth in 0..6 {
                scope.spawn(move || {
                    for _ in 0..5 {
                        let runtime = HOSTS[nth % 2].1(2);
                        let (handle, drops) = (runtime.handle(), park(&runtime));
                        drop(runtime);
                        all_ended(&handle, &drops);
                    }
                });
            }
        });
    });
}

#[test]
fn never_because_it_is_forgotten() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(1);
            let drops = park(&runtime);
            assert_eq!(runtime.run(|| 42), 42);
            std::mem::forget(runtime);
            assert_eq!(drops.count(), 0);
        }
        // The process ends all the same.
        assert_eq!(native(1).run(|| 42), 42);
    });
}
