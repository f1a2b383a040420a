//! Threads for calls that block: file systems, name resolution, foreign libraries.
//!
//! | word | meaning |
//! |---|---|
//! | job | a closure, the place for its result, and who waits for that |
//! | limit | how many threads there are at most |
//!
//! 1. The first poll of a [`Call`] puts its job at the end of the queue. If more jobs are queued
//!    than threads are idle, and the limit allows it, it starts a thread.
//! 2. A thread takes the first job of the queue, runs it outside the lock, and wakes who waits. If
//!    there is none, it sleeps, and ends when it has slept for [`IDLE`].
//! 3. A call that is dropped takes its closure back if that has not started. If it runs, nobody
//!    wants its result any more, and the pool's thread drops it.
//!
//! No job is forgotten: a thread looks at the queue, under the lock, before it sleeps and before it
//! ends, so none sleeps uncalled while there is a job. One that ends because the limit was lowered
//! leaves at least one other behind, which is busy, or was called when the queue became non-empty.
//!
//! One pool serves the process: its threads do nothing but block, so runtimes gain nothing from
//! having their own.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::actor::park::{self, rouse};
use crate::host::{self, Clock};
use crate::sim;

const THREADS: usize = 512;
/// How long a thread waits for its next job before it ends.
const IDLE: Duration = Duration::from_secs(10);

static POOL: Pool = Pool::new(THREADS, IDLE);

/// Runs `f`, which may block its thread, and gives what it returns.
///
/// In an actor, `f` runs on a thread of a pool, and the actor parks. The pool starts threads as
/// needed, up to a limit ([`set_block_on_io_threads`]); calls beyond it are served in the order of
/// their arrival. An actor that is killed meanwhile does not wait for `f`: if `f` has started, it
/// runs to its end and its result is dropped there; else it is dropped. Only while the actor
/// already unwinds, in a destructor, the call waits to the end all the same.
///
/// On a thread that is no worker's, `f` simply runs there.
///
/// # Panics
/// With `f`'s own panic; if the pool has no thread and the system refuses one.
///
/// ```
/// let text = smarm::io::block_on_io(|| std::fs::read_to_string("/proc/version"));
/// assert!(text.unwrap().starts_with("Linux"));
/// ```
#[track_caller]
pub fn block_on_io<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    sim::refuse("block_on_io (and what is built on it: fs, process)");
    if host::with_reactor(|reactor| reactor.is_none()) {
        return f();
    }
    let _held = Held::new();
    let mut call = pin!(Call::New(&POOL, f));
    match park::wait(call.as_mut()) {
        Ok(result) => result,
        // A destructor of a killed actor: there is no value to give it without the result.
        Err(_) => park::wait_uncancelled(call),
    }
}

/// The future of [`block_on_io`], which always uses the pool. `f` is queued by the first poll.
///
/// Dropped half-way, it does not wait for `f`: if `f` has started, it runs to its end and its result is
/// dropped there; else it is dropped.
///
/// # Panics
/// As for [`block_on_io`].
pub async fn block_on_io_async<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    sim::refuse("block_on_io_async");
    let _held = Held::new();
    Call::New(&POOL, f).await
}

/// While somebody waits for a call, the clock of his worker does not leap, if it is one that does.
struct Held(Option<Arc<dyn Clock>>);

impl Held {
    fn new() -> Held {
        let clock = park::own_clock().cloned();
        if let Some(clock) = &clock {
            clock.hold();
        }
        Held(clock)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(clock) = &self.0 {
            clock.release();
        }
    }
}

/// Sets how many threads [`block_on_io`] uses at most, in the whole process: 512 unless set. Threads
/// above a lowered limit end after their current or next call.
///
/// # Panics
/// If `threads` is zero: no call would ever return.
#[track_caller]
pub fn set_block_on_io_threads(threads: usize) {
    assert_ne!(threads, 0, "block_on_io needs at least one thread");
    POOL.lock().limit = threads;
}

struct Pool {
    /// Guards all that the pool knows. Nothing foreign runs under it.
    state: Mutex<State>,
    /// A job was queued for an idle thread.
    queued: Condvar,
    idle_for: Duration,
}

struct State {
    queue: VecDeque<Arc<dyn Job>>,
    limit: usize,
    /// All threads, also those that are being started.
    threads: usize,
    /// Those that sleep, or have been called and not yet come.
    idle: usize,
}

impl Pool {
    const fn new(limit: usize, idle_for: Duration) -> Pool {
        let state = State { queue: VecDeque::new(), limit, threads: 0, idle: 0 };
        Pool { state: Mutex::new(state), queued: Condvar::new(), idle_for }
    }

    /// Step 1.
    fn submit(&'static self, job: Arc<dyn Job>) {
        let mut state = self.lock();
        state.queue.push_back(job);
        if state.queue.len() <= state.idle {
            drop(state);
            self.queued.notify_one();
        } else if state.threads < state.limit {
            state.threads += 1;
            drop(state);
            let started = thread::Builder::new().name("smarm-io".into()).spawn(|| self.serve());
            if let Err(error) = started {
                self.not_started(error.kind());
            }
        }
    }

    /// A thread is missing: the others take over its work, or there are none and all is refused.
    fn not_started(&self, error: io::ErrorKind) {
        let mut state = self.lock();
        state.threads -= 1;
        let refused = if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        for job in refused {
            job.refuse(error);
        }
    }

    /// Step 2, the life of a thread.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                // The job catches its closure's panic; what is caught here comes from the destructor
                // of a result that nobody wants, and so does a panic from the payload's.
                if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(move || job.run())) {
                    std::mem::forget(payload);
                }
                state = self.lock();
                if state.threads > state.limit {
                    break;
                }
                continue;
            }
            state.idle += 1;
            let (awake, waited) =
                self.queued.wait_timeout(state, self.idle_for).unwrap_or_else(PoisonError::into_inner);
            state = awake;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the pool sees of a [`Call`].
trait Job: Send + Sync {
    /// Runs the closure if it is still wanted.
    fn run(&self);
    /// Tells the call that it will not run.
    fn refuse(&self, error: io::ErrorKind);
}

/// A closure on its way through the pool, owned by its call and by the pool.
struct Ticket<F, T> {
    /// Guards the phase. No closure, result or waker is run or dropped under it.
    phase: Mutex<Phase<F, T>>,
}

enum Phase<F, T> {
    Queued(F, Waker),
    Running(Waker),
    Returned(thread::Result<T>),
    Refused(io::ErrorKind),
    /// The call has its result, or was dropped.
    Over,
}

/// What one look at the ticket brought.
enum Look<T> {
    Pending,
    Returned(T),
    Panicked(Box<dyn Any + Send>),
    Refused(io::ErrorKind),
}

impl<F, T> Ticket<F, T> {
    fn lock(&self) -> MutexGuard<'_, Phase<F, T>> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the outcome if there is one; else the next wake goes through `waker`.
    fn look(&self, mut waker: Waker) -> Look<T> {
        let mut phase = self.lock();
        let look = match std::mem::replace(&mut *phase, Phase::Over) {
            Phase::Queued(f, old) => {
                *phase = Phase::Queued(f, std::mem::replace(&mut waker, old));
                Look::Pending
            }
            Phase::Running(old) => {
                *phase = Phase::Running(std::mem::replace(&mut waker, old));
                Look::Pending
            }
            Phase::Returned(Ok(value)) => Look::Returned(value),
            Phase::Returned(Err(payload)) => Look::Panicked(payload),
            Phase::Refused(error) => Look::Refused(error),
            Phase::Over => unreachable!("only the call's own end makes its ticket over"),
        };
        drop(phase);
        look
    }

    /// Ends the wait with `outcome`, unless nobody waits any more.
    fn settle(&self, outcome: Phase<F, T>) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Over) {
            drop(phase);
            // What was not wanted is dropped here, outside the lock.
            return;
        }
        let before = std::mem::replace(&mut *phase, outcome);
        drop(phase);
        if let Phase::Queued(_, waker) | Phase::Running(waker) = before {
            rouse(waker);
        }
    }
}

impl<F, T> Job for Ticket<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self) {
        let mut phase = self.lock();
        let f = match std::mem::replace(&mut *phase, Phase::Over) {
            Phase::Queued(f, waker) => {
                *phase = Phase::Running(waker);
                f
            }
            // Dropped while it was queued.
            _ => return,
        };
        drop(phase);
        self.settle(Phase::Returned(panic::catch_unwind(AssertUnwindSafe(f))));
    }

    fn refuse(&self, error: io::ErrorKind) {
        self.settle(Phase::Refused(error));
    }
}

/// One call through the pool.
enum Call<F, T> {
    /// Not polled yet.
    New(&'static Pool, F),
    Submitted(Claim<F, T>),
    Over,
}

/// The call's share in its ticket.
struct Claim<F, T>(Arc<Ticket<F, T>>);

impl<F, T> Drop for Claim<F, T> {
    fn drop(&mut self) {
        // Step 3; what was there is dropped after the lock.
        let before = std::mem::replace(&mut *self.0.lock(), Phase::Over);
        drop(before);
    }
}

// The closure and the result are moved, never pinned.
impl<F, T> Unpin for Call<F, T> {}

impl<F, T> Future for Call<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let claim = match std::mem::replace(&mut *self, Call::Over) {
            Call::New(pool, f) => {
                let phase = Mutex::new(Phase::Queued(f, cx.waker().clone()));
                let ticket = Arc::new(Ticket { phase });
                *self = Call::Submitted(Claim(Arc::clone(&ticket)));
                pool.submit(ticket);
                return Poll::Pending;
            }
            Call::Submitted(claim) => claim,
            Call::Over => panic!("block_on_io was polled after its end"),
        };
        match claim.0.look(cx.waker().clone()) {
            Look::Pending => {
                *self = Call::Submitted(claim);
                Poll::Pending
            }
            Look::Returned(value) => Poll::Ready(value),
            Look::Panicked(payload) => panic::resume_unwind(payload),
            Look::Refused(error) => panic!("block_on_io could not start a thread: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
