//! The types that TCP and UDP sockets are around: std's, without the feature `sim`.

use std::io;
pub(super) use std::net::{TcpListener, TcpStream, UdpSocket};

/// The type of std's.
#[inline(always)]
pub(super) fn of<S>(inner: S) -> io::Result<S> {
    Ok(inner)
}
