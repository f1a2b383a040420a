//! The one readiness loop: how an actor, a future or a plain thread repeats an attempt at a
//! descriptor until it does not block.
//!
//! | word | meaning |
//! |---|---|
//! | attempt | one non-blocking system call |
//! | registration | the place for a descriptor's source, empty until a wait needs one |
//! | operation | the future of one wait |
//!
//! 1. While the registration is empty, the operation makes its attempt. If that would block, it
//!    registers the descriptor with the reactor of the worker whose turn it is.
//! 2. From then on it asks the source, which makes the attempt only when it may succeed. Operations
//!    of other actors, on whatever worker, use the same source.
//! 3. A source whose reactor has ended says so, and the operation registers the descriptor anew,
//!    with its own worker's reactor.
//!
//! Nothing is lost between the attempt of step 1 and the registration: a new source counts as
//! ready, so that the attempt is made once more, and the kernel reports what is there when a
//! descriptor is added.
//!
//! On a thread without a reactor, `poll(2)` takes the source's place.
//!
//! Rejected: a lock around the source. Every read would pay for the replacement of a source, which
//! happens when a runtime ends before its descriptors do. The sources form a list instead, of
//! which the last one is in use and which hardly ever has a second.

use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use super::Cancelled;
use crate::actor::park::{self, Interrupt};
use crate::actor::scope;
use crate::host::sys::poll_fd;
use crate::host::{self, Attempt, Direction, ReactorGone, Source, WaitId};
use crate::primitive::OnceLock;
use crate::sim;

/// Where the source of one descriptor is kept. The owner drops it before it closes the descriptor,
/// and passes the same descriptor to every call.
pub(crate) struct Registration {
    first: Link,
    /// The number of the last wait; zero is that of [`Registration::poll`].
    waits: AtomicU64,
}

/// A source, once there is one.
type Link = OnceLock<Box<Entry>>;

struct Entry {
    source: Arc<dyn Source>,
    /// Takes the source's place when its reactor has ended.
    next: Link,
}

impl Registration {
    pub(crate) fn new() -> Registration {
        Registration { first: Link::new(), waits: AtomicU64::new(0) }
    }

    /// Repeats `attempt` until it does not block, and waits in between: an actor parks, a thread
    /// blocks.
    ///
    /// # Errors
    /// Those of `attempt` and of registering `fd`; [`io::ErrorKind::TimedOut`]; [`Cancelled`].
    pub(crate) fn run(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> io::Result<Attempt>,
    ) -> io::Result<usize> {
        sim::refuse_real("a wait for a real descriptor")?;
        if host::with_reactor(|reactor| reactor.is_none()) {
            return run_on_thread(fd, direction, scope::soonest(deadline), &mut attempt);
        }
        let given_up = match park::wait_until(self.operation(fd, direction, &mut attempt), deadline) {
            Ok(result) => return result,
            Err(Interrupt::TimedOut) => io::ErrorKind::TimedOut.into(),
            Err(Interrupt::Cancelled) => Cancelled.into(),
        };
        // The descriptor may have become ready without the reactor having had its turn since.
        uninterrupted(&mut attempt)?.ok_or(given_up)
    }

    /// The future of [`run`](Registration::run), without a deadline.
    ///
    /// # Errors
    /// As for `run`, and [`io::ErrorKind::Unsupported`] if it has to register the descriptor on a
    /// thread without a reactor.
    pub(crate) fn operation<'a, F>(
        &'a self,
        fd: BorrowedFd<'a>,
        direction: Direction,
        attempt: F,
    ) -> Operation<'a, F>
    where
        F: FnMut() -> io::Result<Attempt>,
    {
        let id = WaitId(self.waits.fetch_add(1, Ordering::Relaxed) + 1);
        Operation { registration: self, fd, direction, id, attempt, waits: false }
    }

    /// The poll function behind [`operation`](Registration::operation), for others that are written
    /// by hand: in each direction only the waker of the last call is kept, until the descriptor has
    /// news.
    pub(crate) fn poll(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>> {
        self.poll_as(WaitId(0), fd, direction, cx, attempt)
    }

    fn poll_as(
        &self,
        id: WaitId,
        fd: BorrowedFd<'_>,
        direction: Direction,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>> {
        let mut entry = match self.newest() {
            Some(entry) => entry,
            None => {
                if let Some(count) = uninterrupted(attempt)? {
                    return Poll::Ready(Ok(count));
                }
                register_at(&self.first, fd)?
            }
        };
        loop {
            match entry.source.poll_io(direction, id, cx, attempt) {
                Poll::Ready(Err(error)) if ReactorGone::is(&error) => entry = register_at(&entry.next, fd)?,
                polled => return polled,
            }
        }
    }

    /// Takes back the waker that [`poll`](Registration::poll) has left.
    pub(crate) fn forget(&self, direction: Direction) {
        self.forget_as(WaitId(0), direction);
    }

    fn forget_as(&self, id: WaitId, direction: Direction) {
        // A source that was replaced since has no wakers any more, and the newest does not mind.
        if let Some(entry) = self.newest() {
            entry.source.forget(direction, id);
        }
    }

    fn newest(&self) -> Option<&Entry> {
        let mut newest = self.first.get()?;
        while let Some(next) = newest.next.get() {
            newest = next;
        }
        Some(newest)
    }
}

/// The entry in `place`, with a new source if there is none yet.
fn register_at<'a>(place: &'a Link, fd: BorrowedFd<'_>) -> io::Result<&'a Entry> {
    if place.get().is_none() {
        sim::refuse_real("a wait for a real descriptor")?;
        let source = host::with_reactor(|reactor| match reactor {
            Some(reactor) => reactor.register(fd),
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "no reactor on this thread: poll this in a worker's turn, or use the blocking form",
            )),
        })?;
        // If another worker was faster, its source serves as well, and this one ends here.
        let (Ok(()) | Err(_)) = place.set(Box::new(Entry { source, next: Link::new() }));
    }
    Ok(place.get().expect("the place was filled above, by this call or by another"))
}

/// One wait for a descriptor. It may be dropped at any time: readiness that it was told of is the
/// source's, and stays there.
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Operation<'a, F> {
    registration: &'a Registration,
    fd: BorrowedFd<'a>,
    direction: Direction,
    id: WaitId,
    attempt: F,
    /// The source may hold a waker under `id`.
    waits: bool,
}

// The attempt is called, never pinned.
impl<F> Unpin for Operation<'_, F> {}

impl<F: FnMut() -> io::Result<Attempt>> Future for Operation<'_, F> {
    type Output = io::Result<usize>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = this.registration.poll_as(this.id, this.fd, this.direction, cx, &mut this.attempt);
        this.waits = polled.is_pending();
        if this.waits {
            park::mind_budget();
        }
        polled
    }
}

impl<F> Drop for Operation<'_, F> {
    fn drop(&mut self) {
        if self.waits {
            self.registration.forget_as(self.id, self.direction);
        }
    }
}

fn run_on_thread(
    fd: BorrowedFd<'_>,
    direction: Direction,
    deadline: Option<Instant>,
    attempt: &mut dyn FnMut() -> io::Result<Attempt>,
) -> io::Result<usize> {
    loop {
        if let Some(count) = uninterrupted(attempt)? {
            return Ok(count);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match poll_fd(fd, direction, left) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            // Ready, out of time, or interrupted: the next attempt and the clock tell.
            Ok(_) | Err(_) => {}
        }
    }
}

/// Makes the attempt, again after each signal; `None` if it would block.
pub(crate) fn uninterrupted(attempt: &mut dyn FnMut() -> io::Result<Attempt>) -> io::Result<Option<usize>> {
    loop {
        match attempt() {
            Ok(Attempt::Done(count) | Attempt::Short(count)) => return Ok(Some(count)),
            Ok(Attempt::WouldBlock) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a system call brought that moves bytes; a short count says nothing about the next.
pub(crate) fn moved(result: io::Result<usize>) -> io::Result<Attempt> {
    match result {
        Ok(count) => Ok(Attempt::Done(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Attempt::WouldBlock),
        Err(error) => Err(error),
    }
}

/// Like [`moved`], for a byte stream of which `wanted` bytes were asked: fewer mean that the
/// kernel has no more, or no more room.
pub(crate) fn moved_of(wanted: usize, result: io::Result<usize>) -> io::Result<Attempt> {
    /// Where the kernel cuts off, whatever is there (its `MAX_RW_COUNT`).
    const LONGEST: usize = 0x7fff_f000;
    let wanted = wanted.min(LONGEST);
    Ok(match moved(result)? {
        // Zero is the end of a stream, which lasts.
        Attempt::Done(count) if (1..wanted).contains(&count) => Attempt::Short(count),
        attempt => attempt,
    })
}

#[cfg(test)]
mod tests;
