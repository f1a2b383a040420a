//! What the documentation of `std::net` and `std::os::unix::net` shows of each method, said again for
//! `smarm::net`: in an actor, in an actor on tokio, and on a plain thread.

use std::io::{self, ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use smarm::net::unix::SocketAddr as UnixAddr;
use smarm::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, ToSocketAddrs,
    UdpSocket, UnixDatagram, UnixListener, UnixStream,
};
use smarm_workspace::{PATIENCE, nobody_beside, within, workers};

use crate::bridge_support::on_tokio;

/// Runs an example wherever a program may be.
fn everywhere(example: fn() -> io::Result<()>) {
    within(PATIENCE, || {
        workers(1).run(example).unwrap();
        on_tokio(1).run(example).unwrap();
        example().unwrap();
    });
}

/// Starts something beside the example: an actor, or on a plain thread a thread.
fn beside<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Box<dyn FnOnce() -> T> {
    if smarm::try_self_pid().is_some() {
        let actor = smarm::spawn(f);
        Box::new(|| actor.join().unwrap())
    } else {
        let thread = std::thread::spawn(f);
        Box::new(|| thread.join().unwrap())
    }
}

/// Both ends of a connection.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    Ok((near, listener.accept()?.0))
}

/// Two sockets that are connected with each other.
fn connected() -> io::Result<(UdpSocket, UdpSocket)> {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    Ok((near, far))
}

/// A path that nobody else has, whose socket is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("smarm-net-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
        Self(std::env::temp_dir().join(name))
    }
}

impl AsRef<std::path::Path> for Place {
    fn as_ref(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn localhost(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const MOMENT: Duration = Duration::from_millis(2);

/// Timeouts are kept, and none of zero is taken.
macro_rules! timeouts {
    ($socket:expr) => {{
        let socket = $socket;
        assert_eq!(socket.read_timeout()?, None);
        socket.set_read_timeout(Some(PATIENCE))?;
        assert_eq!(socket.read_timeout()?, Some(PATIENCE));
        socket.set_read_timeout(None)?;
        assert_eq!(socket.read_timeout()?, None);
        let zero = Some(Duration::ZERO);
        assert_eq!(socket.set_read_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.write_timeout()?, None);
        socket.set_write_timeout(Some(PATIENCE))?;
        assert_eq!(socket.write_timeout()?, Some(PATIENCE));
        assert_eq!(socket.set_write_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.write_timeout()?, Some(PATIENCE));
        assert!(socket.take_error()?.is_none());
    }};
}

// ------------------------------------------------------------------------------------- TcpStream

#[test]
fn tcp_stream_writes_reads_and_closes() {
    everywhere(|| {
        let (mut near, mut far) = connection()?;
        near.write_all(&[1])?;
        assert_eq!(far.read(&mut [0; 128])?, 1);
        drop(near); // the stream is closed here
        assert_eq!(far.read(&mut [0; 128])?, 0);
        Ok(())
    });
}

#[test]
fn tcp_stream_connects_to_one_of_several_addresses() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let nobody = nobody_beside(listener.local_addr()?);
        let addresses = [nobody, listener.local_addr()?];
        assert_eq!(TcpStream::connect(&addresses[..])?.peer_addr()?, addresses[1]);
        assert_eq!(TcpStream::connect(nobody).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let stream = TcpStream::connect_timeout(&addresses[1], PATIENCE)?;
        assert_eq!(stream.peer_addr()?, addresses[1]);
        let name = format!("localhost:{}", addresses[1].port());
        assert_eq!(TcpStream::connect(&*name)?.peer_addr()?.port(), addresses[1].port());
        Ok(())
    });
}

#[test]
fn tcp_stream_knows_its_addresses() {
    everywhere(|| {
        let (near, far) = connection()?;
        assert_eq!(near.peer_addr()?, far.local_addr()?);
        assert_eq!(near.local_addr()?.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        Ok(())
    });
}

#[test]
fn tcp_stream_shuts_down() {
    everywhere(|| {
        let (mut near, mut far) = connection()?;
        near.shutdown(Shutdown::Both)?;
        assert_eq!(far.read(&mut [0])?, 0);
        assert_eq!(near.read(&mut [0])?, 0);
        assert_eq!(near.write(&[0]).unwrap_err().kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn tcp_stream_is_cloned() {
    everywhere(|| {
        let (near, mut far) = connection()?;
        let mut clone = near.try_clone()?;
        drop(near);
        clone.write_all(b"by the clone")?;
        drop(clone);
        let mut text = String::new();
        far.read_to_string(&mut text)?;
        assert_eq!(text, "by the clone");
        Ok(())
    });
}

#[test]
fn tcp_stream_has_timeouts() {
    everywhere(|| {
        let (mut near, _far) = connection()?;
        timeouts!(&near);
        near.set_read_timeout(Some(MOMENT))?;
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        let zero = TcpStream::connect_timeout(&localhost(1), Duration::ZERO);
        assert_eq!(zero.unwrap_err().kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn tcp_stream_peeks() {
    everywhere(|| {
        let (mut near, mut far) = connection()?;
        far.write_all(b"here")?;
        let mut buf = [0; 10];
        assert_eq!(near.peek(&mut buf)?, 4);
        assert_eq!(near.peek(&mut buf)?, 4);
        assert_eq!(near.read(&mut buf)?, 4);
        Ok(())
    });
}

#[test]
fn tcp_stream_has_options() {
    everywhere(|| {
        let (near, _far) = connection()?;
        near.set_nodelay(true)?;
        assert!(near.nodelay()?);
        near.set_ttl(100)?;
        assert_eq!(near.ttl()?, 100);
        assert!(near.take_error()?.is_none());
        Ok(())
    });
}

#[test]
fn tcp_stream_does_not_block_if_it_shall_not() {
    everywhere(|| {
        let (mut near, mut far) = connection()?;
        near.set_nonblocking(true)?;
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(near.try_clone()?.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        far.write_all(b"x")?;
        smarm::io::wait_readable(&near)?;
        assert_eq!(near.read(&mut [0])?, 1);
        near.set_nonblocking(false)?;
        let writer = beside(move || far.write_all(b"y"));
        assert_eq!(near.read(&mut [0])?, 1);
        writer()
    });
}

// ----------------------------------------------------------------------------------- TcpListener

#[test]
fn tcp_listener_serves_who_comes_in() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = beside(move || {
            for stream in listener.incoming().take(3) {
                stream?.write_all(b"served")?;
            }
            io::Result::Ok(())
        });
        for _ in 0..3 {
            let mut text = String::new();
            TcpStream::connect(address)?.read_to_string(&mut text)?;
            assert_eq!(text, "served");
        }
        server()
    });
}

#[test]
fn tcp_listener_binds_one_of_several_addresses() {
    everywhere(|| {
        let first = TcpListener::bind("127.0.0.1:0")?;
        let taken = first.local_addr()?;
        assert_ne!(taken.port(), 0); // the system has chosen one
        assert_eq!(TcpListener::bind(taken).unwrap_err().kind(), ErrorKind::AddrInUse);
        let second = TcpListener::bind(&[taken, localhost(0)][..])?;
        assert_ne!(second.local_addr()?, taken);
        Ok(())
    });
}

#[test]
fn tcp_listener_accepts_and_names_the_peer() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, peer) = listener.accept()?;
        assert_eq!(peer, client.local_addr()?);
        assert_eq!(server.peer_addr()?, peer);
        let clone = listener.try_clone()?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        assert_eq!(clone.accept()?.1, client.local_addr()?);
        Ok(())
    });
}

#[test]
fn tcp_listener_has_options() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_ttl(100)?;
        assert_eq!(listener.ttl()?, 100);
        assert!(listener.take_error()?.is_none());
        listener.set_nonblocking(true)?;
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(listener.incoming().next().unwrap().unwrap_err().kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

// --------------------------------------------------------------------------------- ToSocketAddrs

#[test]
fn addresses_come_from_what_std_takes() {
    everywhere(|| {
        let addr = localhost(443);
        assert_eq!(addr.to_socket_addrs()?.collect::<Vec<_>>(), [addr]);
        assert_eq!("127.0.0.1:443".to_socket_addrs()?.next(), Some(addr));
        assert_eq!(("127.0.0.1", 443).to_socket_addrs()?.next(), Some(addr));
        assert_eq!(String::from("127.0.0.1:443").to_socket_addrs()?.next(), Some(addr));
        assert_eq!((String::from("127.0.0.1"), 443).to_socket_addrs()?.next(), Some(addr));
        assert_eq!((Ipv4Addr::LOCALHOST, 443).to_socket_addrs()?.next(), Some(addr));
        assert_eq!((IpAddr::from(Ipv4Addr::LOCALHOST), 443).to_socket_addrs()?.next(), Some(addr));
        assert_eq!(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 443).to_socket_addrs()?.next(), Some(addr));
        let six = (Ipv6Addr::LOCALHOST, 443).to_socket_addrs()?.next().unwrap();
        let both = [addr, six];
        assert_eq!((&both[..]).to_socket_addrs()?.collect::<Vec<_>>(), both);
        assert!(("localhost", 443).to_socket_addrs()?.all(|found| found.ip().is_loopback()));
        assert_eq!("127.0.0.1".to_socket_addrs().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!("no.such.name.invalid:1".to_socket_addrs().is_err());
        Ok(())
    });
}

// ------------------------------------------------------------------------------------- UdpSocket

#[test]
fn udp_socket_echoes_backwards() {
    everywhere(|| {
        let server = UdpSocket::bind("127.0.0.1:0")?;
        let address = server.local_addr()?;
        let echo = beside(move || {
            let mut buf = [0; 10];
            let (count, from) = server.recv_from(&mut buf)?;
            let said = &mut buf[..count];
            said.reverse();
            server.send_to(said, from)
        });
        let client = UdpSocket::bind("127.0.0.1:0")?;
        assert_eq!(client.send_to(b"stressed", address)?, 8);
        let mut buf = [0; 10];
        assert_eq!(client.recv_from(&mut buf)?, (8, address));
        assert_eq!(&buf[..8], b"desserts");
        assert_eq!(echo()?, 8);
        Ok(())
    });
}

#[test]
fn udp_socket_binds_one_of_several_addresses() {
    everywhere(|| {
        let first = UdpSocket::bind("127.0.0.1:0")?;
        let taken = first.local_addr()?;
        assert_eq!(UdpSocket::bind(taken).unwrap_err().kind(), ErrorKind::AddrInUse);
        let second = UdpSocket::bind(&[taken, localhost(0)][..])?;
        assert_ne!(second.local_addr()?, taken);
        assert_eq!(UdpSocket::bind(&[][..]).unwrap_err().kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn udp_socket_cuts_off_what_has_no_room() {
    everywhere(|| {
        let (near, far) = connected()?;
        far.send(b"too long")?;
        far.send(b"next")?;
        let mut buf = [0; 4];
        assert_eq!(near.recv(&mut buf)?, 4);
        assert_eq!(&buf, b"too ");
        assert_eq!(near.recv(&mut buf)?, 4);
        assert_eq!(&buf, b"next");
        Ok(())
    });
}

#[test]
fn udp_socket_peeks() {
    everywhere(|| {
        let (near, far) = connected()?;
        far.send(b"datagram")?;
        let mut buf = [0; 10];
        assert_eq!(near.peek(&mut buf)?, 8);
        assert_eq!(near.peek_from(&mut buf)?, (8, far.local_addr()?));
        assert_eq!(near.recv(&mut buf)?, 8);
        Ok(())
    });
}

#[test]
fn udp_socket_is_connected_or_not() {
    everywhere(|| {
        let (near, far) = connected()?;
        assert_eq!(near.peer_addr()?, far.local_addr()?);
        let alone = UdpSocket::bind("127.0.0.1:0")?;
        assert_eq!(alone.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        // What others send is not received.
        alone.send_to(b"stranger", near.local_addr()?)?;
        far.send(b"friend")?;
        let mut buf = [0; 10];
        assert_eq!(near.recv(&mut buf)?, 6);
        Ok(())
    });
}

#[test]
fn udp_socket_learns_that_nobody_listens() {
    everywhere(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // Whoever has this port receives from another one only.
        let deaf = UdpSocket::bind("127.0.0.1:0")?;
        deaf.connect(localhost(1))?;
        socket.connect(deaf.local_addr()?)?;
        socket.send(b"anybody?")?;
        assert_eq!(socket.recv(&mut [0; 10]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn udp_socket_is_cloned() {
    everywhere(|| {
        let (near, far) = connected()?;
        let clone = near.try_clone()?;
        drop(near);
        far.send(b"x")?;
        assert_eq!(clone.recv(&mut [0; 2])?, 1);
        Ok(())
    });
}

#[test]
fn udp_socket_has_timeouts() {
    everywhere(|| {
        let (near, _far) = connected()?;
        timeouts!(&near);
        near.set_read_timeout(Some(MOMENT))?;
        let mut buf = [0; 4];
        assert_eq!(near.recv(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(near.recv_from(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(near.peek(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn udp_socket_has_options() {
    everywhere(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_broadcast(true)?;
        assert!(socket.broadcast()?);
        socket.set_multicast_loop_v4(false)?;
        assert!(!socket.multicast_loop_v4()?);
        socket.set_multicast_ttl_v4(42)?;
        assert_eq!(socket.multicast_ttl_v4()?, 42);
        socket.set_ttl(42)?;
        assert_eq!(socket.ttl()?, 42);
        assert!(socket.take_error()?.is_none());
        socket.set_nonblocking(true)?;
        assert_eq!(socket.recv_from(&mut [0; 10]).unwrap_err().kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn udp_socket_joins_and_leaves_groups_as_stds_does() {
    everywhere(|| {
        let ours = UdpSocket::bind("0.0.0.0:0")?;
        let stds = std::net::UdpSocket::bind("0.0.0.0:0")?;
        let (group, any) = (Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::UNSPECIFIED);
        let code = |result: io::Result<()>| result.err().and_then(|error| error.raw_os_error());
        assert_eq!(code(ours.join_multicast_v4(&group, &any)), code(stds.join_multicast_v4(&group, &any)));
        assert_eq!(code(ours.leave_multicast_v4(&group, &any)), code(stds.leave_multicast_v4(&group, &any)));
        let (Ok(ours), Ok(stds)) = (UdpSocket::bind("[::]:0"), std::net::UdpSocket::bind("[::]:0")) else {
            return Ok(()); // a machine without IPv6
        };
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
        assert_eq!(code(ours.join_multicast_v6(&group, 0)), code(stds.join_multicast_v6(&group, 0)));
        assert_eq!(code(ours.leave_multicast_v6(&group, 0)), code(stds.leave_multicast_v6(&group, 0)));
        ours.set_multicast_loop_v6(false)?;
        assert!(!ours.multicast_loop_v6()?);
        Ok(())
    });
}

// ------------------------------------------------------------------------------------ UnixStream

#[test]
fn unix_stream_writes_and_reads() {
    everywhere(|| {
        let place = Place::new();
        let listener = UnixListener::bind(&place)?;
        let mut near = UnixStream::connect(&place)?;
        let (mut far, _) = listener.accept()?;
        near.write_all(b"hello world")?;
        near.shutdown(Shutdown::Write)?;
        let mut text = String::new();
        far.read_to_string(&mut text)?;
        assert_eq!(text, "hello world");
        assert_eq!(near.peer_addr()?.as_pathname(), Some(&*place.0));
        assert_eq!(far.local_addr()?.as_pathname(), Some(&*place.0));
        assert!(near.local_addr()?.is_unnamed());
        Ok(())
    });
}

#[test]
fn unix_stream_connects_to_where_somebody_listens() {
    everywhere(|| {
        let place = Place::new();
        assert_eq!(UnixStream::connect(&place).unwrap_err().kind(), ErrorKind::NotFound);
        let name = format!("smarm-{}", place.0.display());
        let name = UnixAddr::from_abstract_name(name)?;
        assert_eq!(UnixStream::connect_addr(&name).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let listener = UnixListener::bind_addr(&name)?;
        let stream = UnixStream::connect_addr(&name)?;
        assert_eq!(stream.peer_addr()?.as_abstract_name(), name.as_abstract_name());
        assert!(listener.accept()?.1.is_unnamed());
        let too_long = "x".repeat(200);
        assert_eq!(UnixStream::connect(too_long).unwrap_err().kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn unix_stream_comes_in_pairs_and_is_cloned() {
    everywhere(|| {
        let (near, mut far) = UnixStream::pair()?;
        let mut clone = near.try_clone()?;
        drop(near);
        let writer = beside(move || clone.write_all(b"by the clone"));
        let mut text = String::new();
        far.read_to_string(&mut text)?;
        assert_eq!(text, "by the clone");
        writer()
    });
}

#[test]
fn unix_stream_has_timeouts_and_a_mode() {
    everywhere(|| {
        let (mut near, _far) = UnixStream::pair()?;
        timeouts!(&near);
        near.set_read_timeout(Some(MOMENT))?;
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        near.set_nonblocking(true)?;
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

// ---------------------------------------------------------------------------------- UnixListener

#[test]
fn unix_listener_serves_who_comes_in() {
    everywhere(|| {
        let place = Place::new();
        let listener = UnixListener::bind(&place)?;
        assert_eq!(UnixListener::bind(&place).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(listener.local_addr()?.as_pathname(), Some(&*place.0));
        let server = beside(move || {
            for stream in listener.incoming().take(2) {
                stream?.write_all(b"served")?;
            }
            for stream in (&listener).into_iter().take(1) {
                stream?.write_all(b"served")?;
            }
            io::Result::Ok(())
        });
        for _ in 0..3 {
            let mut text = String::new();
            UnixStream::connect(&place)?.read_to_string(&mut text)?;
            assert_eq!(text, "served");
        }
        server()
    });
}

#[test]
fn unix_listener_is_cloned_and_has_a_mode() {
    everywhere(|| {
        let place = Place::new();
        let listener = UnixListener::bind(&place)?;
        let clone = listener.try_clone()?;
        let _client = UnixStream::connect(&place)?;
        clone.accept()?;
        let past = std::time::Instant::now();
        assert_eq!(listener.accept_deadline(past).unwrap_err().kind(), ErrorKind::TimedOut);
        listener.set_nonblocking(true)?;
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(listener.take_error()?.is_none());
        Ok(())
    });
}

// ---------------------------------------------------------------------------------- UnixDatagram

#[test]
fn unix_datagram_sends_to_paths() {
    everywhere(|| {
        let (here, there) = (Place::new(), Place::new());
        let (near, far) = (UnixDatagram::bind(&here)?, UnixDatagram::bind(&there)?);
        assert_eq!(near.send_to(b"bound", &there)?, 5);
        let mut buf = [0; 100];
        let (count, from) = far.recv_from(&mut buf)?;
        assert_eq!((count, from.as_pathname()), (5, Some(&*here.0)));
        let unbound = UnixDatagram::unbound()?;
        unbound.send_to(b"unbound", &there)?;
        let (count, from) = far.recv_from(&mut buf)?;
        assert!(count == 7 && from.is_unnamed());
        assert_eq!(far.local_addr()?.as_pathname(), Some(&*there.0));
        assert!(unbound.local_addr()?.is_unnamed());
        drop(far);
        assert_eq!(near.send_to(b"x", &there).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn unix_datagram_connects() {
    everywhere(|| {
        let there = Place::new();
        let far = UnixDatagram::bind(&there)?;
        let near = UnixDatagram::unbound()?;
        assert_eq!(near.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        near.connect(&there)?;
        assert_eq!(near.peer_addr()?.as_pathname(), Some(&*there.0));
        assert_eq!(near.send(b"omelette")?, 8);
        let mut buf = [0; 100];
        assert_eq!(far.recv(&mut buf)?, 8);
        let name = UnixAddr::from_abstract_name(format!("smarm-{}", there.0.display()))?;
        let named = UnixDatagram::bind_addr(&name)?;
        near.connect_addr(&name)?;
        near.send(b"to a name")?;
        assert_eq!(named.recv(&mut buf)?, 9);
        near.send_to_addr(b"again", &name)?;
        assert_eq!(named.recv(&mut buf)?, 5);
        Ok(())
    });
}

#[test]
fn unix_datagram_comes_in_pairs_and_is_cloned() {
    everywhere(|| {
        let (near, far) = UnixDatagram::pair()?;
        let clone = near.try_clone()?;
        drop(near);
        far.send(b"hello")?;
        assert_eq!(clone.recv(&mut [0; 100])?, 5);
        clone.shutdown(Shutdown::Both)?;
        assert_eq!(clone.recv(&mut [0; 100])?, 0);
        Ok(())
    });
}

#[test]
fn unix_datagram_has_timeouts_and_a_mode() {
    everywhere(|| {
        let (near, _far) = UnixDatagram::pair()?;
        timeouts!(&near);
        near.set_read_timeout(Some(MOMENT))?;
        assert_eq!(near.recv(&mut [0; 4]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(near.recv_from(&mut [0; 4]).unwrap_err().kind(), ErrorKind::TimedOut);
        near.set_nonblocking(true)?;
        assert_eq!(near.recv(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}
