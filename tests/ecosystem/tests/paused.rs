//! tokio's paused time with actors on the same thread.
//!
//! smarm's timers go by tokio's clock there, so that both stand still and leap together.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use smarm_compat::{await_future, await_timeout};
use smarm_ecosystem::Mode;
use smarm_workspace::{PATIENCE, panic_message, within};
use tokio::sync::mpsc;
use tokio::time::{self, error::Elapsed};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOMENT: Duration = Duration::from_millis(20);

/// Runs `test` as an actor beside tasks whose time is paused.
fn paused(test: fn()) {
    for mode in Mode::CURRENT_THREAD {
        mode.run(move || {
            time::pause();
            test();
        });
    }
}

#[test]
fn days_pass_for_actors_and_tasks_as_soon_as_all_of_them_wait() {
    within(PATIENCE, || {
        paused(|| {
            let began = time::Instant::now();
            let actors: Vec<_> =
                (1..=5).map(|days| smarm::spawn(move || await_future(time::sleep(DAY * days)))).collect();
            let task = tokio::spawn(async {
                let mut ticks = time::interval(DAY);
                for _ in 0..=10 {
                    ticks.tick().await;
                }
            });
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(began.elapsed().as_secs(), 5 * DAY.as_secs());
            await_future(task).unwrap();
            assert_eq!(began.elapsed().as_secs(), 10 * DAY.as_secs());
        });
    });
}

#[test]
fn timeouts_of_tokio_are_over_in_their_order() {
    within(PATIENCE, || {
        paused(|| {
            let (sender, mut receiver) = mpsc::channel(1);
            let late: Result<_, Elapsed> = await_future(time::timeout(DAY, receiver.recv()));
            assert!(late.is_err());
            let actor = smarm::spawn(move || {
                await_future(time::sleep(DAY));
                await_future(sender.send(42)).unwrap();
            });
            assert_eq!(await_future(time::timeout(DAY * 2, receiver.recv())), Ok(Some(42)));
            actor.join().unwrap();
        });
    });
}

#[test]
fn an_actor_advances_the_time_of_the_tasks() {
    within(PATIENCE, || {
        paused(|| {
            let task = tokio::spawn(time::sleep(DAY));
            smarm::yield_now();
            await_future(time::advance(DAY / 2));
            assert!(!task.is_finished());
            await_future(time::advance(DAY));
            await_future(task).unwrap();
        });
    });
}

#[test]
fn sleeping_tasks_and_actors_wake_in_one_order() {
    within(PATIENCE, || {
        paused(|| {
            const HALF: Duration = Duration::from_secs(30 * 60);
            let began = smarm::time::now();
            let woken = Arc::new(Mutex::new(vec![]));
            let note = |name: &'static str| {
                let woken = woken.clone();
                move || woken.lock().unwrap().push((name, (smarm::time::now() - began).as_secs() / 1800))
            };
            let actors = [("actor", 2), ("actor", 4), ("actor", 5)].map(|(name, halves)| {
                let note = note(name);
                smarm::spawn(move || {
                    smarm::sleep(HALF * halves);
                    note();
                })
            });
            let tasks = [("task", 3), ("task", 1), ("task", 6)].map(|(name, halves)| {
                let note = note(name);
                tokio::spawn(async move {
                    time::sleep(HALF * halves).await;
                    note();
                })
            });
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            for task in tasks {
                await_future(task).unwrap();
            }
            let expected = [("task", 1), ("actor", 2), ("task", 3), ("actor", 4), ("actor", 5), ("task", 6)];
            assert_eq!(*woken.lock().unwrap(), expected);
            assert_eq!(time::Instant::now().into_std(), smarm::time::now());
        });
    });
}

#[test]
fn after_a_leap_of_tokios_the_limits_of_smarm_count_from_there() {
    within(PATIENCE, || {
        paused(|| {
            await_future(time::sleep(DAY));
            let began = smarm::time::now();
            let passed = || (smarm::time::now() - began).as_secs() / DAY.as_secs();
            let (_open, silent) = smarm::channel::<()>();
            assert!(silent.recv_timeout(DAY).is_err());
            assert_eq!(passed(), 1);
            let mut ticks = smarm::time::interval(DAY);
            for _ in 0..3 {
                ticks.tick();
            }
            assert_eq!(passed(), 3);
            assert!(await_timeout(DAY, std::future::pending::<()>()).is_err());
            assert_eq!(passed(), 4);
            await_future(smarm::time::sleep_async(DAY));
            assert_eq!(passed(), 5);
            await_future(time::advance(DAY));
            assert_eq!(passed(), 6);
        });
    });
}

#[test]
fn time_goes_on_for_both_after_it_was_resumed() {
    within(PATIENCE, || {
        paused(|| {
            await_future(time::sleep(DAY));
            time::resume();
            let (tokios, smarms) = (time::Instant::now(), Instant::now());
            await_future(time::sleep(MOMENT));
            smarm::sleep(MOMENT);
            assert!(tokios.elapsed() >= MOMENT * 2 && smarms.elapsed() >= MOMENT * 2);
        });
    });
}

#[test]
fn beside_a_multi_thread_runtime_the_attempt_panics_in_the_actor() {
    within(PATIENCE, || {
        Mode::Attached.run(|| {
            let said = panic_message(time::pause);
            assert!(said.contains("current_thread"), "{said}");
            await_future(time::sleep(MOMENT));
        });
    });
}
