//! The sending half as a [`Sink`], for async code that is made of combinators.
//!
//! A sink has a place of its own for one message, on top of the channel's capacity: a message that is
//! started while the channel is full takes its place in the queue of those who wait to send, at once,
//! and the receiver fetches it from there whether or not the sink is polled again. So a sink that is
//! left alone half-way delivers what it has accepted, in order with the others.
//!
//! Rejected: to reserve room in `poll_ready`. A sink that is left alone after that would keep the
//! room from all others, and in a channel of capacity 1 for ever.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_sink::Sink;

use super::error::{SendError, TrySendError};
use super::send::Sender;
use super::sending::Delivery;

/// Sends what async combinators bring, such as `StreamExt::forward` and `SinkExt::send_all` of the
/// crate `futures`. An unbounded channel's sink is always ready.
///
/// Dropped half-way, a future of such a combinator leaves a message that the sink has accepted
/// (`start_send`) with the sink: it is on its way, is received when its turn comes, and needs no
/// further poll; one that the sink has not accepted is dropped with that future. Dropping the sender
/// itself takes a message that still waits for room back out of the queue and drops it: `flush` first.
///
/// Closing the sink flushes it. The receiver learns of the end when the last sender is dropped.
///
/// # Errors
/// [`SendError`] gives back the message that the channel has not taken because the receiver is gone:
/// the one of this `start_send`, or the one that a `poll_ready`, `poll_flush` or `poll_close` waited for.
///
/// ```
/// use futures::{SinkExt, StreamExt, stream};
/// use smarm::channel::bounded;
///
/// smarm::run(|| {
///     let (mut tx, rx) = bounded(1);
///     let source = smarm::spawn(move || {
///         smarm::compat::await_future(tx.send_all(&mut stream::iter([1, 2, 3]).map(Ok)))
///     });
///     assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2, 3]);
///     source.join().unwrap().unwrap();
/// });
/// ```
impl<T> Sink<T> for Sender<T> {
    type Error = SendError<T>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_delivered(cx)
    }

    /// # Panics
    /// Without a `poll_ready` that was ready.
    fn start_send(self: Pin<&mut Self>, message: T) -> Result<(), SendError<T>> {
        let this = self.get_mut();
        assert!(this.delivery.is_none(), "`start_send` without a `poll_ready` that was ready");
        let message = match this.shared().try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(message)) => return Err(SendError(message)),
            Err(TrySendError::Full(message)) => message,
        };
        // SAFETY: this sender is counted, and drops the delivery before it leaves.
        let mut delivery = Box::pin(unsafe { Delivery::new(this.shared, message) });
        // Queued at once, so that nothing overtakes it; who polls for it next says whom to wake.
        match delivery.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent,
            Poll::Pending => {
                this.delivery = Some(delivery);
                Ok(())
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_delivered(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_delivered(cx)
    }
}

impl<T> Sender<T> {
    /// Waits until the sink's own place is free.
    fn poll_delivered(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let Some(delivery) = &mut self.delivery else { return Poll::Ready(Ok(())) };
        let sent = ready!(delivery.as_mut().poll(cx));
        self.delivery = None;
        Poll::Ready(sent)
    }
}
