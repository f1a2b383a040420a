//! Waiting for a simulated socket.
//!
//! 1. The attempt is made, and would block.
//! 2. The wait's waker goes into the socket's list.
//! 3. What the network brings takes the list and wakes all in it, outside the lock. Each makes its attempt again.
//!
//! No wake is lost: what happens between 1 and 2 would have to come from another thread than the simulation's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::net::Waiters;
use super::world::{Locked, World};
use crate::actor::park::{self, Interrupt};
use crate::host::{Attempt, Direction};
use crate::io::Cancelled;
use crate::io::registration::uninterrupted;

/// A simulated socket, for those who wait for it.
pub(crate) trait Waits {
    fn world(&self) -> &World;

    /// Those who wait already; `None` if it is gone.
    fn waiters<'a>(&self, state: &'a mut Locked<'_>, direction: Direction) -> Option<&'a mut Waiters>;
}

/// Repeats `attempt` until it does not block, and waits in between.
///
/// # Errors
/// Those of `attempt`; [`io::ErrorKind::TimedOut`]; [`Cancelled`].
pub(crate) fn run(
    socket: &dyn Waits,
    direction: Direction,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> io::Result<Attempt>,
) -> io::Result<usize> {
    let id = socket.world().lock().net.id();
    let wait = Wait { socket, direction, id, attempt: &mut attempt, waits: false };
    match park::wait_until(wait, deadline) {
        Ok(result) => result,
        Err(Interrupt::TimedOut) => uninterrupted(&mut attempt)?.ok_or(io::ErrorKind::TimedOut.into()),
        Err(Interrupt::Cancelled) => uninterrupted(&mut attempt)?.ok_or_else(|| Cancelled.into()),
    }
}

/// For poll functions: in each direction only the waker of the last call is kept.
pub(crate) fn poll(
    socket: &dyn Waits,
    direction: Direction,
    cx: &mut Context<'_>,
    attempt: &mut dyn FnMut() -> io::Result<Attempt>,
) -> Poll<io::Result<usize>> {
    poll_as(0, socket, direction, cx, attempt)
}

fn poll_as(
    id: u64,
    socket: &dyn Waits,
    direction: Direction,
    cx: &mut Context<'_>,
    attempt: &mut dyn FnMut() -> io::Result<Attempt>,
) -> Poll<io::Result<usize>> {
    if let Some(count) = uninterrupted(attempt)? {
        return Poll::Ready(Ok(count));
    }
    let mut state = socket.world().lock();
    let Some(waiters) = socket.waiters(&mut state, direction) else {
        return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
    };
    let old = waiters.add(id, cx.waker());
    drop(state);
    drop(old);
    Poll::Pending
}

/// One wait. Dropped, it takes its waker back; what has arrived stays with the socket.
struct Wait<'a, F> {
    socket: &'a dyn Waits,
    direction: Direction,
    id: u64,
    attempt: F,
    waits: bool,
}

// The attempt is called, never pinned.
impl<F> Unpin for Wait<'_, F> {}

impl<F: FnMut() -> io::Result<Attempt>> Future for Wait<'_, F> {
    type Output = io::Result<usize>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = poll_as(this.id, this.socket, this.direction, cx, &mut this.attempt);
        this.waits = polled.is_pending();
        polled
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        if self.waits {
            let mut state = self.socket.world().lock();
            let own =
                self.socket.waiters(&mut state, self.direction).and_then(|waiters| waiters.remove(self.id));
            drop(state);
            drop(own);
        }
    }
}
