//! Accepting TCP connections.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::addr::{all, bind_group, decode, first_that_succeeds, open, set_flag};
use super::handle::{conversions, handle, time_to_live};
use super::socket::{Socket, accept};
use super::{TcpStream, ToSocketAddrs, stds};
use crate::host::sys::check;
use crate::host::{Attempt, Direction};

/// A TCP socket that listens: [`std::net::TcpListener`] for actors.
pub struct TcpListener {
    socket: Socket<stds::TcpListener>,
}

conversions!(TcpListener, std::net::TcpListener);
handle!(TcpListener);
time_to_live!(TcpListener);

impl TcpListener {
    /// Listens at the first of the addresses that can be bound, with `SO_REUSEADDR` and std's
    /// backlog. Port 0 lets the system choose one.
    ///
    /// # Errors
    /// Those of resolving `addr`; of the last address tried; [`io::ErrorKind::InvalidInput`] if
    /// there is no address.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        #[cfg(feature = "sim")]
        if let Some(world) = crate::sim::current() {
            return first_that_succeeds(addr, |addr| {
                Ok(TcpListener { socket: Socket::new(stds::TcpListener::bind(world.clone(), *addr)?) })
            });
        }
        std::net::TcpListener::bind(&all(addr)?[..])?.try_into()
    }

    /// As [`bind`](TcpListener::bind), in a group (`SO_REUSEPORT`): other listeners of the same user
    /// may be bound to the same address in this way, and the system spreads the connections over them.
    /// With one for each worker, no connection changes hands.
    ///
    /// # Errors
    /// As for `bind`.
    ///
    /// ```
    /// use smarm::net::TcpListener;
    ///
    /// let first = TcpListener::bind_reuse_port("127.0.0.1:0")?;
    /// let second = TcpListener::bind_reuse_port(first.local_addr()?)?;
    /// assert_eq!(first.local_addr()?, second.local_addr()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind_reuse_port<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        crate::sim::refuse_real("bind_reuse_port")?;
        first_that_succeeds(addr, |addr| {
            let fd = open(addr, libc::SOCK_STREAM)?;
            set_flag(fd.as_fd(), libc::SO_REUSEADDR)?;
            bind_group(fd.as_fd(), addr)?;
            // SAFETY: listen takes no pointers.
            check(unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) })?;
            Ok(TcpListener { socket: Socket::new(fd.into()) })
        })
    }

    /// Waits for a connection and gives it with its peer's address.
    ///
    /// # Errors
    /// Those of `accept4(2)`, among them `EMFILE` (out of descriptors: the connection stays in the
    /// queue, so wait a little before the next try) and `ECONNABORTED` (the peer has given up);
    /// [`Cancelled`](crate::io::Cancelled).
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept_until(None)
    }

    /// [`accept`](TcpListener::accept), until `deadline` at the latest.
    ///
    /// # Errors
    /// As for `accept`, and [`io::ErrorKind::TimedOut`].
    pub fn accept_deadline(&self, deadline: Instant) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept_until(Some(deadline))
    }

    /// [`accept`](TcpListener::accept) for poll functions. Only the waker of the last call is kept.
    ///
    /// # Errors
    /// As for `accept`, and [`io::ErrorKind::Unsupported`] if it has to wait for the first time on
    /// a thread without a reactor.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut accepted = None;
        ready!(self.socket.poll(Direction::Read, cx, &mut || self.accept_into(&mut accepted)))?;
        Poll::Ready(Ok(accepted.expect(ACCEPTED)))
    }

    /// The connections, one after the other, for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address listened at.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    fn accept_into(&self, accepted: &mut Option<(TcpStream, SocketAddr)>) -> io::Result<Attempt> {
        #[cfg(feature = "sim")]
        if let Some(attempt) = self.socket.inner().accept_simulated(accepted) {
            return attempt;
        }
        accept_into(self.as_fd(), accepted)
    }

    fn accept_until(&self, deadline: Option<Instant>) -> io::Result<(TcpStream, SocketAddr)> {
        let mut accepted = None;
        self.socket.run(Direction::Read, deadline, || self.accept_into(&mut accepted))?;
        Ok(accepted.expect(ACCEPTED))
    }
}

/// The connections of a [`TcpListener`]; it never ends, and an error is not its end.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl std::iter::FusedIterator for Incoming<'_> {}

const ACCEPTED: &str = "an accept that is done has left its connection";

/// As many as the system allows (`net.core.somaxconn`), like std.
const BACKLOG: libc::c_int = -1;

fn accept_into(
    listener: BorrowedFd<'_>,
    accepted: &mut Option<(TcpStream, SocketAddr)>,
) -> io::Result<Attempt> {
    // SAFETY: a sockaddr_storage of zeros is valid: integers and bytes.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let Some(fd) = accept(listener, Some(&mut storage))? else { return Ok(Attempt::WouldBlock) };
    *accepted = Some((TcpStream::of_nonblocking(fd.into()), decode(&storage)?));
    Ok(Attempt::Done(0))
}

#[cfg(test)]
mod tests;
