//! Waiting for any `Future`, in an actor or on a plain OS thread.
//!
//! The future is polled on the worker's own deep stack, as the last step of parking: the actor's
//! small stack holds it but never runs it, no switch can happen inside a poll, and a wake-up for
//! nothing does not resume the actor. It need not be `Send`, since a started actor never changes
//! thread. The actor's pid is the waker: the bridge allocates nothing.
//!
//! Code that runs inside a poll is in no actor: a blocking smarm call there panics and says what to
//! use instead.
//!
//! This is all that smarm knows of async code, and it works with every executor's futures. Futures
//! of tokio's own resources need tokio's context: see the crate `smarm-compat`.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use crate::actor::native::{self, Never};
use crate::actor::park::{self, Interrupt};
use crate::actor::scope;

/// The future was not ready in time, and has been dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed before the future was ready")
    }
}

impl std::error::Error for TimedOut {}

/// Waits for `future` and gives its output. In an actor, other actors run meanwhile; on a plain
/// thread, the thread parks.
///
/// If the actor is killed, the future is dropped and the actor unwinds. If its [scope](crate::cancel) is over,
/// the future is dropped and the actor unwinds to the scope. In a destructor of an actor
/// that unwinds already, the wait goes on to its end.
///
/// # Panics
/// A panic of the future continues here. Inside another future that an actor awaits, or on a
/// worker's thread outside any actor, a future that is not ready at once panics: await it there.
///
/// ```
/// smarm::run(|| {
///     let child = smarm::spawn(|| 20);
///     let sum = smarm::compat::await_future(async { child.await.unwrap() + 1 });
///     assert_eq!(sum, 21);
/// });
/// ```
#[inline]
#[track_caller]
pub fn await_future<F: Future>(future: F) -> F::Output {
    native::await_natively(future, Never, |output| output, interrupted)
}

/// As [`await_future`], for at most `timeout`.
///
/// # Errors
/// [`TimedOut`], if the future was not ready in time, or by the deadline of the actor's
/// [scope](crate::cancel); it has been dropped then. It is polled at least once, and wins if it is ready at
/// that poll.
///
/// # Panics
/// As [`await_future`].
#[track_caller]
pub fn await_timeout<F: Future>(timeout: Duration, future: F) -> Result<F::Output, TimedOut> {
    match park::now().checked_add(timeout) {
        Some(deadline) => await_deadline(deadline, future),
        None => Ok(await_future(future)),
    }
}

/// As [`await_future`], until `deadline`.
///
/// # Errors
/// [`TimedOut`], as for [`await_timeout`].
///
/// # Panics
/// As [`await_future`].
#[track_caller]
pub fn await_deadline<F: Future>(deadline: Instant, future: F) -> Result<F::Output, TimedOut> {
    native::await_natively(future, Some(deadline), Ok, |interrupt| match interrupt {
        Interrupt::TimedOut => Err(TimedOut),
        Interrupt::Cancelled => interrupted(interrupt),
    })
}

/// A scope has ended an await that cannot say so.
#[cold]
fn interrupted<T>(interrupt: Interrupt) -> T {
    scope::unwind(interrupt);
    unreachable!("an await of an actor that unwinds was ended by its scope: {interrupt:?}")
}

/// Runs `f` on the worker's own stack, which is as deep as a thread's: for code of others with deep
/// frames. On a plain thread it just runs `f`.
///
/// The other actors of the worker wait meanwhile, and `f` may not wait itself.
///
/// # Panics
/// A panic of `f` continues here. A blocking smarm call in `f` panics.
pub fn on_native_stack<R>(f: impl FnOnce() -> R) -> R {
    native::call_natively(f)
}
