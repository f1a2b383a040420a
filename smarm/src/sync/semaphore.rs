//! A number of permits, each the right to use one unit of something; see [`permits`](super::permits) for how they
//! are given out.

mod error;
mod permit;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::error::{AcquireError, TryAcquireError};
pub use self::permit::{OwnedSemaphorePermit, SemaphorePermit};

use super::permits::{self, Permits, Refusal};
use crate::actor::park::{self, Interrupt};

/// Bounds how many do something at a time: connections, requests, memory in use.
///
/// Permits are given out in the order of asking, so whoever asks for many does not starve: while it is the oldest
/// waiter, nobody else gets any.
///
/// ```
/// use smarm::sync::Semaphore;
///
/// let seats = Semaphore::new(2);
/// let one = seats.acquire().unwrap();
/// let other = seats.acquire().unwrap();
/// assert!(seats.try_acquire().is_err());
/// drop(one);
/// assert!(seats.try_acquire().is_ok());
/// # drop(other);
/// ```
///
/// In actors that outlive the caller, with permits that own their semaphore:
///
/// ```
/// use smarm::sync::Semaphore;
/// use std::sync::Arc;
///
/// smarm::run(|| {
///     let seats = Arc::new(Semaphore::new(3));
///     let guests: Vec<_> = (0..10)
///         .map(|n| {
///             let seat = seats.clone().acquire_owned().unwrap();
///             smarm::spawn(move || {
///                 let _seat = seat;
///                 n
///             })
///         })
///         .collect();
///     let sum: i32 = guests.into_iter().map(|guest| guest.join().unwrap()).sum();
///     assert_eq!(sum, 45);
///     assert_eq!(seats.available_permits(), 3);
/// });
/// ```
pub struct Semaphore {
    permits: Permits,
}

impl Semaphore {
    /// The largest number of permits.
    pub const MAX_PERMITS: usize = permits::MAX;

    /// A semaphore with so many permits.
    ///
    /// # Panics
    /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        assert!(
            permits <= Self::MAX_PERMITS,
            "a semaphore was made with more permits than Semaphore::MAX_PERMITS"
        );
        Semaphore { permits: Permits::new(permits) }
    }

    /// How many permits are free. While somebody waits, they are kept for the oldest waiter.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds permits.
    ///
    /// # Panics
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS) then.
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        assert!(
            count <= Self::MAX_PERMITS - self.permits.available().min(Self::MAX_PERMITS),
            "adding {count} permits makes more than Semaphore::MAX_PERMITS"
        );
        self.permits.release(count);
    }

    /// Takes up to so many free permits away for good; gives how many.
    pub fn forget_permits(&self, count: usize) -> usize {
        self.permits.take_up_to(count)
    }

    /// Gives out no permits any more: all who wait, and who come later, get [`AcquireError::Closed`]. Permits
    /// that were given out stay good.
    ///
    /// ```
    /// use smarm::sync::{AcquireError, Semaphore};
    ///
    /// let seats = Semaphore::new(1);
    /// seats.close();
    /// assert_eq!(seats.acquire().unwrap_err(), AcquireError::Closed);
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`AcquireError::Closed`]; else the wait was interrupted, because the caller's scope is over, or because
    /// the caller is being killed and waits in a destructor.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Waits for a permit, at most for `timeout`.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`] if there was none in time; else as [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// Waits for a permit until `deadline`. One that is free is given even if that has passed.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many_deadline(1, deadline)
    }

    /// Waits for a permit in async code.
    ///
    /// Dropped half-way, the future gives up its place in the queue; if it has just got the permit, that goes
    /// to the next in the queue.
    ///
    /// # Errors
    /// [`AcquireError::Closed`], and no other.
    pub async fn acquire_async(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many_async(1).await
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// # Errors
    /// [`TryAcquireError::NoPermits`] if not; [`TryAcquireError::Closed`].
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Waits for so many permits, which come together or not at all. More than there ever are is legal: somebody
    /// may [add](Self::add_permits) some. None are to be had at once, unless it is closed.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.obtain(count, || None)?;
        Ok(SemaphorePermit { semaphore: self, count })
    }

    /// Waits for so many permits, at most for `timeout`.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn acquire_many_timeout(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.obtain(count, || park::now().checked_add(timeout))?;
        Ok(SemaphorePermit { semaphore: self, count })
    }

    /// Waits for so many permits until `deadline`. If they are free they are given even if that has passed.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn acquire_many_deadline(
        &self,
        count: usize,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.obtain(count, || Some(deadline))?;
        Ok(SemaphorePermit { semaphore: self, count })
    }

    /// Waits for so many permits in async code. Dropped half-way, it does as
    /// [`acquire_async`](Self::acquire_async).
    ///
    /// # Errors
    /// [`AcquireError::Closed`], and no other.
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    pub async fn acquire_many_async(&self, count: usize) -> Result<SemaphorePermit<'_>, AcquireError> {
        check(count);
        self.permits.acquire(count).await.map_err(|_| AcquireError::Closed)?;
        Ok(SemaphorePermit { semaphore: self, count })
    }

    /// Takes so many permits if they are free and nobody waits.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    #[inline]
    #[track_caller]
    pub fn try_acquire_many(&self, count: usize) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_obtain(count)?;
        Ok(SemaphorePermit { semaphore: self, count })
    }

    /// As [`acquire`](Self::acquire), for a permit that owns the semaphore.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), for a permit that owns the semaphore.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    #[track_caller]
    pub fn acquire_owned_timeout(
        self: Arc<Self>,
        timeout: Duration,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned_timeout(1, timeout)
    }

    /// As [`acquire_deadline`](Self::acquire_deadline), for a permit that owns the semaphore.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    #[track_caller]
    pub fn acquire_owned_deadline(
        self: Arc<Self>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned_deadline(1, deadline)
    }

    /// As [`acquire_async`](Self::acquire_async), for a permit that owns the semaphore.
    ///
    /// # Errors
    /// [`AcquireError::Closed`], and no other.
    pub async fn acquire_owned_async(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned_async(1).await
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit that owns the semaphore.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`acquire_many`](Self::acquire_many), for permits that own the semaphore.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn acquire_many_owned(self: Arc<Self>, count: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.obtain(count, || None)?;
        Ok(OwnedSemaphorePermit { semaphore: self, count })
    }

    /// As [`acquire_many_timeout`](Self::acquire_many_timeout), for permits that own the semaphore.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn acquire_many_owned_timeout(
        self: Arc<Self>,
        count: usize,
        timeout: Duration,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.obtain(count, || park::now().checked_add(timeout))?;
        Ok(OwnedSemaphorePermit { semaphore: self, count })
    }

    /// As [`acquire_many_deadline`](Self::acquire_many_deadline), for permits that own the semaphore.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn acquire_many_owned_deadline(
        self: Arc<Self>,
        count: usize,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.obtain(count, || Some(deadline))?;
        Ok(OwnedSemaphorePermit { semaphore: self, count })
    }

    /// As [`acquire_many_async`](Self::acquire_many_async), for permits that own the semaphore.
    ///
    /// # Errors
    /// [`AcquireError::Closed`], and no other.
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    pub async fn acquire_many_owned_async(
        self: Arc<Self>,
        count: usize,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        check(count);
        self.permits.acquire(count).await.map_err(|_| AcquireError::Closed)?;
        Ok(OwnedSemaphorePermit { semaphore: self, count })
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), for permits that own the semaphore.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Panics
    /// As [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        count: usize,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_obtain(count)?;
        Ok(OwnedSemaphorePermit { semaphore: self, count })
    }

    /// The clock is looked at only if there is something to wait for.
    #[inline]
    #[track_caller]
    fn obtain(&self, count: usize, deadline: impl FnOnce() -> Option<Instant>) -> Result<(), AcquireError> {
        check(count);
        if self.permits.try_acquire(count).is_ok() {
            return Ok(());
        }
        self.wait_until(count, deadline())
    }

    #[cold]
    #[track_caller]
    fn wait_until(&self, count: usize, deadline: Option<Instant>) -> Result<(), AcquireError> {
        match park::wait_until(self.permits.acquire(count), deadline) {
            Ok(outcome) => outcome.map_err(|_| AcquireError::Closed),
            Err(Interrupt::TimedOut) => Err(AcquireError::TimedOut),
            Err(Interrupt::Cancelled) => Err(AcquireError::Cancelled),
        }
    }

    #[inline]
    #[track_caller]
    fn try_obtain(&self, count: usize) -> Result<(), TryAcquireError> {
        check(count);
        self.permits.try_acquire(count).map_err(|refusal| match refusal {
            Refusal::Closed => TryAcquireError::Closed,
            Refusal::Few => TryAcquireError::NoPermits,
        })
    }
}

#[inline]
#[track_caller]
fn check(count: usize) {
    assert!(count <= Semaphore::MAX_PERMITS, "asked for {count} permits, more than Semaphore::MAX_PERMITS");
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
