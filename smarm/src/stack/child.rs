//! Tests that need a process of their own, because they fault, change limits, or count memory.

use std::env;
use std::panic::Location;
use std::process::{Command, Output, Stdio};

use super::PAGE;

const MARK: &str = "SMARM_TEST_CHILD";

/// Runs `body` in a child process: starts this test binary again with only the test `name`, which
/// comes back here and runs it. The child must end well.
#[track_caller]
pub(super) fn run(name: &str, body: impl FnOnce()) {
    if let Some(output) = output(name, body) {
        assert!(output.status.success(), "at {}: {}", Location::caller(), text(&output));
    }
}

/// Like [`run`], but the child may end in any way; gives `None` in the child.
pub(super) fn output(name: &str, body: impl FnOnce()) -> Option<Output> {
    if env::var_os(MARK).is_some() {
        body();
        return None;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "the child did not find the test {name}: {said}");
    Some(output)
}

/// What the child printed, for a message.
pub(super) fn text(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Whether a read at `address` would not fault.
pub(super) fn is_readable(address: usize) -> bool {
    super::guard::is_readable(std::ptr::with_exposed_provenance(address & !(PAGE - 1)))
}

/// The bytes that are resident of this process.
pub(super) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
}

/// Touches the top page of a stack, as an actor does.
pub(super) fn touch(index: u32) {
    let top = super::area::bounds(index).end;
    // SAFETY: the tests own the stacks that they touch.
    unsafe { std::ptr::with_exposed_provenance_mut::<u64>(top - 64).write_volatile(1) };
}
