//! Whether one descriptor is ready in one direction, and who waits for that.
//!
//! The state is one word: three flags and a tick, which counts the reactor's events. An attempt
//! that would block clears the readiness *that it saw*: if an event came since, the tick differs,
//! and the newer readiness stays.
//!
//! 1. A wait loads the word. If it is ready, the wait makes its attempt, and clears what it saw
//!    (compare and exchange) if that would block or came back short.
//! 2. If it is not ready, the wait takes the lock, loads the word again, and puts its waker into
//!    the list, unless the descriptor has become ready.
//! 3. An event changes the word, then takes the lock and the wakers, and wakes them after it.
//!
//! No wake is lost: if the load under the lock (2) does not see the event, then the event's turn
//! with the lock (3) comes after the waker was put in.
//!
//! A short transfer shows that the kernel's buffer is empty (or full), so the next wait need not
//! ask; but not once an event told of a hang-up, an error or urgent data, whose edge will not
//! come again: such readiness lasts until an attempt really blocks.

#[cfg(all(test, smarm_loom))]
mod models;

use std::io;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use super::{Attempt, ReactorGone, WaitId};
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::{Mutex, MutexGuard, Step, omits};

/// An attempt may succeed.
const READY: u64 = 1;
/// A short transfer proves nothing.
const LASTING: u64 = 2;
/// The reactor has ended: no further event will come.
const GONE: u64 = 4;
/// One event; the tick is the rest of the word.
const TICK: u64 = 8;

pub(super) struct Readiness {
    /// | flag | set by | cleared by |
    /// |---|---|---|
    /// | `READY` | an event | an attempt that would block, or was short while not `LASTING` |
    /// | `LASTING` | an event with a hang-up, an error or urgent data | an attempt that would block |
    /// | `GONE` | the end of the reactor | nobody |
    state: AtomicU64,
    /// Guards the list. Nothing foreign runs under it: no waker is cloned, dropped or woken.
    waiters: Mutex<Vec<Waiter>>,
}

struct Waiter {
    id: WaitId,
    waker: Waker,
}

impl Readiness {
    /// Ready, as far as anybody knows.
    pub(super) fn new() -> Readiness {
        Readiness { state: AtomicU64::new(READY), waiters: Mutex::new(Vec::new()) }
    }

    /// Steps 1 and 2.
    pub(super) fn poll(
        &self,
        id: WaitId,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>> {
        loop {
            // Pairs with `change`: what the event told of is there for the attempt.
            let seen = self.state.load(Ordering::Acquire);
            if seen & GONE != 0 {
                return Poll::Ready(Err(ReactorGone.into()));
            }
            if seen & READY == 0 {
                if self.enlist(id, cx.waker(), seen) {
                    return Poll::Pending;
                }
                continue;
            }
            match attempt() {
                Ok(Attempt::Done(count)) => return Poll::Ready(Ok(count)),
                Ok(Attempt::Short(count)) => {
                    if seen & LASTING == 0 {
                        self.clear(seen);
                    }
                    return Poll::Ready(Ok(count));
                }
                Ok(Attempt::WouldBlock) => self.clear(seen),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Removes the waker of a wait that has ended.
    pub(super) fn forget(&self, id: WaitId) {
        let mut waiters = self.lock();
        let waiter = waiters.iter().position(|waiter| waiter.id == id).map(|at| waiters.swap_remove(at));
        drop(waiters);
        drop(waiter);
    }

    /// Step 3 of an event; the caller wakes what is put into `woken`.
    pub(super) fn set(&self, lasting: bool, woken: &mut Vec<Waker>) {
        let flags = if lasting { READY | LASTING } else { READY };
        self.change(|state| (state | flags).wrapping_add(TICK), woken);
    }

    /// Step 3 of the end of the reactor; the caller wakes what is put into `woken`.
    pub(super) fn end(&self, woken: &mut Vec<Waker>) {
        self.change(|state| state | GONE, woken);
    }

    fn change(&self, next: impl Fn(u64) -> u64, woken: &mut Vec<Waker>) {
        // any => ready or gone: pairs with the loads in `poll` and `enlist`.
        let (Ok(_) | Err(_)) =
            self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| Some(next(state)));
        woken.extend(self.lock().drain(..).map(|waiter| waiter.waker));
    }

    fn clear(&self, seen: u64) {
        // ready => not ready, at the tick seen. A failure means that there is a newer event, or
        // that another attempt has cleared it: neither leaves anything to do.
        let (Ok(_) | Err(_)) =
            self.state.compare_exchange(seen, seen & !(READY | LASTING), Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Step 2; false if the word is no longer as it was seen.
    fn enlist(&self, id: WaitId, waker: &Waker, seen: u64) -> bool {
        let waker = waker.clone();
        let mut waiters = self.lock();
        // Pairs with `change`, whose turn with the lock comes later if this does not see its word.
        if !omits(Step::LookUnderLock) && self.state.load(Ordering::Acquire) != seen {
            drop(waiters);
            return false;
        }
        let old = match waiters.iter_mut().find(|waiter| waiter.id == id) {
            Some(waiter) => Some(std::mem::replace(&mut waiter.waker, waker)),
            None => {
                if waiters.capacity() == 0 {
                    // Most descriptors have one waiter, and there may be a great many of them.
                    waiters.reserve_exact(1);
                }
                waiters.push(Waiter { id, waker });
                None
            }
        };
        drop(waiters);
        drop(old);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
