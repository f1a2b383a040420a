//! The waits that are no futures elsewhere: for a time, and for a descriptor.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::threads::Watched;
use super::{Selectable, Shallow};
use crate::actor::park;
use crate::host::{self, Direction};
use crate::io::attempt_to_find_ready;
use crate::io::registration::Registration;

/// A time: the source that [`after`](super::after) and [`at`](super::at) make.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// None for a time beyond the clock's range.
    deadline: Option<Instant>,
    /// It was made for a time to come, and not polled since: the clock need not be looked at.
    fresh: bool,
}

impl Timer {
    pub(super) fn at(deadline: Option<Instant>, to_come: bool) -> Self {
        Self { deadline, fresh: to_come }
    }
}

/// The wait for a [`Timer`]. Nobody wakes it: it is polled when its deadline has passed.
#[derive(Debug)]
pub struct Due(Timer);

impl Selectable for Timer {
    type Output = ();
    type Wait = Due;

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn into_wait(self) -> Due {
        Due(self)
    }
}

impl Future for Due {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let Timer { deadline, fresh } = &mut self.0;
        let fresh = std::mem::take(fresh);
        match deadline {
            Some(deadline) if !fresh && *deadline <= park::now() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// The wait for a descriptor: what [`readable`](super::readable) and [`writable`](super::writable) make.
#[must_use = "futures do nothing unless awaited"]
pub struct Readiness<'fd> {
    fd: BorrowedFd<'fd>,
    direction: Direction,
    registration: Registration,
    /// A source may hold a waker.
    waits: bool,
}

impl<'fd> Readiness<'fd> {
    pub(super) fn new(fd: BorrowedFd<'fd>, direction: Direction) -> Self {
        Self { fd, direction, registration: Registration::new(), waits: false }
    }
}

impl<'fd> Selectable for Readiness<'fd> {
    type Output = io::Result<()>;
    type Wait = Ready<'fd>;

    fn watched(&self) -> Option<Watched> {
        Some(Watched::new(self.fd.as_raw_fd(), self.direction))
    }

    fn into_wait(self) -> Ready<'fd> {
        Ready(self)
    }
}

/// See [`Readiness`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Ready<'fd>(Readiness<'fd>);

impl Shallow for Ready<'_> {}

impl Future for Ready<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Readiness { fd, direction, registration, waits } = &mut self.0;
        let mut attempt = || attempt_to_find_ready(*fd, *direction);
        if host::with_reactor(|reactor| reactor.is_none()) {
            // A plain thread watches it.
            return match crate::io::registration::uninterrupted(&mut attempt) {
                Ok(None) => Poll::Pending,
                Ok(Some(_)) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        let polled = registration.poll(*fd, *direction, cx, &mut attempt);
        *waits = polled.is_pending();
        if *waits {
            crate::actor::park::mind_budget();
        }
        polled.map_ok(|_| ())
    }
}

impl Drop for Readiness<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.registration.forget(self.direction);
        }
    }
}

impl fmt::Debug for Readiness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("fd", &self.fd).finish_non_exhaustive()
    }
}
