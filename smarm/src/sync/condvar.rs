//! Waiting for what a [`Mutex`](super::Mutex) guards to become as one wants it.
//!
//! 1. A waiter takes its place in the [queue](super::signal), and then unlocks the mutex: whoever changes the
//!    value after that finds it queued.
//! 2. Notified, it locks the mutex again, and only then accepts the notification: killed or dropped before, it
//!    passes it on to the next.
//! 3. After a timeout it leaves the queue, and locks the mutex.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

use super::signal::{Notice, Signal};
use crate::actor::park::{self, Interrupt};
use crate::mutex::{Held, LockError, Mutex, MutexGuard};

type Locked<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;
type Timed<'a, T> =
    Result<(MutexGuard<'a, T>, WaitTimeoutResult), LockError<(MutexGuard<'a, T>, WaitTimeoutResult)>>;

/// Lets those who hold a [`Mutex`](super::Mutex) wait for a change of its value.
///
/// As in std, the mutex is unlocked while one waits, and locked again when one comes back. Unlike std's, it
/// serves in the order of waiting, and a wait does not end for nothing; but between a notification and the lock
/// somebody else may have changed the value, so wait in a loop, or with [`wait_while`](Self::wait_while).
/// Locking again has no timeout.
///
/// ```
/// use smarm::sync::{Condvar, Mutex};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// const TIME: Duration = Duration::from_secs(5);
///
/// smarm::run(|| {
///     let pair = Arc::new((Mutex::new(false), Condvar::new()));
///     let theirs = pair.clone();
///     smarm::spawn(move || {
///         *theirs.0.lock(TIME).unwrap() = true;
///         theirs.1.notify_one();
///     });
///     let (started, changed) = &*pair;
///     let guard = changed.wait_while(started.lock(TIME).unwrap(), |started| !*started).unwrap();
///     assert!(*guard);
/// });
/// ```
///
/// # Errors of its waits
/// - [`LockError::Poisoned`] with the guard, if the mutex is poisoned.
/// - [`LockError::TimedOut`], [`LockError::Cancelled`]: the caller's [scope](crate::cancel) is over, or it is
///   an actor that is being killed and waits in a destructor. Then the mutex is *not* locked any more.
///
/// The end of a timeout is no error, as in std: the guard comes back with a [`WaitTimeoutResult`].
pub struct Condvar {
    signal: Signal<false>,
}

/// Whether a wait ended because of its timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was over before a notification came.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Self {
        Condvar { signal: Signal::new() }
    }

    /// Wakes the one who has waited longest, if anybody waits. If that one is killed or dropped before it has
    /// the mutex again, or its time is over before it was woken, the next one is woken in its place.
    #[inline]
    pub fn notify_one(&self) {
        self.signal.notify_one();
    }

    /// Wakes all who wait now.
    pub fn notify_all(&self) {
        self.signal.notify_all();
    }

    /// Unlocks the mutex, waits for a notification, and locks it again.
    ///
    /// # Errors
    /// See [the type](Self#errors-of-its-waits).
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: use
    /// [`wait_async`](Self::wait_async) there.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> Locked<'a, T> {
        let held = guard.into_held();
        let mutex = held.mutex();
        let notice = park::wait(self.notified(held)).map_err(interrupted)?;
        lock_again(mutex, Some(notice))
    }

    /// Waits as long as `condition` holds; looks at it first.
    ///
    /// # Errors
    /// See [the type](Self#errors-of-its-waits).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Locked<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Self::wait), for a notification that comes within `timeout`.
    ///
    /// # Errors
    /// See [the type](Self#errors-of-its-waits).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> Timed<'a, T> {
        self.wait_until(guard, park::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), for a notification that comes before `deadline`.
    ///
    /// # Errors
    /// See [the type](Self#errors-of-its-waits).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_deadline<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>, deadline: Instant) -> Timed<'a, T> {
        self.wait_until(guard, Some(deadline))
    }

    /// Waits as long as `condition` holds, at most for `timeout`; looks at it first, and last.
    ///
    /// # Errors
    /// See [the type](Self#errors-of-its-waits).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Timed<'a, T> {
        self.wait_until_while(guard, park::now().checked_add(timeout), condition)
    }

    /// Waits as long as `condition` holds, until `deadline` at most; looks at it first, and last.
    ///
    /// # Errors
    /// See [the type](Self#errors-of-its-waits).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_deadline_while<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Timed<'a, T> {
        self.wait_until_while(guard, Some(deadline), condition)
    }

    /// Unlocks the mutex, waits for a notification, and locks it again, in async code. The mutex is unlocked by
    /// the first poll. The future is `Send` although the guard is not.
    ///
    /// Dropped half-way, the mutex is not locked any more, and a notification that has come is passed on.
    ///
    /// # Errors
    /// [`LockError::Poisoned`] with the guard, and no other.
    pub fn wait_async<'a, T: ?Sized>(
        &'a self,
        guard: MutexGuard<'a, T>,
    ) -> impl Future<Output = Locked<'a, T>> + use<'a, T> {
        self.wait_held(guard.into_held())
    }

    /// Waits as long as `condition` holds, in async code; looks at it first. Dropped half-way, it does as
    /// [`wait_async`](Self::wait_async).
    ///
    /// # Errors
    /// [`LockError::Poisoned`] with the guard, and no other.
    pub fn wait_while_async<'a, T: ?Sized, F: FnMut(&mut T) -> bool>(
        &'a self,
        guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> impl Future<Output = Locked<'a, T>> + use<'a, T, F> {
        let mut held = guard.into_held();
        async move {
            loop {
                // No guard is borrowed or left here: it would be part of the future, which is to be `Send`.
                let unmet = match look(held, &mut condition) {
                    Ok(guard) => return Ok(guard),
                    Err(held) => held,
                };
                held = self.wait_held(unmet).await?.into_held();
            }
        }
    }

    fn wait_until_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Timed<'a, T> {
        let mut timed_out = false;
        while condition(&mut guard) {
            if timed_out {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            (guard, WaitTimeoutResult(timed_out)) = self.wait_until(guard, deadline)?;
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    #[track_caller]
    fn wait_until<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>, deadline: Option<Instant>) -> Timed<'a, T> {
        let held = guard.into_held();
        let mutex = held.mutex();
        let notice = match park::wait_until(self.notified(held), deadline) {
            Ok(notice) => Some(notice),
            // If it was the scope's deadline, the lock finds that out unless the mutex is free.
            Err(Interrupt::TimedOut) => None,
            Err(Interrupt::Cancelled) => return Err(LockError::Cancelled),
        };
        let timed_out = WaitTimeoutResult(notice.is_none());
        match lock_again(mutex, notice) {
            Ok(guard) => Ok((guard, timed_out)),
            Err(LockError::Poisoned(guard)) => Err(LockError::Poisoned((guard, timed_out))),
            Err(LockError::TimedOut) => Err(LockError::TimedOut),
            Err(LockError::Cancelled) => Err(LockError::Cancelled),
        }
    }

    async fn wait_held<'a, T: ?Sized>(&self, held: Held<'a, T>) -> Locked<'a, T> {
        let mutex = held.mutex();
        let notice = self.notified(held).await;
        let locked = mutex.lock_async().await;
        notice.accept();
        locked
    }

    /// Step 1.
    async fn notified<T: ?Sized>(&self, held: Held<'_, T>) -> Notice<'_, false> {
        let mut notified = pin!(self.signal.notified());
        let mut held = Some(held);
        poll_fn(|cx| {
            let polled = notified.as_mut().poll(cx);
            held = None;
            polled
        })
        .await
    }
}

/// The guard, once `condition` does not hold.
fn look<'a, T: ?Sized>(
    held: Held<'a, T>,
    condition: &mut impl FnMut(&mut T) -> bool,
) -> Result<MutexGuard<'a, T>, Held<'a, T>> {
    let mut guard = held.into_guard();
    if condition(&mut guard) { Err(guard.into_held()) } else { Ok(guard) }
}

/// Steps 2 and 3.
#[track_caller]
fn lock_again<'a, T: ?Sized>(mutex: &'a Mutex<T>, notice: Option<Notice<'_, false>>) -> Locked<'a, T> {
    let locked = park::wait(mutex.lock_async()).map_err(interrupted)?;
    if let Some(notice) = notice {
        notice.accept();
    }
    locked
}

fn interrupted<G>(interrupt: Interrupt) -> LockError<G> {
    match interrupt {
        Interrupt::TimedOut => LockError::TimedOut,
        Interrupt::Cancelled => LockError::Cancelled,
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
