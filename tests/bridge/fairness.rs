//! Actors and tasks of one worker do not starve each other.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use smarm_compat::await_future;
use smarm_workspace::{PATIENCE, within};
use tokio::sync::{Semaphore, mpsc};

use crate::bridge_support::{on_tokio, on_tokio_with_short_slices, spawn_on, tokio_of};

const TICK: Duration = Duration::from_millis(1);
const TICKS: usize = 20;

/// Something that the others on a worker must let run: it raises its flag when it has.
type Flag = Arc<AtomicBool>;

/// A task that raises the flag after so many ticks of tokio's clock.
fn tick_beside(worker: usize) -> Flag {
    let flag = Flag::default();
    let theirs = flag.clone();
    tokio_of(worker).spawn(async move {
        let mut interval = tokio::time::interval(TICK);
        for _ in 0..TICKS {
            interval.tick().await;
        }
        theirs.store(true, SeqCst);
    });
    flag
}

/// A task that raises the flag when tokio has polled it so often.
fn poll_beside(worker: usize) -> Flag {
    let flag = Flag::default();
    let theirs = flag.clone();
    tokio_of(worker).spawn(async move {
        for _ in 0..TICKS {
            tokio::task::yield_now().await;
        }
        theirs.store(true, SeqCst);
    });
    flag
}

/// A task and its peer that raise the flag when tokio's epoll has told of so many packets.
fn listen_beside(worker: usize) -> Flag {
    let flag = Flag::default();
    let theirs = flag.clone();
    tokio_of(worker).spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut near, mut far) = tokio::net::UnixStream::pair().unwrap();
        let echo = tokio::spawn(async move {
            let mut byte = [0];
            while far.read(&mut byte).await.unwrap() > 0 {
                far.write_all(&byte).await.unwrap();
            }
        });
        for _ in 0..TICKS {
            near.write_all(b"x").await.unwrap();
            assert_eq!(near.read_u8().await.unwrap(), b'x');
        }
        drop(near);
        echo.await.unwrap();
        theirs.store(true, SeqCst);
    });
    flag
}

/// An actor that raises the flag when it has slept and yielded so often.
fn act_beside(worker: usize) -> Flag {
    let flag = Flag::default();
    let theirs = flag.clone();
    // Detached: whoever sees the flag knows that it has ended.
    drop(spawn_on(worker, move || {
        for _ in 0..TICKS {
            smarm::sleep(TICK);
            smarm::yield_now();
            await_future(tokio::time::sleep(TICK));
        }
        theirs.store(true, SeqCst);
    }));
    flag
}

fn all_beside(worker: usize) -> Vec<Flag> {
    vec![tick_beside(worker), poll_beside(worker), listen_beside(worker), act_beside(worker)]
}

fn raised(flags: &[Flag]) -> bool {
    flags.iter().all(|flag| flag.load(SeqCst))
}

#[test]
fn an_actor_that_yields_for_ever_starves_nobody() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(move || {
                for worker in 0..workers {
                    let flags = all_beside(worker);
                    spawn_on(worker, move || {
                        while !raised(&flags) {
                            smarm::yield_now();
                        }
                    })
                    .join()
                    .unwrap();
                }
            });
        }
    });
}

#[test]
fn actors_of_two_workers_that_talk_for_ever_starve_nobody() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let flags: Vec<_> = (0..2).flat_map(all_beside).collect();
            let (ask, questions) = smarm::channel();
            let (answer, answers) = smarm::channel();
            let echo = spawn_on(0, move || questions.iter().for_each(|n| answer.send(n).unwrap()));
            let asker = spawn_on(1, move || {
                while !raised(&flags) {
                    ask.send(1).unwrap();
                    assert_eq!(answers.recv(), Ok(1));
                }
            });
            asker.join().unwrap();
            echo.join().unwrap();
        });
    });
}

#[test]
fn many_actors_that_can_always_run_starve_nobody() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let flags = Arc::new(all_beside(0));
            let busy: Vec<_> = (0..2000)
                .map(|_| {
                    let flags = flags.clone();
                    smarm::spawn(move || {
                        while !raised(&flags) {
                            smarm::yield_now();
                        }
                    })
                })
                .collect();
            busy.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn actors_that_wake_each_other_for_ever_starve_nobody() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let flags = Arc::new(all_beside(0));
            let (to_other, inbox) = smarm::channel();
            let (back, from_other) = smarm::channel();
            let other = smarm::spawn(move || {
                for message in inbox.iter() {
                    back.send(message).unwrap();
                }
            });
            let mut n = 0;
            while !raised(&flags) {
                to_other.send(n).unwrap();
                assert_eq!(from_other.recv(), Ok(n));
                n += 1;
            }
            drop(to_other);
            other.join().unwrap();
        });
    });
}

#[test]
fn actors_that_spawn_for_ever_starve_nobody() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let flags = Arc::new(all_beside(0));
            while !raised(&flags) {
                smarm::spawn(|| smarm::spawn(|| 1).join().unwrap()).join().unwrap();
            }
        });
    });
}

#[test]
fn an_actor_that_computes_with_checks_starves_nobody() {
    within(PATIENCE, || {
        on_tokio_with_short_slices().run(|| {
            let flags = all_beside(0);
            while !raised(&flags) {
                smarm::check!();
            }
        });
    });
}

#[test]
fn several_actors_that_compute_with_checks_starve_nobody() {
    within(PATIENCE, || {
        on_tokio_with_short_slices().run(|| {
            let flags = Arc::new(vec![tick_beside(0), poll_beside(0), act_beside(0)]);
            let busy: Vec<_> = (0..3)
                .map(|_| {
                    let flags = flags.clone();
                    smarm::spawn(move || {
                        while !raised(&flags) {
                            smarm::check!();
                        }
                    })
                })
                .collect();
            busy.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn tasks_that_can_always_run_starve_no_actor() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let flags = Arc::new(all_beside(0));
            let tasks: Vec<_> = (0..100)
                .map(|n| {
                    let flags = flags.clone();
                    tokio::spawn(async move {
                        while !raised(&flags) {
                            match n % 2 {
                                0 => crate::bridge_support::turns(2).await, // wakes itself
                                _ => tokio::task::yield_now().await,
                            }
                        }
                    })
                })
                .collect();
            tasks.into_iter().for_each(|task| await_future(task).unwrap());
        });
    });
}

#[test]
fn a_future_over_a_channel_that_is_never_empty_lets_others_run() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let flags = all_beside(0);
            let (sender, mut receiver) = mpsc::unbounded_channel();
            sender.send(()).unwrap();
            // Never pending, but for tokio's budget.
            await_future(async {
                while !raised(&flags) {
                    receiver.recv().await.unwrap();
                    sender.send(()).unwrap();
                }
            });
        });
    });
}

#[test]
fn waits_for_a_channel_that_is_never_empty_let_others_run() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let flags = Arc::new(all_beside(0));
            let busy: Vec<_> = (0..3)
                .map(|_| {
                    let flags = flags.clone();
                    smarm::spawn(move || {
                        let (sender, mut receiver) = mpsc::unbounded_channel();
                        sender.send(()).unwrap();
                        while !raised(&flags) {
                            await_future(receiver.recv()).unwrap();
                            sender.send(()).unwrap();
                        }
                    })
                })
                .collect();
            busy.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn a_socket_that_can_always_be_read_lets_others_run() {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    within(PATIENCE, || {
        on_tokio_with_short_slices().run(|| {
            let flags = all_beside(0);
            let (near, far) = UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let far = smarm::net::TcpStream::from(OwnedFd::from(far));
            let mut buf = [0; 16];
            while !raised(&flags) {
                // More than is read, until the kernel has no room.
                let _ = std::io::Write::write(&mut &near, &[0; 32]);
                assert!((&far).read(&mut buf).unwrap() > 0);
            }
        });
    });
}

#[test]
fn every_actor_gets_through_more_of_tokios_resources_than_one_budget() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let semaphore = Arc::new(Semaphore::new(1000));
            let done = Arc::new(AtomicUsize::new(0));
            let actors: Vec<_> = (0..50)
                .map(|_| {
                    let (semaphore, done) = (semaphore.clone(), done.clone());
                    smarm::spawn(move || {
                        for _ in 0..300 {
                            drop(await_future(semaphore.acquire()).unwrap());
                        }
                        await_future(async {
                            for _ in 0..300 {
                                drop(semaphore.acquire().await.unwrap());
                            }
                        });
                        done.fetch_add(1, SeqCst);
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(done.load(SeqCst), 50);
        });
    });
}

/// Actors on one worker that together use up tokio's budget again and again: few polls are of no use.
pub(crate) fn assert_few_polls_in_vain() {
    const ACTORS: usize = 300;
    const EACH: usize = 100;
    let semaphore = Arc::new(Semaphore::new(ACTORS));
    let polls = Arc::new(AtomicUsize::new(0));
    let actors: Vec<_> = (0..ACTORS)
        .map(|_| {
            let (semaphore, polls) = (semaphore.clone(), polls.clone());
            smarm::spawn(move || {
                for _ in 0..EACH {
                    let mut acquire = pin!(semaphore.acquire());
                    drop(await_future(poll_fn(|cx| {
                        polls.fetch_add(1, SeqCst);
                        acquire.as_mut().poll(cx)
                    })));
                }
            })
        })
        .collect();
    actors.into_iter().for_each(|actor| actor.join().unwrap());
    // One poll in 128 finds the budget spent, and ends the turn.
    let (polls, useful) = (polls.load(SeqCst), ACTORS * EACH);
    assert!(polls < useful + useful / 64, "{polls} polls, of which {useful} were of use");
}

#[test]
fn actors_are_not_polled_in_vain_once_tokios_budget_is_spent() {
    within(PATIENCE, || on_tokio(1).run(assert_few_polls_in_vain));
}
