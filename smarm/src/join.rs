//! Waiting for the end of an actor.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::actor::park::{self, Interrupt, Running};
use crate::actor::{local, slot};
use crate::channel::oneshot;
use crate::pid::Pid;
use crate::sim;

/// Why an actor has no result.
pub enum JoinError {
    /// It panicked, with this payload.
    Panicked(Payload),
    /// It was killed, or its runtime shut down.
    Killed,
}

/// What an actor panicked with. Unlike the box inside it is `Sync`, so that a [`JoinError`] turns into a
/// `Box<dyn Error + Send + Sync>` with `?`.
pub struct Payload(Box<dyn Any + Send + 'static>);

// SAFETY: a shared reference gives no more than the text, of a payload that is a `&str` or a `String`, which
// are `Sync`.
unsafe impl Sync for Payload {}

impl Payload {
    pub(crate) fn new(payload: Box<dyn Any + Send + 'static>) -> Self {
        Self(payload)
    }

    /// The payload itself, as `std::panic::catch_unwind` gives it.
    pub fn into_inner(self) -> Box<dyn Any + Send + 'static> {
        self.0
    }

    /// The text of the panic, if it has one; else says that it has none.
    pub fn message(&self) -> &str {
        park::message(&*self.0)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl JoinError {
    /// The payload of the panic.
    ///
    /// # Panics
    /// If the actor did not panic.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self {
            Self::Panicked(payload) => payload.into_inner(),
            Self::Killed => panic!("the actor was killed; it did not panic"),
        }
    }

    /// Whether the actor was killed.
    pub fn is_killed(&self) -> bool {
        matches!(self, Self::Killed)
    }

    /// Whether the actor panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }

    /// Continues the actor's panic in the caller.
    ///
    /// # Panics
    /// Always: with the actor's payload, or with a message if it was killed.
    #[track_caller]
    pub fn resume(self) -> ! {
        resume_unwind(self.into_panic())
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(&payload.message()).finish(),
            Self::Killed => f.write_str("Killed"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => write!(f, "the actor panicked: {}", payload.message()),
            Self::Killed => f.write_str("the actor was killed"),
        }
    }
}

impl std::error::Error for JoinError {}

/// What an actor leaves behind for whoever joins it. Small, so that it travels in registers.
pub(crate) type Ending<T> = Result<T, Box<Failure>>;

/// What an actor without a result leaves behind.
pub(crate) struct Failure {
    pub(crate) error: JoinError,
    /// Of a panic that nobody has noticed so far.
    pub(crate) report: Option<Report>,
}

impl Failure {
    pub(crate) fn killed() -> Box<Self> {
        Box::new(Self { error: JoinError::Killed, report: None })
    }

    /// Somebody learns of it.
    #[cold]
    pub(crate) fn learn(mut self) -> JoinError {
        if let Some(report) = &mut self.report {
            report.obsolete = true;
        }
        self.error
    }
}

/// Logs a panic when it is dropped, unless somebody has learnt of it.
pub(crate) struct Report {
    pub(crate) pid: Pid,
    pub(crate) name: Option<Box<str>>,
    pub(crate) place: Option<Box<str>>,
    pub(crate) message: String,
    pub(crate) obsolete: bool,
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.obsolete {
            let name = self.name.as_deref().unwrap_or("");
            let place = self.place.as_deref().unwrap_or("an unknown place");
            let (pid, message) = (self.pid, &self.message);
            if !sim::unnoticed_panic(pid, name, place, message) {
                eprintln!(
                    "smarm: actor {pid} \"{name}\" panicked at {place}, and nobody learns of it: {message}"
                );
            }
        }
    }
}

/// Why a bounded wait for an actor ended.
#[derive(Debug)]
pub enum JoinTimeoutError<T> {
    /// The time is over, or that of the caller's [scope](crate::cancel), and the actor runs on; the handle
    /// comes back.
    TimedOut(JoinHandle<T>),
    /// A token of the caller's [scope](crate::cancel) was cancelled, or the waiting actor is being killed and
    /// already unwinds; the handle comes back.
    Cancelled(JoinHandle<T>),
    /// The actor ended without a result.
    Ended(JoinError),
}

/// The right to wait for an actor's end and to have its result.
///
/// An actor waits with [`join`](Self::join), async code awaits the handle itself, and a plain thread
/// may join too. Dropping the handle detaches the actor; dropping it half-way through an `.await` is
/// the same: the actor runs on, and its result is dropped. Await `&mut handle` to keep it.
#[must_use = "dropping the handle detaches the actor; use `drop` or `let _` to say so"]
pub struct JoinHandle<T> {
    pid: Pid,
    result: oneshot::Receiver<Ending<T>>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(pid: Pid, result: oneshot::Receiver<Ending<T>>) -> Self {
        Self { pid, result }
    }

    /// The actor's identity.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the end of the actor.
    ///
    /// In a destructor of an actor that is being killed, it waits all the same. If the caller's
    /// [scope](crate::cancel) is over before, it unwinds to that, and the actor is detached.
    ///
    /// # Errors
    /// The actor panicked or was killed.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: await the
    /// handle there.
    #[track_caller]
    #[inline]
    pub fn join(mut self) -> Result<T, JoinError> {
        let Some(actor) = Running::current() else {
            return park::wait_uncancelled(Ended(&mut self.result)).map_err(|failure| failure.learn());
        };
        actor.yield_if_overdue();
        match self.result.recv_parking(actor, Running::park_uncancelled) {
            Some(ending) => ending.map_err(|failure| failure.learn()),
            None => Err(JoinError::Killed), // as in `Ended`
        }
    }

    /// As [`join`](Self::join), but a kill of the caller does not end the wait either.
    #[track_caller]
    pub(crate) fn join_unbroken(mut self) -> Result<T, JoinError> {
        park::wait_unbroken(Ended(&mut self.result)).map_err(|failure| failure.learn())
    }

    /// As [`join`](Self::join), for at most this long.
    ///
    /// # Errors
    /// The time is over, or the actor panicked or was killed.
    ///
    /// # Panics
    /// As [`join`](Self::join).
    #[track_caller]
    pub fn join_timeout(self, timeout: Duration) -> Result<T, JoinTimeoutError<T>> {
        match park::now().checked_add(timeout) {
            Some(deadline) => self.join_deadline(deadline),
            None => self.join().map_err(JoinTimeoutError::Ended),
        }
    }

    /// As [`join`](Self::join), until this deadline. One in the past gives the result if it is there.
    ///
    /// # Errors
    /// The deadline has passed, or the actor panicked or was killed.
    ///
    /// # Panics
    /// As [`join`](Self::join).
    #[track_caller]
    pub fn join_deadline(mut self, deadline: Instant) -> Result<T, JoinTimeoutError<T>> {
        match park::wait_until(Ended(&mut self.result), Some(deadline)) {
            Ok(ending) => ending.map_err(|failure| JoinTimeoutError::Ended(failure.learn())),
            Err(Interrupt::TimedOut) => Err(JoinTimeoutError::TimedOut(self)),
            Err(Interrupt::Cancelled) => Err(JoinTimeoutError::Cancelled(self)),
        }
    }

    /// Whether the actor has ended.
    pub fn is_finished(&self) -> bool {
        is_over(self.pid)
    }

    /// Makes the actor's current or next wait unwind; its destructors run. An actor that computes
    /// is reached at its next `check!()`. Does nothing if the actor has ended.
    ///
    /// An actor that swallows the unwinding with `catch_unwind` is unwound again by its next wait.
    pub fn kill(&self) {
        local::kill(self.pid);
    }
}

/// Whether the actor has ended.
pub(crate) fn is_over(pid: Pid) -> bool {
    let state = slot::slot(pid.index()).state.load();
    state.generation() != pid.generation() || !state.live()
}

/// The end of an actor, as a future.
struct Ended<'a, T>(&'a mut oneshot::Receiver<Ending<T>>);

impl<T> Future for Ended<'_, T> {
    type Output = Ending<T>;
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The sender goes without an ending only if its worker was given up with the actor on it.
        Pin::new(&mut *self.0).poll(cx).map(|received| received.unwrap_or_else(|_| Err(Failure::killed())))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut Ended(&mut self.result)).poll(cx).map_err(|failure| failure.learn())
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("pid", &self.pid).field("finished", &self.is_finished()).finish()
    }
}
