//! tokio's paused time with actors on the same thread.
//!
//! The clock of smarm's own timers cannot be paused: a test that pauses tokio's uses tokio's timers in its
//! actors as well.

use std::time::{Duration, Instant};

use smarm_compat::{await_future, await_timeout};
use smarm_ecosystem::{Mode, task};
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
            let task = task(async {
                let mut ticks = time::interval(DAY);
                for _ in 0..=10 {
                    ticks.tick().await;
                }
            });
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(began.elapsed().as_secs(), 5 * DAY.as_secs());
            task.join();
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
fn a_timer_of_smarm_keeps_its_own_time_and_stops_nobody() {
    within(PATIENCE, || {
        paused(|| {
            let sleeper = smarm::spawn(|| {
                let began = Instant::now();
                smarm::sleep(MOMENT);
                began.elapsed()
            });
            let began = time::Instant::now();
            // A long timer of smarm's is pending all the while, and is passed by tokio's time.
            let passed = await_timeout(DAY, async {
                for _ in 0..10 {
                    time::sleep(DAY).await;
                    tokio::task::yield_now().await;
                }
            });
            assert!(passed.is_ok());
            assert!(began.elapsed() >= DAY * 10);
            assert!(sleeper.join().unwrap() >= MOMENT, "it woke early");
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
