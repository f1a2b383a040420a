//! Deterministic simulation of actors and tokio tasks together: [`smarm::sim`] on a `current_thread` runtime of
//! tokio's whose clock is paused.
//!
//! ```
//! use std::time::Duration;
//! use smarm_compat::{await_future, sim};
//!
//! fn program() {
//!     let (sender, mut receiver) = smarm::channel();
//!     let actor = smarm::spawn(move || {
//!         smarm::sleep(Duration::from_secs(3600));
//!         sender.send("an actor, after an hour").unwrap();
//!     });
//!     let task = tokio::spawn(async move {
//!         tokio::time::sleep(Duration::from_secs(1800)).await;
//!         smarm::sim::note("a task, after half an hour");
//!         receiver.recv_async().await
//!     });
//!     assert_eq!(await_future(task).unwrap(), Ok("an actor, after an hour"));
//!     actor.join().unwrap();
//! }
//!
//! let first = sim::run(7, program);
//! assert!(first.failure().is_none() && first.elapsed() >= Duration::from_secs(3600));
//! assert_eq!(first.trace(), sim::run(7, program).trace());
//! ```
//!
//! Everything of [`smarm::sim`] is there: hosts, partitions, the trace. Time is tokio's, in steps of 1 ms: it leaps to
//! the next timer, of either world, when all actors and tasks wait. Tasks that [`AsyncIo`](crate::io::AsyncIo) gives
//! smarm's sockets use the simulated network.
//!
//! # What of tokio the seed does not decide
//! | | |
//! |---|---|
//! | the order of tasks | is tokio's, first in, first out: the same in each run, and the same for all seeds. What the tasks find done depends on the actors, whose order the seed draws |
//! | `tokio::select!` | draws the first branch it looks at from a generator of its own: write `biased;` |
//! | `tokio::net`, `tokio::signal`, `tokio::process` | are not there: tokio says that its I/O is disabled |
//! | `spawn_blocking`, `tokio::fs` | take a thread: a simulation that waits for it fails with [`Reason::Outside`](smarm::sim::Reason::Outside) |
//! | a panic in a task | goes to whoever awaits the task; if nobody does, it fails nothing |

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use smarm::sim::{Next, Outcome, Sim, Stage};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep_until};

use crate::host::TokioClock;
use crate::reactor::TokioReactor;

/// As [`smarm::sim::run`], with tokio.
///
/// # Panics
/// As there.
#[track_caller]
pub fn run<T: Send>(seed: u64, f: impl FnOnce() -> T + Send) -> Outcome<T> {
    run_in(&Sim::new(seed), f)
}

/// As [`Sim::run`], with tokio.
///
/// # Panics
/// As there.
///
/// ```
/// use smarm::sim::Sim;
///
/// let answer = smarm_compat::sim::run_in(&Sim::new(1).loss(0.5), || smarm_compat::await_future(async { 42 }));
/// assert_eq!(answer.unwrap(), 42);
/// ```
#[track_caller]
pub fn run_in<T: Send>(sim: &Sim, f: impl FnOnce() -> T + Send) -> Outcome<T> {
    sim.run_with(f, drive)
}

/// As [`smarm::sim::explore`], with tokio.
///
/// # Panics
/// As there.
#[track_caller]
pub fn explore<T: Send>(
    seeds: impl IntoIterator<Item = u64>,
    f: impl Fn() -> T + Send + Sync,
) -> Option<Outcome<T>> {
    seeds.into_iter().map(|seed| run(seed, &f)).find(|outcome| outcome.failure().is_some())
}

/// Drives a simulation as the root future of a runtime of its own.
fn drive(stage: &mut Stage) {
    let blocking = Arc::new(AtomicBool::new(false));
    let started = blocking.clone();
    let tokio = Builder::new_current_thread()
        .enable_time() // without I/O: what wants it says so
        .start_paused(true)
        .on_thread_start(move || started.store(true, SeqCst))
        .build();
    let tokio =
        tokio.unwrap_or_else(|error| panic!("smarm-compat: the system refused a tokio runtime: {error}"));
    tokio.block_on(async {
        stage.bind(Rc::new(TokioReactor));
        stage.begin(Arc::new(TokioClock));
        stage.watch(move || blocking.load(SeqCst).then(|| BLOCKING.to_owned()));
        let mut host = Host { stage, alarm: None };
        while poll_fn(|cx| host.poll_busy(cx)).await.is_continue() {
            yield_now().await;
        }
    });
}

struct Host<'a> {
    stage: &'a mut Stage,
    /// Wakes the driver at that time.
    alarm: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// What is said when tokio has started a thread.
const BLOCKING: &str = "tokio started a thread for `spawn_blocking` (or `tokio::fs`), whose time the seed does not \
    decide: keep the state in memory, or do that work before the simulation";

impl Host<'_> {
    /// Takes turns until tasks shall run, or all is over.
    fn poll_busy(&mut self, cx: &mut Context<'_>) -> Poll<ControlFlow<()>> {
        loop {
            match self.stage.turn(cx.waker()) {
                Next::Turn => return Poll::Ready(ControlFlow::Continue(())),
                Next::Nothing => return Poll::Ready(ControlFlow::Break(())),
                Next::Wait(until) | Next::Idle(until) => ready!(self.poll_alarm(until, cx)),
            }
        }
    }

    /// Ready if it is time.
    fn poll_alarm(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let (set, alarm) = self.alarm.get_or_insert_with(|| (until, Box::pin(sleep_until(until.into()))));
        if *set != until {
            *set = until;
            alarm.as_mut().reset(until.into());
        }
        alarm.as_mut().poll(cx)
    }
}
