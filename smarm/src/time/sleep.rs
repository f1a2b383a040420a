//! Sleeping in async code.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::actor::alarm::{self, Action, Alarm};
use crate::actor::park;
use crate::actor::reminder::{Reminder, Seen};

/// Ready when so much time has passed since the call, in any executor.
///
/// Dropped half-way, it takes its timer out.
///
/// ```
/// use std::time::Duration;
/// use smarm::time::{now, sleep_async};
///
/// smarm::run(|| {
///     let begin = now();
///     smarm::compat::await_future(sleep_async(Duration::from_millis(2)));
///     assert!(now() - begin >= Duration::from_millis(2));
/// });
/// ```
pub fn sleep_async(duration: Duration) -> Sleep {
    let made = if duration.is_zero() { None } else { park::slice() };
    Sleep { deadline: park::now().checked_add(duration), timer: Timer::Unset { made } }
}

/// Ready when `deadline` has passed. See [`sleep_async`].
pub fn sleep_until_async(deadline: Instant) -> Sleep {
    Sleep { deadline: Some(deadline), timer: Timer::Unset { made: None } }
}

/// The future of [`sleep_async`].
///
/// Its timer is set by the first poll, on the worker whose thread that is, if it is one's: this is who
/// wakes it.
#[must_use = "a future does nothing until it is polled"]
pub struct Sleep {
    /// `None` is beyond the clock's range.
    deadline: Option<Instant>,
    timer: Timer,
}

/// What will wake the future.
enum Timer {
    /// Nothing yet.
    Unset {
        /// In this slice the deadline was found to be ahead. If it is polled in the same one, which is short, as most
        /// are, that needs no other look at the clock: at worst it is over in the next turn, as any timer.
        made: Option<u32>,
    },
    /// Nothing any more.
    Over,
    /// The wheel of the worker on whose thread it was polled.
    Reminder(Reminder),
    /// Whoever has the alarm.
    Alarm(Arc<Alarm<Waker>>),
}

impl Action for Waker {
    fn act(self) -> Option<Self> {
        self.wake();
        None
    }
}

impl Sleep {
    /// When it is ready; `None` if the clock does not reach that far.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Makes it ready at `deadline` instead, also after it was ready.
    pub fn reset(&mut self, deadline: Instant) {
        self.cancel();
        self.deadline = Some(deadline);
    }

    fn cancel(&mut self) {
        match mem::replace(&mut self.timer, Timer::Unset { made: None }) {
            Timer::Unset { .. } | Timer::Over => {}
            Timer::Reminder(reminder) => reminder.cancel(),
            Timer::Alarm(alarm) => drop(alarm.cancel()),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut ahead = false;
        match &mut this.timer {
            Timer::Unset { made } => ahead = made.is_some() && *made == park::slice(),
            Timer::Over => return Poll::Ready(()),
            Timer::Reminder(reminder) => match reminder.poll(cx.waker()) {
                Seen::Pending => return Poll::Pending,
                Seen::Over => {
                    this.cancel();
                    this.timer = Timer::Over;
                    return Poll::Ready(());
                }
                Seen::Elsewhere => this.cancel(),
            },
            Timer::Alarm(alarm) => {
                let mut old = None;
                let waits = alarm.change(|waker| {
                    if !waker.will_wake(cx.waker()) {
                        old = Some(mem::replace(waker, cx.waker().clone()));
                    }
                });
                drop(old); // outside the alarm's lock
                return if waits { Poll::Pending } else { Poll::Ready(()) };
            }
        }
        let Some(deadline) = this.deadline else { return Poll::Pending };
        if !ahead && deadline <= park::now() {
            return Poll::Ready(());
        }
        this.timer = match Reminder::set(deadline, cx.waker()) {
            Some(reminder) => Timer::Reminder(reminder),
            None => Timer::Alarm(alarm::set(this.deadline, cx.waker().clone())),
        };
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
