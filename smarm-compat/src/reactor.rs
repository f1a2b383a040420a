//! smarm's file descriptors in tokio's epoll, through `AsyncFd`.
//!
//! `AsyncFd` keeps one waker per direction for its poll functions, and a source has any number of
//! waits. So each direction has a list of waits, and one waker of its own, which wakes them all and
//! is the only one that `AsyncFd` ever sees.
//!
//! 1. A descriptor that tokio holds for ready is tried at once, and needs nothing of what follows.
//! 2. Else a wait puts its waker into the list.
//! 3. It polls `AsyncFd` with the direction's waker. If that is ready, it takes itself out again
//!    and makes its attempt; an attempt that would block clears the readiness that was seen, through
//!    the guard that was given before the attempt, and begins anew.
//! 4. A wake takes the whole list and wakes each, outside the lock.
//!
//! No wake is lost: the wait is in the list before `AsyncFd` can say that it is not ready.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use smarm::host::{Attempt, Direction, Reactor, ReactorGone, Source, WaitId};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::is_rt_shutdown_err;
use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// What a wait for a descriptor ends with where it can no longer be registered.
const TOKIO_GONE: &str = "the tokio runtime that smarm registers this descriptor with has shut down";

/// Registers descriptors with the tokio runtime whose context the thread is in.
pub(crate) struct TokioReactor;

impl Reactor for TokioReactor {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Arc<dyn Source>> {
        report_errors_to_readers(fd);
        let registered = match register(Descriptor::Lent(fd.as_raw_fd())) {
            // The same descriptor is registered already; epoll takes a duplicate of it.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                register(Descriptor::Own(fd.try_clone_to_owned()?))?
            }
            Err(error) if is_rt_shutdown_err(&error) => return Err(io::Error::other(TOKIO_GONE)),
            registered => registered?,
        };
        Ok(Arc::new(TokioSource { registered, read: Waits::new(), write: Waits::new() }))
    }

    fn budget_spent(&self) -> bool {
        !has_budget_remaining()
    }
}

/// Has the kernel report a pending error of a datagram socket as urgent data, too. By itself it is
/// reported with room for writing only, which tokio tells to writers alone: whoever waits for an
/// answer to a datagram would not learn that it was refused.
fn report_errors_to_readers(fd: BorrowedFd<'_>) {
    let yes: libc::c_int = 1;
    let (value, size) = ((&raw const yes).cast(), size_of_val(&yes) as libc::socklen_t);
    // SAFETY: the kernel reads the one integer that `value` points to. What is no socket says so, and
    // needs none of this.
    unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SELECT_ERR_QUEUE, value, size) };
}

fn register(descriptor: Descriptor) -> io::Result<AsyncFd<Descriptor>> {
    let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
    // SAFETY: a `Descriptor` names one open file for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}

/// What is registered.
enum Descriptor {
    /// Whoever registered it keeps it open while the source lives, by the contract of `register`.
    Lent(RawFd),
    /// A duplicate, closed with the source.
    Own(OwnedFd),
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Lent(fd) => *fd,
            Self::Own(fd) => fd.as_fd().as_raw_fd(),
        }
    }
}

struct TokioSource {
    registered: AsyncFd<Descriptor>,
    read: Waits,
    write: Waits,
}

/// Who waits in one direction.
struct Waits {
    list: Arc<List>,
    /// Wakes all in the list.
    waker: Waker,
}

/// How many there are is read without the lock, to see that there are none; by a wait, for itself.
#[derive(Default)]
struct List {
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// Most often it is one, which needs no allocation.
#[derive(Default)]
struct Waiting {
    first: Option<(WaitId, Waker)>,
    others: Vec<(WaitId, Waker)>,
}

impl Waiting {
    fn find(&mut self, id: WaitId) -> Option<&mut Waker> {
        self.first.iter_mut().chain(&mut self.others).find(|wait| wait.0 == id).map(|wait| &mut wait.1)
    }

    fn push(&mut self, wait: (WaitId, Waker)) {
        match &mut self.first {
            Some(_) => self.others.push(wait),
            none => *none = Some(wait),
        }
    }

    fn take(&mut self, id: WaitId) -> Option<(WaitId, Waker)> {
        if self.first.as_ref().is_some_and(|wait| wait.0 == id) {
            return self.first.take();
        }
        self.others.iter().position(|wait| wait.0 == id).map(|at| self.others.swap_remove(at))
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}

impl List {
    fn change<R>(&self, f: impl FnOnce(&mut Waiting) -> R) -> R {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut waiting);
        self.count.store(waiting.len(), Relaxed);
        result
    }
}

impl Waits {
    fn new() -> Self {
        let list = Arc::new(List::default());
        Self { waker: list.clone().into(), list }
    }

    fn add(&self, id: WaitId, waker: &Waker) {
        let waker = waker.clone();
        let old = self.list.change(|waiting| match waiting.find(id) {
            Some(known) => Some(std::mem::replace(known, waker)),
            None => {
                waiting.push((id, waker));
                None
            }
        });
        drop(old); // outside the lock
    }

    fn remove(&self, id: WaitId) {
        // A wait that is in the list was put there by whoever asks.
        if self.list.count.load(Relaxed) > 0 {
            let wait = self.list.change(|waiting| waiting.take(id));
            drop(wait); // outside the lock
        }
    }
}

impl Wake for List {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Waiting { first, others } = self.change(std::mem::take);
        for (_, waker) in first.into_iter().chain(others) {
            // A panic of somebody's waker must neither keep others from being woken nor end tokio's driver,
            // which calls this. It goes no further than the panic hook.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                std::mem::forget(payload); // its own destructor might panic, too
            }
        }
    }
}

impl TokioSource {
    fn waits(&self, direction: Direction) -> &Waits {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// Step 1: one attempt, if tokio holds the descriptor for ready. `None` if there is none, or it came
    /// to nothing; pending if the task's budget is spent.
    fn try_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<Option<io::Result<usize>>> {
        let interest = match direction {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        };
        let budget = ready!(poll_proceed(cx));
        let mut outcome = None;
        // "Would block" has tokio clear the readiness that was seen before the attempt. That it is not
        // ready, it says in the same way.
        let _ = self.registered.try_io(interest, |_| match attempt() {
            Ok(Attempt::Done(count)) => {
                outcome = Some(Ok(count));
                Ok(())
            }
            Ok(Attempt::Short(count)) => {
                outcome = Some(Ok(count));
                Err(io::ErrorKind::WouldBlock.into())
            }
            Ok(Attempt::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => {
                outcome = Some(Err(error));
                Ok(())
            }
        });
        if outcome.is_some() {
            budget.made_progress();
        }
        Poll::Ready(outcome)
    }
}

impl Source for TokioSource {
    fn poll_io(
        &self,
        direction: Direction,
        id: WaitId,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>> {
        let waits = self.waits(direction);
        if let Some(outcome) = ready!(self.try_ready(direction, cx, attempt)) {
            waits.remove(id);
            return Poll::Ready(outcome);
        }
        waits.add(id, cx.waker()); // step 2
        let mut cx = Context::from_waker(&waits.waker);
        loop {
            let polled = match direction {
                Direction::Read => self.registered.poll_read_ready(&mut cx),
                Direction::Write => self.registered.poll_write_ready(&mut cx),
            };
            let mut ready = match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(ready)) => ready,
                Poll::Ready(Err(error)) => {
                    waits.remove(id);
                    let gone = is_rt_shutdown_err(&error);
                    return Poll::Ready(Err(if gone { ReactorGone.into() } else { error }));
                }
            };
            // That a stream is closed, tokio takes for final: clearing keeps it.
            let closed = ready.ready().is_read_closed() || ready.ready().is_write_closed();
            let outcome = match attempt() {
                Ok(Attempt::WouldBlock) => {
                    ready.clear_ready();
                    if closed {
                        // A datagram socket outlives its errors: others run before the next attempt.
                        waits.waker.wake_by_ref();
                        return Poll::Pending;
                    }
                    continue;
                }
                Ok(Attempt::Short(count)) => {
                    ready.clear_ready();
                    Ok(count)
                }
                Ok(Attempt::Done(count)) => Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            waits.remove(id);
            return Poll::Ready(outcome);
        }
    }

    fn forget(&self, direction: Direction, id: WaitId) {
        self.waits(direction).remove(id);
    }
}
