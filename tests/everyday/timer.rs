//! Time: never early, in order, and cheap to give up.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use smarm_workspace::{PATIENCE, Signal, until, within, workers};

#[test]
fn a_sleep_is_never_early() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let sleepers: Vec<_> = (0..200_u64)
            .map(|n| {
                let span = Duration::from_micros(n * n % 5_000);
                runtime
                    .spawn(move || {
                        for _ in 0..5 {
                            let start = Instant::now();
                            smarm::sleep(span);
                            assert!(start.elapsed() >= span);
                            let deadline = Instant::now() + span;
                            smarm::sleep_until(deadline);
                            assert!(Instant::now() >= deadline);
                        }
                    })
                    .unwrap()
            })
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn a_sleep_is_never_early_on_a_plain_thread() {
    within(PATIENCE, || {
        for micros in [0, 1, 100, 2_000] {
            let span = Duration::from_micros(micros);
            let start = Instant::now();
            smarm::sleep(span);
            assert!(start.elapsed() >= span);
        }
    });
}

#[test]
fn a_deadline_in_the_past_returns_at_once() {
    within(PATIENCE, || {
        smarm::run(|| {
            let past = Instant::now() - Duration::from_secs(1);
            for _ in 0..1000 {
                smarm::sleep_until(past);
                smarm::sleep(Duration::ZERO);
            }
        });
    });
}

#[test]
fn deadlines_far_apart_fire_in_their_order() {
    within(PATIENCE, || {
        smarm::run(|| {
            let woken = Arc::new(Mutex::new(Vec::new()));
            let start = Instant::now();
            let sleepers: Vec<_> = [4, 1, 3, 0, 2]
                .map(|n| {
                    let woken = woken.clone();
                    smarm::spawn(move || {
                        smarm::sleep_until(start + Duration::from_millis(10 + 20 * n));
                        woken.lock().unwrap().push((n, Instant::now()));
                    })
                })
                .into();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
            let woken = woken.lock().unwrap();
            // A worker that was held up may find several due at once; then only "never early" holds.
            for &(n, at) in woken.iter() {
                assert!(at >= start + Duration::from_millis(10 + 20 * n));
            }
            for pair in woken.windows(2) {
                let late =
                    pair[0].1.min(pair[1].1) - start >= Duration::from_millis(10 + 20 * pair[0].0 + 20);
                assert!(pair[0].0 < pair[1].0 || late, "{woken:?}");
            }
        });
    });
}

#[test]
fn a_sleeper_sleeps_on_while_others_come_and_go() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let span = Duration::from_millis(50);
        let start = Instant::now();
        let long = runtime
            .spawn(move || {
                smarm::sleep(span);
                start.elapsed()
            })
            .unwrap();
        for n in 0..500_u64 {
            runtime.run(move || smarm::sleep(Duration::from_micros(n % 50)));
        }
        assert!(long.join().unwrap() >= span);
    });
}

#[test]
fn an_idle_worker_wakes_for_a_timer_that_is_set_while_it_sleeps() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let far = runtime.spawn(|| smarm::sleep(Duration::from_secs(3600))).unwrap();
        for _ in 0..50 {
            // Nearer than the one that the worker sleeps for.
            runtime.run(|| smarm::sleep(Duration::from_micros(300)));
        }
        far.kill();
        assert!(far.join().unwrap_err().is_killed());
    });
}

#[test]
fn a_thousand_sleepers_of_an_hour_end_at_once_when_killed() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let asleep = Signal::new();
        let sleepers: Vec<_> = (0..1000)
            .map(|n| {
                let asleep = asleep.clone();
                runtime
                    .spawn(move || {
                        asleep.raise();
                        smarm::sleep(Duration::from_secs(3600 + n));
                    })
                    .unwrap()
            })
            .collect();
        until(|| asleep.count() == 1000);
        sleepers.iter().for_each(|sleeper| sleeper.kill());
        for sleeper in sleepers {
            assert!(sleeper.join().unwrap_err().is_killed());
        }
    });
}

#[test]
fn a_timer_that_fires_as_its_wait_ends_does_not_disturb_the_next_wait() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let signal = Signal::new();
        let theirs = signal.clone();
        let (ready, go) = mpsc::channel();
        let actor = runtime
            .spawn(move || {
                let mut timed_out = 0;
                for round in 1..=500 {
                    ready.send(()).unwrap();
                    let wait = theirs.reached(round);
                    if smarm::compat::await_timeout(Duration::from_micros(20), wait).is_err() {
                        timed_out += 1;
                        // The next wait has no deadline, and ends for its own reason only.
                        theirs.wait(round);
                    }
                    assert!(theirs.count() >= round);
                }
                timed_out
            })
            .unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in go {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_micros(20) {
                        std::hint::spin_loop();
                    }
                    signal.raise();
                }
            });
            assert!(actor.join().unwrap() <= 500);
        });
    });
}
