//! The primitives on loom or Shuttle (the engine): each access asks whether a [`flaw`](super::flaw) is planted at its
//! place.
//!
//! Cells and atomics are the engine's from their making on; Shuttle has no cells, as it changes threads nowhere else.
//! A [`Mutex`] is made the engine's at its first use, so that it can be made in a `const fn`; a lock orders nothing
//! before that.
//!
//! When a model has failed, its threads are unwound outside of the engine. What their destructors do then goes to plain
//! values (`after`), so that the failure is what is reported.

use std::cell::{self, OnceCell};
use std::ops::{Deref, DerefMut};
use std::sync::LockResult;
use std::thread::panicking;

use super::engine;

/// See [`std::sync::atomic`].
pub(crate) mod atomic {
    use std::panic::Location;
    use std::thread::panicking;

    pub(crate) use std::sync::atomic::Ordering;
    use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

    use super::super::engine::sync::atomic as model;

    use super::super::flaw::{Op, Wrong, wrong};

    #[track_caller]
    pub(crate) fn fence(ordering: Ordering) {
        if !panicking() && wrong(Location::caller(), Op::Fence, ordering).is_none() {
            model::fence(ordering);
        }
    }

    /// What is to be done for an access: with which ordering, after the fence of a sequentially consistent
    /// one, which otherwise is `half`.
    fn begin(place: &Location<'_>, op: Op, ordering: Ordering, half: Ordering) -> (Ordering, Option<Wrong>) {
        let wrong = wrong(place, op, ordering);
        if wrong.is_some() {
            (Relaxed, wrong)
        } else if ordering == SeqCst {
            model::fence(SeqCst);
            (half, None)
        } else {
            (ordering, None)
        }
    }

    macro_rules! atomic {
        ($name:ident $([$param:ident])?, $value:ty, $($modify:ident)*) => {
            #[derive(Debug)]
            pub(crate) struct $name$(<$param>)? {
                model: model::$name$(<$param>)?,
                after: std::sync::atomic::$name$(<$param>)?,
            }

            #[allow(dead_code, reason = "made for each type")]
            impl$(<$param>)? $name$(<$param>)? {
                #[track_caller]
                pub(crate) fn new(value: $value) -> Self {
                    Self { model: model::$name::new(value), after: std::sync::atomic::$name::new(value) }
                }

                #[track_caller]
                pub(crate) fn load(&self, ordering: Ordering) -> $value {
                    if panicking() {
                        return self.after.load(Relaxed);
                    }
                    let (ordering, _) = begin(Location::caller(), Op::Load, ordering, Acquire);
                    self.model.load(ordering)
                }

                #[track_caller]
                pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                    self.after.store(value, Relaxed);
                    if panicking() {
                        return;
                    }
                    let (ordering, wrong) = begin(Location::caller(), Op::Store, ordering, Release);
                    if wrong != Some(Wrong::Skipped) {
                        self.model.store(value, ordering);
                    }
                }

                #[track_caller]
                pub(crate) fn swap(&self, value: $value, ordering: Ordering) -> $value {
                    if panicking() {
                        return self.after.swap(value, Relaxed);
                    }
                    let (ordering, wrong) = begin(Location::caller(), Op::Modify, ordering, AcqRel);
                    match wrong {
                        Some(Wrong::Skipped) => self.model.load(Relaxed),
                        Some(Wrong::Torn) => {
                            let before = self.model.load(Acquire);
                            self.model.store(value, Release);
                            before
                        }
                        _ => {
                            let before = self.model.swap(value, ordering);
                            self.after.store(value, Relaxed);
                            before
                        }
                    }
                }

                #[track_caller]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    if panicking() {
                        return self.after.compare_exchange(current, new, Relaxed, Relaxed);
                    }
                    let (success, wrong) = begin(Location::caller(), Op::Exchange, success, AcqRel);
                    match wrong {
                        None | Some(Wrong::Weakened) => {
                            let failure = if failure == SeqCst { Acquire } else { failure };
                            let done = self.model.compare_exchange(current, new, success, failure);
                            if done.is_ok() {
                                self.after.store(new, Relaxed);
                            }
                            done
                        }
                        Some(wrong) => {
                            let now = self.model.load(Acquire);
                            if now != current {
                                return Err(now);
                            }
                            if wrong == Wrong::Torn {
                                self.model.store(new, Release);
                            }
                            Ok(now)
                        }
                    }
                }

                #[track_caller]
                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(current, new, success, failure)
                }

                #[track_caller]
                pub(crate) fn fetch_update(
                    &self,
                    success: Ordering,
                    failure: Ordering,
                    mut next: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let mut now = if panicking() { self.after.load(Relaxed) } else { self.model.load(failure) };
                    while let Some(new) = next(now) {
                        match self.compare_exchange(now, new, success, failure) {
                            Ok(before) => return Ok(before),
                            Err(found) => now = found,
                        }
                    }
                    Err(now)
                }

                $(
                    #[track_caller]
                    pub(crate) fn $modify(&self, operand: $value, ordering: Ordering) -> $value {
                        if panicking() {
                            return self.after.$modify(operand, Relaxed);
                        }
                        let (ordering, wrong) = begin(Location::caller(), Op::Modify, ordering, AcqRel);
                        match wrong {
                            Some(Wrong::Skipped) => self.model.load(Relaxed),
                            Some(Wrong::Torn) => {
                                let before = self.model.load(Acquire);
                                // As std computes it.
                                let std = std::sync::atomic::$name::new(before);
                                std.$modify(operand, Relaxed);
                                self.model.store(std.into_inner(), Release);
                                before
                            }
                            _ => {
                                let before = self.model.$modify(operand, ordering);
                                self.after.$modify(operand, Relaxed);
                                before
                            }
                        }
                    }
                )*
            }
        };
    }

    atomic!(AtomicU8, u8, fetch_add fetch_sub fetch_or fetch_and);
    atomic!(AtomicU32, u32, fetch_add fetch_sub fetch_or fetch_and);
    atomic!(AtomicU64, u64, fetch_add fetch_sub fetch_or fetch_and);
    atomic!(AtomicUsize, usize, fetch_add fetch_sub fetch_or fetch_and);
    atomic!(AtomicBool, bool, fetch_or fetch_and);
    atomic!(AtomicPtr[T], *mut T,);

    macro_rules! default {
        ($($name:ident)*) => {
            $(impl Default for $name {
                fn default() -> Self {
                    Self::new(Default::default())
                }
            })*
        };
    }
    default!(AtomicU8 AtomicU32 AtomicU64 AtomicUsize AtomicBool);

    impl<T> Default for AtomicPtr<T> {
        fn default() -> Self {
            Self::new(std::ptr::null_mut())
        }
    }
}

#[cfg(not(smarm_shuttle))]
use loom::cell::UnsafeCell as Tracked;

/// Nothing to be seen: Shuttle's threads change at atomics and locks only.
#[cfg(smarm_shuttle)]
#[derive(Debug)]
struct Tracked<T>(T);

#[cfg(smarm_shuttle)]
impl<T> Tracked<T> {
    fn new(value: T) -> Self {
        Self(value)
    }
    fn with(&self, f: impl FnOnce(*const T)) {
        f(&raw const self.0);
    }
    fn with_mut(&self, f: impl FnOnce(*mut T)) {
        f((&raw const self.0).cast_mut());
    }
}

/// A cell whose accesses must be ordered; see [`std::cell::UnsafeCell`].
#[derive(Debug)]
pub(crate) struct UnsafeCell<T: ?Sized> {
    tracked: Tracked<()>,
    value: cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self { tracked: Tracked::new(()), value: cell::UnsafeCell::new(value) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Counts as a write, which takes place now.
    #[track_caller]
    pub(crate) fn get(&self) -> *mut T {
        if !panicking() {
            self.tracked.with_mut(|_| ());
        }
        self.value.get()
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// One half of a fence whose other half is a pause, which a model makes a fence, too.
#[track_caller]
pub(crate) fn light_fence() {
    atomic::fence(atomic::Ordering::SeqCst);
}

/// See [`std::sync::OnceLock`].
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: atomic::AtomicPtr<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { value: atomic::AtomicPtr::default() }
    }

    #[track_caller]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: what `set` has put there stays until the drop.
        unsafe { self.value.load(atomic::Ordering::Acquire).as_ref() }
    }

    #[track_caller]
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let value = Box::into_raw(Box::new(value));
        let null = std::ptr::null_mut();
        match self.value.compare_exchange(null, value, atomic::Ordering::AcqRel, atomic::Ordering::Acquire) {
            Ok(_) => Ok(()),
            // SAFETY: made above, and given to nobody.
            Err(_) => Err(*unsafe { Box::from_raw(value) }),
        }
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        let value = self.value.load(atomic::Ordering::Acquire);
        if !value.is_null() {
            // SAFETY: put there by `set`, and nobody else has the cell any more.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

/// For reading what is in the cell while others may read it, too.
#[track_caller]
pub(crate) fn read_only<T>(cell: &UnsafeCell<T>) -> *const T {
    if !panicking() {
        cell.tracked.with(|_| ());
    }
    cell.value.get()
}

/// See [`std::sync::Mutex`]. Never poisoned.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    lock: OnceCell<engine::sync::Mutex<()>>,
    value: cell::UnsafeCell<T>,
}

// SAFETY: the value is reached by who holds the lock; the cell of the lock is set between two places where model
// threads change, which are all on one thread of the system.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { lock: OnceCell::new(), value: cell::UnsafeCell::new(value) }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let held = || self.lock.get_or_init(|| engine::sync::Mutex::new(())).lock().expect("never poisoned");
        Ok(MutexGuard { value: &self.value, held: (!panicking()).then(held) })
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// See [`std::sync::MutexGuard`].
pub(crate) struct MutexGuard<'a, T> {
    value: &'a cell::UnsafeCell<T>,
    held: Option<engine::sync::MutexGuard<'a, ()>>,
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if panicking() {
            std::mem::forget(self.held.take());
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard's owner holds the lock.
        unsafe { &*self.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard's owner holds the lock.
        unsafe { &mut *self.value.get() }
    }
}

/// A thread-local of a model thread; see [`std::thread::LocalKey`].
pub(crate) struct LocalKey<T: 'static> {
    pub(crate) key: &'static engine::thread::LocalKey<T>,
    /// Its first value, which it has for who is unwound after a failure.
    pub(crate) first: fn() -> T,
}

impl<T: Copy> LocalKey<cell::Cell<T>> {
    pub(crate) fn get(&'static self) -> T {
        if panicking() {
            return (self.first)().get();
        }
        self.key.with(cell::Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        if !panicking() {
            self.key.with(|cell| cell.set(value));
        }
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        if panicking() {
            return (self.first)().get();
        }
        self.key.with(|cell| cell.replace(value))
    }
}

/// See [`std::thread_local`].
macro_rules! modelled_thread_local {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = const { $value:expr };) => {
        $(#[$attribute])*
        static $name: $crate::primitive::LocalKey<$type> = {
            $crate::primitive::engine::thread_local!(static KEY: $type = $value);
            $crate::primitive::LocalKey { key: &KEY, first: || $value }
        };
    };
}
pub(crate) use modelled_thread_local as thread_local;
