//! smarm's sockets and descriptor waits on tokio's epoll.

use std::fs::File;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use smarm::io::{wait_readable, wait_readable_timeout, wait_writable};
use smarm::net::{TcpListener, TcpStream};
use smarm_compat::await_future;
use smarm_workspace::{PATIENCE, until, within, workers};

use crate::bridge_support::{last_worker, on_tokio, spawn_on, tokio_of};

const MOMENT: Duration = Duration::from_millis(2);
const FOR_EVER: Duration = Duration::from_secs(100_000);

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Both ends of a connection.
fn connection() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let near = TcpStream::connect(address).unwrap();
    let (far, _) = listener.accept().unwrap();
    (near, far)
}

/// Two connected stream sockets that use up no port.
fn pair() -> (TcpStream, TcpStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (OwnedFd::from(near).into(), OwnedFd::from(far).into())
}

fn echo(mut stream: &TcpStream) {
    let mut buf = [0; 512];
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => return,
            count => stream.write_all(&buf[..count]).unwrap(),
        }
    }
}

/// Exchanges messages with somebody who echoes.
fn exchange(mut stream: &TcpStream, rounds: u32) {
    for n in 0..rounds {
        let message = [n as u8; 100];
        let message = &message[..1 + n as usize % 100];
        stream.write_all(message).unwrap();
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, message);
    }
}

#[test]
fn many_connections_are_served() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                const CONNECTIONS: usize = 60;
                let (listener, address) = listen();
                let server = smarm::spawn(move || {
                    let served: Vec<_> = (0..CONNECTIONS)
                        .map(|_| {
                            let (stream, _) = listener.accept().unwrap();
                            smarm::spawn(move || echo(&stream))
                        })
                        .collect();
                    served.into_iter().for_each(|actor| actor.join().unwrap());
                });
                let clients: Vec<_> = (0..CONNECTIONS)
                    .map(|_| smarm::spawn(move || exchange(&TcpStream::connect(address).unwrap(), 40)))
                    .collect();
                clients.into_iter().for_each(|client| client.join().unwrap());
                server.join().unwrap();
            });
        }
    });
}

#[test]
fn tokios_sockets_and_smarms_speak_with_each_other() {
    within(PATIENCE, || {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        on_tokio(2).run(|| {
            let (listener, address) = listen();
            let task = tokio_of(1).spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                for n in 0..500_u32 {
                    stream.write_all(&n.to_le_bytes()).await.unwrap();
                    assert_eq!(stream.read_u32_le().await.unwrap(), n);
                }
            });
            let (stream, _) = listener.accept().unwrap();
            echo(&stream);
            await_future(task).unwrap();
        });
    });
}

#[test]
fn a_task_reads_and_writes_a_smarm_socket() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let (near, far) = connection();
            let task = tokio_of(1).spawn(async move {
                let mut buf = [0; 128];
                loop {
                    let count = poll_fn(|cx| far.poll_read(cx, &mut buf)).await.unwrap();
                    if count == 0 {
                        return;
                    }
                    let mut sent = 0;
                    while sent < count {
                        sent += poll_fn(|cx| far.poll_write(cx, &buf[sent..count])).await.unwrap();
                    }
                }
            });
            exchange(&near, 500);
            drop(near);
            await_future(task).unwrap();
        });
    });
}

#[test]
fn several_actors_read_and_write_one_stream() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                const EACH: usize = 2000;
                let (near, far) = pair();
                let (near, far) = (Arc::new(near), Arc::new(far));
                let read = Arc::new(AtomicUsize::new(0));
                let readers: Vec<_> = (0..4)
                    .map(|n| {
                        let (far, read) = (far.clone(), read.clone());
                        spawn_on(n % workers, move || {
                            let mut buf = [0; 7];
                            loop {
                                match (&*far).read(&mut buf[..1 + n]).unwrap() {
                                    0 => return,
                                    count => read.fetch_add(count, SeqCst),
                                };
                            }
                        })
                    })
                    .collect();
                let writers: Vec<_> = (0..4)
                    .map(|n| {
                        let near = near.clone();
                        spawn_on(n % workers, move || {
                            for _ in 0..EACH {
                                (&*near).write_all(b"x").unwrap();
                                if n == 0 {
                                    smarm::yield_now();
                                }
                            }
                        })
                    })
                    .collect();
                writers.into_iter().for_each(|writer| writer.join().unwrap());
                near.shutdown(Shutdown::Write).unwrap();
                // All learn of the end, although the edge comes once.
                readers.into_iter().for_each(|reader| reader.join().unwrap());
                assert_eq!(read.load(SeqCst), 4 * EACH);
            });
        }
    });
}

#[test]
fn a_writer_waits_until_there_is_room() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                const BYTES: usize = 8 << 20;
                let (near, far) = connection();
                let writer = spawn_on(last_worker(), move || {
                    let block: Vec<u8> = (0..BYTES).map(|n| n as u8).collect();
                    (&near).write_all(&block).unwrap();
                });
                let mut all = Vec::new();
                (&far).read_to_end(&mut all).unwrap();
                assert_eq!(all.len(), BYTES);
                assert!(all.iter().enumerate().all(|(n, byte)| *byte == n as u8));
                writer.join().unwrap();
            });
        }
    });
}

#[test]
fn a_read_that_takes_too_long_times_out_and_the_stream_goes_on() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = connection();
            far.set_read_timeout(Some(MOMENT)).unwrap();
            let mut buf = [0; 8];
            for _ in 0..5 {
                assert_eq!((&far).read(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
            }
            (&near).write_all(b"hello").unwrap();
            far.set_read_timeout(Some(FOR_EVER)).unwrap();
            assert_eq!((&far).read(&mut buf).unwrap(), 5);

            far.set_write_timeout(Some(MOMENT)).unwrap();
            let error = loop {
                if let Err(error) = (&far).write(&[0; 1 << 16]) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            let (listener, _) = listen();
            assert_eq!(
                listener.accept_deadline(std::time::Instant::now() + MOMENT).unwrap_err().kind(),
                ErrorKind::TimedOut
            );
        });
    });
}

#[test]
fn a_wait_for_a_socket_ends_when_its_actor_is_killed() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = connection();
            let far = Arc::new(far);
            let theirs = far.clone();
            let reader = smarm::spawn_local(move || (&*theirs).read(&mut [0; 1]).unwrap());
            for _ in 0..10 {
                smarm::yield_now();
            }
            reader.kill();
            assert!(reader.join().unwrap_err().is_killed());
            (&near).write_all(b"x").unwrap();
            assert_eq!((&*far).read(&mut [0; 1]).unwrap(), 1); // nobody took it
        });
    });
}

#[test]
fn a_stream_that_was_used_on_one_worker_works_on_another() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let (near, far) = connection();
            let server = spawn_on(0, move || echo(&far));
            let mut near = near;
            for n in 0..20 {
                near = spawn_on(n % 2, move || {
                    exchange(&near, 20);
                    near
                })
                .join()
                .unwrap();
            }
            drop(near);
            server.join().unwrap();
        });
    });
}

#[test]
fn a_stream_goes_from_runtime_to_runtime() {
    within(PATIENCE, || {
        let server = workers(1);
        let (mut near, far) = server.run(connection);
        let echoing = server.spawn(move || echo(&far)).unwrap();
        for _ in 0..3 {
            // Each of these has gone, with its reactor, when the next one begins.
            for runtime in [on_tokio(1), workers(1), on_tokio(2), workers(2)] {
                near = runtime.run(move || {
                    exchange(&near, 20);
                    near
                });
            }
        }
        drop(near);
        echoing.join().unwrap();
    });
}

#[test]
fn a_wait_outlives_the_runtime_whose_reactor_it_uses() {
    within(PATIENCE, || {
        for _ in 0..20 {
            for other in [workers as fn(usize) -> _, on_tokio] {
                let (near, far) = workers(1).run(connection);
                let far = Arc::new(far);
                let first = on_tokio(1);
                // Registers the descriptor with the reactor of `first`.
                let theirs = far.clone();
                first.run(move || {
                    let mut buf = [0; 1];
                    theirs.set_read_timeout(Some(MOMENT)).unwrap();
                    assert_eq!((&*theirs).read(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
                    theirs.set_read_timeout(None).unwrap();
                });
                let second = other(1);
                let theirs = far.clone();
                let reader = second.spawn(move || (&*theirs).read(&mut [0; 1]).unwrap()).unwrap();
                second.run(|| (0..10).for_each(|_| smarm::yield_now()));
                drop(first);
                (&near).write_all(b"x").unwrap();
                assert_eq!(reader.join().unwrap(), 1);
            }
        }
    });
}

#[test]
fn one_descriptor_may_be_waited_for_many_times_at_once() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = UnixStream::pair().unwrap();
            let far = Arc::new(far);
            let waits: Vec<_> = (0..10)
                .map(|_| {
                    let far = far.clone();
                    smarm::spawn_local(move || wait_readable(&*far).unwrap())
                })
                .collect();
            for _ in 0..10 {
                smarm::yield_now();
            }
            wait_writable(&*far).unwrap();
            assert!(waits.iter().all(|wait| !wait.is_finished()));
            (&near).write_all(b"x").unwrap();
            waits.into_iter().for_each(|wait| wait.join().unwrap());
            assert_eq!(wait_readable_timeout(&near, MOMENT).unwrap_err().kind(), ErrorKind::TimedOut);
        });
    });
}

#[test]
fn one_descriptor_may_be_waited_for_by_tokio_and_smarm_at_once() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = UnixStream::pair().unwrap();
            far.set_nonblocking(true).unwrap();
            let theirs = tokio::net::UnixStream::from_std(far).unwrap();
            let fd = theirs.as_raw_fd();
            let task = tokio::spawn(async move { theirs.readable().await.map(|()| theirs) });
            let actor = smarm::spawn_local(move || {
                // SAFETY: the stream stays open in `task` and then in its handle until both have ended.
                wait_readable(unsafe { BorrowedFd::borrow_raw(fd) }).unwrap();
            });
            for _ in 0..10 {
                smarm::yield_now();
            }
            assert!(!actor.is_finished());
            (&near).write_all(b"x").unwrap();
            actor.join().unwrap();
            await_future(task).unwrap().unwrap();
        });
    });
}

#[test]
fn a_descriptor_that_cannot_be_waited_for_is_an_error_or_ready() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            wait_readable(File::open("/proc/self/exe").unwrap()).unwrap();
            // SAFETY: no such descriptor is open, and the calls only say so.
            let closed = unsafe { BorrowedFd::borrow_raw(RawFd::MAX - 1) };
            assert_eq!(wait_readable(closed).unwrap_err().raw_os_error(), Some(libc::EBADF));
            assert_eq!(wait_writable(closed).unwrap_err().raw_os_error(), Some(libc::EBADF));
        });
    });
}

#[test]
fn a_refused_datagram_ends_a_wait_for_reading() {
    within(PATIENCE, || {
        for runtime in [workers(1), on_tokio(1)] {
            runtime.run(|| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                // Whoever has this port receives from another one only.
                let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
                deaf.connect("127.0.0.1:1").unwrap();
                socket.connect(deaf.local_addr().unwrap()).unwrap();
                let waiting = smarm::spawn_local({
                    let socket = socket.try_clone().unwrap();
                    move || wait_readable(&socket)
                });
                for _ in 0..10 {
                    smarm::yield_now();
                }
                socket.send(b"anybody there?").unwrap();
                waiting.join().unwrap().unwrap();
                assert_eq!(socket.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
            });
        }
    });
}

/// Reads to the end in reads that are longer than what is there.
fn count_to_the_end(mut stream: &TcpStream) -> usize {
    let mut buf = [0; 256];
    let mut all = 0;
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => return all,
            count => all += count,
        }
    }
}

#[test]
fn the_end_of_a_stream_is_never_lost_after_a_short_read() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let (streams, inbox) = smarm::channel::<(usize, TcpStream)>();
                // A foreign thread, whose timing has nothing to do with the worker's.
                let closing = thread::spawn(move || {
                    for (round, stream) in inbox.iter() {
                        for _ in 0..round % 3 {
                            (&stream).write_all(&[0; 10]).unwrap();
                        }
                        if round % 2 == 0 {
                            stream.shutdown(Shutdown::Write).unwrap();
                        }
                    }
                });
                for round in 0..1500 {
                    let (near, far) = pair();
                    streams.send((round, near)).unwrap();
                    assert_eq!(count_to_the_end(&far), round % 3 * 10);
                }
                drop(streams);
                closing.join().unwrap();
            });
        }
    });
}

#[test]
fn the_end_of_a_connection_is_never_lost_after_a_short_read() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let (listener, address) = listen();
            let closing = thread::spawn(move || {
                for round in 0..300 {
                    let mut stream = std::net::TcpStream::connect(address).unwrap();
                    for _ in 0..round % 3 {
                        stream.write_all(&[0; 10]).unwrap();
                    }
                    if round % 2 == 0 {
                        stream.shutdown(Shutdown::Write).unwrap();
                        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
                    }
                }
            });
            for round in 0..300 {
                let (stream, _) = listener.accept().unwrap();
                let reader = smarm::spawn(move || count_to_the_end(&stream));
                assert_eq!(reader.join().unwrap(), round % 3 * 10);
            }
            closing.join().unwrap();
        });
    });
}

#[test]
fn reads_that_use_up_tokios_budget_go_on() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let actors: Vec<_> = (0..4)
                .map(|_| {
                    smarm::spawn(|| {
                        let (near, far) = pair();
                        // Registered before there is something to read.
                        far.set_read_timeout(Some(MOMENT)).unwrap();
                        assert!((&far).read(&mut [0; 1]).is_err());
                        far.set_read_timeout(None).unwrap();
                        for _ in 0..5 {
                            (&near).write_all(&[7; 1000]).unwrap();
                            for _ in 0..1000 {
                                assert_eq!((&far).read(&mut [0; 1]).unwrap(), 1);
                            }
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn a_descriptor_is_deregistered_before_it_is_closed() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            // Numbers of descriptors are used again at once: each new pair gets the old one's.
            for round in 0..500_usize {
                let (near, far) = pair();
                let reader = smarm::spawn_local(move || {
                    let mut byte = [0];
                    (&far).read_exact(&mut byte).unwrap();
                    byte[0]
                });
                smarm::yield_now();
                (&near).write_all(&[round as u8]).unwrap();
                until(|| reader.is_finished());
                assert_eq!(reader.join().unwrap(), round as u8);
            }
        });
    });
}
