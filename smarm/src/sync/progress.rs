//! Who initialises something, once: what [`Once`](super::Once), [`OnceCell`](super::OnceCell) and
//! [`LazyLock`](super::LazyLock) are made of.
//!
//! | state | meaning | to |
//! |---|---|---|
//! | `IDLE` | nobody initialises | a caller, by that caller |
//! | a caller's address | that one's initialiser runs | `DONE`; `IDLE` if it failed; `BETWEEN` |
//! | `BETWEEN` | it is a future, and not being polled | a caller, who polls it; `IDLE` if it is dropped |
//! | `DONE` | it is initialised | |
//!
//! 1. Who finds `IDLE` takes the [`Turn`], and initialises.
//! 2. Who finds another there waits until that has ended, and looks again. Who finds itself there has called
//!    itself in its own initialiser, which would wait for ever, and panics.
//! 3. A turn ends with `DONE`, or with `IDLE` when it is dropped: the initialiser panicked, was killed or gave
//!    an error. All who wait are told.
//!
//! No wake is lost: the state is changed before all are told, and who waits looks at it after it has begun to
//! listen (see [`Signal::until`]).
//!
//! Rejected: waking only one when a turn fails (that one may have been waiting for the end alone).

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::signal::Signal;
use crate::actor::park;

const IDLE: usize = 0;
const DONE: usize = 1;
const BETWEEN: usize = 2;

pub(super) struct Progress {
    /// See the table above. An address is above the constants.
    state: AtomicUsize,
    signal: Signal<false>,
}

impl Progress {
    /// Nobody initialises, or it is initialised.
    pub(super) const fn new(done: bool) -> Self {
        Progress { state: AtomicUsize::new(if done { DONE } else { IDLE }), signal: Signal::new() }
    }

    #[inline]
    pub(super) fn is_done(&self) -> bool {
        // Pairs with `Turn::finish`.
        self.state.load(Acquire) == DONE
    }

    /// By who owns it all: nobody has initialised it.
    pub(super) fn reset(&mut self) {
        *self.state.get_mut() = IDLE;
    }

    /// Waits for the turn to initialise; `None` if it is done.
    ///
    /// # Panics
    /// In the caller's own turn, with `what`.
    #[track_caller]
    pub(super) fn turn(&self, what: &str) -> Option<Turn<'_>> {
        loop {
            match self.try_turn(what) {
                Found::Turn(turn) => return Some(turn),
                Found::Done => return None,
                Found::Busy => park::wait_uncancelled(self.no_turn()),
            }
        }
    }

    /// As [`turn`](Self::turn).
    pub(super) async fn turn_async(&self, what: &str) -> Option<Turn<'_>> {
        loop {
            match self.try_turn(what) {
                Found::Turn(turn) => return Some(turn),
                Found::Done => return None,
                Found::Busy => self.no_turn().await,
            }
        }
    }

    /// Waits until it is done, or `gives_up` says so.
    pub(super) async fn done_or(&self, gives_up: impl Fn() -> bool) {
        self.signal.until(|| self.is_done() || gives_up()).await;
    }

    async fn no_turn(&self) {
        self.signal.until(|| matches!(self.state.load(Acquire), IDLE | DONE)).await;
    }

    #[track_caller]
    fn try_turn(&self, what: &str) -> Found<'_> {
        let caller = park::caller();
        // IDLE => caller. Acquire: what a failed turn left behind is seen by the next. Pairs with `Turn::drop`.
        match self.state.compare_exchange(IDLE, caller, Acquire, Acquire) {
            Ok(_) => Found::Turn(Turn(self)),
            Err(DONE) => Found::Done,
            Err(state) if state == caller => {
                panic!("smarm: {what} is used in its own initialiser, which would wait for itself for ever")
            }
            Err(_) => Found::Busy,
        }
    }

    fn end(&self, state: usize) {
        // The caller => IDLE | DONE. Release: what it initialised is seen by who finds it so.
        self.state.store(state, Release);
        self.signal.notify_all();
    }
}

enum Found<'a> {
    Turn(Turn<'a>),
    Done,
    Busy,
}

/// The right to initialise. Dropped, it goes to the next.
#[must_use]
pub(super) struct Turn<'a>(&'a Progress);

impl Turn<'_> {
    /// It is initialised.
    pub(super) fn finish(self) {
        let progress = self.0;
        mem::forget(self);
        progress.end(DONE);
    }

    /// Awaits an initialiser, and says who polls it.
    pub(super) async fn run<F: Future>(&self, initialiser: F) -> F::Output {
        let mut initialiser = pin!(initialiser);
        poll_fn(|cx| {
            // BETWEEN => caller => BETWEEN. Relaxed: only this turn changes it, and only its address is looked
            // at.
            self.0.state.store(park::caller(), Relaxed);
            let polled = initialiser.as_mut().poll(cx);
            self.0.state.store(BETWEEN, Relaxed);
            polled
        })
        .await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end(IDLE);
    }
}
