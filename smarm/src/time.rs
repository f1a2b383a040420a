//! Time: sleeping, ticking, sending later, and a clock that tests can stop.
//!
//! | call | |
//! |---|---|
//! | [`sleep`], [`sleep_until`], [`sleep_async`], [`sleep_until_async`] | waits |
//! | [`interval`], [`interval_at`] | ticks again and again |
//! | [`timeout`], [`timeout_at`] | ends all waits below it |
//! | [`send_after`], [`send_at`] | sends a message later, which can be taken back |
//! | [`now`] | the time by which all of these go |
//!
//! Everything here works in actors, in async code, and on plain OS threads. Timers of actors and of tasks
//! beside a worker lie in that worker's timing wheel, in steps of 33 µs; those of everybody else are served
//! by one thread of the process. No timer is ever early.
//!
//! # Paused time
//! A test need not wait for its timers:
//!
//! ```
//! use std::time::Duration;
//! use smarm::{Config, time};
//!
//! let runtime = smarm::runtime::init(Config::exact(2).paused_clock(true));
//! runtime.run(|| {
//!     let begin = time::now();
//!     smarm::sleep(Duration::from_secs(24 * 60 * 60)); // returns at once, a day later
//!     assert!(time::now() - begin >= Duration::from_secs(24 * 60 * 60));
//! });
//! ```
//!
//! With [`Config::paused_clock`](crate::Config::paused_clock) the runtime's time stands still while anybody
//! does anything. It leaps to the earliest timer when
//!
//! - no actor can run on any worker, and none is new or has been woken,
//! - no descriptor that is waited for is ready (one that is not does not count: a wait for a peer that says
//!   nothing is over at its timeout),
//! - nobody waits for a call of [`block_on_io`](crate::io::block_on_io), and so for nothing of
//!   [`fs`](crate::fs).
//!
//! What OS threads and other processes are about to do is not waited for; so a child process that runs does
//! not hold the time. With no timer at all the time stands still until somebody from outside does something.
//! All deadlines of smarm's go by this time. An [`Instant`] for a deadline is made from [`now`]: std's
//! `Instant::now()` is the system's clock, which falls behind.
//!
//! On tokio, smarm's time is tokio's: in a `current_thread` runtime of smarm-compat, `tokio::time::pause`
//! stops both, and sleeping actors and tasks wake in their common order.

mod interval;
mod send_after;
mod sleep;

use std::error::Error;
use std::fmt;
pub use std::time::{Duration, Instant, SystemTime, SystemTimeError, UNIX_EPOCH};

pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use send_after::{CancelError, SendAfter, send_after, send_at};
pub use sleep::{Sleep, sleep_async, sleep_until_async};

pub use crate::cancel::{
    Interrupted, with_deadline, with_deadline as timeout_at, with_timeout, with_timeout as timeout,
};
pub use crate::current::{sleep, sleep_until};

use crate::actor::park;

/// The time by which smarm's waits go: that of the runtime whose thread this is, else the system's.
///
/// ```
/// use std::time::Duration;
///
/// smarm::run(|| {
///     let begin = smarm::time::now();
///     smarm::sleep(Duration::from_millis(1));
///     assert!(smarm::time::now() - begin >= Duration::from_millis(1));
/// });
/// ```
pub fn now() -> Instant {
    park::now()
}

/// The clock cannot be moved: it is not one that was paused by
/// [`Config::paused_clock`](crate::Config::paused_clock).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPaused;

impl fmt::Display for NotPaused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the time is not smarm's to move: call `advance` on a runtime with `Config::paused_clock(true)`, and \
             on tokio `tokio::time::advance`",
        )
    }
}

impl Error for NotPaused {}

/// Moves the runtime's time on by `duration`, in one step, and lets the other actors of this worker run: those
/// whose timers are due by then are woken, the earliest first.
///
/// ```
/// use std::time::Duration;
/// use smarm::{Config, time};
///
/// let runtime = smarm::runtime::init(Config::exact(1).paused_clock(true));
/// runtime.run(|| {
///     let begin = time::now();
///     time::advance(Duration::from_secs(5));
///     assert_eq!(time::now() - begin, Duration::from_secs(5));
/// });
/// ```
///
/// # Panics
/// If the time is not paused, or the caller is not on a thread of the runtime; [`try_advance`] says so.
#[track_caller]
pub fn advance(duration: Duration) {
    if let Err(error) = try_advance(duration) {
        panic!("smarm: {error}");
    }
}

/// As [`advance`].
///
/// # Errors
/// The time is not paused, or the caller is not on a thread of the runtime.
pub fn try_advance(duration: Duration) -> Result<(), NotPaused> {
    if !park::own_clock().is_some_and(|clock| clock.advance(duration)) {
        return Err(NotPaused);
    }
    park::yield_now();
    Ok(())
}
