//! What a buffering reader had read before its stream moved to the other world.

use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, and bytes that had been read from it already: a reader gets those first.
///
/// What is written goes to the stream.
///
/// ```
/// use std::io::Read;
/// use smarm_compat::io::Unread;
///
/// let mut reader = Unread::new(b"hel".to_vec(), &b"lo"[..]);
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Unread<S> {
    bytes: Vec<u8>,
    /// How many of them were read.
    read: usize,
    inner: S,
}

impl<S> Unread<S> {
    /// A reader of `bytes`, and then of `inner`.
    pub fn new(bytes: Vec<u8>, inner: S) -> Self {
        Self { bytes, read: 0, inner }
    }

    /// The bytes that a reader gets before those of the stream.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    /// The stream. Who reads from it overtakes the [`unread`](Unread::unread) bytes.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream. Who reads from it overtakes the [`unread`](Unread::unread) bytes.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The unread bytes, and the stream.
    pub fn into_parts(mut self) -> (Vec<u8>, S) {
        self.bytes.drain(..self.read);
        (self.bytes, self.inner)
    }

    /// The same bytes before another stream: `f` gives this one other traits, or takes them away.
    pub fn map<R>(self, f: impl FnOnce(S) -> R) -> Unread<R> {
        let (bytes, inner) = self.into_parts();
        Unread::new(bytes, f(inner))
    }

    fn advance(&mut self, count: usize) {
        self.read += count;
        if self.read == self.bytes.len() {
            // A connection may live long after its first bytes.
            self.bytes = Vec::new();
            self.read = 0;
        }
    }
}

impl<S: Read> Read for Unread<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.unread().is_empty() {
            return self.inner.read(buf);
        }
        let count = self.unread().read(buf)?;
        self.advance(count);
        Ok(count)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if self.unread().is_empty() {
            return self.inner.read_vectored(bufs);
        }
        let count = self.unread().read_vectored(bufs)?;
        self.advance(count);
        Ok(count)
    }
}

impl<S: BufRead> BufRead for Unread<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread().is_empty() { self.inner.fill_buf() } else { Ok(self.unread()) }
    }

    fn consume(&mut self, count: usize) {
        if self.unread().is_empty() {
            self.inner.consume(count);
        } else {
            let count = count.min(self.unread().len());
            self.advance(count);
        }
    }
}

impl<S: Write> Write for Unread<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unread<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread().is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let count = self.unread().len().min(buf.remaining());
        buf.put_slice(&self.unread()[..count]);
        self.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unread<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The stream of a std reader, with what that has buffered.
impl<S> From<BufReader<S>> for Unread<S> {
    fn from(reader: BufReader<S>) -> Self {
        Self::new(reader.buffer().to_vec(), reader.into_inner())
    }
}

/// The stream of a tokio reader, with what that has buffered.
impl<S: AsyncRead> From<tokio::io::BufReader<S>> for Unread<S> {
    fn from(reader: tokio::io::BufReader<S>) -> Self {
        Self::new(reader.buffer().to_vec(), reader.into_inner())
    }
}
