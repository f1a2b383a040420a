//! OS threads, with crossbeam's channels and std's mutex.

use std::sync::{self, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel as channel;

use super::World;

pub struct Threads;

impl World for Threads {
    type Join<T: Send + 'static> = thread::JoinHandle<T>;
    type Sender<T: Send + 'static> = channel::Sender<T>;
    type Receiver<T: Send + 'static> = channel::Receiver<T>;
    type BoundedSender<T: Send + 'static> = channel::Sender<T>;
    type BoundedReceiver<T: Send + 'static> = channel::Receiver<T>;
    type Answerer<T: Send + 'static> = channel::Sender<T>;
    type Answer<T: Send + 'static> = channel::Receiver<T>;
    type Mutex<T: Send + 'static> = sync::Mutex<T>;
    type Guard<'a, T: Send + 'static> = sync::MutexGuard<'a, T>;

    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T> {
        thread::Builder::new().stack_size(256 << 10).spawn(f).expect("the system has a thread left")
    }

    fn spawn_at<T: Send + 'static>(_worker: usize, f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T> {
        Self::spawn(f)
    }

    fn join<T: Send + 'static>(join: Self::Join<T>) -> T {
        join.join().expect("it does not panic")
    }

    fn yield_now() {
        thread::yield_now();
    }

    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>) {
        channel::unbounded()
    }

    #[inline]
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, message: T) -> bool {
        sender.send(message).is_ok()
    }

    #[inline]
    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::BoundedSender<T>, Self::BoundedReceiver<T>) {
        channel::bounded(capacity)
    }

    #[inline]
    fn send_bounded<T: Send + 'static>(sender: &Self::BoundedSender<T>, message: T) -> bool {
        sender.send(message).is_ok()
    }

    #[inline]
    fn recv_bounded<T: Send + 'static>(receiver: &mut Self::BoundedReceiver<T>) -> Option<T> {
        receiver.recv().ok()
    }

    fn oneshot<T: Send + 'static>() -> (Self::Answerer<T>, Self::Answer<T>) {
        channel::bounded(1)
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
        sync::Mutex::new(value)
    }

    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep_until(deadline: Instant) {
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }

    /// The kernel needs no leave.
    fn check() {}
}
