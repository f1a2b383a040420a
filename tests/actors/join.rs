//! Joining: from actors, from threads, as a future, with a bound; and what becomes of the detached.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use smarm::compat::await_future;
use smarm::{Builder, JoinTimeoutError};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, block_on, child, until, within, workers};

#[test]
fn a_join_of_an_actor_that_has_ended_gives_its_value_at_once() {
    within(PATIENCE, || {
        smarm::run(|| {
            let child = smarm::spawn(|| String::from("value"));
            until(|| child.is_finished());
            assert_eq!(child.join().unwrap(), "value");
        });
    });
}

#[test]
fn a_join_waits_for_an_actor_that_runs_on() {
    within(PATIENCE, || {
        smarm::run(|| {
            let go = Signal::new();
            let theirs = go.clone();
            let child = smarm::spawn(move || {
                theirs.wait(1);
                42
            });
            let joiner = smarm::spawn(move || child.join().unwrap());
            smarm::yield_now();
            assert!(!joiner.is_finished());
            go.raise();
            assert_eq!(joiner.join().unwrap(), 42);
        });
    });
}

#[test]
fn a_plain_thread_joins_an_actor() {
    within(PATIENCE, || {
        let runtime = workers(1);
        for n in 0..500 {
            let child = runtime.spawn(move || n * 2).unwrap();
            assert_eq!(child.join().unwrap(), n * 2);
        }
    });
}

#[test]
fn a_join_handle_is_a_future_for_any_executor() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let go = Signal::new();
        let theirs = go.clone();
        let child = runtime
            .spawn(move || {
                theirs.wait(1);
                42
            })
            .unwrap();
        let mut child = pin!(child);
        assert!(child.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        go.raise();
        assert_eq!(block_on(child).unwrap(), 42);
    });
}

#[test]
fn a_join_handle_is_a_future_for_an_actor() {
    within(PATIENCE, || {
        smarm::run(|| {
            let children: Vec<_> = (0..10).map(|n| smarm::spawn(move || n)).collect();
            let sum = await_future(async {
                let mut sum = 0;
                for child in children {
                    sum += child.await.unwrap();
                }
                sum
            });
            assert_eq!(sum, 45);
        });
    });
}

#[test]
fn a_panic_and_a_kill_come_through_the_future_too() {
    within(PATIENCE, || {
        smarm::run(|| {
            let panicked = smarm::spawn(|| panic!("boom"));
            assert!(await_future(panicked).unwrap_err().is_panic());
            let killed = smarm::spawn(|| smarm::sleep(Duration::MAX));
            killed.kill();
            assert!(await_future(killed).unwrap_err().is_killed());
        });
    });
}

#[test]
fn a_join_whose_time_is_over_gives_the_handle_back_and_is_never_early() {
    const TIME: Duration = Duration::from_millis(5);
    within(PATIENCE, || {
        let runtime = workers(1);
        let join_late = || {
            let go = Signal::new();
            let theirs = go.clone();
            let child = runtime
                .spawn(move || {
                    theirs.wait(1);
                    42
                })
                .unwrap();
            let pid = child.pid();
            let start = Instant::now();
            let Err(JoinTimeoutError::TimedOut(child)) = child.join_timeout(TIME) else {
                panic!("the actor waits for the signal");
            };
            assert!(start.elapsed() >= TIME);
            assert_eq!(child.pid(), pid);
            go.raise();
            assert_eq!(child.join().unwrap(), 42);
        };
        join_late(); // on a plain thread
        runtime.run(join_late); // in an actor
    });
}

#[test]
fn a_join_with_a_deadline_in_the_past_gives_what_is_there() {
    within(PATIENCE, || {
        smarm::run(|| {
            let past = Instant::now();
            let go = Signal::new();
            let theirs = go.clone();
            let child = smarm::spawn(move || {
                theirs.wait(1);
                42
            });
            let Err(JoinTimeoutError::TimedOut(child)) = child.join_deadline(past) else {
                panic!("the actor waits for the signal");
            };
            go.raise();
            until(|| child.is_finished());
            assert_eq!(child.join_deadline(past).unwrap(), 42);
        });
    });
}

#[test]
fn a_join_without_end_takes_the_longest_timeout() {
    within(PATIENCE, || {
        smarm::run(|| {
            assert_eq!(smarm::spawn(|| 42).join_timeout(Duration::MAX).unwrap(), 42);
        });
    });
}

#[test]
fn a_bounded_join_tells_a_panic_from_the_end_of_its_time() {
    within(PATIENCE, || {
        smarm::run(|| {
            let child = smarm::spawn(|| panic!("boom"));
            match child.join_timeout(PATIENCE) {
                Err(JoinTimeoutError::Ended(error)) => assert!(error.is_panic()),
                other => panic!("{:?}", other),
            }
        });
    });
}

#[test]
fn a_bounded_join_in_a_destructor_during_a_kill_is_cancelled_and_gives_the_handle_back() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (parked, go) = (Signal::new(), Signal::new());
            let (sender, handle) = mpsc::channel();
            let victim = {
                let (parked, go) = (parked.clone(), go.clone());
                smarm::spawn(move || {
                    let mut child = Some(smarm::spawn(move || {
                        go.wait(1);
                        42
                    }));
                    let _joins = OnDrop(move || match child.take().unwrap().join_timeout(PATIENCE) {
                        Err(JoinTimeoutError::Cancelled(child)) => sender.send(child).unwrap(),
                        other => eprintln!("not cancelled: {other:?}"),
                    });
                    parked.raise();
                    smarm::sleep(Duration::MAX);
                })
            };
            parked.wait(1);
            victim.kill();
            assert!(victim.join().unwrap_err().is_killed());
            go.raise();
            assert_eq!(handle.try_recv().unwrap().join().unwrap(), 42);
        });
    });
}

#[test]
fn is_finished_turns_true_once_and_only_at_the_end() {
    within(PATIENCE, || {
        smarm::run(|| {
            let go = Signal::new();
            let theirs = go.clone();
            let child = smarm::spawn(move || theirs.wait(1));
            assert!(!child.is_finished(), "not started");
            until(|| go.waiting() == 1);
            assert!(!child.is_finished(), "parked");
            go.raise();
            until(|| child.is_finished());
            // Another life in the same slot does not make it unfinished again.
            let next = smarm::spawn(|| smarm::sleep(Duration::MAX));
            smarm::yield_now();
            assert!(child.is_finished());
            next.kill();
            child.join().unwrap();
        });
    });
}

#[test]
fn dropping_a_handle_detaches_the_actor() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (go, done) = (Signal::new(), Signal::new());
            let theirs = (go.clone(), done.clone());
            drop(smarm::spawn(move || {
                theirs.0.wait(1);
                theirs.1.raise();
            }));
            go.raise();
            done.wait(1);
        });
    });
}

#[test]
fn dropping_a_handle_in_the_middle_of_its_await_detaches_the_actor() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (go, done) = (Signal::new(), Signal::new());
            let theirs = (go.clone(), done.clone());
            let mut child = Box::pin(smarm::spawn(move || {
                theirs.0.wait(1);
                theirs.1.raise();
            }));
            await_future(std::future::poll_fn(|cx| {
                assert!(child.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            }));
            drop(child);
            go.raise();
            done.wait(1);
        });
    });
}

#[test]
fn a_value_that_nobody_takes_is_dropped_once() {
    within(PATIENCE, || {
        smarm::run(|| {
            let drops = Drops::new();
            let value = drops.counted();
            let joined_never = smarm::spawn(move || value);
            until(|| joined_never.is_finished());
            assert_eq!(drops.count(), 0);
            drop(joined_never);
            assert_eq!(drops.count(), 1);

            let value = drops.counted();
            drop(smarm::spawn(move || value));
            until(|| drops.count() == 2);
        });
    });
}

#[test]
fn join_gives_all_results_in_the_order_of_the_handles() {
    within(PATIENCE, || {
        smarm::run(|| {
            let first = Signal::new();
            let theirs = first.clone();
            let waits = smarm::spawn(move || {
                theirs.wait(1);
                1
            });
            let (one, two, three) = smarm::join!(
                waits,
                smarm::spawn(move || {
                    first.raise();
                    "two"
                }),
                smarm::spawn(|| panic!("three")),
            );
            assert_eq!((one.unwrap(), two.unwrap()), (1, "two"));
            assert!(three.unwrap_err().is_panic());
        });
    });
}

#[test]
fn a_detached_panic_is_reported_with_pid_name_and_place() {
    let output = child::run(|| {
        smarm::run(|| {
            let go = Arc::new(AtomicBool::new(false));
            let theirs = go.clone();
            let actor = Builder::new()
                .name("parser")
                .spawn(move || {
                    until(|| theirs.load(SeqCst));
                    panic!("boom");
                })
                .unwrap();
            let pid = actor.pid();
            drop(actor);
            println!("pid {pid}");
            std::io::stdout().flush().unwrap();
            go.store(true, SeqCst);
            let live = smarm::Handle::current();
            until(|| live.live() == 1);
        });
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", child::text(&output));
        let stdout = String::from_utf8_lossy(&output.stdout);
        let (_, pid) = stdout.lines().find_map(|line| line.split_once("pid ")).expect("the pid is printed");
        let stderr = child::stderr(&output);
        let report = stderr.lines().find(|line| line.starts_with("smarm: ")).expect("there is a report");
        for part in [&format!("actor {pid} \"parser\" panicked at tests/actors/join.rs:"), "boom"] {
            assert!(report.contains(part), "{report}");
        }
    }
}

#[test]
fn a_panic_that_is_joined_is_not_reported_twice() {
    let output = child::run(|| {
        smarm::run(|| {
            assert!(smarm::spawn(|| panic!("boom")).join().is_err_and(|error| error.is_panic()));
        });
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", child::text(&output));
        assert!(!child::stderr(&output).contains("smarm: actor"), "{}", child::text(&output));
    }
}

#[test]
fn thousands_of_joins_race_with_the_end_of_their_actors() {
    within(PATIENCE, || {
        let runtime = workers(2);
        runtime.run(|| {
            for round in 0..300 {
                let children: Vec<_> = (0..20).map(|n| smarm::spawn(move || n + round)).collect();
                for (n, child) in children.into_iter().enumerate() {
                    assert_eq!(child.join().unwrap(), n + round);
                }
            }
        });
        // And with handles that are dropped, awaited and timed out on other threads.
        for round in 0..300 {
            let children: Vec<_> = (0..3).map(|_| runtime.spawn(move || round).unwrap()).collect();
            thread::scope(|scope| {
                for (how, child) in children.into_iter().enumerate() {
                    scope.spawn(move || match how {
                        0 => drop(child),
                        1 => assert_eq!(block_on(child).unwrap(), round),
                        _ => match child.join_timeout(Duration::from_micros(50)) {
                            Ok(value) => assert_eq!(value, round),
                            Err(JoinTimeoutError::TimedOut(child)) => {
                                assert_eq!(child.join().unwrap(), round);
                            }
                            Err(other) => panic!("{other:?}"),
                        },
                    });
                }
            });
        }
    });
}

#[test]
fn a_panic_is_logged_when_its_handle_is_dropped_unread() {
    let output = smarm_workspace::child::run(|| {
        smarm::run(|| {
            let handle = smarm::Builder::new().name("unread").spawn(|| -> () { panic!("lost") }).unwrap();
            while !handle.is_finished() {
                smarm::yield_now();
            }
            drop(handle);
            let read = smarm::Builder::new().name("read").spawn(|| -> () { panic!("found") }).unwrap();
            assert!(read.join().is_err());
        });
    });
    let Some(output) = output else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("\"unread\" panicked at tests/actors/join.rs:"), "{said}");
    assert!(!said.contains("\"read\" panicked at"), "{said}");
}

#[test]
fn a_join_error_turns_into_any_error_that_goes_between_threads() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let ask = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
                smarm::spawn(|| panic!("no luck")).join()?;
                Ok(())
            };
            assert_eq!(ask().unwrap_err().to_string(), "the actor panicked: no luck");
        });
    });
}
