//! | promise | of | test |
//! |---|---|---|
//! | a wait unlocks, and locks again | all | `a_wait_unlocks_the_mutex_and_locks_it_again` |
//! | notify_one wakes one, the longest waiting | parking_lot | `one_notification_wakes_the_one_who_has_waited_longest` |
//! | notify_all wakes all | all | `all_are_woken` |
//! | a notification that finds nobody is not kept | std | `a_notification_that_finds_nobody_is_not_kept` |
//! | no spurious wake-ups | parking_lot (std: may occur) | `nobody_is_woken_for_nothing` |
//! | a timeout gives the guard back and says so | std | `a_timeout_gives_the_guard_back_and_says_so` |
//! | wait_while looks first, and last | std | `waiting_while_looks_first_and_last` |
//! | a poisoned mutex gives its guard in the error | std | `a_poisoned_mutex_is_reported_with_the_guard` |
//! | a notified waiter that leaves passes it on | smarm | `a_notified_waiter_that_leaves_passes_it_on` |
//! | also while it waits for the mutex | smarm | `a_notified_waiter_that_leaves_while_it_locks_passes_it_on` |
//! | also when it is killed | smarm | `a_notification_of_a_killed_waiter_is_passed_on` |
//! | also when it times out | smarm | `no_notification_is_lost_to_timeouts` |
//! | dropped before its first poll, it unlocks | smarm | `an_async_wait_that_is_never_polled_unlocks` |
//! | a scope's end ends the wait, without the mutex | smarm | `a_scope_and_a_token_end_the_wait` |
//! | everybody at once | smarm | `actors_tasks_and_threads_hand_over_turns` |

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use smarm::sync::{Condvar, LockError, Mutex};
use smarm::{CancelToken, Config, with_cancel, with_timeout};
use smarm_workspace::{PATIENCE, Signal, block_on, calm, until, within, workers};

use crate::support::{LONG, Polled, SHORT, send};

/// A value, and the news that it has changed.
#[derive(Default)]
struct Watched {
    value: Mutex<usize>,
    changed: Condvar,
}

#[test]
fn a_wait_unlocks_the_mutex_and_locks_it_again() {
    let watched = Watched::default();
    let guard = watched.value.try_lock().unwrap();
    let mut wait = Polled::waiting(watched.changed.wait_async(guard));
    *watched.value.try_lock().unwrap() = 7;
    watched.changed.notify_one();
    let guard = wait.ready().unwrap();
    assert_eq!(*guard, 7);
    assert!(watched.value.try_lock().is_err());
}

#[test]
fn one_notification_wakes_the_one_who_has_waited_longest() {
    let watched = Watched::default();
    let mut waits: Vec<_> = (0..3)
        .map(|_| Polled::waiting(watched.changed.wait_async(watched.value.try_lock().unwrap())))
        .collect();
    for n in 0..3 {
        watched.changed.notify_one();
        let wakes: Vec<_> = waits.iter().map(Polled::wakes).collect();
        assert_eq!(wakes, (0..3).map(|m| usize::from(m <= n)).collect::<Vec<_>>());
        drop(waits[n].ready().unwrap());
    }
}

#[test]
fn all_are_woken() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let watched = Arc::new(Watched::default());
        let waiting = Signal::new();
        let actors: Vec<_> = (0..10)
            .map(|_| {
                let (watched, waiting) = (watched.clone(), waiting.clone());
                let wait = move || {
                    let guard = watched.value.lock(LONG).unwrap();
                    waiting.raise();
                    let guard = watched.changed.wait(guard).unwrap();
                    assert_eq!(*guard, 1);
                };
                runtime.spawn(wait).unwrap()
            })
            .collect();
        waiting.wait(10);
        *watched.value.lock(LONG).unwrap() = 1;
        watched.changed.notify_all();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
    });
}

#[test]
fn a_notification_that_finds_nobody_is_not_kept() {
    let watched = Watched::default();
    watched.changed.notify_one();
    watched.changed.notify_all();
    let mut wait = Polled::waiting(watched.changed.wait_async(watched.value.try_lock().unwrap()));
    assert!(wait.is_pending());
}

#[test]
fn nobody_is_woken_for_nothing() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let watched = Arc::new(Watched::default());
            let (theirs, waker) = (watched.clone(), Arc::new(std::sync::OnceLock::new()));
            let own = waker.clone();
            let waiter = smarm::spawn(move || {
                smarm::compat::await_future(poll_fn(|cx| Poll::Ready(own.set(cx.waker().clone())))).unwrap();
                let guard = theirs.value.lock(LONG).unwrap();
                *theirs.changed.wait(guard).unwrap()
            });
            until(|| waker.get().is_some());
            for _ in 0..10 {
                waker.get().unwrap().wake_by_ref();
                smarm::yield_now();
                assert!(!waiter.is_finished());
            }
            *watched.value.lock(LONG).unwrap() = 5;
            watched.changed.notify_one();
            assert_eq!(waiter.join().unwrap(), 5);
        });
    });
}

#[test]
fn a_timeout_gives_the_guard_back_and_says_so() {
    within(PATIENCE, || {
        let wait = || {
            let watched = Watched::default();
            let guard = watched.value.lock(LONG).unwrap();
            let start = Instant::now();
            let (guard, result) = watched.changed.wait_timeout(guard, SHORT).unwrap();
            assert!(result.timed_out() && start.elapsed() >= SHORT);
            assert!(watched.value.try_lock().is_err(), "it is locked again");
            let (guard, result) = watched.changed.wait_deadline(guard, Instant::now()).unwrap();
            assert!(result.timed_out());
            drop(guard);
            assert!(watched.value.try_lock().is_ok());
        };
        workers(1).run(wait);
        wait();
    });
}

#[test]
fn waiting_while_looks_first_and_last() {
    within(PATIENCE, || {
        smarm::runtime::init(calm(Config::exact(1))).run(|| {
            let watched = Arc::new(Watched::default());
            let lock = || watched.value.lock(LONG).unwrap();
            drop(watched.changed.wait_while(lock(), |value| *value > 0).unwrap());
            let (guard, result) = watched.changed.wait_timeout_while(lock(), LONG, |_| false).unwrap();
            assert!(!result.timed_out());
            let mut looks = 0;
            let waited = watched.changed.wait_timeout_while(guard, SHORT, |_| {
                looks += 1;
                looks < 2
            });
            assert!(!waited.unwrap().1.timed_out(), "it was so in the end");
            let waited = watched.changed.wait_deadline_while(lock(), Instant::now(), |_| true);
            assert!(waited.unwrap().1.timed_out());

            let theirs = watched.clone();
            let counts = smarm::spawn(move || {
                for _ in 0..3 {
                    *theirs.value.lock(LONG).unwrap() += 1;
                    theirs.changed.notify_all();
                    smarm::yield_now();
                }
            });
            assert_eq!(*watched.changed.wait_while(lock(), |value| *value < 2).unwrap(), 2);
            let waited = watched.changed.wait_while_async(lock(), |value| *value < 3);
            assert_eq!(*smarm::compat::await_future(waited).unwrap(), 3);
            counts.join().unwrap();
        });
    });
}

#[test]
fn a_poisoned_mutex_is_reported_with_the_guard() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let watched = Arc::new(Watched::default());
            let theirs = watched.clone();
            let guard = watched.value.lock(LONG).unwrap();
            let poisons = smarm::spawn(move || {
                let _guard = theirs.value.lock(LONG).unwrap();
                theirs.changed.notify_one();
                panic!("while it is locked");
            });
            let Err(LockError::Poisoned(guard)) = watched.changed.wait(guard) else { panic!("not poisoned") };
            let waited = watched.changed.wait_timeout(guard, SHORT);
            let Err(LockError::Poisoned((guard, result))) = waited else { panic!("not poisoned") };
            assert!(result.timed_out() && *guard == 0);
            assert!(poisons.join().is_err());
        });
    });
}

#[test]
fn a_notified_waiter_that_leaves_passes_it_on() {
    let watched = Watched::default();
    let wait = || Polled::waiting(watched.changed.wait_async(watched.value.try_lock().unwrap()));
    let (first, mut second, mut third) = (wait(), wait(), wait());
    watched.changed.notify_one();
    drop(first);
    drop(second.ready().unwrap());
    assert!(third.is_pending());
    watched.changed.notify_all();
    let fourth = wait();
    drop(third);
    assert_eq!(fourth.wakes(), 0, "one of many notifications is not passed on");
}

#[test]
fn a_notified_waiter_that_leaves_while_it_locks_passes_it_on() {
    let watched = Watched::default();
    let wait = || Polled::waiting(watched.changed.wait_async(watched.value.try_lock().unwrap()));
    let (mut first, mut second) = (wait(), wait());
    let guard = watched.value.try_lock().unwrap();
    watched.changed.notify_one();
    assert!(first.is_pending(), "it is notified, and waits for the mutex");
    drop(first);
    assert_eq!(second.wakes(), 1);
    drop(guard);
    drop(second.ready().unwrap());
    assert!(watched.value.try_lock().is_ok());
}

#[test]
fn a_notification_of_a_killed_waiter_is_passed_on() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for round in 0..200 {
            let watched = Arc::new(Watched::default());
            let waiting = Signal::new();
            let actors: Vec<_> = (0..2)
                .map(|_| {
                    let (watched, waiting) = (watched.clone(), waiting.clone());
                    let wait = move || {
                        let guard = watched.value.lock(LONG).unwrap();
                        waiting.raise();
                        // The other one may have died with the guard in its hands.
                        let guard = watched.changed.wait(guard).or_else(|error| error.into_guard().ok_or(()));
                        assert!(guard.is_ok());
                    };
                    runtime.spawn(wait).unwrap()
                })
                .collect();
            waiting.wait(2);
            drop(watched.value.lock(LONG).unwrap());
            let (killed, other) = (round % 2, 1 - round % 2);
            thread::scope(|scope| {
                scope.spawn(|| actors[killed].kill());
                watched.changed.notify_one();
            });
            let mut actors: Vec<_> = actors.into_iter().map(Some).collect();
            // If the killed one came through, it has used the notification.
            if actors[killed].take().unwrap().join().is_ok() {
                watched.changed.notify_one();
            }
            actors[other].take().unwrap().join().unwrap();
        }
    });
}

#[test]
fn no_notification_is_lost_to_timeouts() {
    const TOKENS: usize = 200;
    within(PATIENCE, || {
        let runtime = workers(2);
        let watched = Arc::new(Watched::default());
        let takers: Vec<_> = (0..4)
            .map(|n| {
                let watched = watched.clone();
                // One is patient. Whoever times out looks no more: its notification would be missed.
                let take = move || {
                    let mut taken = 0;
                    loop {
                        let guard = watched.value.lock(LONG).unwrap();
                        let waited = if n == 0 {
                            let guard = watched.changed.wait_while(guard, |tokens| *tokens == 0).unwrap();
                            Some(guard)
                        } else {
                            let short = Duration::from_micros(50 * n);
                            let (guard, result) = watched.changed.wait_timeout(guard, short).unwrap();
                            (!result.timed_out() && *guard > 0).then_some(guard)
                        };
                        match waited {
                            Some(guard) if *guard == usize::MAX => return taken,
                            Some(mut guard) => {
                                *guard -= 1;
                                taken += 1;
                            }
                            None if *watched.value.lock(LONG).unwrap() == usize::MAX => return taken,
                            None => {}
                        }
                    }
                };
                runtime.spawn(take).unwrap()
            })
            .collect();
        for _ in 0..TOKENS {
            *watched.value.lock(LONG).unwrap() += 1;
            watched.changed.notify_one();
            // The patient one takes it at the latest.
            until(|| *watched.value.lock(LONG).unwrap() == 0);
        }
        *watched.value.lock(LONG).unwrap() = usize::MAX;
        watched.changed.notify_all();
        let taken: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        assert_eq!(taken, TOKENS);
    });
}

#[test]
fn an_async_wait_that_is_never_polled_unlocks() {
    let watched = Watched::default();
    drop(watched.changed.wait_async(watched.value.try_lock().unwrap()));
    drop(watched.changed.wait_while_async(watched.value.try_lock().unwrap(), |_| true));
    assert!(watched.value.try_lock().is_ok());
}

#[test]
fn a_scope_and_a_token_end_the_wait() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let watched = Watched::default();
            let lock = || watched.value.lock(LONG).unwrap();
            let waited =
                with_timeout(SHORT, || matches!(watched.changed.wait(lock()), Err(LockError::TimedOut)));
            assert_eq!(waited, Ok(true));
            let token = CancelToken::new();
            token.cancel();
            let waited =
                with_cancel(&token, || matches!(watched.changed.wait(lock()), Err(LockError::Cancelled)));
            assert_eq!(waited, Ok(true));
            let waited = with_cancel(&token, || {
                matches!(watched.changed.wait_timeout(lock(), LONG), Err(LockError::Cancelled))
            });
            assert_eq!(waited, Ok(true));
            assert!(watched.value.try_lock().is_ok());
        });
    });
}

#[test]
fn actors_tasks_and_threads_hand_over_turns() {
    const ROUNDS: usize = 60;
    within(PATIENCE, || {
        let runtime = workers(2);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let watched = Arc::new(Watched::default());
        let turn = |watched: &Watched, n: usize| {
            for round in 0..ROUNDS {
                let guard = watched.value.lock(LONG).unwrap();
                let mut guard = watched.changed.wait_while(guard, |value| *value != 3 * round + n).unwrap();
                *guard += 1;
                watched.changed.notify_all();
            }
        };
        let theirs = watched.clone();
        let actor = runtime.spawn(move || turn(&theirs, 0)).unwrap();
        let theirs = watched.clone();
        let task = tokio.spawn(send(async move {
            for round in 0..ROUNDS {
                let guard = theirs.value.lock_async().await.unwrap();
                let waited = theirs.changed.wait_while_async(guard, |value| *value != 3 * round + 1).await;
                *waited.unwrap() += 1;
                theirs.changed.notify_all();
            }
        }));
        turn(&watched, 2);
        actor.join().unwrap();
        block_on(task).unwrap();
        assert_eq!(*watched.value.try_lock().unwrap(), 3 * ROUNDS);
    });
}
