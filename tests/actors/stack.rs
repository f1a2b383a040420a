//! Stacks: an overflow names its actor, other faults go where they went before, and none run out
//! silently.

use std::hint::black_box;
use std::io::{Write, stderr, stdout};
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::{fs, ptr, thread};

use smarm::{Builder, Config, SpawnError, StackError};
use smarm_workspace::{PATIENCE, Signal, child, part_of, until, until_idly, within};

/// Recurses beyond any stack.
#[inline(never)]
fn overflow(level: usize) -> usize {
    if level == usize::MAX {
        return 0;
    }
    let block = black_box([level; 16]);
    let deeper = overflow(black_box(level + 1));
    block[level % 16] + deeper
}

/// A child that overflowed: it aborted, and the report names the actor and its stack.
#[track_caller]
fn assert_reported(output: &Output, name: &str, size: &str) {
    let text = child::stderr(output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(output));
    let report = text.lines().find(|line| line.contains("overflowed its")).expect("there is a report");
    assert!(report.starts_with("actor ") && report.contains(&format!("\"{name}\"")), "{report}");
    assert!(report.ends_with(&format!("overflowed its {size} stack")), "{report}");
    assert!(text.contains("Builder::stack_size") && text.contains("on_native_stack"), "{text}");
}

fn overflow_in(config: Config, size: usize) {
    smarm::runtime::init(config).run(|| {
        // Neighbours above and below, so that the fault is not at the edge of the area.
        let parked = Signal::new();
        for _ in 0..10 {
            let parked = parked.clone();
            drop(Builder::new().stack_size(size).spawn(move || parked.wait(1)).unwrap());
        }
        until(|| parked.waiting() == 10);
        let child = Builder::new().name("parser").stack_size(size).spawn(|| overflow(0)).unwrap();
        unreachable!("it returned {:?}", child.join());
    });
}

#[test]
fn an_overflow_names_the_actor_and_aborts() {
    if let Some(output) = child::run(|| overflow_in(Config::exact(1), 64 << 10)) {
        assert_reported(&output, "parser", "64 KiB");
    }
}

#[test]
fn an_overflow_names_the_actor_with_mprotect_guards_too() {
    if let Some(output) = child::run(|| overflow_in(Config::exact(2).mprotect_guards(true), 16 << 10)) {
        assert_reported(&output, "parser", "16 KiB");
    }
}

#[test]
fn an_overflow_of_the_largest_stack_is_reported_too() {
    if let Some(output) = child::run(|| overflow_in(Config::exact(1), 64 << 20)) {
        assert_reported(&output, "parser", "65536 KiB");
    }
}

#[test]
fn an_overflow_while_the_actor_holds_the_locks_of_stdout_and_stderr_is_reported() {
    let output = child::run(|| {
        smarm::run(|| {
            let (mut out, mut err) = (stdout().lock(), stderr().lock());
            write!(out, "held").and_then(|()| writeln!(err, "held")).unwrap();
            black_box(overflow(0));
            drop((out, err));
        });
    });
    if let Some(output) = output {
        let size = format!("{} KiB", smarm::DEFAULT_STACK_SIZE >> 10);
        assert_reported(&output, "", &size);
    }
}

#[test]
fn an_overflow_while_other_threads_allocate_and_print_is_reported() {
    let output = child::run(|| {
        let barrier = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            let barrier = barrier.clone();
            thread::spawn(move || {
                barrier.wait();
                loop {
                    eprint!("{}", black_box(String::from(" ")));
                }
            });
        }
        barrier.wait();
        overflow_in(Config::exact(1), 16 << 10);
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(&output));
        assert!(child::stderr(&output).contains("\"parser\" overflowed its 16 KiB stack"));
    }
}

#[test]
fn an_overflow_of_an_os_thread_is_still_reported_by_std() {
    let output = child::run(|| {
        smarm::run(|| ());
        let _runtime = smarm::runtime::init(Config::exact(1));
        let thread = thread::Builder::new().name("os-thread".into()).spawn(|| overflow(0)).unwrap();
        drop(thread.join());
    });
    if let Some(output) = output {
        let text = child::stderr(&output);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(&output));
        assert!(text.contains("os-thread") && text.contains("has overflowed its stack"), "{text}");
        assert!(!text.contains("actor"), "{text}");
    }
}

/// Reads from an address where nothing is.
fn fault() {
    // SAFETY: none: the fault is what is tested, in a process that ends with it.
    black_box(unsafe { ptr::without_provenance::<u8>(8).read_volatile() });
}

#[test]
fn another_fault_in_an_actor_ends_the_process_as_it_would_have_without_smarm() {
    if let Some(output) = child::run(|| smarm::run(fault)) {
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", child::text(&output));
        assert!(!child::stderr(&output).contains("overflowed"), "{}", child::text(&output));
    }
}

#[test]
fn another_fault_goes_to_the_handler_that_was_there_before() {
    extern "C" fn handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel passes a valid `info`; `_exit` may be called in a handler.
        unsafe { libc::_exit(if (*info).si_addr().addr() == 8 { 42 } else { 43 }) };
    }
    let output = child::run(|| {
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handler;
        // SAFETY: the action is valid, and the handler has the signature for SA_SIGINFO.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
        }
        smarm::run(fault);
    });
    if let Some(output) = output {
        assert_eq!(output.status.code(), Some(42), "{}", child::text(&output));
    }
}

#[test]
fn stacks_that_run_out_are_an_error_that_names_the_sysctl() {
    child::run_well(|| {
        let limit: usize = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        if limit > 1 << 20 {
            return println!("vm.max_map_count is {limit}: that many stacks are not to be had here");
        }
        let runtime = smarm::runtime::init(Config::exact(2).mprotect_guards(true).stack_size(16 << 10));
        let signal = Signal::new();
        let mut actors = Vec::with_capacity(limit);
        let error = loop {
            let theirs = signal.clone();
            let number = actors.len();
            let actor = runtime.spawn(move || {
                theirs.wait(1);
                number
            });
            match actor {
                Ok(actor) => actors.push(actor),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, SpawnError::Stack(StackError::TooManyMaps { .. })), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("vm.max_map_count") && text.contains(&limit.to_string()), "{text}");
        assert!(actors.len() > limit / 2 - 2000 && actors.len() <= limit / 2, "{} actors", actors.len());
        until(|| signal.waiting() == actors.len());
        signal.raise();
        for (number, actor) in actors.into_iter().enumerate() {
            assert_eq!(actor.join().unwrap(), number);
        }
        // Their stacks can be used again.
        assert_eq!(runtime.run(|| 42), 42);
    });
}

/// The resident bytes of this process.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_parked_actor_keeps_few_pages_and_a_burst_is_given_back() {
    const TOUCHED: usize = 32 << 10;
    child::run_well(|| {
        let crowd = part_of(5_000).max(2_000); // many more than the stacks that are kept
        #[inline(never)]
        fn touch(start: usize) {
            let block = black_box([1_u8; 512]);
            if start - block.as_ptr().addr() < TOUCHED {
                touch(start);
            }
            black_box(&block);
        }
        let runtime = smarm::runtime::init(Config::exact(1).stack_size(64 << 10));
        let before = resident();
        let signal = Signal::new();
        let deep = Arc::new(AtomicUsize::new(0));
        let spawn = |deeply: bool| {
            let (signal, deep) = (signal.clone(), deep.clone());
            runtime
                .spawn(move || {
                    signal.wait(1);
                    if deeply {
                        let start = 0_u8;
                        touch((&raw const start).addr());
                        deep.fetch_add(1, SeqCst);
                    }
                    signal.wait(2);
                })
                .unwrap()
        };
        let actors: Vec<_> = (0..crowd).map(|_| spawn(true)).collect();
        until(|| signal.waiting() == crowd);
        let parked = resident() - before;
        assert!(parked < crowd * (12 << 10), "{} bytes for each parked actor", parked / crowd);
        signal.raise();
        until(|| deep.load(SeqCst) == crowd);
        let burst = resident() - before;
        assert!(burst > crowd * TOUCHED, "the burst was to touch its stacks");
        signal.raise();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        until_idly(|| resident() - before < burst / 4);
    });
}

#[test]
fn a_stack_that_was_used_before_is_as_good_as_a_new_one() {
    within(PATIENCE, || {
        let runtime = smarm::runtime::init(Config::exact(1).stack_size(16 << 10));
        for round in 0..2000_u64 {
            let child = runtime.spawn(move || {
                let block = black_box([round; 256]);
                smarm::yield_now();
                block.iter().sum::<u64>()
            });
            assert_eq!(child.unwrap().join().unwrap(), 256 * round);
        }
    });
}
