//! Deadlines and cancelling for all that a call does, however deep: scopes, and tokens that can be shared.
//!
//! | function | the waits below it end |
//! |---|---|
//! | [`with_deadline`], [`with_timeout`] | when the time is over |
//! | [`with_cancel`] | when its [`CancelToken`] is cancelled |
//! | [`shield`] | as if there were no scope around |
//!
//! ```
//! use std::time::Duration;
//! use smarm::cancel::{Interrupted, with_timeout};
//!
//! smarm::run(|| {
//!     let answer = with_timeout(Duration::from_millis(5), || {
//!         smarm::sleep(Duration::from_secs(100)); // or whatever waits, in whatever library
//!         42
//!     });
//!     assert_eq!(answer, Err(Interrupted::TimedOut));
//! });
//! ```
//!
//! # What a wait does whose scope is over
//! A wait that is ready at once succeeds all the same. Else
//!
//! - it fails with `TimedOut` or `Cancelled`, where its error can say so: `recv`, `lock`, `join_timeout`,
//!   `await_timeout` (for time), reads and writes, sends with a timeout. A plain `send` gives the message back;
//! - it *unwinds to the scope*, where it cannot: `sleep`, `join`, `await_future`, `block_on_io`, `CancelToken::wait`.
//!   Destructors run, the future is dropped, a smarm mutex whose guard is held is poisoned, and the innermost
//!   scope function gives [`Interrupted`]. Code that catches the unwinding is unwound again at its next wait.
//!
//! So a scope function gives `Err` when its closure was unwound, and `Ok` with whatever the closure returned
//! otherwise, also after its time: an error that a wait gave is the closure's own affair. The next wait in an
//! outer scope that is over as well ends in the same way.
//!
//! While the caller unwinds already, in a destructor, waits that have no error go on to their end. Scopes are
//! not preemptive: code that computes asks [`check`]. A kill is not held up by anything of this.
//!
//! # Who is in a scope
//! - All that the closure calls. A scope may hold others; what ends first counts.
//! - *Actors that it spawns*, from then until they end, also when the spawner has left the scope. A child
//!   that unwinds for it has been killed, for those who join it. To start an actor that is to stay, spawn it
//!   in a [`shield`].
//! - Futures that it awaits: they are dropped when it is over. What runs inside them (other tasks, spawns in a
//!   poll) is not.
//! - On a plain OS thread it works the same, but that nothing is inherited, and that a wait for a descriptor
//!   does not see a token.

mod token;

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use token::{CancelToken, Cancellation};

use crate::actor::park::{self, Interrupt};
use crate::actor::scope::{self, Cancel, Over, Scope};

/// Why a scope's closure did not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interrupted {
    /// The deadline has passed, of this scope or of one around it.
    TimedOut,
    /// The token was cancelled, of this scope or of one around it.
    Cancelled,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the deadline of the scope has passed",
            Self::Cancelled => "the token of the scope was cancelled",
        })
    }
}

impl Error for Interrupted {}

impl From<Interrupt> for Interrupted {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::TimedOut => Self::TimedOut,
            Interrupt::Cancelled => Self::Cancelled,
        }
    }
}

/// Calls `f`, whose waits end when `deadline` has passed. See the [module](self).
///
/// # Errors
/// A wait of `f` that has no error was interrupted, and `f` unwound: by this deadline or by a scope around.
///
/// # Panics
/// A panic of `f` continues here.
///
/// ```
/// use std::time::{Duration, Instant};
/// use smarm::channel::{RecvError, channel};
///
/// smarm::run(|| {
///     let (tx, rx) = channel::<u8>();
///     let received = smarm::with_deadline(Instant::now() + Duration::from_millis(1), || rx.recv());
///     assert_eq!(received, Ok(Err(RecvError::TimedOut))); // `recv` can say so itself
///     drop(tx);
/// });
/// ```
pub fn with_deadline<R>(deadline: Instant, f: impl FnOnce() -> R) -> Result<R, Interrupted> {
    run(Scope::new(Some(deadline), None), f)
}

/// As [`with_deadline`], with the deadline `timeout` from now. One beyond the clock's range is none.
///
/// # Errors
/// As [`with_deadline`].
///
/// # Panics
/// A panic of `f` continues here.
pub fn with_timeout<R>(timeout: Duration, f: impl FnOnce() -> R) -> Result<R, Interrupted> {
    run(Scope::new(park::now().checked_add(timeout), None), f)
}

/// Calls `f`, whose waits end when `token` is cancelled. See the [module](self).
///
/// # Errors
/// A wait of `f` that has no error was interrupted, and `f` unwound: by this token or by a scope around.
///
/// # Panics
/// A panic of `f` continues here.
///
/// ```
/// use smarm::{CancelToken, with_cancel};
/// use std::time::Duration;
///
/// smarm::run(|| {
///     let token = CancelToken::new();
///     let theirs = token.clone();
///     let worker = smarm::spawn(move || with_cancel(&theirs, || smarm::sleep(Duration::MAX)));
///     token.cancel();
///     assert!(worker.join().unwrap().is_err());
/// });
/// ```
pub fn with_cancel<R>(token: &CancelToken, f: impl FnOnce() -> R) -> Result<R, Interrupted> {
    let token: Arc<dyn Cancel> = token.shared();
    let _subscription = token.clone().subscribe(park::own_waker());
    run(Scope::new(None, Some(token)), f)
}

fn run<R>(scope: Scope, f: impl FnOnce() -> R) -> Result<R, Interrupted> {
    let entered = scope::enter(Some(Arc::new(scope)));
    let outcome = catch_unwind(AssertUnwindSafe(f));
    drop(entered);
    outcome.map_err(|payload| match payload.downcast::<Over>() {
        Ok(over) => over.0.into(),
        Err(payload) => resume_unwind(payload),
    })
}

/// Calls `f` outside of all scopes: for what has to be done to its end, such as undoing something, and to
/// spawn actors that are to stay. A kill ends its waits as ever.
///
/// ```
/// use smarm::cancel::{Interrupted, shield, with_timeout};
/// use std::time::Duration;
///
/// smarm::run(|| {
///     let over = with_timeout(Duration::ZERO, || {
///         shield(|| smarm::sleep(Duration::from_millis(1))); // sleeps
///         smarm::sleep(Duration::from_millis(1)); // does not
///     });
///     assert_eq!(over, Err(Interrupted::TimedOut));
/// });
/// ```
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    let _entered = scope::enter(None);
    f()
}

/// Whether the caller's scope is over: for code that computes, and for cleaning up.
///
/// # Errors
/// It is. A token that was cancelled goes before a deadline that has passed.
///
/// ```
/// use smarm::cancel::{self, Interrupted};
/// use std::time::Duration;
///
/// assert_eq!(cancel::check(), Ok(()));
/// let checked = cancel::with_timeout(Duration::ZERO, cancel::check);
/// assert_eq!(checked, Ok(Err(Interrupted::TimedOut)));
/// ```
pub fn check() -> Result<(), Interrupted> {
    scope::over().map_or(Ok(()), |interrupt| Err(interrupt.into()))
}

/// The deadline of the caller's scope, if it has one: the earliest of all that it is in.
pub fn deadline() -> Option<Instant> {
    scope::soonest(None)
}
