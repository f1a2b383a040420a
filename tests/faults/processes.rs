//! Processes: children of actors, signals, and an end in the middle of everything.

use std::io::{self, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, exit};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::time::Duration;

use smarm::compat::await_future;
use smarm::net::UnixStream;
use smarm::{JoinHandle, Runtime};
use smarm_workspace::{Drops, Signal, child, until};

use crate::support::{HOSTS, native, on_tokio};

/// Actors that are parked, in various ways, and what counts their destructors.
fn park(runtime: &Runtime, actors: usize) -> (Vec<JoinHandle<()>>, Drops) {
    let (about_to, drops) = (Signal::new(), Drops::new());
    let parked = (0..actors)
        .map(|nth| {
            let (about_to, held) = (about_to.clone(), drops.counted());
            let wait = move || {
                let _held = held;
                about_to.raise();
                match nth % 3 {
                    0 => smarm::sleep(Duration::MAX),
                    1 => await_future(std::future::pending()),
                    _ => drop(UnixStream::pair().map(|(mut near, _far)| near.read(&mut [0]))),
                }
            };
            runtime.spawn(wait).expect("there is a stack")
        })
        .collect();
    until(|| about_to.count() == actors);
    (parked, drops)
}

/// Runs `sh` in several ways, and looks at what it says.
fn run_commands() {
    let output = Command::new("sh").args(["-c", "echo said; exit 3"]).output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"said\n"[..], Some(3)));
    // With a closure before the exec it is a true fork.
    let mut forked = Command::new("sh");
    forked.args(["-c", "echo forked"]);
    // SAFETY: the closure makes one system call.
    unsafe {
        forked.pre_exec(|| {
            libc::getppid();
            Ok(())
        })
    };
    assert_eq!(forked.output().unwrap().stdout, b"forked\n");
    let missing = Command::new("there-is-no-such-program").spawn().map(drop);
    assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    let elsewhere = smarm::io::block_on_io(|| Command::new("true").status().unwrap());
    assert!(elsewhere.success());
}

#[test]
fn an_actor_starts_processes_while_thousands_of_actors_are_alive() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(2);
            let (parked, drops) = park(&runtime, 6_000);
            let starters: Vec<_> = (0..4).map(|_| runtime.spawn(run_commands).unwrap()).collect();
            starters.into_iter().for_each(|starter| starter.join().unwrap());
            assert_eq!(drops.count(), 0);
            drop(runtime);
            assert_eq!(drops.count(), parked.len());
        }
    });
}

#[test]
fn a_process_forked_by_an_actor_has_that_actor_alone_and_leaves_the_parent_whole() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(2);
            let (_parked, drops) = park(&runtime, 1_000);
            let status = runtime.run(|| {
                let before = [7_u8; 1000];
                // SAFETY: the child makes async-signal-safe calls only.
                let process = unsafe { libc::fork() };
                assert!(process >= 0, "{}", io::Error::last_os_error());
                if process == 0 {
                    // It goes on here, on a copy of the actor's stack, without any other thread.
                    let code = before.iter().map(|&byte| i32::from(byte)).sum::<i32>() / 1000;
                    // SAFETY: _exit may be called after a fork.
                    unsafe { libc::_exit(code) };
                }
                let mut status = 0;
                // SAFETY: the status is a valid place for the answer.
                assert_eq!(unsafe { libc::waitpid(process, &mut status, 0) }, process);
                smarm::yield_now();
                status
            });
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:#x}");
            assert_eq!(runtime.run(|| 42), 42);
            assert_eq!(drops.count(), 0);
        }
    });
}

/// Asks a process to end.
#[track_caller]
fn terminate(process: &std::process::Child) {
    // SAFETY: kill takes no pointers, and the process has not been waited for.
    assert_eq!(unsafe { libc::kill(process.id() as libc::pid_t, libc::SIGTERM) }, 0);
}

#[test]
fn sigterm_ends_a_process_with_a_thousand_parked_actors() {
    let body = || {
        let runtimes = [native(2), on_tokio(2)];
        for runtime in &runtimes {
            drop(park(runtime, 1_000));
        }
        println!("parked");
        runtimes[0].run(|| smarm::sleep(Duration::MAX));
    };
    child::converse(body, |mut process| {
        child::read_until(process.stdout.as_mut().unwrap(), "parked");
        terminate(&process);
        assert_eq!(process.wait().unwrap().signal(), Some(libc::SIGTERM));
    });
}

/// Where the handler of SIGTERM writes to.
static TOLD: AtomicI32 = AtomicI32::new(-1);

extern "C" fn tell(_: libc::c_int) {
    // SAFETY: write may be called in a handler; the byte is readable.
    unsafe { libc::write(TOLD.load(SeqCst), b"x".as_ptr().cast(), 1) };
}

/// A service that ends in order when it is told to.
fn serve_until_told(runtime: Runtime) {
    let (told, teller) = UnixStream::pair().unwrap();
    TOLD.store(teller.into_raw_fd(), SeqCst);
    // SAFETY: the handler is async-signal-safe and has the right signature.
    unsafe { libc::signal(libc::SIGTERM, tell as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    let (parked, drops) = park(&runtime, 1_000);
    runtime.run(move || {
        println!("parked");
        let mut told = told;
        told.read_exact(&mut [0]).unwrap();
    });
    runtime.shutdown(Duration::from_secs(30)).unwrap();
    assert_eq!(drops.count(), parked.len());
    println!("ended in order");
}

/// What the other end of [`serve_until_told`] sees.
fn tell_and_wait(mut process: std::process::Child) {
    child::read_until(process.stdout.as_mut().unwrap(), "parked");
    terminate(&process);
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("ended in order"), "{}", child::text(&output));
}

#[test]
fn sigterm_that_a_handler_passes_to_an_actor_ends_a_thousand_others_in_order() {
    child::converse(|| serve_until_told(native(2)), tell_and_wait);
}

#[test]
fn sigterm_that_a_handler_passes_to_an_actor_on_tokio_ends_a_thousand_others_in_order() {
    child::converse(|| serve_until_told(on_tokio(2)), tell_and_wait);
}

#[test]
fn sigterm_that_an_actor_awaits_with_tokio_ends_a_thousand_others_in_order() {
    let body = || {
        let runtime = on_tokio(2);
        let (parked, drops) = park(&runtime, 1_000);
        runtime.run(|| {
            use tokio::signal::unix::{SignalKind, signal};
            let mut told = signal(SignalKind::terminate()).unwrap();
            println!("parked");
            assert!(await_future(told.recv()).is_some());
        });
        runtime.shutdown(Duration::from_secs(30)).unwrap();
        assert_eq!(drops.count(), parked.len());
        println!("ended in order");
    };
    child::converse(body, tell_and_wait);
}

/// A process that exited with 3.
#[track_caller]
fn assert_exited(output: Option<std::process::Output>) {
    if let Some(output) = output {
        assert_eq!(output.status.code(), Some(3), "{}", child::text(&output));
    }
}

#[test]
fn exit_in_an_actor_ends_the_process_with_its_code() {
    assert_exited(child::run(|| {
        let runtime = native(2);
        drop(park(&runtime, 1_000));
        runtime.run(|| {
            smarm::yield_now();
            exit(3);
        });
    }));
}

#[test]
fn exit_in_an_actor_on_tokio_ends_the_process_with_its_code() {
    assert_exited(child::run(|| {
        let runtime = on_tokio(2);
        drop(park(&runtime, 1_000));
        runtime.run(|| exit(3));
    }));
}

#[test]
fn exit_in_a_poll_ends_the_process_with_its_code() {
    assert_exited(child::run(|| native(1).run(|| await_future(async { exit(3) }))));
}

#[test]
fn exit_on_the_native_stack_ends_the_process_with_its_code() {
    assert_exited(child::run(|| native(1).run(|| smarm::on_native_stack(|| exit(3)))));
}

#[test]
fn exit_in_a_task_beside_actors_ends_the_process_with_its_code() {
    assert_exited(child::run(|| on_tokio(1).run(|| drop(await_future(tokio::spawn(async { exit(3) }))))));
}

#[test]
fn exit_on_another_thread_while_workers_are_busy_ends_the_process_with_its_code() {
    assert_exited(child::run(|| {
        let running = Signal::new();
        let busy = [native(2), on_tokio(2)];
        for runtime in &busy {
            for _ in 0..100 {
                let running = running.clone();
                drop(runtime.spawn(move || {
                    running.raise();
                    until(|| false);
                }));
            }
        }
        running.wait(200);
        exit(3);
    }));
}
