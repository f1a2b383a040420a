//! A future of somebody else's as an arm: polled, and dropped, on the worker's own deep stack.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{AnyFuture, Selectable};
use crate::actor::native::{drop_natively, poll_natively};

/// The wait for a future that is not [`Shallow`](super::Shallow).
#[must_use = "futures do nothing unless awaited"]
pub struct Foreign<F> {
    /// Pinned with this, and dropped in place.
    future: Option<F>,
}

impl<F: Future> Selectable for AnyFuture<F> {
    type Output = F::Output;
    type Wait = Foreign<F>;

    fn into_wait(self) -> Foreign<F> {
        Foreign { future: Some(self.into_inner()) }
    }
}

impl<F: Future> Future for Foreign<F> {
    type Output = F::Output;

    /// # Panics
    /// If polled after it was ready. A panic of the future continues here.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future stays where it is, and is dropped in place.
        let mut future = unsafe { self.map_unchecked_mut(|this| &mut this.future) };
        poll_natively(|| {
            let polled =
                future.as_mut().as_pin_mut().expect("a future was polled after it was ready").poll(cx);
            if polled.is_ready() {
                future.set(None);
            }
            polled
        })
    }
}

impl<F> Drop for Foreign<F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            drop_natively(&mut self.future);
        }
    }
}

impl<F> fmt::Debug for Foreign<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").field("pending", &self.future.is_some()).finish()
    }
}
