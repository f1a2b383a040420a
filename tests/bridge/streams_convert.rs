//! Sockets that move between smarm and tokio, with what was buffered.

use std::io::{BufRead, BufReader, BufWriter, ErrorKind, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use smarm_compat::await_future;
use smarm_compat::io::{AsyncIo, IntoSmarm, IntoTokio, SyncIo, Unread};
use smarm_workspace::{PATIENCE, child, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::bridge_support::on_tokio;

const MOMENT: Duration = Duration::from_millis(2);

/// Both ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let near = TcpStream::connect(address).unwrap();
    (near, listener.accept().unwrap().0)
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn in_actor(test: impl FnOnce() + Send) {
    within(PATIENCE, || on_tokio(1).run(test));
}

fn is_nonblocking(socket: &impl AsFd) -> bool {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(socket.as_fd().as_raw_fd(), libc::F_GETFL) };
    assert_ne!(flags, -1);
    flags & libc::O_NONBLOCK != 0
}

#[test]
fn a_stream_moves_there_and_back_while_it_is_used() {
    in_actor(|| {
        let (mut near, mut far) = pair();
        near.set_nodelay(true).unwrap();
        let address = near.local_addr().unwrap();
        let echo = smarm::spawn_local(move || {
            let mut buf = [0; 5];
            while far.read_exact(&mut buf).is_ok() {
                far.write_all(&buf).unwrap();
            }
        });
        let mut buf = [0; 5];
        for _ in 0..20 {
            // Each side waits, and so is registered with the one epoll.
            near.write_all(b"smarm").unwrap();
            near.read_exact(&mut buf).unwrap();
            assert_eq!(&buf, b"smarm");
            let mut there = near.into_tokio().unwrap();
            assert!(is_nonblocking(&there));
            assert!(there.nodelay().unwrap());
            assert_eq!(there.local_addr().unwrap(), address);
            await_future(async {
                there.write_all(b"tokio").await.unwrap();
                there.read_exact(&mut buf).await.unwrap();
            });
            assert_eq!(&buf, b"tokio");
            near = there.into_smarm().unwrap();
            assert!(is_nonblocking(&near));
        }
        drop(near);
        echo.join().unwrap();
    });
}

#[test]
fn after_a_move_nobody_else_keeps_the_connection_open() {
    in_actor(|| {
        let (near, mut far) = pair();
        near.set_read_timeout(Some(MOMENT)).unwrap();
        (&near).read(&mut [0]).unwrap_err(); // registered
        let there = near.into_tokio().unwrap();
        far.set_read_timeout(Some(MOMENT)).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        far.set_read_timeout(None).unwrap();
        drop(there);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);

        let (near, mut far) = pair();
        let near = near.into_tokio().unwrap().into_smarm().unwrap();
        drop(near);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn what_a_std_reader_has_buffered_moves_to_tokio() {
    in_actor(|| {
        let (near, mut far) = pair();
        far.write_all(b"head\nbody, ").unwrap();
        let mut near = BufReader::new(near);
        let mut head = String::new();
        near.read_line(&mut head).unwrap();
        assert_eq!(head, "head\n");
        assert!(!near.buffer().is_empty());
        let mut near: Unread<tokio::net::TcpStream> = near.into_tokio().unwrap();
        assert_eq!(near.unread(), b"body, ");
        far.write_all(b"and more").unwrap();
        await_future(async {
            let mut body = [0; 3];
            near.read_exact(&mut body).await.unwrap();
            assert_eq!(&body, b"bod");
            // What goes the other way overtakes nothing.
            near.write_all(b"answer").await.unwrap();
            near.shutdown().await.unwrap();
        });
        let mut answer = String::new();
        far.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
        drop(far);
        // On the way back, what is still unread comes along.
        let mut near: Unread<TcpStream> = near.into_smarm().unwrap();
        let mut body = String::new();
        near.read_to_string(&mut body).unwrap();
        assert_eq!(body, "y, and more");
    });
}

#[test]
fn what_a_tokio_reader_has_buffered_moves_to_smarm() {
    in_actor(|| {
        let (near, mut far) = pair();
        far.write_all(b"first\nsecond\nthi").unwrap();
        let near = near.into_tokio().unwrap();
        let mut near = SyncIo::new(tokio::io::BufReader::new(near));
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = String::new();
        near.read_line(&mut line).unwrap();
        assert_eq!(line, "first\n");
        let near: Unread<TcpStream> = near.into_smarm().unwrap();
        far.write_all(b"rd\n").unwrap();
        drop(far);
        let lines: Vec<_> = BufReader::new(near).lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["second", "third"]);
    });
}

#[test]
fn readers_around_readers_keep_their_bytes_in_order() {
    in_actor(|| {
        let (near, mut far) = pair();
        far.write_all(b"abcdefgh").unwrap();
        drop(far);
        let inner = tokio::io::BufReader::new(near.into_tokio().unwrap());
        let mut outer = BufReader::with_capacity(2, SyncIo::new(inner));
        let mut one = [0];
        outer.read_exact(&mut one).unwrap();
        assert_eq!(outer.buffer(), b"b");
        let mut all: Unread<Unread<TcpStream>> = outer.into_smarm().unwrap();
        assert_eq!((all.unread(), all.get_ref().unread()), (&b"b"[..], &b"cdefgh"[..]));
        let mut text = String::new();
        all.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bcdefgh");
    });
}

#[test]
fn a_reader_around_async_io_moves_with_its_bytes() {
    in_actor(|| {
        let (near, mut far) = pair();
        far.write_all(b"one\ntwo\n").unwrap();
        drop(far);
        let mut reader = tokio::io::BufReader::new(AsyncIo::new(near));
        let mut line = String::new();
        await_future(reader.read_line(&mut line)).unwrap();
        let mut near: Unread<tokio::net::TcpStream> = reader.into_tokio().unwrap();
        await_future(near.read_to_string(&mut line)).unwrap();
        assert_eq!(line, "one\ntwo\n");
    });
}

#[test]
fn a_writer_moves_once_it_is_flushed() {
    in_actor(|| {
        let (near, mut far) = pair();
        let mut writer = BufWriter::new(near);
        writer.write_all(b"from smarm, ").unwrap();
        let refused = writer.into_tokio().unwrap_err();
        assert_eq!(refused.error().kind(), ErrorKind::InvalidInput);
        let mut writer = refused.into_socket();
        writer.flush().unwrap();
        let mut writer = tokio::io::BufWriter::new(writer.into_tokio().unwrap());
        await_future(writer.write_all(b"from tokio")).unwrap();
        let (error, mut writer) = writer.into_smarm().unwrap_err().into_parts();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        await_future(writer.flush()).unwrap();
        drop(writer.into_smarm().unwrap());
        let mut all = String::new();
        far.read_to_string(&mut all).unwrap();
        assert_eq!(all, "from smarm, from tokio");
    });
}

#[test]
fn outside_tokio_the_socket_comes_back_with_its_bytes() {
    within(PATIENCE, || {
        let (near, mut far) = pair();
        far.write_all(b"one\ntwo\n").unwrap();
        drop(far);
        let mut near = BufReader::new(near);
        let mut line = String::new();
        near.read_line(&mut line).unwrap();
        let refused = near.into_tokio().unwrap_err();
        assert_eq!(refused.error().kind(), ErrorKind::Unsupported);
        assert!(refused.to_string().contains("smarm_compat::run"));
        refused.into_socket().read_line(&mut line).unwrap();
        assert_eq!(line, "one\ntwo\n");
    });
}

#[test]
fn without_a_descriptor_to_spare_the_socket_comes_back() {
    child::run_well(|| {
        on_tokio(1).run(|| {
            let (near, mut far) = pair();
            let there = near.into_tokio().unwrap();
            let mut near = BufReader::new(pair().0);
            far.write_all(b"still here").unwrap();

            // The lowest that is free, so that the limit leaves none.
            let next = there.as_fd().try_clone_to_owned().unwrap().as_raw_fd();
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is valid for the calls.
            unsafe {
                assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
                limit.rlim_cur = next as libc::rlim_t;
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            }
            let (error, there) = there.into_smarm().unwrap_err().into_parts();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            let refused = near.into_tokio().unwrap_err();
            assert_eq!(refused.error().raw_os_error(), Some(libc::EMFILE));
            near = refused.into_socket();
            limit.rlim_cur = limit.rlim_max.min(512);
            // SAFETY: as above.
            unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0) };

            let mut heard = [0; 10];
            there.into_smarm().unwrap().read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"still here");
            drop(near.into_tokio().unwrap());
        });
    });
}

#[test]
fn a_listener_moves_there_and_back() {
    in_actor(|| {
        let (listener, address) = listen();
        assert_eq!(
            listener.accept_deadline(std::time::Instant::now() + MOMENT).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        let listener = listener.into_tokio().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (_, peer) = await_future(listener.accept()).unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let listener = listener.into_smarm().unwrap();
        let client = await_future(tokio::net::TcpStream::connect(address)).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn datagram_and_unix_sockets_move_there_and_back() {
    in_actor(|| {
        let mut buf = [0; 8];
        let (near, far) = (bound(), bound());
        let address = near.local_addr().unwrap();
        let there = near.into_tokio().unwrap();
        far.send_to(b"udp", address).unwrap();
        assert_eq!(await_future(there.recv(&mut buf)).unwrap(), 3);
        let near = there.into_smarm().unwrap();
        far.send_to(b"smarm", address).unwrap();
        assert_eq!(near.recv(&mut buf).unwrap(), 5);

        let (near, far) = UnixStream::pair().unwrap();
        let mut near = near.into_tokio().unwrap();
        (&far).write_all(b"one\n").unwrap();
        await_future(near.read_exact(&mut buf[..4])).unwrap();
        let near = near.into_smarm().unwrap();
        await_future(AsyncIo::new(&far).write_all(b"two\n")).unwrap();
        (&near).read_exact(&mut buf[..4]).unwrap();
        assert_eq!(&buf[..4], b"two\n");

        let (near, far) = UnixDatagram::pair().unwrap();
        let near = near.into_tokio().unwrap();
        far.send(b"datagram").unwrap();
        assert_eq!(await_future(near.recv(&mut buf)).unwrap(), 8);
        assert_eq!(near.into_smarm().unwrap().send(b"back").unwrap(), 4);

        let path = std::env::temp_dir().join(format!("smarm-convert-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap().into_tokio().unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        await_future(listener.accept()).unwrap();
        let listener = listener.into_smarm().unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        std::fs::remove_file(&path).unwrap();
    });
}

fn bound() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn timeouts_stay_with_the_handle_that_they_were_set_on() {
    in_actor(|| {
        let (near, _far) = pair();
        near.set_read_timeout(Some(MOMENT)).unwrap();
        let near = near.into_tokio().unwrap().into_smarm().unwrap();
        assert_eq!(near.read_timeout().unwrap(), None);
    });
}

#[test]
fn a_socket_of_stds_that_blocks_comes_through_smarm_to_tokio() {
    in_actor(|| {
        let (near, mut far) = pair();
        let near = std::net::TcpStream::try_from(near).unwrap();
        assert!(!is_nonblocking(&near));
        let mut near = TcpStream::from(OwnedFd::from(near)).into_tokio().unwrap();
        assert!(is_nonblocking(&near));
        far.write_all(b"x").unwrap();
        await_future(near.read_exact(&mut [0])).unwrap();
    });
}

#[test]
fn unread_bytes_come_first_however_they_are_read() {
    let make = || Unread::new(b"abcd".to_vec(), &b"efgh"[..]);
    let mut reader = make();
    let (mut first, mut second) = ([0; 3], [0; 3]);
    let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(reader.read_vectored(&mut bufs).unwrap(), 4);
    assert_eq!((&first, &second[..1]), (b"abc", &b"d"[..]));
    assert_eq!(reader.read_vectored(&mut [IoSliceMut::new(&mut first)]).unwrap(), 3);
    assert_eq!(reader.into_parts(), (vec![], &b"h"[..]));

    let mut reader = make();
    Read::read_exact(&mut reader, &mut first).unwrap();
    assert_eq!(reader.unread(), b"d");
    assert_eq!(reader.clone().into_parts(), (b"d".to_vec(), &b"efgh"[..]));
    assert_eq!(reader.clone().map(|rest| &rest[2..]).into_parts(), (b"d".to_vec(), &b"gh"[..]));
    assert_eq!(reader.fill_buf().unwrap(), b"d");
    reader.consume(1);
    assert_eq!(reader.fill_buf().unwrap(), b"efgh");
    reader.consume(1);
    assert_eq!(reader.into_parts(), (vec![], &b"fgh"[..]));

    let std = Unread::from(BufReader::new(&b"xyz"[..]));
    assert_eq!(std.into_parts(), (vec![], &b"xyz"[..]));
    let mut std = BufReader::new(&b"xyz"[..]);
    std.fill_buf().unwrap();
    assert_eq!(Unread::from(std).into_parts(), (b"xyz".to_vec(), &b""[..]));
}
