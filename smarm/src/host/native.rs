//! The native host: a thread that polls one worker and waits in epoll.

use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Turn;
use super::epoll::Epoll;
use crate::scheduler::worker::Worker;

/// Starts a thread that runs the worker until its runtime has shut down.
///
/// # Errors
/// The system refuses the thread or its epoll instance.
pub(crate) fn start(mut worker: Worker, name: String) -> io::Result<thread::JoinHandle<()>> {
    let (ready, made) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(name).spawn(move || {
        // Made here, because it stays on this thread.
        match Epoll::new() {
            Ok(epoll) => {
                let epoll = Rc::new(epoll);
                worker.bind(epoll.clone());
                worker.spin_before_sleep(true);
                // Whoever asked waits for the answer.
                let _ = ready.send(Ok(()));
                drive(worker, &epoll);
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    match made.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(mpsc::RecvError) => Err(io::Error::other("the worker's thread ended before it began")),
    }
}

fn drive(mut worker: Worker, epoll: &Epoll) {
    let waker = epoll.waker();
    loop {
        let timeout = match worker.poll_turn(&waker) {
            // Without descriptors, a look at epoll between two turns could bring nothing.
            Turn::Busy if epoll.registered() == 0 => continue,
            Turn::Busy => Some(Duration::ZERO),
            Turn::Idle => {
                worker.next_deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
            }
            Turn::Done => return,
        };
        if let Err(error) = epoll.wait(timeout) {
            // Only a descriptor that is no epoll's, or memory that is not ours, gets here.
            panic!("smarm: epoll_wait failed: {error}");
        }
    }
}
