//! The tokio host: a task that polls one worker.
//!
//! | the worker's turn ended | the task |
//! |---|---|
//! | busy | yields with tokio's `yield_now`, so that tokio looks at its sockets and timers first; to wake itself would let it do so only every 61 polls |
//! | idle | waits to be woken, or for the worker's earliest timer |
//! | done | ends, and drops the worker while tokio still runs |
//!
//! As a task rather than as the runtime's root future: before each poll of the root, tokio asks epoll.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use smarm::host::{Turn, Worker};
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep_until};

use crate::reactor::TokioReactor;

/// A worker, and what its task waits with. To be spawned on a `current_thread` runtime.
pub(crate) struct Host {
    worker: Worker,
    bound: bool,
    /// Wakes the task at `deadline`; made when a timer is first wanted.
    alarm: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
    /// The task lets others run.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Host {
    pub(crate) fn new(worker: Worker) -> Self {
        Self { worker, bound: false, alarm: None, deadline: None, pause: None }
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

impl Future for Host {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.bound {
            self.bound = true;
            self.worker.bind(Rc::new(TokioReactor));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        loop {
            match self.worker.poll_turn(cx.waker()) {
                Turn::Busy => {
                    // Its first poll is pending, and has tokio wake the task after a look at its
                    // driver.
                    let mut pause: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(yield_now());
                    if pause.as_mut().poll(cx).is_pending() {
                        self.pause = Some(pause);
                        return Poll::Pending;
                    }
                }
                Turn::Idle => match self.worker.next_deadline() {
                    Some(deadline) => ready!(self.poll_alarm(deadline, cx)),
                    None => return Poll::Pending,
                },
                Turn::Done => return Poll::Ready(()),
            }
        }
    }
}
