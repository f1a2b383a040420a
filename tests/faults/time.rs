//! Time: a process that is stopped for a while, and clocks that begin anywhere.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use smarm::compat::{await_future, await_timeout};
use smarm::{CancelToken, Config, Runtime};
use smarm_workspace::{Signal, calm, child, until};

use crate::support::{HOSTS, cpu_millis, on_tokio};

const SLEEPERS: u64 = 200;
const APART: Duration = Duration::from_millis(5);

/// Sleepers whose deadlines lie apart from each other. The process is stopped for some of them.
fn sleep_through_a_stop(runtime: Runtime) {
    let (armed, woken) = (Signal::new(), Arc::new(Mutex::new(Vec::new())));
    let begun = Instant::now() + Duration::from_millis(100);
    let sleepers: Vec<_> = (0..SLEEPERS)
        .map(|nth| {
            let (armed, woken) = (armed.clone(), woken.clone());
            // In no particular order.
            let nth = nth * 77 % SLEEPERS;
            let sleep = move || {
                let deadline = begun + APART * nth as u32;
                armed.raise();
                smarm::sleep_until(deadline);
                assert!(Instant::now() >= deadline, "sleeper {nth} was early");
                woken.lock().unwrap().push(nth);
            };
            runtime.spawn(sleep).unwrap()
        })
        .collect();
    until(|| armed.count() == SLEEPERS as usize);
    println!("armed");
    sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    // On one worker, all that are due at once wake in the order of their deadlines.
    let woken = woken.lock().unwrap();
    assert!(woken.is_sorted(), "{woken:?}");
    let used = cpu_millis();
    assert!(used < 1000, "{used} ms of CPU time in about a second of sleeping");
    // Timers go on.
    let error = await_timeout(Duration::from_millis(1), std::future::pending::<()>());
    assert!(error.is_err());
    runtime.run(|| smarm::sleep(Duration::from_millis(1)));
}

/// Stops the process in the middle of its sleeps, and lets it go on.
fn stop_for_a_while(mut process: Child) {
    let pid = process.id() as libc::pid_t;
    let signal = |signal| {
        // SAFETY: kill takes no pointers, and the process has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    };
    child::read_until(process.stdout.as_mut().unwrap(), "armed");
    // What is tested is a span of time.
    thread::sleep(Duration::from_millis(200));
    signal(libc::SIGSTOP);
    let mut status = 0;
    // SAFETY: the status is a valid place for the answer.
    let stopped = unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) };
    assert!(stopped > 0 && libc::WIFSTOPPED(status), "{status:#x}");
    thread::sleep(Duration::from_millis(500));
    signal(libc::SIGCONT);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", child::text(&output));
}

#[test]
fn a_process_that_is_stopped_wakes_its_sleepers_in_order_and_does_not_spin() {
    child::converse(|| sleep_through_a_stop(smarm::runtime::init(calm(Config::exact(1)))), stop_for_a_while);
}

#[test]
fn a_process_on_tokio_that_is_stopped_wakes_its_sleepers_in_order_and_does_not_spin() {
    child::converse(
        || {
            let config = calm(Config::exact(1));
            sleep_through_a_stop(smarm_compat::Builder::new().config(config).start().unwrap());
        },
        stop_for_a_while,
    );
}

/// Waits of all kinds that mind the clock.
fn use_the_clock() {
    for (_, start) in HOSTS {
        start(2).run(|| {
            let (begun, moment) = (Instant::now(), Duration::from_millis(2));
            smarm::sleep(moment);
            assert!(begun.elapsed() >= moment);
            smarm::sleep_until(begun);
            assert!(await_timeout(moment, std::future::pending::<()>()).is_err());
            let (sender, receiver) = smarm::channel::<u8>();
            assert!(receiver.recv_timeout(moment).is_err());
            sender.send(1).unwrap();
            assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(1));
            assert!(!CancelToken::new().wait_timeout(moment));
            let child = smarm::spawn(|| smarm::sleep(Duration::from_millis(1)));
            assert!(child.join_timeout(Duration::MAX).is_ok());
            let far = smarm::spawn(|| smarm::sleep(Duration::from_secs(u64::from(u32::MAX))));
            smarm::yield_now();
            far.kill();
            assert!(far.join().is_err_and(|error| error.is_killed()));
        });
    }
    on_tokio(1).run(|| await_future(tokio::time::sleep(Duration::from_millis(1))));
    println!("all in time");
}

/// Runs the calling test once more in a time namespace whose monotonic clock is set off by this many seconds.
/// Says whether the system allows that.
fn run_with_clock_offset(seconds: i64) -> bool {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--time", "--fork", &format!("--monotonic={seconds}")])
        .arg(env::current_exe().unwrap())
        .args(env::args().skip(1))
        .env(OFFSET, "1")
        .output();
    let Ok(output) = output else { return false };
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains("running 1 test") && output.status.signal().is_none() {
        return false;
    }
    assert!(output.status.success() && said.contains("all in time"), "{}", child::text(&output));
    true
}

const OFFSET: &str = "SMARM_TEST_CLOCK";

#[test]
fn the_clock_may_have_begun_just_now_or_ages_ago() {
    child::run_well(|| {
        if env::var_os(OFFSET).is_some() {
            return use_the_clock();
        }
        use_the_clock();
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is a valid place for the answer.
        assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) }, 0);
        const YEAR: i64 = 365 * 24 * 3600;
        for offset in [-now.tv_sec, 100 * YEAR] {
            if !run_with_clock_offset(offset) {
                return println!("time namespaces are not to be had here");
            }
        }
    });
}
