//! Ticking again and again.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::sleep::{Sleep, sleep_until_async};
use crate::actor::park::{self, Interrupt};
use crate::actor::scope;
use crate::compat::TimedOut;

/// A tick that comes so much too late was missed.
const LATE: Duration = Duration::from_millis(5);

/// What an [`Interval`] does when its owner comes late for a tick, by more than 5 ms.
///
/// With a period of 50 ms, and an owner that is away from 50 to 215:
///
/// | | ticks at |
/// |---|---|
/// | `Burst` | 0, 50, 215, 215, 215, 250, 300 |
/// | `Delay` | 0, 50, 215, 265, 315 |
/// | `Skip` | 0, 50, 215, 250, 300 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Ticks as fast as the owner asks until it has caught up: as many ticks as if it had never been late.
    #[default]
    Burst,
    /// Ticks one period after the late tick was taken, and so on from there.
    Delay,
    /// Leaves out what was missed: ticks at the next multiple of the period from the beginning.
    Skip,
}

impl MissedTickBehavior {
    /// When the tick after the one that was due at `due` and taken at `now` is due.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Option<Instant> {
        let late = now.saturating_duration_since(due);
        match self {
            _ if late <= LATE => due.checked_add(period),
            Self::Burst => due.checked_add(period),
            Self::Delay => now.checked_add(period),
            Self::Skip => {
                let into = late.as_nanos() % period.as_nanos();
                // Less than the period, which is a `Duration`.
                let into = Duration::new((into / 1_000_000_000) as u64, (into % 1_000_000_000) as u32);
                now.checked_add(period - into)
            }
        }
    }
}

/// Ticks at once, and then every `period`.
///
/// ```
/// use std::time::Duration;
/// use smarm::time::{interval, now};
///
/// smarm::run(|| {
///     let begin = now();
///     let mut ticks = interval(Duration::from_millis(2));
///     for _ in 0..3 {
///         ticks.tick();
///     }
///     assert!(now() - begin >= Duration::from_millis(4));
/// });
/// ```
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(park::now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "smarm: an interval needs a period of more than zero");
    Interval { period, next: Some(start), behavior: MissedTickBehavior::default(), sleep: None }
}

/// See [`interval`]. As a [`Stream`] it gives a tick per item, and never ends.
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    /// `None` is beyond the clock's range: never.
    next: Option<Instant>,
    behavior: MissedTickBehavior,
    /// Of the async faces, while a tick is waited for: it is for `next`.
    sleep: Option<Sleep>,
}

impl Interval {
    /// Waits for the next tick, and gives the time at which it was due. If the caller's [scope](crate::cancel)
    /// is over before, it unwinds to that.
    ///
    /// # Panics
    /// In a future that an actor awaits, and on a worker's thread outside any actor: use
    /// [`tick_async`](Self::tick_async) there.
    #[track_caller]
    pub fn tick(&mut self) -> Instant {
        if let Some(due) = self.try_tick() {
            return due;
        }
        let next = self.next;
        match next {
            Some(next) => super::sleep_until(next),
            None => super::sleep(Duration::MAX),
        }
        // In a destructor of an actor that is being killed, a sleep returns at once.
        self.taken(next.unwrap_or_else(park::now))
    }

    /// Waits for the next tick, at most for `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`], if none was due in time, or by the deadline of the caller's [scope](crate::cancel). It
    /// is still to come.
    ///
    /// # Panics
    /// As [`tick`](Self::tick).
    #[track_caller]
    pub fn tick_timeout(&mut self, timeout: Duration) -> Result<Instant, TimedOut> {
        self.tick_until(park::now().checked_add(timeout))
    }

    /// Waits for the next tick until `deadline`.
    ///
    /// # Errors
    /// As [`tick_timeout`](Self::tick_timeout).
    ///
    /// # Panics
    /// As [`tick`](Self::tick).
    #[track_caller]
    pub fn tick_deadline(&mut self, deadline: Instant) -> Result<Instant, TimedOut> {
        self.tick_until(Some(deadline))
    }

    #[track_caller]
    fn tick_until(&mut self, deadline: Option<Instant>) -> Result<Instant, TimedOut> {
        if let Some(due) = self.try_tick() {
            return Ok(due);
        }
        match park::wait_until(self.tick_async(), deadline) {
            Ok(due) => Ok(due),
            Err(Interrupt::TimedOut) => Err(TimedOut),
            Err(interrupt @ Interrupt::Cancelled) => {
                scope::unwind(interrupt);
                Err(TimedOut) // in a destructor
            }
        }
    }

    /// The next tick, if it is due.
    pub fn try_tick(&mut self) -> Option<Instant> {
        let next = self.next?;
        (next <= park::now()).then(|| self.taken(next))
    }

    /// Waits for the next tick in async code. Dropped half-way, the tick is still to come.
    pub fn tick_async(&mut self) -> impl Future<Output = Instant> + '_ {
        poll_fn(|cx| self.poll_tick(cx))
    }

    /// [`tick_async`](Self::tick_async) for poll functions; only the waker of the last call is kept.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        if let Some(due) = self.try_tick() {
            return Poll::Ready(due);
        }
        let Some(next) = self.next else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| sleep_until_async(next));
        match Pin::new(sleep).poll(cx) {
            Poll::Ready(()) => Poll::Ready(self.taken(next)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn taken(&mut self, due: Instant) -> Instant {
        self.sleep = None;
        self.next = self.behavior.next(due, park::now(), self.period);
        due
    }

    /// Lets the next tick be one period from now.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Lets the next tick be now.
    pub fn reset_immediately(&mut self) {
        self.reset_at(park::now());
    }

    /// Lets the next tick be so much later than now.
    pub fn reset_after(&mut self, after: Duration) {
        self.sleep = None;
        self.next = park::now().checked_add(after);
    }

    /// Lets the next tick be at `deadline`.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.sleep = None;
        self.next = Some(deadline);
    }

    /// What happens after a late tick.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.behavior
    }

    /// Sets what happens after a late tick; [`Burst`](MissedTickBehavior::Burst) unless set.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.behavior = behavior;
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
