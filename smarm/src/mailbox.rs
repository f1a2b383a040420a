//! Messages to whoever has a pid: typed mailboxes of actors.
//!
//! | word | meaning |
//! |---|---|
//! | mailbox | a channel to an actor, found by the actor's [`Pid`] and the type of the messages |
//!
//! An actor opens a mailbox for each type of message that it wants, and holds the [`Receiver`]. Whoever
//! has its pid sends: another actor, a task ([`Pid::send_async`]), a plain OS thread.
//!
//! ```
//! use smarm::mailbox::{self, SendError};
//!
//! smarm::run(|| {
//!     let adder = mailbox::spawn(|numbers: smarm::Receiver<u32>| numbers.recv().unwrap() + numbers.recv().unwrap());
//!     let pid = adder.pid();
//!     pid.send(40_u32).unwrap();
//!     pid.send(2_u32).unwrap();
//!     assert!(matches!(pid.send("a word"), Err(SendError::NoMailbox("a word"))));
//!     assert_eq!(adder.join().unwrap(), 42);
//!     assert!(matches!(pid.send(1_u32), Err(SendError::NoActor(1))));
//! });
//! ```
//!
//! [`spawn`] opens the mailbox before the actor exists for anybody else, so nothing that is sent to its
//! pid is lost. An actor that calls [`open`] itself tells its pid to others after that.
//!
//! A mailbox ends when its receiver is dropped, and at the latest with the actor's closure, however that
//! ends. The pid of an actor that has ended reaches nobody, for ever. While the actor lives, its own
//! mailbox counts as a sender: the receiver never learns that all senders are gone.
//!
//! A send finds the mailbox under a lock that few other actors share, and sends outside it. Who sends much
//! asks for the [`Sender`] once ([`Pid::sender`]), which is then as fast as any.

use std::any::TypeId;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use crate::actor::belongings::{Belongings, visit};
use crate::actor::{park, record};
use crate::channel::{self, Receiver, SendTimeoutError, Sender, TrySendError};
use crate::join::JoinHandle;
use crate::pid::Pid;
use crate::spawn::{Builder, SpawnError};

/// Opens a mailbox for messages of type `M`, for the calling actor. It holds any number of them.
///
/// # Errors
/// The caller is no actor (in a future that it awaits, it is not either); the actor has such a mailbox
/// open already.
///
/// ```
/// smarm::run(|| {
///     let inbox = smarm::mailbox::open::<String>().unwrap();
///     let me = smarm::self_pid();
///     smarm::spawn(move || me.send("hello".to_owned()).unwrap());
///     assert_eq!(inbox.recv().unwrap(), "hello");
/// });
/// ```
pub fn open<M: Send + 'static>() -> Result<Receiver<M>, OpenError> {
    open_with(channel::channel())
}

/// As [`open`], for at most `capacity` messages: senders wait while it is full. With a capacity of 0 they
/// wait until the actor takes their message.
///
/// # Errors
/// As [`open`].
///
/// # Panics
/// If `capacity` is more than `usize::MAX / 8`.
#[track_caller]
pub fn open_bounded<M: Send + 'static>(capacity: usize) -> Result<Receiver<M>, OpenError> {
    open_with(channel::bounded(capacity))
}

fn open_with<M: Send + 'static>(
    (sender, receiver): (Sender<M>, Receiver<M>),
) -> Result<Receiver<M>, OpenError> {
    record::with_current(|record| {
        let Some(record) = record.filter(|record| !record.belongings.is_over()) else {
            return Err(OpenError::NoActor);
        };
        if put(record.belongings.make(), record.pid, sender) {
            Ok(receiver)
        } else {
            Err(OpenError::AlreadyOpen)
        }
    })
}

/// Puts a mailbox into its place, also in place of one whose receiver is gone. `false` if there is one.
fn put<M: Send + 'static>(belongings: &Belongings, pid: Pid, sender: Sender<M>) -> bool {
    let boxed = Box::new(sender);
    // What is replaced or refused is dropped outside the lock.
    let (done, unused) = belongings.with_mailboxes(pid, |mailboxes| {
        match mailboxes.iter_mut().find(|mailbox| mailbox.0 == TypeId::of::<M>()) {
            None => {
                mailboxes.push((TypeId::of::<M>(), boxed));
                (true, None)
            }
            Some((_, known)) if known.downcast_ref::<Sender<M>>().is_some_and(Sender::is_closed) => {
                (true, Some(std::mem::replace(known, boxed)))
            }
            Some(_) => (false, Some(boxed as _)),
        }
    });
    drop(unused);
    done
}

/// Starts an actor with an open mailbox, whose receiver it is given. See [`spawn`](crate::spawn()).
///
/// # Panics
/// As [`smarm::spawn`](crate::spawn()); [`Builder::spawn_with_mailbox`] gives errors instead.
#[track_caller]
pub fn spawn<M, T, F>(f: F) -> JoinHandle<T>
where
    M: Send + 'static,
    F: FnOnce(Receiver<M>) -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn_with_mailbox(f).unwrap_or_else(|error| panic!("smarm: {error}"))
}

impl Builder {
    /// Spawns the actor with an open [`mailbox`](crate::mailbox), whose receiver it is given: nothing that
    /// is sent to its pid is lost.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_with_mailbox<M, T, F>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        M: Send + 'static,
        F: FnOnce(Receiver<M>) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(channel::channel(), f)
    }

    /// As [`spawn_with_mailbox`](Self::spawn_with_mailbox), for at most `capacity` messages.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// If `capacity` is more than `usize::MAX / 8`.
    #[track_caller]
    pub fn spawn_with_bounded_mailbox<M, T, F>(
        self,
        capacity: usize,
        f: F,
    ) -> Result<JoinHandle<T>, SpawnError>
    where
        M: Send + 'static,
        F: FnOnce(Receiver<M>) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(channel::bounded(capacity), f)
    }

    fn spawn_with<M, T, F>(
        self,
        (sender, receiver): (Sender<M>, Receiver<M>),
        f: F,
    ) -> Result<JoinHandle<T>, SpawnError>
    where
        M: Send + 'static,
        F: FnOnce(Receiver<M>) -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: `Send` and `'static`.
        unsafe {
            self.spawn_unchecked(
                || f(receiver),
                |record| {
                    put(record.belongings.make(), record.pid, sender);
                },
            )
        }
    }
}

/// Sending to an actor's [`mailbox`](crate::mailbox). Each form gives the message back if it is not sent.
/// The type of the message says which mailbox: `pid.send(1_u32)` does not reach one for `i32`.
impl Pid {
    /// Sends a message; waits for room if the mailbox is bounded and full.
    ///
    /// # Errors
    /// [`SendError::NoActor`], [`SendError::NoMailbox`]; [`SendError::TimedOut`] and
    /// [`SendError::Cancelled`] if the wait for room is interrupted: by the caller's [scope](crate::cancel), or
    /// because the caller is an actor that is being killed, in a destructor.
    ///
    /// # Panics
    /// If it has to wait where nothing may: in a future that an actor awaits, and on a worker's thread
    /// outside any actor.
    #[track_caller]
    pub fn send<M: Send + 'static>(self, message: M) -> Result<(), SendError<M>> {
        self.send_until(message, || None)
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::TimedOut`].
    ///
    /// # Panics
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn send_timeout<M: Send + 'static>(self, message: M, timeout: Duration) -> Result<(), SendError<M>> {
        self.send_until(message, || park::now().checked_add(timeout))
    }

    /// As [`send`](Self::send), until `deadline`. If there is room, it is sent even if that has passed.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::TimedOut`].
    ///
    /// # Panics
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn send_deadline<M: Send + 'static>(self, message: M, deadline: Instant) -> Result<(), SendError<M>> {
        self.send_until(message, || Some(deadline))
    }

    /// Sends a message if that is possible at once.
    ///
    /// # Errors
    /// [`SendError::NoActor`], [`SendError::NoMailbox`], [`SendError::Full`].
    pub fn try_send<M: Send + 'static>(self, message: M) -> Result<(), SendError<M>> {
        match self.find::<M>() {
            Err(missing) => Err(missing.with(message)),
            Ok(sender) => sender.try_send(message).map_err(|error| match error {
                TrySendError::Full(message) => SendError::Full(message),
                TrySendError::Closed(message) => self.closed(message),
            }),
        }
    }

    /// Sends a message from async code. The mailbox is looked for by the first poll.
    ///
    /// Dropped half-way, the future leaves the queue of those who wait, and drops the message, unless the
    /// mailbox has taken that already: then the actor receives it.
    ///
    /// # Errors
    /// [`SendError::NoActor`], [`SendError::NoMailbox`].
    pub async fn send_async<M: Send + 'static>(self, message: M) -> Result<(), SendError<M>> {
        match self.find::<M>() {
            Err(missing) => Err(missing.with(message)),
            Ok(sender) => {
                let sent = sender.send_async(message).await;
                sent.map_err(|error| self.closed(error.into_inner()))
            }
        }
    }

    /// A sender to the mailbox for messages of type `M`, for those who send much. It stays what it is when
    /// the actor ends: its sends then fail.
    ///
    /// # Errors
    /// [`SendError::NoActor`], [`SendError::NoMailbox`].
    ///
    /// ```
    /// smarm::run(|| {
    ///     let counter = smarm::mailbox::spawn(|ticks: smarm::Receiver<()>| ticks.iter().take(3).count());
    ///     let sender = counter.pid().sender::<()>().unwrap();
    ///     (0..3).for_each(|_| sender.send(()).unwrap());
    ///     assert_eq!(counter.join().unwrap(), 3);
    ///     assert!(sender.send(()).is_err());
    /// });
    /// ```
    pub fn sender<M: Send + 'static>(self) -> Result<Sender<M>, SendError<()>> {
        self.find().map_err(|missing| missing.with(()))
    }

    #[track_caller]
    fn send_until<M: Send + 'static>(
        self,
        message: M,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), SendError<M>> {
        let sender = match self.find::<M>() {
            Ok(sender) => sender,
            Err(missing) => return Err(missing.with(message)),
        };
        match sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(message)) => Err(self.closed(message)),
            Err(TrySendError::Full(message)) => {
                sender.wait(message, deadline()).map_err(|error| match error {
                    SendTimeoutError::TimedOut(message) => SendError::TimedOut(message),
                    SendTimeoutError::Cancelled(message) => SendError::Cancelled(message),
                    SendTimeoutError::Closed(message) => self.closed(message),
                })
            }
        }
    }

    fn find<M: Send + 'static>(self) -> Result<Sender<M>, Missing> {
        visit(self, |mailboxes| {
            let mut mailboxes = mailboxes.ok_or(Missing::Actor)?.iter();
            let found = mailboxes.find(|mailbox| mailbox.0 == TypeId::of::<M>());
            let sender = found.and_then(|mailbox| mailbox.1.downcast_ref::<Sender<M>>());
            sender.filter(|sender| !sender.is_closed()).cloned().ok_or(Missing::Mailbox)
        })
    }

    /// Why a mailbox that was there takes no message: its receiver is gone, and perhaps the actor.
    fn closed<M>(self, message: M) -> SendError<M> {
        visit(self, |mailboxes| mailboxes.map_or(Missing::Actor, |_| Missing::Mailbox)).with(message)
    }
}

/// What was looked for and not found.
enum Missing {
    Actor,
    Mailbox,
}

impl Missing {
    fn with<M>(self, message: M) -> SendError<M> {
        match self {
            Self::Actor => SendError::NoActor(message),
            Self::Mailbox => SendError::NoMailbox(message),
        }
    }
}

/// Why a mailbox was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The caller is no actor, or its closure has ended.
    NoActor,
    /// The actor has a mailbox for this type of messages, whose receiver lives.
    AlreadyOpen,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoActor => {
                "only an actor can open a mailbox: call it in one, not in a future that it awaits"
            }
            Self::AlreadyOpen => "the actor has a mailbox for this type of messages already",
        })
    }
}

impl Error for OpenError {}

/// Why a message was not sent to a pid. The message comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<M> {
    /// There is no such actor: it has ended.
    NoActor(M),
    /// The actor has no mailbox for messages of this type, or has dropped or closed its receiver, perhaps
    /// because it is just ending.
    NoMailbox(M),
    /// The mailbox is full. Of the form that does not wait.
    Full(M),
    /// The mailbox had no room in time. Of the forms that block.
    TimedOut(M),
    /// The wait for room was cancelled. Of the forms that block.
    Cancelled(M),
}

impl<M> SendError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::NoActor(message)
            | Self::NoMailbox(message)
            | Self::Full(message)
            | Self::TimedOut(message)
            | Self::Cancelled(message) => message,
        }
    }
}

// The message itself is left out, so that `unwrap` works whether or not it is `Debug`.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoActor(_) => "NoActor(..)",
            Self::NoMailbox(_) => "NoMailbox(..)",
            Self::Full(_) => "Full(..)",
            Self::TimedOut(_) => "TimedOut(..)",
            Self::Cancelled(_) => "Cancelled(..)",
        })
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoActor(_) => "sending to an actor that has ended",
            Self::NoMailbox(_) => "sending to an actor that has no mailbox for messages of this type",
            Self::Full(_) => "sending to a full mailbox",
            Self::TimedOut(_) => "sending timed out on a full mailbox",
            Self::Cancelled(_) => "the wait for room in a mailbox was cancelled",
        })
    }
}

impl<M> Error for SendError<M> {}
