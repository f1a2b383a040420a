//! Sockets that move between workers, serve several actors at once, and let go of whoever is killed or
//! out of time.

use std::collections::HashSet;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use smarm::{JoinHandle, compat::await_future};
use smarm_workspace::{Drops, PATIENCE, Signal, until, within, workers};

const MOMENT: Duration = Duration::from_millis(2);

/// Both ends of a connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nodelay(true).unwrap();
    let (far, _) = listener.accept().unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// An actor on a certain worker of the caller's runtime.
fn spawn_on<T: Send + 'static>(worker: usize, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    smarm::Builder::new().worker(worker).spawn(f).unwrap()
}

/// A path that nobody else has.
fn path() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("smarm-share-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
    std::env::temp_dir().join(name)
}

/// A listener with room for one connection, which is taken.
fn full_listener() -> (PathBuf, UnixListener, UnixStream) {
    let path = path();
    let listener = UnixListener::bind(&path).unwrap();
    // SAFETY: listen takes no pointers; here it shortens the queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let queued = UnixStream::connect(&path).unwrap();
    (path, listener, queued)
}

/// Sends until a datagram more would have to wait.
fn fill(socket: &UnixDatagram, receiver: &PathBuf) -> usize {
    socket.set_nonblocking(true).unwrap();
    let sent = (0..).take_while(|_| socket.send_to(b"x", receiver).is_ok()).count();
    socket.set_nonblocking(false).unwrap();
    sent
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_stream_goes_from_worker_to_worker() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (mut near, mut far) = connection();
            let echo = smarm::spawn(move || {
                let mut buf = [0; 8];
                while far.read_exact(&mut buf).is_ok() {
                    far.write_all(&buf).unwrap();
                }
            });
            for round in 0..200_u64 {
                let actor = spawn_on(round as usize % 2, move || {
                    near.write_all(&round.to_be_bytes()).unwrap();
                    let mut back = [0; 8];
                    near.read_exact(&mut back).unwrap();
                    assert_eq!(u64::from_be_bytes(back), round);
                    near
                });
                near = actor.join().unwrap();
            }
            drop(near);
            echo.join().unwrap();
        });
    });
}

#[test]
fn a_stream_moves_while_it_is_waited_for() {
    within(PATIENCE, || {
        workers(2).run(|| {
            for _ in 0..50 {
                let (near, far) = UnixStream::pair().unwrap();
                let near = Arc::new(near);
                // It is registered on worker 0, ...
                let first = near.clone();
                let first = spawn_on(0, move || (&*first).read(&mut [0]).unwrap());
                smarm::yield_now();
                first.kill();
                assert!(first.join().is_err_and(|error| error.is_killed()));
                // ... and read on worker 1.
                let second = spawn_on(1, move || (&*near).read(&mut [0; 4]).unwrap());
                (&far).write_all(b"abc").unwrap();
                assert_eq!(second.join().unwrap(), 3);
            }
        });
    });
}

#[test]
fn two_actors_read_and_write_one_stream_at_once() {
    const SIZE: usize = 2 << 20;
    within(PATIENCE, || {
        workers(2).run(|| {
            for (reader, writer) in [(0, 0), (0, 1)] {
                let ends = connection();
                let actors: Vec<_> = [Arc::new(ends.0), Arc::new(ends.1)]
                    .into_iter()
                    .flat_map(|end| {
                        let reads = end.clone();
                        let reader = spawn_on(reader, move || {
                            let mut all = Vec::new();
                            (&*reads).read_to_end(&mut all).unwrap();
                            assert!(all == pattern(SIZE));
                        });
                        let writer = spawn_on(writer, move || {
                            (&*end).write_all(&pattern(SIZE)).unwrap();
                            end.shutdown(Shutdown::Write).unwrap();
                        });
                        [reader, writer]
                    })
                    .collect();
                actors.into_iter().for_each(|actor| actor.join().unwrap());
            }
        });
    });
}

#[test]
fn datagrams_go_to_whoever_of_several_receives() {
    const DATAGRAMS: usize = 400;
    within(PATIENCE, || {
        workers(2).run(|| {
            let (near, far) = UnixDatagram::pair().unwrap();
            let near = Arc::new(near);
            let receivers: Vec<_> = (0..4)
                .map(|n| {
                    let near = near.clone();
                    spawn_on(n % 2, move || {
                        let mut seen = Vec::new();
                        let mut buf = [0; 2];
                        while near.recv(&mut buf).unwrap() == 2 {
                            seen.push(u16::from_be_bytes(buf));
                        }
                        seen
                    })
                })
                .collect();
            for n in 0..DATAGRAMS {
                far.send(&(n as u16).to_be_bytes()).unwrap();
            }
            for _ in 0..receivers.len() {
                far.send(b"x").unwrap(); // the end, for one
            }
            let seen: Vec<_> = receivers.into_iter().flat_map(|actor| actor.join().unwrap()).collect();
            assert_eq!(seen.len(), DATAGRAMS);
            assert_eq!(seen.into_iter().collect::<HashSet<_>>().len(), DATAGRAMS);
        });
    });
}

/// Waits, and gives what the wait failed with.
type Wait = Box<dyn FnOnce() -> io::Error + Send>;

/// Waits of all kinds, none of which would ever end, but for the timeout.
fn endless_waits(timeout: Option<Duration>) -> Vec<(&'static str, Wait)> {
    let mut waits: Vec<(&'static str, Wait)> = Vec::new();
    macro_rules! wait {
        ($name:literal, $body:expr) => {
            waits.push(($name, Box::new($body)))
        };
    }
    macro_rules! streams {
        ($read:literal, $write:literal, $pair:expr) => {
            wait!($read, move || {
                let (near, _far) = $pair;
                near.set_read_timeout(timeout).unwrap();
                (&near).read(&mut [0]).unwrap_err()
            });
            wait!($write, move || {
                let (near, _far) = $pair;
                near.set_write_timeout(timeout).unwrap();
                loop {
                    if let Err(error) = (&near).write(&[0; 1 << 16]) {
                        return error;
                    }
                }
            });
        };
    }
    streams!("tcp read", "tcp write", connection());
    streams!("unix read", "unix write", UnixStream::pair().unwrap());
    wait!("peek", move || {
        let (near, _far) = connection();
        near.set_read_timeout(timeout).unwrap();
        near.peek(&mut [0]).unwrap_err()
    });
    wait!("udp recv_from", move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(timeout).unwrap();
        socket.recv_from(&mut [0]).unwrap_err()
    });
    wait!("udp peek", move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(socket.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(timeout).unwrap();
        socket.peek(&mut [0]).unwrap_err()
    });
    wait!("datagram recv", move || {
        let (near, _far) = UnixDatagram::pair().unwrap();
        near.set_read_timeout(timeout).unwrap();
        near.recv(&mut [0]).unwrap_err()
    });
    wait!("datagram send", move || {
        let (near, _far) = UnixDatagram::pair().unwrap();
        near.set_write_timeout(timeout).unwrap();
        loop {
            if let Err(error) = near.send(b"x") {
                return error;
            }
        }
    });
    wait!("datagram send_to", move || {
        let path = path();
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_write_timeout(timeout).unwrap();
        fill(&sender, &path);
        let guard = Removed(path);
        sender.send_to(b"x", &guard.0).unwrap_err()
    });
    wait!("tcp accept", move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        match timeout {
            Some(timeout) => listener.accept_deadline(std::time::Instant::now() + timeout).unwrap_err(),
            None => listener.accept().unwrap_err(),
        }
    });
    wait!("unix accept", move || {
        let guard = Removed(path());
        let listener = UnixListener::bind(&guard.0).unwrap();
        match timeout {
            Some(timeout) => listener.accept_deadline(std::time::Instant::now() + timeout).unwrap_err(),
            None => listener.accept().unwrap_err(),
        }
    });
    wait!("tcp connect", move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: listen takes no pointers; here it shortens the queue.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        loop {
            let connected = match timeout {
                Some(timeout) => TcpStream::connect_timeout(&address, timeout),
                None => TcpStream::connect(address),
            };
            match connected {
                Ok(stream) => queued.push(stream),
                Err(error) => return error,
            }
            assert!(queued.len() < 100, "the queue has no end");
        }
    });
    waits
}

/// Removes a path at the end.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_kill_ends_every_kind_of_wait() {
    within(PATIENCE, || {
        workers(2).run(|| {
            for rounds in [0, 1, 30] {
                let drops = Drops::new();
                let actors: Vec<_> = endless_waits(None)
                    .into_iter()
                    .map(|(name, wait)| {
                        let counted = drops.counted();
                        let actor = smarm::spawn(move || {
                            let _counted = counted;
                            wait()
                        });
                        (name, actor)
                    })
                    .collect();
                for _ in 0..rounds {
                    smarm::yield_now();
                }
                let count = actors.len();
                actors.iter().for_each(|(_, actor)| actor.kill());
                for (name, actor) in actors {
                    assert!(actor.join().is_err_and(|error| error.is_killed()), "{name}");
                }
                assert_eq!(drops.count(), count);
            }
        });
    });
}

#[test]
fn a_timeout_ends_every_kind_of_wait() {
    within(PATIENCE, || {
        workers(1).run(|| {
            for (name, wait) in endless_waits(Some(MOMENT)) {
                assert_eq!(wait().kind(), ErrorKind::TimedOut, "{name}");
            }
        });
        for (name, wait) in endless_waits(Some(MOMENT)) {
            assert_eq!(wait().kind(), ErrorKind::TimedOut, "{name}, on a plain thread");
        }
    });
}

#[test]
fn a_kill_ends_a_connect_to_a_full_unix_listener() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (path, listener, _queued) = full_listener();
            let connecting = {
                let path = path.clone();
                smarm::spawn(move || drop(UnixStream::connect(path)))
            };
            for _ in 0..3 {
                smarm::yield_now();
            }
            connecting.kill();
            // Whether it was waiting already or not.
            assert!(connecting.join().is_err_and(|error| error.is_killed()));
            drop((listener, Removed(path)));
        });
    });
}

#[test]
fn a_connect_waits_until_a_full_unix_listener_has_room() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (path, listener, _queued) = full_listener();
            let client = {
                let path = path.clone();
                smarm::spawn(move || UnixStream::connect(path).unwrap().write_all(b"hello").unwrap())
            };
            smarm::yield_now();
            assert!(!client.is_finished());
            let _first = listener.accept().unwrap();
            let mut text = String::new();
            listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
            client.join().unwrap();
            drop(Removed(path));
        });
    });
}

#[test]
fn a_datagram_waits_until_its_receiver_has_room() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let path = path();
            let receiver = UnixDatagram::bind(&path).unwrap();
            let [connected, unconnected] = [(); 2].map(|()| UnixDatagram::unbound().unwrap());
            let sent = fill(&unconnected, &path);
            connected.connect(&path).unwrap();
            let connected = smarm::spawn(move || connected.send(b"connected").unwrap());
            let unconnected = {
                let path = path.clone();
                smarm::spawn(move || unconnected.send_to(b"unconnected", path).unwrap())
            };
            smarm::yield_now();
            assert!(!connected.is_finished() && !unconnected.is_finished());
            let mut buf = [0; 20];
            let mut lens: Vec<_> = (0..sent + 2).map(|_| receiver.recv(&mut buf).unwrap()).collect();
            assert!(lens.drain(..sent).all(|len| len == 1));
            lens.sort_unstable();
            assert_eq!(lens, [9, 11]);
            connected.join().unwrap();
            unconnected.join().unwrap();
            drop(Removed(path));
        });
    });
}

#[test]
fn a_shutdown_ends_the_waits_in_its_direction() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (near, _far) = UnixStream::pair().unwrap();
            let near = Arc::new(near);
            let reader = {
                let near = near.clone();
                smarm::spawn(move || (&*near).read(&mut [0]).unwrap())
            };
            let (datagrams, _far) = UnixDatagram::pair().unwrap();
            let datagrams = Arc::new(datagrams);
            let receiver = {
                let datagrams = datagrams.clone();
                smarm::spawn(move || datagrams.recv_from(&mut [0]).unwrap())
            };
            for _ in 0..5 {
                smarm::yield_now();
            }
            near.shutdown(Shutdown::Read).unwrap();
            datagrams.shutdown(Shutdown::Read).unwrap();
            assert_eq!(reader.join().unwrap(), 0);
            let (count, from) = receiver.join().unwrap();
            assert!(count == 0 && from.is_unnamed());
        });
    });
}

#[test]
fn a_group_of_listeners_serves_one_address_with_an_actor_on_each_worker() {
    const CLIENTS: usize = 60;
    within(PATIENCE, || {
        workers(2).run(|| {
            let first = TcpListener::bind_reuse_port("127.0.0.1:0").unwrap();
            let address = first.local_addr().unwrap();
            let second = TcpListener::bind_reuse_port(address).unwrap();
            let served = Signal::new();
            let acceptors: Vec<_> = [first, second]
                .into_iter()
                .enumerate()
                .map(|(worker, listener)| {
                    let served = served.clone();
                    spawn_on(worker, move || {
                        for stream in listener.incoming() {
                            stream.unwrap().write_all(&[worker as u8]).unwrap();
                            served.raise();
                        }
                    })
                })
                .collect();
            let mut by_whom = [0; 2];
            for _ in 0..CLIENTS {
                let mut byte = [0];
                TcpStream::connect(address).unwrap().read_exact(&mut byte).unwrap();
                by_whom[usize::from(byte[0])] += 1;
            }
            served.wait(CLIENTS);
            assert_eq!(by_whom.iter().sum::<usize>(), CLIENTS);
            for acceptor in acceptors {
                acceptor.kill();
                assert!(acceptor.join().unwrap_err().is_killed());
            }
        });
    });
}

#[test]
fn a_group_of_udp_sockets_shares_one_address() {
    within(PATIENCE, || {
        let first = UdpSocket::bind_reuse_port("127.0.0.1:0").unwrap();
        let second = UdpSocket::bind_reuse_port(first.local_addr().unwrap()).unwrap();
        assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
        let alone = UdpSocket::bind(first.local_addr().unwrap());
        assert_eq!(alone.unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn socket2_sets_options_and_makes_sockets() {
    within(PATIENCE, || {
        workers(1).run(|| {
            use socket2::{Domain, SockRef, Socket, Type};
            let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&address.into()).unwrap();
            socket.listen(16).unwrap();
            let listener = TcpListener::from(OwnedFd::from(socket));
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            near.write_all(b"x").unwrap();
            far.read_exact(&mut [0]).unwrap();
            drop(near); // resets, as the option says
            assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        });
    });
}

#[test]
fn every_type_goes_through_descriptors_and_stds_types() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let guard = Removed(path());
            macro_rules! there_and_back {
                ($type:ty, $std:ty, $socket:expr) => {{
                    let socket: $type = $socket;
                    let number = socket.as_raw_fd();
                    assert_eq!(socket.as_fd().as_raw_fd(), number);
                    let fd = socket.into_raw_fd();
                    assert_eq!(fd, number);
                    // SAFETY: the descriptor has just been given up.
                    let socket = unsafe { <$type>::from_raw_fd(fd) };
                    let std = <$std>::try_from(socket).unwrap();
                    let socket = <$type>::try_from(std).unwrap();
                    let socket = <$type>::from(OwnedFd::from(socket));
                    assert!(!format!("{socket:?}").is_empty());
                    assert!(socket.take_error().unwrap().is_none());
                }};
            }
            there_and_back!(TcpListener, std::net::TcpListener, TcpListener::bind("127.0.0.1:0").unwrap());
            there_and_back!(TcpStream, std::net::TcpStream, connection().0);
            there_and_back!(UdpSocket, std::net::UdpSocket, UdpSocket::bind("127.0.0.1:0").unwrap());
            use std::os::unix::net;
            there_and_back!(UnixListener, net::UnixListener, UnixListener::bind(&guard.0).unwrap());
            there_and_back!(UnixStream, net::UnixStream, UnixStream::pair().unwrap().0);
            there_and_back!(UnixDatagram, net::UnixDatagram, UnixDatagram::pair().unwrap().0);
        });
    });
}

#[test]
fn poll_functions_of_datagrams_wait_too() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (near, far) =
                (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
            let (here, there) = (near.local_addr().unwrap(), far.local_addr().unwrap());
            let echo = smarm::spawn(move || {
                await_future(async {
                    let mut buf = [0; 9];
                    let (count, from) = poll_fn(|cx| far.poll_recv_from(cx, &mut buf)).await.unwrap();
                    poll_fn(|cx| far.poll_send_to(cx, &buf[..count], from)).await.unwrap();
                    far.connect(from).unwrap();
                    let count = poll_fn(|cx| far.poll_recv(cx, &mut buf)).await.unwrap();
                    poll_fn(|cx| far.poll_send(cx, &buf[..count])).await.unwrap()
                })
            });
            smarm::yield_now();
            near.send_to(b"abc", there).unwrap();
            let mut buf = [0; 9];
            assert_eq!(near.recv_from(&mut buf).unwrap(), (3, there));
            near.send_to(b"abcd", there).unwrap();
            assert_eq!(near.recv(&mut buf).unwrap(), 4);
            assert_eq!(echo.join().unwrap(), 4);
            assert_ne!(here, there);

            let (near, far) = UnixDatagram::pair().unwrap();
            let receiver = smarm::spawn(move || {
                await_future(async {
                    let count = poll_fn(|cx| far.poll_recv(cx, &mut [0; 9])).await.unwrap();
                    poll_fn(|cx| far.poll_send(cx, b"ok")).await.unwrap();
                    count
                })
            });
            smarm::yield_now();
            assert_eq!(near.send(b"hello").unwrap(), 5);
            assert_eq!(near.recv(&mut buf).unwrap(), 2);
            assert_eq!(receiver.join().unwrap(), 5);
        });
    });
}

#[test]
fn a_name_is_looked_up_while_other_actors_run() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let turns = Arc::new(AtomicUsize::new(0));
            let neighbour = {
                let turns = turns.clone();
                smarm::spawn(move || {
                    loop {
                        turns.fetch_add(1, SeqCst);
                        smarm::yield_now();
                    }
                })
            };
            until(|| turns.load(SeqCst) > 0);
            // The look-up is a wait, in which the neighbour has its turn, unless the name is found at once.
            let lets_the_neighbour_run = || {
                let before = turns.load(SeqCst);
                let stream = TcpStream::connect(("localhost", port)).unwrap();
                assert_eq!(stream.peer_addr().unwrap().port(), port);
                turns.load(SeqCst) > before
            };
            assert!((0..100).any(|_| lets_the_neighbour_run()));
            neighbour.kill();
            assert!(neighbour.join().unwrap_err().is_killed());
        });
    });
}
