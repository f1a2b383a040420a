//! Children are started, spoken with, waited for in every face, ended, and not lost.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use smarm::compat::{await_future, await_timeout};
use smarm::process::{Child, Command, Stdio};
use smarm_workspace::{PATIENCE, Signal, until, within, workers};

/// Runs `test` in an actor of each kind of runtime, and on a plain thread.
fn everywhere(test: fn()) {
    within(PATIENCE, || {
        test();
        smarm::run(test);
        smarm_compat::Builder::new().workers(1).run(test);
    });
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// One that runs until it is killed.
fn endless() -> Child {
    Command::new("sleep").arg("1000000").spawn().unwrap()
}

#[test]
fn how_it_ended_is_told_again_and_again() {
    everywhere(|| {
        let mut child = shell("exit 7").spawn().unwrap();
        for _ in 0..2 {
            assert_eq!(child.wait().unwrap().code(), Some(7));
        }
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(7));
        assert!(shell("true").status().unwrap().success());
        assert!(Command::new("/no/such/program").spawn().is_err());
    });
}

#[test]
fn pipes_are_read_and_written() {
    everywhere(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        for n in 0..100 {
            writeln!(to, "line {n}").unwrap();
            let mut line = String::new();
            from.read_line(&mut line).unwrap();
            assert_eq!(line, format!("line {n}\n"));
        }
        drop(to);
        assert_eq!(from.read(&mut [0]).unwrap(), 0);
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn output_of_both_pipes_is_read_without_deadlock() {
    everywhere(|| {
        // More than both pipes hold, first the one that is read second.
        let script =
            "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; exit 3";
        for asynchronous in [false, true] {
            if asynchronous && smarm::try_self_pid().is_none() {
                continue; // a plain thread has no reactor
            }
            let mut command = shell(script);
            let output = if asynchronous { await_future(command.output_async()) } else { command.output() };
            let output = output.unwrap();
            assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 500_000));
            assert_eq!(output.status.code(), Some(3));
        }
    });
}

#[test]
fn output_leaves_what_was_set_and_the_command_as_it_was() {
    everywhere(|| {
        let mut command = shell("cat; echo out; echo err >&2");
        let output = command.stderr(Stdio::null()).output().unwrap();
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b""[..]));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_ref().unwrap().write_all(b"in ").unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"in out\n");
    });
}

#[test]
fn a_wait_with_a_limit_leaves_the_child() {
    everywhere(|| {
        let mut child = endless();
        assert_eq!(child.wait_timeout(Duration::from_millis(1)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let deadline = smarm::time::now() + Duration::from_millis(1);
        assert_eq!(child.wait_deadline(deadline).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let scoped = smarm::with_timeout(Duration::from_millis(1), || child.wait().unwrap_err().kind());
        assert_eq!(scoped, Ok(io::ErrorKind::TimedOut));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        child.kill().unwrap(); // it has ended, and does not mind
    });
}

#[test]
fn async_code_waits_for_it_and_may_give_up() {
    within(PATIENCE, || {
        smarm::run(|| {
            let mut child = endless();
            assert!(await_timeout(Duration::from_millis(1), child.wait_async()).is_err());
            child.kill().unwrap();
            assert_eq!(await_future(child.wait_async()).unwrap().signal(), Some(libc::SIGKILL));
            let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (to, from) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
            let mut echoed = [0; 5];
            await_future(async {
                to.write_async(b"hello").await.unwrap();
                from.read_async(&mut echoed).await.unwrap();
            });
            assert_eq!(&echoed, b"hello");
            drop(to);
            assert!(await_future(Command::new("true").status_async()).unwrap().success());
            assert!(cat.wait().unwrap().success());
        });
    });
}

#[test]
fn tasks_of_tokio_beside_a_worker_wait_for_it() {
    within(PATIENCE, || {
        smarm_compat::Builder::new().workers(1).run(|| {
            let output = tokio::spawn(async { shell("echo hello").output_async().await.unwrap() });
            assert_eq!(await_future(output).unwrap().stdout, b"hello\n");
        });
    });
}

#[test]
fn many_at_once_are_told_apart() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let actors: Vec<_> = (0..20)
                .map(|n| smarm::spawn(move || shell(&format!("exit {n}")).status().unwrap().code()))
                .collect();
            for (n, actor) in actors.into_iter().enumerate() {
                assert_eq!(actor.join().unwrap(), Some(n as i32));
            }
        });
    });
}

#[test]
fn a_killed_actor_leaves_its_child_or_takes_it_along() {
    within(PATIENCE, || {
        for along in [false, true] {
            let runtime = workers(1);
            let (tx, rx) = std::sync::mpsc::channel();
            let actor = runtime.spawn(move || {
                let mut child = Command::new("sleep").arg("1000000").kill_on_drop(along).spawn().unwrap();
                tx.send(child.id()).unwrap();
                drop(child.wait());
            });
            let id = rx.recv().unwrap() as i32;
            runtime.shutdown(PATIENCE).unwrap();
            assert!(actor.unwrap().join().unwrap_err().is_killed());
            // SAFETY: kill takes no pointers. Signal 0 asks whether there is such a process, or its zombie.
            let is_there = || unsafe { libc::kill(id, 0) } == 0;
            if !along {
                assert!(is_there());
                // SAFETY: as above; the child is this process's, and was not waited for.
                assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
            }
            // Any later child buries it.
            until(|| {
                assert!(Command::new("true").status().unwrap().success());
                !is_there()
            });
        }
    });
}

#[test]
fn the_worker_is_free_while_a_child_runs() {
    within(PATIENCE, || {
        smarm::run(|| {
            let ran = Signal::new();
            let mut child = endless();
            let id = child.id() as i32;
            let waiter = smarm::spawn(move || child.wait().unwrap().signal());
            smarm::spawn({
                let ran = ran.clone();
                move || ran.raise()
            })
            .join()
            .unwrap();
            ran.wait(1);
            // SAFETY: kill takes no pointers; the child was not waited for.
            assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
            assert_eq!(waiter.join().unwrap(), Some(libc::SIGTERM));
        });
    });
}

#[test]
fn a_pipe_goes_on_to_another_child() {
    everywhere(|| {
        let mut first = shell("printf 'b\\na\\n'").stdout(Stdio::piped()).spawn().unwrap();
        let output = Command::new("sort").stdin(first.stdout.take().unwrap()).output().unwrap();
        assert_eq!(output.stdout, b"a\nb\n");
        assert!(first.wait().unwrap().success());
    });
}

#[test]
fn environment_directory_and_arguments_are_stds() {
    everywhere(|| {
        let output = shell("pwd; echo $WHO $GONE $0")
            .arg("zero")
            .current_dir("/")
            .env("WHO", "me")
            .env("GONE", "not me")
            .env_remove("GONE")
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"/\nme zero\n");
        let command = shell("x");
        assert_eq!(command.get_program(), "sh");
        assert_eq!(command.get_args().count(), 2);
    });
}
