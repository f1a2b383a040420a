//! Supervision: a child's end reaches its parent as a message.
//!
//! An actor that asks for its [`mailbox`] is told of the end of each actor that it spawns from then
//! on. Supervision trees can be built on this: a supervisor is an actor that waits for signals and
//! spawns anew what has ended.
//!
//! ```
//! use smarm::supervisor::{self, Signal};
//!
//! smarm::run(|| {
//!     let signals = supervisor::mailbox();
//!     let child = smarm::Builder::new().name("worker").spawn(|| panic!("boom")).unwrap().pid();
//!     match signals.recv().unwrap() {
//!         Signal::Panic { pid, message, .. } => assert_eq!((pid, message.as_str()), (child, "boom")),
//!         other => unreachable!("{other:?}"),
//!     }
//! });
//! ```

use std::sync::Arc;

use crate::actor::record::{self, End, Watcher};
use crate::channel::{Receiver, Sender, channel};
use crate::pid::Pid;

/// How an actor ended without a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Its closure returned.
    Returned,
    /// Somebody killed it.
    Killed,
}

/// What a parent is told of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// It ended without a panic.
    Exit {
        /// Which actor.
        pid: Pid,
        /// Its name, if it has one.
        name: Option<String>,
        /// How it ended.
        reason: Reason,
    },
    /// It panicked. The payload itself goes to whoever joins it.
    Panic {
        /// Which actor.
        pid: Pid,
        /// Its name, if it has one.
        name: Option<String>,
        /// The text of the panic.
        message: String,
        /// File, line and column, if they are known.
        place: Option<String>,
    },
}

impl Signal {
    /// Which actor ended.
    pub fn pid(&self) -> Pid {
        match self {
            Self::Exit { pid, .. } | Self::Panic { pid, .. } => *pid,
        }
    }
}

/// Opens a mailbox for the calling actor: each actor that it spawns from now on leaves a signal
/// there when it ends, before those who join it are woken. It takes the place of an earlier mailbox,
/// which goes on receiving from the actors spawned before.
///
/// # Panics
/// Outside an actor.
#[track_caller]
pub fn mailbox() -> Receiver<Signal> {
    let (sender, receiver) = channel();
    record::with_current(|record| match record {
        Some(record) => record.set_mailbox(Arc::new(Mailbox(sender))),
        None => panic!(
            "smarm: supervisor::mailbox was called outside an actor: call it in the actor that shall be told \
             of its children's ends"
        ),
    });
    receiver
}

struct Mailbox(Sender<Signal>);

impl Watcher for Mailbox {
    fn ended(&self, pid: Pid, name: Option<&str>, end: &End<'_>) -> bool {
        let name = name.map(str::to_owned);
        let signal = match *end {
            End::Returned => Signal::Exit { pid, name, reason: Reason::Returned },
            End::Killed => Signal::Exit { pid, name, reason: Reason::Killed },
            End::Panicked { message, place } => {
                Signal::Panic { pid, name, message: message.to_owned(), place: place.map(str::to_owned) }
            }
        };
        self.0.send(signal).is_ok()
    }
}
