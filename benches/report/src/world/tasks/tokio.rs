//! tokio's tasks with tokio's channels.

use std::future::{Future, poll_fn};
use std::task::Poll;

use ::tokio::sync::mpsc;

use super::World;

pub struct Tokio;

impl World for Tokio {
    type Sender<T: Send + 'static> = mpsc::UnboundedSender<T>;
    type Receiver<T: Send + 'static> = mpsc::UnboundedReceiver<T>;
    type BoundedSender<T: Send + 'static> = mpsc::Sender<T>;
    type BoundedReceiver<T: Send + 'static> = mpsc::Receiver<T>;

    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>) {
        mpsc::unbounded_channel()
    }

    #[inline]
    async fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> bool {
        sender.send(message).is_ok()
    }

    #[inline]
    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> impl Future<Output = Option<T>> + Send {
        receiver.recv()
    }

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>) {
        mpsc::channel(capacity)
    }

    #[inline]
    async fn send_bounded<T: Send + 'static>(sender: &Self::BoundedSender<T>, message: T) -> bool {
        sender.send(message).await.is_ok()
    }

    #[inline]
    fn recv_bounded<T: Send + 'static>(
        receiver: &mut Self::BoundedReceiver<T>,
    ) -> impl Future<Output = Option<T>> + Send {
        receiver.recv()
    }
}

/// As [`Tokio`]; gives way by waking itself: the cheapest way, which does not let the I/O driver run.
pub struct SelfWaking;

impl World for SelfWaking {
    type Sender<T: Send + 'static> = <Tokio as World>::Sender<T>;
    type Receiver<T: Send + 'static> = <Tokio as World>::Receiver<T>;
    type BoundedSender<T: Send + 'static> = <Tokio as World>::BoundedSender<T>;
    type BoundedReceiver<T: Send + 'static> = <Tokio as World>::BoundedReceiver<T>;

    fn yield_now() -> impl Future<Output = ()> + Send {
        let mut woken = false;
        poll_fn(move |cx| {
            if woken {
                return Poll::Ready(());
            }
            woken = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>) {
        Tokio::channel()
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> impl Future<Output = bool> + Send {
        Tokio::send(sender, message)
    }

    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> impl Future<Output = Option<T>> + Send {
        Tokio::recv(receiver)
    }

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>) {
        Tokio::bounded(capacity)
    }

    fn send_bounded<T: Send + 'static>(
        sender: &Self::BoundedSender<T>,
        message: T,
    ) -> impl Future<Output = bool> + Send {
        Tokio::send_bounded(sender, message)
    }

    fn recv_bounded<T: Send + 'static>(
        receiver: &mut Self::BoundedReceiver<T>,
    ) -> impl Future<Output = Option<T>> + Send {
        Tokio::recv_bounded(receiver)
    }
}
