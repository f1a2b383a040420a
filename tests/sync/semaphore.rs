//! | promise | of | test |
//! |---|---|---|
//! | no more permits than there are | all | `as_many_get_in_as_there_are_permits` |
//! | in the order of asking, also for many | tokio | `a_large_ask_is_not_starved_by_small_ones` |
//! | try takes none that others wait for | tokio | `a_try_does_not_barge_in` |
//! | close wakes all with an error, permits stay good | tokio | `closing_refuses_who_waits_and_who_comes` |
//! | forget, add_permits, forget_permits | tokio | `permits_can_be_forgotten_and_added` |
//! | merge and split | tokio | `permits_are_merged_and_split` |
//! | owned permits | tokio | `owned_permits_go_elsewhere` |
//! | none of none are had at once | tokio | `nothing_is_to_be_had_at_once` |
//! | too many permits panic | tokio | `too_many_permits_are_refused_by_a_panic` |
//! | a dropped future gives up its place | tokio | `a_large_ask_that_leaves_lets_in_those_behind_it` |
//! | what a dropped future was granted goes to the next | tokio | `a_waiter_that_leaves_after_it_was_served_passes_it_on` |
//! | a timeout gives up the place | smarm | `a_timeout_is_never_early_and_gives_up_the_place` |
//! | a killed waiter loses nothing | smarm | `killed_waiters_lose_nothing` |
//! | a permit comes back however its owner ends | smarm | `a_permit_comes_back_when_its_actor_panics_or_is_killed` |
//! | everybody at once | smarm | `actors_tasks_and_threads_share_it` |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use smarm::sync::{AcquireError, Semaphore, TryAcquireError};
use smarm_workspace::{PATIENCE, Signal, block_on, panic_message, within, workers};

use crate::support::{LONG, Polled, SHORT, send};

#[test]
fn as_many_get_in_as_there_are_permits() {
    within(PATIENCE, || {
        smarm::run(|| {
            let seats = Arc::new(Semaphore::new(3));
            let inside = Arc::new(AtomicUsize::new(0));
            let actors: Vec<_> = (0..20)
                .map(|_| {
                    let (seats, inside) = (seats.clone(), inside.clone());
                    smarm::spawn(move || {
                        let _seat = seats.acquire().unwrap();
                        assert!(inside.fetch_add(1, SeqCst) < 3);
                        smarm::yield_now();
                        inside.fetch_sub(1, SeqCst);
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(seats.available_permits(), 3);
        });
    });
}

#[test]
fn a_large_ask_is_not_starved_by_small_ones() {
    let seats = Semaphore::new(3);
    let mut taken: Vec<_> = (0..3).map(|_| seats.try_acquire().unwrap()).collect();
    let mut large = Polled::waiting(seats.acquire_many_async(2));
    let mut small = Polled::waiting(seats.acquire_async());
    taken.pop();
    assert!(large.is_pending() && small.is_pending(), "one permit is kept for the large ask");
    taken.pop();
    let two = large.ready().unwrap();
    assert!(small.is_pending());
    taken.pop();
    let one = small.ready().unwrap();
    assert_eq!((two.count(), one.count(), seats.available_permits()), (2, 1, 0));
}

#[test]
fn a_try_does_not_barge_in() {
    let seats = Semaphore::new(1);
    let mut two = Polled::waiting(seats.acquire_many_async(2));
    assert_eq!(seats.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    seats.add_permits(1);
    assert_eq!(seats.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    drop(two.ready().unwrap());
    assert!(seats.try_acquire_many(2).is_ok());
}

#[test]
fn closing_refuses_who_waits_and_who_comes() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let seats = Arc::new(Semaphore::new(1));
        let held = seats.try_acquire().unwrap();
        let mut task = Polled::waiting(seats.acquire_async());
        let actors: Vec<_> = (0..5)
            .map(|_| {
                let seats = seats.clone();
                runtime.spawn(move || seats.acquire().map(drop)).unwrap()
            })
            .collect();
        seats.close();
        seats.close();
        actors.into_iter().for_each(|actor| assert_eq!(actor.join().unwrap(), Err(AcquireError::Closed)));
        assert_eq!(task.ready().unwrap_err(), AcquireError::Closed);
        assert!(seats.is_closed());
        drop(held);
        assert_eq!(seats.available_permits(), 1);
        assert_eq!(seats.acquire_timeout(LONG).unwrap_err(), AcquireError::Closed);
        assert_eq!(seats.try_acquire().unwrap_err(), TryAcquireError::Closed);
        assert_eq!(seats.try_acquire_many(0).unwrap_err(), TryAcquireError::Closed);
    });
}

#[test]
fn permits_can_be_forgotten_and_added() {
    let seats = Semaphore::new(5);
    seats.acquire_many(2).unwrap().forget();
    assert_eq!(seats.available_permits(), 3);
    assert_eq!((seats.forget_permits(2), seats.forget_permits(2), seats.forget_permits(2)), (2, 1, 0));
    let mut waits = Polled::waiting(seats.acquire_many_async(3));
    seats.add_permits(2);
    assert!(waits.is_pending());
    assert_eq!(seats.forget_permits(1), 1);
    seats.add_permits(1);
    assert!(waits.is_pending());
    seats.add_permits(1);
    waits.ready().unwrap().forget();
    assert_eq!(seats.available_permits(), 0);
}

#[test]
fn permits_are_merged_and_split() {
    let (seats, others) = (Arc::new(Semaphore::new(5)), Semaphore::new(1));
    let mut some = seats.acquire_many(3).unwrap();
    assert!(some.split(4).is_none());
    let two = some.split(2).unwrap();
    assert_eq!((some.count(), two.count()), (1, 2));
    some.merge(two);
    assert_eq!(some.count(), 3);
    assert!(panic_message(|| some.merge(others.acquire().unwrap())).contains("two semaphores"));
    assert_eq!((seats.available_permits(), others.available_permits()), (2, 1));
    drop(some);
    assert_eq!(seats.available_permits(), 5);

    let mut some = seats.clone().acquire_many_owned(3).unwrap();
    assert!(some.split(4).is_none());
    let two = some.split(2).unwrap();
    assert!(Arc::ptr_eq(two.semaphore(), &seats));
    some.merge(two);
    assert_eq!((some.count(), seats.available_permits()), (3, 2));
    some.forget();
    assert_eq!(seats.available_permits(), 2);
}

#[test]
fn owned_permits_go_elsewhere() {
    within(PATIENCE, || {
        smarm::run(|| {
            let seats = Arc::new(Semaphore::new(4));
            let permits = [
                seats.clone().acquire_owned().unwrap(),
                seats.clone().acquire_owned_timeout(LONG).unwrap(),
                seats.clone().acquire_many_owned_deadline(1, Instant::now()).unwrap(),
                block_on_here(seats.clone().acquire_owned_async()),
            ];
            assert!(seats.clone().try_acquire_owned().is_err());
            assert_eq!(
                seats.clone().acquire_owned_deadline(Instant::now()).unwrap_err(),
                AcquireError::TimedOut
            );
            smarm::spawn(move || drop(permits)).join().unwrap();
            assert_eq!(seats.clone().try_acquire_many_owned(4).unwrap().count(), 4);
            assert_eq!(seats.clone().acquire_many_owned_timeout(4, SHORT).unwrap().count(), 4);
            assert_eq!(block_on_here(seats.clone().acquire_many_owned_async(4)).count(), 4);
        });
    });
}

fn block_on_here<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    smarm::compat::await_future(future).unwrap()
}

#[test]
fn nothing_is_to_be_had_at_once() {
    let seats = Semaphore::new(0);
    let waiting = Polled::waiting(seats.acquire_async());
    assert_eq!(seats.acquire_many(0).unwrap().count(), 0);
    assert_eq!(seats.try_acquire_many(0).unwrap().count(), 0);
    drop(waiting);
}

#[test]
fn too_many_permits_are_refused_by_a_panic() {
    const MAX: usize = Semaphore::MAX_PERMITS;
    assert!(panic_message(|| Semaphore::new(MAX + 1)).contains("MAX_PERMITS"));
    let seats = Semaphore::new(MAX - 1);
    seats.add_permits(1);
    assert!(panic_message(|| seats.add_permits(1)).contains("MAX_PERMITS"));
    assert!(panic_message(|| seats.try_acquire_many(MAX + 1).map(drop)).contains("MAX_PERMITS"));
    assert_eq!(seats.available_permits(), MAX);
}

#[test]
fn a_large_ask_that_leaves_lets_in_those_behind_it() {
    let seats = Semaphore::new(2);
    let large = Polled::waiting(seats.acquire_many_async(3));
    let mut small: Vec<_> = (0..3).map(|_| Polled::waiting(seats.acquire_async())).collect();
    drop(large);
    assert_eq!(small.iter().map(Polled::wakes).collect::<Vec<_>>(), [1, 1, 0]);
    let inside: Vec<_> = small[..2].iter_mut().map(|waits| waits.ready().unwrap()).collect();
    assert!(small[2].is_pending());
    drop(inside);
    drop(small[2].ready().unwrap());
    assert_eq!(seats.available_permits(), 2);
}

#[test]
fn a_waiter_that_leaves_after_it_was_served_passes_it_on() {
    let seats = Semaphore::new(0);
    let first = Polled::waiting(seats.acquire_many_async(2));
    let mut second = Polled::waiting(seats.acquire_async());
    seats.add_permits(2);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    second.ready().unwrap().forget();
    assert_eq!(seats.available_permits(), 1);
}

#[test]
fn a_timeout_is_never_early_and_gives_up_the_place() {
    within(PATIENCE, || {
        let ask = || {
            let seats = Semaphore::new(1);
            let start = Instant::now();
            assert_eq!(seats.acquire_many_timeout(2, SHORT).unwrap_err(), AcquireError::TimedOut);
            assert!(start.elapsed() >= SHORT);
            assert_eq!(seats.acquire_many_deadline(2, Instant::now()).unwrap_err(), AcquireError::TimedOut);
            assert!(seats.acquire_deadline(Instant::now()).is_ok());
            assert!(seats.try_acquire().is_ok());
        };
        workers(1).run(ask);
        ask();
    });
}

#[test]
fn killed_waiters_lose_nothing() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..100 {
            let seats = Arc::new(Semaphore::new(0));
            let actors: Vec<_> = (0..5)
                .map(|n| {
                    let seats = seats.clone();
                    runtime.spawn(move || drop(seats.acquire_many(1 + n % 2).unwrap())).unwrap()
                })
                .collect();
            thread::scope(|scope| {
                scope.spawn(|| [0, 1, 3].map(|n: usize| actors[n].kill()));
                seats.add_permits(2);
            });
            for (n, actor) in actors.into_iter().enumerate() {
                assert!(actor.join().is_ok() || [0, 1, 3].contains(&n));
            }
            assert_eq!(seats.available_permits(), 2);
        }
    });
}

#[test]
fn a_permit_comes_back_when_its_actor_panics_or_is_killed() {
    within(PATIENCE, || {
        smarm::run(|| {
            let seats = Arc::new(Semaphore::new(1));
            let theirs = seats.clone();
            let panics = smarm::spawn(move || {
                let _seat = theirs.acquire().unwrap();
                panic!("with a permit");
            });
            assert!(panics.join().is_err());
            let (theirs, sits) = (seats.clone(), Signal::new());
            let signal = sits.clone();
            let killed = smarm::spawn(move || {
                let _seat = theirs.acquire().unwrap();
                signal.raise();
                smarm::sleep(LONG);
            });
            sits.wait(1);
            killed.kill();
            drop(seats.acquire().unwrap());
            assert!(killed.join().is_err());
        });
    });
}

#[test]
fn actors_tasks_and_threads_share_it() {
    const ROUNDS: usize = 100;
    within(PATIENCE, || {
        let runtime = workers(2);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let seats = Arc::new(Semaphore::new(4));
        let inside = Arc::new(AtomicUsize::new(0));
        let enter = |inside: &AtomicUsize, count| assert!(inside.fetch_add(count, SeqCst) + count <= 4);
        let actors: Vec<_> = (0..10)
            .map(|n| {
                let (seats, inside) = (seats.clone(), inside.clone());
                let step = move || {
                    for round in 0..ROUNDS {
                        let seat = seats.acquire_many((n + round) % 4 + 1).unwrap();
                        enter(&inside, seat.count());
                        smarm::yield_now();
                        inside.fetch_sub(seat.count(), SeqCst);
                    }
                };
                runtime.spawn(step).unwrap()
            })
            .collect();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (seats, inside) = (seats.clone(), inside.clone());
                tokio.spawn(send(async move {
                    for _ in 0..ROUNDS {
                        let seat = seats.acquire_async().await.unwrap();
                        enter(&inside, 1);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, SeqCst);
                        drop(seat);
                    }
                }))
            })
            .collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let _seat = seats.acquire_many(2).unwrap();
                        enter(&inside, 2);
                        thread::yield_now();
                        inside.fetch_sub(2, SeqCst);
                    }
                });
            }
        });
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        tasks.into_iter().for_each(|task| block_on(task).unwrap());
        assert_eq!(seats.available_permits(), 4);
    });
}
