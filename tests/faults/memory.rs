//! Memory: no address space, no memory for stacks, none for threads. That mappings run out is in
//! `tests/actors/stack.rs`.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use smarm::{Builder, Config, InitError, JoinHandle, SpawnError, StackError};
use smarm_workspace::{Signal, child, message, until};

use crate::support::{HOSTS, limit, number};

/// The bytes behind a field of `/proc/self/status`.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
    let line = status.lines().find(|line| line.starts_with(field)).expect("there is such a field");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number") << 10
}

const MIB: u64 = 1 << 20;

/// Actors that wait for `go`, spawned until there is no stack for one more.
fn spawn_until_refused(stack_size: usize, go: &Signal) -> (Vec<JoinHandle<usize>>, SpawnError) {
    let mut actors = Vec::with_capacity(100_000);
    loop {
        let (theirs, number) = (go.clone(), actors.len());
        let actor = Builder::new().stack_size(stack_size).spawn(move || {
            theirs.wait(1);
            number
        });
        match actor {
            Ok(actor) => actors.push(actor),
            Err(error) => return (actors, error),
        }
    }
}

#[test]
fn a_spawn_without_address_space_is_an_error_and_the_actors_that_there_are_go_on() {
    child::run_well(|| {
        for (nth, (_, start)) in HOSTS.into_iter().enumerate() {
            let runtime = start(1);
            runtime.run(move || {
                let go = Signal::new();
                let theirs = go.clone();
                let neighbour = smarm::spawn(move || theirs.wait(1));
                until(|| go.waiting() == 1);
                let unlimited = limit(libc::RLIMIT_AS, status("VmSize") + MIB);
                // A size of which there are no stacks yet.
                let size = 32 << (20 + nth);
                let (actors, error) = spawn_until_refused(size, &go);
                let refused =
                    std::panic::catch_unwind(|| smarm::Builder::new().stack_size(size).spawn(|| ()).unwrap());
                limit(libc::RLIMIT_AS, unlimited);
                assert!(matches!(error, SpawnError::Stack(StackError::NoAddressSpace { .. })), "{error:?}");
                assert!(error.to_string().contains("RLIMIT_AS"), "{error}");
                assert!(refused.is_err() && actors.is_empty());
                // Once there is some, there are stacks.
                let child = Builder::new().stack_size(size).spawn(|| 7).unwrap();
                assert_eq!(child.join().unwrap(), 7);
                go.raise();
                neighbour.join().unwrap();
            });
        }
    });
}

#[test]
fn a_limit_of_address_space_leaves_some_to_the_rest_of_the_program() {
    child::run_well(|| {
        limit(libc::RLIMIT_AS, status("VmSize") + 2048 * MIB);
        for (_, start) in HOSTS {
            let runtime = start(1);
            runtime.run(|| {
                let go = Signal::new();
                let (actors, error) = spawn_until_refused(64 << 10, &go);
                assert!(matches!(error, SpawnError::Stack(StackError::AreaFull { .. })), "{error:?}");
                assert!(actors.len() > 100, "{}", actors.len());
                drop(std::hint::black_box(vec![1_u8; 256 << 20]));
                go.raise();
                for (number, actor) in actors.into_iter().enumerate() {
                    assert_eq!(actor.join().unwrap(), number);
                }
            });
        }
    });
}

#[test]
fn a_spawn_without_memory_is_an_error_and_succeeds_once_there_is_some() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(1);
            runtime.run(|| {
                let go = Signal::new();
                let unlimited = limit(libc::RLIMIT_DATA, status("VmData") + 32 * MIB);
                let (actors, error) = spawn_until_refused(128 << 10, &go);
                limit(libc::RLIMIT_DATA, unlimited);
                assert!(matches!(error, SpawnError::Stack(StackError::NoMemory { .. })), "{error:?}");
                assert!(error.to_string().contains("RLIMIT_DATA"), "{error}");
                let more = Builder::new().stack_size(128 << 10).spawn(|| 7).unwrap();
                assert_eq!(more.join().unwrap(), 7);
                go.raise();
                for (number, actor) in actors.into_iter().enumerate() {
                    assert_eq!(actor.join().unwrap(), number);
                }
            });
        }
    });
}

/// std ends the process if a thread finds no memory when it begins; a thread takes its name afterwards.
#[test]
fn all_threads_of_a_runtime_have_begun_when_it_is_there() {
    child::run_well(|| {
        let begun = || {
            let names = fs::read_dir("/proc/self/task").expect("there is /proc");
            let names =
                names.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).ok());
            names.filter(|name| name.starts_with("begun-")).count()
        };
        let service =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let builder = || smarm_compat::Builder::new().workers(2).name("begun");
        for _ in 0..100 {
            let native = smarm::runtime::init(Config::exact(2).name("begun"));
            assert_eq!(begun(), 3, "two workers and the monitor");
            drop(native);
            let own = builder().start().unwrap();
            assert_eq!(begun(), 3);
            drop(own);
            let attached = builder().attach(service.handle()).unwrap();
            assert_eq!(begun(), 3);
            drop(attached);
            until(|| begun() == 0);
        }
    });
}

#[test]
fn spawns_that_are_refused_for_want_of_a_slot_lose_no_stack() {
    child::run_well(|| {
        for (size, (_, start)) in [512 << 10, 2 << 20].into_iter().zip(HOSTS) {
            let runtime = start(1);
            let handle = runtime.handle();
            let (refusals, lowest) = runtime.run(move || {
                // Enough for the first 16 stacks of their size, and not for the 256 KiB of slots beside them.
                let stacks = 16 * (size as u64 + (20 << 10));
                let unlimited = limit(libc::RLIMIT_DATA, status("VmData") + stacks + MIB / 8);
                let mut refusals = 0;
                for _ in 0..100 {
                    let own = Builder::new().stack_size(size).spawn(|| ());
                    let elsewhere = Builder::new().stack_size(size).runtime(&handle).worker(0).spawn(|| ());
                    refusals += usize::from(own.is_err()) + usize::from(elsewhere.is_err());
                }
                limit(libc::RLIMIT_DATA, unlimited);
                (refusals, number(Builder::new().stack_size(size).spawn(|| ()).unwrap().pid()))
            });
            assert!(refusals == 200 && lowest < 16, "{refusals} {lowest}");
        }
    });
}

#[test]
fn a_panicking_spawn_without_a_stack_ends_its_actor_alone_and_names_the_limit() {
    child::run_well(|| {
        let runtime = smarm::runtime::init(Config::exact(1).stack_size(2 << 20));
        let other = smarm::runtime::init(Config::exact(1).stack_size(4 << 20));
        let handle = other.handle();
        runtime.run(move || {
            let unlimited = limit(libc::RLIMIT_AS, status("VmSize") + MIB);
            let refused = handle.spawn(|| ());
            limit(libc::RLIMIT_AS, unlimited);
            assert!(
                matches!(refused, Err(SpawnError::Stack(StackError::NoAddressSpace { .. }))),
                "{refused:?}"
            );
        });
        let child = runtime.spawn(|| {
            let go = Signal::new();
            let unlimited = limit(libc::RLIMIT_DATA, status("VmData") + 16 * MIB);
            let actors = std::panic::catch_unwind(|| {
                for _ in 0..1000 {
                    let theirs = go.clone();
                    drop(smarm::spawn(move || theirs.wait(1)));
                }
            });
            limit(libc::RLIMIT_DATA, unlimited);
            go.raise();
            std::panic::resume_unwind(actors.unwrap_err());
        });
        let ended: Result<(), _> = child.unwrap().join();
        assert!(message(&*ended.unwrap_err().into_panic()).contains("RLIMIT_DATA"));
        until(|| runtime.handle().live() == 0);
        assert_eq!(runtime.run(|| 42), 42);
    });
}

#[test]
fn a_thread_that_the_system_refuses_is_an_error_of_who_wants_it() {
    child::run_well(|| {
        let runtime = smarm::runtime::init(Config::exact(1));
        let before = crate::support::threads();
        runtime.run(|| {
            // Room for what a panic allocates, and for no thread's stack.
            let unlimited = limit(libc::RLIMIT_AS, status("VmSize") + 192 * 1024);
            let native = smarm::runtime::try_init(Config::exact(1)).map(drop);
            let tokio = smarm_compat::Builder::new().workers(1).start().map(drop);
            let call = std::panic::catch_unwind(|| smarm::io::block_on_io(|| 1));
            limit(libc::RLIMIT_AS, unlimited);
            for refused in [native, tokio] {
                let Err(InitError::Io(error)) = refused else { panic!("{refused:?}") };
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory), "{error}");
            }
            assert!(message(&*call.unwrap_err()).contains("could not start a thread"));
            assert_eq!(smarm::io::block_on_io(|| 2), 2);
            smarm::sleep(Duration::from_millis(1));
        });
        smarm::io::set_block_on_io_threads(1);
        drop(runtime);
        // But for the thread of the blocking pool, and the watchdog of this test, none is left.
        until(|| crate::support::threads() <= before);
    });
}
