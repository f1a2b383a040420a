//! Waits by who is no actor on its own stack: a plain OS thread parks between polls, and whoever would stop a
//! worker is told what to call instead.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use super::{Interrupt, Manner, Running};
use crate::actor::local::{Local, Place};
use crate::actor::scope::{self, Scope, heeds_scope, interrupt};

/// A wait by somebody who is no actor on its own stack.
#[cold]
#[track_caller]
pub(in crate::actor) fn wait_elsewhere<F: Future>(
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
    manner: Manner,
) -> Result<F::Output, Interrupt> {
    let mut output = None;
    let mut poll = |cx: &mut Context<'_>| match future.as_mut().poll(cx) {
        Poll::Ready(value) => {
            output = Some(value);
            true
        }
        Poll::Pending => false,
    };
    wait_for_poll(&mut poll, deadline, manner)?;
    Ok(output.expect("smarm bug: a wait ended without its output"))
}

/// Waits until `poll` says that it is over: one function for futures of all types.
#[track_caller]
fn wait_for_poll(
    poll: &mut dyn FnMut(&mut Context<'_>) -> bool,
    deadline: Option<Instant>,
    manner: Manner,
) -> Result<(), Interrupt> {
    let Some(misuse) = misuse() else {
        let scope = scope::current().filter(|_| heeds_scope(manner));
        let waited = wait_thread(poll, deadline, scope.as_deref());
        return waited.map_err(|ended| match ended {
            // The caller's own deadline, which is no matter of the scope's.
            Interrupt::TimedOut if deadline.is_some_and(|deadline| deadline <= Instant::now()) => ended,
            _ => interrupt(ended, manner),
        });
    };
    if poll(&mut Context::from_waker(Waker::noop())) {
        return Ok(());
    }
    panic!("{misuse}");
}

/// Whether a wait would not panic here.
pub(crate) fn may_wait() -> bool {
    Running::current().is_some() || misuse().is_none()
}

/// Whose code this is: the actor's, be it on its own stack or in a poll on its behalf, or else the thread's. It is the
/// address of something that each of them has alone, and so no other caller's, nor null, as long as that one lives.
pub(crate) fn caller() -> usize {
    thread_local!(static THREAD: u64 = const { 0 });
    match Local::current().and_then(Local::on_behalf_of) {
        Some(slot) => ptr::from_ref(slot).addr(),
        None => THREAD.with(|thread| ptr::from_ref(thread).addr()),
    }
}

/// Panics where a wait would.
#[track_caller]
pub(crate) fn check_may_wait() {
    if Running::current().is_none()
        && let Some(misuse) = misuse()
    {
        panic!("{misuse}");
    }
}

/// Why the caller, who is no actor on its own stack, must not wait; if it must not.
fn misuse() -> Option<&'static str> {
    match Local::current()?.place() {
        Place::InPoll => Some(
            "smarm: a blocking call inside a future that an actor awaits would block all actors of its worker; \
             use the call's async form (`recv_async().await`, `lock_async().await`, `handle.await`, ...)",
        ),
        Place::InCall => Some(
            "smarm: a blocking call inside `on_native_stack` cannot park the actor; \
             wait before or after it, on the actor's own stack",
        ),
        Place::Host | Place::Worker => Some(
            "smarm: a blocking call on the thread of a worker, outside any actor, would stop that worker; \
             use the call's async form (`recv_async().await`, `handle.await`, ...), or make it in an actor",
        ),
        Place::InContextHook => Some(
            "smarm: a blocking call inside a context hook cannot park the actor; \
             hooks must not wait",
        ),
        Place::Actor | Place::InHook => None,
    }
}

/// Wakes an OS thread that waits with `thread::park`.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn thread_waker() -> Waker {
    Arc::new(ThreadWaker(thread::current())).into()
}

/// The waker with which the caller waits.
pub(crate) fn own_waker() -> Waker {
    match Running::current() {
        Some(actor) => actor.waker().copy(),
        None => thread_waker(),
    }
}

fn wait_thread(
    poll: &mut dyn FnMut(&mut Context<'_>) -> bool,
    deadline: Option<Instant>,
    scope: Option<&Scope>,
) -> Result<(), Interrupt> {
    thread_local!(static WAKER: Cell<Option<Waker>> = const { Cell::new(None) });
    let waker = WAKER.with(Cell::take).unwrap_or_else(thread_waker);
    let deadline = scope.and_then(Scope::deadline).into_iter().chain(deadline).min();
    let mut cx = Context::from_waker(&waker);
    let result = loop {
        if poll(&mut cx) {
            break Ok(());
        }
        if scope.is_some_and(Scope::is_cancelled) {
            break Err(Interrupt::Cancelled);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => break Err(Interrupt::TimedOut),
            },
        }
    };
    WAKER.with(|cell| cell.set(Some(waker)));
    result
}
