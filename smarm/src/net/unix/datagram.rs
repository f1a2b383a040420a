//! Unix datagrams.

use std::future::pending;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::actor::park::{self, Interrupt};
use crate::host::Direction;
use crate::io::Cancelled;
use crate::io::registration::moved;
use crate::net::handle::{conversions, handle, timeouts};
use crate::net::socket::Socket;

/// A Unix datagram socket: [`std::os::unix::net::UnixDatagram`] for actors.
///
/// ```
/// use smarm::net::UnixDatagram;
///
/// smarm::run(|| {
///     let (near, far) = UnixDatagram::pair()?;
///     let sender = smarm::spawn(move || far.send(b"hello"));
///     let mut buf = [0; 100];
///     let len = near.recv(&mut buf)?;
///     assert_eq!(&buf[..len], b"hello");
///     sender.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixDatagram {
    socket: Socket<std::os::unix::net::UnixDatagram>,
}

conversions!(UnixDatagram, std::os::unix::net::UnixDatagram);
handle!(UnixDatagram);
timeouts!(UnixDatagram);

/// Whether nothing will be received any more, be it asked for or shut down by the peer.
fn is_shut_for_reading(fd: BorrowedFd<'_>) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: `entry` is one valid pollfd; the call does not wait.
    let count = unsafe { libc::poll(&mut entry, 1, 0) };
    count == 1 && entry.revents & libc::POLLRDHUP != 0
}

/// How often a sender looks whether a receiver that it is not connected to has room again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl UnixDatagram {
    /// A socket at a path, where it makes one; nothing removes that again.
    ///
    /// # Errors
    /// Those of `bind(2)`, among them [`io::ErrorKind::AddrInUse`] if something is there;
    /// [`io::ErrorKind::InvalidInput`] for a path that is no address.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::bind(path)?.try_into()
    }

    /// As [`bind`](UnixDatagram::bind), at an address, which may be an abstract name.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::bind_addr(addr)?.try_into()
    }

    /// A socket without an address.
    ///
    /// # Errors
    /// Those of `socket(2)`: out of descriptors.
    pub fn unbound() -> io::Result<UnixDatagram> {
        std::os::unix::net::UnixDatagram::unbound()?.try_into()
    }

    /// Two sockets that are connected with each other, and have no names.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: out of descriptors.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (near, far) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((near.try_into()?, far.try_into()?))
    }

    /// Sets where [`send`](UnixDatagram::send) sends to; only datagrams from there are received from
    /// now on.
    ///
    /// # Errors
    /// Those of `connect(2)`; [`io::ErrorKind::InvalidInput`] for a path that is no address.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.socket.inner().connect(path)
    }

    /// As [`connect`](UnixDatagram::connect), to an address, which may be an abstract name.
    ///
    /// # Errors
    /// As for `connect`.
    pub fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        self.socket.inner().connect_addr(addr)
    }

    /// Waits for a datagram. Gives the number of its bytes and its sender; bytes for which `buf` has no
    /// room are lost. After a [`shutdown`](UnixDatagram::shutdown) of this direction it gives zero bytes.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`; [`io::ErrorKind::TimedOut`] after the read timeout;
    /// [`Cancelled`].
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut from = None;
        let count = self.socket.read(|| {
            moved(self.or_end(self.socket.inner().recv_from(buf).map(|(count, sender)| {
                from = Some(sender);
                count
            })))
        })?;
        match from {
            Some(from) => Ok((count, from)),
            None => Ok((0, SocketAddr::from_pathname("")?)), // the end came from nobody
        }
    }

    /// Waits for a datagram. Bytes for which `buf` has no room are lost. After a
    /// [`shutdown`](UnixDatagram::shutdown) of this direction it gives zero bytes.
    ///
    /// # Errors
    /// As for [`recv_from`](UnixDatagram::recv_from).
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(|| moved(self.or_end(self.socket.inner().recv(buf))))
    }

    /// What a receiving call brought. One that would block is asked once more what for: a blocking one
    /// gives zero bytes after a shutdown, a non-blocking one never does.
    fn or_end(&self, received: io::Result<usize>) -> io::Result<usize> {
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_shut_for_reading(self.as_fd()) => {
                Ok(0)
            }
            received => received,
        }
    }

    /// Sends a datagram to the socket at this path. Gives the number of its bytes.
    ///
    /// If the receiver's queue is full, this waits. The kernel does not tell when there is room in
    /// the queue of a receiver that the socket is not connected to: then this looks every
    /// millisecond.
    ///
    /// # Errors
    /// Those of `sendto(2)`; [`io::ErrorKind::TimedOut`] after the write timeout; [`Cancelled`].
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buf, &SocketAddr::from_pathname(path)?)
    }

    /// As [`send_to`](UnixDatagram::send_to), to an address, which may be an abstract name.
    ///
    /// # Errors
    /// As for `send_to`.
    pub fn send_to_addr(&self, buf: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        let mut deadline = None;
        loop {
            match self.socket.inner().send_to_addr(buf, addr) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.socket.waits() => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => return result,
            }
            // No clock is read where there is room at once.
            let deadline = *deadline.get_or_insert_with(|| self.socket.write_timeout.deadline());
            self.wait_a_moment(deadline)?;
        }
    }

    /// Lets others run for a while, until `deadline` at the latest.
    fn wait_a_moment(&self, deadline: Option<Instant>) -> io::Result<()> {
        let now = park::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let moment = deadline.map_or(now + LOOK_AGAIN, |deadline| deadline.min(now + LOOK_AGAIN));
        match park::wait_until(pending::<()>(), Some(moment)) {
            Err(Interrupt::Cancelled) => Err(Cancelled.into()),
            Ok(()) | Err(Interrupt::TimedOut) => Ok(()),
        }
    }

    /// Sends a datagram to the address that the socket is connected to, and waits if its queue is full.
    ///
    /// # Errors
    /// Those of `send(2)`; [`io::ErrorKind::TimedOut`] after the write timeout; [`Cancelled`].
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(|| moved(self.socket.inner().send(buf)))
    }

    /// [`recv`](UnixDatagram::recv) for poll functions; timeouts do not apply. Only the waker of the
    /// last call is kept.
    ///
    /// # Errors
    /// Those of `recv(2)`; [`io::ErrorKind::Unsupported`] if it has to wait for the first time on a
    /// thread without a reactor.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Read, cx, &mut || moved(self.or_end(self.socket.inner().recv(buf))))
    }

    /// [`send`](UnixDatagram::send) for poll functions; timeouts do not apply. Only the waker of the
    /// last call is kept.
    ///
    /// # Errors
    /// Those of `send(2)`; [`io::ErrorKind::Unsupported`] as for
    /// [`poll_recv`](UnixDatagram::poll_recv).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Write, cx, &mut || moved(self.socket.inner().send(buf)))
    }

    /// Closes one direction or both, for all handles; waits in it end.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.inner().shutdown(how)
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    /// The address that the socket is connected to.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotConnected`]; those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().peer_addr()
    }
}
