//! Sleeping, yielding, and who one is.

use std::future::pending;
use std::time::{Duration, Instant};

use crate::actor::local::Local;
use crate::actor::park::{self, Interrupt, Running};
use crate::actor::{record, scope};
use crate::pid::Pid;

/// Sleeps for at least `duration`. Other actors run meanwhile. On a plain thread, the thread sleeps.
///
/// A runtime of its own wakes an actor within some 0.1 ms of the deadline when the worker is free, and so
/// does one attached to tokio; elsewhere on tokio it is tokio's timer, with its granularity of 1 ms. In a destructor of an actor that is being
/// killed it returns at once. If the caller's [scope](crate::cancel) is over before, the sleep unwinds to it.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// smarm::run(|| {
///     let start = Instant::now();
///     smarm::sleep(Duration::from_millis(5));
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
///
/// # Panics
/// In a future that an actor awaits, and on a worker's thread outside any actor.
#[track_caller]
pub fn sleep(duration: Duration) {
    match park::now().checked_add(duration) {
        Some(deadline) => sleep_until(deadline),
        // For ever: the clock does not reach that far. Only a kill ends it.
        None => sleep_for(None),
    }
}

/// Sleeps until `deadline`; one in the past returns at once.
///
/// # Panics
/// As [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    sleep_for(Some(deadline));
}

#[track_caller]
fn sleep_for(deadline: Option<Instant>) {
    match park::wait_until(pending::<()>(), deadline) {
        Err(interrupt @ Interrupt::TimedOut) if scope::soonest(deadline) != deadline => {
            scope::unwind(interrupt)
        }
        Err(interrupt @ Interrupt::Cancelled) => scope::unwind(interrupt), // not in a destructor
        _ => {}
    }
}

/// Lets the other actors of this worker run, then goes on. On a plain thread it is
/// [`std::thread::yield_now`].
///
/// An actor that is to be killed unwinds here.
///
/// ```
/// smarm::run(|| {
///     let child = smarm::spawn(|| ());
///     while !child.is_finished() {
///         smarm::yield_now();
///     }
/// });
/// ```
#[inline]
pub fn yield_now() {
    park::yield_now();
}

/// The identity of the calling actor; in a future that it awaits and in `on_native_stack`, too.
///
/// # Panics
/// Outside an actor; see [`try_self_pid`].
///
/// ```
/// smarm::run(|| {
///     let child = smarm::spawn(smarm::self_pid);
///     let pid = child.pid();
///     assert_eq!(child.join().unwrap(), pid);
/// });
/// ```
#[track_caller]
pub fn self_pid() -> Pid {
    match try_self_pid() {
        Some(pid) => pid,
        None => panic!(
            "smarm: self_pid was called outside an actor: call it in one (`smarm::run`, `Runtime::spawn`)"
        ),
    }
}

/// What the calling actor can say of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    pid: Pid,
    name: Option<String>,
}

impl Current {
    /// Its identity.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Its name, if [`Builder::name`](crate::Builder::name) gave it one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// The calling actor.
///
/// # Panics
/// Outside an actor, and in a future that it awaits; see [`try_self_pid`].
///
/// ```
/// smarm::run(|| {
///     let child = smarm::Builder::new().name("reader").spawn(smarm::current).unwrap();
///     let pid = child.pid();
///     let said = child.join().unwrap();
///     assert_eq!((said.pid(), said.name()), (pid, Some("reader")));
/// });
/// ```
#[track_caller]
pub fn current() -> Current {
    let named = record::with_current(|record| {
        record.map(|record| Current { pid: record.pid, name: record.name.as_deref().map(str::to_owned) })
    });
    match named {
        Some(current) => current,
        None => panic!(
            "smarm: current was called outside an actor: call it in one (`smarm::run`, `Runtime::spawn`)"
        ),
    }
}

/// The identity of the calling actor, if the caller is one.
pub fn try_self_pid() -> Option<Pid> {
    if let Some(actor) = Running::current() {
        return Some(actor.pid());
    }
    Local::current()?.on_behalf_of().map(|slot| slot.pid())
}
