//! Actors whose results come in the order in which they end: [`Group`], and what is made of closures side by side,
//! [`join!`](crate::join!), [`try_join!`](crate::try_join!) and [`race!`](crate::race!).
//!
//! | | waits for | the others | borrows |
//! |---|---|---|---|
//! | [`Group`] | one after the other, as they end | run on; are killed when the group is dropped | no |
//! | [`join!`](crate::join!) | all | | yes |
//! | [`try_join!`](crate::try_join!) | all, or the first `Err` | are killed, and have ended | yes |
//! | [`race!`](crate::race!), [`first_of`] | the first to end | are killed, and have ended | yes |
//!
//! The macros are [scopes](mod@crate::scope): whatever happens, all actors have ended when they return or unwind.
//!
//! # How
//! The members of a group share a channel: each leaves its ending there as its last act, where another actor would
//! leave it for its handle. So nobody is asked whether he has ended, and nothing is allocated per member but its
//! place in the channel. The list of pids, by which members are killed, is cleared of those that have ended whenever
//! it has doubled.
//!
//! Rejected: a set of join handles that are all polled (each end costs as many polls as there are members), as is
//! known from naive `select_all`s.

mod race;
mod together;

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::actor::local;
use crate::actor::park::{self, Interrupt};
use crate::actor::scope as waits;
use crate::channel::{self, Receiver, Recv, Sender};
use crate::compat::TimedOut;
use crate::join::{Ending, Failure, JoinError, is_over};
use crate::pid::Pid;
use crate::runtime::Handle;
use crate::select::Shallow;
use crate::spawn::{Builder, Outlet, SpawnError};

pub use race::first_of;
#[doc(hidden)]
pub use together::{Branch, Started, Tried, try_all};

/// From so many pids on, those that have ended are looked for.
const MANY: usize = 32;

/// Who has ended, and how.
type Ended<T> = (Pid, Ending<T>);

/// Actors whose results are received in the order in which they end. Dropping it kills those that run.
///
/// A member's result stays in the group until it is received. A member that is killed, or panics, ends with a
/// [`JoinError`] as a joined actor does.
///
/// ```
/// use smarm::Group;
///
/// smarm::run(|| {
///     let mut group = Group::new();
///     for n in 1..=10_u64 {
///         group.spawn(move || n * n);
///     }
///     let mut sum = 0;
///     while let Some(square) = group.join_next() {
///         sum += square.unwrap();
///     }
///     assert_eq!(sum, 385);
/// });
/// ```
pub struct Group<T> {
    endings: Receiver<Ended<T>>,
    /// Cloned for each member, and so never the last sender.
    sender: Sender<Ended<T>>,
    /// How many endings have not been received.
    len: usize,
    /// Of all members that are not known to have ended.
    pids: Vec<Pid>,
    /// At this length those are looked for that have ended.
    full: usize,
    runtime: Option<Handle>,
}

impl<T: Send + 'static> Group<T> {
    /// An empty group, whose members run where their spawner does.
    #[must_use]
    pub fn new() -> Self {
        let (sender, endings) = channel::channel();
        Self { endings, sender, len: 0, pids: Vec::new(), full: MANY, runtime: None }
    }

    /// An empty group, whose members run on this runtime: for plain threads and async code.
    #[must_use]
    pub fn on(runtime: &Handle) -> Self {
        let mut group = Self::new();
        group.runtime = Some(runtime.clone());
        group
    }

    /// Starts a member that runs `f`. It inherits the deadline and tokens of the caller.
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn()).
    #[track_caller]
    pub fn spawn<F>(&mut self, f: F) -> Pid
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.spawn_with(Builder::new(), f).unwrap_or_else(|error| panic!("smarm: {error}"))
    }

    /// Starts a member that this builder describes.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn spawn_with<F>(&mut self, builder: Builder, f: F) -> Result<Pid, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        let builder = match &self.runtime {
            Some(runtime) => builder.runtime_unless_set(runtime),
            None => builder,
        };
        let group = self.sender.clone();
        // SAFETY: `Send` and `'static`.
        let pid = unsafe { builder.spawn_into(f, |pid| (Member { pid, group: Some(group) }, pid), |_| ()) }?;
        self.len += 1;
        if self.pids.len() == self.full {
            self.pids.retain(|pid| !is_over(*pid));
            self.full = (self.pids.len() * 2).max(MANY);
        }
        self.pids.push(pid);
        Ok(pid)
    }
}

impl<T: Send + 'static> Default for Group<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Group<T> {
    /// How many members there are whose endings were not received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all endings were received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Waits for the next member to end, and gives its result; `None` if the group is empty.
    ///
    /// In a destructor of an actor that is being killed, it waits all the same. If the caller's
    /// [scope](crate::cancel) is over before, it unwinds to that; the group loses nothing.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: use
    /// [`join_next_async`](Self::join_next_async) there.
    #[track_caller]
    pub fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.join_next_with_pid().map(|(_, result)| result)
    }

    /// As [`join_next`](Self::join_next), and says who it was.
    ///
    /// # Panics
    /// As [`join_next`](Self::join_next).
    #[track_caller]
    pub fn join_next_with_pid(&mut self) -> Option<(Pid, Result<T, JoinError>)> {
        if self.len == 0 {
            return None;
        }
        let ended = match self.endings.try_recv() {
            Ok(ended) => ended,
            Err(_) => park::wait_uncancelled(self.endings.recv_async()).expect(OPEN),
        };
        Some(self.received(ended))
    }

    /// As [`join_next`](Self::join_next), for at most this long.
    ///
    /// # Errors
    /// No member has ended in time.
    ///
    /// # Panics
    /// As [`join_next`](Self::join_next).
    #[track_caller]
    pub fn join_next_timeout(&mut self, timeout: Duration) -> Result<Option<Result<T, JoinError>>, TimedOut> {
        self.next_until(park::now().checked_add(timeout))
    }

    /// As [`join_next`](Self::join_next), until this deadline. One in the past gives a result that is there.
    ///
    /// # Errors
    /// No member has ended in time; or by the deadline of the caller's [scope](crate::cancel).
    ///
    /// # Panics
    /// As [`join_next`](Self::join_next).
    #[track_caller]
    pub fn join_next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<Result<T, JoinError>>, TimedOut> {
        self.next_until(Some(deadline))
    }

    #[track_caller]
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Result<T, JoinError>>, TimedOut> {
        if self.len == 0 {
            return Ok(None);
        }
        match park::wait_until(self.endings.recv_async(), deadline) {
            Ok(ended) => Ok(Some(self.received(ended.expect(OPEN)).1)),
            Err(Interrupt::TimedOut) => Err(TimedOut),
            Err(interrupt @ Interrupt::Cancelled) => {
                waits::unwind(interrupt);
                Err(TimedOut) // in a destructor of an actor that is being killed
            }
        }
    }

    /// The result of a member that has ended; `None` if none has, or the group is empty.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let ended = self.endings.try_recv().ok()?;
        Some(self.received(ended).1)
    }

    /// As [`join_next`](Self::join_next), in async code, and as a source of [`select!`](crate::select!). Dropped
    /// half-way, the future loses nothing.
    pub fn join_next_async(&mut self) -> JoinNext<'_, T> {
        JoinNext { endings: (self.len > 0).then(|| self.endings.recv_async()), len: &mut self.len }
    }

    /// Waits for all members, and gives their results in the order in which they ended.
    ///
    /// # Panics
    /// If one has panicked: with its payload; or was killed. The others are killed then. And as
    /// [`join_next`](Self::join_next).
    #[track_caller]
    pub fn join_all(mut self) -> Vec<T> {
        let mut results = Vec::with_capacity(self.len);
        while let Some(result) = self.join_next() {
            match result {
                Ok(value) => results.push(value),
                Err(JoinError::Panicked(payload)) => resume_unwind(payload.into_inner()),
                Err(JoinError::Killed) => panic!("smarm: a member of the group was killed"),
            }
        }
        results
    }

    /// Kills all members that run. Their endings stay to be received.
    pub fn kill_all(&mut self) {
        self.pids.drain(..).for_each(local::kill);
    }

    /// Kills this member. Does nothing if there is none of that pid, or it has ended.
    pub fn kill(&self, member: Pid) {
        if self.pids.contains(&member) {
            local::kill(member);
        }
    }

    /// Kills all members and waits until they have ended; their endings are dropped.
    ///
    /// # Panics
    /// As [`join_next`](Self::join_next).
    #[track_caller]
    pub fn shutdown(&mut self) {
        self.kill_all();
        while self.join_next().is_some() {}
    }

    /// Lets all members run on without the group, which is empty then. Endings that were not received are dropped.
    pub fn detach_all(&mut self) {
        (self.sender, self.endings) = channel::channel();
        self.len = 0;
        self.pids.clear();
    }

    fn received(&mut self, (pid, ending): Ended<T>) -> (Pid, Result<T, JoinError>) {
        self.len -= 1;
        (pid, ending.map_err(|failure| failure.learn()))
    }
}

/// The group's own sender keeps the channel open.
const OPEN: &str = "a group has a sender of its own";

impl<T> Drop for Group<T> {
    fn drop(&mut self) {
        self.kill_all();
    }
}

impl<T> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The future of [`Group::join_next_async`]. Dropped half-way, it loses nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct JoinNext<'a, T> {
    /// None for an empty group.
    endings: Option<Recv<'a, Ended<T>>>,
    len: &'a mut usize,
}

impl<T> Future for JoinNext<'_, T> {
    type Output = Option<Result<T, JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(endings) = &mut self.endings else { return Poll::Ready(None) };
        Pin::new(endings).poll(cx).map(|ended| {
            *self.len -= 1;
            let (_, ending) = ended.expect(OPEN);
            Some(ending.map_err(|failure| failure.learn()))
        })
    }
}

impl<T> Shallow for JoinNext<'_, T> {}

impl<T> fmt::Debug for JoinNext<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinNext").finish_non_exhaustive()
    }
}

/// Where the ending of a member goes.
struct Member<T> {
    pid: Pid,
    /// None once it has gone there.
    group: Option<Sender<Ended<T>>>,
}

impl<T> Outlet<T> for Member<T> {
    fn deliver(mut self, ending: Ending<T>, discard: impl FnOnce(Ending<T>)) {
        let Some(group) = self.group.take() else { return };
        if let Err(unwanted) = group.try_send((self.pid, ending)) {
            discard(unwanted.into_inner().1);
        }
    }
}

impl<T> Drop for Member<T> {
    /// Of a member that never ran, because its worker was given up with it.
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = group.try_send((self.pid, Err(Failure::killed())));
        }
    }
}
