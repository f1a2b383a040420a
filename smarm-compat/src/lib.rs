//! The bridge between smarm actors and tokio: actors wait for any `Future`, async code spawns
//! actors, sends to them and awaits them, and one epoll serves both.
//!
//! [`run`] gives each worker of a smarm runtime a tokio `current_thread` runtime of its own, on
//! which the worker is one task. Actors, tasks, tokio's timers and sockets of that worker take turns
//! on one thread, so a wake from one world to the other is no more than a wake within tokio.
//!
//! ```
//! use std::time::Duration;
//! use smarm_compat::await_future;
//!
//! let answer = smarm_compat::run(|| {
//!     // In an actor. Any future will do:
//!     await_future(tokio::time::sleep(Duration::from_millis(1)));
//!     // A task may spawn actors and await them:
//!     let task = tokio::spawn(async { smarm::spawn(|| 6 * 7).await.unwrap() });
//!     await_future(task).unwrap()
//! });
//! assert_eq!(answer, 42);
//! ```
//!
//! An existing service gets actors beside its multi-thread runtime by [`attach`], or on its one thread by
//! [`Builder::local`].
//!
//! # What runs where
//! With [`run`]:
//!
//! - `tokio::spawn` in an actor starts a task on the runtime of its worker. Work is spread by
//!   spawning actors, which any worker may start, or through another worker's `Handle`.
//! - The tokio context is entered for the whole life of a worker's thread: tokio types can be made,
//!   used and dropped anywhere in an actor.
//! - An actor that computes delays the tasks of its worker until its slice ends.
//! - `Handle::block_on`, `blocking_recv` and the like would block the worker, and panic or hang in
//!   an actor: use [`await_future`].
//! - smarm's timers and deadlines go by tokio's clock: a test that calls `tokio::time::pause`, on a worker of
//!   its own, stops both, and sleeping actors and tasks wake in their common order. A call of
//!   [`smarm::io::block_on_io`] does not hold tokio's paused time back; one of `spawn_blocking` does.
//!
//! # Features
//! - `tracing`: hooks with which the spans of the crate `tracing` follow the actor that has entered them
//!   (`smarm_compat::tracing::Spans`).
//! - `sim`: simulations of actors and tasks together (`smarm_compat::sim`), for tests.

mod attach;
mod builder;
mod host;
pub mod io;
mod local;
mod own;
mod parker;
mod reactor;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "tracing")]
pub mod tracing;

pub use attach::attach;
pub use builder::{Builder, run};
pub use local::LocalWorker;
pub use smarm::compat::{TimedOut, await_deadline, await_future, await_timeout, on_native_stack};
