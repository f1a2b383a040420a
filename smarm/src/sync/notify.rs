//! Tells one waiter, or all, that something has happened; see [`signal`](super::signal) for how.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use super::WaitError;
use super::signal::{self, Signal};
use crate::actor::park;

/// Notifies those who wait, without any value.
///
/// [`notify_one`](Self::notify_one) that finds nobody is kept for whoever waits next; but one only, however
/// often it was called. [`notify_waiters`](Self::notify_waiters) reaches those who wait already, and is not
/// kept.
///
/// ```
/// use smarm::sync::Notify;
/// use std::sync::Arc;
///
/// smarm::run(|| {
///     let ready = Arc::new(Notify::new());
///     let theirs = ready.clone();
///     let waiter = smarm::spawn(move || theirs.wait());
///     ready.notify_one(); // before or after the waiter comes
///     waiter.join().unwrap();
/// });
/// ```
pub struct Notify {
    signal: Signal<true>,
}

impl Notify {
    /// Nobody was notified.
    pub const fn new() -> Self {
        Notify { signal: Signal::new() }
    }

    /// Notifies the oldest waiter, or else the next one to come. A notified waiter that is killed, times out or
    /// is dropped before it has seen that, passes it on.
    #[inline]
    pub fn notify_one(&self) {
        self.signal.notify_one();
    }

    /// Notifies all who wait: those whose [`notified`](Self::notified) was called before, polled or not.
    pub fn notify_waiters(&self) {
        self.signal.notify_all();
    }

    /// Waits to be notified. A wait whose scope is over unwinds to there, see [`cancel`](crate::cancel); in a
    /// destructor of an actor that is being killed it goes on.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: await
    /// [`notified`](Self::notified) there.
    #[track_caller]
    pub fn wait(&self) {
        park::wait_uncancelled(self.notified());
    }

    /// Waits to be notified, at most for `timeout`.
    ///
    /// # Errors
    /// It was not in time, or the wait was interrupted.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        Ok(park::wait_until(self.notified(), park::now().checked_add(timeout))?)
    }

    /// Waits to be notified until `deadline`. A kept notification is taken even if that has passed.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), WaitError> {
        Ok(park::wait_until(self.notified(), Some(deadline))?)
    }

    /// Takes the kept notification if there is one.
    pub fn try_wait(&self) -> bool {
        self.signal.try_take()
    }

    /// Waits to be notified, in async code.
    ///
    /// From this call on it hears [`notify_waiters`](Self::notify_waiters); its place in the queue for
    /// [`notify_one`](Self::notify_one) is that of its first poll, or of [`Notified::enable`].
    ///
    /// Dropped half-way, the future passes on the notification that it may just have got.
    ///
    /// ```
    /// # use smarm::sync::Notify;
    /// # use smarm::compat::await_future;
    /// # smarm::run(|| {
    /// let changed = Notify::new();
    /// let heard = changed.notified(); // now look whether it has changed, and if not:
    /// changed.notify_waiters();
    /// await_future(heard);
    /// # });
    /// ```
    pub fn notified(&self) -> Notified<'_> {
        Notified { inner: Some(self.signal.notified()) }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

/// The future of [`Notify::notified`]. Dropped half-way, it passes on the notification that it may have got.
#[must_use = "futures do nothing unless awaited"]
pub struct Notified<'a> {
    /// Until the notification has come.
    inner: Option<signal::Notified<'a, true>>,
}

impl Notified<'_> {
    /// Takes its place in the queue without waiting. Says whether it was notified already; then the next poll is
    /// ready.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.poll_inner(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn poll_inner(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the inner future is pinned with this one: it is dropped in place, and not moved.
        let inner = unsafe { self.as_mut().map_unchecked_mut(|this| &mut this.inner) };
        if let Some(inner) = inner.as_pin_mut() {
            let notice = ready!(inner.poll(cx));
            notice.accept();
            self.set(Notified { inner: None });
        }
        Poll::Ready(())
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_inner(cx)
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").finish_non_exhaustive()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}
