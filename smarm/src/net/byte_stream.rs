//! Reading and writing streams of bytes.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::task::{Context, Poll};

use super::socket::{Inner, Socket};
use crate::host::Direction;
use crate::io::registration::moved_of;

/// How many buffers one system call takes. A count of so many is not short, whatever is behind them.
pub(in crate::net) const IOV_MAX: usize = libc::UIO_MAXIOV as usize;

/// An empty buffer never waits: zero bytes are there at once.
impl<S: Inner> Socket<S>
where
    for<'a> &'a S: Read + Write,
{
    pub(in crate::net) fn read_bytes(&self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len();
        if wanted == 0 {
            return Ok(0);
        }
        self.read(|| moved_of(wanted, self.inner().read(buf)))
    }

    pub(in crate::net) fn read_bytes_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let (bufs, wanted) = within_limit_mut(bufs);
        if wanted == 0 {
            return Ok(0);
        }
        self.read(|| moved_of(wanted, self.inner().read_vectored(bufs)))
    }

    pub(in crate::net) fn write_bytes(&self, buf: &[u8]) -> io::Result<usize> {
        let wanted = buf.len();
        if wanted == 0 {
            return Ok(0);
        }
        self.write(|| moved_of(wanted, self.inner().write(buf)))
    }

    pub(in crate::net) fn write_bytes_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (bufs, wanted) = within_limit(bufs);
        if wanted == 0 {
            return Ok(0);
        }
        self.write(|| moved_of(wanted, self.inner().write_vectored(bufs)))
    }

    pub(in crate::net) fn poll_read_bytes(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let wanted = buf.len();
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll(Direction::Read, cx, &mut || moved_of(wanted, self.inner().read(buf)))
    }

    pub(in crate::net) fn poll_read_bytes_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let (bufs, wanted) = within_limit_mut(bufs);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll(Direction::Read, cx, &mut || moved_of(wanted, self.inner().read_vectored(bufs)))
    }

    pub(in crate::net) fn poll_write_bytes(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wanted = buf.len();
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll(Direction::Write, cx, &mut || moved_of(wanted, self.inner().write(buf)))
    }

    pub(in crate::net) fn poll_write_bytes_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (bufs, wanted) = within_limit(bufs);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll(Direction::Write, cx, &mut || moved_of(wanted, self.inner().write_vectored(bufs)))
    }
}

/// The buffers that one call takes, and how many bytes they are.
fn within_limit<'a, 'b>(bufs: &'a [IoSlice<'b>]) -> (&'a [IoSlice<'b>], usize) {
    let bufs = &bufs[..bufs.len().min(IOV_MAX)];
    (bufs, total(bufs.iter().map(|buf| buf.len())))
}

/// As [`within_limit`], to read into.
fn within_limit_mut<'a, 'b>(bufs: &'a mut [IoSliceMut<'b>]) -> (&'a mut [IoSliceMut<'b>], usize) {
    let count = bufs.len().min(IOV_MAX);
    let bufs = &mut bufs[..count];
    let wanted = total(bufs.iter().map(|buf| buf.len()));
    (bufs, wanted)
}

fn total(lens: impl Iterator<Item = usize>) -> usize {
    // The same bytes may be offered many times over.
    lens.fold(0, usize::saturating_add)
}

/// The traits of a type with a field `socket: Socket<…>` around a stream, and what goes with them.
macro_rules! byte_stream {
    ($type:ident) => {
        impl $type {
            /// Closes one direction or both, for all handles; waits in it end.
            ///
            /// # Errors
            /// Those of `shutdown(2)`.
            pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
                self.socket.inner().shutdown(how)
            }

            /// Reading for poll functions; timeouts do not apply. Only the waker of the last call is
            /// kept.
            ///
            /// # Errors
            /// Those of `recv(2)`; [`Unsupported`](std::io::ErrorKind::Unsupported) if it has to wait
            /// for the first time on a thread without a reactor.
            pub fn poll_read(
                &self,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.socket.poll_read_bytes(cx, buf)
            }

            /// Writing for poll functions; timeouts do not apply. Only the waker of the last call is
            /// kept.
            ///
            /// # Errors
            /// Those of `send(2)`; [`Unsupported`](std::io::ErrorKind::Unsupported) if it has to wait
            /// for the first time on a thread without a reactor.
            pub fn poll_write(
                &self,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.socket.poll_write_bytes(cx, buf)
            }
        }

        $crate::net::byte_stream::byte_stream!(@std $type);
        $crate::net::byte_stream::byte_stream!(@std &$type);

        impl $crate::io::PollStream for $type {
            fn poll_read(
                &self,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.socket.poll_read_bytes(cx, buf)
            }

            fn poll_read_vectored(
                &self,
                cx: &mut std::task::Context<'_>,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.socket.poll_read_bytes_vectored(cx, bufs)
            }

            fn poll_write(
                &self,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.socket.poll_write_bytes(cx, buf)
            }

            fn poll_write_vectored(
                &self,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.socket.poll_write_bytes_vectored(cx, bufs)
            }

            fn poll_shutdown(
                &self,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(match self.shutdown(std::net::Shutdown::Write) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                })
            }
        }
    };
    (@std $type:ty) => {
        impl std::io::Read for $type {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.socket.read_bytes(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                self.socket.read_bytes_vectored(bufs)
            }
        }

        impl std::io::Write for $type {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.socket.write_bytes(buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.socket.write_bytes_vectored(bufs)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}
pub(in crate::net) use byte_stream;
