//! smarm's file descriptors in tokio's epoll, through `AsyncFd`.
//!
//! `AsyncFd` keeps one waker per direction for its poll functions, and a source has any number of
//! waits. So each direction has a list of waits, and one waker of its own, which wakes them all and
//! is the only one that `AsyncFd` ever sees.
//!
//! 1. A wait puts its waker into the list.
//! 2. It polls `AsyncFd` with the direction's waker. If that is ready, it takes itself out again
//!    and makes its attempt; an attempt that would block clears the readiness that was seen, through
//!    the guard that was given before the attempt, and begins anew.
//! 3. A wake takes the whole list and wakes each, outside the lock.
//!
//! No wake is lost: the wait is in the list before `AsyncFd` can say that it is not ready.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use smarm::host::{Attempt, Direction, Reactor, ReactorGone, Source, WaitId};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::is_rt_shutdown_err;
use tokio::task::coop::has_budget_remaining;

/// Registers descriptors with the tokio runtime whose context the thread is in.
pub(crate) struct TokioReactor;

impl Reactor for TokioReactor {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Arc<dyn Source>> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = match AsyncFd::with_interest(Descriptor::Lent(fd.as_raw_fd()), interest) {
            // The same descriptor is registered already; epoll takes a duplicate of it.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                AsyncFd::with_interest(Descriptor::Own(fd.try_clone_to_owned()?), interest)?
            }
            registered => registered?,
        };
        Ok(Arc::new(TokioSource { registered, read: Waits::new(), write: Waits::new() }))
    }

    fn budget_spent(&self) -> bool {
        !has_budget_remaining()
    }
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

#[derive(Default)]
struct List(Mutex<Vec<(WaitId, Waker)>>);

impl Waits {
    fn new() -> Self {
        let list = Arc::new(List::default());
        Self { waker: list.clone().into(), list }
    }

    fn add(&self, id: WaitId, waker: &Waker) {
        let waker = waker.clone();
        let mut list = self.list.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = match list.iter_mut().find(|wait| wait.0 == id) {
            Some(wait) => Some(std::mem::replace(&mut wait.1, waker)),
            None => {
                list.push((id, waker));
                None
            }
        };
        drop(list);
        drop(old);
    }

    fn remove(&self, id: WaitId) {
        let mut list = self.list.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = list.iter().position(|wait| wait.0 == id).map(|at| list.swap_remove(at));
        drop(list);
        drop(wait);
    }
}

impl Wake for List {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waits = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        waits.into_iter().for_each(|wait| wait.1.wake());
    }
}

impl TokioSource {
    fn waits(&self, direction: Direction) -> &Waits {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
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
        waits.add(id, cx.waker()); // step 1
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
            let outcome = match attempt() {
                Ok(Attempt::WouldBlock) => {
                    ready.clear_ready();
                    continue;
                }
                Ok(Attempt::Short(count)) => {
                    // The edge of a hang-up does not come again: that readiness lasts until an
                    // attempt really blocks.
                    let state = ready.ready();
                    if !state.is_read_closed() && !state.is_write_closed() && !state.is_error() {
                        ready.clear_ready();
                    }
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
