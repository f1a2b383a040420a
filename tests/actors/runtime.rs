//! Runtimes: making them, running on them, dropping them from everywhere, and leaving the CPU alone.

use std::fs;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use smarm::compat::await_future;
use smarm::runtime::{init, try_init};
use smarm::{Builder, Config, Handle, InitError, JoinError, Runtime};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, child, panic_message, until, within, workers};

/// Actors parked in several ways, each of which drops something counted when it unwinds.
fn park_actors(runtime: &Handle, count: usize) -> Drops {
    let drops = Drops::new();
    let parked = Signal::new();
    for n in 0..count {
        let (held, parked) = (drops.counted(), parked.clone());
        let actor = runtime.spawn(move || {
            let _held = held;
            parked.raise();
            if n % 2 == 0 { smarm::sleep(Duration::MAX) } else { await_future(pending::<()>()) }
        });
        drop(actor.unwrap());
    }
    until(|| parked.count() == count);
    drops
}

#[test]
fn several_runtimes_live_in_one_process_and_do_not_mix() {
    within(PATIENCE, || {
        let runtimes: Vec<_> =
            (0..4).map(|n| init(Config::exact(1 + n % 2).name(format!("runtime{n}-")))).collect();
        thread::scope(|scope| {
            for (n, runtime) in runtimes.iter().enumerate() {
                scope.spawn(move || {
                    for _ in 0..200 {
                        let children: Vec<_> = (0..5).map(|_| runtime.spawn(thread_name).unwrap()).collect();
                        for child in children {
                            let name = child.join().unwrap();
                            assert!(name.starts_with(&format!("runtime{n}-")), "{name}");
                        }
                    }
                });
            }
        });
    });
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn an_actor_of_one_runtime_waits_for_an_actor_of_another() {
    within(PATIENCE, || {
        let (one, other) = (workers(1), workers(2));
        let theirs = other.handle();
        let sum = one.run(move || {
            let far: Vec<_> = (0..100).map(|n| theirs.spawn(move || n).unwrap()).collect();
            let near: Vec<_> = (0..100).map(|n| smarm::spawn(move || n)).collect();
            far.into_iter().chain(near).map(|child| child.join().unwrap()).sum::<i32>()
        });
        assert_eq!(sum, 2 * 4950);
        // A whole runtime inside an actor of another.
        assert_eq!(one.run(|| other.run(|| smarm::run(|| 42))), 42);
    });
}

#[test]
fn run_borrows_from_its_caller() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let (mut sum, numbers) = (0, vec![1, 2, 3]);
        runtime.run(|| {
            for number in &numbers {
                smarm::yield_now();
                sum += number;
            }
        });
        assert_eq!(sum, 6);
        let text = String::from("text");
        let slice: &str = runtime.run(|| &text[1..3]);
        assert_eq!(slice, "ex");
    });
}

#[test]
fn run_from_many_threads_at_once_gives_each_its_own_result() {
    within(PATIENCE, || {
        let runtime = workers(2);
        thread::scope(|scope| {
            for n in 0..4 {
                let runtime = &runtime;
                scope.spawn(move || {
                    for round in 0..200 {
                        assert_eq!(runtime.run(|| n * round), n * round);
                    }
                });
            }
        });
    });
}

#[test]
fn a_run_whose_caller_is_killed_waits_for_what_borrows_from_it() {
    within(PATIENCE, || {
        let (outer, inner) = (workers(1), Arc::new(workers(1)));
        let (running, go) = (Signal::new(), Signal::new());
        let touched = Arc::new(AtomicBool::new(false));
        let caller = {
            let (inner, running, go, touched) = (inner.clone(), running.clone(), go.clone(), touched.clone());
            outer
                .spawn(move || {
                    let mut borrowed = vec![1, 2, 3];
                    inner.run(|| {
                        running.raise();
                        go.wait(1);
                        borrowed.push(4);
                        touched.store(true, SeqCst);
                    });
                    assert_eq!(borrowed, [1, 2, 3, 4]);
                    smarm::yield_now();
                    unreachable!("the kill is obeyed at the next wait");
                })
                .unwrap()
        };
        running.wait(1);
        caller.kill();
        // Whatever else runs on the caller's worker meanwhile.
        for _ in 0..10 {
            outer.run(smarm::yield_now);
        }
        assert!(!caller.is_finished());
        go.raise();
        let ended: Result<(), _> = caller.join();
        assert!(ended.unwrap_err().is_killed());
        assert!(touched.load(SeqCst));
    });
}

#[test]
fn actors_outlive_the_run_that_spawned_them_but_not_the_runtime() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let (go, drops) = (Signal::new(), Drops::new());
        let (theirs, held) = (go.clone(), drops.counted());
        let child = runtime.run(move || {
            smarm::spawn(move || {
                let _held = held;
                theirs.wait(1);
                42
            })
        });
        go.raise();
        assert_eq!(child.join().unwrap(), 42);
        let child = runtime.run(|| smarm::spawn(|| smarm::sleep(Duration::MAX)));
        drop(runtime);
        assert!(child.join().unwrap_err().is_killed());
    });
}

#[test]
fn dropping_a_runtime_unwinds_its_parked_actors() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let drops = park_actors(&runtime.handle(), 500);
            assert_eq!(drops.count(), 0);
            drop(runtime);
            assert_eq!(drops.count(), 500);
        }
    });
}

#[test]
fn dropping_a_runtime_drops_actors_that_have_not_started() {
    within(PATIENCE, || {
        for _ in 0..50 {
            let drops = Drops::new();
            let runtime = workers(1);
            let children: Vec<_> = (0..100)
                .map(|_| {
                    let held = drops.counted();
                    runtime.spawn(move || drop(held)).unwrap()
                })
                .collect();
            drop(runtime);
            assert_eq!(drops.count(), 100);
            for child in children {
                match child.join() {
                    Ok(()) | Err(JoinError::Killed) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
}

#[test]
fn a_runtime_that_was_never_used_can_be_dropped_at_once() {
    within(PATIENCE, || {
        for count in [1, 2, 4] {
            for _ in 0..20 {
                drop(workers(count));
            }
        }
    });
}

#[test]
fn a_runtime_dropped_by_a_plain_thread_waits_for_destructors() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let handle = runtime.handle();
        let drops = park_actors(&handle, 10);
        let slow = drops.counted();
        let parked = Signal::new();
        let theirs = parked.clone();
        drop(runtime.spawn(move || {
            let mut slow = Some(slow);
            let _takes_time = OnDrop(move || {
                for _ in 0..1000 {
                    smarm::yield_now();
                }
                drop(slow.take());
            });
            theirs.raise();
            smarm::sleep(Duration::MAX);
        }));
        parked.wait(1);
        thread::spawn(move || drop(runtime)).join().unwrap();
        assert_eq!(drops.count(), 11);
        assert_eq!(handle.live(), 0);
    });
}

#[test]
fn a_runtime_dropped_by_one_of_its_own_actors_ends_without_blocking_it() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let handle = runtime.handle();
            let drops = park_actors(&handle, 100);
            let shared = Arc::new(Mutex::new(Some(runtime)));
            let (dropped, theirs) = (Signal::new(), shared.clone());
            let signal = dropped.clone();
            let child = handle
                .spawn(move || {
                    drop(theirs.lock().unwrap().take());
                    signal.raise();
                    smarm::sleep(Duration::MAX);
                    unreachable!("it is killed with the others");
                })
                .unwrap();
            dropped.wait(1);
            let ended: Result<(), _> = child.join();
            assert!(ended.unwrap_err().is_killed());
            until(|| drops.count() == 100 && handle.live() == 0);
            assert!(shared.lock().unwrap().is_none());
        }
    });
}

#[test]
fn a_runtime_dropped_by_an_actor_of_another_lets_that_ones_worker_run_on() {
    within(PATIENCE, || {
        let (outer, inner) = (workers(1), workers(1));
        let drops = park_actors(&inner.handle(), 100);
        let (unwinding, go) = (Signal::new(), Signal::new());
        let (theirs, held) = ((unwinding.clone(), go.clone()), drops.counted());
        let parked = Signal::new();
        let they_parked = parked.clone();
        drop(inner.spawn(move || {
            let _held = held;
            let _waits = OnDrop(move || {
                theirs.0.raise();
                theirs.1.wait(1);
            });
            they_parked.raise();
            smarm::sleep(Duration::MAX);
        }));
        parked.wait(1);
        let dropper = outer.spawn(move || drop(inner)).unwrap();
        unwinding.wait(1);
        // The dropping actor is parked meanwhile: its neighbour raises what it waits for.
        outer.run(|| go.raise());
        dropper.join().unwrap();
        assert_eq!(drops.count(), 101);
    });
}

#[test]
fn a_shutdown_in_time_says_so_and_one_that_is_not_names_who_runs_on() {
    within(PATIENCE, || {
        let runtime = workers(1);
        park_actors(&runtime.handle(), 10);
        runtime.shutdown(PATIENCE).unwrap();

        let runtime = workers(2);
        let handle = runtime.handle();
        let drops = park_actors(&handle, 10);
        let (started, running) = mpsc::channel();
        let (go, blocked) = mpsc::channel::<()>();
        let stuck = Builder::new()
            .name("stuck")
            .runtime(&handle)
            .spawn(move || {
                started.send(()).unwrap();
                blocked.recv() // a std channel: no kill reaches it
            })
            .unwrap();
        running.recv().unwrap();
        let error = runtime.shutdown(Duration::from_millis(50)).unwrap_err();
        assert!(error.actors().contains(&(stuck.pid(), "stuck".to_owned())), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{} \"stuck\"", stuck.pid())), "{text}");
        // It ends when it can, and the workers with it.
        go.send(()).unwrap();
        stuck.join().unwrap().unwrap();
        until(|| handle.live() == 0);
        assert_eq!(drops.count(), 10);
    });
}

#[test]
fn a_spawn_during_a_shutdown_is_refused_with_killed() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let handle = runtime.handle();
        let drops = Drops::new();
        let (parked, held) = (Signal::new(), (drops.counted(), drops.counted()));
        let theirs = parked.clone();
        let (sender, receiver) = mpsc::channel();
        let actor = runtime
            .spawn(move || {
                let mut held = Some(held.0);
                let _spawns = OnDrop(move || {
                    let held = held.take();
                    sender.send(smarm::spawn(move || drop(held)).join()).unwrap();
                });
                theirs.raise();
                smarm::sleep(Duration::MAX);
            })
            .unwrap();
        parked.wait(1);
        handle.stop();
        assert!(receiver.recv().unwrap().unwrap_err().is_killed(), "from inside");
        assert!(actor.join().unwrap_err().is_killed());
        let held = held.1;
        let outside = handle.spawn(move || drop(held)).unwrap();
        assert!(outside.join().unwrap_err().is_killed(), "from outside");
        assert_eq!(drops.count(), 2, "the closures are dropped");
        runtime.shutdown(PATIENCE).unwrap();
        // And when the runtime has gone altogether.
        assert!(handle.spawn(|| ()).unwrap().join().unwrap_err().is_killed());
        let late = Builder::new().runtime(&handle).worker(0).spawn(|| ()).unwrap();
        assert!(late.join().unwrap_err().is_killed());
    });
}

#[test]
fn spawns_from_threads_that_race_with_a_shutdown_end_one_way_or_the_other() {
    within(PATIENCE, || {
        for _ in 0..100 {
            let runtime = workers(2);
            let handle = runtime.handle();
            let drops = Drops::new();
            let spawned = thread::scope(|scope| {
                let spawners: Vec<_> = (0..2)
                    .map(|n| {
                        let (handle, drops) = (handle.clone(), drops.clone());
                        scope.spawn(move || {
                            let mut spawned = 0;
                            loop {
                                let held = drops.counted();
                                spawned += 1;
                                let builder = Builder::new().runtime(&handle);
                                let builder = if n == 0 { builder } else { builder.worker(1) };
                                let child = builder.spawn(move || drop(held)).unwrap();
                                match child.join() {
                                    Ok(()) => {}
                                    Err(JoinError::Killed) => return spawned,
                                    Err(error) => panic!("{error}"),
                                }
                            }
                        })
                    })
                    .collect();
                until(|| drops.count() > 10);
                drop(runtime);
                spawners.into_iter().map(|spawner| spawner.join().unwrap()).sum::<usize>()
            });
            assert_eq!(drops.count(), spawned);
            assert_eq!(handle.live(), 0);
        }
    });
}

#[test]
fn actors_that_spawn_without_end_do_not_keep_a_runtime_alive() {
    within(PATIENCE, || {
        fn breed(drops: Drops) {
            let _held = drops.counted();
            let child = drops.clone();
            drop(smarm::spawn(move || breed(child)));
        }
        for count in [1, 2] {
            let runtime = workers(count);
            let handle = runtime.handle();
            let drops = Drops::new();
            let first = drops.clone();
            drop(runtime.spawn(move || breed(first)).unwrap());
            until(|| drops.count() > 100);
            runtime.shutdown(PATIENCE).unwrap();
            assert_eq!(handle.live(), 0);
        }
    });
}

#[test]
fn a_wrong_configuration_is_an_error_that_says_what_to_do() {
    let error = try_init(Config::exact(0)).map(drop).unwrap_err();
    assert!(matches!(error, InitError::NoWorkers));
    assert!(error.to_string().contains("Config::exact(1)"), "{error}");

    let error = try_init(Config::exact(1).slice(Duration::ZERO)).map(drop).unwrap_err();
    assert!(error.to_string().contains("Config::slice"), "{error}");

    for bytes in [0, 1, 4096, 16 * 1024 + 1, 128 << 20, usize::MAX, usize::MAX & !4095] {
        let error = try_init(Config::exact(1).stack_size(bytes)).map(drop).unwrap_err();
        assert!(matches!(error, InitError::Stack(_)), "{bytes}: {error:?}");
        let text = error.to_string();
        assert!(
            text.contains(&bytes.to_string()) && text.contains("16 KiB") && text.contains("64 MiB"),
            "{text}"
        );
    }
    let message = panic_message(|| init(Config::exact(0)));
    assert!(message.contains("Config::exact(1)"), "{message}");
}

#[test]
fn every_legal_stack_size_gives_a_stack_that_can_be_used() {
    within(PATIENCE, || {
        for bytes in [16 << 10, 20 << 10, 64 << 10, 1 << 20, 64 << 20] {
            let runtime = init(Config::exact(1).stack_size(bytes));
            runtime.run(move || touch((&raw const bytes).addr(), bytes / 2));
        }
    });
}

/// Uses about this many bytes of stack below `start`.
#[inline(never)]
fn touch(start: usize, bytes: usize) {
    let block = std::hint::black_box([1_u8; 256]);
    if start - block.as_ptr().addr() < bytes {
        touch(start, bytes);
    }
    std::hint::black_box(&block);
}

#[test]
fn handle_current_is_the_runtime_of_the_calling_actor() {
    within(PATIENCE, || {
        assert!(Handle::try_current().is_none());
        let message = panic_message(Handle::current);
        assert!(message.contains("Runtime::run") && message.contains("Runtime::handle"), "{message}");
        let (one, two) = (workers(1), workers(2));
        assert_eq!(one.run(|| Handle::current().workers()), 1);
        assert_eq!(two.run(|| Handle::current().workers()), 2);
        assert_eq!(one.run(|| two.run(|| Handle::current().workers())), 2);
    });
}

#[test]
fn live_and_actors_tell_who_is_there() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let handle = runtime.handle();
        assert_eq!(handle.live(), 0);
        let go = Signal::new();
        let children: Vec<_> = (0..3)
            .map(|n| {
                let go = go.clone();
                Builder::new().name(format!("actor-{n}")).runtime(&handle).spawn(move || go.wait(1)).unwrap()
            })
            .collect();
        until(|| go.waiting() == 3);
        assert_eq!(handle.live(), 3);
        let actors = handle.actors();
        assert_eq!(actors.len(), 3);
        for (n, child) in children.iter().enumerate() {
            assert!(actors.contains(&(child.pid(), format!("actor-{n}"))), "{actors:?}");
        }
        go.raise();
        children.into_iter().for_each(|child| child.join().unwrap());
        until(|| handle.live() == 0);
        assert_eq!(handle.actors(), []);
    });
}

#[test]
fn a_panic_while_a_runtime_is_on_the_stack_unwinds_through_its_drop() {
    within(PATIENCE, || {
        let drops = Arc::new(Mutex::new(Drops::new()));
        let theirs = drops.clone();
        let message = panic_message(move || {
            let runtime: Runtime = workers(1);
            *theirs.lock().unwrap() = park_actors(&runtime.handle(), 10);
            panic!("boom");
        });
        assert_eq!(message, "boom");
        assert_eq!(drops.lock().unwrap().count(), 10);
    });
}

/// Voluntary context switches and ticks of CPU time of all other threads of this process.
fn activity() -> (u64, u64) {
    let own = fs::read_link("/proc/thread-self").unwrap();
    let own = own.file_name().unwrap();
    let (mut switches, mut ticks) = (0, 0);
    for thread in fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap) {
        if thread.file_name() == own {
            continue;
        }
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else { continue };
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        switches += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    }
    (switches, ticks)
}

#[test]
fn an_idle_runtime_is_silent() {
    child::run_well(|| {
        let runtime = workers(4);
        park_actors(&runtime.handle(), 100);
        runtime.run(|| {
            let children: Vec<_> = (0..1000).map(|_| smarm::spawn(smarm::yield_now)).collect();
            children.into_iter().for_each(|child| child.join().unwrap());
        });
        // What is measured is a span of time, so time has to pass. The monitor makes a few ticks
        // more before it sleeps, to give memory back; `within` bounds the rounds.
        loop {
            let before = activity();
            thread::sleep(Duration::from_secs(1));
            let after = activity();
            if after.0 - before.0 <= 2 && after.1 == before.1 {
                break;
            }
        }
        assert_eq!(runtime.run(|| 42), 42);
    });
}
