//! A wake-up made by hand, from std alone: what smarm's own primitives are compared with.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// Counts up, and wakes those who wait for a count.
#[derive(Clone, Debug, Default)]
pub struct Signal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl Signal {
    /// At 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts up by one and wakes all who wait.
    pub fn raise(&self) {
        self.0.count.fetch_add(1, SeqCst);
        self.rouse();
    }

    /// Wakes all who wait, for nothing.
    pub fn rouse(&self) {
        let waiting = std::mem::take(&mut *self.0.waiting.lock().expect("nothing panics under the lock"));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How often it was raised.
    pub fn count(&self) -> usize {
        self.0.count.load(SeqCst)
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.0.waiting.lock().expect("nothing panics under the lock").len()
    }

    /// Ready once it was raised this often.
    pub fn reached(&self, count: usize) -> impl Future<Output = ()> + Send + use<> {
        let inner = self.0.clone();
        poll_fn(move |cx| {
            if inner.count.load(SeqCst) >= count {
                return Poll::Ready(());
            }
            let mut waiting = inner.waiting.lock().expect("nothing panics under the lock");
            if !waiting.iter().any(|known| known.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            drop(waiting);
            // A raise in between found no waker.
            if inner.count.load(SeqCst) >= count { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// Waits, in an actor or on a thread, until it was raised this often.
    #[track_caller]
    pub fn wait(&self, count: usize) {
        smarm::compat::await_future(self.reached(count));
    }
}
