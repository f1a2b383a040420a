//! A simulation from its beginning to its end, and what drives it.
//!
//! # Protocol
//! 1. A thread of its own gets the world, a runtime of one worker that nobody polls yet, and the clock, which begins
//!    at 0. The closure is the first actor.
//! 2. The driver takes turns ([`Stage::turn`]) and lets the time leap when the stage says so.
//! 3. After the turn in which the first actor has ended, or the simulation has failed, the trace ends, the runtime is
//!    told to shut down, and the driver goes on until all actors have unwound.

use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{AcqRel, Acquire, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::net::{Net, Weather};
use super::outcome::{BY_THREAD, Failure, Outcome, Reason};
use super::trace::Trace;
use super::world::{Entered, World};
use crate::chaos::Chaos;
use crate::config::Config;
use crate::current::try_self_pid;
use crate::host::{Clock, Reactor, Turn, Worker};
use crate::join::is_over;
use crate::pid::Pid;
use crate::runtime::{self, Runtime};
use crate::spawn::Builder;
use crate::timer::clock;

/// So many turns are given to actors that unwind after the end.
const LAST_TURNS: u32 = 100_000;

/// Runs `f` as the first actor of a simulation with this seed, on a thread of its own, until it returns.
///
/// # Panics
/// In an actor, whose worker would stand still; if the system refuses what a runtime needs.
///
/// ```
/// let outcome = smarm::sim::run(7, || smarm::sleep(std::time::Duration::from_secs(60)));
/// assert_eq!(outcome.failure(), None);
/// assert!(outcome.elapsed().as_secs() == 60);
/// ```
#[track_caller]
pub fn run<T: Send>(seed: u64, f: impl FnOnce() -> T + Send) -> Outcome<T> {
    Sim::new(seed).run(f)
}

/// Runs `f` with one seed after the other until one fails, and gives how.
///
/// # Panics
/// As [`run`].
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
/// use std::sync::Arc;
/// use smarm::sim;
///
/// fn racy() {
///     let count = Arc::new(AtomicU32::new(0));
///     let add = |count: Arc<AtomicU32>| move || {
///         let seen = count.load(SeqCst);
///         smarm::check!(); // a place where another actor may come in between
///         count.store(seen + 1, SeqCst);
///     };
///     let both = [smarm::spawn(add(count.clone())), smarm::spawn(add(count.clone()))];
///     both.into_iter().for_each(|one| one.join().unwrap());
///     assert_eq!(count.load(SeqCst), 2);
/// }
///
/// let found = sim::explore(0..1000, racy).expect("some seed shows the race");
/// let again = sim::run(found.seed(), racy);
/// assert_eq!(again.trace(), found.trace());
/// ```
#[track_caller]
pub fn explore<T: Send>(
    seeds: impl IntoIterator<Item = u64>,
    f: impl Fn() -> T + Send + Sync,
) -> Option<Outcome<T>> {
    Sim::new(0).explore(seeds, f)
}

/// Sets what a simulation is like.
///
/// ```
/// use std::time::Duration;
/// use smarm::sim::Sim;
///
/// let rough = Sim::new(3).latency(Duration::from_millis(1)..Duration::from_millis(200)).loss(0.1).breaks(0.01);
/// let outcome = rough.run(|| smarm::spawn(|| 42).join().unwrap());
/// assert_eq!(outcome.unwrap(), 42);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Sim {
    seed: u64,
    weather: Weather,
    time_limit: Duration,
    step_limit: u64,
    config: Config,
}

impl Sim {
    /// With latencies of 1 to 10 ms, no loss, and limits of a day and a million steps.
    pub fn new(seed: u64) -> Self {
        let weather = Weather { latency: 1_000_000..10_000_000, loss: 0.0, breaks: 0.0 };
        let day = Duration::from_secs(24 * 60 * 60);
        Self { seed, weather, time_limit: day, step_limit: 1_000_000, config: Config::exact(1) }
    }

    /// Another seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long a packet takes between two hosts, drawn for each. On the host itself it is less than 50 µs.
    pub fn latency(mut self, latency: Range<Duration>) -> Self {
        self.weather.latency = nanos(latency.start)..nanos(latency.end);
        self
    }

    /// How often a packet between two hosts is lost. A segment of a connection is sent again after 200 ms.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[track_caller]
    pub fn loss(mut self, probability: f64) -> Self {
        self.weather.loss = checked(probability);
        self
    }

    /// How often a write to a connection between two hosts breaks that: both sides get
    /// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset).
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[track_caller]
    pub fn breaks(mut self, probability: f64) -> Self {
        self.weather.breaks = checked(probability);
        self
    }

    /// The virtual time after which a simulation has failed with [`Reason::TimeOver`].
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// How many times actors are given the thread until a simulation has failed with [`Reason::StepsOver`].
    pub fn step_limit(mut self, steps: u64) -> Self {
        self.step_limit = steps;
        self
    }

    /// Takes stack size and hooks from here; there is one worker, whatever this says.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// As [`run`](fn@run).
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Outcome<T> {
        self.run_with(f, drive)
    }

    /// As [`explore`](fn@explore).
    ///
    /// # Panics
    /// As [`run`](fn@run).
    #[track_caller]
    pub fn explore<T: Send>(
        &self,
        seeds: impl IntoIterator<Item = u64>,
        f: impl Fn() -> T + Send + Sync,
    ) -> Option<Outcome<T>> {
        seeds
            .into_iter()
            .map(|seed| self.clone().seed(seed).run(&f))
            .find(|outcome| outcome.failure().is_some())
    }

    /// As [`run`](Self::run), with somebody else who drives the stage: the seam for other hosts. `drive` is called on
    /// the simulation's thread. It must call [`Stage::begin`] first, and take turns until the stage is over.
    ///
    /// # Panics
    /// As [`run`](fn@run).
    #[track_caller]
    pub fn run_with<T: Send>(
        &self,
        f: impl FnOnce() -> T + Send,
        drive: impl FnOnce(&mut Stage) + Send,
    ) -> Outcome<T> {
        assert!(
            try_self_pid().is_none(),
            "smarm: a simulation was started in an actor, whose worker would stand still: start it on a plain thread"
        );
        let simulated = thread::scope(|scope| {
            let thread = thread::Builder::new().name("smarm-sim".into());
            match thread.spawn_scoped(scope, || self.play(f, drive)) {
                Ok(thread) => thread.join(),
                Err(error) => panic!("smarm: the system refused a thread for the simulation: {error}"),
            }
        });
        simulated.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }

    /// On the simulation's thread.
    fn play<T: Send>(&self, f: impl FnOnce() -> T + Send, drive: impl FnOnce(&mut Stage)) -> Outcome<T> {
        let world = World::new(self.seed, Net::new(self.weather.clone()));
        let entered = world.enter(Instant::now());
        let chaos = Chaos::new(self.seed).delayed_inbox(0.0).poisoned_stacks(0.0);
        let config = self.config.clone().workers(1).paused_clock(false).chaos(chaos);
        let (runtime, mut workers) = match runtime::detached(config) {
            Ok(made) => made,
            Err(error) => panic!("smarm: {error}"),
        };
        let returned = Mutex::new(None);
        let first = || {
            let value = f();
            *returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        };
        // SAFETY: `f` and its result are `Send`. What is borrowed outlives the worker, which the stage holds and does
        // not give away; and without it the actor does not run: it has unwound by then, or stays as it is for ever.
        let first =
            unsafe { Builder::new().name("main").runtime(&runtime.handle()).spawn_unchecked(first, |_| ()) };
        let first = first.unwrap_or_else(|error| panic!("smarm: {error}"));
        let mut stage = Stage {
            worker: workers.pop(),
            runtime: Some(runtime),
            first: first.pid(),
            world: world.clone(),
            entered: Some(entered),
            time_limit: nanos(self.time_limit),
            step_limit: self.step_limit,
            ending: None,
            last_turns: 0,
            disturbed: Box::new(|| None),
            stays: PhantomData,
        };
        drop(first); // nobody joins it, so a panic is reported to the simulation
        drive(&mut stage);
        let (trace, elapsed, failure) = stage.close();
        let (seed, at) = (self.seed, elapsed);
        let value = returned.into_inner().unwrap_or_else(PoisonError::into_inner);
        let result = match failure {
            Some(reason) => Err(reason),
            None => value.ok_or(Reason::Killed),
        };
        Outcome { seed, elapsed, trace, result: result.map_err(|reason| Failure { seed, at, reason }) }
    }
}

#[track_caller]
fn checked(probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "a probability is from 0 to 1, not {probability}");
    probability
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What the driver of a simulation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Takes another turn, after a look at what else it has to do.
    Turn,
    /// Takes another turn when it is woken, or at this time.
    Wait(Instant),
    /// As `Wait`, but nothing will happen by itself until then: that is only the limit.
    Idle(Instant),
    /// Nothing: the simulation is over.
    Nothing,
}

/// A simulation, for who drives it; see [`Sim::run_with`].
///
/// It stays on its thread, where there is no other: so nobody can exchange it for another one, and carry off actors
/// that borrow from who runs the simulation.
pub struct Stage {
    worker: Option<Worker>,
    runtime: Option<Runtime>,
    /// The actor with which it ends.
    first: Pid,
    world: Arc<World>,
    entered: Option<Entered>,
    time_limit: u64,
    step_limit: u64,
    /// The trace, how long it took, and why it failed, once that is known.
    ending: Option<(Trace, Duration, Option<Reason>)>,
    last_turns: u32,
    disturbed: Box<dyn Fn() -> Option<String>>,
    /// Not `Send`.
    stays: PhantomData<*const ()>,
}

impl Stage {
    /// Gives the simulation its clock. Its present time is where virtual time begins.
    ///
    /// # Panics
    /// If it has one already.
    #[track_caller]
    pub fn begin(&mut self, own: Arc<dyn Clock>) {
        self.world.begin_at(own.now());
        self.world.set_clock(own.clone());
        self.worker().set_clock(own);
    }

    /// Has `disturbed` asked after each turn whether something from outside took part in it.
    /// If so, the simulation fails with [`Reason::Outside`] and the text: what it was, and what to do instead.
    pub fn watch(&mut self, disturbed: impl Fn() -> Option<String> + 'static) {
        self.disturbed = Box::new(disturbed);
    }

    /// Gives the worker the driver's reactor.
    ///
    /// # Panics
    /// As [`Worker::bind`].
    #[track_caller]
    pub fn bind(&mut self, reactor: Rc<dyn Reactor>) {
        self.worker().bind(reactor);
    }

    fn worker(&mut self) -> &mut Worker {
        self.worker.as_mut().expect("only `close` takes the worker")
    }

    /// Takes a turn. `waker` must wake the driver while it waits.
    pub fn turn(&mut self, waker: &Waker) -> Next {
        let turn = self.worker().poll_turn(waker);
        let deadline = self.worker().next_deadline();
        if self.ending.is_none() {
            self.look(turn, deadline);
        }
        if self.ending.is_some() {
            self.last_turns += 1;
            if turn == Turn::Done || self.last_turns > LAST_TURNS {
                return Next::Nothing;
            }
        }
        let limit = clock::instant(self.time_limit).unwrap_or_else(crate::time::now);
        match (turn, deadline) {
            (Turn::Busy, _) => Next::Turn,
            (Turn::Done, _) => Next::Nothing,
            // Actors that cannot unwind, and nothing that would let them.
            (Turn::Idle, None) if self.ending.is_some() => Next::Nothing,
            (Turn::Idle, Some(deadline)) if self.ending.is_some() => Next::Wait(deadline),
            (Turn::Idle, Some(deadline)) => Next::Wait(deadline.min(limit)),
            (Turn::Idle, None) => Next::Idle(limit),
        }
    }

    /// Whether the simulation has come to its end with this turn.
    fn look(&mut self, turn: Turn, deadline: Option<Instant>) {
        let mut state = self.world.lock();
        let at = state.now;
        let outside = (self.disturbed)().map(Reason::Outside);
        let failure = outside.or_else(|| state.failure.take()).or_else(|| {
            if is_over(self.first) {
                None
            } else if state.steps >= self.step_limit {
                Some(Reason::StepsOver)
            } else if at < self.time_limit {
                None
            } else if turn == Turn::Idle && deadline.is_none() && state.last_step < self.time_limit {
                // Nothing has happened until the limit, and nothing would after it.
                Some(Reason::Stuck { waiting: state.living() })
            } else {
                Some(Reason::TimeOver)
            }
        });
        drop(state);
        if failure.is_some() || is_over(self.first) {
            self.end(failure, at);
        }
    }

    /// Fails: nothing will ever happen. For a driver who knows that by himself.
    pub fn stuck(&mut self) {
        let state = self.world.lock();
        let (waiting, at) = (state.living(), state.now);
        drop(state);
        self.end(Some(Reason::Stuck { waiting }), at);
    }

    /// Step 3, the first time.
    fn end(&mut self, failure: Option<Reason>, at: u64) {
        if self.ending.is_some() {
            return;
        }
        let trace = self.world.lock().end();
        self.ending = Some((trace, Duration::from_nanos(at), failure));
        if let Some(runtime) = &self.runtime {
            runtime.handle().shared().stop();
        }
    }

    /// What has come of it.
    fn close(mut self) -> (Trace, Duration, Option<Reason>) {
        drop(self.worker.take());
        drop(self.runtime.take());
        drop(self.entered.take());
        self.ending.take().expect("smarm: a stage was left before it was over")
    }
}

/// A clock that stands still, and leaps.
struct Leaping {
    begin: Instant,
    /// Nanoseconds since then.
    passed: AtomicU64,
}

impl Leaping {
    fn leap(&self, until: Instant) {
        self.passed.fetch_max(nanos(until.saturating_duration_since(self.begin)), AcqRel);
    }
}

impl Clock for Leaping {
    fn now(&self) -> Instant {
        self.begin + Duration::from_nanos(self.passed.load(Acquire))
    }

    fn advance(&self, by: Duration) -> bool {
        self.leap(self.now() + by);
        true
    }
}

/// Wakes nobody, as the driver does not sleep; notes that another thread has tried to.
struct Watch {
    own: ThreadId,
    disturbed: AtomicBool,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if thread::current().id() != self.own {
            self.disturbed.store(true, Release);
        }
    }
}

/// Drives a simulation of actors alone.
fn drive(stage: &mut Stage) {
    let clock = Arc::new(Leaping { begin: Instant::now(), passed: AtomicU64::new(0) });
    stage.begin(clock.clone());
    let watch = Arc::new(Watch { own: thread::current().id(), disturbed: AtomicBool::new(false) });
    let waker = Waker::from(watch.clone());
    stage.watch(move || watch.disturbed.load(Acquire).then(|| BY_THREAD.to_owned()));
    loop {
        match stage.turn(&waker) {
            Next::Turn => {}
            Next::Wait(until) => clock.leap(until),
            Next::Idle(_) => stage.stuck(),
            Next::Nothing => return,
        }
    }
}
