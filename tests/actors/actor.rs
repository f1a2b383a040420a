//! How actors end: by returning, by panicking, by being killed.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use smarm::compat::await_future;
use smarm::{JoinError, JoinHandle};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, message, panic_message, until, within, workers};

const FOR_EVER: Duration = Duration::MAX;

#[track_caller]
fn assert_killed<T>(joined: Result<T, JoinError>) {
    match joined {
        Ok(_) => panic!("the actor returned instead of being killed"),
        Err(JoinError::Panicked(payload)) => panic!("the actor panicked: {}", payload.message()),
        Err(JoinError::Killed) => {}
    }
}

#[test]
fn a_panic_is_joined_with_its_payload() {
    within(PATIENCE, || {
        smarm::run(|| {
            let literal = smarm::spawn(|| panic!("boom")).join();
            assert_eq!(message(&*literal.unwrap_err().into_panic()), "boom");

            let formatted = smarm::spawn(|| panic!("boom {}", 2)).join();
            assert_eq!(message(&*formatted.unwrap_err().into_panic()), "boom 2");

            let any = smarm::spawn(|| panic_any(vec![1, 2, 3])).join();
            let payload = any.unwrap_err().into_panic();
            assert_eq!(*payload.downcast::<Vec<i32>>().unwrap(), [1, 2, 3]);
        });
    });
}

#[test]
fn a_panic_of_the_main_actor_continues_in_the_caller_of_run() {
    within(PATIENCE, || {
        assert_eq!(panic_message(|| smarm::run(|| panic!("boom"))), "boom");
    });
}

#[test]
fn a_panic_unwinds_its_actor_and_leaves_the_neighbours_alone() {
    within(PATIENCE, || {
        let drops = Drops::new();
        smarm::run(|| {
            let go = Signal::new();
            let neighbours: Vec<_> = (0..50)
                .map(|n| {
                    let go = go.clone();
                    smarm::spawn(move || {
                        go.wait(1);
                        n
                    })
                })
                .collect();
            for _ in 0..50 {
                let held = drops.counted();
                let joined = smarm::spawn(move || {
                    let _held = held;
                    smarm::yield_now();
                    panic!("boom");
                })
                .join();
                assert!(joined.is_err_and(|error| error.is_panic()));
            }
            assert_eq!(drops.count(), 50);
            go.raise();
            for (n, neighbour) in neighbours.into_iter().enumerate() {
                assert_eq!(neighbour.join().unwrap(), n);
            }
        });
    });
}

#[test]
fn a_panic_after_many_waits_is_caught_at_the_entry() {
    within(PATIENCE, || {
        smarm::run(|| {
            let joined = smarm::spawn(|| {
                for _ in 0..1000 {
                    smarm::yield_now();
                }
                panic!("late");
            })
            .join();
            assert_eq!(message(&*joined.unwrap_err().into_panic()), "late");
        });
    });
}

#[test]
fn a_result_whose_drop_panics_does_no_harm_when_nobody_wants_it() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (ended, detached) = (Signal::new(), Signal::new());
            let (theirs, nobody_wants_it) = (ended.clone(), detached.clone());
            drop(smarm::spawn(move || {
                nobody_wants_it.wait(1);
                OnDrop(move || {
                    theirs.raise();
                    panic!("in the drop of a result, on purpose");
                })
            }));
            detached.raise();
            ended.wait(1);
            assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
        });
    });
}

#[test]
fn a_parked_actor_that_is_killed_unwinds() {
    within(PATIENCE, || {
        smarm::run(|| {
            let drops = Drops::new();
            let parked = Signal::new();
            let (held, theirs) = (drops.counted(), parked.clone());
            let child = smarm::spawn(move || {
                let _held = held;
                theirs.raise();
                smarm::sleep(FOR_EVER);
            });
            parked.wait(1);
            child.kill();
            assert_killed(child.join());
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_queued_actor_that_is_killed_unwinds_when_its_turn_comes() {
    within(PATIENCE, || {
        smarm::run(|| {
            let drops = Drops::new();
            let started = Signal::new();
            let (held, theirs) = (drops.counted(), started.clone());
            let child = smarm::spawn(move || {
                let _held = held;
                theirs.raise();
                until(|| false);
            });
            // On one worker it is in the queue whenever this actor runs.
            started.wait(1);
            child.kill();
            assert_eq!(drops.count(), 0, "it unwinds on its own stack");
            assert_killed(child.join());
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_computing_actor_that_is_killed_unwinds_at_its_next_check() {
    within(PATIENCE, || {
        let runtime = workers(1);
        for _ in 0..20 {
            let drops = Drops::new();
            let (held, (started, running)) = (drops.counted(), mpsc::channel());
            let child = runtime
                .spawn(move || {
                    let _held = held;
                    started.send(()).unwrap();
                    loop {
                        smarm::check!();
                    }
                })
                .unwrap();
            running.recv().unwrap();
            child.kill();
            assert_killed::<()>(child.join());
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn a_new_actor_that_is_killed_never_starts_and_drops_its_closure() {
    within(PATIENCE, || {
        smarm::run(|| {
            let drops = Drops::new();
            let held = drops.counted();
            let _undisturbed = smarm::preempt::disable(); // a spawn may yield after a long slice
            let child = smarm::spawn(move || {
                let _held = held;
                unreachable!("it was killed before it could start");
            });
            child.kill();
            assert_killed::<()>(child.join());
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_closure_whose_drop_panics_at_a_kill_before_the_start_is_a_panic() {
    within(PATIENCE, || {
        smarm::run(|| {
            let bomb = OnDrop(|| panic!("in the drop of a closure, on purpose"));
            let child = smarm::spawn(move || drop(bomb));
            child.kill();
            assert!(child.join().unwrap_err().is_panic());
            assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
        });
    });
}

#[test]
fn a_kill_drops_the_future_that_the_actor_awaits() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let (in_future, on_stack) = (Drops::new(), Drops::new());
            let (awaited, held) = (in_future.counted(), on_stack.counted());
            let (polled, first_poll) = mpsc::channel();
            let child = runtime
                .spawn(move || {
                    let _held = held;
                    await_future(poll_fn(move |_| {
                        let _awaited = &awaited;
                        polled.send(()).unwrap();
                        Poll::<()>::Pending
                    }));
                })
                .unwrap();
            first_poll.recv().unwrap();
            child.kill();
            assert_killed(child.join());
            assert_eq!((in_future.count(), on_stack.count()), (1, 1));
        }
    });
}

#[test]
fn a_killed_actor_that_swallows_it_is_unwound_again_by_its_next_wait() {
    within(PATIENCE, || {
        smarm::run(|| {
            let parked = Signal::new();
            let swallowed = Arc::new(AtomicUsize::new(0));
            let (theirs, count) = (parked.clone(), swallowed.clone());
            let child = smarm::spawn(move || {
                for _ in 0..5 {
                    let wait = || {
                        theirs.raise();
                        await_future(pending::<()>());
                    };
                    assert!(catch_unwind(AssertUnwindSafe(wait)).is_err());
                    count.fetch_add(1, SeqCst);
                }
                smarm::yield_now();
                unreachable!("every wait unwinds");
            });
            parked.wait(1);
            child.kill();
            assert_killed::<()>(child.join());
            assert_eq!(swallowed.load(SeqCst), 5);
        });
    });
}

#[test]
fn a_killed_actor_that_swallows_it_and_waits_no_more_returns_its_value() {
    within(PATIENCE, || {
        smarm::run(|| {
            let parked = Signal::new();
            let theirs = parked.clone();
            let child = smarm::spawn(move || {
                theirs.raise();
                let swallowed = catch_unwind(|| smarm::sleep(FOR_EVER)).is_err();
                (swallowed, 42)
            });
            parked.wait(1);
            child.kill();
            assert_eq!(child.join().unwrap(), (true, 42));
        });
    });
}

#[test]
fn a_join_in_a_destructor_during_a_kill_waits_for_its_result() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (parked, destructing, go) = (Signal::new(), Signal::new(), Signal::new());
            let result = Arc::new(AtomicUsize::new(0));
            let child = {
                let (parked, destructing, go, result) =
                    (parked.clone(), destructing.clone(), go.clone(), result.clone());
                smarm::spawn(move || {
                    let mut grandchild: Option<JoinHandle<usize>> = Some(smarm::spawn(move || {
                        go.wait(1);
                        42
                    }));
                    let _joins = OnDrop(move || {
                        destructing.raise();
                        result.store(grandchild.take().unwrap().join().unwrap(), SeqCst);
                    });
                    parked.raise();
                    smarm::sleep(FOR_EVER);
                })
            };
            parked.wait(1);
            child.kill();
            destructing.wait(1);
            assert!(!child.is_finished());
            go.raise();
            assert_killed(child.join());
            assert_eq!(result.load(SeqCst), 42);
        });
    });
}

#[test]
fn a_future_awaited_in_a_destructor_during_a_kill_is_awaited_to_its_end() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (parked, destructing, go, done) =
                (Signal::new(), Signal::new(), Signal::new(), Signal::new());
            let child = {
                let (parked, destructing, go, done) =
                    (parked.clone(), destructing.clone(), go.clone(), done.clone());
                smarm::spawn(move || {
                    let _awaits = OnDrop(move || {
                        destructing.raise();
                        go.wait(1);
                        done.raise();
                    });
                    parked.raise();
                    await_future(pending::<()>());
                })
            };
            parked.wait(1);
            child.kill();
            destructing.wait(1);
            // A second kill changes nothing, and a wake for nothing does not end the wait.
            child.kill();
            go.rouse();
            for _ in 0..10 {
                smarm::yield_now();
            }
            assert_eq!(done.count(), 0);
            go.raise();
            assert_killed(child.join());
            assert_eq!(done.count(), 1);
        });
    });
}

#[test]
fn a_sleep_in_a_destructor_during_a_kill_returns_at_once() {
    within(PATIENCE, || {
        smarm::run(|| {
            let parked = Signal::new();
            let drops = Drops::new();
            let (theirs, held) = (parked.clone(), drops.counted());
            let child = smarm::spawn(move || {
                let _held = held;
                let _sleeps = OnDrop(|| smarm::sleep(FOR_EVER));
                theirs.raise();
                smarm::sleep(FOR_EVER);
            });
            parked.wait(1);
            child.kill();
            assert_killed(child.join());
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn yields_in_a_destructor_during_a_kill_let_the_others_run() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (parked, destructing, go) = (Signal::new(), Signal::new(), Arc::new(AtomicBool::new(false)));
            let child = {
                let (parked, destructing, go) = (parked.clone(), destructing.clone(), go.clone());
                smarm::spawn(move || {
                    let _yields = OnDrop(move || {
                        destructing.raise();
                        until(|| go.load(SeqCst));
                    });
                    parked.raise();
                    smarm::sleep(FOR_EVER);
                })
            };
            parked.wait(1);
            child.kill();
            destructing.wait(1);
            go.store(true, SeqCst);
            assert_killed(child.join());
        });
    });
}

#[test]
fn a_kill_while_a_panic_unwinds_does_not_abort_and_the_panic_is_joined() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (destructing, go) = (Signal::new(), Signal::new());
            let child = {
                let (destructing, go) = (destructing.clone(), go.clone());
                smarm::spawn(move || {
                    let _waits = OnDrop(move || {
                        destructing.raise();
                        go.wait(1); // parks, is killed there, and goes on
                        smarm::sleep(FOR_EVER);
                        smarm::yield_now();
                        smarm::check!();
                    });
                    panic!("boom");
                })
            };
            destructing.wait(1);
            child.kill();
            go.raise();
            let payload = child.join().unwrap_err().into_panic();
            assert_eq!(message(&*payload), "boom");
        });
    });
}

#[test]
fn a_destructor_that_panics_during_a_kill_within_a_catch_is_contained() {
    within(PATIENCE, || {
        smarm::run(|| {
            let parked = Signal::new();
            let theirs = parked.clone();
            let child = smarm::spawn(move || {
                let _catches = OnDrop(|| {
                    let caught = catch_unwind(|| panic!("in a destructor, on purpose"));
                    assert!(caught.is_err());
                });
                theirs.raise();
                smarm::sleep(FOR_EVER);
            });
            parked.wait(1);
            child.kill();
            assert_killed(child.join());
        });
    });
}

#[test]
fn a_kill_calls_no_panic_hook() {
    smarm_workspace::child::run_well(|| {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        std::panic::set_hook(Box::new(|_| {
            CALLS.fetch_add(1, SeqCst);
        }));
        smarm::run(|| {
            let parked = Signal::new();
            let theirs = parked.clone();
            let child = smarm::spawn(move || {
                theirs.raise();
                smarm::sleep(FOR_EVER);
            });
            parked.wait(1);
            child.kill();
            assert_killed(child.join());
        });
        assert_eq!(CALLS.load(SeqCst), 0);
    });
}

#[test]
fn ten_thousand_actors_killed_while_parked_all_unwind() {
    const ACTORS: usize = 10_000;
    within(PATIENCE, || {
        for count in [1, 2] {
            let drops = Drops::new();
            let runtime = workers(count);
            let parked = Signal::new();
            let children: Vec<_> = (0..ACTORS)
                .map(|n| {
                    let (held, parked) = (drops.counted(), parked.clone());
                    runtime
                        .spawn(move || {
                            let _held = held;
                            parked.raise();
                            // Parked by a timer, by a future, and by a join.
                            match n % 3 {
                                0 => smarm::sleep(FOR_EVER),
                                1 => await_future(pending::<()>()),
                                _ => drop(smarm::spawn_local(|| smarm::sleep(FOR_EVER)).join()),
                            }
                        })
                        .unwrap()
                })
                .collect();
            until(|| parked.count() == ACTORS);
            children.iter().for_each(JoinHandle::kill);
            children.into_iter().for_each(|child| assert_killed(child.join()));
            assert_eq!(drops.count(), ACTORS);
        }
    });
}

#[test]
fn a_storm_of_kills_from_many_threads_unwinds_each_actor_once() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..200 {
            let drops = Drops::new();
            let signal = Signal::new();
            let (held, theirs) = (drops.counted(), signal.clone());
            let child = runtime
                .spawn(move || {
                    let _held = held;
                    for round in 1.. {
                        theirs.wait(round);
                    }
                })
                .unwrap();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            signal.raise();
                        }
                        child.kill();
                        for _ in 0..10 {
                            signal.raise();
                        }
                    });
                }
            });
            assert_killed(child.join());
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn thread_panicking_is_true_for_an_actor_only_while_it_unwinds_itself() {
    within(PATIENCE, || {
        smarm::run(|| {
            let seen = Rc::new(Cell::new(None));
            let theirs = seen.clone();
            let child = smarm::spawn_local(move || {
                let _looks = OnDrop(move || theirs.set(Some(thread::panicking())));
                panic!("boom");
            });
            assert!(child.join().is_err_and(|error| error.is_panic()));
            assert_eq!(seen.get(), Some(true));
            assert!(!thread::panicking());
        });
    });
}
