//! The native host: a thread that polls one worker and waits in epoll.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use super::epoll::Epoll;
use super::sys::poll_fd;
use super::{Direction, Turn};
use crate::scheduler::threads::start_thread;
use crate::scheduler::worker::Worker;

/// Starts a thread that runs the worker until its runtime has shut down.
///
/// # Errors
/// The system refuses the thread or its epoll instance.
pub(crate) fn start(mut worker: Worker, name: String) -> io::Result<thread::JoinHandle<()>> {
    // Made there, because it stays on its thread.
    let prepare = move || {
        let epoll = Rc::new(Epoll::new()?);
        worker.bind(epoll.clone());
        worker.spin_before_sleep(true);
        Ok((worker, epoll))
    };
    start_thread(thread::Builder::new().name(name), prepare, |(worker, epoll)| {
        if worker.is_paused() { drive_paused(worker, &epoll) } else { drive(worker, &epoll) }
    })
}

/// Sleeps that a timer ends are so far apart at least. Where timers are dense, one wake-up then serves many, and each
/// is late by as much at most; a timer by itself is not.
const APART: Duration = Duration::from_micros(150);

/// When a worker that sleeps is to be woken for its timers.
#[derive(Default)]
struct Alarm {
    /// When the last sleep was to end.
    set: Option<Instant>,
    /// When the last sleep was to end that did so on time.
    rang: Option<Instant>,
}

impl Alarm {
    /// How long to sleep from `now` on for a timer that is due at `deadline`.
    fn set(&mut self, deadline: Instant, now: Instant) -> Duration {
        if self.set.is_some_and(|set| set <= now) {
            self.rang = self.set;
        }
        let ring = self.rang.map_or(deadline, |rang| deadline.max(rang + APART));
        self.set = Some(ring);
        ring.saturating_duration_since(now)
    }
}

fn drive(mut worker: Worker, epoll: &Epoll) {
    let waker = epoll.waker();
    let mut alarm = Alarm::default();
    loop {
        let timeout = match worker.poll_turn(&waker) {
            // Without descriptors, a look at epoll between two turns could bring nothing.
            Turn::Busy if epoll.registered() == 0 => continue,
            Turn::Busy => Some(Duration::ZERO),
            Turn::Idle => worker.next_deadline().map(|deadline| alarm.set(deadline, Instant::now())),
            Turn::Done => return,
        };
        wait(epoll, timeout);
    }
}

/// As [`drive`], for a runtime whose clock is paused: instead of the sleep until the next timer the worker
/// rests, which may move the time on. See the scheduler's `paused`.
fn drive_paused(mut worker: Worker, epoll: &Epoll) {
    let waker = epoll.waker();
    loop {
        match worker.poll_turn(&waker) {
            Turn::Busy => {}
            // Takes nothing out of the epoll: what was taken out must be followed by a turn.
            Turn::Idle => worker.rest(epoll.as_fd()),
            Turn::Done => return,
        }
        wait(epoll, Some(Duration::ZERO));
    }
}

/// Blocks until the epoll has something to report, and leaves that there.
pub(crate) fn wait_for_report(epoll: impl AsFd) {
    // An error other than a signal's means that it is not to be waited for; its worker looks, then.
    while let Err(error) = poll_fd(epoll.as_fd(), Direction::Read, None) {
        if error.kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

fn wait(epoll: &Epoll, timeout: Option<Duration>) {
    if let Err(error) = epoll.wait(timeout) {
        // Only a descriptor that is no epoll's, or memory that is not ours, gets here.
        panic!("smarm: epoll_wait failed: {error}");
    }
}
