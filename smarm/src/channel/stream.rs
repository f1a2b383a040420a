//! The receiving half as a [`Stream`].

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::receive::Receiver;

/// The messages as they come, until the channel is closed and empty.
///
/// Dropped half-way, a future made of the stream (such as `StreamExt::next` of the crate `futures`)
/// loses nothing: a message is taken only by the poll that gives it. Its waker stays with the channel,
/// which wakes it once, for nothing; and in a channel of capacity 0 one `try_send` may leave its message
/// there, which the next receive gets.
///
/// ```
/// use futures::StreamExt;
///
/// smarm::run(|| {
///     let (tx, rx) = smarm::channel();
///     smarm::spawn(move || (1..=3).for_each(|n| tx.send(n).unwrap()));
///     let doubled = smarm::compat::await_future(rx.map(|n| 2 * n).collect::<Vec<_>>());
///     assert_eq!(doubled, [2, 4, 6]);
/// });
/// ```
impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_recv(cx).map(Result::ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}
