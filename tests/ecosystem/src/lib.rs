//! What people use with tokio, used from actors: HTTP, TLS, gRPC, websockets, databases, files, processes,
//! signals and tokio's own tools, unchanged, against real peers on loopback.
//!
//! ```text
//! cargo test -p smarm-ecosystem            # what needs no server of its own; the rest says that it is skipped
//! tests/ecosystem/servers cargo test -p smarm-ecosystem    # with a PostgreSQL and a Redis of the script's
//! ```
//!
//! | file of `tests/` | what | needs |
//! |---|---|---|
//! | `http` | axum, hyper's server and client | |
//! | `https` | reqwest with rustls, a CA of the test's | |
//! | `grpc` | tonic, unary and streaming in both directions | |
//! | `websocket` | tokio-tungstenite | |
//! | `sqlite` | sqlx | |
//! | `postgres` | tokio-postgres | [`POSTGRES`] |
//! | `redis` | redis-rs | [`REDIS`] |
//! | `system` | tokio's files, processes and signals | |
//! | `sync` | `select!`, `JoinSet`, `CancellationToken`, tokio's channels, locks and notifications | |
//! | `paused` | tokio's paused time | |
//!
//! Each test runs as an actor in every [`Mode`] that applies to it. Libraries that know only std's traits are
//! in the tests of the bridge's streams.
//!
//! # Servers
//! The script `servers` installs PostgreSQL and Redis where they are missing (Debian's packages, as root),
//! starts both on free ports of loopback with their data in a temporary directory, runs the command that it
//! is given with their addresses in [`POSTGRES`] and [`REDIS`], and ends what it started. It fails where it
//! cannot do that. Any other server can be named in the variables by hand.

use std::env;
use std::fs;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use smarm::JoinHandle;
use smarm_compat::{Builder, await_timeout};
use smarm_workspace::PATIENCE;
use tokio::runtime::Handle;
use tokio::task::{LocalSet, spawn_local};

/// The variable with the connection string of a PostgreSQL server.
pub const POSTGRES: &str = "SMARM_TEST_POSTGRES";

/// The variable with the URL of a Redis server.
pub const REDIS: &str = "SMARM_TEST_REDIS";

/// Where the actors of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On so many workers, each with a tokio runtime of its own: `smarm_compat::run`.
    Own(usize),
    /// On two workers beside a multi-thread runtime of two threads: `smarm_compat::attach`.
    Attached,
    /// On the one thread of a current-thread runtime, which polls the worker: `Builder::local`.
    Local,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Own(1), Self::Own(2), Self::Attached, Self::Local];

    /// Those in which a tokio runtime of one thread is all that an actor sees.
    pub const CURRENT_THREAD: [Self; 2] = [Self::Own(1), Self::Local];

    /// Runs `test` as an actor. Its panic continues here.
    #[track_caller]
    pub fn run(self, test: impl FnOnce() + Send + 'static) {
        println!("mode: {self:?}"); // shown for a test that fails
        match self {
            Self::Own(workers) => Builder::new().workers(workers).run(test),
            Self::Attached => {
                let service =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                let service = service.expect("tokio starts");
                let actors = Builder::new().workers(2).attach(service.handle()).expect("the runtime starts");
                actors.run(test);
            }
            Self::Local => {
                let service = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let service = service.expect("tokio starts");
                let (actors, worker) = Builder::new().local().expect("the runtime starts");
                LocalSet::new().block_on(&service, async move {
                    let worker = spawn_local(worker);
                    let ended = actors.spawn(test).expect("there is a stack").await;
                    drop(actors);
                    worker.await.expect("the worker does not panic");
                    ended.unwrap_or_else(|error| error.resume());
                });
            }
        }
    }
}

/// Runs `test` as an actor in every mode, one after the other.
#[track_caller]
pub fn in_every_mode<F: FnOnce() + Send + Copy + 'static>(test: F) {
    Mode::ALL.into_iter().for_each(|mode| mode.run(test));
}

/// The value of a variable that names a server; `None` if there is none, which is said in one line.
///
/// # Panics
/// Without the variable where `CI` is set: a test that the project's own check skips shows nothing.
pub fn server(variable: &str) -> Option<String> {
    static SAID: Once = Once::new();
    let address = env::var(variable).ok();
    if address.is_none() {
        assert!(env::var_os("CI").is_none(), "{variable} is not set: run this under tests/ecosystem/servers");
        // Not by `eprintln!`, of which libtest shows nothing when a test passes.
        let skipped =
            format!("skipped: {variable} is not set; tests/ecosystem/servers starts such a server\n");
        SAID.call_once(|| drop(io::stderr().write_all(skipped.as_bytes())));
    }
    address
}

/// Starts a task on the tokio runtime of the calling actor, which is aborted when the guard is dropped.
pub fn task<F: Future<Output: Send> + Send + 'static>(future: F) -> Task<F::Output> {
    Task(Handle::current().spawn(future))
}

/// A task that does not outlive this guard.
#[derive(Debug)]
pub struct Task<T>(tokio::task::JoinHandle<T>);

impl<T> Task<T> {
    /// Waits, in an actor, for what the task gives.
    ///
    /// # Panics
    /// If the task has panicked, or is not done in time.
    #[track_caller]
    pub fn join(mut self) -> T {
        let ended = await_timeout(PATIENCE, &mut self.0).expect("the task ends in time");
        ended.expect("the task does not panic")
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Kills an actor, and waits until it has unwound.
#[track_caller]
pub fn kill<T>(actor: JoinHandle<T>) {
    actor.kill();
    assert!(actor.join().is_err_and(|error| error.is_killed()), "the actor was killed");
}

/// A new temporary directory, which goes with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// An empty one.
    #[allow(clippy::new_without_default, reason = "it is made on disk")]
    pub fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("smarm-ecosystem-{}-{}", process::id(), MADE.fetch_add(1, Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).expect("nobody else uses the name");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}
