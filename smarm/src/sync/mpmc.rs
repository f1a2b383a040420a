//! Channels with many senders and many receivers: each message is received once, by one of them.
//!
//! | constructor | holds | sending waits |
//! |---|---|---|
//! | [`unbounded()`] | any number of messages | never |
//! | [`bounded(n)`](bounded) | at most `n` messages | while it is full |
//! | [`bounded(0)`](bounded) | none: a rendezvous | until a receiver takes the message |
//!
//! The sending half is that of [`channel`](mod@crate::channel), with all its faces. The receiving half
//! can be cloned and shared:
//!
//! | face | in | names |
//! |---|---|---|
//! | blocking | actors and OS threads | `recv`, `recv_timeout`, `recv_deadline`, `iter` |
//! | async | tasks | `recv_async`, a [`Stream`](futures_core::Stream) |
//! | immediate | anywhere | `try_recv`, `try_iter` |
//!
//! ```
//! use smarm::sync::mpmc;
//!
//! smarm::run(|| {
//!     let (jobs, queue) = mpmc::unbounded();
//!     let workers: Vec<_> = (0..4)
//!         .map(|_| {
//!             let queue = queue.clone();
//!             smarm::spawn(move || queue.iter().map(|n: u64| n * n).sum::<u64>())
//!         })
//!         .collect();
//!     for n in 1..=10 {
//!         jobs.send(n).unwrap();
//!     }
//!     drop(jobs); // the workers end when all is done
//!     let sum: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
//!     assert_eq!(sum, 385);
//! });
//! ```
//!
//! What all of them promise:
//!
//! - *First in, first out*: who receives, receives the oldest message. So one sender's messages are
//!   received in the order of sending, whoever receives them.
//! - A message wakes one receiver that waits, the one that has waited longest. It is not kept for that
//!   one: a receiver that comes meanwhile may be faster, and then the other waits on.
//! - When the last sender is gone, receivers get what was sent, and then learn that the channel is closed.
//!   When the last receiver is gone, what is left is dropped, and senders have their messages given back.
//! - Senders that wait are served in the order of their coming, and nobody overtakes them.
//! - A wait that ends early loses no message: what a receiver was woken for goes to another.
//! - A rendezvous takes a message without waiting only while a receiver waits. If that gives up at
//!   that very moment, the message stays for the next one that receives.
//!
//! How it is done stands in the file `channel/many`.

mod receiver;
#[cfg(test)]
mod tests;

pub use receiver::{IntoIter, Iter, Receiver, Recv, TryIter};

pub use crate::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, Sending, TryRecvError, TrySendError,
};

use crate::channel::Receivers;

/// Makes a channel that holds any number of messages, so that sending never waits.
///
/// ```
/// use smarm::sync::mpmc;
///
/// let (tx, rx) = mpmc::unbounded();
/// let other = rx.clone();
/// tx.send(1).unwrap();
/// tx.send(2).unwrap();
/// assert_eq!((rx.recv(), other.recv()), (Ok(1), Ok(2)));
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receivers) = Receivers::allocate(None);
    (sender, Receiver::new(receivers))
}

/// Makes a channel that holds at most `capacity` messages: sending waits while it is full. With a
/// capacity of 0 it is a rendezvous: a message goes from a sender to a receiver while both wait.
///
/// # Panics
/// If `capacity` is more than `usize::MAX / 8`.
///
/// ```
/// use smarm::sync::mpmc;
///
/// let (tx, rx) = mpmc::bounded(0);
/// assert!(tx.try_send(1).is_err(), "nobody waits for it");
/// std::thread::spawn(move || tx.send(2).unwrap()); // waits until 2 is received
/// assert_eq!(rx.recv(), Ok(2));
/// ```
#[track_caller]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receivers) = Receivers::allocate(Some(capacity));
    (sender, Receiver::new(receivers))
}
