//! Sockets that move between smarm and tokio.
//!
//! A conversion makes, around a duplicate of the descriptor, the type of the other world, and drops
//! the old one when that has succeeded. So whatever fails, the old one is still there, with all that
//! it has buffered; tokio's own conversions close the socket on an error.
//!
//! Rejected: to move the descriptor itself. After a failure in tokio there would be no socket to
//! give back.

use std::error::Error;
use std::fmt;
use std::io::{self, BufReader, BufWriter};
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

use super::{AsyncIo, SyncIo, Unread};

/// What can go on in tokio: smarm's sockets, and the types of this module and of std around them.
///
/// | from | to |
/// |---|---|
/// | [`smarm::net`]'s sockets | [`tokio::net`]'s of the same name |
/// | a [`BufReader`] of either kind, an [`Unread`] | [`Unread`], which yields the buffered bytes first |
/// | a [`BufWriter`] of either kind, flushed | what is in it |
/// | [`AsyncIo`] | what is in it |
///
/// The socket is the same, its descriptor may have another number. It stays non-blocking, as both
/// worlds have it. Timeouts of smarm's handle are left behind.
pub trait IntoTokio: Sized {
    /// What it becomes.
    type Tokio;

    /// A tokio handle to the same socket, together with a copy of what this one has buffered: only
    /// one of the two should be used on. To be called in tokio's context.
    ///
    /// # Errors
    /// As for [`into_tokio`](IntoTokio::into_tokio).
    fn to_tokio(&self) -> io::Result<Self::Tokio>;

    /// Moves the socket into tokio: into the runtime whose context the caller is in.
    ///
    /// # Errors
    /// Those of `fcntl(2)` and `epoll_ctl(2)`, such as being out of descriptors;
    /// [`io::ErrorKind::Unsupported`] outside tokio's context; [`io::ErrorKind::InvalidInput`] for a
    /// writer that has not been flushed. The error gives the socket back.
    ///
    /// # Panics
    /// As tokio's own, if the runtime was built without `enable_io`.
    ///
    /// ```
    /// use smarm_compat::{await_future, io::IntoTokio};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// smarm_compat::run(|| {
    ///     let listener = smarm::net::TcpListener::bind("127.0.0.1:0")?;
    ///     let _client = smarm::net::TcpStream::connect(listener.local_addr()?)?;
    ///     let mut stream: tokio::net::TcpStream = listener.accept()?.0.into_tokio()?;
    ///     await_future(stream.write_all(b"hello"))
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn into_tokio(self) -> Result<Self::Tokio, ConvertError<Self>> {
        match self.to_tokio() {
            Ok(tokio) => Ok(tokio),
            Err(error) => Err(ConvertError { error, socket: self }),
        }
    }
}

/// What can go on in smarm: tokio's sockets, and the types of this module, of std and of tokio around
/// them.
///
/// | from | to |
/// |---|---|
/// | [`tokio::net`]'s sockets | [`smarm::net`]'s of the same name |
/// | a [`BufReader`] of either kind, an [`Unread`] | [`Unread`], which yields the buffered bytes first |
/// | a [`BufWriter`] of either kind, flushed | what is in it |
/// | [`SyncIo`] | what is in it; the timeouts are left behind |
///
/// The socket is the same, its descriptor may have another number. It stays non-blocking, as both
/// worlds have it.
pub trait IntoSmarm: Sized {
    /// What it becomes.
    type Smarm;

    /// A smarm handle to the same socket, together with a copy of what this one has buffered: only
    /// one of the two should be used on.
    ///
    /// # Errors
    /// As for [`into_smarm`](IntoSmarm::into_smarm).
    fn to_smarm(&self) -> io::Result<Self::Smarm>;

    /// Moves the socket out of tokio.
    ///
    /// # Errors
    /// Those of `fcntl(2)`, such as being out of descriptors; [`io::ErrorKind::InvalidInput`] for a
    /// writer that has not been flushed. The error gives the socket back.
    ///
    /// ```
    /// use std::io::{BufRead, Read, Write};
    /// use smarm_compat::{await_future, io::{IntoSmarm, SyncIo}};
    ///
    /// smarm_compat::run(|| {
    ///     let listener = smarm::net::TcpListener::bind("127.0.0.1:0")?;
    ///     let stream = await_future(tokio::net::TcpStream::connect(listener.local_addr()?))?;
    ///     listener.accept()?.0.write_all(b"first\nsecond\n")?;
    ///
    ///     let mut stream = SyncIo::new(tokio::io::BufReader::new(stream));
    ///     let mut line = String::new();
    ///     stream.read_line(&mut line)?; // and more is in the buffer
    ///     let mut stream = stream.into_smarm()?; // an `Unread<smarm::net::TcpStream>`
    ///     stream.read_to_string(&mut line)?;
    ///     assert_eq!(line, "first\nsecond\n");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn into_smarm(self) -> Result<Self::Smarm, ConvertError<Self>> {
        match self.to_smarm() {
            Ok(smarm) => Ok(smarm),
            Err(error) => Err(ConvertError { error, socket: self }),
        }
    }
}

/// A conversion that failed, with what was to be converted.
#[derive(Debug)]
pub struct ConvertError<S> {
    error: io::Error,
    socket: S,
}

impl<S> ConvertError<S> {
    /// Why it failed.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// Gives back what was to be converted, as it was.
    pub fn into_socket(self) -> S {
        self.socket
    }

    /// Gives back both.
    pub fn into_parts(self) -> (io::Error, S) {
        (self.error, self.socket)
    }
}

impl<S> fmt::Display for ConvertError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the socket stays where it is: {}", self.error)
    }
}

impl<S: fmt::Debug> Error for ConvertError<S> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Drops the socket.
impl<S> From<ConvertError<S>> for io::Error {
    fn from(error: ConvertError<S>) -> io::Error {
        error.error
    }
}

/// A duplicate of the descriptor, for a caller in tokio's context.
fn for_tokio(socket: &impl AsFd) -> io::Result<OwnedFd> {
    if Handle::try_current().is_err() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "no tokio runtime here: convert in an actor of smarm_compat::run, or in a task",
        ));
    }
    socket.as_fd().try_clone_to_owned()
}

/// Sockets of the same name in smarm, tokio and std.
macro_rules! sockets {
    ($($smarm:ty, $tokio:ty, $std:ty;)*) => {$(
        impl IntoTokio for $smarm {
            type Tokio = $tokio;

            fn to_tokio(&self) -> io::Result<$tokio> {
                <$tokio>::from_std(<$std>::from(for_tokio(self)?))
            }
        }

        impl IntoSmarm for $tokio {
            type Smarm = $smarm;

            fn to_smarm(&self) -> io::Result<$smarm> {
                <$smarm>::try_from(<$std>::from(self.as_fd().try_clone_to_owned()?))
            }
        }
    )*};
}

sockets! {
    smarm::net::TcpStream, tokio::net::TcpStream, std::net::TcpStream;
    smarm::net::TcpListener, tokio::net::TcpListener, std::net::TcpListener;
    smarm::net::UdpSocket, tokio::net::UdpSocket, std::net::UdpSocket;
    smarm::net::UnixStream, tokio::net::UnixStream, std::os::unix::net::UnixStream;
    smarm::net::UnixListener, tokio::net::UnixListener, std::os::unix::net::UnixListener;
    smarm::net::UnixDatagram, tokio::net::UnixDatagram, std::os::unix::net::UnixDatagram;
}

/// The types around sockets, for both traits.
macro_rules! wrappers {
    ($trait:ident, $type:ident, $to:ident) => {
        impl<S: $trait> $trait for BufReader<S> {
            type $type = Unread<S::$type>;

            fn $to(&self) -> io::Result<Self::$type> {
                Ok(Unread::new(self.buffer().to_vec(), self.get_ref().$to()?))
            }
        }

        impl<S: $trait + AsyncRead> $trait for tokio::io::BufReader<S> {
            type $type = Unread<S::$type>;

            fn $to(&self) -> io::Result<Self::$type> {
                Ok(Unread::new(self.buffer().to_vec(), self.get_ref().$to()?))
            }
        }

        impl<S: $trait> $trait for Unread<S> {
            type $type = Unread<S::$type>;

            fn $to(&self) -> io::Result<Self::$type> {
                Ok(Unread::new(self.unread().to_vec(), self.get_ref().$to()?))
            }
        }

        impl<S: $trait + io::Write> $trait for BufWriter<S> {
            type $type = S::$type;

            fn $to(&self) -> io::Result<Self::$type> {
                flushed(self.buffer())?;
                self.get_ref().$to()
            }
        }

        impl<S: $trait + AsyncWrite> $trait for tokio::io::BufWriter<S> {
            type $type = S::$type;

            fn $to(&self) -> io::Result<Self::$type> {
                flushed(self.buffer())?;
                self.get_ref().$to()
            }
        }
    };
}

wrappers!(IntoTokio, Tokio, to_tokio);
wrappers!(IntoSmarm, Smarm, to_smarm);

impl<S: IntoTokio> IntoTokio for AsyncIo<S> {
    type Tokio = S::Tokio;

    fn to_tokio(&self) -> io::Result<S::Tokio> {
        self.get_ref().to_tokio()
    }
}

impl<S: IntoSmarm> IntoSmarm for SyncIo<S> {
    type Smarm = S::Smarm;

    fn to_smarm(&self) -> io::Result<S::Smarm> {
        self.get_ref().to_smarm()
    }
}

/// Writing them here could wait, where the caller may not.
fn flushed(unwritten: &[u8]) -> io::Result<()> {
    if unwritten.is_empty() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "bytes in the writer were not written yet: flush it before the conversion",
    ))
}
