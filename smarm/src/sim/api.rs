//! What a program does to its simulation.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::world::{self, HostId, Locked, World};
use crate::actor::local::kill;
use crate::actor::park::rouse;
use crate::join::JoinHandle;
use crate::preempt;
use crate::spawn::Builder;

/// The simulation of this thread.
#[track_caller]
fn world(call: &str) -> Arc<World> {
    match world::current() {
        Some(world) => world,
        None => panic!("smarm: sim::{call} was called outside a simulation: call it in `smarm::sim::run`"),
    }
}

#[track_caller]
fn find(state: &Locked<'_>, name: &str) -> HostId {
    match state.net.find_host(name) {
        Some(host) => host,
        None => panic!("smarm: no host of the simulation is named {name:?}: `sim::host` makes one"),
    }
}

/// Starts an actor on the host of this name, and makes that, if there is none yet. Actors that it spawns are on the
/// same host. The simulation begins on the host `main`, 10.0.0.1; others get the addresses that follow.
///
/// # Panics
/// Outside a simulation; if there is no stack.
///
/// ```
/// use smarm::sim;
///
/// let outcome = sim::run(1, || {
///     let there = sim::host("there", || sim::ip("there")).join().unwrap();
///     assert_eq!(there.to_string(), "10.0.0.2");
/// });
/// assert!(outcome.failure().is_none());
/// ```
#[track_caller]
pub fn host<F, T>(name: &str, f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let world = world("host");
    let undisturbed = preempt::disable(); // the next actor that is spawned is this one
    let mut state = world.lock();
    let host = state.net.host(name);
    state.next_host = Some(host);
    drop(state);
    let spawned = Builder::new().name(name).spawn(f);
    world.lock().next_host = None; // there may have been no stack for it
    drop(undisturbed);
    spawned.unwrap_or_else(|error| panic!("smarm: {error}"))
}

/// The address of a host.
///
/// # Panics
/// Outside a simulation; if no host has that name.
#[track_caller]
pub fn ip(name: &str) -> IpAddr {
    let world = world("ip");
    let state = world.lock();
    state.net.ip(find(&state, name)).into()
}

/// Cuts the link between two hosts, until [`heal`]: datagrams that arrive meanwhile are lost, connects get no answer,
/// and what connections send is held.
///
/// # Panics
/// Outside a simulation; if there is no such host.
///
/// ```
/// use std::io::ErrorKind;
/// use std::time::Duration;
/// use smarm::net::TcpStream;
/// use smarm::sim;
///
/// sim::run(1, || {
///     let _server = sim::host("server", || smarm::net::TcpListener::bind("0.0.0.0:80").unwrap().accept());
///     smarm::yield_now();
///     sim::partition("main", "server");
///     let late = TcpStream::connect_timeout(&(sim::ip("server"), 80).into(), Duration::from_secs(5));
///     assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
///     sim::heal("main", "server");
///     TcpStream::connect(("server", 80)).unwrap();
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn partition(a: &str, b: &str) {
    let world = world("partition");
    let mut state = world.lock();
    let (from, to) = (find(&state, a), find(&state, b));
    state.net.cut(from, to);
    state.note(format_args!("partition {a} {b}"));
}

/// Undoes [`partition`].
///
/// # Panics
/// Outside a simulation; if there is no such host.
#[track_caller]
pub fn heal(a: &str, b: &str) {
    let world = world("heal");
    let mut state = world.lock();
    let (from, to) = (find(&state, a), find(&state, b));
    state.note(format_args!("heal {a} {b}"));
    if state.net.mend(from, to) {
        state.release_held(from, to);
    }
}

/// Breaks all connections between two hosts: the next call on either side fails with
/// [`ConnectionReset`](io::ErrorKind::ConnectionReset).
///
/// # Panics
/// Outside a simulation; if there is no such host.
#[track_caller]
pub fn reset(a: &str, b: &str) {
    let world = world("reset");
    let mut state = world.lock();
    let (from, to) = (find(&state, a), find(&state, b));
    state.note(format_args!("reset {a} {b}"));
    let wakers = state.reset_between(from, to);
    drop(state);
    wakers.into_iter().for_each(rouse);
}

/// Kills all actors of a host and breaks its connections. What the actors held is dropped as they unwind. The host
/// stays, and [`host`] starts it again.
///
/// # Panics
/// Outside a simulation; if there is no such host. An actor that crashes its own host unwinds at its next wait.
#[track_caller]
pub fn crash(name: &str) {
    let world = world("crash");
    let mut state = world.lock();
    let host = find(&state, name);
    state.note(format_args!("crash {name}"));
    let actors = state.actors_of(host);
    let wakers = state.reset_all_of(host);
    drop(state);
    actors.into_iter().for_each(kill);
    wakers.into_iter().for_each(rouse);
}

/// Adds a line to the trace, with the number of the calling actor: `note 3 what`. Outside a simulation it does nothing.
pub fn note(what: impl Display) {
    if let Some(world) = world::current() {
        let what = what.to_string(); // whose code may call smarm
        let mut state = world.lock();
        let number = state.current_number();
        state.note(format_args!("note {number} {what}"));
    }
}

/// A number that the seed decides.
///
/// # Panics
/// Outside a simulation.
///
/// ```
/// let draw = || smarm::sim::random() % 6 + 1;
/// assert_eq!(smarm::sim::run(3, draw).unwrap(), smarm::sim::run(3, draw).unwrap());
/// ```
#[track_caller]
pub fn random() -> u64 {
    world("random").lock().random.next()
}

/// The seed of the simulation that the caller runs in, if it does.
pub fn seed() -> Option<u64> {
    world::current().map(|world| world.seed)
}

/// In a simulation, the addresses that a name stands for.
pub(crate) fn resolve(name: &str, port: u16) -> Option<io::Result<Vec<SocketAddr>>> {
    let world = world::current()?;
    let state = world.lock();
    let ip = match state.net.find_host(name) {
        Some(host) => state.net.ip(host),
        None if name == "localhost" => Ipv4Addr::LOCALHOST,
        None => {
            let text = format!("no host of the simulation is named {name:?}");
            return Some(Err(io::Error::new(io::ErrorKind::NotFound, text)));
        }
    };
    Some(Ok(vec![(ip, port).into()]))
}
