//! One future per worker: it runs there, in every mode, and goes with the runtime.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use smarm_compat::{Builder, await_future};
use smarm_workspace::{PATIENCE, Signal, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::LocalSet;

use crate::bridge_support::modes::{current_thread, service};
use crate::bridge_support::{spawn_on, with_a_careful_drop};

/// Which worker was where.
type Places = Arc<Mutex<Vec<(usize, ThreadId)>>>;

/// Futures that write down where they run, and then wait for ever.
fn noting(builder: Builder, places: &Places, noted: &Signal) -> Builder {
    let (places, noted) = (places.clone(), noted.clone());
    builder.each_worker(move |worker| {
        let (places, noted) = (places.clone(), noted.clone());
        async move {
            let home = Rc::new(thread::current().id()); // so that it is not `Send`
            tokio::task::yield_now().await;
            tokio::spawn(async {}).await.unwrap();
            assert_eq!(*home, thread::current().id());
            places.lock().unwrap().push((worker, *home));
            noted.raise();
            pending::<()>().await;
        }
    })
}

/// That each worker of the caller's runtime is among them, on its own thread.
fn check(places: &Places, workers: usize) {
    let mut expected: Vec<_> = (0..workers)
        .map(|worker| (worker, spawn_on(worker, || thread::current().id()).join().unwrap()))
        .collect();
    let mut places = places.lock().unwrap();
    places.sort_by_key(|place| place.0);
    expected.sort_by_key(|place| place.0);
    assert_eq!(*places, expected);
}

#[test]
fn each_worker_runs_its_own_on_its_own_thread() {
    within(PATIENCE, || {
        let service = service();
        for workers in [1, 3] {
            for attach in [false, true] {
                let (places, noted) = (Places::default(), Signal::new());
                let builder = noting(Builder::new().workers(workers), &places, &noted);
                let runtime =
                    if attach { builder.attach(service.handle()) } else { builder.start() }.unwrap();
                runtime.run(|| {
                    noted.wait(workers);
                    check(&places, workers);
                });
            }
        }
    });
}

#[test]
fn a_local_worker_runs_its_own() {
    within(PATIENCE, || {
        let (places, noted) = (Places::default(), Signal::new());
        let (actors, worker) = noting(Builder::new(), &places, &noted).local().unwrap();
        LocalSet::new().block_on(&current_thread(), async move {
            let worker = tokio::task::spawn_local(worker);
            noted.reached(1).await;
            let checked = actors.spawn(move || check(&places, 1));
            checked.unwrap().await.unwrap();
            drop(actors);
            worker.await.unwrap();
        });
    });
}

#[test]
fn each_call_adds_a_future_to_each_worker() {
    within(PATIENCE, || {
        let (places, noted) = (Places::default(), Signal::new());
        let builder = noting(Builder::new().workers(2), &places, &noted);
        noting(builder, &places, &noted).run(|| noted.wait(4));
        let workers: Vec<_> = places.lock().unwrap().iter().map(|place| place.0).collect();
        assert_eq!(workers.iter().filter(|worker| **worker == 0).count(), 2);
        assert_eq!(workers.iter().filter(|worker| **worker == 1).count(), 2);
    });
}

#[test]
fn the_futures_are_dropped_in_tokios_context_when_the_runtime_goes() {
    within(PATIENCE, || {
        let (seen, running) = (Arc::new(AtomicUsize::new(0)), Signal::new());
        let (theirs, raise) = (seen.clone(), running.clone());
        Builder::new()
            .workers(2)
            .each_worker(move |_| {
                let raise = raise.clone();
                with_a_careful_drop(&theirs, async move {
                    raise.raise();
                    pending().await
                })
            })
            .run(|| running.wait(2));
        assert_eq!(seen.load(SeqCst), 2);
    });
}

#[test]
fn a_panic_of_one_ends_no_other() {
    within(PATIENCE, || {
        let running = Signal::new();
        let raise = running.clone();
        let builder = Builder::new().workers(2).each_worker(move |worker| {
            let raise = raise.clone();
            async move {
                assert_ne!(worker, 0, "for the sake of this test");
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                raise.raise();
            }
        });
        builder.run(|| {
            running.wait(1);
            assert_eq!(spawn_on(0, || 42).join().unwrap(), 42);
        });
    });
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

#[test]
fn accept_loops_that_share_a_port_serve_all_who_come_each_on_its_worker() {
    within(PATIENCE, || {
        // Bound, so that the port stays; it does not listen, so that nobody is sent here.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let listening = Signal::new();
        let raise = listening.clone();
        let builder = Builder::new().workers(2).each_worker(move |worker| {
            let raise = raise.clone();
            async move {
                let listener = listen(address).unwrap();
                raise.raise();
                let home = thread::current().id();
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(async move {
                        assert_eq!(thread::current().id(), home);
                        stream.write_all(&[worker as u8]).await.unwrap();
                    });
                }
            }
        });
        builder.run(|| {
            listening.wait(2);
            // The kernel spreads them by the client's port: with each try both are likelier.
            let mut seen = BTreeSet::new();
            while seen.len() < 2 {
                await_future(async {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    seen.insert(stream.read_u8().await.unwrap());
                });
            }
        });
    });
}
