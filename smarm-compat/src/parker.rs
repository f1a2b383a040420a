//! How a thread that has nothing to do sleeps until it is woken or a moment has come.
//!
//! | state | the thread |
//! |---|---|
//! | `EMPTY` | runs, and nobody has woken it since its last sleep |
//! | `NOTIFIED` | was woken: its next sleep ends at once |
//! | `PARKED` | sleeps, or is about to |
//!
//! A wake swaps in `NOTIFIED`, and only one that finds `PARKED` is a system call. A sleep that finds
//! `NOTIFIED` does not begin. No wake is lost: both sides change the one word by read-modify-writes.
//!
//! std's `park` alone would not do: its token may be taken by whatever else parks on this thread, such
//! as a std channel in an actor, and the sleep after that would miss its wake. Here it only ends the
//! pause between two looks at the word.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire},
};
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::Instant;

const EMPTY: u8 = 0;
const NOTIFIED: u8 = 1;
const PARKED: u8 = 2;

/// One thread's. As a waker it wakes that thread.
pub(crate) struct Parker {
    thread: Thread,
    /// See the module doc.
    state: AtomicU8,
}

impl Parker {
    /// The calling thread's.
    pub(crate) fn new() -> Self {
        Self { thread: thread::current(), state: AtomicU8::new(EMPTY) }
    }

    /// Sleeps until a wake since the last sleep, or until `deadline`. By the thread itself.
    pub(crate) fn park_until(&self, deadline: Option<Instant>) {
        debug_assert_eq!(self.thread.id(), thread::current().id());
        // EMPTY => PARKED. Acquire: pairs with the swap in `wake_by_ref`.
        if self.state.compare_exchange(EMPTY, PARKED, AcqRel, Acquire).is_ok() {
            while self.state.load(Acquire) == PARKED {
                match deadline {
                    None => thread::park(),
                    Some(deadline) => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        if left.is_zero() {
                            break;
                        }
                        thread::park_timeout(left);
                    }
                }
            }
        }
        // any => EMPTY: a swap, so that it also reads from a wake that came after the look above.
        self.state.swap(EMPTY, AcqRel);
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // any => NOTIFIED. Release: pairs with the operations in `park_until`.
        if self.state.swap(NOTIFIED, AcqRel) == PARKED {
            self.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wake_before_the_sleep_is_kept() {
        let parker = Arc::new(Parker::new());
        Waker::from(parker.clone()).wake();
        parker.park_until(None);
    }

    #[test]
    fn a_sleep_without_a_wake_lasts_until_its_deadline() {
        let parker = Parker::new();
        let deadline = Instant::now() + Duration::from_millis(2);
        thread::current().unpark(); // somebody else's token does not end it
        parker.park_until(Some(deadline));
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn each_wake_in_turn_ends_a_sleep() {
        let ours = Arc::new(Parker::new());
        let main = Waker::from(ours.clone());
        let (give, take) = std::sync::mpsc::channel();
        let other = thread::spawn(move || {
            let theirs = Arc::new(Parker::new());
            give.send(Waker::from(theirs.clone())).unwrap();
            for _ in 0..10_000 {
                theirs.park_until(None);
                main.wake_by_ref();
            }
        });
        let other_waker = take.recv().unwrap();
        for _ in 0..10_000 {
            other_waker.wake_by_ref();
            ours.park_until(None);
        }
        other.join().unwrap();
    }
}
