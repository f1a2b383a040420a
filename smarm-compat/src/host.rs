//! The tokio host: a task that polls one worker.
//!
//! | the worker's turn ended | the task |
//! |---|---|
//! | busy, but only to spin | wakes itself: tasks that can run do, and it looks again |
//! | busy | yields with tokio's `yield_now`, so that tokio looks at its sockets and timers first; to wake itself would let it do so only every 61 polls |
//! | idle | waits to be woken, or for the worker's earliest timer |
//! | done | ends, and drops the worker while tokio still runs |
//!
//! As a task rather than as the runtime's root future: before each poll of the root, tokio asks epoll.
//!
//! # Paused time
//! The worker's timers go by tokio's clock. A test that pauses it stops both; it leaps to the next timer
//! whenever all wait, be that one of tokio's or the alarm of a worker.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use smarm::host::{Clock, Turn, Worker};
use tokio::task::yield_now;
use tokio::time::{self, Sleep, sleep_until};

use crate::reactor::TokioReactor;

/// Polls the worker until its runtime has shut down. To be spawned on a `current_thread` runtime, where it may spin
/// between other tasks.
pub(crate) async fn drive(mut worker: Worker, spin: bool) {
    worker.bind(Rc::new(TokioReactor));
    worker.spin_between_turns(spin);
    worker.set_clock(Arc::new(TokioClock));
    let mut host = Host { worker, alarm: None, deadline: None };
    while Turns(&mut host).await.is_continue() {
        yield_now().await;
    }
}

/// Takes turns while the worker is idle. Continues when it is busy and others shall run; breaks when it is done.
struct Turns<'a>(&'a mut Host);

impl Future for Turns<'_> {
    type Output = ControlFlow<()>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ControlFlow<()>> {
        let host = &mut *self.0;
        match host.worker.poll_turn(cx.waker()) {
            Turn::Idle if host.worker.next_deadline().is_none() => Poll::Pending,
            turn => host.poll_on(turn, cx),
        }
    }
}

/// A worker, and the alarm clock of its task.
struct Host {
    worker: Worker,
    /// Wakes the task at `deadline`; made when a timer is first wanted.
    alarm: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
}

/// The clock of the tokio runtime whose thread this is, which a test may have paused.
pub(crate) struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }
}

impl Host {
    /// What comes of a turn that was not followed by idleness without end: takes more of them while the worker is idle.
    /// Apart, as what it calls would cost the other one registers.
    #[inline(never)]
    fn poll_on(&mut self, mut turn: Turn, cx: &mut Context<'_>) -> Poll<ControlFlow<()>> {
        loop {
            match turn {
                Turn::Busy if self.worker.is_spinning() => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Busy => return Poll::Ready(ControlFlow::Continue(())),
                Turn::Done => return Poll::Ready(ControlFlow::Break(())),
                Turn::Idle => match self.worker.next_deadline() {
                    Some(deadline) => ready!(self.poll_alarm(deadline, cx)),
                    None => return Poll::Pending,
                },
            }
            turn = self.worker.poll_turn(cx.waker());
        }
    }

    /// Registers the task with the alarm. Ready if it is due already.
    fn poll_alarm(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if self.deadline != Some(deadline) {
            self.deadline = Some(deadline);
            alarm.as_mut().reset(deadline.into());
        }
        alarm.as_mut().poll(cx)
    }
}
