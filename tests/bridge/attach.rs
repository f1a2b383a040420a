//! smarm attached to a multi-thread service: both worlds reach each other, with the service's epoll.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use smarm::InitError;
use smarm::channel::{bounded, channel};
use smarm_compat::{Builder, await_future, await_timeout};
use smarm_workspace::{PATIENCE, Signal, child, panic_message, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::bridge_support::epolls::epolls;
use crate::bridge_support::modes::{attached, service};
use crate::bridge_support::{spawn_on, turns};

const FOR_EVER: Duration = Duration::from_secs(100_000);
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn actors_wait_for_tasks_timers_and_sockets_of_the_service() {
    within(PATIENCE, || {
        let service = service();
        let actors = attached(&service, 2);
        actors.run(|| {
            assert_eq!(await_future(tokio::spawn(async { 42 })).unwrap(), 42);
            await_future(tokio::time::sleep(MOMENT));
            assert!(await_timeout(MOMENT, tokio::time::sleep(FOR_EVER)).is_err());
            assert_eq!(await_future(tokio::task::spawn_blocking(|| 43)).unwrap(), 43);

            let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            let near = await_future(TcpStream::connect(address)).unwrap();
            let (far, _) = await_future(listener.accept()).unwrap();
            await_future(near.writable()).unwrap();
            assert_eq!(near.try_write(b"x").unwrap(), 1);
            await_future(far.readable()).unwrap();
            assert_eq!(far.try_read(&mut [0; 8]).unwrap(), 1);
        });
    });
}

#[test]
fn tasks_of_the_service_spawn_actors_and_speak_with_them() {
    within(PATIENCE, || {
        let service = service();
        let actors = attached(&service, 2);
        let handle = actors.handle();
        let answers = service.block_on(async move {
            let task = tokio::spawn(async move {
                let (give, take) = bounded::<u32>(1);
                let (back, mut replies) = channel();
                let actor =
                    handle.spawn(move || take.iter().for_each(|n| back.send(n + 1).unwrap())).unwrap();
                let mut sum = 0;
                for n in 0..100 {
                    give.send_async(n).await.unwrap();
                    sum += replies.recv_async().await.unwrap();
                }
                drop(give);
                actor.await.unwrap();
                sum
            });
            task.await.unwrap()
        });
        assert_eq!(answers, 5050);
    });
}

#[test]
fn attaching_takes_one_line_in_an_async_main() {
    within(PATIENCE, || {
        service().block_on(async {
            let actors = smarm_compat::attach(&Handle::current()).unwrap();
            assert_eq!(actors.spawn(|| 6 * 7).unwrap().await.unwrap(), 42);
        });
    });
}

#[test]
fn an_actor_is_in_the_context_of_the_service_and_on_one_thread_for_life() {
    within(PATIENCE, || {
        let service = service();
        let actors = attached(&service, 2);
        let id = service.handle().id();
        actors.run(move || {
            let many: Vec<_> = (0..50)
                .map(|_| {
                    smarm::spawn(move || {
                        let (home, own) = (thread::current().id(), Rc::new(RefCell::new(0)));
                        for _ in 0..20 {
                            assert_eq!(Handle::current().id(), id);
                            let theirs = own.clone();
                            // Neither is `Send`.
                            await_future(async move {
                                tokio::task::yield_now().await;
                                tokio::spawn(tokio::task::yield_now()).await.unwrap();
                                *theirs.borrow_mut() += 1;
                            });
                            smarm::yield_now();
                            assert_eq!(thread::current().id(), home);
                        }
                        assert_eq!(*own.borrow(), 20);
                    })
                })
                .collect();
            many.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn no_wake_is_lost_between_threads_with_spinning_and_without() {
    within(PATIENCE, || {
        let service = service();
        for (spin, workers) in [(true, 1), (true, 2), (false, 1), (false, 2)] {
            let actors = Builder::new().workers(workers).spin(spin).attach(service.handle()).unwrap();
            actors.run(|| {
                for pairs in [1, 8] {
                    let pairs: Vec<_> = (0..pairs)
                        .map(|_| {
                            smarm::spawn(|| {
                                let (give, mut take) = tokio::sync::mpsc::channel(1);
                                let (back, replies) = bounded(1);
                                tokio::spawn(async move {
                                    while let Some(n) = take.recv().await {
                                        back.send_async(n).await.unwrap();
                                    }
                                });
                                for n in 0..300 {
                                    await_future(give.send(n)).unwrap();
                                    assert_eq!(replies.recv(), Ok(n));
                                }
                            })
                        })
                        .collect();
                    pairs.into_iter().for_each(|pair| pair.join().unwrap());
                }
            });
        }
    });
}

#[test]
fn smarms_timers_need_no_timers_of_tokio() {
    within(PATIENCE, || {
        let service = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        attached(&service, 1).run(|| {
            let start = Instant::now();
            smarm::sleep(MOMENT);
            assert!(start.elapsed() >= MOMENT);
            assert!(await_timeout(MOMENT, std::future::pending::<()>()).is_err());
        });
    });
}

#[test]
fn without_tokios_epoll_only_the_actor_that_wants_a_socket_fails() {
    within(PATIENCE, || {
        let service = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        attached(&service, 1).run(|| {
            let message =
                panic_message(|| drop(smarm::net::TcpListener::bind("127.0.0.1:0").unwrap().accept()));
            assert!(message.contains("enable_io"), "{message}");
            smarm::sleep(MOMENT);
            assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
        });
    });
}

#[test]
fn a_current_thread_runtime_is_refused_and_told_what_to_use() {
    let service = crate::bridge_support::modes::current_thread();
    let error = smarm_compat::attach(service.handle()).unwrap_err();
    assert!(matches!(error, InitError::Host(_)));
    let told = error.to_string();
    assert!(told.contains("current_thread") && told.contains("Builder::local"), "{told}");
}

#[test]
fn calls_that_would_block_the_worker_are_refused() {
    within(PATIENCE, || {
        let service = service();
        attached(&service, 1).run(|| {
            for _ in 0..2 {
                let told = panic_message(|| tokio::task::block_in_place(|| smarm::sleep(MOMENT)));
                assert!(told.contains("can call blocking only"), "{told}");
                let told = panic_message(|| Handle::current().block_on(async {}));
                assert!(told.contains("from within a runtime"), "{told}");
                let told = panic_message(|| tokio::sync::mpsc::channel::<()>(1).1.blocking_recv());
                assert!(told.contains("from within a runtime"), "{told}");
                let told = await_future(async { panic_message(|| smarm::sleep(MOMENT)) });
                assert!(told.contains("async form"), "{told}");
                await_future(tokio::time::sleep(MOMENT));
            }
        });
    });
}

#[test]
fn a_local_task_of_an_actor_runs_on_the_thread_of_its_worker() {
    within(PATIENCE, || {
        let service = service();
        attached(&service, 2).run(|| {
            for worker in 0..2 {
                spawn_on(worker, || {
                    let (home, own) = (thread::current().id(), Rc::new(()));
                    let theirs = own.clone();
                    let task = tokio::task::spawn_local(async move {
                        for _ in 0..200 {
                            turns(2).await;
                            tokio::task::yield_now().await;
                        }
                        tokio::time::sleep(MOMENT).await;
                        drop(theirs);
                        thread::current().id()
                    });
                    assert_eq!(await_future(task).unwrap(), home);
                    assert_eq!(Rc::strong_count(&own), 1);
                })
                .join()
                .unwrap();
            }
        });
    });
}

#[test]
fn attaching_adds_no_epoll() {
    use tokio::io::AsyncReadExt;
    child::run_well(|| {
        assert_eq!(epolls().len(), 0);
        let service = service();
        let before = epolls();
        assert_eq!(before.len(), 1, "{before:?}");
        let actors = attached(&service, 2);
        actors.run(|| {
            let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let waiting = Signal::new();
            for worker in 0..2 {
                // Detached: they wait until the runtime goes.
                drop(spawn_on(worker, move || {
                    drop(smarm::net::TcpStream::connect(address).unwrap().read(&mut [0; 1]));
                }));
                drop(spawn_on(worker, move || {
                    let mut stream = await_future(TcpStream::connect(address)).unwrap();
                    drop(await_future(stream.read(&mut [0; 1])));
                }));
                let raise = waiting.clone();
                drop(spawn_on(worker, move || {
                    raise.raise();
                    smarm::sleep(FOR_EVER);
                }));
            }
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                drop(stream.read(&mut [0; 1]).await);
            });
            let peers: Vec<_> = (0..5).map(|_| listener.accept().unwrap()).collect();
            waiting.wait(2);
            (0..2).for_each(|worker| drop(spawn_on(worker, smarm::yield_now).join()));
            let now = epolls();
            assert_eq!(now.len(), 1, "{now:?}");
            assert_eq!(now.keys().next(), before.keys().next());
            drop(peers);
        });
    });
}

#[test]
fn sockets_of_both_worlds_serve_each_other() {
    within(PATIENCE, || {
        let service = service();
        let actors = attached(&service, 2);
        actors.run(|| {
            let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = smarm::spawn(move || {
                let served: Vec<_> = (0..20)
                    .map(|_| {
                        let (mut stream, _) = listener.accept().unwrap();
                        smarm::spawn(move || {
                            let mut buf = [0; 64];
                            while let Ok(count @ 1..) = stream.read(&mut buf) {
                                stream.write_all(&buf[..count]).unwrap();
                            }
                        })
                    })
                    .collect();
                served.into_iter().for_each(|one| one.join().unwrap());
            });
            let clients: Vec<_> = (0..20)
                .map(|_| {
                    tokio::spawn(async move {
                        use tokio::io::{AsyncReadExt, AsyncWriteExt};
                        let mut stream = TcpStream::connect(address).await.unwrap();
                        for _ in 0..20 {
                            stream.write_all(b"hello").await.unwrap();
                            stream.read_exact(&mut [0; 5]).await.unwrap();
                        }
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| await_future(client).unwrap());
            server.join().unwrap();
        });
    });
}
