//! The right to join a child of a scope.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::children::Children;
use crate::join::{JoinError, JoinHandle, JoinTimeoutError};
use crate::pid::Pid;
use crate::select::Shallow;

/// The right to wait for the end of a child of a [`Scope`](super::Scope), and to have its result. Dropping it leaves
/// the child to the scope, which waits for it in the end.
///
/// It is a [`Future`]; dropped half-way through an `.await`, or awaited as `&mut handle`, it is as
/// [`JoinHandle`]. In a [`select!`](crate::select!), `&mut handle` is a source.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    children: &'scope Children,
}

/// Why a bounded wait for a child ended.
#[derive(Debug)]
pub enum ScopedJoinTimeoutError<'scope, T> {
    /// The time is over, or that of the caller's [scope of waits](crate::cancel), and the child runs on; the handle
    /// comes back.
    TimedOut(ScopedJoinHandle<'scope, T>),
    /// A token of the caller's [scope of waits](crate::cancel) was cancelled, or the waiting actor is being killed
    /// and already unwinds; the handle comes back.
    Cancelled(ScopedJoinHandle<'scope, T>),
    /// The child ended without a result.
    Ended(JoinError),
}

impl<'scope, T> ScopedJoinHandle<'scope, T> {
    pub(super) fn new(handle: JoinHandle<T>, children: &'scope Children) -> Self {
        Self { handle, children }
    }

    /// The child's identity.
    pub fn pid(&self) -> Pid {
        self.handle.pid()
    }

    /// Waits for the end of the child, as [`JoinHandle::join`]. If it has panicked, the caller knows now, and the
    /// scope does not panic for it.
    ///
    /// # Errors
    /// The child panicked or was killed.
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        heard(self.children, self.handle.join())
    }

    /// As [`join`](Self::join), for at most this long.
    ///
    /// # Errors
    /// The time is over, or the child panicked or was killed.
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    #[track_caller]
    pub fn join_timeout(self, timeout: Duration) -> Result<T, ScopedJoinTimeoutError<'scope, T>> {
        bounded(self.children, self.handle.join_timeout(timeout))
    }

    /// As [`join`](Self::join), until this deadline. One in the past gives the result if it is there.
    ///
    /// # Errors
    /// The deadline has passed, or the child panicked or was killed.
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    #[track_caller]
    pub fn join_deadline(self, deadline: Instant) -> Result<T, ScopedJoinTimeoutError<'scope, T>> {
        bounded(self.children, self.handle.join_deadline(deadline))
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Makes the child's current or next wait unwind, as [`JoinHandle::kill`].
    pub fn kill(&self) {
        self.handle.kill();
    }
}

/// Tells the scope that somebody has learnt of an end without a result.
fn heard<T>(children: &Children, ended: Result<T, JoinError>) -> Result<T, JoinError> {
    ended.inspect_err(|error| children.heard(error))
}

fn bounded<'scope, T>(
    children: &'scope Children,
    ended: Result<T, JoinTimeoutError<T>>,
) -> Result<T, ScopedJoinTimeoutError<'scope, T>> {
    let with = |handle| ScopedJoinHandle { handle, children };
    match ended {
        Ok(value) => Ok(value),
        Err(JoinTimeoutError::TimedOut(handle)) => Err(ScopedJoinTimeoutError::TimedOut(with(handle))),
        Err(JoinTimeoutError::Cancelled(handle)) => Err(ScopedJoinTimeoutError::Cancelled(with(handle))),
        Err(JoinTimeoutError::Ended(error)) => {
            heard(children, Err(error)).map_err(ScopedJoinTimeoutError::Ended)
        }
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx).map(|ended| heard(self.children, ended))
    }
}

impl<T> Shallow for ScopedJoinHandle<'_, T> {}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("handle", &self.handle).finish()
    }
}
