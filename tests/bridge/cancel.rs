//! Cancelling across the bridge, with actors and tasks on the same threads: the drop of a future cancels
//! its side of a wait, and the end of a wait drops its future where it belongs.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use smarm::cancel::{Interrupted, with_timeout};
use smarm::channel::{bounded, channel, oneshot};
use smarm::mailbox::{self, SendError};
use smarm::{CancelToken, JoinError, Mutex, Receiver, with_cancel};
use smarm_compat::await_future;
use smarm_workspace::{Drops, PATIENCE, Signal, within};
use tokio::select;

use crate::bridge_support::{on_tokio, turns, with_a_careful_drop};

const MOMENT: Duration = Duration::from_millis(2);
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// Runs the test as an actor, with one worker and with two.
fn on_the_bridge(test: impl Fn() + Send + Copy) {
    within(PATIENCE, || [1, 2].into_iter().for_each(|workers| on_tokio(workers).run(test)));
}

/// Runs a task on the caller's worker.
fn in_a_task<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    await_future(tokio::spawn(future)).unwrap()
}

#[test]
fn killing_an_actor_in_an_await_drops_its_future_in_tokios_context() {
    on_the_bridge(|| {
        let seen = Arc::new(AtomicUsize::new(0));
        for polls in [0, 3] {
            let (ready, looks) = (Signal::new(), seen.clone());
            let theirs = ready.clone();
            let actor = smarm::spawn(move || {
                await_future(with_a_careful_drop(&looks, async move {
                    turns(1 + polls).await;
                    theirs.raise();
                    tokio::time::sleep(FOR_EVER).await;
                }));
            });
            ready.wait(1);
            actor.kill();
            assert!(matches!(actor.join(), Err(JoinError::Killed)));
        }
        assert_eq!(seen.load(SeqCst), 2);
    });
}

#[test]
fn a_scope_that_is_over_drops_the_awaited_future_in_tokios_context() {
    on_the_bridge(|| {
        let seen = Arc::new(AtomicUsize::new(0));
        let timed = with_timeout(MOMENT, || {
            await_future(with_a_careful_drop(&seen, tokio::time::sleep(FOR_EVER)));
        });
        assert_eq!((timed, seen.load(SeqCst)), (Err(Interrupted::TimedOut), 1));
        let token = CancelToken::new();
        let theirs = token.clone();
        tokio::spawn(async move {
            turns(5).await;
            theirs.cancel();
        });
        let cancelled = with_cancel(&token, || {
            await_future(with_a_careful_drop(&seen, pending::<()>()));
        });
        assert_eq!((cancelled, seen.load(SeqCst)), (Err(Interrupted::Cancelled), 2));
        // The worker and tokio go on.
        await_future(tokio::time::sleep(MOMENT));
    });
}

#[test]
fn aborting_a_task_that_awaits_an_actor_detaches_it() {
    on_the_bridge(|| {
        let (go, ended) = (Signal::new(), Signal::new());
        let (theirs, end) = (go.clone(), ended.clone());
        let actor = smarm::spawn(move || {
            theirs.wait(1);
            end.raise();
        });
        let started = Signal::new();
        let start = started.clone();
        let task = tokio::spawn(async move {
            start.raise();
            actor.await
        });
        started.wait(1);
        task.abort();
        assert!(await_future(task).unwrap_err().is_cancelled());
        go.raise();
        ended.wait(1);
    });
}

#[test]
fn a_join_that_loses_a_select_can_be_awaited_again() {
    on_the_bridge(|| {
        let go = Signal::new();
        let theirs = go.clone();
        let mut actor = smarm::spawn(move || {
            theirs.wait(1);
            7
        });
        let joined = in_a_task(async move {
            for _ in 0..3 {
                select! {
                    biased;
                    _ = &mut actor => unreachable!("it waits"),
                    () = turns(3) => {}
                }
            }
            go.raise();
            actor.await
        });
        assert_eq!(joined.unwrap(), 7);
    });
}

#[test]
fn a_receive_that_loses_a_select_leaves_every_message() {
    on_the_bridge(|| {
        for capacity in [None, Some(1), Some(0)] {
            let (tx, mut rx) = capacity.map_or_else(channel, bounded);
            let sender = smarm::spawn(move || {
                for n in 0..200 {
                    tx.send(n).unwrap();
                    if n % 7 == 0 {
                        smarm::yield_now();
                    }
                }
            });
            let seen = in_a_task(async move {
                let mut seen = Vec::new();
                for round in 0.. {
                    select! {
                        biased;
                        message = async { if round % 2 == 0 { rx.recv_async().await.ok() } else { rx.next().await } } => {
                            match message {
                                Some(message) => seen.push(message),
                                None => break,
                            }
                        }
                        () = turns(1 + round % 3) => {}
                    }
                }
                seen
            });
            assert_eq!(seen, (0..200).collect::<Vec<_>>());
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_send_that_loses_a_select_is_sent_or_dropped() {
    on_the_bridge(|| {
        let (mut tx, rx) = bounded(1);
        let drops = Drops::new();
        let source = drops.clone();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            for round in 0..200 {
                let message = source.counted();
                select! {
                    biased;
                    outcome = tx.send_async(message) => {
                        outcome.unwrap();
                        sent += 1;
                    }
                    () = turns(1 + round % 3) => {}
                }
                // What a sink has accepted is sent, also if its future is dropped.
                select! {
                    biased;
                    outcome = SinkExt::send(&mut tx, source.counted()) => {
                        outcome.unwrap();
                        sent += 1;
                    }
                    () = turns(1 + round % 2) => {}
                }
            }
            SinkExt::flush(&mut tx).await.unwrap();
            sent
        });
        let mut received = 0;
        for message in &rx {
            drop(message);
            received += 1;
            if received % 3 == 0 {
                smarm::yield_now();
            }
        }
        let sent = await_future(sending).unwrap();
        assert!((sent..=400).contains(&received), "{sent} were sent for sure, and {received} received");
        assert_eq!(drops.count(), 400);
    });
}

#[test]
fn a_lock_that_loses_a_select_is_handed_on() {
    on_the_bridge(|| {
        let mutex = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|n| {
                let mutex = mutex.clone();
                tokio::spawn(async move {
                    let mut locked = 0;
                    for round in 0..100 {
                        select! {
                            biased;
                            guard = mutex.lock_async() => {
                                *guard.unwrap() += 1;
                                locked += 1;
                            }
                            () = turns(1 + (round + n) % 3) => {}
                        }
                    }
                    locked
                })
            })
            .collect();
        let actors: Vec<_> = (0..4)
            .map(|_| {
                let mutex = mutex.clone();
                smarm::spawn(move || {
                    for _ in 0..100 {
                        let mut guard = mutex.lock(FOR_EVER).unwrap();
                        smarm::yield_now(); // the others queue
                        *guard += 1;
                    }
                })
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        let locked: usize = tasks.into_iter().map(|task| await_future(task).unwrap()).sum();
        assert_eq!(*mutex.try_lock().unwrap(), 400 + locked);
    });
}

#[test]
fn a_oneshot_that_loses_a_select_keeps_its_answer() {
    on_the_bridge(|| {
        let (reply, mut answer) = oneshot::channel();
        let go = Signal::new();
        let theirs = go.clone();
        let actor = smarm::spawn(move || {
            theirs.wait(1);
            reply.send(7).unwrap();
        });
        let answered = in_a_task(async move {
            select! {
                biased;
                _ = &mut answer => unreachable!("nobody has answered"),
                () = turns(2) => {}
            }
            go.raise();
            answer.await
        });
        assert_eq!(answered, Ok(7));
        actor.join().unwrap();
    });
}

#[test]
fn a_send_to_a_pid_that_loses_a_select_leaves_the_queue() {
    on_the_bridge(|| {
        let open = |rx: Receiver<u32>, go: Signal| {
            go.wait(1);
            rx.iter().take(2).collect::<Vec<_>>()
        };
        let go = Signal::new();
        let theirs = go.clone();
        let actor = smarm::Builder::new().spawn_with_bounded_mailbox(1, move |rx| open(rx, theirs)).unwrap();
        let pid = actor.pid();
        in_a_task(async move {
            pid.send_async(1_u32).await.unwrap();
            select! {
                biased;
                _ = pid.send_async(2_u32) => unreachable!("it is full"),
                () = turns(3) => {}
            }
            go.raise();
            pid.send_async(3_u32).await.unwrap();
        });
        assert_eq!(actor.join().unwrap(), [1, 3]);
        assert_eq!(in_a_task(pid.send_async(4_u32)), Err(SendError::NoActor(4)));
    });
}

#[test]
fn tokens_cross_the_bridge_both_ways() {
    on_the_bridge(|| {
        let token = CancelToken::new();
        let child = token.child_token();
        let theirs = child.clone();
        let task = tokio::spawn(async move {
            select! {
                () = theirs.cancelled() => "cancelled",
                () = tokio::time::sleep(FOR_EVER) => "slept",
            }
        });
        let theirs = child.clone();
        let actor = smarm::spawn(move || with_cancel(&theirs, || await_future(tokio::time::sleep(FOR_EVER))));
        let theirs = token.clone();
        tokio::spawn(async move { theirs.cancel() });
        assert_eq!(await_future(task).unwrap(), "cancelled");
        assert_eq!(actor.join().unwrap(), Err(Interrupted::Cancelled));
    });
}

#[test]
fn a_mailbox_takes_messages_from_tasks_until_it_is_killed() {
    on_the_bridge(|| {
        let drops = Drops::new();
        let actor = mailbox::spawn(|rx: Receiver<smarm_workspace::Counted>| {
            rx.iter().for_each(drop);
        });
        let (pid, source) = (actor.pid(), drops.clone());
        let task = tokio::spawn(async move {
            let mut made = 0;
            loop {
                made += 1;
                if pid.send_async(source.counted()).await.is_err() {
                    return made;
                }
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..20 {
            smarm::yield_now();
            await_future(tokio::task::yield_now());
        }
        actor.kill();
        assert!(matches!(actor.join(), Err(JoinError::Killed)));
        let made = await_future(task).unwrap();
        assert_eq!(drops.count(), made);
    });
}
