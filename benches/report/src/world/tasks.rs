//! The worlds in which code awaits: tokio's tasks, with tokio's channels or others'.

use std::future::Future;
use std::ops::DerefMut;
use std::time::{Duration, Instant};

use ::tokio::sync::{self, oneshot};
use ::tokio::task::JoinHandle;

macro_rules! program {
    ($(#[$meta:meta])* pub fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$meta])*
        pub async fn $name<W: World>($($arg: $type),*) -> $result $body
    };
}

macro_rules! go {
    ($body:block) => {
        W::spawn(async move { $body })
    };
    ($worker:expr, $body:block) => {{
        // A task runs where its runtime likes.
        let _ = $worker;
        W::spawn(async move { $body })
    }};
}

macro_rules! wait {
    ($call:expr) => {
        $call.await
    };
}

#[path = "../programs/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "once for each kind of world")]
pub mod programs;

mod channels;
mod tokio;

pub use self::channels::{Flume, Kanal};
pub use self::tokio::{SelfWaking, Tokio};

/// What all tasks of tokio have, whatever channels they use.
pub trait OnTokio: 'static {
    type Join<T: Send + 'static>: Send + 'static;
    type Answerer<T: Send + 'static>: Send + 'static;
    type Answer<T: Send + 'static>: Send + 'static;
    type Mutex<T: Send + 'static>: Send + Sync + 'static;
    type Guard<'a, T: Send + 'static>: DerefMut<Target = T> + Send;

    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> Self::Join<T>;
    fn join<T: Send + 'static>(join: Self::Join<T>) -> impl Future<Output = T> + Send;
    /// A channel for one message.
    fn oneshot<T: Send + 'static>() -> (Self::Answerer<T>, Self::Answer<T>);
    fn answer<T: Send + 'static>(answerer: Self::Answerer<T>, message: T);
    fn hear<T: Send + 'static>(answer: Self::Answer<T>) -> impl Future<Output = T> + Send;
    /// Whether it came in time.
    fn hear_within<T: Send + 'static>(
        answer: Self::Answer<T>,
        time: Duration,
    ) -> impl Future<Output = Option<T>> + Send;
    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T>;
    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> impl Future<Output = Self::Guard<'_, T>> + Send;
    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> + Send;
    /// tokio has no such thing outside its own primitives.
    fn check() {}
    /// Nobody makes a task give way.
    fn undisturbed() -> impl Send {}
}

impl<W: 'static> OnTokio for W {
    type Join<T: Send + 'static> = JoinHandle<T>;
    type Answerer<T: Send + 'static> = oneshot::Sender<T>;
    type Answer<T: Send + 'static> = oneshot::Receiver<T>;
    type Mutex<T: Send + 'static> = sync::Mutex<T>;
    type Guard<'a, T: Send + 'static> = sync::MutexGuard<'a, T>;

    #[inline]
    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> Self::Join<T> {
        ::tokio::spawn(f)
    }

    async fn join<T: Send + 'static>(join: Self::Join<T>) -> T {
        join.await.expect("it does not panic")
    }

    fn oneshot<T: Send + 'static>() -> (Self::Answerer<T>, Self::Answer<T>) {
        oneshot::channel()
    }

    fn answer<T: Send + 'static>(answerer: Self::Answerer<T>, message: T) {
        answerer.send(message).ok().expect("somebody asked");
    }

    async fn hear<T: Send + 'static>(answer: Self::Answer<T>) -> T {
        answer.await.expect("an answer comes")
    }

    async fn hear_within<T: Send + 'static>(answer: Self::Answer<T>, time: Duration) -> Option<T> {
        ::tokio::time::timeout(time, answer).await.ok()?.ok()
    }

    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T> {
        sync::Mutex::new(value)
    }

    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> impl Future<Output = Self::Guard<'_, T>> + Send {
        mutex.lock()
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> + Send {
        ::tokio::time::sleep_until(deadline.into())
    }
}

/// What programs need of a world.
pub trait World: OnTokio {
    type Sender<T: Send + 'static>: Clone + Send + Sync + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;
    type BoundedSender<T: Send + 'static>: Clone + Send + Sync + 'static;
    type BoundedReceiver<T: Send + 'static>: Send + 'static;

    fn yield_now() -> impl Future<Output = ()> + Send {
        ::tokio::task::yield_now()
    }
    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>);
    /// Whether the receiver was there.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> impl Future<Output = bool> + Send;
    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> impl Future<Output = Option<T>> + Send;
    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>);
    fn send_bounded<T: Send + 'static>(
        sender: &Self::BoundedSender<T>,
        message: T,
    ) -> impl Future<Output = bool> + Send;
    fn recv_bounded<T: Send + 'static>(
        receiver: &mut Self::BoundedReceiver<T>,
    ) -> impl Future<Output = Option<T>> + Send;
}
