//! Each listener gets each signal that it wants, wherever it waits; handlers of others go on.
//!
//! Signals are the whole process's, so each test has one of its own kind, or a process.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::StreamExt;
use smarm::compat::{await_future, await_timeout};
use smarm::signal::{Signal, Signals, ctrl_c, ctrl_c_async};
use smarm_workspace::{PATIENCE, block_on, child, until, within, workers};

fn raise(signal: Signal) {
    // SAFETY: kill takes no pointers.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal.as_raw()) }, 0);
}

/// A signal without a name, so that tests beside each other have their own.
fn real_time(number: i32) -> Signal {
    Signal::from_raw(libc::SIGRTMIN() + number).unwrap()
}

#[test]
fn every_listener_gets_every_signal_in_every_face() {
    within(PATIENCE, || {
        let own = real_time(0);
        let runtime = workers(2);
        let listen = || Signals::new([own]).unwrap();
        let (mut actors, mut thread, mut task) = ([listen(), listen()], listen(), listen());
        let actors = actors.each_mut().map(|signals| {
            let mut own = std::mem::replace(signals, listen());
            runtime.spawn(move || [own.recv().unwrap(), await_future(own.recv_async())]).unwrap()
        });
        let thread = std::thread::spawn(move || [thread.recv().unwrap(), thread.recv().unwrap()]);
        let task = std::thread::spawn(move || {
            block_on(async { [task.next().await.unwrap(), task.recv_async().await] })
        });
        let mut counter = listen();
        for _ in 0..2 {
            raise(own);
            assert_eq!(counter.recv().unwrap(), own);
            // Signals that come while one is pending are one with it, so all must have had the first.
            while !(thread.is_finished()
                && task.is_finished()
                && actors.iter().all(|actor| actor.is_finished()))
            {
                raise(own);
                assert_eq!(counter.recv().unwrap(), own);
            }
        }
        for actor in actors {
            assert_eq!(actor.join().unwrap(), [own; 2]);
        }
        assert_eq!((thread.join().unwrap(), task.join().unwrap()), ([own; 2], [own; 2]));
    });
}

#[test]
fn only_what_was_asked_for_comes_the_lowest_number_first() {
    within(PATIENCE, || {
        let (one, two, three) = (real_time(1), real_time(2), real_time(3));
        let mut some = Signals::new([two, one]).unwrap();
        let mut other = Signals::new([three]).unwrap();
        raise(two);
        raise(one);
        raise(three);
        assert_eq!(other.recv().unwrap(), three);
        let mut got = [some.recv().unwrap(), some.recv().unwrap()];
        got.sort();
        assert_eq!(got, [one, two]);
        assert_eq!((some.try_recv(), other.try_recv()), (None, None));
    });
}

#[test]
fn waits_for_signals_end_early_and_lose_none() {
    within(PATIENCE, || {
        smarm::run(|| {
            let own = real_time(4);
            let moment = Duration::from_millis(1);
            let mut signals = Signals::new([own]).unwrap();
            assert_eq!(signals.recv_timeout(moment).unwrap_err().kind(), io::ErrorKind::TimedOut);
            let deadline = smarm::time::now() + moment;
            assert_eq!(signals.recv_deadline(deadline).unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(await_timeout(moment, signals.recv_async()).is_err());
            let scoped = smarm::with_timeout(moment, || signals.recv().unwrap_err().kind());
            assert_eq!(scoped, Ok(io::ErrorKind::TimedOut));
            raise(own);
            assert_eq!(signals.recv_timeout(PATIENCE).unwrap(), own);
        });
    });
}

#[test]
fn a_handler_that_stood_there_before_is_still_called() {
    static CALLED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn handler(_: i32) {
        CALLED.fetch_add(1, SeqCst);
    }
    within(PATIENCE, || {
        let own = real_time(5);
        // SAFETY: the handler is async-signal-safe.
        unsafe { libc::signal(own.as_raw(), handler as extern "C" fn(i32) as libc::sighandler_t) };
        let mut signals = Signals::new([own]).unwrap();
        for count in 1..=3 {
            raise(own);
            signals.recv().unwrap();
            until(|| CALLED.load(SeqCst) == count); // it may still run, on whatever thread it interrupted
        }
    });
}

#[test]
fn control_and_c_wakes_all_who_wait_and_does_not_end_the_process() {
    child::run_well(|| {
        let runtime = workers(1);
        let waiting: Vec<_> = (0..3)
            .map(|n| {
                runtime.spawn(move || if n == 0 { await_future(ctrl_c_async()) } else { ctrl_c() }).unwrap()
            })
            .collect();
        // From the first listener on, the signal ends nothing.
        let mut own = Signals::new([Signal::INTERRUPT]).unwrap();
        while !waiting.iter().all(|waiter| waiter.is_finished()) {
            raise(Signal::INTERRUPT);
            own.recv().unwrap();
        }
        waiting.into_iter().for_each(|waiter| waiter.join().unwrap().unwrap());
        drop(own);
        raise(Signal::INTERRUPT);
    });
}

#[test]
fn what_no_program_can_listen_to_has_no_name_here() {
    for number in [0, -1, 65, 32, libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV] {
        assert_eq!(Signal::from_raw(number), None);
    }
    assert_eq!(Signal::from_raw(libc::SIGTERM), Some(Signal::TERMINATE));
    assert_eq!(format!("{:?}", Signal::USER1), "SIGUSR1");
}

#[test]
fn signals_of_many_kinds_at_once_need_one_frame_of_a_small_stack() {
    within(PATIENCE, || {
        let all: Vec<_> = (7..=20).map(real_time).collect();
        let mut signals = Signals::new(all.clone()).unwrap();
        // SAFETY: an empty set is made, and filled with valid numbers; the mask is this thread's own.
        unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut set);
            for signal in &all {
                libc::sigaddset(&mut set, signal.as_raw());
            }
            // Pending together, they are delivered together.
            for _ in 0..100 {
                libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                for signal in &all {
                    libc::pthread_kill(libc::pthread_self(), signal.as_raw());
                }
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
            }
        }
        let mut missing = all;
        while !missing.is_empty() {
            let got = signals.recv().unwrap();
            missing.retain(|signal| *signal != got);
        }
    });
}

#[test]
fn a_storm_of_signals_disturbs_no_actor() {
    within(PATIENCE, || {
        let own = real_time(6);
        let runtime = workers(2);
        let mut signals = Signals::new([own]).unwrap();
        let ring = runtime
            .spawn(|| {
                let (tx, rx) = smarm::channel();
                let sender = smarm::spawn(move || (0..20_000_u64).for_each(|n| tx.send(n).unwrap()));
                let sum: u64 = rx.iter().sum();
                sender.join().unwrap();
                sum
            })
            .unwrap();
        while !ring.is_finished() {
            raise(own);
            signals.recv().unwrap();
        }
        assert_eq!(ring.join().unwrap(), 20_000 * 19_999 / 2);
    });
}
