//! The state of a simulation, and the seams by which the runtime tells it what happens.
//!
//! A simulation lives on one thread, which finds it in a thread-local. The lock is there because sockets may be
//! carried off to other threads; it is never contended by what the simulation itself does. Wakers that come out of
//! a call are woken by the caller, when the lock is free again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use super::net::Net;
use super::outcome::{BY_THREAD, Reason};
use super::random::Random;
use super::trace::Trace;
use crate::actor::local::{Local, Place};
use crate::actor::park::{OwnCode, own_code, rouse};
use crate::actor::slot::Slot;
use crate::chaos;
use crate::host::Clock;
use crate::pid::Pid;
use crate::timer::clock;

thread_local! {
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
    /// Where the scale of the thread's timers begins.
    static EPOCH: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Names a host, in the order of their making.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct HostId(pub(super) usize);

/// The host of the actor that a simulation begins with.
pub(super) const MAIN: HostId = HostId(0);

/// A simulation.
pub(crate) struct World {
    pub(super) seed: u64,
    clock: OnceLock<Arc<dyn Clock>>,
    state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    pub(super) random: Random,
    trace: Trace,
    /// The simulation is over, and what is left of it ends.
    over: bool,
    actors: BTreeMap<Pid, Actor>,
    /// How many actors there have been.
    numbers: u32,
    /// How many times an actor was given the thread.
    pub(super) steps: u64,
    /// When that was last.
    pub(super) last_step: u64,
    pub(super) failure: Option<Reason>,
    /// Where the actor will be that is spawned next, if not where its spawner is.
    pub(super) next_host: Option<HostId>,
    pub(super) net: Net,
}

#[derive(Clone)]
struct Actor {
    number: u32,
    name: Box<str>,
    host: HostId,
}

/// The state, locked.
pub(crate) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    pub(super) now: u64,
    // Goes after the lock: an allocation under it must not make the actor yield.
    _own_code: OwnCode,
}

impl std::ops::Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl std::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    /// A task beside the worker has sent something: the worker is to look when that arrives.
    fn drop(&mut self) {
        if self.net.take_news()
            && let Some(local) = Local::current()
            && local.place() == Place::Host
        {
            local.stir(); // wakes a driver, who runs no code of others
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, net: Net) -> Arc<Self> {
        let state = State {
            random: Random::new(seed),
            trace: Trace::default(),
            over: false,
            actors: BTreeMap::new(),
            numbers: 0,
            steps: 0,
            last_step: 0,
            failure: None,
            next_host: None,
            net,
        };
        Arc::new(Self { seed, clock: OnceLock::new(), state: Mutex::new(state) })
    }

    /// Makes it this thread's, with the time that it begins at, until the guard goes.
    pub(super) fn enter(self: &Arc<Self>, start: Instant) -> Entered {
        EPOCH.set(Some(start));
        WORLD.set(Some(self.clone()));
        Entered(())
    }

    /// Has the scale of this thread's timers begin here.
    pub(super) fn begin_at(&self, start: Instant) {
        EPOCH.set(Some(start));
    }

    /// The clock, once there is one.
    pub(super) fn set_clock(&self, own: Arc<dyn Clock>) {
        assert!(self.clock.set(own).is_ok(), "smarm: the simulation has a clock already");
    }

    /// Nanoseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        self.clock.get().map_or(0, |own| clock::nanos(own.now()))
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        let own_code = own_code();
        let now = self.now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { state, now, _own_code: own_code }
    }
}

impl Locked<'_> {
    /// Adds a line to the trace.
    pub(super) fn note(&mut self, what: fmt::Arguments<'_>) {
        if !self.over {
            let now = self.now;
            self.trace.add(now, what);
        }
    }

    /// Ends the trace, and gives it.
    pub(super) fn end(&mut self) -> Trace {
        self.over = true;
        std::mem::take(&mut self.trace)
    }

    /// The failure that the simulation ends with, unless there is an earlier one or it is over.
    pub(super) fn fail(&mut self, reason: Reason) {
        if !self.over && self.failure.is_none() {
            self.failure = Some(reason);
        }
    }

    /// The number of this actor; a new one, if it has none.
    fn number(&mut self, actor: &Slot) -> u32 {
        if let Some(known) = self.actors.get(&actor.pid()) {
            return known.number;
        }
        self.numbers += 1;
        let number = self.numbers;
        let host = self.next_host.take().unwrap_or_else(|| self.current_host());
        // SAFETY: the actor is new and not started, or about to be given the thread: its record is there, and
        // its name is written only before it is spawned.
        let name: Box<str> = unsafe { (*actor.record()).name.as_deref() }.unwrap_or("").into();
        let of = self.net.name(host).to_owned();
        self.note(format_args!("spawn {number} {name:?} on {of}"));
        self.actors.insert(actor.pid(), Actor { number, name, host });
        number
    }

    /// The number of the actor on whose behalf the thread runs; 0 for none.
    pub(super) fn current_number(&self) -> u32 {
        current_actor().and_then(|pid| self.actors.get(&pid)).map_or(0, |actor| actor.number)
    }

    /// Its host.
    pub(super) fn current_host(&self) -> HostId {
        current_actor().and_then(|pid| self.actors.get(&pid)).map_or(MAIN, |actor| actor.host)
    }

    /// The actors of a host, in the order in which they were spawned.
    pub(super) fn actors_of(&self, host: HostId) -> Vec<Pid> {
        let mut actors: Vec<_> =
            self.actors.iter().filter(|(_, a)| a.host == host).map(|(pid, a)| (a.number, *pid)).collect();
        actors.sort_unstable();
        actors.into_iter().map(|(_, pid)| pid).collect()
    }

    /// What the actors are called that have not ended, in the order in which they were spawned.
    pub(super) fn living(&self) -> Vec<String> {
        let mut actors: Vec<_> = self.actors.values().collect();
        actors.sort_unstable_by_key(|actor| actor.number);
        actors.into_iter().map(|actor| self.describe(actor)).collect()
    }

    fn describe(&self, actor: &Actor) -> String {
        format!("{} {:?} on {}", actor.number, actor.name, self.net.name(actor.host))
    }
}

/// Undoes [`World::enter`].
pub(super) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        let world = WORLD.take();
        EPOCH.set(None);
        drop(world);
    }
}

fn current_actor() -> Option<Pid> {
    Local::current()?.on_behalf_of().map(|slot| slot.pid())
}

/// The simulation of this thread.
pub(crate) fn current() -> Option<Arc<World>> {
    WORLD.try_with(|world| world.borrow().clone()).ok().flatten()
}

/// Calls `f` with the simulation of this thread, and wakes whom it gives.
fn with_current(f: impl FnOnce(&mut Locked<'_>) -> Vec<Waker>) {
    if let Some(world) = current() {
        let wakers = f(&mut world.lock());
        wakers.into_iter().for_each(rouse);
    }
}

pub(crate) fn epoch() -> Option<Instant> {
    EPOCH.get()
}

/// An actor was spawned, by whose behalf the thread runs.
pub(crate) fn spawned(actor: &Slot) {
    with_current(|state| {
        state.number(actor);
        Vec::new()
    });
}

/// An actor is about to be given the thread.
pub(crate) fn ran(actor: &Slot) {
    with_current(|state| {
        let number = state.number(actor);
        state.steps += 1;
        state.last_step = state.now;
        state.note(format_args!("run {number}"));
        Vec::new()
    });
}

/// An actor has ended.
pub(crate) fn ended(actor: &Slot) {
    with_current(|state| {
        // Its generation is the one that it has lived in: the slot is freed after this.
        if let Some(Actor { number, .. }) = state.actors.remove(&actor.pid()) {
            state.note(format_args!("end {number}"));
        }
        Vec::new()
    });
}

/// Has the network do what is due.
pub(crate) fn deliver() {
    with_current(|state| state.deliver());
}

/// An actor was woken from another thread.
pub(crate) fn mail_came() {
    with_current(|state| {
        state.fail(Reason::Outside(BY_THREAD.into()));
        Vec::new()
    });
}

/// The earlier one of a timer and of what the network does next.
pub(crate) fn sooner(timer: Option<u64>) -> Option<u64> {
    let event = current().and_then(|world| world.lock().net.next_event());
    [timer, event].into_iter().flatten().min()
}

/// A number that the seed decides; none outside a simulation.
pub(crate) fn draw() -> Option<u64> {
    current().map(|world| world.lock().random.next())
}

/// Whether a turn is over after a batch, which is else a matter of real time.
pub(crate) fn is_turn_over(tick: u32) -> Option<bool> {
    EPOCH.get()?;
    chaos::by_tick(tick, 3).map(|number| number.is_multiple_of(4))
}

/// An actor has panicked, and nobody learns of it. `false` outside a simulation.
pub(crate) fn unnoticed_panic(pid: Pid, name: &str, place: &str, message: &str) -> bool {
    with_current(|state| {
        let host = state.actors.get(&pid).map_or(MAIN, |actor| actor.host);
        let actor = match state.actors.get(&pid) {
            Some(actor) => state.describe(actor),
            None => format!("{name:?} on {}", state.net.name(host)),
        };
        state.note(format_args!("panic of {actor} at {place}: {message}"));
        state.fail(Reason::Panicked { actor, place: place.to_owned(), message: message.to_owned() });
        Vec::new()
    });
    EPOCH.get().is_some()
}

/// Says, after a failure, how to repeat it; `false` outside a simulation.
pub(crate) fn postscript() -> bool {
    let Some(world) = current() else { return false };
    eprintln!("in a simulation of smarm's: seed {} replays it", world.seed);
    true
}

/// Refuses what leaves the simulation.
///
/// # Panics
/// In a simulation.
#[track_caller]
pub(crate) fn refuse(what: &str) {
    if let Some(world) = current() {
        panic!(
            "smarm: {what} was called in the simulation with seed {}, whose time does not wait for other threads: \
             keep the state in memory, or do it before the simulation",
            world.seed
        );
    }
}

/// Refuses what needs a real descriptor.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] in a simulation.
pub(crate) fn refuse_real(what: &str) -> io::Result<()> {
    match EPOCH.get() {
        None => Ok(()),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "{what} in a simulation, whose time does not wait for the kernel: use smarm::net's TcpStream, \
                 TcpListener and UdpSocket, made in the simulation, or channels"
            ),
        )),
    }
}
