//! Sockets with the shapes of [`std::net`], whose waits park the actor and not its worker.
//!
//! | type | in `std` |
//! |---|---|
//! | [`TcpListener`], [`Incoming`] | of the same names |
//! | [`TcpStream`] | of the same name |
//! | [`ToSocketAddrs`] | of the same name, but looks names up through [`block_on_io`](crate::io::block_on_io) |
//!
//! They work on plain threads too, which they block. What differs from `std`:
//!
//! * Sockets are always non-blocking inside; there is no `set_nonblocking`.
//! * A wait that runs out of time gives [`TimedOut`](std::io::ErrorKind::TimedOut) (std:
//!   `WouldBlock` or `TimedOut`, as the platform has it).
//! * Timeouts belong to the handle, not to the socket: `try_clone` copies them.
//! * In a destructor of an actor that is being killed, a wait fails with
//!   [`Cancelled`](crate::io::Cancelled).
//!
//! A socket may be used by several actors at once, also of several workers: any number may read,
//! write and accept.
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
mod socket;
mod tcp_listener;
mod tcp_stream;

pub use addr::ToSocketAddrs;
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
