//! Wakes and kills by pid: a wake on the actor's own thread is a plain store, one from elsewhere is mail. See
//! [`state`](crate::actor::state) and [`seat`](crate::actor::seat).

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Local;
use super::ahead::prefetch_woken;
use crate::actor::seat::Woken;
use crate::actor::slot::{Slot, slot};
use crate::actor::state::Mail;
use crate::actor::waker;
use crate::context::prefetch as fetch;
use crate::pid::Pid;
use crate::timer::due::Due;

/// Wakes the actor with this pid, if it still lives.
#[inline(always)]
pub(crate) fn wake(pid: Pid) {
    let actor = slot(pid.index());
    // Before the seat: who sees the life sees that its seat was vacated before.
    let state = actor.state.load();
    if let Some(local) = Local::current()
        && let Some(seat) = actor.seat.reading_at(local.home)
    {
        if state.is(pid.generation()) {
            match actor.seat.wake_from(seat) {
                Woken::Schedule => local.queue_woken(actor),
                Woken::Nothing => {}
            }
        }
    } else {
        wake_elsewhere(actor, pid.generation());
    }
}

/// Apart, as what it calls would cost a wake on the actor's own thread registers.
#[inline(never)]
fn wake_elsewhere(actor: &'static Slot, generation: u64) {
    if actor.state.wake(generation) == Mail::Post {
        post(actor);
    }
}

/// As [`wake`], by the worker itself, for one of several actors whose timers are due together: fetches what it touches
/// first.
#[inline(always)]
pub(crate) fn wake_ahead(local: &Local, pid: Pid) {
    let actor = slot(pid.index());
    if actor.seat.is_at(local.home) {
        // SAFETY: who sits at this worker is this thread's, and none of them runs now.
        local.with_ring(|ring| unsafe { prefetch_woken(ring, actor) });
    }
    wake(pid);
}

/// Fetches what will be touched when this is woken or rung.
#[inline(always)]
pub(crate) fn prefetch(due: &Due) {
    fetch(match due {
        Due::Actor(pid) => ptr::from_ref(slot(pid.index())).cast(),
        Due::Task(waker) => match waker::pid_of(waker) {
            Some(pid) => ptr::from_ref(slot(pid.index())).cast(),
            None => waker.data().cast(),
        },
        Due::Alarm(alarm) => Arc::as_ptr(alarm).cast(),
    });
}

/// Asks the actor with this pid to unwind, if it still lives.
pub(crate) fn kill(pid: Pid) {
    let actor = slot(pid.index());
    let state = actor.state.load(); // before the seat, as in `wake`
    match Local::current() {
        Some(local) if state.live() && actor.seat.is_at(local.home) => {
            if actor.state.kill_here(pid.generation()) {
                local.wake_own(actor);
            }
        }
        _ => {
            if actor.state.kill(pid.generation()) == Mail::Post {
                post(actor);
            }
        }
    }
    if let Some(home) = actor.seat.home()
        && home.pulse.running().is_some_and(|running| running.index() == pid.index())
    {
        // It computes: its next `check!` shall look.
        home.pulse.overdue.store(true, Relaxed);
    }
}

/// Sends an actor whose `MAIL` the caller has set to its worker.
fn post(actor: &'static Slot) {
    let home = actor.seat.home().expect("smarm bug: an exposed actor has no worker");
    if home.push(actor) {
        home.rouse();
    }
}
