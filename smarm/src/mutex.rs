//! A mutex whose lock takes a timeout, and which is handed over in the order of asking.
//!
//! | word | meaning |
//! |---|---|
//! | hand over | unlock gives the mutex to the oldest waiter, without ever being free |
//! | barging | taking it while others wait; it does not happen |
//! | poisoned | a guard was dropped by a panic, so the value may be half changed |
//!
//! `state` is a pair of flags:
//!
//! | state | meaning | to |
//! |---|---|---|
//! | `FREE` | nobody holds it | `LOCKED` by whoever comes |
//! | `LOCKED` | somebody holds it | `FREE` by its holder; `CONTENDED` by the first who waits |
//! | `CONTENDED` | as above, and waiters are queued | `LOCKED` when the last of them leaves the queue |
//!
//! Locking:
//! 1. `FREE` to `LOCKED`: one compare-and-swap.
//! 2. Else lock the list of waiters, and either find the mutex free after all, or make it
//!    `CONTENDED` and be queued.
//!
//! Unlocking:
//! 1. `LOCKED` to `FREE`: one compare-and-swap.
//! 2. Else lock the list and take the oldest waiter off: that one holds the mutex now, and is woken.
//!    If there is none any more, the mutex is `FREE`.
//!
//! Giving up: a waiter that leaves takes itself off the list. If it was taken off before, it holds
//! the mutex, and unlocks it.
//!
//! No wake is lost: `CONTENDED` is entered and left under the list's lock only, and is the state exactly
//! while somebody is queued. A holder that unlocks in one step has done so before anybody was
//! queued, and who comes after that finds the mutex free.
//!
//! Rejected: letting whoever runs take the mutex first. It is faster for short sections under
//! contention between threads, but actors of one worker take turns, so one that unlocks and locks
//! again would starve all others.

mod error;
#[cfg(all(test, smarm_loom))]
mod models;
#[cfg(test)]
mod tests;

pub use error::{LockError, TryLockError};

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{LockResult, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::actor::park::{self, Interrupt, rouse};
use crate::channel::waitlist::{Node, WaitList, Waiters};
use crate::primitive::atomic::AtomicU8;
use crate::primitive::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::{Step, UnsafeCell, constant, omits};
use crate::sync::poison::{Poison, Stake};

const FREE: u8 = 0;
const LOCKED: u8 = 1;
const CONTENDED: u8 = 2;

/// What locking gives: the guard, or why there is none.
type Locked<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

/// A value that one actor, task or thread at a time can use.
///
/// It differs from [`std::sync::Mutex`] in three ways:
///
/// - Waiting for it parks the actor, not the thread, so it may be held while waiting for something
///   else.
/// - [`lock`](Self::lock) has a timeout, always: a deadlock becomes an error that says where.
/// - It is handed over in the order of asking.
///
/// ```
/// use smarm::mutex::Mutex;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let total = Arc::new(Mutex::new(0));
/// let adders: Vec<_> = (1..=3)
///     .map(|n| {
///         let total = Arc::clone(&total);
///         std::thread::spawn(move || *total.lock(Duration::from_secs(5)).unwrap() += n)
///     })
///     .collect();
/// for adder in adders {
///     adder.join().unwrap();
/// }
/// assert_eq!(*total.lock(Duration::ZERO).unwrap(), 6);
/// ```
///
/// # Poisoning
/// As with std, a guard that is dropped by a panic poisons the mutex, as its value may be half
/// changed. The same holds for an actor that is killed while it holds the guard. A guard that was
/// locked while unwinding, in a destructor, does not poison. The error of a poisoned mutex gives the
/// guard, for those who know that the value is all right:
///
/// ```
/// use smarm::mutex::{LockError, Mutex};
/// use std::time::Duration;
///
/// let mutex = Mutex::new(1);
/// let panics = std::thread::scope(|scope| {
///     let holder = scope.spawn(|| {
///         let _guard = mutex.lock(Duration::ZERO).unwrap();
///         panic!("while it is locked");
///     });
///     holder.join().is_err()
/// });
/// assert!(panics && mutex.is_poisoned());
/// let Err(LockError::Poisoned(mut guard)) = mutex.lock(Duration::ZERO) else { unreachable!() };
/// *guard = 2;
/// mutex.clear_poison();
/// drop(guard);
/// assert_eq!(*mutex.lock(Duration::ZERO).unwrap(), 2);
/// ```
pub struct Mutex<T: ?Sized> {
    /// See the table above. `CONTENDED` is entered and left under the lock of `waiters`.
    state: AtomicU8,
    poison: Poison,
    waiters: Waiters<()>,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex gives access to the value to one at a time, who may be on any thread.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// Poisoning tells whether a panic may have left the value half changed.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    constant! {
        /// A mutex that is free.
        pub const fn new(value: T) -> Self {
            Mutex {
                state: AtomicU8::new(FREE),
                poison: Poison::new(),
                waiters: Waiters::new(),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// Gives the value back.
    ///
    /// # Errors
    /// Gives it in the error if the mutex is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.is_poisoned();
        let value = self.value.into_inner();
        if poisoned { Err(PoisonError::new(value)) } else { Ok(value) }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks the mutex; waits for it, at most for `timeout`.
    ///
    /// There is no default: choose how long it can take when all goes well, times ten.
    /// [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// [`LockError::TimedOut`]; [`LockError::Poisoned`] with the guard; [`LockError::Cancelled`] if it would
    /// have to wait and must not.
    ///
    /// ```
    /// use smarm::mutex::{LockError, Mutex};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(());
    /// let guard = mutex.lock(Duration::from_millis(1)).unwrap();
    /// // Nobody can give it to us but ourselves.
    /// assert!(matches!(mutex.lock(Duration::from_millis(1)), Err(LockError::TimedOut)));
    /// drop(guard);
    /// ```
    #[inline]
    pub fn lock(&self, timeout: Duration) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        park::chaos_point();
        if self.try_acquire() {
            park::chaos_point();
            return self.guard();
        }
        self.wait_for(timeout)
    }

    /// Like [`lock`](Self::lock), with a deadline. A mutex that is free is locked even if the deadline
    /// has passed.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_deadline(
        &self,
        deadline: Instant,
    ) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        if self.try_acquire() { self.guard() } else { self.wait_until(deadline) }
    }

    /// Locks the mutex if it is free.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is not; [`TryLockError::Poisoned`] with the guard.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        if !self.try_acquire() {
            return Err(TryLockError::WouldBlock);
        }
        let guard = MutexGuard::new(self);
        if self.is_poisoned() { Err(TryLockError::Poisoned(guard)) } else { Ok(guard) }
    }

    /// Locks the mutex in async code. There is no timeout: the task's own way to time out drops the
    /// future.
    ///
    /// Dropped half-way, the future gives up its place in the queue; if the mutex has just been handed
    /// to it, it hands it on to the next in the queue.
    ///
    /// The guard is not `Send`, so the compiler asks for it to be dropped before the next `await` of
    /// a task that can move between threads.
    ///
    /// # Errors
    /// [`LockError::Poisoned`] with the guard, and no other.
    pub fn lock_async(&self) -> Lock<'_, T> {
        Lock { mutex: self, queued: false, node: Node::new(()) }
    }

    /// The value, which nobody else can use, as the mutex is borrowed exclusively.
    ///
    /// # Errors
    /// Gives it in the error if the mutex is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.is_poisoned();
        let value = self.value.get_mut();
        if poisoned { Err(PoisonError::new(value)) } else { Ok(value) }
    }

    /// Whether a guard was dropped by a panic. Unless the caller holds the mutex, it may change at
    /// once.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Declares the value to be all right.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Step 1 of locking.
    #[inline]
    fn try_acquire(&self) -> bool {
        // FREE => LOCKED. Acquire: pairs with the Release of `unlock`.
        self.state.compare_exchange(FREE, LOCKED, Acquire, Relaxed).is_ok()
    }

    /// What a lock gives to the one who has just become the holder.
    #[inline]
    fn guard(&self) -> Locked<'_, T> {
        let guard = MutexGuard::new(self);
        if self.is_poisoned() { Err(LockError::Poisoned(guard)) } else { Ok(guard) }
    }

    #[cold]
    fn wait_for(&self, timeout: Duration) -> Locked<'_, T> {
        self.waited(park::wait_for(Hold(self.lock_async()), timeout))
    }

    #[cold]
    fn wait_until(&self, deadline: Instant) -> Locked<'_, T> {
        self.waited(park::wait_until(Hold(self.lock_async()), Some(deadline)))
    }

    /// What comes of a wait. Nothing unwinds between its end and this.
    #[inline(always)]
    fn waited(&self, outcome: Result<(), Interrupt>) -> Locked<'_, T> {
        match outcome {
            Ok(()) => self.guard(),
            Err(Interrupt::TimedOut) => Err(LockError::TimedOut),
            Err(Interrupt::Cancelled) => Err(LockError::Cancelled),
        }
    }

    /// Step 2 of locking: `true` if the caller holds the mutex, `false` if the node is queued.
    ///
    /// # Safety
    /// As [`WaitList::push_back`].
    unsafe fn acquire_or_queue(&self, node: Pin<&Node<()>>, cx: &Context<'_>) -> bool {
        let waker = cx.waker().clone();
        let mut list = self.waiters.lock();
        loop {
            let (from, to) = match self.state.load(Relaxed) {
                FREE => (FREE, LOCKED),
                LOCKED => (LOCKED, CONTENDED),
                _ => break, // contended, which changes under the list's lock only
            };
            // FREE => LOCKED, as in `try_acquire`; or LOCKED => CONTENDED, so that the holder's one-step
            // unlock fails.
            if self.state.compare_exchange_weak(from, to, Acquire, Relaxed).is_ok() {
                if from == FREE {
                    // The waker is dropped outside the lock.
                    drop(list);
                    return true;
                }
                break;
            }
        }
        // SAFETY: the caller's duty.
        unsafe { list.push_back(node, waker) };
        false
    }

    /// The holder lets go.
    #[inline]
    fn unlock(&self) {
        // LOCKED => FREE. Release: what the holder did is seen by the next. Pairs with `try_acquire`.
        let contended = self.state.load(Relaxed) == CONTENDED;
        if contended || self.state.compare_exchange(LOCKED, FREE, Release, Relaxed).is_err() {
            self.hand_over();
        }
    }

    /// Step 2 of unlocking. What the holder did is seen by the next one through the list's lock.
    #[cold]
    fn hand_over(&self) {
        let mut list = self.waiters.lock();
        let Some((waker, ())) = list.pop_front() else {
            // LOCKED => FREE. All waiters have left since the first step failed.
            self.state.store(FREE, Release);
            return;
        };
        self.note_if_empty(&list);
        drop(list);
        rouse(waker);
    }

    /// Leaves `CONTENDED` if nobody is queued any more. The mutex is held.
    fn note_if_empty(&self, list: &WaitList<()>) {
        if list.is_empty() {
            // CONTENDED => LOCKED, under the list's lock. Nobody else changes a contended state.
            self.state.store(LOCKED, Relaxed);
        }
    }
}

/// The future of [`Mutex::lock_async`]. Dropped half-way, it hands on what it may have got.
#[must_use = "futures do nothing unless awaited"]
pub struct Lock<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// The node was queued, and it was not seen yet whether it was served.
    queued: bool,
    node: Node<()>,
}

impl<'a, T: ?Sized> Lock<'a, T> {
    /// Ready when the mutex is the caller's, who is to make the guard.
    #[inline(always)]
    fn poll_acquired(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'a Mutex<T>> {
        // SAFETY: nothing is moved out of the node.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is pinned with the future.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        let acquired = if this.queued {
            // SAFETY: the node was queued here.
            unsafe { this.mutex.waiters.poll_served(node, cx) }.is_ready()
        } else {
            let free = this.mutex.state.load(Relaxed) == FREE;
            // SAFETY: the node is pinned, not queued, and taken off by `drop`.
            free && this.mutex.try_acquire() || unsafe { this.mutex.acquire_or_queue(node, cx) }
        };
        this.queued = !acquired;
        if acquired { Poll::Ready(this.mutex) } else { Poll::Pending }
    }
}

impl<'a, T: ?Sized> Future for Lock<'a, T> {
    type Output = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_acquired(cx).map(Mutex::guard)
    }
}

/// A lock that is waited for by who makes the guard: what comes out of a future, through a `Poll` and a `Result`, is
/// copied right after it was written in parts, which stalls.
struct Hold<'a, T: ?Sized>(Lock<'a, T>);

impl<T: ?Sized> Future for Hold<'_, T> {
    type Output = ();

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the lock is pinned with this.
        let lock = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        lock.poll_acquired(cx).map(|_| ())
    }
}

impl<T: ?Sized> Drop for Lock<'_, T> {
    fn drop(&mut self) {
        if !self.queued {
            return;
        }
        let mut list = self.mutex.waiters.lock();
        // SAFETY: the node was queued here, so the future is pinned.
        let waker = unsafe { list.remove(Pin::new_unchecked(&self.node)) };
        if waker.is_some() {
            self.mutex.note_if_empty(&list);
        }
        drop(list);
        if waker.is_none() && !omits(Step::PassOn) {
            // It was handed over to this waiter, who does not want it any more.
            self.mutex.unlock();
        }
    }
}

/// The right to use the value of a [`Mutex`]; dropping it unlocks.
///
/// It stays on its thread, as in std.
#[must_use = "the mutex is unlocked at once when the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    stake: Stake,
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives a shared reference to the value only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// For the holder.
    #[inline]
    fn new(mutex: &'a Mutex<T>) -> Self {
        MutexGuard { mutex, stake: Stake::new(), _not_send: PhantomData }
    }

    /// Goes on holding the mutex, without access to the value.
    pub(crate) fn into_held(self) -> Held<'a, T> {
        Held(ManuallyDrop::new(self).mutex)
    }
}

/// Holds a mutex, on any thread: there is no value to leave half changed. Dropping it unlocks.
pub(crate) struct Held<'a, T: ?Sized>(&'a Mutex<T>);

impl<'a, T: ?Sized> Held<'a, T> {
    pub(crate) fn mutex(&self) -> &'a Mutex<T> {
        self.0
    }

    /// Has access to the value again.
    pub(crate) fn into_guard(self) -> MutexGuard<'a, T> {
        MutexGuard::new(ManuallyDrop::new(self).0)
    }
}

impl<T: ?Sized> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.poison.end(self.stake);
        self.mutex.unlock();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard's owner holds the mutex.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Debug for Lock<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("queued", &self.queued).finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) | Err(TryLockError::Poisoned(guard)) => debug.field("value", &&*guard),
            Err(TryLockError::WouldBlock) => debug.field("value", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}
