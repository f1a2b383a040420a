use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::thread;

use super::*;
use crate::host::epoll::Epoll;
use crate::host::testing::run;
use crate::net::TcpListener;
use crate::net::byte_stream::IOV_MAX;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Bytes of which each place tells where it was.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways_on_plain_threads() {
    let (mut client, mut server) = pair();
    let echo = thread::spawn(move || io::copy(&mut server.try_clone().unwrap(), &mut server).unwrap());
    let sent = pattern(3 << 20);
    let writer = {
        let (mut client, sent) = (client.try_clone().unwrap(), sent.clone());
        thread::spawn(move || {
            client.write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        })
    };
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert!(received == sent);
    assert_eq!(echo.join().unwrap(), sent.len() as u64);
    writer.join().unwrap();
}

#[test]
fn bytes_go_both_ways_in_the_reactor() {
    let epoll = Epoll::new().unwrap();
    let (client, server) = pair();
    let sent = pattern(3 << 20);
    let peer = {
        let sent = sent.clone();
        thread::spawn(move || {
            let mut writer = client.try_clone().unwrap();
            let sender = thread::spawn(move || {
                writer.write_all(&sent).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            (&client).read_to_end(&mut received).unwrap();
            sender.join().unwrap();
            received
        })
    };
    run(&epoll, async {
        let mut buf = [0; 10_000];
        loop {
            let count = poll_fn(|cx| server.poll_read(cx, &mut buf)).await.unwrap();
            if count == 0 {
                break;
            }
            let mut rest = &buf[..count];
            while !rest.is_empty() {
                let count = poll_fn(|cx| server.poll_write(cx, rest)).await.unwrap();
                rest = &rest[count..];
            }
        }
    });
    server.shutdown(Shutdown::Write).unwrap();
    assert!(peer.join().unwrap() == sent);
}

#[test]
fn a_read_runs_out_of_time() {
    let (client, _server) = pair();
    client.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    let before = Instant::now();
    assert_eq!((&client).read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(before.elapsed() >= Duration::from_millis(2));
    assert_eq!(client.peek(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn a_write_runs_out_of_time() {
    let (client, _server) = pair();
    client.set_write_timeout(Some(Duration::from_millis(2))).unwrap();
    let error = loop {
        if let Err(error) = (&client).write(&[0; 65536]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn timeouts_belong_to_the_handle_and_zero_is_refused() {
    let (client, _server) = pair();
    assert_eq!(client.read_timeout().unwrap(), None);
    let spans = (Duration::from_secs(3), Duration::MAX);
    client.set_read_timeout(Some(spans.0)).unwrap();
    client.set_write_timeout(Some(spans.1)).unwrap();
    assert_eq!(client.read_timeout().unwrap(), Some(spans.0));
    assert!(client.write_timeout().unwrap().unwrap() > Duration::from_secs(1 << 33));
    let clone = client.try_clone().unwrap();
    assert_eq!(clone.read_timeout().unwrap(), Some(spans.0));
    clone.set_read_timeout(None).unwrap();
    assert_eq!(clone.read_timeout().unwrap(), None);
    assert_eq!(client.read_timeout().unwrap(), Some(spans.0));
    let zero = Some(Duration::ZERO);
    assert_eq!(client.set_read_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(client.set_write_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn vectors_are_read_and_written_in_one_call() {
    let (client, server) = pair();
    let bufs = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defg")];
    assert_eq!((&client).write_vectored(&bufs).unwrap(), 7);
    client.shutdown(Shutdown::Write).unwrap();
    let (mut first, mut second) = ([0; 4], [0; 4]);
    let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!((&server).read_vectored(&mut bufs).unwrap(), 7);
    assert_eq!((&first, &second[..3]), (b"abcd", &b"efg"[..]));
    let many = vec![IoSlice::new(b"x"); IOV_MAX + 1];
    assert_eq!((&server).write_vectored(&many).unwrap(), IOV_MAX);
}

#[test]
fn an_empty_buffer_never_waits() {
    let (client, _server) = pair();
    assert_eq!((&client).read(&mut []).unwrap(), 0);
    assert_eq!((&client).read_vectored(&mut []).unwrap(), 0);
    assert_eq!((&client).write(&[]).unwrap(), 0);
    assert_eq!(client.peek(&mut []).unwrap(), 0);
}

#[test]
fn peek_takes_nothing() {
    let (client, server) = pair();
    (&client).write_all(b"abc").unwrap();
    let mut buf = [0; 8];
    assert_eq!(server.peek(&mut buf).unwrap(), 3);
    assert_eq!((&server).read(&mut buf).unwrap(), 3);
    assert_eq!(&buf[..3], b"abc");
}

#[test]
fn after_a_peek_a_read_is_still_ready() {
    let epoll = Epoll::new().unwrap();
    let (client, server) = pair();
    // SAFETY: the guard ends with this function, before the reactor.
    let _entered = unsafe { crate::host::enter(&epoll) };
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut buf = [0; 8];
    assert!(server.poll_read(&mut cx, &mut buf).is_pending());
    (&client).write_all(b"abc").unwrap();
    epoll.wait(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(server.peek(&mut buf).unwrap(), 3);
    assert!(matches!(server.poll_read(&mut cx, &mut buf), Poll::Ready(Ok(3))));
    assert!(server.poll_read(&mut cx, &mut buf).is_pending());
}

#[test]
fn a_refused_connection_is_an_error_and_the_next_address_is_tried() {
    // A port that is in use, but at which nobody listens.
    let (client, _server) = pair();
    let nobody = client.local_addr().unwrap();
    assert_eq!(TcpStream::connect(nobody).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    assert_eq!(TcpStream::connect(&[nobody, addr][..]).unwrap().peer_addr().unwrap(), addr);
    assert_eq!(TcpStream::connect(&[][..]).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_connection_that_nobody_answers_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // SAFETY: listen takes no pointers; here it shortens the queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let mut queued = Vec::new();
    let error = loop {
        match TcpStream::connect_timeout(&addr, Duration::from_millis(30)) {
            Ok(stream) => queued.push(stream),
            Err(error) => break error,
        }
        assert!(queued.len() < 100, "the queue has no end");
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = TcpStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_connection_in_progress_is_awaited_in_the_reactor() {
    let epoll = Epoll::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // SAFETY: listen takes no pointers; here it shortens the queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(30)) {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue has no end");
    }
    let (stream, in_progress) = begin_connect(&addr).unwrap();
    assert!(in_progress);
    let server = thread::spawn(move || {
        let peers: Vec<_> = (0..=queued.len()).map(|_| listener.accept().unwrap().1).collect();
        drop(queued);
        peers
    });
    run(
        &epoll,
        poll_fn(|cx| stream.socket.poll(Direction::Write, cx, &mut || attempt_to_find_connected(&stream))),
    )
    .unwrap();
    assert!(server.join().unwrap().contains(&stream.local_addr().unwrap()));
}

#[test]
fn a_reset_connection_ends_a_wait_with_its_error() {
    let (client, server) = pair();
    (&client).write_all(b"unread").unwrap();
    server.peek(&mut [0]).unwrap();
    // Closing with bytes unread resets.
    drop(server);
    assert_eq!((&client).read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn settings_and_conversions_are_those_of_std() {
    let (client, server) = pair();
    client.set_nodelay(true).unwrap();
    assert!(client.nodelay().unwrap());
    client.set_ttl(42).unwrap();
    assert_eq!(client.ttl().unwrap(), 42);
    assert!(client.take_error().unwrap().is_none());
    let addr = client.local_addr().unwrap();
    assert!(format!("{client:?}").contains(&addr.to_string()));
    let mut inner = std::net::TcpStream::try_from(client).unwrap();
    let writer = thread::spawn(move || (&server).write_all(b"abc").map(|()| server));
    // Blocking again, or this could fail.
    inner.read_exact(&mut [0; 3]).unwrap();
    let _server = writer.join().unwrap().unwrap();
    let client = TcpStream::try_from(inner).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert_eq!((&client).read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    let client = TcpStream::from(OwnedFd::from(client));
    assert_eq!(client.local_addr().unwrap(), addr);
}

#[test]
fn streams_go_to_other_threads() {
    fn shared<T: Send + Sync + Unpin>() {}
    shared::<TcpStream>();
    shared::<TcpListener>();
}
