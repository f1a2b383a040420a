//! How everything waits: a future is polled by whoever waits for it, be it an actor or a plain OS
//! thread, and parks that caller between polls.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Why a wait ended without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The deadline passed.
    TimedOut,
    /// The actor is being cancelled and already unwinds, so it cannot unwind again.
    Cancelled,
}

/// Waits for `future`, polling it on the caller's own stack: for smarm's own shallow futures.
///
/// A kill that arrives during the wait unwinds the actor. While it unwinds, a wait that is not
/// ready at once gives [`Interrupt::Cancelled`].
pub(crate) fn wait<F: Future>(future: F) -> Result<F::Output, Interrupt> {
    wait_until(future, None)
}

/// Like [`wait`], and ends with [`Interrupt::TimedOut`] once `deadline` has passed. A future that
/// is ready at its first poll wins over a deadline in the past.
pub(crate) fn wait_until<F: Future>(future: F, deadline: Option<Instant>) -> Result<F::Output, Interrupt> {
    wait_thread(future, deadline)
}

/// Wakes an OS thread that waits with `thread::park`.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn wait_thread<F: Future>(future: F, deadline: Option<Instant>) -> Result<F::Output, Interrupt> {
    thread_local!(static WAKER: Cell<Option<Waker>> = const { Cell::new(None) });
    let waker = WAKER.with(Cell::take).unwrap_or_else(|| Arc::new(ThreadWaker(thread::current())).into());
    let mut future = pin!(future);
    let mut cx = Context::from_waker(&waker);
    let result = loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            break Ok(value);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => break Err(Interrupt::TimedOut),
            },
        }
    };
    WAKER.with(|cell| cell.set(Some(waker)));
    result
}

/// Whether the caller is unwinding, so that a guard dropped now may leave its value half changed.
pub(crate) fn is_unwinding() -> bool {
    thread::panicking()
}
