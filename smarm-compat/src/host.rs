//! The tokio host: a task that polls one worker.
//!
//! | the worker's turn ended | the task |
//! |---|---|
//! | busy | yields with tokio's `yield_now`, so that tokio looks at its sockets and timers first; to wake itself would let it do so only every 61 polls |
//! | idle | waits to be woken, or for the worker's earliest timer |
//! | done | ends, and drops the worker while tokio still runs |
//!
//! As a task rather than as the runtime's root future: before each poll of the root, tokio asks epoll.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use smarm::host::{Turn, Worker};
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep_until};

use crate::reactor::TokioReactor;

/// Polls the worker until its runtime has shut down. To be spawned on a `current_thread` runtime.
pub(crate) async fn drive(mut worker: Worker) {
    worker.bind(Rc::new(TokioReactor));
    let mut alarm = pin!(sleep_until(Instant::now().into()));
    let mut armed = None;
    loop {
        let turn = poll_fn(|cx| Poll::Ready(worker.poll_turn(cx.waker()))).await;
        match turn {
            Turn::Busy => yield_now().await,
            Turn::Idle => {
                let deadline = worker.next_deadline();
                if deadline != armed
                    && let Some(deadline) = deadline
                {
                    alarm.as_mut().reset(deadline.into());
                }
                armed = deadline;
                rest(armed.is_some().then_some(alarm.as_mut())).await;
            }
            Turn::Done => return,
        }
    }
}

/// Waits until the task is woken for whatever reason, or for the alarm.
async fn rest(mut alarm: Option<Pin<&mut Sleep>>) {
    let mut woken = false;
    poll_fn(|cx: &mut Context<'_>| {
        let due = alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready());
        if due || woken {
            return Poll::Ready(());
        }
        woken = true;
        Poll::Pending
    })
    .await;
}
