//! Scopes. What `std::thread::scope` documents, and the test for each line; then what smarm adds.
//!
//! | std says | here |
//! |---|---|
//! | scoped threads can borrow non-`'static` data | `the_example_of_std` |
//! | all threads are joined before the function returns | `all_children_have_ended_when_a_scope_returns` |
//! | `scope` returns what the closure returns | `the_example_of_std` |
//! | if any of the automatically joined threads panicked, it panics | `an_unjoined_panic_is_one_of_the_scope` |
//! | a panic that was joined by hand does not | `a_joined_panic_is_none_of_the_scope` |
//! | the closure's own panic goes on after all have ended | `a_panic_of_the_closure_kills_the_children_and_waits` (they are killed) |
//! | threads can spawn threads in the same scope | `a_child_spawns_a_child` |
//! | `join` gives the result or the payload | `handles_are_joined_in_the_scope` |
//! | `is_finished` does not block | `handles_are_joined_in_the_scope` |
//! | `Builder::spawn_scoped` | `a_builder_spawns_children` |
//! | a value that nobody joins is dropped before the scope ends | `results_that_nobody_wants_are_dropped_in_time` |

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use smarm::cancel::{CancelToken, Interrupted, with_cancel, with_timeout};
use smarm::channel::channel;
use smarm::scope::ScopedJoinTimeoutError;
use smarm::{Builder, Config, Scope, scope, sleep, spawn};
use smarm_workspace::{Drops, OnDrop, PATIENCE, block_on, message, panic_message, until, within, workers};

#[test]
fn the_example_of_std() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut a = vec![1, 2, 3];
            let mut x = 0;
            let said = AtomicUsize::new(0);
            let given = smarm::thread::scope(|s| {
                s.spawn(|| {
                    said.fetch_add(a.len(), SeqCst); // we can borrow `a` here
                });
                s.spawn(|| x += a[0] + a[2]); // we can even mutably borrow `x`
                "the result"
            });
            a.push(4); // after the scope, we can modify and access our variables again
            assert_eq!((x, a.len(), said.into_inner(), given), (4, 4, 3, "the result"));
        });
    });
}

#[test]
fn all_children_have_ended_when_a_scope_returns() {
    within(PATIENCE, || {
        workers(2).run(|| {
            for children in [0, 1, 8, 200] {
                let ended = AtomicUsize::new(0);
                scope(|s| {
                    for n in 0..children {
                        let ended = &ended;
                        drop(s.spawn(move || {
                            (0..n % 5).for_each(|_| smarm::yield_now());
                            ended.fetch_add(1, SeqCst);
                        }));
                    }
                });
                assert_eq!(ended.into_inner(), children);
            }
        });
    });
}

#[test]
fn handles_are_joined_in_the_scope() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let text = String::from("text");
            scope(|s| {
                let (go, wait) = channel::<()>();
                let held = s.spawn(move || wait.recv().is_err());
                let borrowed = s.spawn(|| text.as_str());
                assert_eq!(borrowed.join().unwrap(), "text");
                assert!(!held.is_finished());
                let Err(ScopedJoinTimeoutError::TimedOut(mut held)) =
                    held.join_timeout(Duration::from_millis(1))
                else {
                    panic!("it waits")
                };
                smarm::select! {
                    _ = &mut held => unreachable!(),
                    () = after(Duration::from_millis(1)) => {}
                }
                drop(go);
                assert!(smarm::compat::await_future(held).unwrap());
                let late = s.spawn(|| 1);
                assert_eq!(late.join_deadline(Instant::now() + PATIENCE).unwrap(), 1);
                let killed = s.spawn(|| sleep(Duration::MAX));
                killed.kill();
                assert!(killed.join().unwrap_err().is_killed());
            });
        });
    });
}

#[test]
fn a_child_spawns_a_child() {
    within(PATIENCE, || {
        workers(2).run(|| {
            fn tree<'scope>(s: &'scope Scope<'scope, '_>, depth: u32, leaves: &'scope AtomicUsize) {
                if depth == 0 {
                    leaves.fetch_add(1, SeqCst);
                    return;
                }
                for _ in 0..2 {
                    s.spawn(move || tree(s, depth - 1, leaves));
                }
            }
            let leaves = AtomicUsize::new(0);
            scope(|s| tree(s, 7, &leaves));
            assert_eq!(leaves.into_inner(), 128);
        });
    });
}

#[test]
fn an_unjoined_panic_is_one_of_the_scope() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let how: [fn(smarm::ScopedJoinHandle<'_, ()>); 3] = [
                |handle| drop(handle),
                |handle| mem::forget(handle),
                |handle| {
                    until(|| handle.is_finished());
                    drop(handle);
                },
            ];
            for dispose in how {
                let others = AtomicBool::new(false);
                let text = panic_message(|| {
                    scope(|s| {
                        dispose(s.spawn(|| std::panic::resume_unwind(Box::new("alone"))));
                        s.spawn(|| others.store(true, SeqCst));
                    });
                });
                assert!(text.contains("a scoped actor panicked"), "{text}");
                assert!(others.into_inner(), "the others run to their end");
            }
        });
    });
}

#[test]
fn a_joined_panic_is_none_of_the_scope() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let joined = scope(|s| {
                let by_parent = s.spawn(|| std::panic::resume_unwind(Box::new("one")));
                let other = s.spawn(|| std::panic::resume_unwind(Box::new("two")));
                let by_child = s.spawn(|| other.join().unwrap_err().is_panic());
                let mut third = s.spawn(|| std::panic::resume_unwind(Box::new("three")));
                let ended: Result<(), _> = smarm::select! { ended = &mut third => ended };
                let first: Result<(), _> = by_parent.join();
                let text = first.unwrap_err().into_panic();
                (message(&*text).to_owned(), by_child.join().unwrap(), ended.is_err())
            });
            assert_eq!(joined, ("one".to_owned(), true, true));
        });
    });
}

#[test]
fn a_killed_child_is_no_panic_of_the_scope() {
    within(PATIENCE, || {
        workers(2).run(|| {
            scope(|s| {
                s.spawn(|| sleep(Duration::MAX)).kill();
                for _ in 0..10 {
                    s.spawn(|| sleep(Duration::MAX));
                }
                s.kill_all();
            });
        });
    });
}

#[test]
fn a_panic_of_the_closure_kills_the_children_and_waits() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let drops = Drops::new();
            let text = panic_message(|| {
                scope(|s| {
                    for _ in 0..20 {
                        let counted = drops.counted();
                        s.spawn(move || {
                            let _counted = counted;
                            sleep(Duration::MAX);
                        });
                    }
                    std::panic::resume_unwind(Box::new("the closure's"));
                });
            });
            assert_eq!((text.as_str(), drops.count()), ("the closure's", 20));
        });
    });
}

#[test]
fn a_parent_that_is_killed_kills_its_children_and_waits_for_them() {
    within(PATIENCE, || {
        workers(2).run(|| {
            for in_closure in [true, false] {
                let (ready, is_ready) = channel();
                let (said, says) = channel();
                let parent = spawn(move || {
                    let frame = vec![7; 100];
                    let _after = OnDrop(|| said.send("parent").unwrap());
                    scope(|s| {
                        let (said, ready, frame) = (&said, &ready, &frame);
                        s.spawn(move || {
                            let _end = OnDrop(|| {
                                // Takes its time, and uses the frame.
                                sleep_in_destructor();
                                assert_eq!(frame.iter().sum::<i32>(), 700);
                                said.send("child").unwrap();
                            });
                            ready.send(()).unwrap();
                            sleep(Duration::MAX);
                        });
                        if in_closure {
                            sleep(Duration::MAX);
                        }
                    });
                });
                is_ready.recv().unwrap();
                parent.kill();
                assert_eq!((says.recv(), says.recv()), (Ok("child"), Ok("parent")));
                assert!(parent.join().unwrap_err().is_killed());
            }
        });
    });
    /// A sleep would return at once there.
    fn sleep_in_destructor() {
        let (tx, rx) = channel();
        let helper = spawn(move || {
            (0..20).for_each(|_| smarm::yield_now());
            tx.send(()).unwrap();
        });
        assert!(helper.join().is_ok() && rx.try_recv().is_ok());
    }
}

#[test]
fn a_child_that_is_spawned_by_a_dying_child_is_killed_and_waited_for() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let drops = Drops::new();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    let drops = &drops;
                    let (ready, is_ready) = channel();
                    s.spawn(move || {
                        let _end = OnDrop(|| {
                            let counted = drops.counted();
                            s.spawn(move || {
                                let _counted = counted;
                                sleep(Duration::MAX);
                            });
                        });
                        ready.send(()).unwrap();
                        sleep(Duration::MAX);
                    });
                    is_ready.recv().unwrap();
                    std::panic::resume_unwind(Box::new("over"));
                });
            }));
            assert!(outcome.is_err());
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn nobody_else_sees_a_panic_while_a_scope_waits_for_its_children() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (release, wait) = channel::<()>();
            let waiting = spawn(move || {
                panic_message(|| {
                    scope(|s| {
                        s.spawn(move || {
                            // The kill is ignored until it has been let go.
                            while catch_unwind(AssertUnwindSafe(|| wait.recv())).is_err() {}
                        });
                        smarm::yield_now();
                        std::panic::resume_unwind(Box::new("caught first"));
                    });
                })
            });
            for _ in 0..100 {
                smarm::yield_now();
                assert!(!std::thread::panicking());
            }
            drop(release);
            assert_eq!(waiting.join().unwrap(), "caught first");
        });
    });
}

#[test]
fn forgotten_handles_and_results_change_nothing() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let ended = AtomicUsize::new(0);
            let text = String::from("borrowed");
            scope(|s| {
                for _ in 0..50 {
                    mem::forget(s.spawn(|| {
                        smarm::yield_now();
                        ended.fetch_add(text.len(), SeqCst);
                        text.as_str()
                    }));
                }
            });
            assert_eq!(ended.into_inner(), 400);
        });
    });
}

#[test]
fn results_that_nobody_wants_are_dropped_in_time() {
    struct Borrowing<'a>(&'a AtomicUsize);
    impl Drop for Borrowing<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    within(PATIENCE, || {
        workers(2).run(|| {
            for _ in 0..200 {
                let dropped = AtomicUsize::new(0);
                scope(|s| {
                    let dropped = &dropped;
                    s.spawn(move || Borrowing(dropped));
                    let late = s.spawn(move || Borrowing(dropped));
                    smarm::yield_now();
                    drop(late);
                });
                assert_eq!(dropped.into_inner(), 2);
            }
        });
    });
}

#[test]
fn deadlines_and_tokens_are_inherited_by_children() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let over = with_timeout(Duration::from_millis(1), || {
                scope(|s| {
                    let child = s.spawn(|| {
                        let grandchild = s.spawn(|| channel::<()>().1.recv());
                        (channel::<()>(), grandchild.join()).1.is_ok()
                    });
                    let (_tx, rx) = channel::<()>();
                    let waits = s.spawn(move || rx.recv_timeout(Duration::MAX).is_err());
                    (child.join().is_ok(), waits.join().unwrap_or(true))
                })
            });
            // Whoever is told first, all ends.
            assert!(over.is_err() || over.is_ok_and(|(_, waits)| waits));
            let token = CancelToken::new();
            let theirs = token.clone();
            let parent = spawn(move || {
                with_cancel(&theirs, || {
                    scope(|s| {
                        s.spawn(|| sleep(Duration::MAX));
                        s.spawn(|| sleep(Duration::MAX));
                    });
                })
            });
            token.cancel();
            assert_eq!(parent.join().unwrap(), Err(Interrupted::Cancelled));
        });
    });
}

#[test]
fn a_scope_that_misses_a_child_is_over_with_its_deadline_or_token_even_if_it_need_not_wait() {
    /// A child that the token ends before its parent looks, is joined or not, and is in a shield or not.
    fn outcome(token: &CancelToken, join: bool, shielded: bool) -> Result<&'static str, Interrupted> {
        with_cancel(token, || {
            scope(|s| {
                let (done, go) = channel::<()>();
                let child = s.spawn(move || {
                    if shielded {
                        smarm::shield(|| go.recv()).unwrap();
                    } else {
                        sleep(Duration::MAX);
                    }
                });
                token.cancel();
                done.send(()).unwrap_or_default();
                smarm::shield(|| {
                    while !child.is_finished() {
                        smarm::yield_now()
                    }
                });
                if join && child.join().is_err() { "heard" } else { "not heard" }
            })
        })
    }
    fn outcomes() {
        let cut = Err(Interrupted::Cancelled);
        assert_eq!(outcome(&CancelToken::new(), false, false), cut);
        assert_eq!(outcome(&CancelToken::new(), true, false), Ok("heard"));
        assert_eq!(outcome(&CancelToken::new(), false, true), Ok("not heard"), "all was done");
    }
    within(PATIENCE, || {
        for number in [1, 2] {
            workers(number).run(|| {
                outcomes();
                // What is over is the child's affair alone.
                let inner = scope(|s| {
                    let (done, ended) = channel::<()>();
                    s.spawn(move || {
                        let _done = done;
                        smarm::with_timeout(Duration::ZERO, || sleep(Duration::MAX)).unwrap_or_default();
                    });
                    ended.recv().is_err()
                });
                assert!(inner);
                let killed = with_timeout(Duration::MAX, || {
                    scope(|s| {
                        s.spawn(|| sleep(Duration::MAX)).kill();
                        "killed as wanted"
                    })
                });
                assert_eq!(killed, Ok("killed as wanted"));
            });
        }
    });
}

#[test]
fn a_scope_of_a_thread_that_misses_a_child_is_over_with_its_deadline() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let over = with_timeout(Duration::from_millis(1), || {
            runtime.handle().scope(|s| {
                let child = s.spawn(|| sleep(Duration::MAX));
                while !child.is_finished() {
                    std::thread::yield_now();
                }
            });
        });
        assert_eq!(over, Err(Interrupted::TimedOut));
    });
}

#[test]
fn a_deadline_of_the_parent_ends_its_wait_and_then_the_children() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let drops = Drops::new();
            let over = with_timeout(Duration::from_millis(2), || {
                scope(|s| {
                    let counted = drops.counted();
                    s.spawn(move || {
                        let _counted = counted;
                        // Out of reach of the deadline, but not of a kill.
                        smarm::shield(|| sleep(Duration::MAX));
                    });
                });
            });
            assert_eq!((over, drops.count()), (Err(Interrupted::TimedOut), 1));
        });
    });
}

#[test]
fn a_borrowing_future_runs_beside_its_parent() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let numbers = [1, 2, 3];
            let (go, wait) = channel::<()>();
            let sum = scope(|s| {
                let future = s.spawn_future(async {
                    tokio::task::yield_now().await;
                    numbers.iter().sum::<i32>()
                });
                let dropped = s.spawn_future(std::future::pending::<()>());
                dropped.kill();
                let waiting = s.spawn(move || wait.recv().is_err());
                drop(go);
                assert!(waiting.join().unwrap());
                future.join().unwrap()
            });
            assert_eq!(sum, 6);
        });
    });
}

#[test]
fn a_borrowing_future_uses_tokio_on_the_bridge() {
    within(PATIENCE, || {
        let runtime = smarm_compat::Builder::new().workers(2).start().unwrap();
        runtime.run(|| {
            let pause = Duration::from_millis(1);
            scope(|s| {
                let slept = s.spawn_future(async {
                    tokio::time::sleep(pause).await;
                    let task = tokio::spawn(async { 4 });
                    task.await.unwrap()
                });
                assert_eq!(slept.join().unwrap(), 4);
            });
        });
    });
}

#[test]
fn a_plain_thread_says_where_its_children_run() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let mut numbers = vec![1, 2, 3, 4];
        let pids = runtime.handle().scope(|s| {
            let children: Vec<_> = numbers
                .iter_mut()
                .map(|n| {
                    s.spawn(move || {
                        *n *= 2;
                        smarm::self_pid()
                    })
                })
                .collect();
            children.into_iter().map(|child| child.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!((numbers, pids.len()), (vec![2, 4, 6, 8], 4));
        let text = panic_message(|| scope(|s| drop(s.spawn(|| ()))));
        assert!(text.contains("Handle::scope"), "{text}");
        assert_eq!(scope(|_| 5), 5);
        // The thread's own deadline is inherited, too.
        let over = with_timeout(Duration::from_millis(1), || {
            runtime.handle().scope(|s| s.spawn(smarm::cancel::deadline).join().unwrap().is_some())
        });
        assert_ne!(over, Ok(false));
        // And a panic of a child on this other runtime comes here.
        let text = panic_message(|| {
            runtime.handle().scope(|s| drop(s.spawn(|| std::panic::resume_unwind(Box::new("there")))))
        });
        assert!(text.contains("a scoped actor panicked"));
    });
}

#[test]
fn an_actor_of_one_runtime_has_children_on_another() {
    within(PATIENCE, || {
        let (one, two) = (workers(1), workers(1));
        let there = two.handle();
        let sum = one.run(|| {
            let numbers = [1, 2, 3];
            there.scope(|s| s.spawn(|| numbers.iter().sum::<i32>()).join().unwrap())
        });
        assert_eq!(sum, 6);
    });
}

#[test]
fn a_builder_spawns_children() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let name = String::from("named");
            scope(|s| {
                let child = Builder::new().name(name.as_str()).worker(1).spawn_scoped(s, || name.len());
                assert_eq!(child.unwrap().join().unwrap(), 5);
                assert!(Builder::new().worker(9).spawn_scoped(s, || name.len()).is_err());
                until(|| s.running() == 0);
            });
        });
    });
}

#[test]
fn a_runtime_that_shuts_down_under_a_scope_ends_its_children_first() {
    within(PATIENCE, || {
        for _ in 0..20 {
            let runtime = workers(2);
            let drops = Drops::new();
            let (ready, is_ready) = channel();
            let theirs = drops.clone();
            let parent = runtime
                .spawn(move || {
                    let frame = [1; 64];
                    scope(|s| {
                        for _ in 0..8 {
                            let (counted, frame) = (theirs.counted(), &frame);
                            s.spawn(move || {
                                let _end = OnDrop(|| assert_eq!(frame.iter().sum::<i32>(), 64));
                                let _counted = counted;
                                sleep(Duration::MAX);
                            });
                        }
                        ready.send(()).unwrap();
                    });
                })
                .unwrap();
            is_ready.recv().unwrap();
            runtime.shutdown(PATIENCE).unwrap();
            assert!(parent.is_finished());
            assert_eq!(drops.count(), 8);
        }
    });
}

#[test]
fn a_spawn_that_is_refused_in_a_shutdown_gives_its_borrow_back() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let handle = runtime.handle();
        runtime.shutdown(PATIENCE).unwrap();
        let drops = Drops::new();
        handle.scope(|s| {
            let counted = drops.counted();
            let child = s.spawn(move || drop(counted));
            assert_eq!(drops.count(), 1);
            assert!(child.join().unwrap_err().is_killed());
        });
    });
}

#[test]
fn a_scope_where_nothing_may_wait_panics_before_it_spawns() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let text = panic_message(|| {
                smarm::compat::await_future(async { scope(|s| drop(s.spawn(|| unreachable!()))) });
            });
            assert!(text.contains("blocking call"), "{text}");
        });
    });
}

#[test]
fn a_scope_of_a_great_many_children_forgets_those_that_have_ended() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let count = AtomicUsize::new(0);
            scope(|s| {
                for round in 0..5_000 {
                    let child = s.spawn(|| count.fetch_add(1, SeqCst));
                    if round % 3 == 0 {
                        child.join().unwrap();
                    }
                }
                let (go, wait) = channel::<()>();
                let last = s.spawn(move || wait.recv());
                s.kill_all();
                assert!(last.join().unwrap_err().is_killed());
                drop(go);
            });
            assert!(count.into_inner() <= 5_000);
        });
    });
}

#[test]
fn a_scope_in_a_destructor_of_a_killed_actor_runs_to_its_end() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (said, says) = channel();
            let (ready, is_ready) = channel();
            let actor = spawn(move || {
                let _end = OnDrop(|| {
                    let numbers = [1, 2, 3];
                    let sum = scope(|s| s.spawn(|| numbers.iter().sum::<i32>()).join().unwrap());
                    said.send(sum).unwrap();
                });
                ready.send(()).unwrap();
                sleep(Duration::MAX);
            });
            is_ready.recv().unwrap();
            actor.kill();
            assert_eq!(says.recv(), Ok(6));
        });
    });
}

#[test]
fn an_async_wait_for_a_child_works_on_any_executor() {
    within(PATIENCE, || {
        let runtime = smarm::runtime::init(Config::exact(1));
        let local = 5;
        let given = runtime.handle().scope(|s| block_on(s.spawn(|| local + 1)));
        assert_eq!(given.unwrap(), 6);
    });
}
