//! Actors under the names of [`std::thread`], so that `use smarm::thread` in place of `use std::thread` ports
//! code.
//!
//! | here | in an actor | on a plain OS thread |
//! |---|---|---|
//! | [`spawn`], [`Builder`], [`JoinHandle`] | an actor | an actor of the runtime that [`Builder::runtime`] names |
//! | [`park`], [`park_timeout`], [`Thread::unpark`] | the actor's | std's |
//! | [`current`] | the actor | the thread |
//! | [`sleep`], [`yield_now`] | other actors run | std's |
//! | [`scope`] | its children are actors, which borrow from the caller | see [`Handle::scope`](crate::Handle::scope) |
//!
//! What differs from std: a handle that is not wanted must be dropped by name; [`JoinHandle::join`] fails with a [`JoinError`], of which
//! [`into_panic`](crate::JoinError::into_panic) is std's payload; [`Builder::stack_size`] takes multiples of
//! 4096; a thread-local is the worker's, see [`actor_local`](mod@crate::actor_local); and a [`scope`] that is cut short
//! kills its children before it waits for them.
//!
//! ```
//! use smarm::thread;
//!
//! smarm::run(|| {
//!     let parked = thread::spawn(|| {
//!         thread::park();
//!         "woken"
//!     });
//!     parked.thread().unpark();
//!     assert_eq!(parked.join().unwrap(), "woken");
//! });
//! ```

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
pub use std::thread::available_parallelism;
use std::time::{Duration, Instant};

pub use crate::current::{sleep, sleep_until, yield_now};
pub use crate::join::JoinHandle;
pub use crate::scope::{Scope, ScopedJoinHandle, scope};
pub use crate::spawn::{Builder, spawn};

use crate::actor::park::{self as waiting, Interrupt, Running};
use crate::actor::record::{self, Record};
use crate::actor::{scope, token};
use crate::join::JoinError;
use crate::pid::Pid;

/// What [`JoinHandle::join`] gives.
pub type Result<T> = std::result::Result<T, JoinError>;

/// A handle to an actor or an OS thread.
#[derive(Clone)]
pub struct Thread(Kind);

#[derive(Clone)]
enum Kind {
    Actor { pid: Pid, name: Option<Arc<str>> },
    Os(std::thread::Thread),
}

/// The identity of an actor or an OS thread, unique in its process for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadId(Id);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    Actor(Pid),
    Os(std::thread::ThreadId),
}

impl Thread {
    /// Gives it its token, of which it has one at most: its [`park`] returns, or the next one will at once.
    pub fn unpark(&self) {
        match &self.0 {
            Kind::Actor { pid, .. } => token::give(*pid),
            Kind::Os(thread) => thread.unpark(),
        }
    }

    /// Its identity.
    pub fn id(&self) -> ThreadId {
        ThreadId(match &self.0 {
            Kind::Actor { pid, .. } => Id::Actor(*pid),
            Kind::Os(thread) => Id::Os(thread.id()),
        })
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Actor { name, .. } => name.as_deref(),
            Kind::Os(thread) => thread.name(),
        }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").field("id", &self.id()).field("name", &self.name()).finish()
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Id::Actor(pid) => write!(f, "ThreadId(actor {pid})"),
            Id::Os(id) => id.fmt(f),
        }
    }
}

impl<T> JoinHandle<T> {
    /// The actor as a [`Thread`]. Its name is there while the actor lives, cut off after 32 bytes.
    pub fn thread(&self) -> Thread {
        let pid = self.pid();
        let mut name = [0; 32];
        let length = Record::visible_name(pid.index(), &mut name);
        let name = String::from_utf8_lossy(&name[..length]);
        let name = (length > 0 && !self.is_finished()).then(|| Arc::from(&*name));
        Thread(Kind::Actor { pid, name })
    }
}

/// The calling actor; on a plain thread, and on a worker's outside any actor, the OS thread.
pub fn current() -> Thread {
    let actor = record::with_current(|record| {
        let record = record?;
        Some(Thread(Kind::Actor { pid: record.pid, name: record.name.as_deref().map(Arc::from) }))
    });
    actor.unwrap_or_else(|| Thread(Kind::Os(std::thread::current())))
}

/// Whether the caller unwinds from a panic. As std's, which knows actors apart, too.
pub fn panicking() -> bool {
    std::thread::panicking()
}

/// Waits until the caller has its token, which [`Thread::unpark`] gives, and takes it.
///
/// In a destructor of an actor that is being killed it returns without it, as std's may, too. If the caller's
/// [scope](crate::cancel) is over before, it unwinds to that.
///
/// # Panics
/// In a future that an actor awaits, and on a worker's thread outside any actor.
#[track_caller]
pub fn park() {
    park_until(None);
}

/// As [`park`], but for at most `duration`.
///
/// # Panics
/// As [`park`].
#[track_caller]
pub fn park_timeout(duration: Duration) {
    match waiting::now().checked_add(duration) {
        Some(deadline) => park_until(Some(deadline)),
        None => park_until(None),
    }
}

#[track_caller]
fn park_until(deadline: Option<Instant>) {
    let Some(actor) = Running::current() else { return park_thread(deadline) };
    let pid = actor.pid();
    // The waker is the pid, which is what the giver of the token wakes.
    let waits = poll_fn(|_| if token::take(pid) { Poll::Ready(()) } else { Poll::Pending });
    match waiting::wait_until(waits, deadline) {
        Err(interrupt @ Interrupt::TimedOut) if scope::soonest(deadline) != deadline => {
            scope::unwind(interrupt)
        }
        Err(interrupt @ Interrupt::Cancelled) => scope::unwind(interrupt), // not in a destructor
        _ => {}
    }
}

/// A thread's own token, of which std takes care; it may return without, and so when the scope is over.
#[track_caller]
fn park_thread(deadline: Option<Instant>) {
    waiting::check_may_wait();
    match scope::soonest(deadline) {
        None => std::thread::park(),
        Some(until) => std::thread::park_timeout(until.saturating_duration_since(Instant::now())),
    }
    if let Some(over) = scope::over() {
        scope::unwind(over);
    }
}
