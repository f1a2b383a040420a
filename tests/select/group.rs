//! Groups. What tokio's `JoinSet` documents, and the test for each line; then `join!`, `try_join!` and `race!`.
//!
//! | `JoinSet` says | here |
//! |---|---|
//! | tasks are returned in the order they complete | `results_come_in_the_order_of_the_ends` |
//! | `join_next` gives `None` when the set is empty | `an_empty_group_gives_none` |
//! | `join_next` is cancel safe | `a_join_next_that_is_dropped_half_way_loses_nothing` |
//! | `try_join_next` gives `None` if none is ready | `an_immediate_or_bounded_join_gives_what_is_there` |
//! | when it is dropped, all tasks are aborted | `dropping_a_group_kills_its_members` |
//! | `abort_all` does not remove; they come as cancelled | `killed_members_come_as_killed` |
//! | `shutdown` aborts all and waits | `a_shutdown_waits_for_all` |
//! | `detach_all` lets the tasks run on | `detached_members_run_on` |
//! | `join_all` gives the outputs, and panics if a task has | `join_all_gives_all_or_the_panic` |
//! | `join_next_with_id` | `results_come_in_the_order_of_the_ends` |
//! | `len` counts tasks that are not joined | `an_empty_group_gives_none` |
//! | a task that panicked comes as a `JoinError` | `a_panic_comes_as_an_error` |

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use smarm::cancel::{Interrupted, with_timeout};
use smarm::channel::{channel, oneshot};
use smarm::{Group, sleep, spawn};
use smarm_workspace::{Drops, OnDrop, PATIENCE, block_on, panic_message, until, within, workers};

#[test]
fn results_come_in_the_order_of_the_ends() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::new();
            let gates: Vec<_> = (0..20)
                .map(|n| {
                    let (open, gate) = oneshot::channel::<()>();
                    (open, group.spawn(move || gate.recv().map(|()| n).unwrap()))
                })
                .collect();
            for (n, (open, pid)) in gates.into_iter().enumerate().rev() {
                open.send(()).unwrap();
                let (who, result) = group.join_next_with_pid().unwrap();
                assert_eq!((who, result.unwrap()), (pid, n));
            }
            assert!(group.is_empty());
        });
    });
}

#[test]
fn an_empty_group_gives_none() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::<u8>::default();
            assert!(group.join_next().is_none() && group.try_join_next().is_none() && group.is_empty());
            assert!(group.join_next_timeout(Duration::MAX).unwrap().is_none());
            assert!(block_on(group.join_next_async()).is_none());
            group.spawn(|| 1);
            group.spawn(|| 2);
            assert_eq!(group.len(), 2);
            assert!(group.join_next().is_some());
            assert_eq!(group.len(), 1);
            assert!(group.join_next().is_some() && group.join_next().is_none());
        });
    });
}

#[test]
fn an_immediate_or_bounded_join_gives_what_is_there() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::new();
            let (open, gate) = channel::<()>();
            group.spawn(move || gate.recv().is_err());
            assert!(group.try_join_next().is_none());
            assert!(group.join_next_timeout(Duration::from_millis(1)).is_err());
            assert!(group.join_next_deadline(Instant::now()).is_err());
            assert_eq!(group.len(), 1);
            drop(open);
            assert!(group.join_next_deadline(Instant::now() + PATIENCE).unwrap().unwrap().unwrap());
            group.spawn(|| true);
            until(|| group.try_join_next().is_some());
        });
    });
}

#[test]
fn a_join_next_that_is_dropped_half_way_loses_nothing() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::new();
            let (open, gate) = channel::<()>();
            group.spawn(move || gate.recv().is_err());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(pin!(group.join_next_async()).poll(&mut cx).is_pending());
            smarm::select! {
                _ = group.join_next_async() => unreachable!(),
                () = after(Duration::from_millis(1)) => {}
            }
            assert_eq!(
                with_timeout(Duration::from_millis(1), || group.join_next().is_some()),
                Err(Interrupted::TimedOut)
            );
            drop(open);
            assert!(smarm::compat::await_future(group.join_next_async()).unwrap().unwrap());
            assert!(group.is_empty());
        });
    });
}

#[test]
fn dropping_a_group_kills_its_members() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let drops = Drops::new();
            let mut group = Group::new();
            for n in 0..100 {
                let counted = drops.counted();
                group.spawn(move || {
                    let _counted = counted;
                    if n % 2 == 0 {
                        sleep(Duration::MAX);
                    }
                });
            }
            drop(group);
            until(|| drops.count() == 100);
        });
    });
}

#[test]
fn killed_members_come_as_killed() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::new();
            let one = group.spawn(|| sleep(Duration::MAX));
            for _ in 0..9 {
                group.spawn(|| sleep(Duration::MAX));
            }
            let stranger = spawn(|| 1);
            group.kill(stranger.pid());
            group.kill(one);
            let (who, result) = group.join_next_with_pid().unwrap();
            assert!(who == one && result.unwrap_err().is_killed());
            group.kill_all();
            assert_eq!(group.len(), 9);
            while let Some(result) = group.join_next() {
                assert!(result.unwrap_err().is_killed());
            }
            assert_eq!(stranger.join().unwrap(), 1);
        });
    });
}

#[test]
fn a_shutdown_waits_for_all() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let drops = Drops::new();
            let mut group = Group::new();
            for _ in 0..10 {
                let counted = drops.counted();
                group.spawn(move || {
                    let _counted = counted;
                    sleep(Duration::MAX);
                });
            }
            group.shutdown();
            assert_eq!((drops.count(), group.len()), (10, 0));
            group.spawn(|| ());
            assert!(group.join_next().unwrap().is_ok(), "it can be used again");
        });
    });
}

#[test]
fn detached_members_run_on() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (said, says) = channel();
            let mut group = Group::new();
            let (open, gate) = channel::<()>();
            group.spawn(move || {
                assert!(gate.recv().is_err());
                said.send(1).unwrap();
            });
            group.detach_all();
            assert!(group.is_empty() && group.join_next().is_none());
            drop(group);
            drop(open);
            assert_eq!(says.recv(), Ok(1));
        });
    });
}

#[test]
fn join_all_gives_all_or_the_panic() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::new();
            (0..50).for_each(|n| _ = group.spawn(move || n));
            let mut all = group.join_all();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..50));
            let drops = Drops::new();
            let counted = drops.counted();
            let mut group = Group::new();
            group.spawn(move || {
                let _counted = counted;
                sleep(Duration::MAX);
            });
            group.spawn(|| resume_unwind(Box::new("a member's")));
            assert_eq!(panic_message(|| group.join_all()), "a member's");
            until(|| drops.count() == 1);
        });
    });
}

#[test]
fn a_panic_comes_as_an_error() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::new();
            group.spawn(|| -> u8 { resume_unwind(Box::new("it")) });
            let error = group.join_next().unwrap().unwrap_err();
            assert!(error.is_panic() && error.to_string().contains("it"));
        });
    });
}

#[test]
fn a_group_of_a_plain_thread_and_of_a_task() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let mut group = Group::on(&runtime.handle());
        (0..10).for_each(|n| _ = group.spawn(move || n));
        let mut sum = 0;
        while let Some(n) = group.join_next() {
            sum += n.unwrap();
        }
        (0..10).for_each(|n| _ = group.spawn(move || n));
        block_on(async {
            while let Some(n) = group.join_next_async().await {
                sum += n.unwrap();
            }
        });
        assert_eq!(sum, 90);
        drop(runtime);
        group.spawn(|| 1);
        assert!(group.join_next().unwrap().unwrap_err().is_killed(), "refused");
    });
}

#[test]
fn a_group_whose_owner_is_killed_goes_with_it() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let drops = Drops::new();
            let counted = drops.counted();
            let (ready, is_ready) = channel();
            let owner = spawn(move || {
                let mut group = Group::new();
                group.spawn(move || {
                    let _counted = counted;
                    ready.send(()).unwrap();
                    sleep(Duration::MAX);
                });
                group.join_next().is_some()
            });
            is_ready.recv().unwrap();
            owner.kill();
            assert!(owner.join().unwrap_err().is_killed());
            until(|| drops.count() == 1);
        });
    });
}

#[test]
fn members_inherit_the_deadline_of_their_spawner() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mut group = Group::new();
            let over = with_timeout(Duration::from_millis(1), || {
                group.spawn(|| channel::<()>().1.recv().is_err());
                group.spawn(|| sleep_forever().is_err());
            });
            assert_eq!(over, Ok(()));
            while let Some(ended) = group.join_next() {
                assert!(ended.is_err() || ended.is_ok_and(|over| over));
            }
        });
    });
    fn sleep_forever() -> Result<(), smarm::channel::RecvTimeoutError> {
        let (_tx, rx) = channel::<()>();
        rx.recv_timeout(Duration::MAX)
    }
}

#[test]
fn join_borrows_and_runs_side_by_side() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (there, back) = (channel::<u8>(), channel::<u8>());
            let text = String::from("text");
            // Each waits for the other: one after the other would never end.
            let (one, two, length) = smarm::join!(
                || {
                    there.0.send(1).unwrap();
                    2
                },
                || 3,
                || text.len(),
            );
            assert_eq!((one, two, length, there.1.try_recv()), (2, 3, 4, Ok(1)));
            let (tx, rx) = back;
            let (sent, received) = smarm::join!(
                move || {
                    smarm::yield_now();
                    tx.send(7)
                },
                move || rx.recv()
            );
            assert_eq!((sent, received), (Ok(()), Ok(7)));
        });
    });
}

#[test]
fn a_panic_in_join_ends_the_others_and_goes_on() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let ended = AtomicUsize::new(0);
            let text = panic_message(|| {
                smarm::join!(|| resume_unwind(Box::new("first")) as (), || {
                    let _end = OnDrop(|| _ = ended.fetch_add(1, SeqCst));
                    sleep(Duration::MAX);
                },)
            });
            assert_eq!(text, "first");
            assert!(ended.into_inner() <= 1);
        });
    });
}

#[test]
fn try_join_gives_all_values_or_the_first_error_and_kills_the_rest() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let text = String::from("text");
            let well: Result<_, u8> = smarm::try_join!(|| Ok(text.len()), || Ok(text.as_str()), || Ok(()));
            assert_eq!(well, Ok((4, "text", ())));
            let ended = AtomicUsize::new(0);
            let failed: Result<((), u8), &str> = smarm::try_join!(
                || {
                    let _end = OnDrop(|| _ = ended.fetch_add(1, SeqCst));
                    sleep(Duration::MAX);
                    Ok(())
                },
                || {
                    until(|| true);
                    Err("failed")
                },
            );
            assert_eq!(failed, Err("failed"));
            assert!(ended.into_inner() <= 1, "killed before or after it began");
            let text = panic_message(|| {
                smarm::try_join!(|| -> Result<(), u8> { resume_unwind(Box::new("panicked")) }, || {
                    sleep(Duration::MAX);
                    Ok(())
                },)
            });
            assert_eq!(text, "panicked");
        });
    });
}

#[test]
fn a_question_mark_in_the_closures_of_try_join() {
    fn both(one: &str, two: &str) -> Result<i32, std::num::ParseIntError> {
        let (one, two) = smarm::try_join!(|| one.parse::<i32>(), || Ok(two.parse::<i32>()? * 2))?;
        Ok(one + two)
    }
    within(PATIENCE, || {
        workers(2).run(|| {
            assert_eq!(both("1", "2"), Ok(5));
            assert!(both("1", "x").is_err() && both("x", "2").is_err());
        });
    });
}

#[test]
fn the_first_of_a_race_wins_and_the_others_have_ended() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (entered, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let first = smarm::group::first_of((0..20).map(|n| {
                let (entered, left) = (&entered, &left);
                move || {
                    entered.fetch_add(1, SeqCst);
                    let _end = OnDrop(|| _ = left.fetch_add(1, SeqCst));
                    if n != 13 {
                        sleep(Duration::MAX);
                    }
                    n
                }
            }));
            assert_eq!(first, 13);
            assert_eq!(entered.into_inner(), left.into_inner());
            let text = String::from("borrowed");
            let quick = smarm::race!(
                || {
                    sleep(Duration::MAX);
                    "slow"
                },
                || text.as_str(),
            );
            assert_eq!(quick, "borrowed");
        });
    });
}

#[test]
fn a_panic_wins_a_race_too() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let text = panic_message(|| {
                smarm::race!(|| resume_unwind(Box::new("first")) as (), || sleep(Duration::MAX));
            });
            assert_eq!(text, "first");
            let none: [fn() -> u8; 0] = [];
            assert!(panic_message(|| smarm::group::first_of(none)).contains("a race needs a closure"));
        });
    });
}

#[test]
fn a_racer_that_is_killed_kills_its_field() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (ready, is_ready) = channel();
            let drops = Drops::new();
            let counted = drops.counted();
            let racer = spawn(move || {
                smarm::race!(
                    || {
                        let _counted = counted;
                        ready.send(()).unwrap();
                        sleep(Duration::MAX);
                    },
                    || sleep(Duration::MAX),
                )
            });
            is_ready.recv().unwrap();
            racer.kill();
            assert!(racer.join().unwrap_err().is_killed());
            assert_eq!(drops.count(), 1);
        });
    });
}
