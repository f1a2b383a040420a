//! | promise | of | test |
//! |---|---|---|
//! | many read, or one writes | all | `many_read_or_one_writes` |
//! | a writer that waits holds up later readers (write-preferring fairness) | tokio, parking_lot | `readers_who_come_after_a_waiting_writer_wait_behind_it` |
//! | whoever waits longest goes first | tokio | `it_is_handed_over_in_the_order_of_asking` |
//! | readers are let in together | all | `all_readers_up_to_the_next_writer_are_let_in_at_once` |
//! | try fails at once, also if others only wait | tokio | `a_try_does_not_barge_in` |
//! | timeouts give up the place | parking_lot | `a_timeout_is_never_early_and_gives_up_the_place` |
//! | a dropped future gives up its place | tokio | `a_writer_that_leaves_lets_in_the_readers_behind_it` |
//! | what a dropped future was granted goes to the next | tokio | `a_waiter_that_leaves_after_it_was_let_in_passes_it_on` |
//! | a writer that panics poisons, a reader does not | std | `a_writer_that_panics_or_is_killed_poisons_and_a_reader_does_not` |
//! | downgrade lets no writer in between | std, parking_lot, tokio | `downgrading_lets_readers_in_and_no_writer_in_between` |
//! | recursive reads may deadlock | std | `reading_again_behind_a_waiting_writer_times_out` |
//! | a killed waiter loses nothing | smarm | `killed_waiters_lose_nothing` |
//! | a scope's end ends the wait | smarm | `a_scope_and_a_token_end_the_wait` |
//! | everybody at once | smarm | `actors_tasks_and_threads_share_it` |

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use smarm::compat::await_future;
use smarm::sync::{LockError, RwLock, RwLockWriteGuard, TryLockError};
use smarm::{CancelToken, Config};
use smarm_workspace::{PATIENCE, Signal, block_on, calm, until, within, workers};

use crate::support::{LONG, Polled, SHORT, send};

#[test]
fn many_read_or_one_writes() {
    let lock = RwLock::new(1);
    let readers = [lock.read(LONG).unwrap(), lock.try_read().unwrap()];
    assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
    drop(readers);
    let mut writer = lock.write(LONG).unwrap();
    *writer += 1;
    assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
    assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
    assert_eq!(format!("{lock:?}"), "RwLock { value: <locked>, poisoned: false, .. }");
    drop(writer);
    assert_eq!(lock.into_inner().unwrap(), 2);
}

#[test]
fn readers_who_come_after_a_waiting_writer_wait_behind_it() {
    let lock = RwLock::new(());
    let reader = lock.try_read().unwrap();
    let mut writer = Polled::waiting(lock.write_async());
    let mut later = Polled::waiting(lock.read_async());
    drop(reader);
    assert_eq!((writer.wakes(), later.wakes()), (1, 0));
    drop(writer.ready().unwrap());
    assert_eq!(later.wakes(), 1);
    drop(later.ready().unwrap());
}

#[test]
fn it_is_handed_over_in_the_order_of_asking() {
    within(PATIENCE, || {
        smarm::runtime::init(calm(Config::exact(1))).run(|| {
            let order = Arc::new(RwLock::new(Vec::new()));
            let guard = order.write(LONG).unwrap();
            let asking = Signal::new();
            let actors: Vec<_> = (0..10)
                .map(|n| {
                    let (order, theirs) = (order.clone(), asking.clone());
                    let actor = smarm::spawn(move || {
                        theirs.raise();
                        order.write(LONG).unwrap().push(n);
                    });
                    until(|| asking.count() == n + 1);
                    actor
                })
                .collect();
            drop(guard);
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(*order.read(LONG).unwrap(), (0..10).collect::<Vec<_>>());
        });
    });
    let lock = RwLock::new(());
    let guard = lock.try_write().unwrap();
    let mut waiting: Vec<_> = (0..4).map(|_| Polled::waiting(lock.write_async())).collect();
    drop(guard);
    for n in 0..4 {
        assert_eq!(waiting.iter().map(Polled::wakes).sum::<usize>(), n + 1);
        let guard = waiting[n].ready().unwrap();
        assert!(waiting[n + 1..].iter_mut().all(Polled::is_pending));
        drop(guard);
    }
}

#[test]
fn all_readers_up_to_the_next_writer_are_let_in_at_once() {
    let lock = RwLock::new(());
    let guard = lock.try_write().unwrap();
    let mut readers: Vec<_> = (0..3).map(|_| Polled::waiting(lock.read_async())).collect();
    let mut writer = Polled::waiting(lock.write_async());
    let mut last = Polled::waiting(lock.read_async());
    drop(guard);
    let inside: Vec<_> = readers.iter_mut().map(|reader| reader.ready().unwrap()).collect();
    assert!(writer.is_pending() && last.is_pending());
    drop(inside);
    drop(writer.ready().unwrap());
    drop(last.ready().unwrap());
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_try_does_not_barge_in() {
    let lock = RwLock::new(());
    let reader = lock.try_read().unwrap();
    let mut writer = Polled::waiting(lock.write_async());
    assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
    drop(reader);
    assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
    drop(writer.ready().unwrap());
    assert!(lock.try_read().is_ok());
}

#[test]
fn a_timeout_is_never_early_and_gives_up_the_place() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let lock = RwLock::new(());
            let reader = lock.read(LONG).unwrap();
            let start = Instant::now();
            assert!(matches!(lock.write(SHORT), Err(LockError::TimedOut)));
            assert!(start.elapsed() >= SHORT);
            assert!(lock.try_read().is_ok(), "nobody waits any more");
            drop(reader);
            let writer = lock.write_deadline(Instant::now()).unwrap();
            assert!(matches!(lock.read(SHORT), Err(LockError::TimedOut)));
            assert!(matches!(lock.read_deadline(Instant::now()), Err(LockError::TimedOut)));
            drop(writer);
            assert!(lock.read_deadline(Instant::now()).is_ok());
        });
    });
}

#[test]
fn a_writer_that_leaves_lets_in_the_readers_behind_it() {
    let lock = RwLock::new(());
    let reader = lock.try_read().unwrap();
    let writer = Polled::waiting(lock.write_async());
    let mut readers: Vec<_> = (0..3).map(|_| Polled::waiting(lock.read_async())).collect();
    drop(writer);
    assert!(readers.iter().all(|reader| reader.wakes() == 1));
    readers.iter_mut().for_each(|reader| drop(reader.ready().unwrap()));
    drop(reader);
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_waiter_that_leaves_after_it_was_let_in_passes_it_on() {
    let lock = RwLock::new(());
    let guard = lock.try_write().unwrap();
    let first = Polled::waiting(lock.write_async());
    let mut second = Polled::waiting(lock.read_async());
    drop(guard);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    drop(second.ready().unwrap());
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_writer_that_panics_or_is_killed_poisons_and_a_reader_does_not() {
    within(PATIENCE, || {
        smarm::run(|| {
            let lock = Arc::new(RwLock::new(1));
            let theirs = lock.clone();
            let reader = smarm::spawn(move || {
                let _guard = theirs.read(LONG).unwrap();
                panic!("while it reads");
            });
            assert!(reader.join().is_err() && !lock.is_poisoned());

            let theirs = lock.clone();
            let writer = smarm::spawn(move || {
                let _guard = theirs.write(LONG).unwrap();
                panic!("while it writes");
            });
            assert!(writer.join().is_err());
            assert!(matches!(lock.read(LONG), Err(LockError::Poisoned(guard)) if *guard == 1));
            assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
            assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
            assert!(matches!(await_future(lock.read_async()), Err(LockError::Poisoned(_))));
            lock.clear_poison();
            assert!(lock.write(LONG).is_ok());

            let (theirs, held) = (lock.clone(), Signal::new());
            let signal = held.clone();
            let killed = smarm::spawn(move || {
                let _guard = theirs.write(LONG).unwrap();
                signal.raise();
                smarm::sleep(LONG);
            });
            held.wait(1);
            killed.kill();
            assert!(killed.join().is_err() && lock.is_poisoned());
            assert!(matches!(lock.write(LONG), Err(LockError::Poisoned(_))));
        });
    });
}

#[test]
fn downgrading_lets_readers_in_and_no_writer_in_between() {
    let lock = RwLock::new(1);
    let mut guard = lock.try_write().unwrap();
    let mut reader = Polled::waiting(lock.read_async());
    let mut writer = Polled::waiting(lock.write_async());
    *guard = 2;
    let guard = RwLockWriteGuard::downgrade(guard);
    assert_eq!(*reader.ready().unwrap(), 2);
    assert!(writer.is_pending());
    assert_eq!(*guard, 2);
    drop(guard);
    *writer.ready().unwrap() = 3;
    assert_eq!(*lock.try_read().unwrap(), 3);
}

#[test]
fn reading_again_behind_a_waiting_writer_times_out() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let lock = Arc::new(RwLock::new(()));
            let first = lock.read(LONG).unwrap();
            let theirs = lock.clone();
            let writer = smarm::spawn(move || drop(theirs.write(LONG).unwrap()));
            until(|| lock.try_read().is_err());
            assert!(matches!(lock.read(SHORT), Err(LockError::TimedOut)));
            drop(first);
            writer.join().unwrap();
        });
    });
}

#[test]
fn killed_waiters_lose_nothing() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..100 {
            let lock = Arc::new(RwLock::new(()));
            let guard = lock.read(LONG).unwrap();
            let actors: Vec<_> = (0..5)
                .map(|n| {
                    let lock = lock.clone();
                    runtime
                        .spawn(move || {
                            if n % 2 == 0 {
                                drop(lock.read(LONG).map_err(|error| error.into_guard()));
                            } else {
                                drop(lock.write(LONG).map_err(|error| error.into_guard()));
                            }
                        })
                        .unwrap()
                })
                .collect();
            thread::scope(|scope| {
                scope.spawn(|| [1, 2].map(|n: usize| actors[n].kill()));
                drop(guard);
            });
            for (n, actor) in actors.into_iter().enumerate() {
                assert!(actor.join().is_ok() || n == 1 || n == 2);
            }
            // One that was killed with the guard in its hands has poisoned it.
            lock.clear_poison();
            assert!(lock.try_write().is_ok());
        }
    });
}

#[test]
fn a_scope_and_a_token_end_the_wait() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let lock = RwLock::new(());
            let guard = lock.write(LONG).unwrap();
            let waited =
                smarm::with_timeout(SHORT, || lock.read(LONG).map(drop).map_err(|error| error.into_guard()));
            assert!(matches!(waited, Ok(Err(None))));
            let token = CancelToken::new();
            token.cancel();
            let waited = smarm::with_cancel(&token, || matches!(lock.write(LONG), Err(LockError::Cancelled)));
            assert_eq!(waited, Ok(true));
            drop(guard);
            assert!(lock.try_write().is_ok());
        });
    });
}

#[test]
fn actors_tasks_and_threads_share_it() {
    const ROUNDS: usize = 100;
    within(PATIENCE, || {
        let runtime = workers(2);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let lock = Arc::new(RwLock::new((0_usize, 0_usize)));
        let actors: Vec<_> = (0..10)
            .map(|n| {
                let lock = lock.clone();
                let step = move || {
                    for round in 0..ROUNDS {
                        if (n + round) % 4 == 0 {
                            let mut pair = lock.write(LONG).unwrap();
                            pair.0 += 1;
                            smarm::yield_now();
                            pair.1 += 1;
                        } else {
                            let pair = lock.read(LONG).unwrap();
                            let before = pair.0;
                            smarm::yield_now();
                            assert_eq!((before, before), *pair);
                        }
                    }
                };
                runtime.spawn(step).unwrap()
            })
            .collect();
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                tokio.spawn(send(async move {
                    for _ in 0..ROUNDS {
                        let pair = *lock.read_async().await.unwrap();
                        assert_eq!(pair.0, pair.1);
                        lock.write_async().await.unwrap().0 += 0;
                        tokio::task::yield_now().await;
                    }
                }))
            })
            .collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let mut pair = lock.write(LONG).unwrap();
                        pair.0 += 1;
                        thread::yield_now();
                        pair.1 += 1;
                    }
                });
            }
        });
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        tasks.into_iter().for_each(|task| block_on(task).unwrap());
        assert_eq!(*lock.try_read().unwrap(), (10 * ROUNDS / 4 + 2 * ROUNDS, 10 * ROUNDS / 4 + 2 * ROUNDS));
    });
}
