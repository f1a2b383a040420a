//! Intervals tick when they should, whoever waits, and do what was asked for after a late tick.

use std::time::Duration;

use futures::StreamExt;
use smarm::compat::await_future;
use smarm::time::{self, MissedTickBehavior, interval, interval_at};
use smarm_workspace::{PATIENCE, block_on, panic_message, within};

use crate::paused;

const PERIOD: Duration = Duration::from_millis(50);

/// Milliseconds since `begin`, without the wheel's tick.
fn millis(begin: time::Instant) -> u128 {
    (time::now() - begin).as_millis()
}

#[test]
fn it_ticks_at_once_and_then_every_period() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let begin = time::now();
            let mut ticks = interval(PERIOD);
            let at: Vec<_> = (0..4).map(|_| (ticks.tick() - begin, millis(begin))).collect();
            assert_eq!(at, (0..4).map(|n| (PERIOD * n, (PERIOD * n).as_millis())).collect::<Vec<_>>());
        });
    });
}

#[test]
fn a_late_owner_gets_what_the_table_says() {
    within(PATIENCE, || {
        let expected = [
            (MissedTickBehavior::Burst, [0, 50, 215, 215, 215, 250, 300]),
            (MissedTickBehavior::Delay, [0, 50, 215, 265, 315, 365, 415]),
            (MissedTickBehavior::Skip, [0, 50, 215, 250, 300, 350, 400]),
        ];
        for (behavior, expected) in expected {
            for asynchronous in [false, true] {
                paused(1).run(move || {
                    let begin = time::now();
                    let mut ticks = interval(PERIOD);
                    ticks.set_missed_tick_behavior(behavior);
                    let mut taken = vec![];
                    for tick in 0..expected.len() {
                        if asynchronous {
                            await_future(ticks.tick_async());
                        } else {
                            ticks.tick();
                        }
                        taken.push(millis(begin));
                        if tick == 1 {
                            smarm::sleep(Duration::from_millis(165));
                        }
                    }
                    assert_eq!(taken, expected, "{behavior:?}");
                });
            }
        }
    });
}

#[test]
fn a_reset_counts_from_the_reset() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let begin = time::now();
            let mut ticks = interval_at(begin + PERIOD * 10, PERIOD);
            assert_eq!(ticks.try_tick(), None);
            smarm::sleep(PERIOD / 2);
            ticks.reset();
            ticks.tick();
            assert_eq!(millis(begin), 75);
            ticks.reset_after(Duration::from_millis(5));
            ticks.tick();
            assert_eq!(millis(begin), 80);
            ticks.reset_immediately();
            assert!(ticks.try_tick().is_some());
            ticks.reset_at(begin + PERIOD * 4);
            await_future(ticks.tick_async());
            assert_eq!(millis(begin), 200);
        });
    });
}

#[test]
fn a_tick_that_was_given_up_is_still_to_come() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let begin = time::now();
            let mut ticks = interval_at(begin + PERIOD, PERIOD);
            assert!(ticks.tick_timeout(PERIOD / 2).is_err());
            assert!(smarm::compat::await_timeout(PERIOD / 5, ticks.tick_async()).is_err());
            assert_eq!(ticks.tick_deadline(begin + PERIOD * 2), Ok(begin + PERIOD));
            assert_eq!(millis(begin), 50);
        });
    });
}

#[test]
fn it_is_a_stream() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let begin = time::now();
            let ticks = interval(PERIOD).take(4).map(|due| (due - begin).as_millis());
            assert_eq!(await_future(ticks.collect::<Vec<_>>()), [0, 50, 100, 150]);
        });
    });
}

#[test]
fn it_ticks_on_plain_threads_and_in_other_executors() {
    within(PATIENCE, || {
        let begin = time::now();
        let mut ticks = interval(Duration::from_millis(2));
        for _ in 0..3 {
            ticks.tick();
            block_on(ticks.tick_async());
        }
        assert!(time::now() - begin >= Duration::from_millis(10));
    });
}

#[test]
fn sleeps_of_tasks_are_never_early_and_can_be_given_up() {
    within(PATIENCE, || {
        let alone = |span: Duration| {
            let begin = time::now();
            block_on(time::sleep_async(span));
            assert!(time::now() - begin >= span);
        };
        for micros in [0, 1, 100, 3_000, 10, 1_000] {
            alone(Duration::from_micros(micros));
        }
        block_on(async {
            let long = time::sleep_async(Duration::MAX);
            let short = time::sleep_async(Duration::from_millis(1));
            futures::pin_mut!(long, short);
            assert!(matches!(futures::future::select(long, short).await, futures::future::Either::Right(_)));
        });
    });
}

#[test]
fn tokio_tasks_wait_for_it() {
    within(PATIENCE, || {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        tokio.block_on(async {
            let tasks: Vec<_> = (0..50_u64)
                .map(|n| {
                    tokio::spawn(async move {
                        let begin = time::now();
                        time::sleep_async(Duration::from_micros(n * 37)).await;
                        assert!(time::now() - begin >= Duration::from_micros(n * 37));
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn a_period_of_zero_is_misuse() {
    let said = panic_message(|| interval(Duration::ZERO));
    assert!(said.contains("period"), "{said}");
}

#[test]
fn a_killed_owner_and_one_whose_time_is_over_unwind_out_of_a_tick() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let over = time::timeout(PERIOD, || {
                let mut ticks = interval_at(time::now() + PERIOD * 2, PERIOD);
                ticks.tick();
            });
            assert_eq!(over, Err(time::Interrupted::TimedOut));
        });
    });
}
