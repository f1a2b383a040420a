//! Workers beside an existing multi-thread tokio runtime, each on an OS thread of its own.
//!
//! ```text
//!  the service's tokio runtime                smarm
//!  ───────────────────────────                ─────
//!  worker threads, epoll, timers  ◄─ Handle ─ thread: block_on( worker's turns )
//!         tasks  ──── Waker: inbox, unpark ──► actors
//!                ◄─── Waker: tokio's own ────
//! ```
//!
//! The thread is in `Handle::block_on` for its whole life: so tokio's context is there, calls that
//! would block it are refused, and each poll of its future brings a fresh coop budget. That future
//! is never really pending. A poll of it is:
//!
//! 1. The worker takes a turn, then the tasks that actors spawned with `spawn_local` have theirs.
//! 2. If the worker is idle, the thread sleeps, here in the poll, until it is woken or the worker's
//!    earliest timer is due.
//! 3. The future asks to be polled again, for the sake of the budget.
//!
//! No wake is lost: whatever wakes the worker or its local tasks goes to the parker that the thread
//! sleeps on, which keeps a wake that comes before the sleep.
//!
//! The worker spins before it is idle, if that paid lately: to wake a sleeping thread costs more than
//! all the rest of a round trip.
//!
//! # Why not pending
//! To sleep in tokio's parker instead would take its time driver for the worker's timers: 1 ms too
//! coarse, absent if the service did not enable it, and a panic once the service's runtime is gone.
//!
//! # Why a `LocalSet`
//! In a plain `Handle::block_on`, `block_in_place` is allowed, and takes the thread out of tokio's
//! care until its closure returns. An actor that waited in there would leave its neighbours outside,
//! where calls that block the worker are no longer refused. In a `LocalSet` it is.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use smarm::host::{Turn, Worker, start_thread};
use smarm::{InitError, Runtime};
use tokio::runtime::Handle;
use tokio::task::LocalSet;

use crate::builder::Builder;
use crate::parker::Parker;
use crate::reactor::TokioReactor;

/// Starts a smarm runtime beside a multi-thread tokio runtime, with one worker per CPU. See
/// [`Builder::attach`].
///
/// # Errors
/// As [`Builder::attach`].
pub fn attach(handle: &Handle) -> Result<Runtime, InitError> {
    Builder::new().attach(handle)
}

/// Starts the thread of one worker.
pub(crate) fn start(
    worker: Worker,
    name: String,
    handle: &Handle,
    spin: bool,
) -> io::Result<thread::JoinHandle<()>> {
    let handle = handle.clone();
    start_thread(thread::Builder::new().name(name), || Ok(()), move |()| drive(worker, &handle, spin))
}

fn drive(mut worker: Worker, handle: &Handle, spin: bool) {
    worker.bind(Rc::new(TokioReactor));
    worker.spin_before_sleep(spin);
    let parker = Arc::new(Parker::new());
    let waker = Waker::from(parker.clone());
    handle.block_on(async move {
        let tasks = LocalSet::new();
        // When the turn has left the worker idle, until when.
        let idle = Cell::new(None);
        let mut turn = pin!(tasks.run_until(poll_fn(|cx| {
            let turn = worker.poll_turn(cx.waker());
            idle.set((turn == Turn::Idle).then(|| worker.next_deadline()));
            if turn == Turn::Done { Poll::Ready(()) } else { Poll::Pending }
        })));
        poll_fn(|cx| {
            if turn.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return Poll::Ready(());
            }
            if let Some(deadline) = idle.take() {
                parker.park_until(deadline);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    });
}
