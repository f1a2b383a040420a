//! may's coroutines.

use std::time::{Duration, Instant};

use may::coroutine;
use may::sync::mpsc;

use super::World;

pub struct May;

impl World for May {
    type Join<T: Send + 'static> = coroutine::JoinHandle<T>;
    type Sender<T: Send + 'static> = mpsc::Sender<T>;
    type Receiver<T: Send + 'static> = mpsc::Receiver<T>;
    // may has no bounded channels: workloads that want them are without may.
    type BoundedSender<T: Send + 'static> = mpsc::Sender<T>;
    type BoundedReceiver<T: Send + 'static> = mpsc::Receiver<T>;
    type Answerer<T: Send + 'static> = mpsc::Sender<T>;
    type Answer<T: Send + 'static> = mpsc::Receiver<T>;
    type Mutex<T: Send + 'static> = may::sync::Mutex<T>;
    type Guard<'a, T: Send + 'static> = may::sync::MutexGuard<'a, T>;

    #[inline]
    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T> {
        may::go!(f)
    }

    fn spawn_at<T: Send + 'static>(_worker: usize, f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T> {
        may::go!(f)
    }

    fn join<T: Send + 'static>(join: Self::Join<T>) -> T {
        join.join().expect("it does not panic")
    }

    #[inline]
    fn yield_now() {
        coroutine::yield_now();
    }

    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>) {
        mpsc::channel()
    }

    #[inline]
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> bool {
        sender.send(message).is_ok()
    }

    #[inline]
    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn bounded<T: Send + 'static>(_: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>) {
        panic!("may has no bounded channels")
    }

    fn send_bounded<T: Send + 'static>(sender: &Self::BoundedSender<T>, message: T) -> bool {
        sender.send(message).is_ok()
    }

    fn recv_bounded<T: Send + 'static>(receiver: &mut Self::BoundedReceiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn oneshot<T: Send + 'static>() -> (Self::Answerer<T>, Self::Answer<T>) {
        mpsc::channel()
    }

    fn answer<T: Send + 'static>(answerer: Self::Answerer<T>, message: T) {
        answerer.send(message).expect("somebody asked");
    }

    fn hear<T: Send + 'static>(answer: Self::Answer<T>) -> T {
        answer.recv().expect("an answer comes")
    }

    fn hear_within<T: Send + 'static>(answer: Self::Answer<T>, time: Duration) -> Option<T> {
        answer.recv_timeout(time).ok()
    }

    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T> {
        may::sync::Mutex::new(value)
    }

    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T> {
        mutex.lock().expect("nobody panics")
    }

    fn sleep_until(deadline: Instant) {
        coroutine::sleep(deadline.saturating_duration_since(Instant::now()));
    }

    /// may has nothing of the kind.
    fn check() {}
}
