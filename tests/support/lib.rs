//! What the tests share: bounded patience, child processes, hand-made wake-ups, and counters of
//! drops.
//!
//! No test sleeps to let something happen. It waits for a condition with [`until`] or for a
//! [`Signal`], inside [`within`], which ends the process with the test's name when that never comes.

pub mod child;
mod patience;
mod signal;

use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use smarm::{Config, Runtime};

pub use patience::{PATIENCE, within};
pub use signal::Signal;

/// A runtime of this many workers.
pub fn workers(count: usize) -> Runtime {
    smarm::runtime::init(Config::exact(count))
}

/// This configuration without chaos, whatever the environment says: for tests of what chaos disturbs, such as
/// the number of allocations or system calls, and the length of slices.
pub fn calm(config: Config) -> Config {
    #[cfg(feature = "chaos")]
    let config = config.chaos(smarm::Chaos::off());
    config
}

/// How many actors, connections or rounds a long test has: all, or where tests run again and again a part of them, with
/// `SMARM_TEST_PART=10` a tenth.
pub fn part_of(all: usize) -> usize {
    let part =
        std::env::var("SMARM_TEST_PART").map_or(1, |part| part.parse().expect("SMARM_TEST_PART is a number"));
    (all / part).max(1)
}

/// Lets others run until `condition` holds: other actors in an actor, other threads elsewhere.
pub fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        smarm::yield_now();
    }
}

/// Waits for `condition` on a plain thread and leaves the processor to others: for what is seconds away, or is brought
/// about by other processes.
pub fn until_idly(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(2));
    }
}

/// An address at which nobody listens while the `listener` has its own: that port of another loopback address. No
/// connection comes from there either, least of all the one that is asked for, which to the port from which it
/// happens to go out itself would be made.
pub fn nobody_beside(listener: SocketAddr) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 2], listener.port()))
}

/// Runs `future` to its end on this thread, which parks between polls: a small executor that knows
/// nothing of smarm.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

/// Counts how many of the [`Counted`] that it gave out were dropped.
#[derive(Clone, Debug, Default)]
pub struct Drops(Arc<AtomicUsize>);

impl Drops {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something whose drop is counted.
    pub fn counted(&self) -> Counted {
        Counted(self.0.clone())
    }

    /// How many were dropped.
    pub fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Its drop is counted by the [`Drops`] that gave it out.
#[derive(Debug)]
pub struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Calls a closure when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The text of a panic.
#[track_caller]
pub fn message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => panic!("the payload is no text"),
    }
}

/// The text of the panic of `f`, which must panic.
#[track_caller]
pub fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(_) => panic!("it did not panic"),
        Err(payload) => message(&*payload).to_owned(),
    }
}
