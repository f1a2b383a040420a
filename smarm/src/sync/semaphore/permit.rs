//! Permits that were given out, borrowed or owned.

use std::fmt;
use std::mem;
use std::sync::Arc;

use super::Semaphore;

/// Permits of a [`Semaphore`]; dropping it gives them back.
#[must_use = "permits are given back at once when dropped"]
pub struct SemaphorePermit<'a> {
    pub(super) semaphore: &'a Semaphore,
    pub(super) count: usize,
}

/// Permits that own their [`Semaphore`]; dropping it gives them back.
#[must_use = "permits are given back at once when dropped"]
pub struct OwnedSemaphorePermit {
    pub(super) semaphore: Arc<Semaphore>,
    pub(super) count: usize,
}

impl SemaphorePermit<'_> {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes them out of the semaphore for good.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Adds others of the same semaphore.
    ///
    /// # Panics
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(std::ptr::eq(self.semaphore, other.semaphore), "merging permits of two semaphores");
        self.count += mem::take(&mut other.count);
    }

    /// Splits so many off, if it has as many.
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore, count })
    }
}

impl OwnedSemaphorePermit {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The semaphore that they are of.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Takes them out of the semaphore for good.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Adds others of the same semaphore.
    ///
    /// # Panics
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "merging permits of two semaphores");
        self.count += mem::take(&mut other.count);
    }

    /// Splits so many off, if it has as many.
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore.clone(), count })
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.permits.release(self.count);
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.permits.release(self.count);
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("count", &self.count).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit").field("count", &self.count).finish_non_exhaustive()
    }
}
