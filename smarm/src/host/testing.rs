//! A host for tests: it polls one future on the calling thread and sleeps in the epoll in between.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::epoll::Epoll;

/// After this long a test that should have gone on has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `future` to its end, as a worker's turn would, with `epoll` as the thread's reactor.
#[track_caller]
pub(crate) fn run<F: Future>(epoll: &Epoll, future: F) -> F::Output {
    // SAFETY: the guard ends with this function, and no other is entered in it.
    let _entered = unsafe { super::enter(epoll) };
    let waker = epoll.waker();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
        epoll.wait(Some(Duration::from_secs(1))).unwrap();
        assert!(Instant::now() < patience, "the future was not ready in time");
    }
}
