//! Workers on threads of their own, each with a tokio `current_thread` runtime on which it is one task.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use smarm::host::Worker;

use crate::host;

/// How long the end of a worker's thread waits for `spawn_blocking` closures that still run.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(10);

/// Starts the thread of one worker.
pub(crate) fn start(worker: Worker, name: String, spin: bool) -> io::Result<thread::JoinHandle<()>> {
    let (ready, made) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(name).spawn(move || {
        let tokio = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(tokio) => tokio,
            Err(error) => return drop(ready.send(Err(error))),
        };
        // Whoever asked waits for the answer.
        let _ = ready.send(Ok(()));
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
    })?;
    let error = match made.recv() {
        Ok(Ok(())) => return Ok(thread),
        Ok(Err(error)) => error,
        Err(mpsc::RecvError) => io::Error::other("the worker's thread ended before it began"),
    };
    drop(thread.join()); // it leaves nothing behind when this returns
    Err(error)
}
