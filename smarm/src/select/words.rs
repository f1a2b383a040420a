//! The words that make sources.

use std::fmt;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Selectable;
use super::timer::{Readiness, Timer};
use crate::JoinHandle;
use crate::actor::park;
use crate::channel::{Claimant, Receiver, RecvError, SendError, SendFrom, Sender, Wait, oneshot};
use crate::host::Direction;
use crate::mutex::{Lock, Mutex};
use crate::sync::mpmc;

/// A receiver, by the kind of reference that it is received from with.
#[diagnostic::on_unimplemented(
    message = "`recv` takes a receiver by reference, and `{Self}` is none",
    note = "`recv(&receiver)` for channels of one receiver or many, `recv(&mut receiver)` for oneshot channels; `future(f)` takes any future"
)]
pub trait Receives: Selectable {}

impl<'a, T> Selectable for &'a Receiver<T> {
    type Output = Result<T, RecvError>;
    type Wait = Wait<&'a Receiver<T>, T>;

    #[inline]
    fn into_wait(self) -> Self::Wait {
        Wait::new(self)
    }

    #[inline]
    unsafe fn enroll(wait: Pin<&mut Self::Wait>, claimant: Claimant) -> bool {
        // SAFETY: passed on.
        unsafe { wait.get_mut().enroll(claimant) }
    }
}

impl<'a, T> Selectable for &'a mut Receiver<T> {
    type Output = Result<T, RecvError>;
    type Wait = Wait<&'a Receiver<T>, T>;

    #[inline]
    fn into_wait(self) -> Self::Wait {
        Wait::new(self)
    }

    #[inline]
    unsafe fn enroll(wait: Pin<&mut Self::Wait>, claimant: Claimant) -> bool {
        // SAFETY: passed on.
        unsafe { wait.get_mut().enroll(claimant) }
    }
}

impl<'a, T> Selectable for &'a mpmc::Receiver<T> {
    type Output = Result<T, RecvError>;
    type Wait = mpmc::Recv<'a, T>;

    fn into_wait(self) -> Self::Wait {
        self.recv_async()
    }

    #[inline]
    unsafe fn enroll(wait: Pin<&mut Self::Wait>, claimant: Claimant) -> bool {
        // SAFETY: passed on.
        unsafe { wait.enroll(claimant) }
    }
}

impl<'a, T> Selectable for SendFrom<'a, T> {
    type Output = Result<(), SendError<T>>;
    type Wait = SendFrom<'a, T>;

    #[inline]
    fn into_wait(self) -> Self::Wait {
        self
    }

    #[inline]
    unsafe fn enroll(wait: Pin<&mut Self::Wait>, claimant: Claimant) -> bool {
        // SAFETY: passed on.
        unsafe { wait.enroll(claimant) }
    }

    fn notify(wait: Pin<&mut Self::Wait>, own: &Waker) {
        wait.notify(own);
    }
}

impl<T> Receives for &Receiver<T> {}
impl<T> Receives for &mpmc::Receiver<T> {}
impl<T> Receives for &mut Receiver<T> {}
impl<T> Receives for &mut oneshot::Receiver<T> {}

/// Ready when a message has come, which it gives; or when none will come, with an error.
///
/// If another arm wins, the message stays in its channel; in one of capacity 0, with its sender.
#[inline]
pub fn recv<R: Receives>(receiver: R) -> R {
    receiver
}

/// Ready when the message could be sent, or given back in an error because the receiver is gone.
///
/// The message is taken out of its variable then, and no sooner: if another arm wins, it is still there.
///
/// # Panics
/// If there is no message: put `if message.is_some()` to the arm.
///
/// ```
/// use smarm::channel::bounded;
/// use smarm::select;
///
/// let (tx, rx) = bounded(1);
/// let mut next = Some(1);
/// for _ in 0..2 {
///     select! {
///         sent = send(&tx, &mut next), if next.is_some() => sent.unwrap(),
///         received = recv(&rx) => assert_eq!(received, Ok(1)),
///     }
/// }
/// assert!(next.is_none() && rx.is_empty());
/// ```
#[track_caller]
pub fn send<'a, T>(sender: &'a Sender<T>, message: &'a mut Option<T>) -> SendFrom<'a, T> {
    assert!(
        message.is_some(),
        "smarm: select!: there is no message to send: put `if message.is_some()` to the arm"
    );
    SendFrom::new(sender, message)
}

/// Ready when this much time has passed since this was evaluated; a longer time than the clock has is for ever.
#[must_use]
pub fn after(duration: Duration) -> Timer {
    Timer::at(park::now().checked_add(duration), !duration.is_zero())
}

/// Ready when this time has come: for a timeout of several rounds.
#[must_use]
pub fn at(deadline: Instant) -> Timer {
    Timer::at(Some(deadline), false)
}

/// Ready when the actor has ended, with its result. After that the handle has no result any more, and must not be
/// waited for again.
pub fn join<T>(handle: &mut JoinHandle<T>) -> &mut JoinHandle<T> {
    handle
}

/// Ready when the caller holds the mutex, with the guard. If another arm wins, the place in the queue is given up.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> Lock<'_, T> {
    mutex.lock_async()
}

/// Ready when the descriptor can be read from without blocking, is hung up, or has an error.
pub fn readable<F: AsFd + ?Sized>(fd: &F) -> Readiness<'_> {
    Readiness::new(fd.as_fd(), Direction::Read)
}

/// Ready when the descriptor can be written to without blocking, is hung up, or has an error.
pub fn writable<F: AsFd + ?Sized>(fd: &F) -> Readiness<'_> {
    Readiness::new(fd.as_fd(), Direction::Write)
}

/// Ready when the future is. If another arm wins, it is dropped half-way; `future(&mut f)`, of a pinned one, keeps
/// it.
///
/// One that is not [`Shallow`](super::Shallow) is polled on the worker's stack, as [`await_future`](crate::compat::await_future)
/// does.
pub fn future<F: Future>(future: F) -> AnyFuture<F> {
    AnyFuture(future)
}

/// A future that is the source of an arm. See [`future`].
#[must_use]
pub struct AnyFuture<F>(F);

impl<F> AnyFuture<F> {
    pub(super) fn into_inner(self) -> F {
        self.0
    }
}

impl<F> fmt::Debug for AnyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyFuture").finish_non_exhaustive()
    }
}
