//! Chaos mode: one seed disturbs whatever is not promised, so that code which relies on it fails, and fails
//! again with the same seed.
//!
//! | word | meaning |
//! |---|---|
//! | kind | one of the disturbances of [`Kind`] |
//! | odds | how often a kind strikes, of 2^32 times |
//! | dice | one worker's source of chance, and what it has in store |
//! | loaded | the dice that the running thread throws: those of the worker that is polled on it |
//! | seam | a place in the runtime that asks whether a kind strikes |
//!
//! Without the feature `chaos` all seams are constants, and the compiler leaves out what they guard.
//!
//! # One seed, one schedule
//! On one worker whose actors wait for each other alone, the same seed gives the same schedule:
//! - Dice are thrown only where an actor is, or takes its turn, never because time has passed. What may be asked
//!   any number of times, as by a worker that looks for work in vain, depends on the worker's tick and the
//!   seed alone ([`by_tick`]).
//! - While calls are made to yield, slices are not measured, and batches do not become longer by what they took.
//!
//! Timers, descriptors, other threads and other workers come when they come.
//!
//! Rejected: a generator for all threads (which thread throws first would matter), and a source of chance that
//! the program replaces (nothing would be repeated by a number).

#[cfg(not(feature = "chaos"))]
mod calm;
#[cfg(feature = "chaos")]
mod dice;
#[cfg(feature = "chaos")]
mod settings;

use std::io;

#[cfg(not(feature = "chaos"))]
pub(crate) use calm::*;
#[cfg(feature = "chaos")]
pub(crate) use dice::*;
#[cfg(feature = "chaos")]
pub use settings::Chaos;
#[cfg(feature = "chaos")]
pub(crate) use settings::Choice;

/// What is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A smarm call that need not wait yields all the same.
    Yields,
    /// Any actor that can run runs next, new ones come at any time, and batches have any length.
    Order,
    /// A parked actor is woken for nothing.
    Wakes,
    /// Wakes from elsewhere are taken in later.
    Inbox,
    /// A future that was pending is polled once more.
    Polls,
    /// A system call for memory or a descriptor fails.
    Faults,
    /// The stack of an actor that has ended is overwritten.
    Poison,
}

/// Where a system call may fail with this error.
///
/// # Errors
/// If [`Kind::Faults`] strikes.
#[inline(always)]
pub(crate) fn fault(errno: i32) -> io::Result<()> {
    if strikes(Kind::Faults) { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) }
}
