//! Accepting Unix connections.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::UnixStream;
use crate::host::{Attempt, Direction};
use crate::net::handle::{conversions, handle};
use crate::net::socket::{Socket, accept};

/// A Unix socket that listens: [`std::os::unix::net::UnixListener`] for actors.
///
/// ```
/// use std::io::{Read, Write};
/// use smarm::net::{UnixListener, UnixStream};
///
/// let path = std::env::temp_dir().join(format!("smarm-doc-{}", std::process::id()));
/// smarm::run(|| {
///     let listener = UnixListener::bind(&path)?;
///     let server = smarm::spawn(move || {
///         let (mut stream, _) = listener.accept()?;
///         stream.write_all(b"hello")
///     });
///     let mut text = String::new();
///     UnixStream::connect(&path)?.read_to_string(&mut text)?;
///     assert_eq!(text, "hello");
///     std::fs::remove_file(&path)?;
///     server.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixListener {
    socket: Socket<std::os::unix::net::UnixListener>,
}

conversions!(UnixListener, std::os::unix::net::UnixListener);
handle!(UnixListener);

impl UnixListener {
    /// Listens at a path, where it makes a socket; nothing removes that again.
    ///
    /// # Errors
    /// Those of `bind(2)`, among them [`io::ErrorKind::AddrInUse`] if something is there;
    /// [`io::ErrorKind::InvalidInput`] for a path that is no address.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        std::os::unix::net::UnixListener::bind(path)?.try_into()
    }

    /// As [`bind`](UnixListener::bind), at an address, which may be an abstract name.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixListener> {
        std::os::unix::net::UnixListener::bind_addr(addr)?.try_into()
    }

    /// Waits for a connection and gives it with its peer's address, which mostly has no name.
    ///
    /// # Errors
    /// Those of `accept4(2)`, among them `EMFILE` (out of descriptors: the connection stays in the
    /// queue, so wait a little before the next try); [`Cancelled`](crate::io::Cancelled).
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.accept_until(None)
    }

    /// [`accept`](UnixListener::accept), until `deadline` at the latest.
    ///
    /// # Errors
    /// As for `accept`, and [`io::ErrorKind::TimedOut`].
    pub fn accept_deadline(&self, deadline: Instant) -> io::Result<(UnixStream, SocketAddr)> {
        self.accept_until(Some(deadline))
    }

    /// [`accept`](UnixListener::accept) for poll functions. Only the waker of the last call is kept.
    ///
    /// # Errors
    /// As for `accept`, and [`io::ErrorKind::Unsupported`] if it has to wait for the first time on
    /// a thread without a reactor.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let mut accepted = None;
        ready!(self.socket.poll(Direction::Read, cx, &mut || accept_into(self.as_fd(), &mut accepted)))?;
        Poll::Ready(with_address(accepted))
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

    fn accept_until(&self, deadline: Option<Instant>) -> io::Result<(UnixStream, SocketAddr)> {
        let mut accepted = None;
        self.socket.run(Direction::Read, deadline, || accept_into(self.as_fd(), &mut accepted))?;
        with_address(accepted)
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// The connections of a [`UnixListener`]; it never ends, and an error is not its end.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl std::iter::FusedIterator for Incoming<'_> {}

fn accept_into(listener: BorrowedFd<'_>, accepted: &mut Option<UnixStream>) -> io::Result<Attempt> {
    let Some(fd) = accept(listener, None)? else { return Ok(Attempt::WouldBlock) };
    *accepted = Some(UnixStream::of_nonblocking(fd.into()));
    Ok(Attempt::Done(0))
}

fn with_address(accepted: Option<UnixStream>) -> io::Result<(UnixStream, SocketAddr)> {
    let stream = accepted.expect("an accept that is done has left its connection");
    // std alone can make such an address from the kernel's form, and this is how it does.
    let address = stream.peer_addr()?;
    Ok((stream, address))
}
