//! A worker as a local future of a single-threaded service, and the ends of both in either order.

use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use smarm::{JoinHandle, Runtime};
use smarm_compat::{LocalWorker, await_future};
use smarm_workspace::{PATIENCE, Signal, child, panic_message, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::bridge_support::epolls::epolls;
use crate::bridge_support::modes::{current_thread, local};
use crate::bridge_support::with_a_careful_drop;

const FOR_EVER: Duration = Duration::from_secs(100_000);
const MOMENT: Duration = Duration::from_millis(1);

/// Runs `f` on a `LocalSet`, beside the worker of a runtime that it is given.
fn serve<F: Future<Output = ()>>(f: impl FnOnce(Runtime, tokio::task::JoinHandle<()>) -> F) {
    within(PATIENCE, || {
        let (actors, worker) = local();
        LocalSet::new().block_on(&current_thread(), async { f(actors, spawn_local(worker)).await });
    });
}

#[test]
fn actors_and_tasks_of_a_local_set_serve_each_other() {
    serve(|actors, _worker| async move {
        let home = thread::current().id();
        let answer = actors.spawn(move || {
            assert_eq!(thread::current().id(), home);
            await_future(tokio::time::sleep(MOMENT));
            smarm::sleep(MOMENT);
            let own = Rc::new(41);
            await_future(spawn_local(async move { *own + 1 })).unwrap()
        });
        assert_eq!(answer.unwrap().await.unwrap(), 42);
        // Spawned by a task: it is on the thread of a worker.
        assert_eq!(smarm::spawn(|| 43).await.unwrap(), 43);
    });
}

#[test]
fn a_current_thread_runtime_may_block_on_the_worker_itself() {
    within(PATIENCE, || {
        let (actors, worker) = local();
        let handle = actors.handle();
        let main = actors.spawn(move || {
            await_future(tokio::time::sleep(MOMENT));
            smarm::sleep(MOMENT);
            let answer = await_future(tokio::spawn(async { 42 })).unwrap();
            handle.stop();
            answer
        });
        current_thread().block_on(worker);
        assert_eq!(main.unwrap().join().unwrap(), 42);
    });
}

#[test]
fn sockets_of_both_worlds_wait_in_the_epoll_of_the_service() {
    child::run_well(|| {
        use std::io::Read;
        use tokio::io::AsyncReadExt;
        let (tokio, (actors, worker)) = (current_thread(), local());
        let before = epolls();
        assert_eq!(before.len(), 1, "{before:?}");
        LocalSet::new().block_on(&tokio, async {
            drop(spawn_local(worker));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let smarms =
                actors.spawn(move || smarm::net::TcpStream::connect(address).unwrap().read(&mut [0; 1]));
            let tokios = actors.spawn(move || {
                let mut stream = await_future(TcpStream::connect(address)).unwrap();
                await_future(stream.read(&mut [0; 1]))
            });
            let task = spawn_local(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.read(&mut [0; 1]).await
            });
            let mut peers = Vec::new();
            for _ in 0..3 {
                peers.push(listener.accept().await.unwrap());
            }
            actors.spawn(smarm::yield_now).unwrap().await.unwrap();
            let now = epolls();
            assert_eq!(now.len(), 1, "{now:?}");
            assert_eq!(now.keys().next(), before.keys().next());
            drop(peers);
            assert_eq!(smarms.unwrap().await.unwrap().unwrap(), 0);
            assert_eq!(tokios.unwrap().await.unwrap().unwrap(), 0);
            assert_eq!(task.await.unwrap().unwrap(), 0);
        });
    });
}

#[test]
fn a_future_over_resources_that_are_always_ready_starves_neither_actors_nor_tasks() {
    serve(|actors, _worker| async move {
        let passed = Arc::new(AtomicUsize::new(0));
        let pass = |passed: &Arc<AtomicUsize>| {
            let passed = passed.clone();
            move || passed.fetch_add(1, SeqCst)
        };
        let done = pass(&passed);
        drop(actors.spawn(move || {
            for _ in 0..20 {
                smarm::sleep(MOMENT);
                smarm::yield_now();
                await_future(tokio::time::sleep(MOMENT));
            }
            done();
        }));
        let done = pass(&passed);
        drop(spawn_local(async move {
            let mut interval = tokio::time::interval(MOMENT);
            for _ in 0..20 {
                interval.tick().await;
                tokio::task::yield_now().await;
            }
            done();
        }));
        let busy: Vec<_> = (0..3)
            .map(|_| {
                let passed = passed.clone();
                let busy = actors.spawn(move || {
                    let (sender, mut receiver) = mpsc::unbounded_channel();
                    sender.send(()).unwrap();
                    await_future(async {
                        while passed.load(SeqCst) < 2 {
                            receiver.recv().await.unwrap();
                            sender.send(()).unwrap();
                        }
                    });
                });
                busy.unwrap()
            })
            .collect();
        for busy in busy {
            busy.await.unwrap();
        }
    });
}

#[test]
fn being_polled_on_a_second_thread_is_an_error_that_says_so() {
    within(PATIENCE, || {
        let tokio = current_thread();
        let (actors, worker) = local();
        let mut worker = Box::pin(worker);
        tokio.block_on(async {
            assert!(worker.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        let worker = thread::spawn(move || {
            let told = panic_message(|| current_thread().block_on(worker.as_mut()));
            assert!(told.contains("another thread") && told.contains("LocalSet"), "{told}");
            worker
        })
        .join()
        .unwrap();
        drop(worker); // here, where it belongs
        drop(actors);
    });
}

#[test]
fn being_polled_outside_tokio_is_an_error_that_says_so() {
    let (_actors, worker) = local();
    let told = panic_message(|| pin!(worker).poll(&mut Context::from_waker(Waker::noop())));
    assert!(told.contains("outside tokio") && told.contains("LocalSet"), "{told}");
}

#[test]
fn a_worker_may_move_to_another_thread_before_its_first_poll() {
    within(PATIENCE, || {
        let (actors, worker) = local();
        let service = thread::spawn(move || current_thread().block_on(worker));
        assert_eq!(actors.run(|| await_future(tokio::spawn(async { 42 })).unwrap()), 42);
        drop(actors);
        service.join().unwrap();
    });
}

/// An actor that waits for ever for what is tokio's. Its waits are dropped in tokio's context.
fn park(actors: &Runtime, parked: &Signal, seen: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (parked, seen) = (parked.clone(), seen.clone());
    let parking = actors.spawn(move || {
        let _local = with_a_careful_drop(&seen, pending::<()>());
        await_future(with_a_careful_drop(&seen, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            parked.raise();
            tokio::select! {
                _ = listener.accept() => {}
                () = tokio::time::sleep(FOR_EVER) => {}
            }
        }));
    });
    parking.unwrap()
}

#[test]
fn smarm_may_go_first_and_the_worker_is_ready_once_its_actors_have_ended() {
    serve(|actors, worker| async move {
        let (parked, seen) = (Signal::new(), Arc::new(AtomicUsize::new(0)));
        let actor = park(&actors, &parked, &seen);
        parked.reached(1).await;
        drop(actors);
        worker.await.unwrap();
        assert_eq!(seen.load(SeqCst), 2);
        assert!(actor.await.unwrap_err().is_killed());
        tokio::time::sleep(MOMENT).await; // the service goes on
    });
}

/// A service with a parked actor: the parts that can go, in any order.
fn parked_service() -> (Runtime, LocalSet, tokio::runtime::Runtime, JoinHandle<()>, Arc<AtomicUsize>) {
    let (tokio, set, (actors, worker)) = (current_thread(), LocalSet::new(), local());
    let (parked, seen) = (Signal::new(), Arc::new(AtomicUsize::new(0)));
    let actor = park(&actors, &parked, &seen);
    set.spawn_local(worker);
    set.block_on(&tokio, parked.reached(1));
    (actors, set, tokio, actor, seen)
}

#[test]
fn a_local_set_that_goes_first_takes_the_actors_with_it_in_tokios_context() {
    within(PATIENCE, || {
        let (actors, set, tokio, actor, seen) = parked_service();
        drop(set);
        assert_eq!(seen.load(SeqCst), 2);
        assert!(actor.join().unwrap_err().is_killed());
        drop((actors, tokio));
    });
}

#[test]
fn a_tokio_runtime_that_goes_first_leaves_the_actors_to_the_local_set() {
    within(PATIENCE, || {
        let (tokio, set, (actors, worker)) = (current_thread(), LocalSet::new(), local());
        let parked = Signal::new();
        let raise = parked.clone();
        let actor = actors.spawn(move || {
            await_future(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                raise.raise();
                drop(listener.accept().await);
                pending::<()>().await;
            });
        });
        set.spawn_local(worker);
        set.block_on(&tokio, parked.reached(1));
        drop(tokio);
        drop(set);
        assert!(actor.unwrap().join().unwrap_err().is_killed());
        drop(actors);
    });
}

#[test]
fn a_runtime_that_goes_with_its_tasks_takes_the_actors_with_it() {
    within(PATIENCE, || {
        let (tokio, (actors, worker)) = (current_thread(), local());
        let (parked, seen) = (Signal::new(), Arc::new(AtomicUsize::new(0)));
        let actor = park(&actors, &parked, &seen);
        tokio.spawn(worker); // as a task of the runtime itself, which has one thread
        tokio.block_on(parked.reached(1));
        drop(tokio);
        assert_eq!(seen.load(SeqCst), 2);
        assert!(actor.join().unwrap_err().is_killed());
    });
}

#[test]
fn a_worker_that_was_never_polled_ends_what_was_spawned() {
    within(PATIENCE, || {
        let (actors, worker) = local();
        let actor = actors.spawn(|| unreachable!("nobody polls the worker")).unwrap();
        drop(worker);
        assert!(actor.join().unwrap_err().is_killed());
    });
}

#[test]
fn a_local_runtime_has_one_worker_whatever_was_asked_for() {
    let (actors, worker): (Runtime, LocalWorker) = smarm_compat::Builder::new().workers(3).local().unwrap();
    assert_eq!(actors.handle().workers(), 1);
    drop((actors, worker));
}
