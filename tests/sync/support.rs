//! Hand-polled futures, and a long time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// No test waits so long: its bound of patience is shorter.
pub const LONG: Duration = Duration::from_secs(3600);

/// Long enough for a switch, short enough to wait for.
pub const SHORT: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A future that is polled by hand, and how often it was woken.
pub struct Polled<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Count>,
}

impl<'a, T> Polled<'a, T> {
    pub fn new(future: impl Future<Output = T> + 'a) -> Self {
        Polled { future: Box::pin(future), wakes: Arc::default() }
    }

    /// One that has taken its place: it was polled once, and is pending.
    #[track_caller]
    pub fn waiting(future: impl Future<Output = T> + 'a) -> Self {
        let mut polled = Self::new(future);
        assert!(polled.is_pending(), "it has nothing to wait for");
        polled
    }

    pub fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    pub fn is_pending(&mut self) -> bool {
        self.poll().is_pending()
    }

    /// What it gives, as it is ready.
    #[track_caller]
    pub fn ready(&mut self) -> T {
        match self.poll() {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it is pending"),
        }
    }

    pub fn wakes(&self) -> usize {
        self.wakes.0.load(SeqCst)
    }
}

/// Whether the future could be used by a task that moves between threads.
pub fn send<F: Send>(future: F) -> F {
    future
}
