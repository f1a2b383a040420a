//! The latest value of something, for any number of receivers, which learn that it has changed.
//!
//! | word | meaning |
//! |---|---|
//! | version | counts the values |
//! | seen | of a receiver: the version that it has seen |
//! | snapshot | a [`Ref`]: a value as it was when it was borrowed |
//!
//! | face of waiting | in | names |
//! |---|---|---|
//! | blocking | actors and OS threads | `changed`, `wait_for`, with `_timeout` or `_deadline` |
//! | async | tasks | `changed_async`, `wait_for_async` |
//! | immediate | anywhere | `has_changed`, `borrow`, `borrow_and_update` |
//!
//! ```
//! use smarm::sync::watch;
//!
//! smarm::run(|| {
//!     let (tx, mut rx) = watch::channel("starting");
//!     let watcher = smarm::spawn(move || *rx.wait_for(|state| *state == "ready").unwrap());
//!     tx.send("loading").unwrap();
//!     tx.send("ready").unwrap();
//!     assert_eq!(watcher.join().unwrap(), "ready");
//! });
//! ```
//!
//! - A receiver sees the latest value, not each: what comes in between may be skipped.
//! - A borrowed value is a snapshot. It blocks nobody, and nobody changes it: it may be kept across
//!   waits, and senders go on meanwhile.
//! - When the last sender is gone, receivers learn of a value that they have not seen, and then that the
//!   channel is closed. The last value can be borrowed on.
//!
//! A sender puts its value in place of the one before, and the next version, under a lock, and wakes
//! all who wait (`channel/crowd`). A receiver that waits compares versions, without a lock.
//!
//! Rejected: a lock that is held while a value is borrowed or modified in place. The borrower may be an actor
//! that waits meanwhile, and then stops the worker of whoever comes next, or must be waited for, which
//! async code cannot do in the middle of a poll. So values are modified as clones, and again if another
//! sender was faster.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use receiver::{Changed, Receiver};
pub use sender::Sender;

pub use super::departure::Closed;
use super::departure::Departure;
use crate::channel::crowd::Crowd;
pub use crate::channel::{RecvError, RecvTimeoutError, SendError};

/// Makes a channel with a first value, which the receiver has seen.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    value: Mutex<Arc<T>>,
    /// Changed with the value, under its lock.
    version: AtomicU64,
    senders: AtomicUsize,
    /// The last sender is gone.
    closed: AtomicBool,
    /// Receivers wait for changes, and for the end.
    changes: Crowd,
    /// Senders wait for the last receiver to leave.
    departure: Departure,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        // No code of the user runs under the lock.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value and its version.
    fn snapshot(&self) -> (Arc<T>, u64) {
        let value = self.lock();
        (Arc::clone(&value), self.version.load(SeqCst))
    }

    /// Puts a value in place, of the version `expected` if there is one. Gives the one of before; or the value
    /// itself if another sender was faster.
    fn publish(&self, fresh: Arc<T>, expected: Option<u64>) -> Result<Arc<T>, Arc<T>> {
        let mut value = self.lock();
        let version = self.version.load(SeqCst);
        if expected.is_some_and(|expected| expected != version) {
            drop(value);
            return Err(fresh);
        }
        let old = mem::replace(&mut *value, fresh);
        self.version.store(version + 1, SeqCst);
        drop(value);
        self.changes.wake_all();
        Ok(old)
    }

    /// Whether a receiver that has seen this version need not wait.
    fn has_news(&self, seen: u64) -> bool {
        self.version.load(SeqCst) != seen || self.closed.load(SeqCst)
    }
}

/// A value as it was when it was borrowed. It blocks nobody, and may be kept.
pub struct Ref<T> {
    value: Arc<T>,
    changed: bool,
}

impl<T> Ref<T> {
    /// Whether the receiver that borrowed it had not seen it before. A sender's is never new to it.
    pub fn has_changed(&self) -> bool {
        self.changed
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Ref { value: Arc::clone(&self.value), changed: self.changed }
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
