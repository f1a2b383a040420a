//! Sockets with the signatures of [`std::net`] and [`std::os::unix::net`], whose waits park the actor
//! and not its worker.
//!
//! | type | in `std` |
//! |---|---|
//! | [`TcpListener`], [`Incoming`], [`TcpStream`], [`UdpSocket`] | of the same names |
//! | [`ToSocketAddrs`] | of the same name, but looks names up through [`block_on_io`](crate::io::block_on_io) |
//! | [`UnixListener`], [`UnixStream`], [`UnixDatagram`] | of the same names, in `std::os::unix::net` |
//! | [`SocketAddr`], [`IpAddr`], [`Shutdown`] and the like | the very same |
//!
//! They work on plain threads too, which they block. What differs from `std`:
//!
//! * Sockets are always non-blocking inside; `set_nonblocking` is about the handle.
//! * A wait that runs out of time gives [`TimedOut`](std::io::ErrorKind::TimedOut) (std:
//!   `WouldBlock` or `TimedOut`, as the platform has it).
//! * Timeouts belong to the handle, not to the socket: `try_clone` copies them.
//! * In a destructor of an actor that is being killed, a wait fails with
//!   [`Cancelled`](crate::io::Cancelled).
//!
//! A socket may be used by several actors at once, also of several workers: any number may read,
//! write and accept. A kill or a deadline ends any wait.
//!
//! With the feature `sim`, those made in a simulation are simulated; see the module `sim`.
//!
//! Options without a method here are set through [`AsFd`](std::os::fd::AsFd), for instance with
//! `socket2::SockRef`; a socket made otherwise comes in through
//! [`From<OwnedFd>`](std::os::fd::OwnedFd).
//!
//! ```
//! use smarm::net::{TcpListener, TcpStream};
//! use std::io::{Read, Write};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! let (mut server, peer) = listener.accept()?;
//! assert_eq!(peer, client.local_addr()?);
//! client.write_all(b"hello")?;
//! let mut buf = [0; 5];
//! server.read_exact(&mut buf)?;
//! assert_eq!(&buf, b"hello");
//! # Ok::<(), std::io::Error>(())
//! ```

mod addr;
mod byte_stream;
mod handle;
#[cfg(feature = "sim")]
mod simulated;
mod socket;
#[cfg(feature = "sim")]
use simulated as stds;
#[cfg(not(feature = "sim"))]
mod stds;
mod tcp_listener;
mod tcp_stream;
mod udp_socket;
pub mod unix;

#[doc(no_inline)]
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};

pub use addr::ToSocketAddrs;
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp_socket::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
