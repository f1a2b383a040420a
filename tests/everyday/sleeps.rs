//! A sleeping future ends in time wherever it is polled, and leaves nothing behind wherever it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use smarm::compat::await_future;
use smarm::time::{self, Sleep, sleep_async, sleep_until_async};
use smarm_workspace::{PATIENCE, block_on, until, within, workers};

use crate::paused;

const LATER: Duration = Duration::from_millis(3);
const HOUR: Duration = Duration::from_secs(3_600);

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn poll(sleep: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(waker))
}

/// A sleep whose timer was set by an actor of a new runtime, which still runs.
fn set_by_an_actor(span: Duration, waker: Waker) -> (Sleep, smarm::Runtime) {
    let runtime = workers(1);
    let sleep = runtime.run(move || {
        let mut sleep = sleep_async(span);
        assert!(poll(&mut sleep, &waker).is_pending());
        sleep
    });
    (sleep, runtime)
}

#[test]
fn one_whose_time_has_come_is_ready_at_the_first_poll() {
    within(PATIENCE, || {
        let check = || {
            for mut sleep in [sleep_async(Duration::ZERO), sleep_until_async(Instant::now())] {
                assert!(poll(&mut sleep, Waker::noop()).is_ready());
                assert!(poll(&mut sleep, Waker::noop()).is_ready(), "and stays so");
            }
            let mut held = sleep_async(LATER);
            smarm::sleep(2 * LATER);
            assert!(poll(&mut held, Waker::noop()).is_ready());
        };
        check();
        workers(1).run(check);
    });
}

#[test]
fn very_many_of_one_task_end_in_their_order() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let begin = Instant::now() + Duration::from_millis(10);
            let mut deadlines: Vec<_> =
                (0..3_000_u64).map(|n| begin + Duration::from_micros(n * 7_919 % 40_000)).collect();
            deadlines.sort_unstable();
            let mut sleeps: Vec<_> = deadlines.iter().map(|at| sleep_until_async(*at)).collect();
            for sleep in &mut sleeps {
                let _ = poll(sleep, Waker::noop());
            }
            await_future(async {
                for sleep in sleeps {
                    let deadline = sleep.deadline();
                    sleep.await;
                    assert!(Some(Instant::now()) >= deadline);
                }
            });
        });
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    within(PATIENCE, || {
        let (first, last) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        let (theirs, theirs_last) = (Waker::from(first.clone()), Waker::from(last.clone()));
        workers(1).run(move || {
            let mut sleep = sleep_async(LATER);
            assert!(poll(&mut sleep, &theirs).is_pending());
            if poll(&mut sleep, &theirs_last).is_pending() {
                smarm::sleep(2 * LATER);
                assert!(poll(&mut sleep, &theirs).is_ready());
            } else {
                theirs_last.wake();
            }
        });
        assert_eq!((first.0.load(SeqCst), last.0.load(SeqCst)), (0, 1));
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&last)), (1, 1));
    });
}

#[test]
fn one_that_moves_to_another_thread_ends_there_and_is_never_early() {
    within(PATIENCE, || {
        for _ in 0..20 {
            let (sleep, runtime) = set_by_an_actor(LATER, Waker::noop().clone());
            let deadline = sleep.deadline();
            block_on(sleep);
            assert!(Some(Instant::now()) >= deadline);
            drop(runtime);
        }
    });
}

#[test]
fn one_that_moves_to_another_worker_ends_there_and_is_never_early() {
    within(PATIENCE, || {
        for _ in 0..20 {
            let (sleep, runtime) = set_by_an_actor(LATER, Waker::noop().clone());
            let deadline = sleep.deadline();
            workers(1).run(move || await_future(sleep));
            assert!(Some(Instant::now()) >= deadline);
            drop(runtime);
        }
    });
}

#[test]
fn a_task_whose_sleep_lay_with_a_worker_that_ended_is_woken_to_set_it_elsewhere() {
    within(PATIENCE, || {
        let wakes = Arc::new(Wakes::default());
        let (mut sleep, runtime) = set_by_an_actor(10 * LATER, wakes.clone().into());
        drop(runtime);
        until(|| wakes.0.load(SeqCst) > 0);
        let deadline = sleep.deadline();
        let again = poll(&mut sleep, Waker::noop());
        assert!(again.is_pending() || Some(Instant::now()) >= deadline);
        block_on(sleep);
        assert!(Some(Instant::now()) >= deadline);
    });
}

#[test]
fn one_that_is_dropped_on_another_thread_lets_go_of_its_waker_when_the_worker_comes_to_it() {
    within(PATIENCE, || {
        let wakes = Arc::new(Wakes::default());
        let (sleep, runtime) = set_by_an_actor(HOUR, wakes.clone().into());
        drop(sleep);
        runtime.run(|| assert!(poll(&mut sleep_async(HOUR), Waker::noop()).is_pending()));
        assert_eq!((Arc::strong_count(&wakes), wakes.0.load(SeqCst)), (1, 0));
    });
}

#[test]
fn the_key_of_a_worker_that_ended_does_not_touch_the_timers_of_the_next() {
    within(PATIENCE, || {
        for here in [true, false] {
            for _ in 0..20 {
                let (stale, runtime) = set_by_an_actor(HOUR, Waker::noop().clone());
                drop(runtime);
                // Homes are used again, so this worker's first timer may have the key of the other's.
                let runtime = workers(1);
                runtime.run(move || {
                    let mut sleep = sleep_async(LATER);
                    assert!(poll(&mut sleep, Waker::noop()).is_pending());
                    if here {
                        drop(stale);
                    } else {
                        std::thread::spawn(|| drop(stale)).join().unwrap();
                    }
                    let deadline = sleep.deadline();
                    await_future(sleep);
                    assert!(Some(Instant::now()) >= deadline);
                });
            }
        }
    });
}

#[test]
fn resetting_moves_the_deadline_both_ways() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let mut sleep = sleep_async(HOUR);
            assert!(poll(&mut sleep, Waker::noop()).is_pending());
            sleep.reset(Instant::now() + LATER);
            await_future(&mut sleep);
            sleep.reset(Instant::now() + HOUR);
            assert!(poll(&mut sleep, Waker::noop()).is_pending());
            sleep.reset(Instant::now());
            assert!(poll(&mut sleep, Waker::noop()).is_ready());
        });
    });
}

#[test]
fn on_a_paused_clock_they_go_by_it() {
    within(PATIENCE, || {
        paused(2).run(|| {
            let begin = time::now();
            let mut moved = sleep_async(2 * HOUR);
            assert!(poll(&mut moved, Waker::noop()).is_pending());
            await_future(sleep_async(HOUR));
            let tick = Duration::from_millis(1);
            assert!((HOUR..HOUR + tick).contains(&(time::now() - begin)));
            smarm::spawn(move || await_future(moved)).join().unwrap();
            assert!((2 * HOUR..2 * HOUR + tick).contains(&(time::now() - begin)));
        });
    });
}
