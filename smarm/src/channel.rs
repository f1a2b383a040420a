//! Channels.

mod error;
pub mod oneshot;
#[cfg(test)]
pub(crate) mod testing;

pub use error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
