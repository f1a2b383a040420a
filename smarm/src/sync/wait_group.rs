//! Waits until all members of a group are done: a count of members, and a [signal](super::signal) for its end.

use std::error::Error;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::{Duration, Instant};

use super::WaitError;
use super::signal::Signal;
use crate::actor::park;

/// A member of a group: a clone is another one, and dropping it says that it is done.
///
/// Whoever waits is no member any more, so several may wait for the others.
///
/// ```
/// use smarm::sync::WaitGroup;
///
/// smarm::run(|| {
///     let group = WaitGroup::new();
///     for n in 0..4 {
///         let member = group.clone();
///         smarm::spawn(move || {
///             println!("{n} works");
///             drop(member); // also if it panics or is killed
///         });
///     }
///     group.wait();
/// });
/// ```
pub struct WaitGroup {
    shared: Arc<Shared>,
}

struct Shared {
    /// Once it is 0 it stays so.
    members: AtomicUsize,
    signal: Signal<false>,
}

/// Why a bounded wait for a [`WaitGroup`] ended. The caller is a member again, with `group`.
pub struct WaitGroupError {
    /// To wait again, or to be done.
    pub group: WaitGroup,
    /// Why the wait ended.
    pub reason: WaitError,
}

impl WaitGroup {
    /// A group of one member.
    pub fn new() -> Self {
        let shared = Shared { members: AtomicUsize::new(1), signal: Signal::new() };
        WaitGroup { shared: Arc::new(shared) }
    }

    /// Is done, and waits for all others. A wait whose scope is over unwinds to there, see
    /// [`cancel`](crate::cancel); in a destructor of an actor that is being killed it goes on.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: use
    /// [`wait_async`](Self::wait_async) there.
    #[track_caller]
    pub fn wait(self) {
        park::wait_uncancelled(self.wait_async());
    }

    /// Is done, and waits for all others, at most for `timeout`.
    ///
    /// # Errors
    /// They were not done in time, or the wait was interrupted. The caller is a member again.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    ///
    /// ```
    /// use smarm::sync::{WaitError, WaitGroup};
    /// use std::time::Duration;
    ///
    /// let group = WaitGroup::new();
    /// let other = group.clone();
    /// let error = group.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.reason, WaitError::TimedOut);
    /// drop(other);
    /// error.group.wait();
    /// ```
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), WaitGroupError> {
        self.wait_until(park::now().checked_add(timeout))
    }

    /// Is done, and waits for all others until `deadline`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_deadline(self, deadline: Instant) -> Result<(), WaitGroupError> {
        self.wait_until(Some(deadline))
    }

    /// Is done from its first poll or its drop on, and waits for all others, in async code.
    ///
    /// Dropped half-way, it is done all the same.
    pub async fn wait_async(self) {
        self.leave().wait().await;
    }

    #[track_caller]
    fn wait_until(self, deadline: Option<Instant>) -> Result<(), WaitGroupError> {
        let shared = self.leave();
        park::wait_until(shared.wait(), deadline).or_else(|interrupt| {
            let reason = interrupt.into();
            shared.rejoin().map_or(Ok(()), |group| Err(WaitGroupError { group, reason }))
        })
    }

    /// The caller is no member any more.
    fn leave(self) -> Arc<Shared> {
        let this = ManuallyDrop::new(self);
        // SAFETY: read once, as the group is not dropped.
        let shared = unsafe { ptr::read(&raw const this.shared) };
        shared.leave();
        shared
    }
}

impl Shared {
    fn leave(&self) {
        // n => n - 1. Release: what a member did is seen by those who wait. Acquire: by who notifies them.
        if self.members.fetch_sub(1, AcqRel) == 1 {
            self.signal.notify_all();
        }
    }

    async fn wait(&self) {
        // Pairs with `leave`.
        self.signal.until(|| self.members.load(Acquire) == 0).await;
    }

    /// A new member, unless all are done.
    fn rejoin(self: Arc<Self>) -> Option<WaitGroup> {
        let join = |members| if members == 0 { None } else { Some(members + 1) };
        // n => n + 1.
        self.members.fetch_update(Acquire, Acquire, join).ok()?;
        Some(WaitGroup { shared: self })
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        // n => n + 1. Relaxed: this member holds it above 0.
        self.shared.members.fetch_add(1, Relaxed);
        WaitGroup { shared: self.shared.clone() }
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.shared.members.load(Relaxed);
        f.debug_struct("WaitGroup").field("members", &members).finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitGroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroupError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl fmt::Display for WaitGroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for WaitGroupError {}
