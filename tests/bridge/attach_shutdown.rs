//! smarm and the service that it is attached to end in either order, and every actor learns of it.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use smarm::channel::{Receiver, Sender, channel};
use smarm::{JoinError, JoinHandle, Runtime};
use smarm_compat::await_future;
use smarm_workspace::{Drops, PATIENCE, Signal, child, until, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime as Tokio;

use crate::bridge_support::modes::{attached, service};
use crate::bridge_support::{WhenDropped, spawn_on, with_a_careful_drop};

const FOR_EVER: Duration = Duration::from_secs(100_000);
const MOMENT: Duration = Duration::from_millis(1);

/// Actors on each worker that wait for what is tokio's, and for ever.
fn park_many(actors: &Runtime, seen: &Arc<AtomicUsize>) -> usize {
    let workers = actors.handle().workers();
    actors.run(|| {
        let parked = Signal::new();
        for worker in 0..workers {
            for kind in 0..4 {
                let (seen, parked) = (seen.clone(), parked.clone());
                drop(spawn_on(worker, move || match kind {
                    0 => await_future(with_a_careful_drop(&seen, async {
                        parked.raise();
                        tokio::time::sleep(FOR_EVER).await;
                    })),
                    1 => await_future(with_a_careful_drop(&seen, async {
                        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                        parked.raise();
                        drop(listener.accept().await);
                    })),
                    2 => {
                        let task = tokio::spawn(pending::<()>());
                        await_future(with_a_careful_drop(&seen, async {
                            parked.raise();
                            drop(task.await);
                        }));
                    }
                    _ => {
                        // Not in a future, but a local of the actor.
                        let _careful = with_a_careful_drop(&seen, pending::<()>());
                        let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
                        parked.raise();
                        drop(listener.accept());
                    }
                }));
            }
        }
        parked.wait(4 * workers);
    });
    4 * workers
}

#[test]
fn smarm_may_go_first_and_what_actors_wait_for_is_dropped_in_tokios_context() {
    within(PATIENCE, || {
        let service = service();
        for workers in [1, 2] {
            let seen = Arc::new(AtomicUsize::new(0));
            let actors = attached(&service, workers);
            let parked = park_many(&actors, &seen);
            drop(actors);
            assert_eq!(seen.load(SeqCst), parked);

            let actors = attached(&service, workers);
            park_many(&actors, &seen);
            actors.shutdown(PATIENCE).unwrap();
            assert_eq!(seen.load(SeqCst), 2 * parked);
        }
        // The service goes on.
        service.block_on(async {
            tokio::time::sleep(MOMENT).await;
            assert_eq!(tokio::spawn(async { 42 }).await.unwrap(), 42);
        });
    });
}

/// Waits of each kind, and what became of them once the service has gone.
struct Waits {
    timer: JoinHandle<()>,
    task: JoinHandle<Result<(), tokio::task::JoinError>>,
    blocking: JoinHandle<Result<(), tokio::task::JoinError>>,
    tokio_socket: JoinHandle<io::Result<()>>,
    smarm_socket: JoinHandle<io::Result<()>>,
    from_task: JoinHandle<Option<()>>,
    from_actor: JoinHandle<u32>,
    to_actor: Sender<u32>,
}

impl Waits {
    /// Begins them on a worker of the caller's runtime.
    fn begin(worker: usize) -> Self {
        fn parking<T: Send + 'static>(
            worker: usize,
            parked: &Signal,
            wait: impl FnOnce(Signal) -> T + Send + 'static,
        ) -> JoinHandle<T> {
            let parked = parked.clone();
            spawn_on(worker, move || wait(parked))
        }
        let parked = Signal::new();
        let (to_actor, inbox) = channel();
        let this = Self {
            timer: parking(worker, &parked, |parked| {
                await_future(async {
                    parked.raise();
                    tokio::time::sleep(FOR_EVER).await;
                });
            }),
            task: parking(worker, &parked, |parked| {
                let task = tokio::spawn(pending::<()>());
                parked.raise();
                await_future(task)
            }),
            blocking: parking(worker, &parked, |parked| {
                // One that runs is waited for by whoever drops the service.
                let task = tokio::task::spawn_blocking(move || parked.raise());
                await_future(task)
            }),
            tokio_socket: parking(worker, &parked, |parked| {
                await_future(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    parked.raise();
                    listener.accept().await.map(drop)
                })
            }),
            smarm_socket: parking(worker, &parked, |parked| {
                let listener = smarm::net::TcpListener::bind("127.0.0.1:0")?;
                let address = listener.local_addr()?;
                let connected = smarm::net::TcpStream::connect(address)?;
                drop(listener.accept()?); // it is registered
                parked.raise();
                listener.accept().map(|_| drop(connected))
            }),
            from_task: parking(worker, &parked, |parked| {
                let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
                tokio::spawn(async move {
                    let _held = sender;
                    pending::<()>().await;
                });
                parked.raise();
                await_future(receiver.recv())
            }),
            from_actor: parking(worker, &parked, move |parked| receive(&parked, &inbox)),
            to_actor,
        };
        parked.wait(7);
        this
    }

    /// Every one has a defined end.
    fn end(self) {
        let timer = self.timer.join().unwrap_err();
        let JoinError::Panicked(payload) = timer else { panic!("{timer:?}") };
        assert!(payload.message().contains("shut"), "{payload:?}");
        assert!(self.task.join().unwrap().unwrap_err().is_cancelled());
        self.blocking.join().unwrap().unwrap();
        let error = self.tokio_socket.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("shutdown"), "{error}");
        let error = self.smarm_socket.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("has shut down"), "{error}");
        assert_eq!(self.from_task.join().unwrap(), None);
        self.to_actor.send(42).unwrap();
        assert_eq!(self.from_actor.join().unwrap(), 42);
    }
}

fn receive(parked: &Signal, inbox: &Receiver<u32>) -> u32 {
    parked.raise();
    inbox.recv().unwrap()
}

/// What an attached actor finds once the service has gone.
fn look_around() {
    smarm::sleep(MOMENT);
    assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
    assert!(await_future(tokio::spawn(async {})).unwrap_err().is_cancelled());
    assert!(await_future(tokio::task::spawn_blocking(|| ())).unwrap_err().is_cancelled());
    assert!(await_future(TcpStream::connect("127.0.0.1:1")).is_err());
    let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(listener.accept().is_err());
    let told = smarm_workspace::panic_message(|| await_future(tokio::time::sleep(MOMENT)));
    assert!(told.contains("shut"), "{told}");
}

#[test]
fn the_service_may_go_first_and_each_wait_for_it_ends() {
    within(PATIENCE, || {
        let goes: [fn(Tokio); 3] =
            [drop, Tokio::shutdown_background, |service| service.shutdown_timeout(PATIENCE)];
        for go in goes {
            for workers in [1, 2] {
                let service = service();
                let actors = attached(&service, workers);
                let waits = actors.run(|| (0..workers).map(Waits::begin).collect::<Vec<_>>());
                go(service);
                waits.into_iter().for_each(Waits::end);
                actors.run(look_around);
                // Gives what a worker's thread panicked with, if one did.
                actors.shutdown(PATIENCE).unwrap();
            }
        }
    });
}

#[test]
fn a_service_that_has_gone_can_still_be_attached_to() {
    within(PATIENCE, || {
        let service = service();
        let handle = service.handle().clone();
        drop(service);
        let actors = smarm_compat::attach(&handle).unwrap();
        actors.run(look_around);
        actors.shutdown(PATIENCE).unwrap();
    });
}

#[test]
fn both_may_go_at_once() {
    within(PATIENCE, || {
        for _ in 0..10 {
            let service = service();
            let actors = attached(&service, 2);
            let drops = Drops::new();
            let waits = actors.run(|| {
                let waits = Waits::begin(0);
                let held = drops.counted();
                drop(spawn_on(1, move || {
                    let _held = held;
                    await_future(WhenDropped::new(pending::<()>(), || drop(tokio::spawn(async {}))));
                }));
                waits
            });
            let other = thread::spawn(move || drop(service));
            drop(actors);
            other.join().unwrap();
            assert_eq!(drops.count(), 1);
            drop(waits);
        }
    });
}

#[test]
fn a_task_that_owns_the_actors_takes_them_with_it() {
    within(PATIENCE, || {
        let service = service();
        let actors = attached(&service, 2);
        let seen = Arc::new(AtomicUsize::new(0));
        let parked = actors.run(|| {
            let parked = Signal::new();
            for worker in 0..2 {
                let (seen, raise) = (seen.clone(), parked.clone());
                drop(spawn_on(worker, move || {
                    await_future(WhenDropped::new(
                        async {
                            raise.raise();
                            pending::<()>().await;
                        },
                        move || {
                            seen.fetch_add(1, SeqCst);
                        },
                    ));
                }));
            }
            parked.wait(2);
            parked.count()
        });
        service.spawn(async move {
            let _actors = actors;
            pending::<()>().await;
        });
        drop(service);
        assert_eq!(seen.load(SeqCst), parked);
    });
}

#[test]
fn a_task_may_drop_the_actors() {
    within(PATIENCE, || {
        let service = service();
        let actors = attached(&service, 2);
        let seen = Arc::new(AtomicUsize::new(0));
        let parked = park_many(&actors, &seen);
        service.block_on(async {
            tokio::spawn(async move { drop(actors) }).await.unwrap();
            assert_eq!(tokio::spawn(async { 42 }).await.unwrap(), 42);
        });
        assert_eq!(seen.load(SeqCst), parked);
    });
}

#[test]
fn a_local_task_of_an_actor_ends_with_the_worker() {
    within(PATIENCE, || {
        let service = service();
        let actors = attached(&service, 1);
        let seen = Arc::new(AtomicUsize::new(0));
        actors.run(|| {
            let task = with_a_careful_drop(&seen, pending::<()>());
            drop(tokio::task::spawn_local(task));
        });
        drop(actors);
        assert_eq!(seen.load(SeqCst), 1);
    });
}

#[test]
fn attached_runtimes_come_and_go_without_a_trace() {
    fn count(directory: &str) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }
    child::run_well(|| {
        let service = service();
        let round = || {
            let seen = Arc::new(AtomicUsize::new(0));
            let actors = attached(&service, 2);
            let parked = park_many(&actors, &seen);
            drop(actors);
            assert_eq!(seen.load(SeqCst), parked);
        };
        let threads = count("/proc/self/task");
        round(); // opens what is made once and kept
        let before = (count("/proc/self/fd"), threads);
        for _ in 0..50 {
            round();
        }
        // A joined thread may be there for a moment more, as the kernel sees it.
        until(|| (count("/proc/self/fd"), count("/proc/self/task")) == before);
    });
}
