//! The receiving half.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::{RecvError, RecvTimeoutError, Ref, Shared};
use crate::actor::park::{self, Interrupt};
use crate::channel::crowd::{Attend, Crowd};

/// A half that sees the latest value. A clone has seen what the original has.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that it has seen.
    seen: u64,
}

// The channel is in a consistent state wherever a panic comes from.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(super) fn new(shared: &Arc<Shared<T>>) -> Self {
        shared.departure.arrive();
        Receiver { seen: shared.version.load(SeqCst), shared: Arc::clone(shared) }
    }

    /// A snapshot of the value, which does not count as seen.
    #[inline]
    pub fn borrow(&self) -> Ref<T> {
        let (value, version) = self.shared.snapshot();
        Ref { value, changed: version != self.seen }
    }

    /// A snapshot of the value, which counts as seen.
    #[inline]
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        let (value, version) = self.shared.snapshot();
        let changed = version != self.seen;
        self.seen = version;
        Ref { value, changed }
    }

    /// Whether there is a value that it has not seen.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when all senders are gone, and no other.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        if self.is_closed() { Err(RecvError::Closed) } else { Ok(self.is_new()) }
    }

    fn is_new(&self) -> bool {
        self.shared.version.load(SeqCst) != self.seen
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(SeqCst)
    }

    /// Lets the value count as not seen.
    pub fn mark_changed(&mut self) {
        self.seen = self.shared.version.load(SeqCst).wrapping_sub(1);
    }

    /// Lets the value count as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.version.load(SeqCst);
    }

    /// Whether both see the value of the same senders.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Waits for a value that it has not seen, which counts as seen then. Is there one already, it does not
    /// wait.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when it has seen the last value and all senders are gone; the others when the wait
    /// is interrupted.
    #[inline]
    pub fn changed(&mut self) -> Result<(), RecvError> {
        park::yield_if_overdue();
        park::wait(self.changed_async()).unwrap_or_else(|interrupt| Err(interrupt.into()))
    }

    /// As [`changed`](Self::changed), at most for `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::TimedOut`] if there was none in time; else as [`changed`](Self::changed).
    pub fn changed_timeout(&mut self, timeout: Duration) -> Result<(), RecvTimeoutError> {
        self.changed_until(park::now().checked_add(timeout))
    }

    /// As [`changed`](Self::changed), until `deadline`. A new value that is there counts even if that has
    /// passed.
    ///
    /// # Errors
    /// As [`changed_timeout`](Self::changed_timeout).
    pub fn changed_deadline(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        self.changed_until(Some(deadline))
    }

    fn changed_until(&mut self, deadline: Option<Instant>) -> Result<(), RecvTimeoutError> {
        park::yield_if_overdue();
        match park::wait_until(self.changed_async(), deadline) {
            Ok(changed) => changed.map_err(|_| RecvTimeoutError::Closed),
            Err(Interrupt::TimedOut) => Err(RecvTimeoutError::TimedOut),
            Err(Interrupt::Cancelled) => Err(RecvTimeoutError::Cancelled),
        }
    }

    /// As [`changed`](Self::changed), in async code.
    ///
    /// Dropped half-way, the future loses nothing: a value that it was woken for is still not seen.
    ///
    /// # Errors
    /// [`RecvError::Closed`] as [`changed`](Self::changed), and no other.
    pub fn changed_async(&mut self) -> Changed<'_, T> {
        let Receiver { shared, seen } = self;
        Changed { attend: Attend::new(&shared.changes), shared, seen }
    }

    /// Waits for a value of which `holds` is true, be it the one that is there. All that it looks at
    /// counts as seen.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when `holds` is false of the last value and all senders are gone; the others when
    /// the wait is interrupted.
    pub fn wait_for(&mut self, holds: impl FnMut(&T) -> bool) -> Result<Ref<T>, RecvError> {
        self.look_for(holds, Self::changed)
    }

    /// As [`wait_for`](Self::wait_for), at most for `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::TimedOut`] if there was none in time; else as [`wait_for`](Self::wait_for).
    pub fn wait_for_timeout(
        &mut self,
        timeout: Duration,
        holds: impl FnMut(&T) -> bool,
    ) -> Result<Ref<T>, RecvTimeoutError> {
        let deadline = park::now().checked_add(timeout);
        self.look_for(holds, |this| this.changed_until(deadline))
    }

    /// As [`wait_for`](Self::wait_for), until `deadline`.
    ///
    /// # Errors
    /// As [`wait_for_timeout`](Self::wait_for_timeout).
    pub fn wait_for_deadline(
        &mut self,
        deadline: Instant,
        holds: impl FnMut(&T) -> bool,
    ) -> Result<Ref<T>, RecvTimeoutError> {
        self.look_for(holds, |this| this.changed_until(Some(deadline)))
    }

    fn look_for<E>(
        &mut self,
        mut holds: impl FnMut(&T) -> bool,
        mut wait: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<Ref<T>, E> {
        loop {
            let value = self.borrow_and_update();
            if holds(&value) {
                return Ok(value);
            }
            drop(value);
            wait(self)?;
        }
    }

    /// As [`wait_for`](Self::wait_for), in async code.
    ///
    /// Dropped half-way, the future loses nothing but that it has seen what it looked at.
    ///
    /// # Errors
    /// [`RecvError::Closed`] as [`wait_for`](Self::wait_for), and no other.
    pub async fn wait_for_async(&mut self, mut holds: impl FnMut(&T) -> bool) -> Result<Ref<T>, RecvError> {
        loop {
            let value = self.borrow_and_update();
            if holds(&value) {
                return Ok(value);
            }
            drop(value);
            self.changed_async().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.departure.arrive();
        Receiver { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.shared.departure.leave() {
            self.shared.departure.wake();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("value", &self.borrow()).finish_non_exhaustive()
    }
}

/// The future of [`Receiver::changed_async`]. Dropped half-way, it loses nothing.
#[must_use = "futures do nothing unless awaited"]
pub struct Changed<'a, T> {
    shared: &'a Shared<T>,
    seen: &'a mut u64,
    attend: Attend<&'a Crowd>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of `attend`, the only field that is pinned with the future.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let attend = unsafe { Pin::new_unchecked(&mut this.attend) };
        ready!(attend.poll(cx, || this.shared.has_news(*this.seen)));
        // The last sender closes after its last value, so a value that is new is seen here.
        let closed = this.shared.closed.load(SeqCst);
        let version = this.shared.version.load(SeqCst);
        if version == *this.seen && closed {
            return Poll::Ready(Err(RecvError::Closed));
        }
        *this.seen = version;
        Poll::Ready(Ok(()))
    }
}

impl<T> fmt::Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}
