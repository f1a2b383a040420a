//! UDP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use super::addr::{all, bind_group, first_that_succeeds, no_address, open};
use super::handle::{conversions, handle, time_to_live, timeouts};
use super::socket::Socket;
use super::{ToSocketAddrs, stds};
use crate::host::Direction;
use crate::io::registration::moved;

/// A UDP socket: [`std::net::UdpSocket`] for actors.
///
/// ```
/// use smarm::net::UdpSocket;
///
/// smarm::run(|| {
///     let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
///     let address = far.local_addr()?;
///     let echo = smarm::spawn(move || {
///         let mut buf = [0; 1500];
///         let (len, from) = far.recv_from(&mut buf)?;
///         far.send_to(&buf[..len], from)
///     });
///     near.connect(address)?;
///     near.send(b"hello")?;
///     let mut buf = [0; 1500];
///     assert_eq!(near.recv(&mut buf)?, 5);
///     echo.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UdpSocket {
    socket: Socket<stds::UdpSocket>,
}

conversions!(UdpSocket, std::net::UdpSocket);
handle!(UdpSocket);
timeouts!(UdpSocket);
time_to_live!(UdpSocket);

const RECEIVED: &str = "what was received came from somewhere";

impl UdpSocket {
    /// A socket at the first of the addresses that can be bound. Port 0 lets the system choose one.
    ///
    /// # Errors
    /// Those of resolving `addr`; of the last address tried; [`io::ErrorKind::InvalidInput`] if
    /// there is no address.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        #[cfg(feature = "sim")]
        if let Some(world) = crate::sim::current() {
            return first_that_succeeds(addr, |addr| {
                Ok(UdpSocket { socket: Socket::new(stds::UdpSocket::bind(world.clone(), *addr)?) })
            });
        }
        std::net::UdpSocket::bind(&all(addr)?[..])?.try_into()
    }

    /// As [`bind`](UdpSocket::bind), in a group (`SO_REUSEPORT`): other sockets of the same user may be
    /// bound to the same address in this way, and the system spreads the senders over them.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn bind_reuse_port<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        crate::sim::refuse_real("bind_reuse_port")?;
        first_that_succeeds(addr, |addr| {
            let fd = open(addr, libc::SOCK_DGRAM)?;
            bind_group(fd.as_fd(), addr)?;
            Ok(UdpSocket { socket: Socket::new(fd.into()) })
        })
    }

    /// Waits for a datagram. Gives the number of its bytes and its sender; bytes for which `buf` has no
    /// room are lost.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`; [`io::ErrorKind::TimedOut`] after the read timeout;
    /// [`Cancelled`](crate::io::Cancelled).
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut from = None;
        let count = self.socket.read(|| {
            moved(self.socket.inner().recv_from(buf).map(|(count, sender)| {
                from = Some(sender);
                count
            }))
        })?;
        Ok((count, from.expect(RECEIVED)))
    }

    /// As [`recv_from`](UdpSocket::recv_from), and leaves the datagram there.
    ///
    /// # Errors
    /// As for `recv_from`.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut from = None;
        let count = self.socket.read(|| {
            moved(self.socket.inner().peek_from(buf).map(|(count, sender)| {
                from = Some(sender);
                count
            }))
        })?;
        Ok((count, from.expect(RECEIVED)))
    }

    /// Sends a datagram to the first of the addresses. Gives the number of its bytes.
    ///
    /// # Errors
    /// Those of resolving `addr`, of `sendto(2)`; [`io::ErrorKind::InvalidInput`] if there is no
    /// address; [`io::ErrorKind::TimedOut`] after the write timeout;
    /// [`Cancelled`](crate::io::Cancelled).
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let addr = addr.to_socket_addrs()?.next().ok_or_else(no_address)?;
        self.socket.write(|| moved(self.socket.inner().send_to(buf, addr)))
    }

    /// Sets where [`send`](UdpSocket::send) sends to, to the first of the addresses that the system
    /// accepts; only datagrams from there are received from now on.
    ///
    /// # Errors
    /// As for [`bind`](UdpSocket::bind).
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        self.socket.inner().connect(&all(addr)?[..])
    }

    /// Waits for a datagram from the address that the socket is connected to. Bytes for which `buf` has
    /// no room are lost.
    ///
    /// # Errors
    /// As for [`recv_from`](UdpSocket::recv_from), among them
    /// [`io::ErrorKind::ConnectionRefused`] if nobody listens there.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(|| moved(self.socket.inner().recv(buf)))
    }

    /// As [`recv`](UdpSocket::recv), and leaves the datagram there.
    ///
    /// # Errors
    /// As for `recv`.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(|| moved(self.socket.inner().peek(buf)))
    }

    /// Sends a datagram to the address that the socket is connected to.
    ///
    /// # Errors
    /// Those of `send(2)`, among them [`io::ErrorKind::ConnectionRefused`] for an earlier one;
    /// [`io::ErrorKind::TimedOut`] after the write timeout; [`Cancelled`](crate::io::Cancelled).
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(|| moved(self.socket.inner().send(buf)))
    }

    /// [`recv_from`](UdpSocket::recv_from) for poll functions; timeouts do not apply. Only the waker of
    /// the last call is kept.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`; [`io::ErrorKind::Unsupported`] if it has to wait for the first time on
    /// a thread without a reactor.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut from = None;
        let count = ready!(self.socket.poll(Direction::Read, cx, &mut || {
            moved(self.socket.inner().recv_from(buf).map(|(count, sender)| {
                from = Some(sender);
                count
            }))
        }))?;
        Poll::Ready(Ok((count, from.expect(RECEIVED))))
    }

    /// [`send_to`](UdpSocket::send_to) for poll functions; timeouts do not apply. Only the waker of the
    /// last call is kept.
    ///
    /// # Errors
    /// Those of `sendto(2)`; [`io::ErrorKind::Unsupported`] as for
    /// [`poll_recv_from`](UdpSocket::poll_recv_from).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        addr: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Write, cx, &mut || moved(self.socket.inner().send_to(buf, addr)))
    }

    /// [`recv`](UdpSocket::recv) for poll functions; timeouts do not apply. Only the waker of the last
    /// call is kept.
    ///
    /// # Errors
    /// As for [`poll_recv_from`](UdpSocket::poll_recv_from).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Read, cx, &mut || moved(self.socket.inner().recv(buf)))
    }

    /// [`send`](UdpSocket::send) for poll functions; timeouts do not apply. Only the waker of the last
    /// call is kept.
    ///
    /// # Errors
    /// As for [`poll_send_to`](UdpSocket::poll_send_to).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Write, cx, &mut || moved(self.socket.inner().send(buf)))
    }

    /// The address that the socket is connected to.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotConnected`]; those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().peer_addr()
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }
}

/// Options with a value.
macro_rules! options {
    ($($what:literal, $option:literal, $get:ident, $set:ident, $value:ident: $type:ty;)*) => {
        impl UdpSocket {$(
            #[doc = concat!("Tells ", $what, " (`", $option, "`).")]
            ///
            /// # Errors
            /// Those of `getsockopt(2)`.
            pub fn $get(&self) -> io::Result<$type> {
                self.socket.inner().$get()
            }

            #[doc = concat!("Sets ", $what, " (`", $option, "`).")]
            ///
            /// # Errors
            /// Those of `setsockopt(2)`.
            pub fn $set(&self, $value: $type) -> io::Result<()> {
                self.socket.inner().$set($value)
            }
        )*}
    };
}

options! {
    "whether datagrams may be sent to a broadcast address", "SO_BROADCAST",
        broadcast, set_broadcast, broadcast: bool;
    "whether this host receives its own multicast datagrams", "IP_MULTICAST_LOOP",
        multicast_loop_v4, set_multicast_loop_v4, on: bool;
    "whether this host receives its own multicast datagrams", "IPV6_MULTICAST_LOOP",
        multicast_loop_v6, set_multicast_loop_v6, on: bool;
    "the time to live of sent multicast datagrams, in hops", "IP_MULTICAST_TTL",
        multicast_ttl_v4, set_multicast_ttl_v4, ttl: u32;
}

/// Membership in groups.
macro_rules! groups {
    ($($what:literal, $option:literal, $name:ident, $address:ty, $interface:ty;)*) => {
        impl UdpSocket {$(
            #[doc = concat!($what, " (`", $option, "`).")]
            ///
            /// # Errors
            /// Those of `setsockopt(2)`.
            pub fn $name(&self, group: $address, interface: $interface) -> io::Result<()> {
                self.socket.inner().$name(group, interface)
            }
        )*}
    };
}

groups! {
    "Joins a multicast group, at the interface with that address; unspecified, the system chooses one",
        "IP_ADD_MEMBERSHIP", join_multicast_v4, &Ipv4Addr, &Ipv4Addr;
    "Joins a multicast group, at the interface with that index; 0 for any",
        "IPV6_ADD_MEMBERSHIP", join_multicast_v6, &Ipv6Addr, u32;
    "Leaves a multicast group", "IP_DROP_MEMBERSHIP", leave_multicast_v4, &Ipv4Addr, &Ipv4Addr;
    "Leaves a multicast group", "IPV6_DROP_MEMBERSHIP", leave_multicast_v6, &Ipv6Addr, u32;
}
