//! What the types of sockets have in common, for those with a field `socket: Socket<…>`.

/// The conversions of a type, from and to descriptors and std's type.
macro_rules! conversions {
    ($type:ident, $std:ty) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(self))
            }
        }

        /// The socket stays non-blocking.
        impl std::os::fd::IntoRawFd for $type {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                std::os::fd::IntoRawFd::into_raw_fd(std::os::fd::OwnedFd::from(self))
            }
        }

        /// As from an [`OwnedFd`](std::os::fd::OwnedFd).
        impl std::os::fd::FromRawFd for $type {
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> $type {
                // SAFETY: the caller owns the descriptor.
                unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) }.into()
            }
        }

        /// Makes the socket non-blocking.
        ///
        /// # Panics
        /// If the system refuses that: it is not a socket, then.
        impl From<std::os::fd::OwnedFd> for $type {
            fn from(fd: std::os::fd::OwnedFd) -> $type {
                let socket = $crate::net::socket::Socket::adopt(<$std>::from(fd).into());
                $type { socket: socket.expect("a socket can be made non-blocking") }
            }
        }

        /// The socket stays non-blocking.
        impl From<$type> for std::os::fd::OwnedFd {
            fn from(this: $type) -> std::os::fd::OwnedFd {
                this.socket.into_inner().into()
            }
        }

        /// Makes the socket non-blocking, and with it all duplicates.
        impl TryFrom<$std> for $type {
            type Error = std::io::Error;

            fn try_from(inner: $std) -> std::io::Result<$type> {
                Ok($type { socket: $crate::net::socket::Socket::adopt(inner.into())? })
            }
        }

        /// Makes the socket blocking, and with it all duplicates: do not convert one of several
        /// clones. Timeouts are not carried over.
        impl TryFrom<$type> for $std {
            type Error = std::io::Error;

            fn try_from(this: $type) -> std::io::Result<$std> {
                let inner: $std = $crate::net::stds::of(this.socket.into_inner())?;
                crate::io::set_nonblocking(&inner, false)?;
                Ok(inner)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.socket.inner().fmt(f)
            }
        }
    };
}

pub(in crate::net) use conversions;

/// What every kind of handle has.
macro_rules! handle {
    ($type:ident) => {
        impl $type {
            /// A second handle to the same socket, with copies of this one's timeouts and mode.
            ///
            /// # Errors
            /// Those of `fcntl(2)`: out of descriptors.
            pub fn try_clone(&self) -> std::io::Result<$type> {
                Ok($type { socket: self.socket.duplicate(self.socket.inner().try_clone()?) })
            }

            /// Whether calls through this handle fail with
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) where they would wait. Other handles to
            /// the socket do not change, and the poll functions neither.
            ///
            /// # Errors
            /// None; the result is there for std's shape.
            pub fn set_nonblocking(&self, nonblocking: bool) -> std::io::Result<()> {
                self.socket.set_nonblocking(nonblocking);
                Ok(())
            }

            /// Takes the socket's pending error (`SO_ERROR`).
            ///
            /// # Errors
            /// Those of `getsockopt(2)`.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.socket.inner().take_error()
            }
        }
    };
}
pub(in crate::net) use handle;

/// The timeouts of sockets that bytes go through.
macro_rules! timeouts {
    ($type:ident) => {
        impl $type {
            /// How long a call that receives through this handle waits at most.
            ///
            /// # Errors
            /// None; the result is there for std's shape.
            pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(self.socket.read_timeout.span())
            }

            /// Limits each call that receives through this handle; it then fails with
            /// [`TimedOut`](std::io::ErrorKind::TimedOut).
            ///
            /// # Errors
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for zero.
            pub fn set_read_timeout(&self, timeout: Option<std::time::Duration>) -> std::io::Result<()> {
                self.socket.read_timeout.set(timeout)
            }

            /// How long a call that sends through this handle waits at most.
            ///
            /// # Errors
            /// None; the result is there for std's shape.
            pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(self.socket.write_timeout.span())
            }

            /// Limits each call that sends through this handle; it then fails with
            /// [`TimedOut`](std::io::ErrorKind::TimedOut).
            ///
            /// # Errors
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for zero.
            pub fn set_write_timeout(&self, timeout: Option<std::time::Duration>) -> std::io::Result<()> {
                self.socket.write_timeout.set(timeout)
            }
        }
    };
}
pub(in crate::net) use timeouts;

/// The time to live of what an internet socket sends.
macro_rules! time_to_live {
    ($type:ident) => {
        impl $type {
            /// The time to live (`IP_TTL`) of sent packets, in hops.
            ///
            /// # Errors
            /// Those of `getsockopt(2)`.
            pub fn ttl(&self) -> std::io::Result<u32> {
                self.socket.inner().ttl()
            }

            /// Sets the time to live (`IP_TTL`) of sent packets, in hops.
            ///
            /// # Errors
            /// Those of `setsockopt(2)`.
            pub fn set_ttl(&self, ttl: u32) -> std::io::Result<()> {
                self.socket.inner().set_ttl(ttl)
            }
        }
    };
}
pub(in crate::net) use time_to_live;
