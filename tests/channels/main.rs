//! Channels, measured by what their well-known counterparts document. Each module has a table of that,
//! with a test for each line.

mod basics;
mod broadcast;
mod concurrent;
mod ends;
mod faces;
mod mail;
mod mailbox;
mod model;
mod mpmc;
mod mpsc;
mod oneshot;
mod rendezvous;
mod std_examples;
mod watch;
mod worlds;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that counts its wakes.
#[derive(Clone, Default)]
struct Wakes(Arc<Count>);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Wakes {
    fn waker(&self) -> Waker {
        Arc::clone(&self.0).into()
    }

    fn count(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    fn poll<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&self.waker()))
    }
}

/// Polls once, with a waker that nobody hears.
fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A message whose destructor panics, unless the thread panics already.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a destructor that panics");
        }
    }
}

/// Whether `f` panics.
fn panics<R>(f: impl FnOnce() -> R) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err()
}
