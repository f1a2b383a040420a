//! Where blocking I/O and poll functions meet.
//!
//! | | |
//! |---|---|
//! | [`wait_poll`] | blocking code waits for a poll function of somebody else's |
//! | [`PollStream`] | async code polls a stream of smarm's |
//! | [`with_reactor`] | async code polls it where no worker is |

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Instant;

use super::Cancelled;
use crate::actor::native::{await_natively, call_natively};
use crate::actor::park::{self, Interrupt};
use crate::host::{self, Reactor};

/// Calls `poll` until it is ready, and waits in between until its waker is woken; with a deadline,
/// until that at the latest. What is ready at the first call wins over a deadline in the past.
///
/// In an actor, `poll` is called on the worker's own stack, as [`await_future`] does it, and
/// nothing is allocated. On a plain thread, the thread parks. A kill unwinds out of the wait;
/// `poll` is not called again then, so it must not have handed out what cannot be given up.
///
/// # Errors
/// Those of `poll`; [`io::ErrorKind::TimedOut`]; [`Cancelled`], in a destructor of an actor that is
/// being killed, if `poll` is not ready at once.
///
/// # Panics
/// A panic of `poll` continues here. Where nothing may wait (in a future that an actor awaits, on a
/// worker's thread outside any actor), a `poll` that is not ready at once panics.
///
/// ```
/// use std::task::Poll;
///
/// let mut polls = 0;
/// let count = smarm::io::wait_poll(None, |cx| {
///     polls += 1;
///     cx.waker().wake_by_ref();
///     if polls < 3 { Poll::Pending } else { Poll::Ready(Ok(7)) }
/// });
/// assert_eq!(count?, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`await_future`]: crate::compat::await_future
#[inline]
#[track_caller]
pub fn wait_poll<T>(
    deadline: Option<Instant>,
    poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    let interrupted = |interrupt| {
        Err(match interrupt {
            Interrupt::TimedOut => io::ErrorKind::TimedOut.into(),
            Interrupt::Cancelled => Cancelled.into(),
        })
    };
    if thread::panicking() {
        wait_breakably(deadline, poll).unwrap_or_else(interrupted)
    } else {
        await_natively(poll_fn(poll), deadline, |result| result, interrupted)
    }
}

/// For an actor that may unwind: an awaited future would go on to its end then, and a destructor
/// that writes to a peer who does not read would keep a killed actor alive.
#[cold]
#[track_caller]
fn wait_breakably<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Interrupt> {
    let polls = pin!(poll_fn(|cx| call_natively(|| poll(cx))));
    park::wait_until(polls, deadline)
}

/// A byte stream of smarm's, for async code: what is behind `AsyncIo` in the crate `smarm-compat`.
///
/// The timeouts of the stream do not apply. In each direction only the waker of the last call is
/// kept, so one task reads and one, maybe another, writes.
///
/// All fail with [`io::ErrorKind::Unsupported`] if they have to wait, for the first time in the
/// stream's life, on a thread without a reactor (see [`with_reactor`]).
pub trait PollStream {
    /// Reads what is there; zero is the end of the stream.
    ///
    /// # Errors
    /// Those of the system call.
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads what is there into one buffer after the other.
    ///
    /// # Errors
    /// Those of the system call.
    fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// Those of the system call.
    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes as much of the buffers, one after the other, as there is room for.
    ///
    /// # Errors
    /// Those of the system call.
    fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Ends the writing direction: the peer reads to the end. A connection that the peer has ended
    /// already is no error.
    ///
    /// # Errors
    /// Those of the system call.
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

macro_rules! by_reference {
    ($($type:ty),*) => {$(
        impl<S: PollStream + ?Sized> PollStream for $type {
            fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                (**self).poll_read(cx, buf)
            }

            fn poll_read_vectored(
                &self,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                (**self).poll_read_vectored(cx, bufs)
            }

            fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                (**self).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                &self,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                (**self).poll_write_vectored(cx, bufs)
            }

            fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_shutdown(cx)
            }
        }
    )*};
}

by_reference!(&S, Arc<S>, Box<S>);

/// Calls `f`, in which descriptors are registered with `reactor` if this thread has none of a
/// worker's: so a task of some other executor can poll smarm's sockets.
///
/// A descriptor that is registered stays with its reactor, and can then be polled on any thread.
pub fn with_reactor<R>(reactor: &dyn Reactor, f: impl FnOnce() -> R) -> R {
    if host::with_reactor(|own| own.is_some()) {
        return f();
    }
    // SAFETY: the guard is dropped when `f` has ended, however it ends. `f` cannot switch to a
    // stack whose guards are not below this one: an actor runs on the thread of a worker, which has
    // a reactor.
    let _entered = unsafe { host::enter(reactor) };
    f()
}
