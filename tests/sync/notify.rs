//! | promise | of | test |
//! |---|---|---|
//! | one notification is kept, and one only | tokio | `one_notification_is_kept_and_no_more` |
//! | notify_one goes by the order of waiting | tokio | `the_oldest_waiter_is_notified_first` |
//! | notify_waiters reaches who waits, and is not kept | tokio | `all_who_wait_are_notified_and_nothing_is_kept` |
//! | it reaches futures that were made and not polled | tokio | `a_future_hears_of_all_notifications_since_it_was_made` |
//! | enable takes the place without waiting | tokio | `an_enabled_future_has_its_place` |
//! | a notified future that is dropped passes it on | tokio | `a_notified_waiter_that_leaves_passes_it_on` |
//! | or back, if nobody waits | tokio | `a_notification_that_nobody_takes_is_kept` |
//! | no wake-ups for nothing | smarm | `a_wait_ends_with_a_notification_only` |
//! | killed and late waiters lose nothing | smarm | `killed_and_impatient_waiters_lose_nothing` |
//! | a timeout is not early | smarm | `a_timeout_is_never_early` |
//! | a scope's end ends the wait | smarm | `a_scope_unwinds_a_wait_without_an_error` |
//! | everybody at once | smarm | `actors_tasks_and_threads_wake_each_other` |

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use smarm::cancel::Interrupted;
use smarm::sync::{Notify, WaitError};
use smarm_workspace::{PATIENCE, block_on, within, workers};

use crate::support::{LONG, Polled, SHORT, send};

#[test]
fn one_notification_is_kept_and_no_more() {
    let notify = Notify::new();
    assert!(!notify.try_wait());
    notify.notify_one();
    notify.notify_one();
    notify.wait();
    assert!(!notify.try_wait());
    notify.notify_one();
    assert!(notify.try_wait());
    notify.notify_one();
    Polled::new(notify.notified()).ready();
    notify.notify_one();
    assert_eq!(notify.wait_deadline(Instant::now()), Ok(()));
    assert!(Polled::new(notify.notified()).is_pending());
}

#[test]
fn the_oldest_waiter_is_notified_first() {
    let notify = Notify::new();
    let mut waits: Vec<_> = (0..3).map(|_| Polled::waiting(notify.notified())).collect();
    for n in 0..3 {
        notify.notify_one();
        waits[n].ready();
        assert!(waits[n + 1..].iter_mut().all(Polled::is_pending));
    }
    assert!(!notify.try_wait());
}

#[test]
fn all_who_wait_are_notified_and_nothing_is_kept() {
    let notify = Notify::new();
    notify.notify_waiters();
    assert!(!notify.try_wait());
    let mut waits: Vec<_> = (0..3).map(|_| Polled::waiting(notify.notified())).collect();
    notify.notify_waiters();
    waits.iter_mut().for_each(Polled::ready);
    assert!(Polled::new(notify.notified()).is_pending());
    notify.notify_one();
    notify.notify_waiters();
    assert!(notify.try_wait(), "a kept notification stays");
}

#[test]
fn a_future_hears_of_all_notifications_since_it_was_made() {
    let notify = Notify::new();
    let mut early = Polled::new(notify.notified());
    notify.notify_waiters();
    let mut late = Polled::new(notify.notified());
    early.ready();
    assert!(late.is_pending());
}

#[test]
fn an_enabled_future_has_its_place() {
    let notify = Notify::new();
    let mut enabled = Box::pin(notify.notified());
    assert!(!enabled.as_mut().enable());
    let mut other = Polled::waiting(notify.notified());
    notify.notify_one();
    assert!(other.is_pending());
    assert!(enabled.as_mut().enable());
    assert!(enabled.as_mut().enable(), "it stays notified");
    Polled::new(enabled).ready();
    assert!(!notify.try_wait());
}

#[test]
fn a_notified_waiter_that_leaves_passes_it_on() {
    let notify = Notify::new();
    let wait = || Polled::waiting(notify.notified());
    let (first, mut second, mut third) = (wait(), wait(), wait());
    notify.notify_one();
    drop(first);
    second.ready();
    assert!(third.is_pending());
    notify.notify_waiters();
    drop(third);
    assert!(!notify.try_wait(), "one of many notifications is not passed on");
}

#[test]
fn a_notification_that_nobody_takes_is_kept() {
    let notify = Notify::new();
    let only = Polled::waiting(notify.notified());
    notify.notify_one();
    assert!(!notify.try_wait());
    drop(only);
    assert!(notify.try_wait());
}

#[test]
fn a_wait_ends_with_a_notification_only() {
    let notify = Notify::new();
    let mut wait = Polled::waiting(notify.notified());
    for _ in 0..10 {
        assert!(wait.is_pending());
    }
    assert_eq!(wait.wakes(), 0);
    notify.notify_one();
    assert_eq!(wait.wakes(), 1);
    wait.ready();
}

#[test]
fn killed_and_impatient_waiters_lose_nothing() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let notify = Arc::new(Notify::new());
        for round in 0..300 {
            let spawn = |wait: fn(&Notify, u64) -> bool| {
                let notify = notify.clone();
                runtime.spawn(move || wait(&notify, round)).unwrap()
            };
            let impatient =
                spawn(|notify, round| notify.wait_timeout(Duration::from_micros(round % 60)).is_ok());
            let killed = spawn(|notify, _| {
                notify.wait();
                true
            });
            thread::scope(|scope| {
                scope.spawn(|| killed.kill());
                notify.notify_one();
            });
            let takers = [impatient.join().unwrap(), killed.join().is_ok(), notify.try_wait()];
            assert_eq!(takers.iter().filter(|took| **took).count(), 1, "{takers:?}");
        }
    });
}

#[test]
fn a_timeout_is_never_early() {
    within(PATIENCE, || {
        let wait = || {
            let (notify, start) = (Notify::new(), Instant::now());
            assert_eq!(notify.wait_timeout(SHORT), Err(WaitError::TimedOut));
            assert!(start.elapsed() >= SHORT);
            assert_eq!(notify.wait_deadline(start), Err(WaitError::TimedOut));
        };
        workers(1).run(wait);
        wait();
    });
}

#[test]
fn a_scope_unwinds_a_wait_without_an_error() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let notify = Notify::new();
            assert_eq!(smarm::with_timeout(SHORT, || notify.wait()), Err(Interrupted::TimedOut));
            let waited = smarm::with_timeout(SHORT, || notify.wait_timeout(LONG));
            assert_eq!(waited, Ok(Err(WaitError::TimedOut)));
            notify.notify_one();
            assert!(notify.try_wait(), "nobody waits any more");
        });
    });
}

#[test]
fn actors_tasks_and_threads_wake_each_other() {
    const ROUNDS: usize = 100;
    within(PATIENCE, || {
        let runtime = workers(2);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let ring: Arc<[Notify; 3]> = Arc::default();
        let theirs = ring.clone();
        let pass = move || {
            for _ in 0..ROUNDS {
                theirs[0].wait();
                theirs[1].notify_one();
            }
        };
        let actor = runtime.spawn(pass).unwrap();
        let theirs = ring.clone();
        let task = tokio.spawn(send(async move {
            for _ in 0..ROUNDS {
                theirs[1].notified().await;
                theirs[2].notify_one();
            }
        }));
        for _ in 0..ROUNDS {
            ring[0].notify_one();
            ring[2].wait();
        }
        actor.join().unwrap();
        block_on(task).unwrap();
    });
}
