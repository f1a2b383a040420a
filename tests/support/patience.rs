//! A bound on how long a test waits.

use std::any::type_name;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// After this long a test that still waits has failed. A sanitizer makes some ten times slower.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(smarm_sanitizer) { 600 } else { 60 });

/// Runs `f` on this thread, and ends the process with the name of the calling test if it has not
/// returned in time: a wait that never ends cannot be unwound from outside.
pub fn within<R, F: FnOnce() -> R>(patience: Duration, f: F) -> R {
    let name = test_name::<F>();
    let (done, waiting) = channel::<()>();
    let (ready, begun) = channel();
    let watchdog = thread::spawn(move || {
        ready.send(()).expect("the test waits for that");
        if waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            let chaos =
                std::env::var("SMARM_CHAOS").map_or(String::new(), |seed| format!(" (SMARM_CHAOS={seed})"));
            eprintln!("the test {name} still waits after {patience:?}{chaos}");
            std::process::abort();
        }
    });
    // Before it has begun, the process may have no lack of memory, which some tests bring about.
    begun.recv().expect("the watchdog begins");
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    drop(done);
    watchdog.join().expect("the watchdog does not panic");
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// The name by which libtest knows the function that `F` was written in.
pub(crate) fn test_name<F>() -> &'static str {
    let path = type_name::<F>();
    let path = path.split("::{{closure}}").next().unwrap_or(path);
    path.split_once("::").map_or(path, |(_crate, name)| name)
}
