//! Beside a service, an actor over tokio resources that are always ready starves nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use smarm_compat::await_future;
use smarm_workspace::{PATIENCE, within};
use tokio::sync::mpsc;

use crate::bridge_support::modes::{attached, service};
use crate::fairness::assert_few_polls_in_vain;

const TICK: Duration = Duration::from_millis(1);
const TICKS: usize = 20;

/// Something that the others must let run: it raises its flag when it has.
type Flag = Arc<AtomicBool>;

/// On the caller's worker: an actor that sleeps and yields, one that waits for tasks, one with a socket,
/// and a local task. In the service: a task with a clock.
fn all_beside() -> Arc<Vec<Flag>> {
    use std::io::{Read, Write};
    let flags: Vec<Flag> = (0..5).map(|_| Flag::default()).collect();
    let raise = |at: usize| {
        let flag = flags[at].clone();
        move || flag.store(true, SeqCst)
    };
    let done = raise(0);
    drop(smarm::spawn(move || {
        for _ in 0..TICKS {
            smarm::sleep(TICK);
            smarm::yield_now();
        }
        done();
    }));
    let done = raise(1);
    drop(smarm::spawn(move || {
        for _ in 0..TICKS {
            await_future(tokio::time::sleep(TICK));
            await_future(tokio::spawn(tokio::task::yield_now())).unwrap();
        }
        done();
    }));
    let done = raise(2);
    drop(smarm::spawn(move || {
        let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = smarm::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let echo = smarm::spawn(move || {
            for _ in 0..TICKS {
                far.read_exact(&mut [0]).unwrap();
                far.write_all(b"x").unwrap();
            }
        });
        for _ in 0..TICKS {
            near.write_all(b"x").unwrap();
            near.read_exact(&mut [0]).unwrap();
        }
        echo.join().unwrap();
        done();
    }));
    let done = raise(3);
    drop(tokio::task::spawn_local(async move {
        for _ in 0..TICKS {
            tokio::time::sleep(TICK).await;
            tokio::task::yield_now().await;
        }
        done();
    }));
    let done = raise(4);
    drop(tokio::spawn(async move {
        let mut interval = tokio::time::interval(TICK);
        for _ in 0..TICKS {
            interval.tick().await;
        }
        done();
    }));
    Arc::new(flags)
}

fn raised(flags: &[Flag]) -> bool {
    flags.iter().all(|flag| flag.load(SeqCst))
}

#[test]
fn a_future_over_a_channel_that_is_never_empty_lets_others_run() {
    within(PATIENCE, || {
        let service = service();
        attached(&service, 1).run(|| {
            let flags = all_beside();
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
        let service = service();
        attached(&service, 1).run(|| {
            let flags = all_beside();
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
fn actors_that_can_always_run_let_others_run() {
    within(PATIENCE, || {
        let service = service();
        attached(&service, 1).run(|| {
            let flags = all_beside();
            let busy: Vec<_> = (0..200)
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
fn local_tasks_that_can_always_run_let_others_run() {
    within(PATIENCE, || {
        let service = service();
        attached(&service, 1).run(|| {
            let flags = all_beside();
            let busy: Vec<_> = (0..100)
                .map(|_| {
                    let flags = flags.clone();
                    tokio::task::spawn_local(async move {
                        while !raised(&flags) {
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            busy.into_iter().for_each(|task| await_future(task).unwrap());
        });
    });
}

#[test]
fn actors_are_not_polled_in_vain_once_the_budget_is_spent() {
    within(PATIENCE, || {
        let service = service();
        attached(&service, 1).run(assert_few_polls_in_vain);
    });
}
