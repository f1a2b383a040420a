//! Thread-locals for Miri, where the flows that take turns on one thread are threads of their own
//! (`context/threads.rs`): a value belongs to the thread in whose name the calling one goes on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

std::thread_local! {
    static NAME: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The thread in whose name the calling one goes on: at first, itself.
pub(crate) fn current() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    NAME.get().unwrap_or_else(|| {
        let own = LAST.fetch_add(1, Relaxed);
        NAME.set(Some(own));
        own
    })
}

/// From now on the calling thread goes on in the name of this one.
pub(crate) fn go_on_as(thread: u64) {
    NAME.set(Some(thread));
}

/// As [`std::thread::LocalKey`].
pub(crate) struct LocalKey<T> {
    first: fn() -> T,
    values: Mutex<BTreeMap<u64, OfThread<T>>>,
}

struct OfThread<T>(T);

// SAFETY: it is used in the name of one thread only, by one flow after the other.
unsafe impl<T> Send for OfThread<T> {}

impl<T: Copy> LocalKey<Cell<T>> {
    pub(crate) const fn new(first: fn() -> Cell<T>) -> Self {
        Self { first, values: Mutex::new(BTreeMap::new()) }
    }

    pub(crate) fn get(&self) -> T {
        self.with(Cell::get)
    }

    pub(crate) fn set(&self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn replace(&self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    fn with<R>(&self, f: impl FnOnce(&Cell<T>) -> R) -> R {
        let mut values = self.values.lock().expect("never poisoned");
        f(&values.entry(current()).or_insert_with(|| OfThread((self.first)())).0)
    }
}

/// See [`std::thread_local`].
macro_rules! flow_local {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = const { $value:expr };) => {
        $(#[$attribute])*
        static $name: $crate::primitive::flows::LocalKey<$type> =
            $crate::primitive::flows::LocalKey::new(|| $value);
    };
}
pub(crate) use flow_local as thread_local;
