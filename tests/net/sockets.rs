//! Sockets with the shapes of std: an echo service of actors, its clients, deadlines and ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use smarm::Runtime;
use smarm::net::{TcpListener, TcpStream};
use smarm_workspace::{PATIENCE, Signal, nobody_beside, until, within, workers};

/// Listens, and has an actor echo for each connection.
fn echo_service(runtime: &Runtime) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(runtime.spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(smarm::spawn(move || {
                let mut buf = [0; 4096];
                loop {
                    match stream.read(&mut buf) {
                        Ok(0) | Err(_) => return,
                        Ok(count) => stream.write_all(&buf[..count]).unwrap(),
                    }
                }
            }));
        }
    }));
    address
}

#[test]
fn an_echo_service_of_actors_serves_many_actors() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let address = echo_service(&runtime);
            let clients: Vec<_> = (0..50)
                .map(|n| {
                    runtime
                        .spawn(move || {
                            let mut stream = TcpStream::connect(address).unwrap();
                            stream.set_nodelay(true).unwrap();
                            for round in 0..20 {
                                let said = format!("client {n} round {round}");
                                stream.write_all(said.as_bytes()).unwrap();
                                let mut heard = vec![0; said.len()];
                                stream.read_exact(&mut heard).unwrap();
                                assert_eq!(heard, said.as_bytes());
                            }
                        })
                        .unwrap()
                })
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
        }
    });
}

#[test]
fn clients_on_plain_threads_and_of_std_are_served_too() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let address = echo_service(&runtime);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(move || {
                    let stream = TcpStream::connect(address).unwrap();
                    let mut lines = BufReader::new(&stream);
                    for round in 0..50 {
                        writeln!(&stream, "round {round}").unwrap();
                        let mut line = String::new();
                        lines.read_line(&mut line).unwrap();
                        assert_eq!(line, format!("round {round}\n"));
                    }
                });
                scope.spawn(move || {
                    let mut stream = std::net::TcpStream::connect(address).unwrap();
                    stream.write_all(b"from std").unwrap();
                    let mut heard = [0; 8];
                    stream.read_exact(&mut heard).unwrap();
                    assert_eq!(&heard, b"from std");
                });
            }
        });
    });
}

#[test]
fn a_large_transfer_in_both_directions_at_once_arrives_whole() {
    const SIZE: usize = 4 << 20;
    within(PATIENCE, || {
        let runtime = workers(2);
        let address = echo_service(&runtime);
        runtime.run(move || {
            let stream = TcpStream::connect(address).unwrap();
            let mut writes = stream.try_clone().unwrap();
            let writer = smarm::spawn(move || {
                let data: Vec<u8> = (0..SIZE).map(|at| (at / 3) as u8).collect();
                writes.write_all(&data).unwrap();
                writes.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            (&stream).read_to_end(&mut back).unwrap();
            assert_eq!(back.len(), SIZE);
            assert!(back.iter().enumerate().all(|(at, &byte)| byte == (at / 3) as u8));
            writer.join().unwrap();
        });
    });
}

#[test]
fn a_read_timeout_is_never_early_and_the_stream_goes_on() {
    const TIME: Duration = Duration::from_millis(5);
    within(PATIENCE, || {
        let runtime = workers(1);
        let address = echo_service(&runtime);
        runtime.run(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(TIME)).unwrap();
            let (start, mut buf) = (Instant::now(), [0; 4]);
            assert_eq!(stream.read(&mut buf).unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(start.elapsed() >= TIME);
            stream.set_read_timeout(None).unwrap();
            stream.write_all(b"ping").unwrap();
            stream.read_exact(&mut buf).unwrap();
            assert_eq!(&buf, b"ping");
        });
    });
}

#[test]
fn an_accept_with_a_deadline_is_never_early_and_the_listener_goes_on() {
    within(PATIENCE, || {
        smarm::run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let deadline = Instant::now() + Duration::from_millis(5);
            let error = listener.accept_deadline(deadline).map(drop).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(Instant::now() >= deadline);
            let address = listener.local_addr().unwrap();
            let client = smarm::spawn(move || TcpStream::connect(address).unwrap().local_addr().unwrap());
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(client.join().unwrap(), peer);
        });
    });
}

#[test]
fn a_refused_connection_is_an_error() {
    within(PATIENCE, || {
        smarm::run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let nobody = nobody_beside(listener.local_addr().unwrap());
            let error = TcpStream::connect(nobody).map(drop).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        });
    });
}

#[test]
fn killed_actors_give_up_accepts_reads_and_their_sockets() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = Signal::new();
        let theirs = waiting.clone();
        let other = listener.try_clone().unwrap();
        let accepts = runtime
            .spawn(move || {
                theirs.raise();
                other.accept().map(drop)
            })
            .unwrap();
        waiting.wait(1);
        accepts.kill();
        assert!(accepts.join().unwrap_err().is_killed());

        let theirs = waiting.clone();
        let reads = runtime
            .spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                theirs.raise();
                stream.read(&mut [0])
            })
            .unwrap();
        let (mut server, _) = listener.accept().unwrap();
        waiting.wait(2);
        reads.kill();
        assert!(reads.join().unwrap_err().is_killed());
        assert_eq!(server.read(&mut [0]).unwrap(), 0, "its socket was closed as it unwound");
    });
}

#[test]
fn a_runtime_that_is_dropped_ends_actors_that_wait_for_sockets() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let address = echo_service(&runtime);
            let waiting = Signal::new();
            for _ in 0..20 {
                let waiting = waiting.clone();
                drop(runtime.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.write_all(b"x").unwrap();
                    stream.read_exact(&mut [0]).unwrap();
                    waiting.raise();
                    stream.read(&mut [0]).map(drop)
                }));
            }
            until(|| waiting.count() == 20);
            drop(runtime);
        }
    });
}

#[test]
fn a_socket_outlives_the_runtime_whose_worker_registered_it() {
    within(PATIENCE, || {
        let (one, two) = (workers(1), workers(1));
        let address = echo_service(&two);
        let mut stream = one.run(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"a").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream
        });
        drop(one);
        // On a thread, then on a worker of another runtime.
        stream.write_all(b"b").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        two.run(move || {
            stream.write_all(b"c").unwrap();
            let mut buf = [0];
            stream.read_exact(&mut buf).unwrap();
            assert_eq!(&buf, b"c");
        });
    });
}
