//! Runtimes: workers that share actors, from start to shutdown.
//!
//! # Protocol: shutdown
//! 1. Spawns are refused from now on: the closure is dropped, its handle gives `Killed`.
//! 2. Each worker kills all actors it has started, and those that it starts from now on before they
//!    begin. They unwind at their current or next wait; destructors run.
//! 3. A worker that has nothing to do while no actor lives has finished, and its host drops it.
//! 4. Whoever waits for the shutdown waits until all workers have gone or the deadline has passed;
//!    then it is told what still runs. A stack with live frames is never freed: it is leaked.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::actor::record::Record;
use crate::actor::{panic_hook, park, scope, slot};
use crate::chaos;
use crate::config::{Config, InitError};
use crate::host::native;
use crate::join::{JoinError, JoinHandle};
use crate::pid::Pid;
use crate::primitive::deque::Worker as Deque;
use crate::scheduler::core;
use crate::scheduler::monitor;
use crate::scheduler::shared::{Settings, Shared};
use crate::scheduler::worker::Worker;
use crate::spawn::{Builder, SpawnError};
use crate::stack::overflow;

/// How long dropping a runtime waits for its actors to end.
const DROP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a shutdown waits at least for the threads of workers that have gone.
const GRACE: Duration = Duration::from_millis(100);

/// Runs `f` as an actor on a runtime of one worker, and gives its result. The actors that it has
/// spawned and not waited for are killed when it returns.
///
/// ```
/// let sum = smarm::run(|| {
///     let (sender, receiver) = smarm::channel();
///     smarm::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
///     receiver.iter().sum::<i32>()
/// });
/// assert_eq!(sum, 6);
/// ```
///
/// # Panics
/// A panic of `f` continues here. Also if the system refuses what a runtime needs.
#[track_caller]
pub fn run<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    park::check_may_wait(); // before there is a runtime to drop
    init(Config::exact(1)).run(f)
}

/// Starts a runtime.
///
/// # Panics
/// If the configuration is wrong or the system refuses what a runtime needs; [`try_init`] gives
/// these as errors.
#[track_caller]
pub fn init(config: Config) -> Runtime {
    match try_init(config) {
        Ok(runtime) => runtime,
        Err(error) => panic!("smarm: {error}"),
    }
}

/// Starts a runtime whose workers run on threads of its own.
///
/// # Errors
/// The configuration is wrong (no workers, a stack size that no stack can have), or the system
/// refuses a thread, an epoll instance or a signal handler.
pub fn try_init(config: Config) -> Result<Runtime, InitError> {
    let (mut runtime, workers) = prepare(config.settings()?, config.workers)?;
    for (index, worker) in workers.into_iter().enumerate() {
        let name = format!("{}-{index}", runtime.handle.shared.settings.name);
        // Should one fail, dropping the runtime ends those that run; the others go with the error.
        runtime.threads.push(native::start(worker, name)?);
    }
    Ok(runtime)
}

/// Makes a runtime and leaves it to the caller to poll its workers: the seam for other hosts.
///
/// Each [`Worker`] is to be polled on a thread of its own choice, always the same. The runtime runs
/// nothing until they are.
///
/// # Errors
/// As [`try_init`], but for what workers' threads need.
///
/// ```
/// use std::task::Waker;
/// use smarm::host::Turn;
///
/// let (runtime, mut workers) = smarm::runtime::detached(smarm::Config::exact(1)).unwrap();
/// let child = runtime.spawn(|| 42).unwrap();
/// while workers[0].poll_turn(Waker::noop()) == Turn::Busy {}
/// assert_eq!(child.join().unwrap(), 42);
/// # drop(workers);
/// ```
pub fn detached(config: Config) -> Result<(Runtime, Vec<Worker>), InitError> {
    let settings = config.settings()?;
    if settings.paused {
        return Err(InitError::PausedClock);
    }
    prepare(settings, config.workers)
}

/// Makes a runtime with this many workers that nobody polls yet.
fn prepare(settings: Settings, workers: usize) -> Result<(Runtime, Vec<Worker>), InitError> {
    if has_shadow_stacks() {
        return Err(InitError::ShadowStacks);
    }
    overflow::install(describe)?;
    panic_hook::install();
    let deques: Vec<Deque<u32>> = (0..workers).map(|_| Deque::new_lifo()).collect();
    let shared = Arc::new(Shared::new(settings, deques.iter().map(Deque::stealer).collect()));
    let workers = deques
        .into_iter()
        .enumerate()
        .map(|(index, deque)| Worker::new(shared.clone(), index, deque))
        .collect();
    let monitor = monitor::start(&shared)?;
    let handle = Handle { shared };
    Ok((Runtime { handle, threads: Vec::new(), monitor: Some(monitor), over: false }, workers))
}

/// Names the actor of a stack for the overflow report. Async-signal-safe.
fn describe(index: u32, out: &mut [u8]) -> usize {
    use std::io::Write;
    let mut name = [0; 32];
    let length = Record::visible_name(index, &mut name);
    let room = out.len();
    let mut rest = out;
    // Formatting integers and bytes into a slice neither allocates nor locks.
    let _ = write!(rest, "{} \"", slot::slot(index).pid());
    let _ = rest.write_all(&name[..length]);
    let _ = rest.write_all(b"\"");
    room - rest.len()
}

/// Whether the kernel checks return addresses against a shadow stack on this thread.
fn has_shadow_stacks() -> bool {
    const ARCH_SHSTK_STATUS: libc::c_int = 0x5005;
    static FOUND: OnceLock<bool> = OnceLock::new();
    if cfg!(miri) {
        return false;
    }
    *FOUND.get_or_init(|| {
        let mut features = 0_u64;
        // SAFETY: writes one word to `features`, or fails on a kernel that does not know it.
        let done = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SHSTK_STATUS, &raw mut features) };
        done == 0 && features & 1 != 0
    })
}

/// Workers and the actors on them. Several may exist in one process.
///
/// Dropping it is a [`shutdown`](Self::shutdown) with ten seconds' patience, which then reports what
/// still runs to standard error. Dropped by one of its own actors, or where nothing may wait (in a
/// future that an actor awaits), it does not wait.
pub struct Runtime {
    handle: Handle,
    threads: Vec<thread::JoinHandle<()>>,
    monitor: Option<thread::JoinHandle<()>>,
    /// The shutdown has been waited for.
    over: bool,
}

impl Runtime {
    /// Runs `f` as an actor, waits for it, and gives its result. It may borrow from the caller.
    ///
    /// Other actors go on when it returns, until the runtime goes. If the caller is an actor that is
    /// killed meanwhile, it unwinds at its next wait after this one.
    ///
    /// # Panics
    /// A panic of `f` continues here. Also if there is no stack for it, and if it was killed.
    #[track_caller]
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        park::check_may_wait(); // before there is something to wait for
        // SAFETY: `f` and its result are `Send`. What they borrow outlives the actor, because
        // `join_unbroken` neither returns nor unwinds before the actor has ended.
        let spawned = unsafe { Builder::new().runtime(&self.handle).spawn_unchecked(f, |_| ()) };
        let handle = spawned.unwrap_or_else(|error| panic!("smarm: {error}"));
        match handle.join_unbroken() {
            Ok(value) => value,
            Err(JoinError::Panicked(payload)) => resume_unwind(payload.into_inner()),
            Err(JoinError::Killed) => {
                panic!("smarm: the actor of `Runtime::run` was killed before it returned")
            }
        }
    }

    /// Starts an actor on any worker. See [`spawn`](crate::spawn).
    ///
    /// # Errors
    /// There is no stack for it.
    pub fn spawn<F, T>(&self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn(f)
    }

    /// A handle to spawn with, from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Hands over a thread that polls a worker of this runtime: the shutdown then waits for the
    /// workers, and for the end of the thread.
    pub fn add_host(&mut self, thread: thread::JoinHandle<()>) {
        self.threads.push(thread);
    }

    /// Kills all actors, and waits until they have unwound and the workers have ended.
    ///
    /// # Errors
    /// Some had not after `patience`; the error names them. Their threads and stacks are leaked.
    pub fn shutdown(mut self, patience: Duration) -> Result<(), ShutdownError> {
        self.end(patience)
    }

    fn end(&mut self, patience: Duration) -> Result<(), ShutdownError> {
        self.over = true;
        let shared = &self.handle.shared;
        shared.stop();
        let own = core::current().is_some_and(|core| Arc::ptr_eq(&core.shared, shared));
        if own {
            // Its threads cannot be waited for on one of them.
            shared.monitor.stop();
            return Ok(());
        }
        let (began, deadline) = (Instant::now(), park::now().checked_add(patience));
        let _shield = scope::enter(None); // the patience is what was asked for
        let waited = if self.threads.is_empty() {
            Ok(()) // its workers are polled by others, who may be this very thread
        } else {
            park::wait_until(shared.all_gone(), deadline)
        };
        shared.monitor.stop();
        // Workers that have gone end their threads in no time, unless tokio has to wait.
        let least = if waited.is_ok() { GRACE } else { Duration::ZERO };
        let deadline = began.checked_add(patience).map(|deadline| deadline.max(Instant::now() + least));
        let late = self.threads.drain(..).filter_map(|thread| join_until(thread, deadline));
        let threads: Vec<String> = late.collect();
        if waited.is_err() || !threads.is_empty() {
            return Err(ShutdownError { actors: self.handle.actors(), threads });
        }
        if let Some(monitor) = self.monitor.take() {
            join(monitor);
        }
        Ok(())
    }
}

/// Waits for the end of a thread that is about to end. Gives its name if it has not by the deadline.
/// A panic of it continues here.
fn join_until(thread: thread::JoinHandle<()>, deadline: Option<Instant>) -> Option<String> {
    // std has no wait with a limit; these ends take microseconds, unless tokio waits for a closure
    // that blocks.
    let mut pause = Duration::from_micros(20);
    while !thread.is_finished() {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Some(thread.thread().name().unwrap_or("a thread without a name").to_owned());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    join(thread);
    None
}

/// Joins a thread that ends at once. A panic of it continues here.
fn join(thread: thread::JoinHandle<()>) {
    if let Err(payload) = thread.join()
        && !thread::panicking()
    {
        resume_unwind(payload);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !park::may_wait() {
            self.handle.shared.stop();
            self.handle.shared.monitor.stop();
        } else if !self.over
            && let Err(error) = self.end(DROP_PATIENCE)
        {
            eprintln!("smarm: {error}");
            chaos::postscript();
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("handle", &self.handle).finish()
    }
}

/// What had not ended when a shutdown's time was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownError {
    actors: Vec<(Pid, String)>,
    threads: Vec<String>,
}

impl ShutdownError {
    /// Their pids and the beginnings of their names.
    pub fn actors(&self) -> &[(Pid, String)] {
        &self.actors
    }

    /// The names of the runtime's threads that had not ended. Such a thread runs an actor that does
    /// not end or, with tokio, waits for a closure of `spawn_blocking`.
    pub fn threads(&self) -> &[String] {
        &self.threads
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("when the shutdown's time was over, there had not ended:")?;
        for (pid, name) in self.actors.iter().take(16) {
            write!(f, " actor {pid} \"{name}\"")?;
        }
        if self.actors.len() > 16 {
            write!(f, " and {} more", self.actors.len() - 16)?;
        }
        for name in &self.threads {
            write!(f, " thread \"{name}\"")?;
        }
        Ok(())
    }
}

impl std::error::Error for ShutdownError {}

/// A runtime to spawn on, from any thread or actor. It does not keep the runtime from shutting down.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// The runtime whose worker this thread is.
    ///
    /// # Panics
    /// On any other thread; see [`try_current`](Self::try_current).
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Some(handle) => handle,
            None => panic!(
                "smarm: Handle::current was called outside a runtime: call it in an actor (`smarm::run`, \
                 `Runtime::run`), or use `Runtime::handle`"
            ),
        }
    }

    /// The runtime whose worker this thread is, if it is one.
    pub fn try_current() -> Option<Self> {
        core::current().map(|core| Self { shared: core.shared.clone() })
    }

    /// Starts an actor on any worker. See [`spawn`](crate::spawn).
    ///
    /// # Errors
    /// There is no stack for it.
    pub fn spawn<F, T>(&self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Builder::new().runtime(self).spawn(f)
    }

    /// How many workers the runtime has.
    pub fn workers(&self) -> usize {
        self.shared.homes.len()
    }

    /// How many actors have been spawned and have not ended, about.
    pub fn live(&self) -> usize {
        self.shared.live()
    }

    /// The actors that have started and have not ended, with the beginnings of their names. A look
    /// from outside: some may end meanwhile.
    pub fn actors(&self) -> Vec<(Pid, String)> {
        let ours = |slot: &&slot::Slot| {
            slot.state.load().live()
                && slot
                    .seat
                    .home()
                    .is_some_and(|home| self.shared.homes.iter().any(|ours| std::ptr::eq(*ours, home)))
        };
        slot::all()
            .filter(ours)
            .map(|slot| {
                let mut name = [0; 32];
                let length = Record::visible_name(slot.index(), &mut name);
                (slot.pid(), String::from_utf8_lossy(&name[..length]).into_owned())
            })
            .collect()
    }

    /// Begins a shutdown without waiting for its end: spawns are refused and all actors killed.
    pub fn stop(&self) {
        self.shared.stop();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn is(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("name", &self.shared.settings.name)
            .field("workers", &self.workers())
            .field("live", &self.live())
            .finish()
    }
}
