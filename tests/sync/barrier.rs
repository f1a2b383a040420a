//! | promise | of | test |
//! |---|---|---|
//! | all wait for the last, who leads | all | `all_go_on_when_the_last_has_come_and_one_leads` |
//! | it can be used again | std, tokio | `it_is_used_round_after_round` |
//! | 0 is as 1 | std, tokio | `nobody_waits_at_a_barrier_for_none_or_one` |
//! | who gives up does not count any more | smarm (tokio: still counts) | `who_gives_up_does_not_count_any_more` |
//! | who gives up too late changes nothing | smarm | `who_gives_up_after_the_last_has_come_changes_nothing` |
//! | a killed one does not count any more | smarm | `killed_ones_do_not_count` |
//! | too large a number panics | smarm | `too_large_a_number_is_refused_by_a_panic` |
//! | everybody at once | smarm | `actors_tasks_and_threads_meet` |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use smarm::sync::{Barrier, WaitError};
use smarm_workspace::{PATIENCE, Signal, block_on, panic_message, within, workers};

use crate::support::{Polled, SHORT, send};

#[test]
fn all_go_on_when_the_last_has_come_and_one_leads() {
    let barrier = Barrier::new(3);
    let mut first = Polled::waiting(barrier.wait_async());
    let mut second = Polled::waiting(barrier.wait_async());
    assert!(barrier.wait().is_leader());
    assert_eq!((first.wakes(), second.wakes()), (1, 1));
    assert!(!first.ready().is_leader() && !second.ready().is_leader());
}

#[test]
fn it_is_used_round_after_round() {
    const ROUNDS: usize = 200;
    const ACTORS: usize = 5;
    within(PATIENCE, || {
        let runtime = workers(2);
        let barrier = Arc::new(Barrier::new(ACTORS));
        let came = Arc::new(AtomicUsize::new(0));
        let actors: Vec<_> = (0..ACTORS)
            .map(|_| {
                let (barrier, came) = (barrier.clone(), came.clone());
                let meet = move || {
                    let mut led = 0;
                    for round in 1..=ROUNDS {
                        came.fetch_add(1, SeqCst);
                        led += usize::from(barrier.wait().is_leader());
                        let all = came.load(SeqCst);
                        assert!(
                            (round * ACTORS..(round + 1) * ACTORS).contains(&all),
                            "{all} in round {round}"
                        );
                    }
                    led
                };
                runtime.spawn(meet).unwrap()
            })
            .collect();
        assert_eq!(actors.into_iter().map(|actor| actor.join().unwrap()).sum::<usize>(), ROUNDS);
    });
}

#[test]
fn nobody_waits_at_a_barrier_for_none_or_one() {
    for count in [0, 1] {
        let barrier = Barrier::new(count);
        assert!(barrier.wait().is_leader());
        assert!(barrier.wait_deadline(Instant::now()).unwrap().is_leader());
    }
}

#[test]
fn who_gives_up_does_not_count_any_more() {
    within(PATIENCE, || {
        let meet = || {
            let barrier = Barrier::new(2);
            let start = Instant::now();
            assert_eq!(barrier.wait_timeout(SHORT), Err(WaitError::TimedOut));
            assert!(start.elapsed() >= SHORT);
            assert_eq!(barrier.wait_deadline(start), Err(WaitError::TimedOut));
            drop(Polled::waiting(barrier.wait_async()));
            let mut first = Polled::waiting(barrier.wait_async());
            assert!(barrier.wait().is_leader());
            assert!(!first.ready().is_leader());
        };
        workers(1).run(meet);
        meet();
    });
}

#[test]
fn who_gives_up_after_the_last_has_come_changes_nothing() {
    let barrier = Barrier::new(2);
    let late = Polled::waiting(barrier.wait_async());
    assert!(barrier.wait().is_leader());
    let mut next = Polled::waiting(barrier.wait_async());
    drop(late);
    assert!(next.is_pending());
    assert!(barrier.wait().is_leader());
    assert!(!next.ready().is_leader());
}

#[test]
fn killed_ones_do_not_count() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let barrier = Arc::new(Barrier::new(2));
        for _ in 0..100 {
            let (theirs, comes) = (barrier.clone(), Signal::new());
            let signal = comes.clone();
            let wait = move || {
                signal.raise();
                theirs.wait();
            };
            let killed = runtime.spawn(wait).unwrap();
            comes.wait(1);
            killed.kill();
            assert!(killed.join().is_err());
            let mut alone = Polled::waiting(barrier.wait_async());
            assert!(alone.is_pending());
        }
    });
}

#[test]
fn too_large_a_number_is_refused_by_a_panic() {
    assert!(panic_message(|| Barrier::new(u32::MAX as usize + 1)).contains("u32::MAX"));
}

#[test]
fn actors_tasks_and_threads_meet() {
    const ROUNDS: usize = 50;
    within(PATIENCE, || {
        let runtime = workers(2);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let barrier = Arc::new(Barrier::new(5));
        let meet = |barrier: &Barrier| (0..ROUNDS).filter(|_| barrier.wait().is_leader()).count();
        let actors = [(); 2].map(|()| {
            let barrier = barrier.clone();
            runtime.spawn(move || meet(&barrier)).unwrap()
        });
        let tasks = [(); 2].map(|()| {
            let barrier = barrier.clone();
            tokio.spawn(send(async move {
                let mut led = 0;
                for _ in 0..ROUNDS {
                    led += usize::from(barrier.wait_async().await.is_leader());
                }
                led
            }))
        });
        let mut led = meet(&barrier);
        led += actors.into_iter().map(|actor| actor.join().unwrap()).sum::<usize>();
        led += tasks.into_iter().map(|task| block_on(task).unwrap()).sum::<usize>();
        assert_eq!(led, ROUNDS);
    });
}
