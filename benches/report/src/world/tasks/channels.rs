//! tokio's tasks with the channels of kanal and of flume.

use super::World;

pub struct Kanal;

impl World for Kanal {
    type Sender<T: Send + 'static> = kanal::AsyncSender<T>;
    type Receiver<T: Send + 'static> = kanal::AsyncReceiver<T>;
    type BoundedSender<T: Send + 'static> = kanal::AsyncSender<T>;
    type BoundedReceiver<T: Send + 'static> = kanal::AsyncReceiver<T>;

    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>) {
        kanal::unbounded_async()
    }

    #[inline]
    async fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> bool {
        sender.send(message).await.is_ok()
    }

    #[inline]
    async fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().await.ok()
    }

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>) {
        kanal::bounded_async(capacity)
    }

    #[inline]
    async fn send_bounded<T: Send + 'static>(sender: &Self::BoundedSender<T>, message: T) -> bool {
        sender.send(message).await.is_ok()
    }

    #[inline]
    async fn recv_bounded<T: Send + 'static>(receiver: &mut Self::BoundedReceiver<T>) -> Option<T> {
        receiver.recv().await.ok()
    }
}

pub struct Flume;

impl World for Flume {
    type Sender<T: Send + 'static> = flume::Sender<T>;
    type Receiver<T: Send + 'static> = flume::Receiver<T>;
    type BoundedSender<T: Send + 'static> = flume::Sender<T>;
    type BoundedReceiver<T: Send + 'static> = flume::Receiver<T>;

    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>) {
        flume::unbounded()
    }

    #[inline]
    async fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> bool {
        sender.send(message).is_ok()
    }

    #[inline]
    async fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv_async().await.ok()
    }

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>) {
        flume::bounded(capacity)
    }

    #[inline]
    async fn send_bounded<T: Send + 'static>(sender: &Self::BoundedSender<T>, message: T) -> bool {
        sender.send_async(message).await.is_ok()
    }

    #[inline]
    async fn recv_bounded<T: Send + 'static>(receiver: &mut Self::BoundedReceiver<T>) -> Option<T> {
        receiver.recv_async().await.ok()
    }
}
