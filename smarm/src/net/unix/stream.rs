//! Unix connections.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use super::addr::encode;
use crate::host::sys::check;
use crate::io::block_on_io;
use crate::net::byte_stream::byte_stream;
use crate::net::handle::{conversions, handle, timeouts};
use crate::net::socket::Socket;

/// A Unix connection: [`std::os::unix::net::UnixStream`] for actors.
///
/// ```
/// use std::io::{Read, Write};
/// use smarm::net::UnixStream;
///
/// smarm::run(|| {
///     let (mut near, mut far) = UnixStream::pair()?;
///     let writer = smarm::spawn(move || far.write_all(b"hello"));
///     let mut text = String::new();
///     near.read_to_string(&mut text)?;
///     assert_eq!(text, "hello");
///     writer.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixStream {
    socket: Socket<std::os::unix::net::UnixStream>,
}

conversions!(UnixStream, std::os::unix::net::UnixStream);
handle!(UnixStream);
timeouts!(UnixStream);
byte_stream!(UnixStream);

impl UnixStream {
    pub(super) fn of_nonblocking(inner: std::os::unix::net::UnixStream) -> UnixStream {
        UnixStream { socket: Socket::new(inner) }
    }

    /// Connects to whoever listens at this path.
    ///
    /// If the listener's queue is full, this waits on a thread of
    /// [`block_on_io`]: the kernel does not tell when there is room in it. An actor that is killed
    /// meanwhile does not wait for that thread.
    ///
    /// # Errors
    /// Those of `connect(2)`; [`io::ErrorKind::InvalidInput`] for a path that is no address.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](UnixStream::connect), to an address, which may be an abstract name.
    ///
    /// # Errors
    /// As for `connect`.
    pub fn connect_addr(addr: &SocketAddr) -> io::Result<UnixStream> {
        match connect_at_once(addr) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let addr = addr.clone();
                block_on_io(move || std::os::unix::net::UnixStream::connect_addr(&addr))?.try_into()
            }
            result => result,
        }
    }

    /// Two streams that are connected with each other, and have no names.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: out of descriptors.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        Ok((near.try_into()?, far.try_into()?))
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().peer_addr()
    }
}

/// Connects, unless the listener's queue is full.
fn connect_at_once(addr: &SocketAddr) -> io::Result<UnixStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let (raw, len) = encode(addr);
    // SAFETY: the first `len` bytes of `raw` are an address, and live through the call.
    check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const raw).cast(), len) })?;
    Ok(UnixStream::of_nonblocking(fd.into()))
}
