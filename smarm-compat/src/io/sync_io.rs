//! std's traits over tokio's streams.

use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use smarm::io::wait_poll;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

/// A tokio stream with std's traits: an actor that has to wait for it parks, a plain thread blocks.
///
/// | `T` has | this has |
/// |---|---|
/// | [`AsyncRead`] | [`Read`] |
/// | [`AsyncWrite`] | [`Write`], [`shutdown`](SyncIo::shutdown) |
/// | [`AsyncBufRead`] | [`BufRead`] |
/// | [`AsyncSeek`] | [`Seek`] |
///
/// The poll functions of `T` run on the worker's own stack, as with
/// [`await_future`](crate::await_future), and nothing is allocated. Two actors use the two
/// directions of one stream after [`tokio::io::split`] or a socket's `into_split`, each with a
/// `SyncIo` around its half. What is not [`Unpin`] goes into a [`Box::pin`].
///
/// On a plain thread, the runtime of `T` has to be driven by another one; and what needs tokio's
/// context needs it there too.
///
/// # Errors
/// Besides those of `T`: [`io::ErrorKind::TimedOut`] after the timeout of the direction, if one is
/// set; the stream can be used on. [`Cancelled`](smarm::io::Cancelled) in a destructor of an actor
/// that is being killed, where the stream is not ready.
///
/// # Panics
/// In async code, where the stream is not ready: use the stream itself there.
///
/// ```
/// use std::io::{Read, Write};
/// use smarm_compat::io::SyncIo;
///
/// smarm_compat::run(|| {
///     let (near, far) = tokio::io::duplex(64);
///     let (mut near, mut far) = (SyncIo::new(near), SyncIo::new(far));
///     let echo = smarm::spawn(move || {
///         let mut buf = [0; 5];
///         far.read_exact(&mut buf)?;
///         far.write_all(&buf)
///     });
///     near.write_all(b"hello")?;
///     let mut buf = String::new();
///     near.read_to_string(&mut buf)?;
///     assert_eq!(buf, "hello");
///     echo.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SyncIo<T> {
    inner: T,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl<T> SyncIo<T> {
    /// Gives `inner` std's traits, without timeouts.
    pub fn new(inner: T) -> Self {
        Self { inner, read_timeout: None, write_timeout: None }
    }

    /// The stream.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The stream.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives the stream back. Nothing is buffered here, so nothing is lost.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// How long each call that reads or seeks waits at most.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    /// Limits each call that reads or seeks; it then fails with [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero, as in std.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = checked(timeout)?;
        Ok(())
    }

    /// How long each call that writes, flushes or shuts down waits at most.
    pub fn write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }

    /// Limits each call that writes, flushes or shuts down; it then fails with
    /// [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero, as in std.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = checked(timeout)?;
        Ok(())
    }
}

impl<T> From<T> for SyncIo<T> {
    fn from(inner: T) -> Self {
        Self::new(inner)
    }
}

impl<T: AsyncWrite + Unpin> SyncIo<T> {
    /// Writes out what `T` has buffered, and ends the writing direction: a peer reads to the end.
    ///
    /// # Errors
    /// Those of `T`, and as for the [type](SyncIo).
    #[track_caller]
    pub fn shutdown(&mut self) -> io::Result<()> {
        let inner = &mut self.inner;
        wait_poll(deadline(self.write_timeout), |cx| Pin::new(&mut *inner).poll_shutdown(cx))
    }
}

impl<T: AsyncRead + Unpin> Read for SyncIo<T> {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.read_into(&mut ReadBuf::new(buf))
    }

    /// Asks `T` once for all, though it knows only one buffer: small ones are filled from one on the
    /// stack.
    #[track_caller]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let total = bufs.iter().fold(0, |total: usize, buf| total.saturating_add(buf.len()));
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            None => Ok(0),
            Some(first) if first.len() == total || first.len() >= SCRATCH => self.read(first),
            Some(_) => {
                let mut scratch = [MaybeUninit::uninit(); SCRATCH];
                let mut scratch = ReadBuf::uninit(&mut scratch[..total.min(SCRATCH)]);
                let count = self.read_into(&mut scratch)?;
                let mut rest = scratch.filled();
                for buf in bufs {
                    let (now, later) = rest.split_at(rest.len().min(buf.len()));
                    buf[..now.len()].copy_from_slice(now);
                    rest = later;
                }
                Ok(count)
            }
        }
    }
}

/// From this length on, the first of several buffers is worth a read of its own.
const SCRATCH: usize = 2048;

impl<T: AsyncRead + Unpin> SyncIo<T> {
    #[track_caller]
    fn read_into(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
        let inner = &mut self.inner;
        wait_poll(deadline(self.read_timeout), |cx| Pin::new(&mut *inner).poll_read(cx, buf))?;
        Ok(buf.filled().len())
    }
}

impl<T: AsyncWrite + Unpin> Write for SyncIo<T> {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let inner = &mut self.inner;
        wait_poll(deadline(self.write_timeout), |cx| Pin::new(&mut *inner).poll_write(cx, buf))
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        let inner = &mut self.inner;
        wait_poll(deadline(self.write_timeout), |cx| Pin::new(&mut *inner).poll_write_vectored(cx, bufs))
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        let inner = &mut self.inner;
        wait_poll(deadline(self.write_timeout), |cx| Pin::new(&mut *inner).poll_flush(cx))
    }
}

impl<T: AsyncBufRead + Unpin> BufRead for SyncIo<T> {
    #[track_caller]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let inner = &mut self.inner;
        let filled = wait_poll(deadline(self.read_timeout), |cx| {
            Pin::new(&mut *inner).poll_fill_buf(cx).map_ok(NonNull::from)
        })?;
        // SAFETY: the slice borrows from `inner`, which the result keeps borrowed. It went through a
        // pointer because the closure, which is called again and again, cannot give it out.
        Ok(unsafe { filled.as_ref() })
    }

    fn consume(&mut self, count: usize) {
        Pin::new(&mut self.inner).consume(count);
    }
}

impl<T: AsyncSeek + Unpin> Seek for SyncIo<T> {
    #[track_caller]
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let inner = &mut self.inner;
        let mut started = false;
        wait_poll(deadline(self.read_timeout), |cx| {
            if !started {
                // One that a kill or a timeout has left is still on its way.
                ready!(complete(inner, cx))?;
                Pin::new(&mut *inner).start_seek(position)?;
                started = true;
            }
            complete(inner, cx)
        })
    }
}

fn complete<T: AsyncSeek + Unpin>(inner: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
    Pin::new(inner).poll_complete(cx)
}

fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    match timeout {
        Some(Duration::ZERO) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a timeout of zero: use None for no limit"))
        }
        timeout => Ok(timeout),
    }
}

/// One beyond the clock's range is none.
fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
