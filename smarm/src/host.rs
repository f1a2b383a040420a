//! The seam between a worker and whatever polls it.
//!
//! | word | meaning |
//! |---|---|
//! | host | polls a worker: the native epoll loop, or a tokio runtime |
//! | reactor | where a worker's file descriptors are registered |
//! | source | one registered file descriptor |
//!
//! smarm knows no tokio: a host is anything that polls a future and offers a [`Reactor`].

pub(crate) mod epoll;
pub(crate) mod native;
mod notifier;
mod readiness;
mod registry;
pub(crate) mod sys;
#[cfg(test)]
pub(crate) mod testing;

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::primitive;
pub use crate::scheduler::threads::start_thread;
pub use crate::scheduler::worker::Worker;

/// What a worker's turn ended with, and so what its host is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Turn {
    /// There is more to do: poll again soon, after a look at what else the host has to do.
    Busy,
    /// There is nothing to do until the waker is woken or [`Worker::next_deadline`] has come.
    Idle,
    /// The runtime has shut down and this worker's actors have ended: drop the worker.
    Done,
}

/// Which way data flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The descriptor can be read from, has been hung up, or has an error.
    Read,
    /// The descriptor can be written to, has been hung up, or has an error.
    Write,
}

/// What one attempt at a system call brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It moved this many bytes, and the descriptor may be ready for more.
    Done(usize),
    /// It moved this many bytes and came back short: the descriptor has nothing more, so its
    /// readiness is cleared and the next wait needs no system call to find that out.
    Short(usize),
    /// It would block.
    WouldBlock,
}

/// Names one wait among those of a [`Source`]: two waits that are pending at the same time on one
/// source never have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitId(pub(crate) u64);

/// The error of a [`Source`] whose reactor has ended. Whoever gets it registers the descriptor
/// anew, with the reactor of its own worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReactorGone;

impl ReactorGone {
    /// Whether `error` was made from a `ReactorGone`.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<ReactorGone>())
    }
}

impl fmt::Display for ReactorGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reactor of this file descriptor has ended")
    }
}

impl Error for ReactorGone {}

impl From<ReactorGone> for io::Error {
    fn from(gone: ReactorGone) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, gone)
    }
}

/// A registered file descriptor. Dropping the last reference removes the registration.
///
/// It may be used from any thread, and by several waiters in each direction at once: readiness
/// wakes all who wait for it.
pub trait Source: Send + Sync {
    /// Calls `attempt` when the descriptor is (or may be) ready and until it does not block;
    /// when the descriptor is not ready, keeps `cx`'s waker under `id`, in place of an earlier
    /// one of that wait.
    ///
    /// Readiness that arrives between an attempt that would block and the clearing of the old
    /// readiness is never lost. An attempt that was interrupted by a signal is repeated.
    ///
    /// # Errors
    /// What `attempt` gives, or [`ReactorGone`].
    fn poll_io(
        &self,
        direction: Direction,
        id: WaitId,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>>;

    /// Ends the wait `id`: its waker is dropped. The other waits go on, also those with an equal
    /// waker.
    fn forget(&self, direction: Direction, id: WaitId);
}

/// Where a worker's file descriptors are registered. Called on the worker's thread only.
pub trait Reactor {
    /// Registers a descriptor, edge-triggered, for both directions. It must stay open for as long
    /// as the source lives, and counts as ready until an attempt would block.
    ///
    /// # Errors
    /// What the system says: a descriptor that is closed (`EBADF`) or that cannot be polled, such
    /// as a regular file (`EPERM`).
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Arc<dyn Source>>;

    /// Whether the host wants the worker's turn to end, because the budget that it grants to one
    /// poll is used up. Asked when a future that an actor waits for is pending.
    fn budget_spent(&self) -> bool {
        false
    }
}

/// What a worker's timers and deadlines go by, if not the system's clock: one that a test has stopped. It
/// never goes back.
pub trait Clock: Send + Sync {
    /// The time. Called on the worker's thread only.
    fn now(&self) -> Instant;

    /// Moves the time on. `false` if that is not for smarm to do.
    fn advance(&self, _by: Duration) -> bool {
        false
    }

    /// Until [`release`](Self::release) somebody waits for what another thread does: the time shall not leap.
    fn hold(&self) {}

    /// See [`hold`](Self::hold). Called on any thread.
    fn release(&self) {}
}

primitive::thread_local! {
    /// The reactor of the worker that was polled last on this thread and is still there.
    static REACTOR: Cell<Option<NonNull<dyn Reactor>>> = const { Cell::new(None) };
}

/// While it lives, its reactor is this thread's.
#[must_use]
pub(crate) struct Entered<'a> {
    outer: Option<NonNull<dyn Reactor>>,
    stays: bool,
    /// The reactor outlives the guard; a raw pointer, because the guard must stay on its thread.
    reactor: PhantomData<(&'a (), *const ())>,
}

/// Makes `reactor` this thread's until the guard is dropped.
///
/// # Safety
/// The guard is dropped, not leaked, and guards of one thread are dropped last in, first out:
/// after `reactor` has ended nothing may find it.
pub(crate) unsafe fn enter<'a>(reactor: &'a (dyn Reactor + 'a)) -> Entered<'a> {
    let reactor: NonNull<dyn Reactor + 'a> = NonNull::from(reactor);
    // SAFETY: only the lifetime of the trait object changes; the caller drops the guard, which
    // takes the pointer out of the slot, before that lifetime ends.
    let reactor = unsafe { std::mem::transmute::<NonNull<dyn Reactor + 'a>, NonNull<dyn Reactor>>(reactor) };
    Entered { outer: REACTOR.replace(Some(reactor)), stays: false, reactor: PhantomData }
}

/// As [`enter`], for a turn of the worker that `reactor` belongs to. Unless that turn is taken in the
/// middle of another worker's (`nested`), the reactor stays this thread's after it, so that tasks
/// beside the worker can register descriptors, too.
///
/// # Safety
/// As for [`enter`]; and the reactor lives, on this thread, until [`leave`] was called with it.
pub(crate) unsafe fn enter_turn<'a>(reactor: &'a (dyn Reactor + 'a), nested: bool) -> Entered<'a> {
    // SAFETY: passed on.
    let mut entered = unsafe { enter(reactor) };
    entered.stays = !nested;
    entered
}

/// Forgets a reactor that is about to end, on the thread of its worker.
pub(crate) fn leave(reactor: &dyn Reactor) {
    if REACTOR.get().is_some_and(|known| std::ptr::addr_eq(known.as_ptr(), reactor)) {
        REACTOR.set(None);
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.stays {
            REACTOR.set(self.outer);
        }
    }
}

/// Calls `f` with the reactor of this thread's worker; with `None` on any other thread. `f` must not
/// wait.
pub(crate) fn with_reactor<R>(f: impl FnOnce(Option<&dyn Reactor>) -> R) -> R {
    // SAFETY: a pointer in the slot is valid: the guard of `enter`, which borrows the reactor, or
    // `leave` takes it out again, and neither happens before `f` returns, on this same thread.
    f(REACTOR.get().map(|reactor| unsafe { reactor.as_ref() }))
}
