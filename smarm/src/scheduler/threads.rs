//! Starting threads whose start has been seen.

use std::io;
use std::sync::mpsc;
use std::thread;

/// Starts a thread, and returns once it has begun and `prepare` has been called on it: what a host makes there for a
/// worker that it then runs in `run`, and which may be bound to the thread.
///
/// A thread needs memory to begin, and std ends the process if there is none by then. A program that limits its memory,
/// or what system calls it may make, after a runtime has started can rely on it that all threads are there.
///
/// # Errors
/// The system refuses the thread, or `prepare` fails. Then the thread has ended and leaves nothing behind.
///
/// ```
/// use std::sync::Arc;
/// use std::task::{Wake, Waker};
/// use std::thread::{self, Thread};
/// use smarm::host::{Turn, start_thread};
///
/// struct Unpark(Thread);
/// impl Wake for Unpark {
///     fn wake(self: Arc<Self>) {
///         self.0.unpark();
///     }
/// }
///
/// let (runtime, workers) = smarm::runtime::detached(smarm::Config::exact(1)).unwrap();
/// for mut worker in workers {
///     let prepare = || Ok(Waker::from(Arc::new(Unpark(thread::current()))));
///     start_thread(thread::Builder::new(), prepare, move |waker| {
///         loop {
///             match worker.poll_turn(&waker) {
///                 Turn::Busy => (),
///                 Turn::Idle => thread::park(), // without timers: those need `Worker::next_deadline`
///                 Turn::Done => break,
///             }
///         }
///     })
///     .unwrap();
/// }
/// assert_eq!(runtime.spawn(|| 42).unwrap().join().unwrap(), 42);
/// ```
pub fn start_thread<T>(
    thread: thread::Builder,
    prepare: impl FnOnce() -> io::Result<T> + Send + 'static,
    run: impl FnOnce(T) + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let (ready, made) = mpsc::sync_channel(1);
    let thread = thread.spawn(move || {
        // Whoever asked waits for the answer.
        match prepare() {
            Ok(prepared) => {
                let _ = ready.send(Ok(()));
                run(prepared);
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    let error = match made.recv() {
        Ok(Ok(())) => return Ok(thread),
        Ok(Err(error)) => error,
        Err(mpsc::RecvError) => io::Error::other("the thread ended before it began"),
    };
    drop(thread.join());
    Err(error)
}
