//! Descriptors: none left, closed by others, reset by the peer.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use smarm::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use smarm::{Config, InitError};
use smarm_workspace::{PATIENCE, Signal, child, until, within};
use socket2::SockRef;

use crate::support::{CALM_HOSTS, HOSTS, descriptors, spare_descriptors, threads};

/// Whether the system had no descriptor left.
fn is_emfile(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMFILE)
}

#[test]
fn a_runtime_without_descriptors_is_an_error_and_leaves_nothing_behind() {
    child::run_well(|| {
        let threads_before = threads();
        drop(smarm::runtime::init(Config::exact(2))); // what is made once per process is there
        let before = (descriptors(), threads_before);
        let mut refused = 0;
        for spare in 0..10 {
            let shortage = spare_descriptors(spare);
            match smarm::runtime::try_init(Config::exact(2)) {
                Ok(runtime) => assert_eq!(runtime.run(|| 42), 42),
                Err(InitError::Io(error)) => {
                    assert!(is_emfile(&error), "{error}");
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
            drop(shortage);
            assert_eq!(descriptors(), before.0, "with {spare} to spare");
        }
        // Two workers, each with an epoll and an eventfd; std opens some more for a moment.
        assert!((4..10).contains(&refused), "{refused}");
        until(|| (descriptors(), threads()) == before);
    });
}

#[test]
fn a_runtime_on_tokio_without_descriptors_is_an_error_and_leaves_nothing_behind() {
    child::run_well(|| {
        let start = || smarm_compat::Builder::new().workers(2).start();
        let threads_before = threads();
        drop(start().unwrap());
        let before = (descriptors(), threads_before);
        let mut refused = 0;
        for spare in 0..10 {
            let shortage = spare_descriptors(spare);
            match start() {
                Ok(runtime) => assert_eq!(runtime.run(|| 42), 42),
                Err(InitError::Io(error)) => {
                    assert!(is_emfile(&error), "{error}");
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
            drop(shortage);
            assert_eq!(descriptors(), before.0, "with {spare} to spare");
        }
        assert!((4..10).contains(&refused), "{refused}");
        until(|| (descriptors(), threads()) == before);
    });
}

#[test]
fn the_first_runtime_of_a_process_without_descriptors_is_an_error_and_the_next_one_runs() {
    child::run_well(|| {
        let shortage = spare_descriptors(0);
        let refusals = [
            smarm::runtime::try_init(Config::exact(1)).map(drop),
            smarm_compat::Builder::new().workers(1).start().map(drop),
        ];
        drop(shortage);
        for refusal in refusals {
            assert!(matches!(&refusal, Err(InitError::Io(error)) if is_emfile(error)), "{refusal:?}");
        }
        for (_, start) in HOSTS {
            assert_eq!(start(2).run(|| 42), 42);
        }
    });
}

#[test]
fn an_actor_without_descriptors_gets_errors_and_goes_on_once_there_are_some() {
    child::run_well(|| {
        for (host, start) in CALM_HOSTS {
            let runtime = start(1);
            runtime.run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let first = TcpStream::connect(address).unwrap();
                let waiting = Arc::new(listener.accept().unwrap().0);
                // Registered, so that the wait of a clone needs a descriptor of its own.
                let theirs = waiting.clone();
                let reader = smarm::spawn_local(move || (&*theirs).read(&mut [0; 8]));
                smarm::yield_now();

                let shortage = spare_descriptors(0);
                let errors = [
                    TcpListener::bind("127.0.0.1:0").map(drop),
                    TcpStream::connect(address).map(drop),
                    UdpSocket::bind("127.0.0.1:0").map(drop),
                    UnixStream::pair().map(drop),
                    waiting.try_clone().map(drop),
                    smarm::io::wait_readable(&*waiting),
                ];
                for (nth, error) in errors.into_iter().enumerate() {
                    let error = error.unwrap_err();
                    assert!(is_emfile(&error), "{host} {nth}: {error}");
                }
                drop(shortage);

                (&first).write_all(b"x").unwrap();
                assert_eq!(reader.join().unwrap().unwrap(), 1);
                drop(TcpStream::connect(address).unwrap());
                drop(listener.accept().unwrap());
            });
        }
    });
}

/// Accepts for ever, and has an actor for each connection, which holds it until `done` is raised. With
/// `pause` it waits a little after an error.
fn accept_loop(listener: TcpListener, done: &Signal, pause: Option<Duration>, seen: &Arc<Seen>) {
    let (done, seen) = (done.clone(), seen.clone());
    drop(smarm::spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let (done, seen) = (done.clone(), seen.clone());
                    seen.accepted.fetch_add(1, SeqCst);
                    drop(smarm::spawn(move || {
                        done.wait(1);
                        drop(stream);
                        seen.ended.fetch_add(1, SeqCst);
                    }));
                }
                Err(error) => {
                    assert!(is_emfile(&error), "{error}");
                    seen.refused.fetch_add(1, SeqCst);
                    if let Some(pause) = pause {
                        smarm::sleep(pause);
                    }
                }
            }
        }
    }));
}

/// What an accept loop has seen.
#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    ended: AtomicUsize,
}

#[test]
fn an_accept_loop_that_runs_out_of_descriptors_goes_on_when_others_let_go() {
    const FIT: usize = 8;
    for (_, pause) in [("at once", None), ("after a pause", Some(Duration::from_millis(1)))] {
        child::run_well(|| {
            for (host, start) in HOSTS {
                let runtime = start(1);
                let (done, seen) = (Signal::new(), Arc::new(Seen::default()));
                let (clients, shortage) = runtime.run(|| {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let address = listener.local_addr().unwrap();
                    // They are in the listener's queue, where they need no descriptor of the server's.
                    let clients: Vec<_> =
                        (0..2 * FIT).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
                    let shortage = spare_descriptors(FIT);
                    accept_loop(listener, &done, pause, &seen);
                    (clients, shortage)
                });
                until(|| seen.refused.load(SeqCst) > 3);
                assert_eq!(seen.accepted.load(SeqCst), FIT, "{host}");
                // A loop without a pause must let those run who hold the descriptors.
                done.raise();
                until(|| seen.ended.load(SeqCst) == 2 * FIT);
                drop(shortage);
                drop(clients);
            }
        });
    }
}

#[test]
fn a_descriptor_that_is_closed_under_its_waiter_ends_the_wait_at_its_deadline_or_kill() {
    child::run_well(|| {
        for (host, start) in CALM_HOSTS {
            start(1).run(|| {
                let (near, far) = UnixStream::pair().unwrap();
                let number = near.as_raw_fd();
                std::mem::forget(near);
                // SAFETY: none: closing it below breaks the promise, which is what is tested.
                let lent = unsafe { BorrowedFd::borrow_raw(number) };
                let deadline = Instant::now() + Duration::from_millis(20);
                let late = smarm::spawn_local(move || smarm::io::wait_readable_deadline(lent, deadline));
                let killed = smarm::spawn_local(move || smarm::io::wait_readable(lent));
                smarm::yield_now();
                // SAFETY: as above.
                assert_eq!(unsafe { libc::close(number) }, 0);
                let error = late.join().unwrap().unwrap_err();
                let told = error.raw_os_error() == Some(libc::EBADF) || error.kind() == ErrorKind::TimedOut;
                assert!(told, "{host}: {error:?}");
                killed.kill();
                assert!(killed.join().unwrap_err().is_killed());
                drop(far);
            });
        }
    });
}

/// A connection whose far end has the peer's system reset it when it is dropped.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
    (near, far)
}

#[test]
fn a_reset_by_the_peer_is_an_error_in_every_wait_and_no_signal() {
    child::run_well(|| {
        // As in a program whose main function is not Rust's.
        // SAFETY: the default action of a signal is always valid.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        for (host, start) in HOSTS {
            start(1).run(|| {
                let (near, far) = connection();
                let near = Arc::new(near);
                let theirs = near.clone();
                let reader = smarm::spawn_local(move || (&*theirs).read(&mut [0; 8]));
                let theirs = near.clone();
                let writer = smarm::spawn_local(move || (&*theirs).write_all(&[0; 32 << 20]));
                let theirs = near.clone();
                let waiter = smarm::spawn_local(move || smarm::io::wait_readable(&*theirs));
                (0..10).for_each(|_| smarm::yield_now());
                drop(far);
                let errors = [reader.join().unwrap().map(drop), writer.join().unwrap()];
                let reset = |error: &io::Error| {
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
                };
                // The system tells one of them of the reset; after that it is the end of the stream.
                assert!(errors.iter().any(|result| result.as_ref().is_err_and(reset)), "{host}: {errors:?}");
                assert!(errors[1].as_ref().is_err_and(reset), "{host}: {errors:?}");
                waiter.join().unwrap().unwrap();
                assert!((&*near).write(b"x").is_err_and(|error| reset(&error)));
                assert_eq!((&*near).read(&mut [0]).unwrap(), 0);
            });
        }
    });
}

#[test]
fn a_peer_that_gives_up_in_the_queue_does_not_end_the_accept_loop() {
    within(PATIENCE, || {
        for (_, start) in HOSTS {
            start(1).run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let gone = std::net::TcpStream::connect(address).unwrap();
                SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
                drop(gone);
                let stays = std::net::TcpStream::connect(address).unwrap();
                let own = stays.local_addr().unwrap();
                // Whether the first is told of, as an error or a dead connection, is the system's affair.
                let found = listener.incoming().take(2).any(|stream| {
                    stream.is_ok_and(|stream| stream.peer_addr().is_ok_and(|peer| peer == own))
                });
                assert!(found);
            });
        }
    });
}
