//! The timer of a future that is polled beside a worker or in one of its actors: a waker in the worker's wheel, and
//! nothing else.
//!
//! The wheel is the thread's, so setting, asking and cancelling take no lock and allocate nothing. A future may
//! move to another thread, though:
//!
//! 1. Polled elsewhere, its reminder says [`Seen::Elsewhere`]: it cancels it, and sets another timer where it is now.
//!    If its time has come meanwhile, the clock tells, which is the same on all threads.
//! 2. Cancelled elsewhere, the key goes back to the worker by [`Home::give_back`], which releases it when another
//!    alarm or reminder is set there, or in a turn. Its waker may wake the future's task for nothing until then.
//!    A waker that owns its task keeps that task's memory for as long: at worst, by a worker that rests, until the
//!    timer is due. No more are kept so than were pending there at once, so what is kept does not grow, and nobody
//!    need wake the worker.
//! 3. A worker that ends wakes the tasks whose reminders it has, so that they come to 1. The key is void, which the
//!    worker's tenancy tells, as its home may have another worker.
//!
//! A worker with a clock of its own has no reminders: another thread could not take over by another clock. There,
//! and where there is no worker, an [`alarm`](super::alarm) does it.

use std::task::Waker;
use std::time::Instant;

use super::home::{Home, Returned};
use super::local::{Local, Place};
use super::park::own_code;
use crate::timer::clock;
use crate::timer::due::Due;
use crate::timer::wheel::Key;

/// See the module doc.
#[must_use = "a reminder that is not cancelled stays in the wheel's memory"]
pub(crate) struct Reminder {
    home: &'static Home,
    tenancy: u32,
    key: Key,
}

/// How a reminder stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The waker will be woken.
    Pending,
    /// The time has come.
    Over,
    /// It lies in the wheel of a worker that is not this thread's.
    Elsewhere,
}

impl Reminder {
    /// Has `waker` woken at `deadline` by the thread's worker. `None` if there is none, or one with a clock of its own.
    #[inline(always)]
    pub(crate) fn set(deadline: Instant, waker: &Waker) -> Option<Self> {
        let local = Local::current().filter(|local| local.clock.get().is_none())?;
        let due = Due::Task(waker.clone());
        let _own_code = own_code();
        local.take_returned();
        let key = local.wheel.borrow_mut().insert(clock::nanos(deadline), due);
        if local.place() == Place::Host {
            local.stir();
        }
        Some(Self { home: local.home, tenancy: local.tenancy, key })
    }

    /// How it stands; while it is pending, it will wake `waker` from now on.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Seen {
        let Some(local) = self.worker() else { return Seen::Elsewhere };
        let same = match local.wheel.borrow_mut().payload_mut(&self.key) {
            Some(Due::Task(known)) => known.will_wake(waker),
            Some(Due::Actor(_) | Due::Alarm(_)) => unreachable!("the key is of a task's timer"),
            None => return Seen::Over,
        };
        if !same {
            // Neither the clone nor the drop, which are others' code, within the borrow.
            let mut due = Due::Task(waker.clone());
            if let Some(known) = local.wheel.borrow_mut().payload_mut(&self.key) {
                std::mem::swap(known, &mut due);
            }
            drop(due);
        }
        Seen::Pending
    }

    /// Takes the timer back; on another thread, has the worker do so.
    #[inline(always)]
    pub(crate) fn cancel(self) {
        match self.worker() {
            Some(local) => local.release(self.key),
            None => self.home.give_back(Returned::Reminder { tenancy: self.tenancy, key: self.key }),
        }
    }

    /// The worker, if it is this thread's.
    #[inline(always)]
    fn worker(&self) -> Option<&'static Local> {
        Local::current().filter(|local| std::ptr::eq(local.home, self.home) && local.tenancy == self.tenancy)
    }
}
