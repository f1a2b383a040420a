//! Waiting for the first of several things: [`select!`](crate::select!).
//!
//! | word | meaning |
//! |---|---|
//! | arm | a pattern, a source, perhaps a condition, and a handler |
//! | source | what an arm waits for: a value that is [`Selectable`] |
//! | out | an arm whose condition does not hold, or whose pattern did not match |
//!
//! ```
//! use smarm::channel::channel;
//! use smarm::{select, spawn};
//! use std::time::Duration;
//!
//! smarm::run(|| {
//!     let (numbers, rx) = channel();
//!     let mut child = spawn(move || (1..=3).for_each(|n| numbers.send(n).unwrap()));
//!     let mut sum = 0;
//!     let mut running = true;
//!     loop {
//!         select! {
//!             number = recv(&rx) => match number {
//!                 Ok(number) => sum += number,
//!                 Err(_) => break,
//!             },
//!             ended = join(&mut child), if running => {
//!                 ended.unwrap();
//!                 running = false;
//!             }
//!             () = after(Duration::from_secs(5)) => panic!("no number for five seconds"),
//!         }
//!     }
//!     assert_eq!(sum, 6);
//! });
//! ```
//!
//! # Arms
//! An arm is `pattern = source => handler`, or `pattern = source, if condition => handler`. A handler that is no
//! block ends with a comma. These words make sources; they are known inside of the macro without being imported,
//! and there they hide functions of the caller's with the same names:
//!
//! | source | ready when | gives |
//! |---|---|---|
//! | [`recv(&receiver)`](recv()) | a message is there, or none will be | what `receiver.recv()` gives |
//! | [`send(&sender, &mut message)`](send()) | the message can be sent, or never | what `sender.send()` gives |
//! | [`after(duration)`](after), [`at(instant)`](at) | the time has come | `()` |
//! | [`join(&mut handle)`](join()) | the actor has ended | what `handle.join()` gives |
//! | [`readable(&fd)`](readable), [`writable(&fd)`](writable) | the descriptor is ready | `io::Result<()>` |
//! | [`lock(&mutex)`](lock) | the mutex is the caller's | what `mutex.lock()` gives |
//! | [`future(f)`](future) | the future is | its output |
//! | any [`Selectable`] value | | its `Output` |
//!
//! - First all conditions and sources are evaluated, from the top. The source of an arm whose condition does not
//!   hold is not evaluated. Temporaries in a source end with it.
//! - Then the caller waits until an arm is ready. The waits of all others are dropped before the handler runs,
//!   which may use what they have borrowed.
//! - **Exactly one arm takes effect.** Of the others none has: a message is still in its channel, a message that
//!   was to be sent is still in its variable, a mutex is handed on, an actor can be joined later. (The future of
//!   somebody else is dropped half-way; what that means is for the future to say. Smarm's own lose nothing,
//!   but for `send_async`, whose message may have gone: use [`send`](send()).)
//! - If several are ready, the choice is random: it begins at a random arm and takes the first ready one from there.
//!   So no arm starves. With `biased;` before the first arm it begins at the top, always. (While it waits, whoever
//!   meets it in a channel of capacity 0 may decide for that arm before it looks.)
//! - A value that the pattern does not match is dropped, and that arm is out; the others go on. Who wants to see
//!   every value writes a pattern that always matches.
//! - Some thirty arms are possible, more with a higher `recursion_limit`.
//! - With `default => handler` the macro does not wait: that handler runs if no arm is ready.
//! - If all arms are out, `else => handler` runs, or `default`. If there is neither, that is a panic.
//! - Handlers stand where the macro stands: `?`, `break`, `continue` and `return` are those of the code around it.
//!
//! It works in actors and on plain threads. If the caller's [scope](crate::cancel) is over, the wait unwinds to that;
//! a kill unwinds it; in a destructor of an actor that is being killed, it waits all the same.
//!
//! # In async code
//! All futures of smarm lose nothing when they are dropped (`send_async` as said above), so tokio's and the
//! futures crate's `select!` work with `recv_async()`, `lock_async()`, `&mut handle` and so on. This macro blocks;
//! in a future that an actor awaits it panics.
//!
//! # How
//! All arms register the same waker, which is the actor's pid. The waits of smarm itself ([`Shallow`]) are polled on
//! the caller's stack, those of others on the worker's, as `await_future` does; a timer is no more than the deadline
//! of the one wait that there is. The list of arms is a tuple of tuples on the caller's stack: nothing is allocated.
//!
//! **Why no more than one takes effect**: a poll that is ready is what takes a message, a permit, or a mutex, and
//! after the first such poll there is no other. What somebody else may have granted meanwhile goes on to the next
//! in line when the wait for it is dropped. A message to be sent is therefore never queued with a receiver: its
//! sender waits for the permit to send it (`channel::reserve`). Where nothing lies between sender and receiver, in
//! a channel of capacity 0, one of them decides for the other: it needs the claim of a `select!` that waits, for
//! which all counterparts and the `select!` itself compete (`channel::claim`).
//!
//! **Why no wake is lost**: each arm's own proof holds, as each has its waker when the caller parks; the arms that a
//! wake was not for are polled again with it.
//!
//! Rejected: sources that are closures, evaluated only by the winner (there is nothing to wait with); a claim word
//! for all channels, as those of pure threads have it (each send and each receive would pay for it, and futures of
//! others do not know it); a pattern that must match (too strict for a condition that is
//! written as a pattern).

mod arms;
mod foreign;
mod macros;
#[cfg(all(test, smarm_loom))]
mod models;
mod probe;
mod threads;
mod timer;
mod wait;
mod words;

use std::future::Future;
use std::pin::Pin;
use std::task::Waker;
use std::time::Instant;

#[doc(hidden)]
pub use arms::{Also, Arms, Either, End, Outcome};
pub use foreign::Foreign;
#[doc(hidden)]
pub use probe::Probe;
pub use timer::{Readiness, Timer};
#[doc(hidden)]
pub use wait::{Next, Order, all_out, next};
pub use words::{AnyFuture, Receives, after, at, future, join, lock, readable, recv, send, writable};
#[doc(hidden)]
pub mod hidden {
    //! What the macro imports around each source.
    pub use super::probe::{KeepSource as _, OwnSource as _};
    pub use super::words::{after, at, future, join, lock, readable, recv, send, writable};
}

/// What an arm of [`select!`](crate::select!) can wait for.
///
/// A future that is [`Shallow`] is, and so is whatever can be turned into one:
///
/// ```
/// use smarm::channel::{Receiver, Recv, channel};
/// use smarm::select::Selectable;
///
/// struct Inbox {
///     letters: Receiver<String>,
/// }
///
/// impl<'a> Selectable for &'a mut Inbox {
///     type Output = Result<String, smarm::channel::RecvError>;
///     type Wait = Recv<'a, String>;
///
///     fn into_wait(self) -> Self::Wait {
///         self.letters.recv_async()
///     }
/// }
///
/// let (tx, letters) = channel();
/// let mut inbox = Inbox { letters };
/// tx.send("hello".to_owned()).unwrap();
/// smarm::select! {
///     letter = &mut inbox => assert_eq!(letter.unwrap(), "hello"),
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the source of an arm of `select!`",
    label = "not a source",
    note = "sources are `recv(&receiver)`, `send(&sender, &mut message)`, `after(duration)`, `at(instant)`, `join(&mut handle)`, `lock(&mutex)`, `readable(&fd)`, `writable(&fd)`, `future(f)`, and what implements `Selectable`"
)]
pub trait Selectable {
    /// What the arm's pattern is matched with.
    type Output;

    /// The wait. It loses nothing when it is dropped half-way, and takes effect by being ready, in that very poll.
    /// It is polled on the caller's stack, as [`Shallow`] says.
    type Wait: Future<Output = Self::Output>;

    /// When the wait is to be polled although nobody has woken it.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// A descriptor that a plain thread, which has no reactor, is to watch.
    #[doc(hidden)]
    fn watched(&self) -> Option<Watched> {
        None
    }

    /// Begins to wait.
    fn into_wait(self) -> Self::Wait;

    /// Tells the wait which arm it is, before each look. Says whether a counterpart may decide for that one.
    ///
    /// # Safety
    /// The wait is dropped before the select ends, and polled only as its arm.
    #[doc(hidden)]
    #[inline(always)]
    unsafe fn enroll(_: Pin<&mut Self::Wait>, _: Claimant) -> bool {
        false
    }

    /// Wakes a counterpart that came while the select was looking.
    #[doc(hidden)]
    #[inline(always)]
    fn notify(_: Pin<&mut Self::Wait>, _own: &Waker) {}
}

#[doc(hidden)]
pub use crate::channel::Claimant;
#[doc(hidden)]
pub use threads::Watched;

/// A future whose poll needs little of an actor's stack and runs no code that it does not know: it is polled where
/// the actor is, and not on the worker's stack.
///
/// Smarm's own that have a name are, but for those that run code of the program's own: the broadcast's, which clones a
/// message, and those of a `Condvar`, which asks a condition. A future of yours may be, if it only polls such futures, and does little besides: some
/// KiB of stack are safe, in any actor.
pub trait Shallow: Future {}

impl<F: Shallow + Unpin + ?Sized> Shallow for &mut F {}
impl<F: Shallow + ?Sized> Shallow for Pin<&mut F> {}
impl<F: Shallow + ?Sized> Shallow for Pin<Box<F>> {}
impl<T> Shallow for crate::channel::Recv<'_, T> {}
impl<T> Shallow for crate::channel::Sending<'_, T> {}
impl<T> Shallow for crate::channel::oneshot::Receiver<T> {}
impl<T> Shallow for crate::sync::mpmc::Recv<'_, T> {}
impl<T> Shallow for crate::sync::watch::Changed<'_, T> {}
impl Shallow for crate::sync::watch::Closed<'_> {}
impl Shallow for crate::sync::Notified<'_> {}
impl<T: ?Sized> Shallow for crate::mutex::Lock<'_, T> {}
impl Shallow for crate::cancel::Cancellation<'_> {}
impl<T> Shallow for crate::JoinHandle<T> {}

impl<F: Shallow> Selectable for F {
    type Output = F::Output;
    type Wait = F;

    fn into_wait(self) -> F {
        self
    }
}
