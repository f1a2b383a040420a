//! `Once`, `OnceCell` and `LazyLock`.
//!
//! | promise | of | test |
//! |---|---|---|
//! | one initialiser runs, the others wait for it | std, tokio | `one_initialiser_runs_and_all_see_its_value` |
//! | the initialiser may wait, also for its own worker | tokio | `an_initialiser_may_wait_for_another_actor_of_its_worker` |
//! | a panic leaves a cell empty | std `OnceLock` | `a_cell_whose_initialiser_failed_lets_the_next_one_try` |
//! | so does a kill, and an error | smarm, tokio | `a_cell_whose_initialiser_failed_lets_the_next_one_try` |
//! | so does a future that is dropped | tokio | `an_initialiser_that_is_dropped_lets_the_next_one_try` |
//! | a panic or a kill poisons a `Once`, unless forced | std | `a_once_is_poisoned_until_it_is_forced` |
//! | those who wait for a `Once` panic with it | std | `who_waits_for_a_once_hears_of_its_poison` |
//! | a panic or a kill poisons a `LazyLock` | std | `a_lazy_lock_is_poisoned_for_good` |
//! | a recursive initialiser panics | smarm (std: deadlock or panic) | `a_recursive_initialiser_panics_and_says_so` |
//! | another's initialiser is no recursion | smarm | `another_future_of_the_same_actor_waits` |
//! | set gives a second value back | std | `a_second_value_is_given_back` |
//! | waits for the value | std | `who_waits_for_the_value_gets_it` |
//! | timeouts | smarm | `waits_for_the_value_time_out` |
//! | killed waiters do not matter | smarm | `killed_waiters_do_not_matter` |
//! | get_mut, take, into_inner | std | `a_cell_of_ones_own_is_changed_freely` |
//! | everybody at once | smarm | `actors_tasks_and_threads_initialise_once` |

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use smarm::channel::channel;
use smarm::compat::await_future;
use smarm::sync::{LazyLock, Once, OnceCell, WaitError};
use smarm_workspace::{PATIENCE, Signal, block_on, panic_message, until, within, workers};

use crate::support::{LONG, Polled, SHORT, send};

const IN_ITSELF: &str = "is used in its own initialiser";

#[test]
fn one_initialiser_runs_and_all_see_its_value() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let (cell, runs) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
        let actors: Vec<_> = (0..20)
            .map(|n| {
                let (cell, runs) = (cell.clone(), runs.clone());
                let get = move || {
                    let make = || {
                        runs.fetch_add(1, SeqCst);
                        smarm::yield_now();
                        n
                    };
                    *cell.get_or_init(make)
                };
                runtime.spawn(get).unwrap()
            })
            .collect();
        let values: Vec<usize> = actors.into_iter().map(|actor| actor.join().unwrap()).collect();
        assert!(values.iter().all(|value| Some(value) == cell.get()));
        assert_eq!(runs.load(SeqCst), 1);
    });
}

#[test]
fn an_initialiser_may_wait_for_another_actor_of_its_worker() {
    within(PATIENCE, || {
        workers(1).run(|| {
            static LAZY: LazyLock<u8> = LazyLock::new(|| smarm::spawn(|| 1).join().unwrap());
            static ONCE: Once = Once::new();
            let (tx, rx) = channel();
            let waiter = smarm::spawn(|| *LAZY);
            let sender = smarm::spawn(move || tx.send(2).unwrap());
            ONCE.call_once(|| assert_eq!(rx.recv(), Ok(2)));
            assert_eq!(*LAZY + waiter.join().unwrap(), 2);
            sender.join().unwrap();
        });
    });
}

#[test]
fn a_cell_whose_initialiser_failed_lets_the_next_one_try() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let cell = Arc::new(OnceCell::new());
            assert_eq!(cell.get_or_try_init(|| Err::<u8, _>("no")), Err("no"));
            let theirs = cell.clone();
            let panics = smarm::spawn(move || *theirs.get_or_init(|| panic!("in the initialiser")));
            assert!(panics.join().is_err());
            let (theirs, at_it) = (cell.clone(), Signal::new());
            let signal = at_it.clone();
            let make = move || {
                signal.raise();
                smarm::sleep(LONG);
                1
            };
            let killed = smarm::spawn(move || *theirs.get_or_init(make));
            at_it.wait(1);
            let theirs = cell.clone();
            let next = smarm::spawn(move || *theirs.get_or_init(|| 2));
            assert_eq!(cell.get(), None);
            killed.kill();
            assert_eq!(next.join().unwrap(), 2);
            assert!(killed.join().is_err());
            assert_eq!(cell.get(), Some(&2));
        });
    });
}

#[test]
fn an_initialiser_that_is_dropped_lets_the_next_one_try() {
    let cell = OnceCell::new();
    let first = Polled::waiting(cell.get_or_init_async(pending::<u8>));
    let mut second = Polled::waiting(cell.get_or_init_async(|| async { 2 }));
    let mut waits = Polled::waiting(cell.wait_async());
    drop(first);
    assert!(waits.is_pending());
    assert_eq!(second.ready(), &2);
    assert_eq!(waits.ready(), &2);
    let failing = OnceCell::<u8>::new();
    assert_eq!(Polled::new(failing.get_or_try_init_async(|| async { Err("no") })).ready(), Err("no"));
    assert_eq!(failing.set(3), Ok(()));
}

#[test]
fn a_once_is_poisoned_until_it_is_forced() {
    let once = Once::new();
    assert!(panic_message(|| once.call_once(|| panic!("first"))).contains("first"));
    assert!(panic_message(|| once.call_once(|| ())).contains("poisoned"));
    assert!(panic_message(|| once.wait()).contains("poisoned"));
    assert!(!once.is_completed());
    assert!(panic_message(|| once.call_once_force(|_| panic!("again"))).contains("again"));
    once.call_once_force(|state| assert!(state.is_poisoned()));
    assert!(once.is_completed());
    once.call_once(|| unreachable!());
    once.wait();
    once.wait_force();
    Once::new().call_once_force(|state| assert!(!state.is_poisoned()));
}

#[test]
fn who_waits_for_a_once_hears_of_its_poison() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (once, at_it) = (Arc::new(Once::new()), Signal::new());
            let (theirs, signal) = (once.clone(), at_it.clone());
            let killed = smarm::spawn(move || {
                theirs.call_once(|| {
                    signal.raise();
                    smarm::sleep(LONG);
                });
            });
            at_it.wait(1);
            let theirs = once.clone();
            let waits = smarm::spawn(move || theirs.wait());
            let theirs = once.clone();
            let calls = smarm::spawn(move || theirs.call_once(|| ()));
            let theirs = once.clone();
            let waits_on = smarm::spawn(move || theirs.wait_force());
            assert_eq!(once.wait_timeout(SHORT), Err(WaitError::TimedOut));
            killed.kill();
            assert!(killed.join().is_err() && waits.join().is_err() && calls.join().is_err());
            assert!(!waits_on.is_finished());
            once.call_once_force(|_| ());
            waits_on.join().unwrap();
            assert_eq!(once.wait_deadline(Instant::now()), Ok(()));
            await_future(once.wait_async());
        });
    });
}

#[test]
fn a_lazy_lock_is_poisoned_for_good() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let lazy: LazyLock<u8> = LazyLock::new(|| panic!("in the initialiser"));
            assert!(panic_message(|| *lazy).contains("in the initialiser"));
            assert!(panic_message(|| *lazy).contains("poisoned"));
            assert_eq!(LazyLock::get(&lazy), None);
            assert_eq!(format!("{lazy:?}"), "LazyLock(<not made>)");
            let at_it = Signal::new();
            let signal = at_it.clone();
            let lazy = Arc::new(LazyLock::new(move || {
                signal.raise();
                smarm::sleep(LONG);
                1
            }));
            let theirs = lazy.clone();
            let killed = smarm::spawn(move || **theirs);
            at_it.wait(1);
            let theirs = lazy.clone();
            let waits = smarm::spawn(move || panic_message(|| **theirs));
            killed.kill();
            assert!(killed.join().is_err());
            assert!(waits.join().unwrap().contains("poisoned"));
            assert!(panic_message(|| **lazy).contains("poisoned"));
        });
    });
}

#[test]
fn a_recursive_initialiser_panics_and_says_so() {
    let recursive = || {
        let cell = OnceCell::<u8>::new();
        assert!(panic_message(|| cell.get_or_init(|| *cell.get_or_init(|| 1))).contains(IN_ITSELF));
        assert!(panic_message(|| cell.get_or_init(|| cell.set(1).map_or(2, |()| 3))).contains(IN_ITSELF));
        assert_eq!(cell.get_or_init(|| 4), &4);
        let once = Once::new();
        assert!(panic_message(|| once.call_once(|| once.call_once(|| ()))).contains(IN_ITSELF));
        static LAZY: LazyLock<u8> = LazyLock::new(|| *LAZY + 1);
        let said = panic_message(|| *LAZY);
        assert!(said.contains(IN_ITSELF) || said.contains("poisoned"), "{said}");
        let cell = OnceCell::<u8>::new();
        let init = cell.get_or_init_async(|| async { *cell.get_or_init_async(|| async { 1 }).await });
        assert!(panic_message(|| await_future(init)).contains(IN_ITSELF));
        assert_eq!(cell.get_or_init(|| 5), &5);
    };
    within(PATIENCE, || {
        recursive();
        workers(1).run(recursive);
    });
}

#[test]
fn another_future_of_the_same_actor_waits() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (cell, go) = (OnceCell::new(), Signal::new());
            let first = cell.get_or_init_async(|| async {
                go.reached(1).await;
                1
            });
            let second = async {
                go.raise();
                *cell.get_or_init_async(|| async { 2 }).await
            };
            assert_eq!(await_future(futures::future::join(first, second)), (&1, 1));
        });
    });
}

#[test]
fn a_second_value_is_given_back() {
    let cell = OnceCell::new();
    assert_eq!((cell.set(1), cell.set(2), cell.get()), (Ok(()), Err(2), Some(&1)));
    assert_eq!((cell.clone(), format!("{cell:?}")), (OnceCell::from(1), "OnceCell(1)".to_owned()));
    assert_ne!(cell, OnceCell::default());
}

#[test]
fn who_waits_for_the_value_gets_it() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let cell = Arc::new(OnceCell::new());
        let actors: Vec<_> = (0..4)
            .map(|_| {
                let cell = cell.clone();
                runtime.spawn(move || *cell.wait()).unwrap()
            })
            .collect();
        let mut task = Polled::waiting(cell.wait_async());
        cell.set(3).unwrap();
        actors.into_iter().for_each(|actor| assert_eq!(actor.join().unwrap(), 3));
        assert_eq!(task.ready(), &3);
        assert_eq!(cell.wait_timeout(LONG), Ok(&3));
    });
}

#[test]
fn waits_for_the_value_time_out() {
    within(PATIENCE, || {
        let wait = || {
            let (cell, start) = (OnceCell::<u8>::new(), Instant::now());
            assert_eq!(cell.wait_timeout(SHORT), Err(WaitError::TimedOut));
            assert!(start.elapsed() >= SHORT);
            assert_eq!(cell.wait_deadline(start), Err(WaitError::TimedOut));
            cell.set(1).unwrap();
            assert_eq!(cell.wait_deadline(start), Ok(&1));
        };
        workers(1).run(wait);
        wait();
    });
}

#[test]
fn killed_waiters_do_not_matter() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..100 {
            let (cell, go) = (Arc::new(OnceCell::new()), Signal::new());
            let actors: Vec<_> = (0..4)
                .map(|n| {
                    let (cell, go) = (cell.clone(), go.clone());
                    let get = move || {
                        *cell.get_or_init(|| {
                            go.wait(1);
                            n
                        })
                    };
                    runtime.spawn(get).unwrap()
                })
                .collect();
            thread::scope(|scope| {
                scope.spawn(|| actors[..2].iter().for_each(|actor| actor.kill()));
                go.raise();
            });
            for (n, actor) in actors.into_iter().enumerate() {
                let joined = actor.join();
                assert!(joined.is_ok() || n < 2);
                assert!(joined.is_err() || joined.ok() == cell.get().copied());
            }
        }
    });
}

#[test]
fn a_cell_of_ones_own_is_changed_freely() {
    let mut cell = OnceCell::from(1);
    *cell.get_mut().unwrap() += 1;
    assert_eq!(cell.take(), Some(2));
    assert!(cell.get().is_none() && cell.get_mut().is_none());
    assert_eq!(cell.set(3), Ok(()));
    assert_eq!(cell.into_inner(), Some(3));
}

#[test]
fn actors_tasks_and_threads_initialise_once() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        for _ in 0..50 {
            let (cell, runs) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
            let make = |cell: &OnceCell<usize>, runs: &AtomicUsize| {
                *cell.get_or_init(|| {
                    smarm::yield_now();
                    runs.fetch_add(1, SeqCst) + 1
                })
            };
            let (theirs, count) = (cell.clone(), runs.clone());
            let actor = runtime.spawn(move || make(&theirs, &count)).unwrap();
            let (theirs, count) = (cell.clone(), runs.clone());
            let task = tokio.spawn(send(async move {
                let make = || async {
                    tokio::task::yield_now().await;
                    count.fetch_add(1, SeqCst) + 1
                };
                *theirs.get_or_init_async(make).await
            }));
            assert_eq!(make(&cell, &runs), 1);
            assert_eq!((actor.join().unwrap(), block_on(task).unwrap()), (1, 1));
            until(|| runs.load(SeqCst) == 1);
        }
    });
}
