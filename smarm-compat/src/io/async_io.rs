//! tokio's and futures' traits over smarm's streams.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smarm::host::{Reactor, Source};
use smarm::io::{PollStream, with_reactor};
use tokio::io::ReadBuf;
use tokio::runtime::Handle;

use crate::reactor::TokioReactor;

/// A smarm stream, such as [`smarm::net::TcpStream`], with the traits of async code: `AsyncRead` and
/// `AsyncWrite` of tokio and of futures.
///
/// The stream's timeouts do not apply: async code has its own. One task reads and one, maybe another,
/// writes; for two tasks use [`tokio::io::split`], or two `AsyncIo` around an [`Arc`] of the stream.
///
/// # Where it can be polled
/// | there | the descriptor is registered |
/// |---|---|
/// | in a task beside a worker, and in what an actor awaits | with that worker's reactor |
/// | in any other task of tokio's | with the task's runtime |
/// | elsewhere | nowhere: the first poll that has to wait gives [`io::ErrorKind::Unsupported`] |
///
/// Registered is it by the first poll that has to wait, and stays so: from then on it can be polled
/// anywhere, until that reactor ends.
///
/// # Panics
/// As all of tokio's I/O, if the runtime that it is to be registered with was built without
/// `enable_io`.
///
/// ```
/// use smarm_compat::{await_future, io::AsyncIo};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// smarm_compat::run(|| {
///     let listener = smarm::net::TcpListener::bind("127.0.0.1:0")?;
///     let client = smarm::net::TcpStream::connect(listener.local_addr()?)?;
///     let (server, _) = listener.accept()?;
///     let task = tokio::spawn(async move {
///         let mut server = AsyncIo::new(server);
///         server.write_all(b"hello").await?;
///         server.shutdown().await
///     });
///     let mut text = String::new();
///     await_future(AsyncIo::new(client).read_to_string(&mut text))?;
///     assert_eq!(text, "hello");
///     await_future(task).unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AsyncIo<S> {
    inner: S,
}

impl<S> AsyncIo<S> {
    /// Gives `inner` the traits.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the stream back. Nothing is buffered here, so nothing is lost.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> From<S> for AsyncIo<S> {
    fn from(inner: S) -> Self {
        Self::new(inner)
    }
}

// The stream is polled by reference, never pinned.
impl<S> Unpin for AsyncIo<S> {}

impl<S: PollStream> tokio::io::AsyncRead for AsyncIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let unfilled = buf.initialize_unfilled();
        let count = ready!(with_reactor(&Guest, || self.inner.poll_read(cx, unfilled)))?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: PollStream> tokio::io::AsyncWrite for AsyncIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        with_reactor(&Guest, || self.inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_reactor(&Guest, || self.inner.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_reactor(&Guest, || self.inner.poll_shutdown(cx))
    }
}

impl<S: PollStream> futures_io::AsyncRead for AsyncIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        with_reactor(&Guest, || self.inner.poll_read(cx, buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        with_reactor(&Guest, || self.inner.poll_read_vectored(cx, bufs))
    }
}

impl<S: PollStream> futures_io::AsyncWrite for AsyncIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        with_reactor(&Guest, || self.inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_reactor(&Guest, || self.inner.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_reactor(&Guest, || self.inner.poll_shutdown(cx))
    }
}

/// The reactor of tasks that run beside no worker: that of whatever runtime they are on.
struct Guest;

impl Reactor for Guest {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Arc<dyn Source>> {
        match Handle::try_current() {
            Ok(_) => TokioReactor.register(fd),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "no reactor on this thread: poll this in a task of tokio's, or in a worker's turn",
            )),
        }
    }
}
