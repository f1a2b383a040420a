//! What the tests of the bridge share.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod epolls;
pub mod modes;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use smarm::{Config, JoinHandle, Runtime};
use tokio::runtime::Handle;

/// A runtime of this many workers, each a task of a tokio runtime of its own.
pub fn on_tokio(workers: usize) -> Runtime {
    smarm_compat::Builder::new().workers(workers).start().expect("the runtime starts")
}

/// As [`on_tokio`], of this configuration.
pub fn on_tokio_with(config: Config) -> Runtime {
    smarm_compat::Builder::new().config(config).start().expect("the runtime starts")
}

/// One worker, on which an actor that computes is made to yield after a millisecond or two.
pub fn on_tokio_with_short_slices() -> Runtime {
    on_tokio_with(Config::exact(1).slice(Duration::from_millis(1)))
}

/// An actor on a certain worker of the caller's runtime.
pub fn spawn_on<T: Send + 'static>(worker: usize, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    smarm::Builder::new().worker(worker).spawn(f).expect("there is such a worker, and a stack")
}

/// The tokio runtime of a certain worker of the caller's runtime.
pub fn tokio_of(worker: usize) -> Handle {
    spawn_on(worker, Handle::current).join().expect("the worker has a tokio context")
}

/// The number of the last worker.
pub fn last_worker() -> usize {
    smarm::Handle::current().workers() - 1
}

/// Polls `future` and calls `f` whenever it is dropped, ready or not, before the future itself goes.
pub struct WhenDropped<F, D: FnMut()> {
    pub future: Pin<Box<F>>,
    pub on_drop: D,
}

impl<F: Future, D: FnMut()> WhenDropped<F, D> {
    pub fn new(future: F, on_drop: D) -> Self {
        Self { future: Box::pin(future), on_drop }
    }
}

impl<F: Future, D: FnMut() + Unpin> Future for WhenDropped<F, D> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<F, D: FnMut()> Drop for WhenDropped<F, D> {
    fn drop(&mut self) {
        (self.on_drop)();
    }
}

/// `future`, and in its drop a look at tokio's context: counts into `seen` if all is there.
pub fn with_a_careful_drop<F: Future>(
    seen: &Arc<AtomicUsize>,
    future: F,
) -> impl Future<Output = F::Output> + use<F> {
    let seen = seen.clone();
    let home = Handle::current().id();
    WhenDropped::new(future, move || {
        assert_eq!(Handle::current().id(), home);
        // Things that only a living context can do.
        drop(tokio::time::sleep(Duration::from_secs(1)));
        drop(tokio::spawn(async {}));
        seen.fetch_add(1, SeqCst);
    })
}

/// Pending until its `n`th poll, and woken again at once: `n - 1` turns of the scheduler.
pub async fn turns(n: usize) {
    let mut left = n;
    poll_fn(|cx| {
        left -= 1;
        if left == 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
