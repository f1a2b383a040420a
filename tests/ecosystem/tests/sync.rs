//! tokio's own tools between actors and tasks: `select!`, `JoinSet`, `CancellationToken`, channels, locks
//! and notifications.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt;
use smarm_compat::{await_future, await_timeout};
use smarm_ecosystem::{in_every_mode, kill, task};
use smarm_workspace::{Drops, PATIENCE, Signal, until, within};
use tokio::sync::{Barrier, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const FOR_EVER: Duration = Duration::from_secs(100_000);
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn select_in_an_actor_takes_from_the_winner_and_nothing_from_the_others() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (from_task, mut tokios) = mpsc::channel(4);
            let (from_actor, mut smarms) = smarm::channel::bounded(4);
            let sender = task(async move {
                for n in 0..200_u32 {
                    from_task.send(n).await.unwrap();
                }
            });
            let actor = smarm::spawn(move || (0..200_u32).for_each(|n| from_actor.send(n).unwrap()));
            let (mut next_tokio, mut next_smarm) = (0, 0);
            let mut ticks = tokio::time::interval(MOMENT);
            loop {
                await_future(async {
                    tokio::select! {
                        Some(n) = tokios.recv() => {
                            assert_eq!(n, next_tokio);
                            next_tokio += 1;
                        }
                        Ok(n) = smarms.recv_async() => {
                            assert_eq!(n, next_smarm);
                            next_smarm += 1;
                        }
                        _ = ticks.tick() => {}
                    }
                });
                if (next_tokio, next_smarm) == (200, 200) {
                    break;
                }
            }
            sender.join();
            actor.join().unwrap();
        });
    });
}

#[test]
fn select_drops_the_losers_and_may_wait_for_actors() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let drops = Drops::new();
            let counted = drops.counted();
            let actor = smarm::spawn(|| {
                smarm::sleep(MOMENT);
                42
            });
            let won = await_future(async move {
                tokio::select! {
                    answer = actor => answer.unwrap(),
                    () = async move { let _counted = counted; pending().await } => unreachable!("pending"),
                    () = tokio::time::sleep(FOR_EVER) => unreachable!("it is too early"),
                }
            });
            assert_eq!(won, 42);
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_join_set_gives_results_panics_and_aborts_to_an_actor() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let mut tasks = JoinSet::new();
            for n in 0..50 {
                tasks.spawn(async move {
                    tokio::task::yield_now().await;
                    n
                });
            }
            let mut sum = 0;
            while let Some(n) = await_future(tasks.join_next()) {
                sum += n.unwrap();
            }
            assert_eq!(sum, 1225);

            tasks.spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
            assert!(await_future(tasks.join_next()).unwrap().unwrap_err().is_panic());
            tasks.spawn(pending());
            tasks.abort_all();
            assert!(await_future(tasks.join_next()).unwrap().unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_join_set_goes_with_the_actor_that_is_killed() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (drops, began) = (Drops::new(), Signal::new());
            let (counted, running) = (drops.counted(), began.clone());
            let actor = smarm::spawn(move || {
                let mut tasks = JoinSet::new();
                tasks.spawn(async move {
                    let _counted = counted;
                    running.raise();
                    pending::<()>().await;
                });
                await_future(tasks.join_next());
            });
            began.wait(1);
            kill(actor);
            until(|| drops.count() == 1);
        });
    });
}

#[test]
fn a_cancellation_token_reaches_actors_and_tasks_and_its_children_alone() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let token = CancellationToken::new();
            let (child, aside) = (token.child_token(), token.child_token());
            let waiting = child.clone();
            let actor = smarm::spawn(move || await_future(waiting.run_until_cancelled(pending::<()>())));
            let waiting = child.clone();
            let task = task(async move { waiting.cancelled().await });
            child.cancel();
            assert!(actor.join().unwrap().is_none());
            task.join();
            assert!(!token.is_cancelled() && !aside.is_cancelled());

            // An actor's end cancels what its guard guards, however it ends.
            let guard = token.clone().drop_guard();
            let actor = smarm::spawn(move || {
                let _guard = guard;
                smarm::sleep(FOR_EVER);
            });
            kill(actor);
            await_future(aside.cancelled());
        });
    });
}

#[test]
fn a_broadcast_reaches_all_and_tells_who_lags_and_when_it_ends() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (sender, mut slow) = broadcast::channel(4);
            let ready = Arc::new(Semaphore::new(0));
            let listeners: Vec<_> = (0..4)
                .map(|_| {
                    let (mut receiver, ready) = (sender.subscribe(), ready.clone());
                    smarm::spawn(move || {
                        for n in 0..100 {
                            assert_eq!(await_future(receiver.recv()), Ok(n));
                            ready.add_permits(1);
                        }
                        assert_eq!(await_future(receiver.recv()), Err(broadcast::error::RecvError::Closed));
                    })
                })
                .collect();
            for n in 0..100 {
                sender.send(n).unwrap();
                await_future(ready.acquire_many(4)).unwrap().forget();
            }
            drop(sender);
            listeners.into_iter().for_each(|listener| listener.join().unwrap());
            assert_eq!(await_future(slow.recv()), Err(broadcast::error::RecvError::Lagged(96)));
            assert_eq!(await_future(slow.recv()), Ok(96));
        });
    });
}

#[test]
fn a_watch_shows_the_latest_and_ends_with_its_sender() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (sender, receiver) = watch::channel(0);
            let watchers: Vec<_> = (0..4)
                .map(|_| {
                    let mut receiver = receiver.clone();
                    smarm::spawn(move || {
                        let mut last = 0;
                        while await_future(receiver.changed()).is_ok() {
                            let now = *receiver.borrow_and_update();
                            assert!(now > last);
                            last = now;
                        }
                        last
                    })
                })
                .collect();
            let setter = task(async move {
                for n in 1..=100 {
                    sender.send(n).unwrap();
                    tokio::task::yield_now().await;
                }
            });
            setter.join();
            watchers.into_iter().for_each(|watcher| assert_eq!(watcher.join().unwrap(), 100));
            assert_eq!(*receiver.borrow(), 100);
        });
    });
}

#[test]
fn a_notification_for_a_killed_actor_goes_to_the_next() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let notify = Arc::new(Notify::new());
            for rounds in 0..20 {
                let (first, second) = (notify.clone(), notify.clone());
                let first = smarm::spawn(move || await_future(first.notified()));
                let second = smarm::spawn(move || await_timeout(PATIENCE, second.notified()));
                if rounds % 2 == 0 {
                    smarm::yield_now();
                }
                notify.notify_one();
                first.kill();
                // Whoever got it, one is left for the second.
                if first.join().is_ok() {
                    notify.notify_one();
                }
                second.join().unwrap().unwrap();
                assert!(notify.notified().now_or_never().is_none(), "one came twice");
            }
            let waiting = notify.notified();
            notify.notify_waiters();
            await_future(waiting);
        });
    });
}

#[test]
fn permits_come_back_from_actors_that_are_killed_and_a_closed_semaphore_says_so() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let permits = Arc::new(Semaphore::new(2));
            let inside = Arc::new(AtomicUsize::new(0));
            let many: Vec<_> = (0..20)
                .map(|_| {
                    let (permits, inside) = (permits.clone(), inside.clone());
                    smarm::spawn(move || {
                        let _permit = await_future(permits.acquire()).unwrap();
                        assert!(inside.fetch_add(1, SeqCst) < 2);
                        smarm::yield_now();
                        inside.fetch_sub(1, SeqCst);
                    })
                })
                .collect();
            many.into_iter().for_each(|actor| actor.join().unwrap());

            let (holding, took) = (permits.clone(), Signal::new());
            let taken = took.clone();
            let holder = smarm::spawn(move || {
                let _permits = await_future(holding.acquire_many_owned(2)).unwrap();
                taken.raise();
                smarm::sleep(FOR_EVER);
            });
            took.wait(1);
            assert!(await_timeout(MOMENT, permits.acquire()).is_err());
            kill(holder);
            drop(await_future(permits.acquire_many(2)).unwrap());

            let held = await_future(permits.acquire_many(2)).unwrap();
            let waiting = permits.clone();
            let waiter = task(async move { waiting.acquire().await.is_err() });
            permits.close();
            assert!(waiter.join());
            drop(held);
        });
    });
}

#[test]
fn locks_cells_and_barriers_hold_between_actors_and_tasks() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let count = Arc::new(RwLock::new(0));
            let once = Arc::new(OnceCell::new());
            let barrier = Arc::new(Barrier::new(10));
            let made = Arc::new(AtomicUsize::new(0));
            let work = || {
                let (count, once, barrier, made) =
                    (count.clone(), once.clone(), barrier.clone(), made.clone());
                async move {
                    let make = || async {
                        tokio::task::yield_now().await;
                        made.fetch_add(1, SeqCst)
                    };
                    assert_eq!(*once.get_or_init(make).await, 0);
                    for _ in 0..50 {
                        let mut count = count.write().await;
                        let before = *count;
                        tokio::task::yield_now().await;
                        *count = before + 1;
                    }
                    barrier.wait().await;
                    assert_eq!(*count.read().await, 500);
                }
            };
            let tasks: Vec<_> = (0..5).map(|_| task(work())).collect();
            let actors: Vec<_> = (0..5)
                .map(|_| {
                    let work = work();
                    smarm::spawn(move || await_future(work))
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join());
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(made.load(SeqCst), 1);
        });
    });
}

#[test]
fn a_channel_whose_other_end_is_killed_says_so() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (sender, mut receiver) = mpsc::channel::<u32>(1);
            let (answer, answered) = oneshot::channel::<u32>();
            let actor = smarm::spawn(move || {
                let _answer = answer;
                assert_eq!(await_future(receiver.recv()), Some(1));
                smarm::sleep(FOR_EVER);
            });
            await_future(sender.send(1)).unwrap();
            await_future(sender.send(2)).unwrap();
            assert!(await_timeout(MOMENT, sender.send(3)).is_err(), "it is full");
            kill(actor);
            assert!(await_future(sender.send(4)).is_err());
            assert!(await_future(answered).is_err());
        });
    });
}
