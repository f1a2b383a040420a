//! No wake is lost between actors, tasks and threads, and one for nothing resumes nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use smarm_compat::await_future;
use smarm_workspace::{PATIENCE, Signal, child, until, within};

use crate::bridge_support::{on_tokio, spawn_on, tokio_of, turns};

#[test]
fn wakes_from_foreign_threads_are_kept() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                const ROUNDS: usize = 2000;
                let (ping, pong) = (Signal::new(), Signal::new());
                let (their_ping, their_pong) = (ping.clone(), pong.clone());
                let other = thread::spawn(move || {
                    for round in 1..=ROUNDS {
                        their_ping.wait(round);
                        their_pong.raise();
                    }
                });
                for round in 1..=ROUNDS {
                    ping.raise();
                    await_future(pong.reached(round));
                }
                other.join().unwrap();
            });
        }
    });
}

/// An actor and a task take turns.
fn play(rounds: usize, actor: usize, task: usize) {
    let (ping, pong) = (Signal::new(), Signal::new());
    let (their_ping, their_pong) = (ping.clone(), pong.clone());
    let task = tokio_of(task).spawn(async move {
        for round in 1..=rounds {
            their_ping.reached(round).await;
            their_pong.raise();
        }
    });
    spawn_on(actor, move || {
        for round in 1..=rounds {
            ping.raise();
            await_future(pong.reached(round));
        }
    })
    .join()
    .unwrap();
    await_future(task).unwrap();
}

#[test]
fn no_wake_is_lost_between_workers_that_spin_and_that_do_not() {
    within(PATIENCE, || {
        for spin in [true, false] {
            smarm_compat::Builder::new().workers(2).spin(spin).run(|| {
                for pairs in [1, 8] {
                    let pairs: Vec<_> = (0..pairs)
                        .map(|_| {
                            let (ask, questions) = smarm::channel();
                            let (answer, answers) = smarm::channel();
                            let echo =
                                spawn_on(0, move || questions.iter().for_each(|n| answer.send(n).unwrap()));
                            let asker = spawn_on(1, move || {
                                for n in 0..500 {
                                    ask.send(n).unwrap();
                                    assert_eq!(answers.recv(), Ok(n));
                                }
                            });
                            [echo, asker]
                        })
                        .collect();
                    pairs.into_iter().flatten().for_each(|actor| actor.join().unwrap());
                }
                play(500, 0, 1);
                play(500, 1, 0);
            });
        }
    });
}

#[test]
fn an_actor_and_a_task_of_one_worker_take_turns_without_losing_a_wake() {
    within(PATIENCE, || {
        on_tokio(1).run(|| play(20_000, 0, 0));
    });
}

#[test]
fn an_actor_and_a_task_of_different_workers_take_turns_without_losing_a_wake() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            play(5_000, 0, 1);
            play(5_000, 1, 0);
        });
    });
}

#[test]
fn many_pairs_take_turns_without_losing_a_wake() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let pairs: Vec<_> = (0..16).map(|n| smarm::spawn(move || play(500, n % 2, n / 2 % 2))).collect();
            pairs.into_iter().for_each(|pair| pair.join().unwrap());
        });
    });
}

#[test]
fn actors_and_tasks_take_turns_on_a_single_cpu() {
    child::run_well(|| {
        stay_on_one_cpu();
        on_tokio(2).run(|| {
            play(2_000, 0, 0);
            play(2_000, 0, 1);
            play(2_000, 1, 0);
        });
    });
}

/// Ties the process to the CPU that it runs on. The threads that it starts later inherit that.
fn stay_on_one_cpu() {
    // SAFETY: an all-zero set is an empty one; the calls read it, within its size.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_wake_that_comes_during_the_poll_is_kept() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            for n in [2, 3, 10, 1000] {
                await_future(turns(n));
            }
            let both = smarm::spawn(|| await_future(turns(100)));
            await_future(async {
                turns(100).await;
                tokio::task::yield_now().await;
                both.await.unwrap();
            });
        });
    });
}

#[test]
fn a_wake_for_nothing_does_not_resume_the_actor() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let signal = Signal::new();
            let resumed = Arc::new(AtomicUsize::new(0));
            let (theirs, count) = (signal.clone(), resumed.clone());
            let actor = smarm::spawn_local(move || {
                await_future(theirs.reached(1));
                count.fetch_add(1, SeqCst);
            });
            for _ in 0..100 {
                until(|| signal.waiting() == 1);
                signal.rouse();
            }
            assert_eq!(resumed.load(SeqCst), 0);
            signal.raise();
            actor.join().unwrap();
            assert_eq!(resumed.load(SeqCst), 1);
        });
    });
}
