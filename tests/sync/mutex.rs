//! The mutex between actors, threads and futures; kills, panics and poison.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use smarm::compat::await_future;
use smarm::{LockError, Mutex, TryLockError};
use smarm_workspace::{OnDrop, PATIENCE, Signal, block_on, until, within, workers};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn actors_tasks_and_threads_exclude_each_other() {
    const ROUNDS: usize = 300;
    within(PATIENCE, || {
        let runtime = workers(2);
        let mutex = Arc::new(Mutex::new((0_usize, 0_usize)));
        let step = |pair: &mut (usize, usize)| {
            pair.0 += 1;
            std::hint::spin_loop();
            pair.1 += 1;
            assert_eq!(pair.0, pair.1);
        };
        let actors: Vec<_> = (0..20)
            .map(|n| {
                let mutex = mutex.clone();
                runtime
                    .spawn(move || {
                        for round in 0..ROUNDS {
                            let mut guard = match (n + round) % 3 {
                                0 => await_future(mutex.lock_async()).unwrap(),
                                _ => mutex.lock(LONG).unwrap(),
                            };
                            step(&mut guard);
                            if round % 10 == 0 {
                                smarm::yield_now(); // it may be held across a wait
                            }
                        }
                    })
                    .unwrap()
            })
            .collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..ROUNDS).for_each(|_| step(&mut mutex.lock(LONG).unwrap())));
                scope.spawn(|| (0..ROUNDS).for_each(|_| step(&mut block_on(mutex.lock_async()).unwrap())));
            }
        });
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        assert_eq!(mutex.lock(LONG).unwrap().0, 24 * ROUNDS);
    });
}

#[test]
fn it_is_handed_over_in_the_order_of_asking() {
    within(PATIENCE, || {
        smarm::run(|| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let guard = order.lock(LONG).unwrap();
            let asking = Signal::new();
            let actors: Vec<_> = (0..10)
                .map(|n| {
                    let (order, theirs) = (order.clone(), asking.clone());
                    let actor = smarm::spawn(move || {
                        // From here on it leaves its worker only to wait for the lock.
                        let _undisturbed = smarm::preempt::disable();
                        theirs.raise();
                        order.lock(LONG).unwrap().push(n);
                    });
                    until(|| asking.count() == n + 1);
                    actor
                })
                .collect();
            drop(guard);
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(*order.lock(LONG).unwrap(), (0..10).collect::<Vec<_>>());
        });
    });
}

#[test]
fn a_timeout_is_never_early_and_gives_up_the_place_in_the_queue() {
    const TIME: Duration = Duration::from_millis(3);
    within(PATIENCE, || {
        let runtime = workers(1);
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock(LONG).unwrap();
        let theirs = mutex.clone();
        let times_out = runtime
            .spawn(move || {
                let start = Instant::now();
                assert!(matches!(theirs.lock(TIME), Err(LockError::TimedOut)));
                assert!(start.elapsed() >= TIME);
                assert!(matches!(theirs.lock(Duration::ZERO), Err(LockError::TimedOut)));
                assert!(matches!(theirs.try_lock(), Err(TryLockError::WouldBlock)));
            })
            .unwrap();
        times_out.join().unwrap();
        drop(guard);
        assert_eq!(*mutex.lock(Duration::ZERO).unwrap(), 0);
    });
}

#[test]
fn an_actor_killed_in_the_queue_does_not_swallow_the_hand_over() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..300 {
            let mutex = Arc::new(Mutex::new(()));
            let guard = mutex.lock(LONG).unwrap();
            let actors: Vec<_> = (0..3)
                .map(|_| {
                    let mutex = mutex.clone();
                    runtime.spawn(move || drop(mutex.lock(LONG).unwrap())).unwrap()
                })
                .collect();
            thread::scope(|scope| {
                scope.spawn(|| actors[1].kill());
                drop(guard);
            });
            for (n, actor) in actors.into_iter().enumerate() {
                let joined = actor.join();
                assert!(joined.is_ok() || n == 1);
            }
            // Killed with the guard in its hands it may have left poison, and nothing else.
            assert!(!matches!(mutex.lock(Duration::ZERO), Err(LockError::TimedOut | LockError::Cancelled)));
        }
    });
}

#[test]
fn a_panic_and_a_kill_of_the_holder_poison_it() {
    within(PATIENCE, || {
        smarm::run(|| {
            let mutex = Arc::new(Mutex::new(1));
            let theirs = mutex.clone();
            let panics = smarm::spawn(move || {
                let _guard = theirs.lock(LONG).unwrap();
                panic!("while it is locked");
            });
            assert!(panics.join().is_err_and(|error| error.is_panic()));
            assert!(matches!(mutex.lock(LONG), Err(LockError::Poisoned(guard)) if *guard == 1));
            mutex.clear_poison();
            drop(mutex.lock(LONG).unwrap());

            let (theirs, held) = (mutex.clone(), Signal::new());
            let signal = held.clone();
            let killed = smarm::spawn(move || {
                let _guard = theirs.lock(LONG).unwrap();
                signal.raise();
                smarm::sleep(Duration::MAX);
            });
            held.wait(1);
            killed.kill();
            assert!(killed.join().unwrap_err().is_killed());
            assert!(mutex.is_poisoned());
        });
    });
}

#[test]
fn a_lock_taken_beside_an_actor_that_is_parked_while_unwinding_is_not_poisoned() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (parked, go) = (Signal::new(), Signal::new());
            let theirs = (parked.clone(), go.clone());
            let mutex = Arc::new(Mutex::new(0));
            let before = mutex.lock(LONG).unwrap();
            let unwinding = smarm::spawn_local(move || {
                let _waits = OnDrop(move || {
                    theirs.0.raise();
                    theirs.1.wait(1);
                });
                panic!("with a destructor that waits");
            });
            parked.wait(1);
            smarm::yield_now();
            assert!(!thread::panicking(), "that is the neighbour's affair");
            drop(before);
            assert!(!mutex.is_poisoned(), "it was locked before the neighbour parked");
            *mutex.lock(LONG).unwrap() += 1;
            let theirs = mutex.clone();
            smarm::spawn_local(move || *theirs.lock(LONG).unwrap() += 1).join().unwrap();
            assert!(!mutex.is_poisoned());
            // And one that panics itself does poison.
            let (theirs, poisoned) = (mutex.clone(), Arc::new(Mutex::new(())));
            let poisons = poisoned.clone();
            let panics = smarm::spawn_local(move || {
                drop(theirs.lock(LONG).unwrap());
                let _guard = poisons.lock(LONG).unwrap();
                panic!("while it is locked");
            });
            assert!(panics.join().is_err_and(|error| error.is_panic()));
            assert!(poisoned.is_poisoned());
            go.raise();
            assert!(unwinding.join().unwrap_err().is_panic());
            assert_eq!(*mutex.lock(LONG).unwrap(), 2);
        });
    });
}

#[test]
fn a_lock_in_a_destructor_during_a_kill_is_cancelled_unless_it_is_free() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (held, free) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(0)));
            let guard = held.lock(LONG).unwrap();
            let parked = Signal::new();
            let theirs = (held.clone(), free.clone(), parked.clone());
            let actor = smarm::spawn(move || {
                let (held, free) = (theirs.0, theirs.1);
                let _locks = OnDrop(move || {
                    assert!(matches!(held.lock(LONG), Err(LockError::Cancelled)));
                    *free.lock(LONG).unwrap() += 1;
                });
                theirs.2.raise();
                smarm::sleep(Duration::MAX);
            });
            parked.wait(1);
            actor.kill();
            assert!(actor.join().unwrap_err().is_killed());
            drop(guard);
            assert_eq!(*free.lock(LONG).unwrap(), 1);
            assert!(!free.is_poisoned() && !held.is_poisoned());
        });
    });
}

#[test]
fn a_storm_of_timeouts_and_kills_leaves_it_free() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let mutex = Arc::new(Mutex::new(0_usize));
        let actors: Vec<_> = (0..200)
            .map(|n| {
                let mutex = mutex.clone();
                runtime
                    .spawn(move || {
                        for round in 0..50_u64 {
                            let timeout = Duration::from_micros((n + round) % 30);
                            match mutex.lock(timeout) {
                                Ok(mut guard) => *guard += 1,
                                Err(LockError::Poisoned(mut guard)) => *guard += 1,
                                Err(LockError::TimedOut) => {}
                                Err(LockError::Cancelled) => unreachable!("it waits in no destructor"),
                            }
                            smarm::yield_now();
                        }
                    })
                    .unwrap()
            })
            .collect();
        for actor in actors.iter().step_by(3) {
            actor.kill();
        }
        for (n, actor) in actors.into_iter().enumerate() {
            let joined = actor.join();
            assert!(joined.is_ok() || n % 3 == 0);
        }
        assert!(!matches!(mutex.lock(Duration::ZERO), Err(LockError::TimedOut | LockError::Cancelled)));
    });
}
