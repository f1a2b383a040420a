//! Workers on threads of their own, each with a tokio `current_thread` runtime on which it is one task.

use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use smarm::host::{Worker, start_thread};

use crate::host;

/// How long the end of a worker's thread waits for `spawn_blocking` closures that still run.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(10);

/// Starts the thread of one worker.
pub(crate) fn start(worker: Worker, name: String, spin: bool) -> io::Result<thread::JoinHandle<()>> {
    let prepare = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    start_thread(thread::Builder::new().name(name), prepare, move |tokio| {
        // Entered once, for the life of the thread: a guard held by an actor across a wait would be
        // dropped out of order with those of its neighbours.
        let context = tokio.enter();
        let ended = tokio.block_on(tokio.spawn(host::drive(worker, spin)));
        drop(context);
        tokio.shutdown_timeout(BLOCKING_PATIENCE);
        if let Err(error) = ended
            && let Ok(payload) = error.try_into_panic()
        {
            resume_unwind(payload); // a defect of smarm; whoever joins the thread learns of it
        }
    })
}
