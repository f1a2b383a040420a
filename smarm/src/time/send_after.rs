//! Messages that are sent later.
//!
//! A pending message is an entry of a timing wheel that holds the message and the sender: there is no actor
//! and no stack behind it. Whoever turns the wheel sends.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actor::alarm::{self, Action, Alarm};
use crate::actor::park;
use crate::channel::{Sender, TrySendError};

/// Sends `message` when so much time has passed, and never before. It is sent once, unless it is
/// [taken back](SendAfter::cancel) before; dropping the handle does not do that.
///
/// Until then the channel counts one more sender, so that it is not closed. A message that cannot be sent
/// (the receiver is gone, or a bounded channel is full) stays with the handle.
///
/// ```
/// use std::time::Duration;
/// use smarm::channel::channel;
/// use smarm::time::send_after;
///
/// smarm::run(|| {
///     let (tx, rx) = channel();
///     let reminder = send_after(Duration::from_secs(3600), &tx, "too late");
///     send_after(Duration::from_millis(1), &tx, "in time");
///     assert_eq!(rx.recv(), Ok("in time"));
///     assert_eq!(reminder.cancel(), Ok("too late"));
/// });
/// ```
pub fn send_after<T: Send + 'static>(delay: Duration, sender: &Sender<T>, message: T) -> SendAfter<T> {
    SendAfter::new(park::now().checked_add(delay), sender, message)
}

/// Sends `message` at `deadline`; one in the past is sent as soon as the worker looks at its timers. See
/// [`send_after`].
pub fn send_at<T: Send + 'static>(deadline: Instant, sender: &Sender<T>, message: T) -> SendAfter<T> {
    SendAfter::new(Some(deadline), sender, message)
}

/// The right to take a message back that is to be sent later. May be used on any thread.
pub struct SendAfter<T: Send + 'static> {
    deadline: Option<Instant>,
    alarm: Arc<Alarm<Parcel<T>>>,
}

struct Parcel<T> {
    sender: Sender<T>,
    message: T,
}

impl<T: Send + 'static> Action for Parcel<T> {
    fn act(self) -> Option<Self> {
        let Parcel { sender, message } = self;
        match sender.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message) | TrySendError::Closed(message)) => {
                Some(Parcel { sender, message })
            }
        }
    }
}

/// Why a message was not taken back.
#[derive(Debug, PartialEq, Eq)]
pub enum CancelError<T> {
    /// It was sent.
    Sent,
    /// Its time had come, but it could not be sent: the receiver is gone, or the channel was full. Here it is.
    Undelivered(T),
}

impl<T> fmt::Display for CancelError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent => "the message was sent already",
            Self::Undelivered(_) => "the message could not be sent when its time had come",
        })
    }
}

impl<T: fmt::Debug> Error for CancelError<T> {}

impl<T: Send + 'static> SendAfter<T> {
    fn new(deadline: Option<Instant>, sender: &Sender<T>, message: T) -> Self {
        let parcel = Parcel { sender: sender.clone(), message };
        Self { deadline, alarm: alarm::set(deadline, parcel) }
    }

    /// When the message is sent; `None` is never, if the clock does not reach that far.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the time has come: the message was sent, or it could not be.
    pub fn is_over(&self) -> bool {
        self.alarm.has_rung()
    }

    /// Takes the message back, which is then not sent.
    ///
    /// # Errors
    /// Its time had come: it was sent, or could not be sent and comes back here.
    pub fn cancel(self) -> Result<T, CancelError<T>> {
        match self.alarm.cancel() {
            (Some(parcel), false) => Ok(parcel.message),
            (Some(parcel), true) => Err(CancelError::Undelivered(parcel.message)),
            (None, _) => Err(CancelError::Sent),
        }
    }
}

impl<T: Send + 'static> fmt::Debug for SendAfter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAfter")
            .field("deadline", &self.deadline)
            .field("over", &self.is_over())
            .finish_non_exhaustive()
    }
}
