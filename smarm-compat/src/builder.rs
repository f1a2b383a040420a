//! Runtimes whose workers run with tokio: on runtimes of their own, beside a service's, or inside it.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;

use smarm::compat::await_future;
use smarm::host::Worker;
use smarm::{Config, InitError, Runtime};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::local::LocalWorker;
use crate::{attach, own};

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

/// Sets what a runtime on tokio is like, and where its workers run.
///
/// | method | for | a worker is |
/// |---|---|---|
/// | [`run`](Self::run), [`start`](Self::start) | services that have become mostly actors; new ones | a task of a tokio runtime of its own |
/// | [`attach`](Self::attach) | a multi-thread service | a thread beside the service's tokio runtime, of whose epoll and timers it makes use |
/// | [`local`](Self::local) | a single-threaded service | a future on the service's thread |
///
/// ```
/// let runtime = smarm_compat::Builder::new().workers(2).name("service").start().unwrap();
/// let child = runtime.spawn(|| smarm_compat::await_future(async { 42 })).unwrap();
/// assert_eq!(child.join().unwrap(), 42);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Builder {
    config: Config,
    name: Option<String>,
    workers: Option<usize>,
    spin: bool,
    each_worker: Vec<Arc<dyn Fn(usize) + Send + Sync>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self { config: Config::default(), name: None, workers: None, spin: true, each_worker: Vec::new() }
    }
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

    /// Whether workers look for work from elsewhere for some 30 µs before they sleep, as long as that pays; they do
    /// unless this says no. Those that share their thread with tasks let these run meanwhile, and the worker of
    /// [`local`](Self::local), or a single one, never does.
    pub fn spin(mut self, yes: bool) -> Self {
        self.spin = yes;
        self
    }

    /// Runs `f(i)` on each worker `i` once the runtime has started: one accept loop per worker, say,
    /// on sockets that share their port. May be called several times, for several such futures.
    ///
    /// Each future is awaited by an actor that starts on its worker and stays there, so it need not be
    /// `Send`. `tokio::spawn` in it starts tasks on the same worker, except beside a multi-thread
    /// runtime, whose tasks they are. When the runtime goes, the future is dropped. A panic of it is
    /// reported and ends nothing else.
    ///
    /// ```no_run
    /// use std::net::SocketAddr;
    /// use tokio::net::{TcpListener, TcpSocket};
    ///
    /// fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    ///     let socket = TcpSocket::new_v4()?;
    ///     socket.set_reuseport(true)?; // the kernel spreads connections over the workers
    ///     socket.bind(address)?;
    ///     socket.listen(1024)
    /// }
    ///
    /// smarm_compat::Builder::new()
    ///     .each_worker(|worker| async move {
    ///         let listener = listen(([127, 0, 0, 1], 8080).into()).unwrap();
    ///         while let Ok((_stream, peer)) = listener.accept().await {
    ///             println!("{peer} came to worker {worker}");
    ///         }
    ///     })
    ///     .run(|| smarm_compat::await_future(tokio::signal::ctrl_c()))
    ///     .unwrap();
    /// ```
    pub fn each_worker<F, W>(mut self, f: F) -> Self
    where
        F: Fn(usize) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + 'static,
    {
        self.each_worker.push(Arc::new(move |worker| await_future(f(worker))));
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
        let spin = self.spin;
        self.start_on(|worker, name| own::start(worker, name, spin))
    }

    /// Starts the runtime beside a multi-thread tokio runtime: the one line by which an existing
    /// service gets actors.
    ///
    /// Each worker is a thread in the context of the tokio runtime. `tokio::spawn` in an actor starts a
    /// task there, sockets are registered with its epoll, and no other epoll is made. Tasks reach the
    /// actors through their channels and handles, and spawn some with [`Runtime::handle`].
    ///
    /// ```
    /// use tokio::runtime::Handle;
    ///
    /// #[tokio::main]
    /// async fn main() {
    ///     let actors = smarm_compat::attach(&Handle::current()).unwrap();
    ///     let answer = actors.spawn(|| {
    ///         let task = tokio::spawn(async { 6 * 7 });
    ///         smarm_compat::await_future(task).unwrap()
    ///     });
    ///     assert_eq!(answer.unwrap().await.unwrap(), 42);
    /// }
    /// ```
    ///
    /// # Shutdown
    /// In either order. When the smarm runtime goes first, its actors unwind while tokio runs; that
    /// blocks the thread that drops it for a moment, so a service with lengthy destructors better does
    /// it in `spawn_blocking`. When the tokio runtime goes first, the actors live on, and what they
    /// wait for ends as it does for everybody:
    ///
    /// | a wait for | ends with |
    /// |---|---|
    /// | a smarm socket | an error that says so |
    /// | smarm's timers, channels and joins | what they wait for, as before |
    /// | a tokio socket | tokio's error |
    /// | a tokio task | a `JoinError` that is cancelled |
    /// | a tokio timer | tokio's panic, in the actor |
    ///
    /// # Errors
    /// [`InitError::Host`] for a `current_thread` runtime: its timers and sockets stand still whenever
    /// nobody is in its `block_on`, and then so would actors for ever. See [`local`](Self::local) for
    /// such services. Else as for [`start`](Self::start).
    pub fn attach(self, handle: &Handle) -> Result<Runtime, InitError> {
        if handle.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(InitError::Host(
                "smarm cannot attach to a current_thread tokio runtime, which turns only while somebody is in \
                 its `block_on`: use `Builder::local` there, or a multi_thread runtime"
                    .into(),
            ));
        }
        let spin = self.spin;
        self.start_on(|worker, name| attach::start(worker, name, handle, spin))
    }

    /// Makes a runtime of one worker, whatever else was asked for, and leaves it to the caller to poll
    /// that: on a `LocalSet`, or in the `block_on` of a current-thread runtime.
    ///
    /// Its actors and the caller's tasks take turns on that thread. [`Runtime::run`] and `join` would
    /// block it: [`spawn`](Runtime::spawn) and `.await`.
    ///
    /// ```
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() {
    ///     let (actors, worker) = smarm_compat::Builder::new().local().unwrap();
    ///     let service = async move {
    ///         let worker = tokio::task::spawn_local(worker);
    ///         assert_eq!(actors.spawn(|| 6 * 7).unwrap().await.unwrap(), 42);
    ///         drop(actors); // kills what still runs ...
    ///         worker.await.unwrap(); // ... and here that has ended
    ///     };
    ///     tokio::task::LocalSet::new().run_until(service).await;
    /// }
    /// ```
    ///
    /// # Shutdown
    /// In either order. A [`Runtime`] that goes first does not wait: the worker is ready once its
    /// actors have ended. A worker that is dropped first, perhaps with its `LocalSet` or its tokio
    /// runtime, takes the actors with it.
    ///
    /// # Errors
    /// The configuration is wrong, or the system refuses a thread for the monitor.
    pub fn local(mut self) -> Result<(Runtime, LocalWorker), InitError> {
        self.workers = Some(1);
        let (runtime, mut workers, _) = self.detached()?;
        let worker = workers.pop().expect("one was asked for");
        self.start_each_worker(&runtime)?;
        Ok((runtime, LocalWorker::new(worker)))
    }

    /// Starts the runtime with each worker on a thread that `start` starts under the given name.
    fn start_on(
        self,
        start: impl Fn(Worker, String) -> io::Result<thread::JoinHandle<()>>,
    ) -> Result<Runtime, InitError> {
        let (mut runtime, workers, name) = self.detached()?;
        for (index, worker) in workers.into_iter().enumerate() {
            // Should one fail, dropping the runtime ends those that run.
            runtime.add_host(start(worker, format!("{name}-{index}"))?);
        }
        self.start_each_worker(&runtime)?;
        Ok(runtime)
    }

    /// The runtime, its workers, and the beginning of their threads' names.
    fn detached(&self) -> Result<(Runtime, Vec<Worker>, String), InitError> {
        let name = self.name.clone().unwrap_or_else(|| "smarm".into());
        let mut config = self.config.clone().name(name.clone());
        if let Some(workers) = self.workers {
            config = config.workers(workers);
        }
        let (runtime, workers) = smarm::runtime::detached(config)?;
        Ok((runtime, workers, name))
    }

    /// Starts the actors that await the futures of [`each_worker`](Self::each_worker).
    fn start_each_worker(&self, runtime: &Runtime) -> Result<(), InitError> {
        let handle = runtime.handle();
        for f in &self.each_worker {
            for worker in 0..handle.workers() {
                let f = f.clone();
                let actor = smarm::Builder::new().runtime(&handle).worker(worker);
                let started = actor.name(format!("each_worker {worker}")).spawn(move || f(worker));
                drop(started.map_err(|error| InitError::Host(error.into()))?);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("spin", &self.spin)
            .finish_non_exhaustive()
    }
}
