//! Runtimes whose workers are tasks of tokio runtimes of their own.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use smarm::host::Worker;
use smarm::{Config, InitError, Runtime};

use crate::host;

/// How long the end of a worker's thread waits for `spawn_blocking` closures that still run.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(10);

/// Runs `f` as an actor, with one worker per CPU and a tokio `current_thread` runtime on each, and
/// gives its result. Actors and tasks that still run then are killed and dropped.
///
/// # Panics
/// A panic of `f` continues here. Also if the system refuses what a runtime needs; see
/// [`Builder::start`].
#[track_caller]
pub fn run<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    Builder::new().run(f)
}

/// Sets what a runtime on tokio is like.
///
/// ```
/// let runtime = smarm_compat::Builder::new().workers(2).name("service").start().unwrap();
/// let child = runtime.spawn(|| smarm_compat::await_future(async { 42 })).unwrap();
/// assert_eq!(child.join().unwrap(), 42);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    config: Config,
    name: Option<String>,
    workers: Option<usize>,
}

impl Builder {
    /// One worker per CPU that the process may use, and smarm's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes stack size, slice and the rest from here.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// So many workers, each on a thread of its own.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The name that the threads begin with; `smarm` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Starts the runtime and runs `f` on it as an actor. See [`run`].
    ///
    /// # Panics
    /// As [`run`].
    #[track_caller]
    pub fn run<T: Send>(self, f: impl FnOnce() -> T + Send) -> T {
        match self.start() {
            Ok(runtime) => runtime.run(f),
            Err(error) => panic!("smarm-compat: {error}"),
        }
    }

    /// Starts the runtime.
    ///
    /// On shutdown, or when it is dropped, its actors unwind while tokio still runs; then the tasks
    /// are dropped and the threads end. Closures of `spawn_blocking` get ten seconds to end.
    ///
    /// # Errors
    /// The configuration is wrong, or the system refuses a thread or an epoll instance.
    pub fn start(self) -> Result<Runtime, InitError> {
        let name = self.name.unwrap_or_else(|| "smarm".into());
        let mut config = self.config.name(name.clone());
        if let Some(workers) = self.workers {
            config = config.workers(workers);
        }
        let (mut runtime, workers) = smarm::runtime::detached(config)?;
        for (index, worker) in workers.into_iter().enumerate() {
            // Should one fail, dropping the runtime ends those that run.
            runtime.add_host(start_worker(worker, format!("{name}-{index}"))?);
        }
        Ok(runtime)
    }
}

/// Starts the thread of one worker.
fn start_worker(worker: Worker, name: String) -> io::Result<thread::JoinHandle<()>> {
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
        let ended = tokio.block_on(tokio.spawn(host::drive(worker)));
        drop(context);
        tokio.shutdown_timeout(BLOCKING_PATIENCE);
        if let Err(error) = ended
            && let Ok(payload) = error.try_into_panic()
        {
            resume_unwind(payload); // a defect of smarm; whoever joins the thread learns of it
        }
    })?;
    match made.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(mpsc::RecvError) => Err(io::Error::other("the worker's thread ended before it began")),
    }
}
