//! A channel whose every message goes to every receiver, through a ring of bounded size: a receiver
//! that is too slow loses the oldest messages, and learns how many.
//!
//! | word | meaning |
//! |---|---|
//! | position | the number of a message; it lies in the slot `position % capacity` |
//! | tail | the position of the next message |
//! | lagging | of a receiver: its next message has been overwritten |
//!
//! Sending never waits: it overwrites the oldest message. It fails, and gives the message back, while
//! there is no receiver.
//!
//! | face of receiving | in | names |
//! |---|---|---|
//! | blocking | actors and OS threads | `recv`, `recv_timeout`, `recv_deadline` |
//! | async | tasks | `recv_async`, a [`Stream`](futures_core::Stream) |
//! | immediate | anywhere | `try_recv` |
//!
//! ```
//! use smarm::sync::broadcast::{self, RecvError};
//!
//! let (tx, mut rx) = broadcast::channel(2);
//! let mut other = tx.subscribe();
//! assert_eq!(tx.send("one"), Ok(2));
//! assert_eq!((rx.recv(), other.recv()), (Ok("one"), Ok("one")));
//! for word in ["two", "three", "four"] {
//!     tx.send(word).unwrap();
//! }
//! assert_eq!(rx.recv(), Err(RecvError::Lagged(1))); // "two" is lost,
//! assert_eq!(rx.recv(), Ok("three")); // and it goes on with the oldest that is there
//! drop(tx);
//! assert_eq!(rx.recv(), Ok("four"));
//! assert_eq!(rx.recv(), Err(RecvError::Closed));
//! ```
//!
//! - A receiver gets what is sent after it was made ([`subscribe`](Sender::subscribe),
//!   [`resubscribe`](Receiver::resubscribe)), in the order of sending, which is the same for all.
//! - A message is kept once, and cloned for each receiver but the last, which gets the message itself. It is
//!   dropped when all have received it, or it was overwritten.
//! - When the last sender is gone, receivers get what is there, and then learn that the channel is closed.
//!
//! Sending takes the ring's lock, puts the message in with the number of receivers who have it to get,
//! unlocks, and wakes all who wait, if any (`channel/crowd`). Receiving takes the lock, and the message
//! out of its slot by a count of references. Clones are made, messages dropped, and receivers woken
//! outside the lock.
//!
//! Rejected: a lock in each slot, which is held while a message is cloned (the clone is the user's
//! code: it may wait); a ring of the next power of two (the capacity is what was asked for).

mod error;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use std::mem;
use std::ops::Deref;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use error::{RecvError, TryRecvError};
pub use receiver::{Receiver, Recv};
pub use sender::Sender;

pub use super::departure::Closed;
use super::departure::Departure;
pub use crate::channel::SendError;
use crate::channel::crowd::Crowd;

/// Makes a channel that keeps the last `capacity` messages for receivers that are slow.
///
/// # Panics
/// If `capacity` is 0, or more than memory can hold.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    ring: Mutex<Ring<T>>,
    /// That of the ring, to be looked at without its lock.
    tail: AtomicU64,
    senders: AtomicUsize,
    /// The last sender is gone.
    closed: AtomicBool,
    /// Receivers wait for messages, and for the end.
    arrivals: Crowd,
    /// Senders wait for the last receiver to leave.
    departure: Departure,
}

struct Ring<T> {
    slots: Box<[Slot<T>]>,
    tail: u64,
    receivers: usize,
}

struct Slot<T> {
    /// None when all have received it.
    message: Option<Arc<T>>,
    /// How many have it still to receive.
    left: usize,
}

impl<T> Slot<T> {
    /// One receiver takes its share: the last one the message itself.
    fn share(&mut self) -> Option<Arc<T>> {
        self.left -= 1;
        if self.left == 0 { self.message.take() } else { self.message.clone() }
    }

    /// One receiver leaves its share. Gives the message if no other has it to receive.
    fn give_up(&mut self) -> Option<Arc<T>> {
        self.left -= 1;
        if self.left == 0 { self.message.take() } else { None }
    }
}

impl<T> Ring<T> {
    fn slot(&mut self, position: u64) -> &mut Slot<T> {
        let capacity = self.slots.len() as u64;
        &mut self.slots[(position % capacity) as usize]
    }

    /// The oldest position that is not overwritten.
    fn oldest(&self) -> u64 {
        self.tail.saturating_sub(self.slots.len() as u64)
    }

    /// Puts a message in; gives the one that it overwrites.
    fn push(&mut self, message: Arc<T>) -> Option<Arc<T>> {
        let left = self.receivers;
        let tail = self.tail;
        self.tail += 1;
        mem::replace(self.slot(tail), Slot { message: Some(message), left }).message
    }
}

impl<T> Shared<T> {
    fn new(capacity: usize) -> Self {
        let slots = (0..capacity).map(|_| Slot { message: None, left: 0 }).collect();
        Shared {
            ring: Mutex::new(Ring { slots, tail: 0, receivers: 0 }),
            tail: AtomicU64::new(0),
            senders: AtomicUsize::new(1),
            closed: AtomicBool::new(false),
            arrivals: Crowd::new(),
            departure: Departure::new(),
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring<T>> {
        // No code of the user runs under the lock.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a receiver. Gives the position of its first message.
    fn subscribe(&self) -> u64 {
        let mut ring = self.ring();
        ring.receivers += 1;
        self.departure.arrive();
        ring.tail
    }

    /// Whether a receiver at `next` need not wait.
    fn has_news(&self, next: u64) -> bool {
        self.tail.load(SeqCst) != next || self.closed.load(SeqCst)
    }
}

/// The arrivals of a channel, of which it keeps alive what it needs.
struct Arrivals<T>(Arc<Shared<T>>);

impl<T> Deref for Arrivals<T> {
    type Target = Crowd;

    fn deref(&self) -> &Crowd {
        &self.0.arrivals
    }
}
