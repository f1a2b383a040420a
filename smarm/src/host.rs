//! The seam between a worker and whatever polls it.
//!
//! | word | meaning |
//! |---|---|
//! | host | polls a worker: the native epoll loop, or a tokio runtime |
//! | reactor | where a worker's file descriptors are registered |
//! | source | one registered file descriptor |
//!
//! smarm knows no tokio: a host is anything that polls a future and offers a [`Reactor`].

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

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

/// A registered file descriptor. Dropping the last reference removes the registration.
///
/// It may be used from any thread, and by several waiters in each direction at once: readiness
/// wakes all who wait for it.
pub trait Source: Send + Sync {
    /// Calls `attempt` when the descriptor is (or may be) ready and until it does not block;
    /// registers `cx`'s waker when the descriptor is not ready.
    ///
    /// Readiness that arrives between an attempt that would block and the clearing of the old
    /// readiness is never lost.
    fn poll_io(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>>;
}

/// Where a worker's file descriptors are registered. Called on the worker's thread only.
pub trait Reactor {
    /// Registers a descriptor, edge-triggered, for both directions.
    ///
    /// # Errors
    /// What the system says: a descriptor that is closed (`EBADF`) or that cannot be polled, such
    /// as a regular file (`EPERM`).
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Arc<dyn Source>>;

    /// Whether the host wants the worker's turn to end, because the budget that it grants to one
    /// poll is used up. Asked after each future that the worker has polled.
    fn budget_spent(&self) -> bool {
        false
    }
}
