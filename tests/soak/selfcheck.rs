//! Whether the soak finds what it is to find.

use std::env;
use std::process::{Command, ExitCode, Output};
use std::thread;

use crate::plant;

/// A short soak, and one with each planted fault.
pub(crate) fn run() -> ExitCode {
    let mut wrong = Vec::new();
    let sound = soak(&["--seconds", "1"]);
    if !sound.status.success() || !text(&sound).contains("the books balance") {
        wrong.push(format!("a sound soak failed:\n{}", text(&sound)));
    }
    // Each has some twenty threads, which mostly wait.
    let at_once = 3 * thread::available_parallelism().map_or(1, usize::from);
    for plants in plant::ALL.chunks(at_once) {
        let found: Vec<_> = thread::scope(|scope| {
            let check = |&(_, name, words)| scope.spawn(move || check(name, words));
            let checks: Vec<_> = plants.iter().map(check).collect();
            checks.into_iter().filter_map(|check| check.join().expect("a check does not panic")).collect()
        });
        wrong.extend(found);
    }
    if wrong.is_empty() {
        println!("soak: sound, and {} planted faults were found", plant::ALL.len());
        return ExitCode::SUCCESS;
    }
    wrong.iter().for_each(|wrong| eprintln!("soak: {wrong}"));
    ExitCode::FAILURE
}

/// Whether a planted fault makes the soak fail, with these words.
fn check(name: &str, words: &str) -> Option<String> {
    // Only what hangs is given up soon: on a machine that is busy the others just take long, and in chaos mode all do.
    let chaos = env::var_os("SMARM_CHAOS").is_some();
    let patience = if name == "hang" && !chaos { "3" } else { "60" };
    let arguments = ["--seconds", "0.4", "--patience", patience, "--settling", "3", "--plant", name];
    let output = soak(&arguments);
    let text = text(&output);
    let failed = |line: &str| line.contains("FAILED") && line.contains(words);
    if !output.status.success() && text.lines().any(failed) {
        return None;
    }
    Some(format!("the planted fault {name} was not found as {words:?}:\n{text}"))
}

fn soak(arguments: &[&str]) -> Output {
    let this = env::current_exe().expect("the soak has a path");
    Command::new(this).args(arguments).output().expect("the soak starts")
}

fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n{out}{err}", output.status)
}
