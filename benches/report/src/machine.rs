//! What the figures were measured on, and with.

use std::fs;
use std::process::Command;

/// How many are running, on the average of the last minute.
pub fn load() -> String {
    first_word(&fs::read_to_string("/proc/loadavg").unwrap_or_default())
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// A line for each thing that matters: name and value.
pub fn facts() -> Vec<(&'static str, String)> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    vec![
        ("CPU", format!("{cpus} of {model}")),
        ("memory", memory.unwrap_or("unknown").trim().to_owned()),
        ("Linux", first_word(&release)),
        ("rustc", said(Command::new("rustc").arg("--version"))),
        ("commit", said(Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]))),
        ("peers", versions()),
    ]
}

fn said(command: &mut Command) -> String {
    let said = command.output().ok().filter(|output| output.status.success());
    said.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Those of the peers, as the lock file has them.
fn versions() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let peers = ["tokio", "may", "crossbeam-channel", "kanal", "flume", "hyper", "axum"];
    let version = |peer: &str| {
        let found =
            lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{peer}\"\n")))?;
        let version = found.lines().find_map(|line| line.strip_prefix("version = "))?;
        Some(format!("{peer} {}", version.trim_matches('"')))
    };
    peers.into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}
