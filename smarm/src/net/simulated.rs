//! The types that TCP and UDP sockets are around with the feature `sim`: std's, or in a simulation a simulated one.
//!
//! They have std's methods, as far as the sockets call them; and so the sockets are written once. What a simulation
//! does not have fails with [`io::ErrorKind::Unsupported`], and names the call.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::Arc;

use crate::host::Attempt;
use crate::sim::{self, Waits, World};

/// What a [`Socket`](super::socket::Socket) may be around.
pub(in crate::net) trait Inner: AsFd + Sized {
    /// Its type in std.
    type Std;

    /// How to wait for it, if it is simulated.
    fn simulated(&self) -> Option<&dyn Waits> {
        None
    }

    /// # Errors
    /// It is simulated.
    fn into_std(self) -> io::Result<Self::Std>;
}

macro_rules! real {
    ($($type:ty),*) => {$(
        impl Inner for $type {
            type Std = Self;

            fn into_std(self) -> io::Result<Self> {
                Ok(self)
            }
        }
    )*};
}

real!(UnixStream, UnixListener, UnixDatagram);

/// A real socket, or a simulated one.
pub(super) enum Either<S, T> {
    Real(S),
    Simulated(T),
}

pub(super) type TcpListener = Either<net::TcpListener, sim::Acceptor>;
pub(super) type TcpStream = Either<net::TcpStream, sim::Stream>;
pub(super) type UdpSocket = Either<net::UdpSocket, sim::Udp>;

use Either::{Real, Simulated};

fn unsupported<T>(call: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("a simulated socket has no {call}")))
}

impl<S: AsFd, T: Waits> Inner for Either<S, T> {
    type Std = S;

    fn simulated(&self) -> Option<&dyn Waits> {
        match self {
            Real(_) => None,
            Simulated(simulated) => Some(simulated),
        }
    }

    fn into_std(self) -> io::Result<S> {
        match self {
            Real(real) => Ok(real),
            Simulated(_) => unsupported("descriptor"),
        }
    }
}

/// The type of std's.
///
/// # Errors
/// It is simulated.
pub(super) fn of<I: Inner>(inner: I) -> io::Result<I::Std> {
    inner.into_std()
}

const NO_DESCRIPTOR: &str = "smarm: a simulated socket has no descriptor: use its methods";

impl<S: AsFd, T> AsFd for Either<S, T> {
    /// # Panics
    /// If it is simulated.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Real(real) => real.as_fd(),
            Simulated(_) => panic!("{NO_DESCRIPTOR}"),
        }
    }
}

/// # Panics
/// If it is simulated.
impl<S: Into<OwnedFd>, T> From<Either<S, T>> for OwnedFd {
    fn from(inner: Either<S, T>) -> Self {
        match inner {
            Real(real) => real.into(),
            Simulated(_) => panic!("{NO_DESCRIPTOR}"),
        }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for Either<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Real(real) => real.fmt(f),
            Simulated(_) => f.write_str("Simulated"),
        }
    }
}

/// What all kinds have.
macro_rules! common {
    ($type:ident) => {
        impl From<net::$type> for $type {
            fn from(real: net::$type) -> Self {
                Real(real)
            }
        }

        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> Self {
                Real(fd.into())
            }
        }

        impl $type {
            pub(super) fn try_clone(&self) -> io::Result<Self> {
                Ok(match self {
                    Real(real) => Real(real.try_clone()?),
                    Simulated(simulated) => Simulated(simulated.clone()),
                })
            }

            pub(super) fn ttl(&self) -> io::Result<u32> {
                match self {
                    Real(real) => real.ttl(),
                    Simulated(_) => Ok(64),
                }
            }

            /// In a simulation it has no effect.
            pub(super) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                match self {
                    Real(real) => real.set_ttl(ttl),
                    Simulated(_) => Ok(()),
                }
            }
        }
    };
}

common!(TcpListener);
common!(TcpStream);
common!(UdpSocket);

impl TcpListener {
    pub(super) fn bind(world: Arc<World>, addr: SocketAddr) -> io::Result<Self> {
        Ok(Simulated(sim::Acceptor::bind(world, addr)?))
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Real(real) => real.local_addr(),
            Simulated(simulated) => Ok(simulated.local_addr()),
        }
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Real(real) => real.take_error(),
            Simulated(_) => Ok(None),
        }
    }

    /// One attempt to accept a connection; `None` if it is real.
    pub(super) fn accept_simulated(
        &self,
        accepted: &mut Option<(super::TcpStream, SocketAddr)>,
    ) -> Option<io::Result<Attempt>> {
        let Simulated(simulated) = self else { return None };
        Some(attempt(simulated.accept().map(|(stream, peer)| {
            *accepted = Some((super::TcpStream::of_nonblocking(Simulated(stream)), peer));
        })))
    }
}

/// What became of an attempt.
fn attempt(result: io::Result<()>) -> io::Result<Attempt> {
    match result {
        Ok(()) => Ok(Attempt::Done(0)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Attempt::WouldBlock),
        Err(error) => Err(error),
    }
}

impl TcpStream {
    pub(super) fn connect(world: Arc<World>, addr: SocketAddr) -> io::Result<Self> {
        Ok(Simulated(sim::Stream::connect(world, addr)?))
    }

    /// One attempt to find a simulated connection made.
    pub(super) fn finish_connect(&self) -> io::Result<Attempt> {
        match self {
            Real(_) => unsupported("simulation"),
            Simulated(simulated) => attempt(simulated.finish_connect()),
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Real(real) => real.shutdown(how),
            Simulated(simulated) => simulated.shutdown(how),
        }
    }

    pub(super) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Real(real) => real.peek(buf),
            Simulated(simulated) => simulated.peek(buf),
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Real(real) => real.local_addr(),
            Simulated(simulated) => simulated.local_addr(),
        }
    }

    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Real(real) => real.peer_addr(),
            Simulated(simulated) => simulated.peer_addr(),
        }
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Real(real) => real.take_error(),
            Simulated(simulated) => simulated.take_error(),
        }
    }

    pub(super) fn nodelay(&self) -> io::Result<bool> {
        match self {
            Real(real) => real.nodelay(),
            Simulated(_) => Ok(true), // every write is a segment
        }
    }

    /// In a simulation it has no effect.
    pub(super) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Real(real) => real.set_nodelay(nodelay),
            Simulated(_) => Ok(()),
        }
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Real(real) => (&*real).read(buf),
            Simulated(simulated) => simulated.read(buf),
        }
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Real(real) => (&*real).read_vectored(bufs),
            Simulated(simulated) => match bufs.iter_mut().find(|buf| !buf.is_empty()) {
                Some(buf) => simulated.read(buf),
                None => Ok(0),
            },
        }
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Real(real) => (&*real).write(buf),
            Simulated(simulated) => simulated.write(buf),
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Real(real) => (&*real).write_vectored(bufs),
            Simulated(simulated) => {
                let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
                simulated.write(&all)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Calls that a simulated socket has, too.
macro_rules! delegated {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl UdpSocket {$(
            pub(super) fn $name(&self, $($argument: $type),*) -> io::Result<$result> {
                match self {
                    Real(real) => real.$name($($argument),*),
                    Simulated(simulated) => simulated.$name($($argument),*),
                }
            }
        )*}
    };
}

delegated! {
    recv_from(buf: &mut [u8]) -> (usize, SocketAddr);
    peek_from(buf: &mut [u8]) -> (usize, SocketAddr);
    send_to(buf: &[u8], addr: SocketAddr) -> usize;
    send(buf: &[u8]) -> usize;
    local_addr() -> SocketAddr;
    peer_addr() -> SocketAddr;
}

/// Calls that a simulated socket does not have.
macro_rules! refused {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl UdpSocket {$(
            pub(super) fn $name(&self, $($argument: $type),*) -> io::Result<$result> {
                match self {
                    Real(real) => real.$name($($argument),*),
                    Simulated(_) => unsupported(stringify!($name)),
                }
            }
        )*}
    };
}

refused! {
    broadcast() -> bool;
    set_broadcast(on: bool) -> ();
    multicast_loop_v4() -> bool;
    set_multicast_loop_v4(on: bool) -> ();
    multicast_loop_v6() -> bool;
    set_multicast_loop_v6(on: bool) -> ();
    multicast_ttl_v4() -> u32;
    set_multicast_ttl_v4(ttl: u32) -> ();
    join_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    join_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
    leave_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    leave_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
}

impl UdpSocket {
    pub(super) fn bind(world: Arc<World>, addr: SocketAddr) -> io::Result<Self> {
        Ok(Simulated(sim::Udp::bind(world, addr)?))
    }

    pub(super) fn connect(&self, addrs: &[SocketAddr]) -> io::Result<()> {
        match self {
            Real(real) => real.connect(addrs),
            Simulated(simulated) => match addrs.first() {
                Some(addr) => simulated.connect(*addr),
                None => Err(super::addr::no_address()),
            },
        }
    }

    pub(super) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Real(real) => real.recv(buf),
            Simulated(simulated) => simulated.recv_from(buf).map(|(count, _)| count),
        }
    }

    pub(super) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Real(real) => real.peek(buf),
            Simulated(simulated) => simulated.peek_from(buf).map(|(count, _)| count),
        }
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Real(real) => real.take_error(),
            Simulated(_) => Ok(None),
        }
    }
}
