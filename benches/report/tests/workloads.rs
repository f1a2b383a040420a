//! Each workload of each peer once, at a tiny size: what they compute is right.

use std::process::Command;

#[test]
fn every_workload_of_every_peer_gives_the_right_result() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-report")).arg("--check").output().expect("it starts");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
