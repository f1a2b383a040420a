//! Spawning: where an actor goes, what it may carry, and what happens when it cannot be.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use smarm::compat::await_future;
use smarm::{Builder, Config, SpawnError};
use smarm_workspace::{Drops, PATIENCE, Signal, panic_message, until, within, workers};

#[test]
fn a_spawn_outside_a_runtime_names_the_way_in() {
    within(PATIENCE, || {
        let message = panic_message(|| smarm::spawn(|| ()));
        assert!(message.contains("Runtime::spawn") && message.contains("run"), "{message}");
        let message = panic_message(|| smarm::spawn_local(|| ()));
        assert!(message.contains("Runtime::spawn"), "{message}");
        assert_eq!(Builder::new().spawn(|| ()).map(drop), Err(SpawnError::NoRuntime));
        assert_eq!(Builder::new().spawn_local(|| ()).map(drop), Err(SpawnError::NoRuntime));
    });
}

#[test]
fn a_spawn_that_fails_drops_its_closure() {
    within(PATIENCE, || {
        let drops = Drops::new();
        let held = drops.counted();
        assert!(Builder::new().spawn(move || drop(held)).is_err());
        smarm::run(|| {
            let held = drops.counted();
            assert!(Builder::new().stack_size(1).spawn(move || drop(held)).is_err());
            let held = drops.counted();
            assert!(Builder::new().worker(9).spawn(move || drop(held)).is_err());
        });
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_wrong_stack_size_is_an_error_with_the_legal_range() {
    within(PATIENCE, || {
        smarm::run(|| {
            for bytes in [0, 8 << 10, 16 * 1024 + 1, 128 << 20, usize::MAX & !4095] {
                let error = Builder::new().stack_size(bytes).spawn(|| ()).map(drop).unwrap_err();
                assert!(matches!(error, SpawnError::StackSize(_)), "{error:?}");
                assert!(error.source().is_some());
                let text = error.to_string();
                assert!(text.contains("16 KiB") && text.contains("64 MiB"), "{text}");
                let local = Builder::new().stack_size(bytes).spawn_local(|| ()).map(drop);
                assert_eq!(local, Err(error));
            }
        });
    });
}

#[test]
fn a_worker_that_there_is_not_is_an_error_with_their_number() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let error = Builder::new().runtime(&runtime.handle()).worker(2).spawn(|| ()).map(drop).unwrap_err();
        assert_eq!(error, SpawnError::NoSuchWorker { worker: 2, workers: 2 });
        assert!(error.to_string().contains("worker 2"), "{error}");
    });
}

#[test]
fn an_actor_starts_on_the_worker_that_the_builder_names() {
    within(PATIENCE, || {
        let runtime = workers(3);
        let handle = runtime.handle();
        let mut threads = Vec::new();
        for worker in 0..3 {
            let spawn = || Builder::new().runtime(&handle).worker(worker).spawn(|| thread::current().id());
            let first = spawn().unwrap().join().unwrap();
            for _ in 0..50 {
                assert_eq!(spawn().unwrap().join().unwrap(), first);
            }
            assert!(!threads.contains(&first));
            threads.push(first);
        }
        // From an actor, too.
        let here = runtime.run(move || {
            (0..3)
                .map(|n| Builder::new().worker(n).spawn(|| thread::current().id()).unwrap().join().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(here, threads);
    });
}

#[test]
fn a_local_actor_stays_with_its_spawner_though_other_workers_are_idle() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..100 {
            runtime.run(|| {
                let here = thread::current().id();
                let shared = Rc::new(RefCell::new(Vec::new()));
                let children: Vec<_> = (0..10)
                    .map(|n| {
                        let shared = shared.clone();
                        smarm::spawn_local(move || {
                            assert_eq!(thread::current().id(), here);
                            smarm::yield_now();
                            assert_eq!(thread::current().id(), here);
                            shared.borrow_mut().push(n);
                            shared.clone()
                        })
                    })
                    .collect();
                for child in children {
                    assert!(Rc::ptr_eq(&child.join().unwrap(), &shared));
                }
                assert_eq!(shared.borrow().len(), 10);
                assert_eq!(Rc::strong_count(&shared), 1);
            });
        }
    });
}

#[test]
fn local_actors_can_be_spawned_in_a_poll_and_on_the_native_stack() {
    within(PATIENCE, || {
        smarm::run(|| {
            let value = Rc::new(Cell::new(0));
            let (one, two) = (value.clone(), value.clone());
            let first = smarm::on_native_stack(move || smarm::spawn_local(move || one.set(one.get() + 1)));
            let second =
                await_future(async move { smarm::spawn_local(move || two.set(two.get() + 1)).await });
            first.join().unwrap();
            second.unwrap();
            assert_eq!(value.get(), 2);
        });
    });
}

#[test]
fn spawn_local_for_another_runtime_is_refused() {
    within(PATIENCE, || {
        let (one, other) = (workers(1), workers(1));
        let theirs = other.handle();
        one.run(|| {
            let error = Builder::new().runtime(&theirs).spawn_local(|| ()).map(drop);
            assert_eq!(error, Err(SpawnError::NoRuntime));
        });
    });
}

#[test]
fn closures_and_results_of_every_size_and_alignment_arrive_whole() {
    #[repr(align(256))]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Aligned([u8; 300]);

    within(PATIENCE, || {
        smarm::run(|| {
            let aligned = Aligned([7; 300]);
            let child = smarm::spawn(move || {
                assert_eq!((&raw const aligned).addr() % 256, 0);
                smarm::yield_now();
                aligned
            });
            assert_eq!(child.join().unwrap(), aligned);

            let small = [1_u8; 1000];
            assert_eq!(smarm::spawn(move || small).join().unwrap(), small);

            let large = [2_u8; 3000];
            let child = Builder::new().stack_size(64 << 10).spawn(move || large).unwrap();
            assert_eq!(child.join().unwrap(), large);

            smarm::spawn(|| ()).join().unwrap();
        });
    });
}

#[test]
fn a_large_closure_fits_a_small_stack() {
    within(PATIENCE, || {
        let runtime = smarm::runtime::init(Config::exact(1).stack_size(16 << 10));
        let large = [3_u8; 100_000];
        let child = runtime.spawn(move || large.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        // Only captured: a closure of this size is run where it lies, on the heap.
        assert_eq!(child.unwrap().join().unwrap(), 300_000);
    });
}

#[test]
fn names_of_any_length_and_alphabet_are_kept() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let handle = runtime.handle();
        let go = Signal::new();
        for name in ["", "short", "ä name with ümlauts that is längër than thirty-two bytes", "\0"] {
            let theirs = go.clone();
            drop(Builder::new().name(name).runtime(&handle).spawn(move || theirs.wait(1)).unwrap());
        }
        until(|| go.waiting() == 4);
        for (_, name) in handle.actors() {
            assert!(name.len() <= 32);
            assert!(!name.contains(char::REPLACEMENT_CHARACTER), "{name}");
        }
        assert!(handle.actors().iter().any(|(_, name)| name.starts_with("ä name with ümlauts")));
        go.raise();
    });
}

#[test]
fn every_actor_of_a_burst_runs_once() {
    const BURST: usize = 5_000;
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let runs = Arc::new(AtomicUsize::new(0));
            let spawn = |spawned: usize| {
                let runs = runs.clone();
                move || {
                    for _ in 0..spawned {
                        let runs = runs.clone();
                        drop(smarm::spawn(move || runs.fetch_add(1, SeqCst)));
                    }
                }
            };
            // From one actor, from many actors, and from threads outside.
            runtime.run(spawn(BURST));
            runtime.run(|| {
                let spawners: Vec<_> = (0..50).map(|_| smarm::spawn(spawn(BURST / 50))).collect();
                spawners.into_iter().for_each(|spawner| spawner.join().unwrap());
            });
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..BURST / 2 {
                            let runs = runs.clone();
                            drop(runtime.spawn(move || runs.fetch_add(1, SeqCst)).unwrap());
                        }
                    });
                }
            });
            until(|| runs.load(SeqCst) == 3 * BURST);
            until(|| runtime.handle().live() == 0);
            assert_eq!(runs.load(SeqCst), 3 * BURST);
        }
    });
}

#[test]
fn a_deep_tree_of_actors_joins_up() {
    fn fib(n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let child = smarm::spawn(move || fib(n - 1));
        fib(n - 2) + child.join().unwrap()
    }
    within(PATIENCE, || {
        for count in [1, 2, 4] {
            assert_eq!(workers(count).run(|| fib(15)), 610);
        }
    });
}

#[test]
fn a_chain_of_a_thousand_actors_each_joining_the_next_comes_back() {
    fn chain(left: usize) -> usize {
        if left == 0 { 0 } else { 1 + smarm::spawn(move || chain(left - 1)).join().unwrap() }
    }
    within(PATIENCE, || {
        for count in [1, 2] {
            assert_eq!(workers(count).run(|| chain(1000)), 1000);
        }
    });
}

#[test]
fn actors_with_stacks_of_different_sizes_live_side_by_side() {
    within(PATIENCE, || {
        let runtime = workers(2);
        runtime.run(|| {
            let go = Signal::new();
            let children: Vec<_> = (0..200)
                .map(|n| {
                    let go = go.clone();
                    let size = [16 << 10, 64 << 10, 256 << 10, 2 << 20][n % 4];
                    Builder::new()
                        .stack_size(size)
                        .spawn(move || {
                            go.wait(1);
                            n
                        })
                        .unwrap()
                })
                .collect();
            go.raise();
            for (n, child) in children.into_iter().enumerate() {
                assert_eq!(child.join_timeout(Duration::MAX).unwrap(), n);
            }
        });
    });
}
