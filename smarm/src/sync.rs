//! Locks, signals and further channels for actors, async code and OS threads at once.
//!
//! | type | waits until | as |
//! |---|---|---|
//! | [`Mutex`], [`RwLock`] | it has the value | std's, with timeouts and in the order of asking |
//! | [`Condvar`] | what a mutex guards has changed | std's |
//! | [`Semaphore`] | there are permits | tokio's |
//! | [`Barrier`] | so many wait | std's |
//! | [`Once`], [`OnceCell`], [`LazyLock`] | it is initialised | std's `Once`, `OnceLock`, `LazyLock` |
//! | [`Notify`] | it is notified | tokio's |
//! | [`WaitGroup`] | all others are done | crossbeam's |
//! | [`mpmc`] | there is a message, or room for one; many receivers share them | crossbeam-channel's |
//! | [`broadcast`] | there is a message; each receiver gets each | tokio's |
//! | [`watch`] | there is another value than the last seen | tokio's |
//!
//! # Names
//! - A wait `x` has the forms `x_timeout` and `x_deadline`, `x_async` for async code, and `try_x` where it can
//!   be had at once or not.
//! - The locks that guard a value, [`Mutex`] and [`RwLock`], always have a timeout: `lock(timeout)`,
//!   `read(timeout)`, `write(timeout)`. Waiting for them for long is a deadlock, which so becomes an error that
//!   says where. What the others wait for may rightly never come.
//! - A wait whose [scope](crate::cancel) is over, or that is killed in a destructor, says so in its error. One
//!   without an error unwinds to the scope, and is not ended by a kill while it unwinds.
//!
//! # Order
//! [`Mutex`], [`RwLock`], [`Semaphore`], [`Condvar`] and [`Notify`] serve in the order of asking, and nobody
//! who comes later barges in. What a waiter was given and cannot use, because it was killed, timed out or
//! dropped, goes to the next.

mod barrier;
pub mod broadcast;
mod condvar;
mod departure;
mod error;
mod lazy_lock;
pub mod mpmc;
mod notify;
mod once;
mod once_cell;
mod permits;
pub(crate) mod poison;
mod progress;
mod rwlock;
mod semaphore;
mod signal;
mod wait_group;
pub mod watch;

pub use crate::mutex::{LockError, Mutex, MutexGuard, TryLockError};
pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use error::WaitError;
pub use lazy_lock::LazyLock;
pub use notify::{Notified, Notify};
pub use once::{Once, OnceState};
pub use once_cell::OnceCell;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};
pub use wait_group::{WaitGroup, WaitGroupError};
