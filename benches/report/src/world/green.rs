//! The worlds in which code blocks.

use std::ops::DerefMut;
use std::time::{Duration, Instant};

macro_rules! program {
    ($(#[$meta:meta])* pub fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$meta])*
        pub fn $name<W: World>($($arg: $type),*) -> $result $body
    };
}

macro_rules! go {
    ($body:block) => {
        W::spawn(move || $body)
    };
    ($worker:expr, $body:block) => {
        W::spawn_at($worker, move || $body)
    };
}

macro_rules! wait {
    ($call:expr) => {
        $call
    };
}

#[path = "../programs/mod.rs"]
pub mod programs;

mod may;
mod smarm;
mod threads;

pub use self::{may::May, smarm::Smarm, threads::Threads};

/// What programs need of a world.
pub trait World: 'static {
    type Join<T: Send + 'static>: Send + 'static;
    type Sender<T: Send + 'static>: Clone + Send + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;
    type BoundedSender<T: Send + 'static>: Clone + Send + 'static;
    type BoundedReceiver<T: Send + 'static>: Send + 'static;
    type Answerer<T: Send + 'static>: Send + 'static;
    type Answer<T: Send + 'static>: Send + 'static;
    type Mutex<T: Send + 'static>: Send + Sync + 'static;
    type Guard<'a, T: Send + 'static>: DerefMut<Target = T>;

    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T>;
    /// On this worker, where the world has a say in it.
    fn spawn_at<T: Send + 'static>(worker: usize, f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T>;
    fn join<T: Send + 'static>(join: Self::Join<T>) -> T;
    fn yield_now();
    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>);
    /// Whether the receiver was there.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> bool;
    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T>;
    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>);
    fn send_bounded<T: Send + 'static>(sender: &Self::BoundedSender<T>, message: T) -> bool;
    fn recv_bounded<T: Send + 'static>(receiver: &mut Self::BoundedReceiver<T>) -> Option<T>;
    /// A channel for one message.
    fn oneshot<T: Send + 'static>() -> (Self::Answerer<T>, Self::Answer<T>);
    fn answer<T: Send + 'static>(answerer: Self::Answerer<T>, message: T);
    fn hear<T: Send + 'static>(answer: Self::Answer<T>) -> T;
    /// Whether it came in time.
    fn hear_within<T: Send + 'static>(answer: Self::Answer<T>, time: Duration) -> Option<T>;
    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T>;
    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T>;
    fn sleep_until(deadline: Instant);
    /// Has the runtime's leave to let others run, where that is something else than giving way.
    fn check();
    /// Keeps whoever calls it from being made to give way, until the result is dropped.
    fn undisturbed() -> impl Sized {}
}
