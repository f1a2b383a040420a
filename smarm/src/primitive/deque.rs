//! The work-stealing deques, which no engine can look into and whose memory never comes back before the process ends,
//! which Miri calls a leak: a list under a lock, whose length can be looked at as crossbeam-deque's can, with the same
//! orderings.
//!
//! | here | crossbeam-deque |
//! |---|---|
//! | `length` is stored with `Release` by a push | `Worker::push` stores `back`, `Injector::push` the state of the slot |
//! | `is_empty` of a stealer: a `SeqCst` fence, then an `Acquire` load | the same, of `front` and `back` |
//! | `is_empty` of the injector: a `SeqCst` load | the same, of `head` and `tail` |
//! | taking is one step under the lock | a loop with compare-and-exchange, which tells of lost races with `Retry` |

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::Mutex;
use super::atomic::{AtomicUsize, fence};

#[derive(Debug, Default)]
struct Inner {
    items: Mutex<VecDeque<u32>>,
    length: AtomicUsize,
}

impl Inner {
    fn change<R>(&self, f: impl FnOnce(&mut VecDeque<u32>) -> R) -> R {
        let mut items = self.items.lock().expect("never poisoned");
        let result = f(&mut items);
        self.length.store(items.len(), Release);
        result
    }
}

/// What a steal gives.
pub(crate) enum Steal<T> {
    Empty,
    Success(T),
    /// Never here.
    #[allow(dead_code, reason = "callers match it")]
    Retry,
}

fn stolen(item: Option<u32>) -> Steal<u32> {
    item.map_or(Steal::Empty, Steal::Success)
}

/// Generic as the real one is, used for `u32` only.
#[derive(Debug)]
pub(crate) struct Worker<T>(Arc<Inner>, std::marker::PhantomData<T>);

impl Worker<u32> {
    pub(crate) fn new_lifo() -> Self {
        Self(Arc::default(), std::marker::PhantomData)
    }
    pub(crate) fn stealer(&self) -> Stealer<u32> {
        Stealer(self.0.clone(), std::marker::PhantomData)
    }
    pub(crate) fn push(&self, item: u32) {
        self.0.change(|items| items.push_back(item));
    }
    pub(crate) fn pop(&self) -> Option<u32> {
        self.0.change(VecDeque::pop_back)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub(crate) fn len(&self) -> usize {
        self.0.length.load(Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct Stealer<T>(Arc<Inner>, std::marker::PhantomData<T>);

impl Stealer<u32> {
    pub(crate) fn is_empty(&self) -> bool {
        fence(SeqCst);
        self.0.length.load(Acquire) == 0
    }
    pub(crate) fn steal(&self) -> Steal<u32> {
        stolen(self.0.change(VecDeque::pop_front))
    }
}

#[derive(Debug)]
pub(crate) struct Injector<T>(Inner, std::marker::PhantomData<T>);

impl Injector<u32> {
    pub(crate) fn new() -> Self {
        Self(Inner::default(), std::marker::PhantomData)
    }
    pub(crate) fn push(&self, item: u32) {
        self.0.change(|items| items.push_back(item));
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.length.load(SeqCst) == 0
    }
    /// Takes one only: a batch of one is allowed.
    pub(crate) fn steal_batch_and_pop(&self, _into: &Worker<u32>) -> Steal<u32> {
        stolen(self.0.change(VecDeque::pop_front))
    }
}
