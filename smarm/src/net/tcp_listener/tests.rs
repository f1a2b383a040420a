use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::thread;

use super::*;
use crate::host::epoll::Epoll;
use crate::host::testing::run;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

#[test]
fn accept_waits_for_a_connection_and_names_its_peer() {
    let (listener, addr) = listener();
    let client = thread::spawn(move || TcpStream::connect(addr).unwrap());
    let (server, peer) = listener.accept().unwrap();
    let client = client.join().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(server.peer_addr().unwrap(), peer);
    assert_eq!(client.peer_addr().unwrap(), addr);
}

#[test]
fn accept_without_a_connection_times_out() {
    let (listener, addr) = listener();
    let past = Instant::now();
    assert_eq!(listener.accept_deadline(past).unwrap_err().kind(), ErrorKind::TimedOut);
    let _client = TcpStream::connect(addr).unwrap();
    listener.accept_deadline(past).unwrap();
}

#[test]
fn incoming_gives_one_connection_after_the_other() {
    let (listener, addr) = listener();
    let clients = thread::spawn(move || {
        for at in 0..3_u8 {
            TcpStream::connect(addr).unwrap().write_all(&[at]).unwrap();
        }
    });
    for (at, stream) in (0..3_u8).zip(listener.incoming()) {
        let mut bytes = Vec::new();
        stream.unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [at]);
    }
    clients.join().unwrap();
}

#[test]
fn several_waits_share_one_listener_in_the_reactor() {
    const CLIENTS: usize = 50;
    let epoll = Epoll::new().unwrap();
    let (listener, addr) = listener();
    let clients = thread::spawn(move || {
        let streams: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(addr).unwrap()).collect();
        streams.len()
    });
    let other = listener.try_clone().unwrap();
    let mut accepted = 0;
    run(
        &epoll,
        poll_fn(|cx| {
            loop {
                let (first, second) = (listener.poll_accept(cx), other.poll_accept(cx));
                if first.is_pending() && second.is_pending() {
                    return Poll::Pending;
                }
                for result in [first, second] {
                    if let Poll::Ready(result) = result {
                        result.unwrap();
                        accepted += 1;
                    }
                }
                if accepted == CLIENTS {
                    return Poll::Ready(());
                }
            }
        }),
    );
    assert_eq!(clients.join().unwrap(), CLIENTS);
    drop((listener, other));
    assert_eq!(epoll.registered(), 0);
}

#[test]
fn a_bound_address_is_in_use_and_the_next_one_is_tried() {
    let (listener, addr) = listener();
    assert_eq!(TcpListener::bind(addr).unwrap_err().kind(), ErrorKind::AddrInUse);
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let second = TcpListener::bind(&[addr, free][..]).unwrap();
    assert_ne!(second.local_addr().unwrap(), addr);
    assert_eq!(TcpListener::bind(&[][..]).unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(listener);
}

#[test]
fn an_accept_that_fails_gives_its_error() {
    // A datagram socket cannot accept.
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::from(OwnedFd::from(datagrams));
    assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
}

#[test]
fn settings_and_conversions_are_those_of_std() {
    let (listener, addr) = listener();
    listener.set_ttl(42).unwrap();
    assert_eq!(listener.ttl().unwrap(), 42);
    assert!(listener.take_error().unwrap().is_none());
    let inner = std::net::TcpListener::try_from(listener).unwrap();
    let client = thread::spawn(move || std::net::TcpStream::connect(addr).unwrap());
    // Blocking again, or this would fail.
    let (_server, _) = inner.accept().unwrap();
    client.join().unwrap();
    let listener = TcpListener::try_from(inner).unwrap();
    assert_eq!(listener.accept_deadline(Instant::now()).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(format!("{listener:?}").contains(&addr.to_string()));
}
