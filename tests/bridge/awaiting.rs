//! Waiting across the bridge: actors for what is tokio's, tasks for what is smarm's.

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use smarm::channel::{RecvError, bounded, oneshot};
use smarm_compat::{TimedOut, await_deadline, await_future, await_timeout};
use smarm_workspace::{Drops, PATIENCE, nobody_beside, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{self, Notify, mpsc};

use crate::bridge_support::{last_worker, on_tokio, spawn_on, tokio_of, turns};

const MOMENT: Duration = Duration::from_millis(2);
const FOR_EVER: Duration = Duration::from_secs(100_000);

#[test]
fn an_actor_awaits_tokios_timers() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let start = Instant::now();
                await_future(tokio::time::sleep(MOMENT));
                assert!(start.elapsed() >= MOMENT);

                let mut interval = tokio::time::interval(MOMENT);
                for _ in 0..3 {
                    await_future(interval.tick());
                }
                assert!(start.elapsed() >= 3 * MOMENT); // the first tick comes at once

                let late = await_future(tokio::time::timeout(MOMENT, std::future::pending::<()>()));
                assert!(late.is_err());
                let on_time = await_future(tokio::time::timeout(FOR_EVER, async { 1 }));
                assert_eq!(on_time, Ok(1));
            });
        }
    });
}

#[test]
fn many_actors_sleep_on_both_clocks() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let actors: Vec<_> = (0..200_u64)
                .map(|n| {
                    smarm::spawn(move || {
                        let (span, start) = (Duration::from_micros(n * 37), Instant::now());
                        match n % 2 {
                            0 => smarm::sleep(span),
                            _ => await_future(tokio::time::sleep(span)),
                        }
                        assert!(start.elapsed() >= span);
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn an_actor_awaits_a_oneshot_of_tokios() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (sender, receiver) = sync::oneshot::channel();
            tokio::spawn(async move { sender.send(7) });
            assert_eq!(await_future(receiver), Ok(7));

            let (sender, receiver) = sync::oneshot::channel::<()>();
            tokio::spawn(async move { drop(sender) });
            assert!(await_future(receiver).is_err());
        });
    });
}

#[test]
fn an_actor_sends_to_and_receives_from_a_task_through_tokios_channels() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                // Room for one: each side waits for the other all the time.
                let (to_task, mut inbox) = mpsc::channel::<u32>(1);
                let (reply, mut to_actor) = mpsc::channel::<u32>(1);
                tokio_of(last_worker()).spawn(async move {
                    while let Some(n) = inbox.recv().await {
                        reply.send(n + 1).await.unwrap();
                    }
                });
                for n in 0..1000 {
                    await_future(to_task.send(n)).unwrap();
                    assert_eq!(await_future(to_actor.recv()), Some(n + 1));
                }
                drop(to_task);
                assert_eq!(await_future(to_actor.recv()), None);
            });
        }
    });
}

#[test]
fn an_actor_awaits_a_notify() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let notify = Arc::new(Notify::new());
            let theirs = notify.clone();
            let waiting = smarm::spawn_local(move || await_future(theirs.notified()));
            smarm::yield_now();
            assert!(!waiting.is_finished());
            notify.notify_one();
            waiting.join().unwrap();
        });
    });
}

#[test]
fn an_actor_shares_tokios_locks_with_tasks() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            const ROUNDS: u64 = 500;
            let total = Arc::new(sync::Mutex::new(0_u64));
            let tasks: Vec<_> = (0..2)
                .map(|worker| {
                    let total = total.clone();
                    tokio_of(worker).spawn(async move {
                        for _ in 0..ROUNDS {
                            let mut guard = total.lock().await;
                            let seen = *guard;
                            tokio::task::yield_now().await;
                            *guard = seen + 1;
                        }
                    })
                })
                .collect();
            let actors: Vec<_> = (0..2)
                .map(|worker| {
                    let total = total.clone();
                    spawn_on(worker, move || {
                        for _ in 0..ROUNDS {
                            let mut guard = await_future(total.lock());
                            let seen = *guard;
                            smarm::yield_now();
                            *guard = seen + 1;
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            tasks.into_iter().for_each(|task| await_future(task).unwrap());
            assert_eq!(*await_future(total.lock()), 4 * ROUNDS);
        });
    });
}

#[test]
fn an_actor_awaits_a_task_and_learns_how_it_ended() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            assert_eq!(await_future(tokio::spawn(async { 5 })).unwrap(), 5);
            let panicked = await_future(tokio::spawn(async { panic!("in a task, on purpose") }));
            assert!(panicked.unwrap_err().is_panic());
            let aborted = tokio::spawn(std::future::pending::<()>());
            aborted.abort();
            assert!(await_future(aborted).unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn an_actor_uses_tokios_sockets() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
                let address = listener.local_addr().unwrap();
                let server = spawn_on(last_worker(), move || {
                    let (mut stream, _) = await_future(listener.accept()).unwrap();
                    let mut buf = [0; 1024];
                    loop {
                        match await_future(stream.read(&mut buf)).unwrap() {
                            0 => return,
                            count => await_future(stream.write_all(&buf[..count])).unwrap(),
                        }
                    }
                });
                let mut stream = await_future(TcpStream::connect(address)).unwrap();
                for n in 0..200_u32 {
                    await_future(stream.write_all(&n.to_le_bytes())).unwrap();
                    let mut back = [0; 4];
                    await_future(stream.read_exact(&mut back)).unwrap();
                    assert_eq!(u32::from_le_bytes(back), n);
                }
                let refused = await_future(TcpStream::connect(nobody_beside(address)));
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
                drop(stream);
                server.join().unwrap();
            });
        }
    });
}

#[test]
fn an_actor_selects_over_tokios_futures() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let mut interval = tokio::time::interval(MOMENT);
            let (mut messages, mut ticks) = (0, 0);
            let sending = tokio::spawn(async move {
                for n in 0..5 {
                    tokio::time::sleep(MOMENT).await;
                    sender.send(n).unwrap();
                }
            });
            await_future(async {
                loop {
                    tokio::select! {
                        message = receiver.recv() => match message {
                            Some(n) => {
                                assert_eq!(n, messages);
                                messages += 1;
                            }
                            None => break,
                        },
                        _ = interval.tick() => ticks += 1,
                    }
                }
            });
            assert_eq!(messages, 5);
            assert!(ticks > 0);
            await_future(sending).unwrap();
        });
    });
}

#[test]
fn an_actor_awaits_a_blocking_closure_while_its_neighbours_run() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (go, gate) = std::sync::mpsc::channel::<()>();
            let blocking = tokio::task::spawn_blocking(move || {
                gate.recv().unwrap();
                3
            });
            let waiting = smarm::spawn_local(|| await_future(blocking).unwrap());
            for _ in 0..100 {
                smarm::yield_now();
            }
            assert!(!waiting.is_finished());
            go.send(()).unwrap();
            assert_eq!(waiting.join().unwrap(), 3);
        });
    });
}

#[test]
fn a_future_that_is_late_is_dropped() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let drops = Drops::new();
            let held = drops.counted();
            let late = await_timeout(MOMENT, async move {
                let _held = held;
                tokio::time::sleep(FOR_EVER).await;
            });
            assert_eq!(late, Err(TimedOut));
            assert_eq!(drops.count(), 1);

            assert_eq!(await_deadline(Instant::now(), async { 1 }), Ok(1));
            assert_eq!(await_timeout(Duration::ZERO, std::future::pending::<()>()), Err(TimedOut));
            assert_eq!(await_timeout(Duration::MAX, async { 2 }), Ok(2));
        });
    });
}

#[test]
fn a_panic_of_a_future_continues_in_the_actor() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let child = smarm::spawn(|| {
                await_future(async {
                    tokio::time::sleep(MOMENT).await;
                    panic!("in a future, on purpose");
                });
            });
            assert!(child.join().unwrap_err().is_panic());
            await_future(tokio::time::sleep(MOMENT)); // the worker is well
        });
    });
}

#[test]
fn a_task_awaits_actors() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                for worker in 0..workers {
                    let actors: Vec<_> = (0..50)
                        .map(|n| {
                            spawn_on(worker, move || {
                                await_future(tokio::time::sleep(Duration::from_micros(n * 50)));
                                n
                            })
                        })
                        .collect();
                    let task = tokio::spawn(async move {
                        let mut sum = 0;
                        for actor in actors {
                            sum += actor.await.unwrap();
                        }
                        sum
                    });
                    assert_eq!(await_future(task).unwrap(), (0..50).sum::<u64>());
                }
            });
        }
    });
}

#[test]
fn a_task_exchanges_messages_with_actors_through_smarms_channels() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let (to_task, mut inbox) = bounded::<u32>(1);
                let (reply, to_actor) = bounded::<u32>(1);
                let task = tokio_of(last_worker()).spawn(async move {
                    while let Ok(n) = inbox.recv_async().await {
                        reply.send_async(n * 2).await.unwrap();
                    }
                });
                for n in 0..1000 {
                    to_task.send(n).unwrap();
                    assert_eq!(to_actor.recv(), Ok(n * 2));
                }
                drop(to_task);
                await_future(task).unwrap();
                assert_eq!(to_actor.recv(), Err(RecvError::Closed));

                let (sender, receiver) = oneshot::channel();
                let task = tokio_of(last_worker()).spawn(receiver);
                sender.send("hello").unwrap();
                assert_eq!(await_future(task).unwrap(), Ok("hello"));
            });
        }
    });
}

#[test]
fn actors_and_tasks_share_smarms_mutex() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            const ROUNDS: u64 = 500;
            let total = Arc::new(smarm::Mutex::new(0_u64));
            let tasks: Vec<_> = (0..2)
                .map(|worker| {
                    let total = total.clone();
                    tokio_of(worker).spawn(async move {
                        for _ in 0..ROUNDS {
                            *total.lock_async().await.unwrap() += 1;
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            let actors: Vec<_> = (0..2)
                .map(|worker| {
                    let total = total.clone();
                    spawn_on(worker, move || {
                        for _ in 0..ROUNDS {
                            let mut guard = total.lock(FOR_EVER).unwrap();
                            let seen = *guard;
                            smarm::yield_now(); // the others wait meanwhile
                            *guard = seen + 1;
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            tasks.into_iter().for_each(|task| await_future(task).unwrap());
            assert_eq!(*total.lock(FOR_EVER).unwrap(), 4 * ROUNDS);
        });
    });
}

#[test]
fn a_select_in_a_task_that_drops_a_receive_loses_no_message() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            const MESSAGES: u32 = 2000;
            let (sender, mut receiver) = bounded::<u32>(2);
            let task = tokio::spawn(async move {
                let mut next = 0;
                while next < MESSAGES {
                    tokio::select! {
                        message = receiver.recv_async() => {
                            assert_eq!(message, Ok(next));
                            next += 1;
                        }
                        () = turns(2) => {}
                    }
                }
            });
            spawn_on(1, move || (0..MESSAGES).for_each(|n| sender.send(n).unwrap())).join().unwrap();
            await_future(task).unwrap();
        });
    });
}

#[test]
fn the_tokio_context_is_there_for_the_whole_life_of_an_actor() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let actors: Vec<_> = (0..20)
                    .map(|_| {
                        smarm::spawn(|| {
                            let home = Handle::current().id();
                            // Made, used for a moment and dropped in an actor, outside any poll.
                            let mut sleep = Box::pin(tokio::time::sleep(FOR_EVER));
                            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                            listener.set_nonblocking(true).unwrap();
                            let listener = TcpListener::from_std(listener).unwrap();
                            assert_eq!(await_timeout(Duration::ZERO, sleep.as_mut()), Err(TimedOut));
                            smarm::yield_now();
                            assert_eq!(Handle::current().id(), home);
                            drop((sleep, listener));
                            await_future(tokio::time::sleep(MOMENT));
                            assert_eq!(Handle::current().id(), home);
                        })
                    })
                    .collect();
                actors.into_iter().for_each(|actor| actor.join().unwrap());
            });
        }
    });
}

#[test]
fn a_task_of_an_actor_runs_on_the_thread_of_its_worker() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let mut threads = Vec::new();
            for worker in 0..2 {
                let (actor, task) = spawn_on(worker, || {
                    let task = tokio::spawn(async { thread::current().id() });
                    (thread::current().id(), await_future(task).unwrap())
                })
                .join()
                .unwrap();
                assert_eq!(actor, task);
                threads.push(actor);
            }
            assert_ne!(threads[0], threads[1]);
        });
    });
}

#[test]
fn a_task_spawns_actors() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let task = tokio::spawn(async {
                    let mut sum = 0;
                    for n in 0..100 {
                        sum += smarm::spawn(move || n).await.unwrap();
                    }
                    let here = thread::current().id();
                    let shared = Rc::new(Cell::new(0));
                    let theirs = shared.clone();
                    let local = smarm::spawn_local(move || {
                        smarm::yield_now();
                        theirs.set(1);
                        thread::current().id()
                    });
                    (sum, local, here)
                });
                let (sum, local, here) = await_future(task).unwrap();
                assert_eq!(sum, (0..100).sum::<i32>());
                assert_eq!(local.join().unwrap(), here);
            });
        }
    });
}
