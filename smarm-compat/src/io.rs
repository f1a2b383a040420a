//! Streams across the border: std's traits over tokio's streams, tokio's traits over smarm's, and
//! sockets that move from one world to the other.
//!
//! | you have | you need | use |
//! |---|---|---|
//! | a tokio stream | `std::io::{Read, Write, BufRead, Seek}`, in an actor | [`SyncIo`] |
//! | a smarm stream | tokio's or futures' `AsyncRead`, `AsyncWrite`, in a task | [`AsyncIo`] |
//! | a tokio socket | the same socket in [`smarm::net`] | [`IntoSmarm`] |
//! | a smarm socket | the same socket in [`tokio::net`] | [`IntoTokio`] |
//!
//! So a library that knows only std's traits works over any tokio stream, unchanged:
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use smarm_compat::{await_future, io::SyncIo};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! smarm_compat::run(|| {
//!     let listener = await_future(TcpListener::bind("127.0.0.1:0"))?;
//!     let address = listener.local_addr()?;
//!     let server = smarm::spawn(move || {
//!         let (stream, _) = await_future(listener.accept())?;
//!         writeln!(SyncIo::new(stream), "hello")
//!     });
//!     let client = SyncIo::new(await_future(TcpStream::connect(address))?);
//!     let mut line = String::new();
//!     BufReader::new(client).read_line(&mut line)?;
//!     assert_eq!(line, "hello\n");
//!     server.join().unwrap()
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Which is faster?
//! A socket that only actors use is best one of [`smarm::net`]: its reads and writes are plain system
//! calls in the actor, where [`SyncIo`] goes through tokio's poll functions and its budget.

mod async_io;
mod convert;
mod sync_io;
mod unread;

pub use async_io::AsyncIo;
pub use convert::{ConvertError, IntoSmarm, IntoTokio};
pub use sync_io::SyncIo;
pub use unread::Unread;
