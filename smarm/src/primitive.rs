//! What the protocols are made of: atomics, fences, locks and shared cells, taken from here so that a model
//! checker can take their place.
//!
//! | build | they come from | so that |
//! |---|---|---|
//! | any | `std`, re-exported | nothing is added, not even a call |
//! | tests with `--cfg smarm_loom` | `modelled`, on loom | models try all interleavings, and all values that a load may give |
//! | with `--cfg smarm_shuttle` besides | `modelled`, on Shuttle | larger compositions are tried in many interleavings, drawn at random |
//! | Miri | `std`; thread-locals from `flows` | actors that are threads have those of their worker |
//! | models and Miri | for `crossbeam-deque`, `deque` | nothing is there that they cannot follow |
//!
//! A model stands beside the protocol that it checks, in a file `models.rs`, and calls the protocol's own code.
//! `tests/models` builds and runs all of them.
//!
//! # What a model sees
//! - *Interleavings*: every access to an atomic and every lock is a place where threads may change.
//! - *Orderings*: a load may give any value that the memory model allows for the orderings of the code, so an
//!   ordering that is too weak shows on x86, too.
//! - *Races*: an [`UnsafeCell`] tells when two accesses, one of them a write, are not ordered. `get` counts
//!   as a write; what may be read by several at once is got with [`read_only`].
//! - *Lost wakes*: a thread that is never woken is a deadlock, which the checker reports.
//!
//! # Sequential consistency
//! loom takes `SeqCst` accesses for `AcqRel` ones, but knows `fence(SeqCst)`. So a `SeqCst` access is modelled
//! as such a fence followed by the access: one of the two ways in which compilers make them (the "leading
//! fence" of Batty et al., *Clarifying and compiling C/C++ concurrency*, POPL 2012, sound for C++20). What a
//! model finds is therefore a behaviour that the language allows. A plain `Acquire` load that comes after a
//! `SeqCst` exchange is *not* ordered by it, as in the language, whatever x86 does.
//!
//! loom's fences order a little too much: also data of one thread before another's, if their fences come in
//! that order. So a race on data that nothing but such a pair of fences orders would not be seen. Where data is
//! handed on, smarm has `Release` and `Acquire` on one word.
//!
//! Shuttle knows no orderings: with it, everything is sequentially consistent, and a flaw that weakens one is none.
//!
//! # Planted bugs
//! A check that nobody has seen fail is no check. Each property has models with a bug in it, which must panic:
//! an ordering is weakened, an operation skipped or torn, or a step left out; see `flaw`. Orderings are changed
//! from outside, by the place of the operation; only where a whole step is left out does the code ask
//! [`omits`], which is `false` at compile time in every other build.

#[cfg(all(test, smarm_loom, not(smarm_shuttle)))]
pub(crate) use loom as engine;
#[cfg(all(test, smarm_loom, smarm_shuttle))]
pub(crate) use shuttle as engine;

#[cfg(any(miri, all(test, smarm_loom)))]
pub(crate) mod deque;
#[cfg(all(test, smarm_loom))]
pub(crate) mod flaw;
#[cfg(miri)]
pub(crate) mod flows;
#[cfg(all(test, smarm_loom))]
pub(crate) mod model;
#[cfg(all(test, smarm_loom))]
mod modelled;

#[cfg(all(test, smarm_loom))]
pub(crate) use self::{
    flaw::omits,
    model::keep as leak,
    modelled::{
        LocalKey, Mutex, MutexGuard, OnceLock, UnsafeCell, atomic, light_fence, read_only, thread_local,
    },
};

#[cfg(not(all(test, smarm_loom)))]
pub(crate) use self::native::*;

/// A function that is `const`, but for models, whose atomics cannot be made at compile time.
macro_rules! constant {
    ($(#[$attribute:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(all(test, smarm_loom)))]
        $(#[$attribute])*
        $vis const fn $($rest)*

        #[cfg(all(test, smarm_loom))]
        $(#[$attribute])*
        $vis fn $($rest)*
    };
}
pub(crate) use constant;

/// A step of a protocol that a model can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A worker's second look, after it has announced its sleep.
    SecondLook,
    /// A waiter of a mutex that is given up passes on what it was handed.
    PassOn,
    /// The look at the readiness, or whether a token is cancelled, under the lock.
    LookUnderLock,
    /// The look whether a token is cancelled, after its child has been queued.
    LookAfterQueueing,
    /// A select wakes the counterpart that came while it was looking.
    WakeMissed,
    /// A receive that is given up wakes the next one for the message that it leaves behind.
    WakeNext,
    /// An alarm that rings notes that it has.
    NoteRung,
    /// The monitor's second look, a pause after it has announced its sleep.
    LookOnceMore,
    /// A sender that is queued wakes a receiver.
    WakeReceiver,
    /// An event finds nobody when its source has ended, and another one has its place.
    CountGeneration,
    /// The look of a worker at its inbox, after it has left.
    LookAfterLeaving,
    /// The last actor's end wakes the workers of a runtime that shuts down.
    LastEnd,
}

/// The real ones.
#[cfg(not(all(test, smarm_loom)))]
mod native {
    pub(crate) use std::{
        cell::UnsafeCell,
        sync::{Mutex, MutexGuard, OnceLock, atomic},
    };

    #[cfg(miri)]
    pub(crate) use super::flows::thread_local;
    #[cfg(not(miri))]
    pub(crate) use std::thread_local;

    #[cfg(not(miri))]
    pub(crate) use crossbeam_deque as deque;

    use super::Step;

    /// Makes a value that lives for ever; in a model, until its execution is over.
    pub(crate) fn leak<T>(value: T) -> &'static T {
        Box::leak(Box::new(value))
    }

    /// One half of a sequentially consistent fence whose other half is a pause: by then processors have long shown
    /// each other what they wrote, so it is left to keep the compiler from exchanging what is before with what is
    /// after. In a model, where no time passes, both are fences.
    #[inline(always)]
    pub(crate) fn light_fence() {
        atomic::compiler_fence(atomic::Ordering::SeqCst);
    }

    /// For reading what is in the cell while others may read it, too.
    #[inline(always)]
    pub(crate) fn read_only<T>(cell: &UnsafeCell<T>) -> *const T {
        cell.get()
    }

    /// Whether a model wants this step left out.
    #[inline(always)]
    pub(crate) const fn omits(_: Step) -> bool {
        false
    }
}
