//! Tests that need a process of their own, because they fault, replace the panic hook, or measure
//! the whole process.

use std::env;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};

use crate::patience::{PATIENCE, test_name, within};

const MARK: &str = "SMARM_TEST_CHILD";

/// Runs `body` in a child process, and gives what became of that: starts this test binary again with
/// only the calling test, which comes back here and runs it. Gives `None` in the child.
pub fn run<F: FnOnce()>(body: F) -> Option<Output> {
    if is_child() {
        within(PATIENCE, body);
        return None;
    }
    let child = spawn::<F>();
    let output = within(PATIENCE * 2, || child.wait_with_output().expect("the child can be waited for"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "the child did not find its test: {}", text(&output));
    Some(output)
}

/// As [`run`], for a body that must end well.
#[track_caller]
pub fn run_well<F: FnOnce()>(body: F) {
    if let Some(output) = run(body) {
        assert!(output.status.success(), "{}", text(&output));
    }
}

/// As [`run`], but `parent` speaks with the child while that runs. The child's stdin, stdout and
/// stderr are pipes.
pub fn converse<F: FnOnce()>(body: F, parent: impl FnOnce(Child)) {
    if is_child() {
        within(PATIENCE, body);
    } else {
        let child = spawn::<F>();
        within(PATIENCE * 2, || parent(child));
    }
}

/// Whether this is the child.
pub fn is_child() -> bool {
    env::var_os(MARK).is_some()
}

fn spawn<F>() -> Child {
    Command::new(env::current_exe().expect("the test binary has a path"))
        .args([test_name::<F>(), "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary starts")
}

/// What the child wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All that is known of the child, for a message.
pub fn text(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        stderr(output)
    )
}

/// Reads from `pipe` until `text` has come, and gives all that was read.
///
/// # Panics
/// If the pipe ends before.
#[track_caller]
pub fn read_until(mut pipe: impl Read, text: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    loop {
        let all = String::from_utf8_lossy(&read);
        if all.contains(text) {
            return all.into_owned();
        }
        assert_ne!(
            pipe.read(&mut byte).expect("the pipe can be read"),
            0,
            "it ended without {text:?}: {all}"
        );
        read.push(byte[0]);
    }
}
