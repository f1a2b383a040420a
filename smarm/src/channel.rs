//! Channels: messages from many senders to one receiver, between actors, tasks and OS threads.
//!
//! | constructor | holds | sending waits |
//! |---|---|---|
//! | [`channel()`] | any number of messages | never |
//! | [`bounded(n)`](bounded) | at most `n` messages | while it is full |
//! | [`bounded(0)`](bounded) | none: a rendezvous | until the receiver takes the message |
//! | [`oneshot::channel()`] | one value, once | never |
//!
//! Every operation that waits has three faces, which can meet in one channel:
//!
//! | face | in | names |
//! |---|---|---|
//! | blocking | actors and OS threads | `send`, `recv`, and with `_timeout` or `_deadline` |
//! | async | tasks | `send_async`, `recv_async`, `poll_recv`, a [`Stream`](futures_core::Stream), a [`Sink`](futures_sink::Sink) |
//! | immediate | anywhere | `try_send`, `try_recv` |
//!
//! ```
//! use smarm::channel::channel;
//!
//! let (tx, rx) = channel();
//! for worker in 0..3 {
//!     let tx = tx.clone();
//!     std::thread::spawn(move || tx.send(worker * 10).unwrap());
//! }
//! drop(tx);
//! let mut results: Vec<i32> = rx.iter().collect();
//! results.sort();
//! assert_eq!(results, [0, 10, 20]);
//! ```
//!
//! What all of them promise:
//!
//! - The messages of one sender are received in the order of sending.
//! - A send that fails gives its message back.
//! - When the last sender is gone, the receiver gets what was sent, and then learns that the channel
//!   is closed. When the receiver is gone, the messages that it has not received are dropped, each
//!   once, and senders, also those that wait, have theirs given back.
//! - Senders that wait are served in the order of their coming, and nobody overtakes them.
//! - A wait that ends early (its time is up, its future is dropped, its actor is killed) loses no
//!   message: it was received, or it is still in the channel; it was sent, or it is given back.
//! - An operation that need not wait takes no lock, unless somebody else waits to send.
//!
//! What becomes of an async operation that is *dropped half-way*, as a `select!` does with those that
//! lose, stands with each.
//!
//! For many receivers see [`sync::mpmc`](crate::sync::mpmc), whose senders are the same.
//!
//! How it is done stands in the files `list` (the queue), `bound` (permits and waiting senders),
//! `many` (many receivers), `waitlist` (the queue of those who wait) and `shared` (who frees what).

mod block;
mod bound;
mod claim;
pub(crate) mod crowd;
mod error;
pub(crate) mod iterators;
mod list;
mod many;
#[cfg(all(test, smarm_loom))]
mod models;
pub mod oneshot;
mod receive;
mod rendezvous;
mod reserve;
mod send;
mod sending;
mod shared;
mod sink;
mod stream;
#[cfg(any(test, smarm_fuzz))]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod waitlist;

#[doc(hidden)]
pub use claim::{Claim, Claimant};
pub use error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
#[doc(hidden)]
pub use receive::Wait;
pub use receive::{IntoIter, Iter, Receiver, Recv, TryIter};
pub use reserve::SendFrom;
pub use send::Sender;
pub use sending::Sending;

pub(crate) use many::{Receive, Receivers};

use bound::Bound;
use shared::Shared;

/// Makes a channel that holds any number of messages, so that sending never waits.
///
/// It needs memory for the messages that are there, and for at least one block of 32. A receiver that
/// is slower than its senders for long is better served by [`bounded`].
///
/// ```
/// use smarm::channel::{channel, RecvError};
///
/// let (tx, rx) = channel();
/// tx.send("hello").unwrap();
/// drop(tx);
/// assert_eq!(rx.recv(), Ok("hello"));
/// assert_eq!(rx.recv(), Err(RecvError::Closed));
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Shared::allocate(None, None);
    // SAFETY: a new `shared` counts one sender, and the receiver is its only one.
    unsafe { (Sender::new(shared), Receiver::new(shared)) }
}

/// Makes a channel that holds at most `capacity` messages: sending waits while it is full.
///
/// With a capacity of 0 it is a rendezvous: a message goes from a sender that waits to the receiver,
/// or from a sender to a receiver that waits.
///
/// # Panics
/// If `capacity` is more than `usize::MAX / 8`.
///
/// ```
/// use smarm::channel::{bounded, SendTimeoutError, TrySendError};
/// use std::time::Duration;
///
/// let (tx, rx) = bounded(1);
/// tx.send(1).unwrap();
/// assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!(tx.send_timeout(2, Duration::from_millis(1)), Err(SendTimeoutError::TimedOut(2)));
/// std::thread::spawn(move || tx.send(2).unwrap()); // Waits until 1 is received.
/// assert_eq!(rx.recv(), Ok(1));
/// assert_eq!(rx.recv(), Ok(2));
/// ```
#[track_caller]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Shared::allocate(Some(Bound::new(capacity)), None);
    // SAFETY: a new `shared` counts one sender, and the receiver is its only one.
    unsafe { (Sender::new(shared), Receiver::new(shared)) }
}
