//! smarm's actors, whatever polls their workers.

use std::time::{Duration, Instant};

use smarm::channel::{self, oneshot};

use super::World;

/// A mutex is always asked with a time limit.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Smarm;

impl World for Smarm {
    type Join<T: Send + 'static> = smarm::JoinHandle<T>;
    type Sender<T: Send + 'static> = smarm::Sender<T>;
    type Receiver<T: Send + 'static> = smarm::Receiver<T>;
    type BoundedSender<T: Send + 'static> = smarm::Sender<T>;
    type BoundedReceiver<T: Send + 'static> = smarm::Receiver<T>;
    type Answerer<T: Send + 'static> = oneshot::Sender<T>;
    type Answer<T: Send + 'static> = oneshot::Receiver<T>;
    type Mutex<T: Send + 'static> = smarm::Mutex<T>;
    type Guard<'a, T: Send + 'static> = smarm::MutexGuard<'a, T>;

    #[inline]
    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T> {
        smarm::spawn(f)
    }

    fn spawn_at<T: Send + 'static>(worker: usize, f: impl FnOnce() -> T + Send + 'static) -> Self::Join<T> {
        let worker = worker % smarm::Handle::current().workers();
        smarm::Builder::new().worker(worker).spawn(f).expect("there is a stack")
    }

    #[inline]
    fn join<T: Send + 'static>(join: Self::Join<T>) -> T {
        join.join().expect("it does not panic")
    }

    #[inline]
    fn yield_now() {
        smarm::yield_now();
    }

    fn channel<T: Send + 'static>() -> (Self::Sender<T>, Self::Receiver<T>) {
        smarm::channel()
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
        oneshot::channel()
    }

    fn answer<T: Send + 'static>(answerer: Self::Answerer<T>, message: T) {
        answerer.send(message).ok().expect("somebody asked");
    }

    fn hear<T: Send + 'static>(answer: Self::Answer<T>) -> T {
        answer.recv().expect("an answer comes")
    }

    fn hear_within<T: Send + 'static>(mut answer: Self::Answer<T>, time: Duration) -> Option<T> {
        answer.recv_timeout(time).ok()
    }

    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T> {
        smarm::Mutex::new(value)
    }

    #[inline]
    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T> {
        mutex.lock(PATIENCE).expect("nobody panics, and it comes free")
    }

    fn sleep_until(deadline: Instant) {
        smarm::sleep_until(deadline);
    }

    #[inline]
    fn check() {
        smarm::check!();
    }

    fn undisturbed() -> impl Sized {
        smarm::preempt::disable()
    }
}
