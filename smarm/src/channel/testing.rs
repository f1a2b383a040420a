//! What the tests of the primitives share: wakers that count, and messages that are counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

/// So often, or under Miri, which is slow, some times.
pub(crate) const fn times(count: usize) -> usize {
    if cfg!(miri) { count.div_ceil(300) } else { count }
}

/// As [`times`], and where tests run again and again a part of it, with `SMARM_TEST_PART=10` a tenth.
pub(crate) fn part_of(count: usize) -> usize {
    times(count / part().max(1)).max(1)
}

fn part() -> usize {
    std::env::var("SMARM_TEST_PART").map_or(0, |part| part.parse().expect("SMARM_TEST_PART is a number"))
}

/// Every round, or under Miri some of the first ones; where tests run again and again a part of them, with
/// `SMARM_TEST_PART=10` one in eleven. Odd and even ones.
pub(crate) fn rounds(count: usize) -> impl Iterator<Item = usize> {
    let (end, step) = if cfg!(miri) { (count / 10, 7) } else { (count, part() | 1) };
    (0..end).step_by(step)
}

/// A waker that counts its wakes.
pub(crate) struct Wakes(Arc<Count>);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Wakes(Arc::default())
    }

    pub(crate) fn waker(&self) -> Waker {
        Arc::clone(&self.0).into()
    }

    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&self.waker()))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    /// How many references to the waker exist, this one included.
    pub(crate) fn references(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// Counts the tokens that it gave out and that are alive.
pub(crate) struct Counted(Arc<AtomicUsize>);

/// A message that is counted while it is alive.
#[derive(Debug)]
pub(crate) struct Token(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new() -> Self {
        Counted(Arc::default())
    }

    pub(crate) fn token(&self) -> Token {
        self.0.fetch_add(1, SeqCst);
        Token(Arc::clone(&self.0))
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let before = self.0.fetch_sub(1, SeqCst);
        assert!(before > 0, "a token was dropped twice");
    }
}
