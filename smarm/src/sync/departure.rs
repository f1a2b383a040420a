//! The departure of the last receiver, which senders of a broadcast or a watch can wait for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::actor::park;
use crate::channel::crowd::{Attend, Crowd};

/// How many receivers there are, and who waits until there is none.
pub(super) struct Departure {
    receivers: AtomicUsize,
    crowd: Crowd,
}

impl Departure {
    /// Without receivers yet.
    pub(super) fn new() -> Self {
        Departure { receivers: AtomicUsize::new(0), crowd: Crowd::new() }
    }

    pub(super) fn receivers(&self) -> usize {
        self.receivers.load(SeqCst)
    }

    /// One receiver more.
    pub(super) fn arrive(&self) {
        self.receivers.fetch_add(1, SeqCst);
    }

    /// One receiver less. Says whether it was the last; then who waits is to be [woken](Self::wake).
    pub(super) fn leave(&self) -> bool {
        self.receivers.fetch_sub(1, SeqCst) == 1
    }

    /// Wakes who waits, outside all locks.
    pub(super) fn wake(&self) {
        self.crowd.wake_all();
    }

    /// Ready when there is no receiver.
    pub(super) fn wait(&self) -> Closed<'_> {
        Closed { departure: self, attend: Attend::new(&self.crowd) }
    }

    /// Waits until there is no receiver, at most until `deadline`. Says whether there is none.
    #[track_caller]
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        park::wait_until(self.wait(), deadline).is_ok() || self.receivers() == 0
    }
}

/// The future of `Sender::closed_async`. Dropped half-way, it leaves no trace.
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<'a> {
    departure: &'a Departure,
    attend: Attend<&'a Crowd>,
}

impl Future for Closed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let departure = self.departure;
        // SAFETY: the only field that is pinned with the future, which is not moved out of it.
        let attend = unsafe { self.map_unchecked_mut(|this| &mut this.attend) };
        attend.poll(cx, || departure.receivers() == 0)
    }
}

impl fmt::Debug for Closed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}

/// The methods of a sender, whose `shared` has a departure, that wait for it.
macro_rules! closed_family {
    () => {
        /// Waits until there is no receiver.
        ///
        /// # Panics
        /// Where a wait would block others, as in a future that an actor awaits: see
        /// [`closed_async`](Self::closed_async). Unwinds when the caller's [scope](crate::cancel) is over.
        #[track_caller]
        pub fn closed(&self) {
            $crate::actor::park::wait_uncancelled(self.closed_async());
        }

        /// Waits until there is no receiver, at most for `timeout`. Says whether there is none. A scope that
        /// is over, and the killing of an actor that unwinds, end the wait sooner.
        ///
        /// # Panics
        /// As [`closed`](Self::closed).
        #[track_caller]
        pub fn closed_timeout(&self, timeout: ::std::time::Duration) -> bool {
            self.shared.departure.wait_until($crate::actor::park::now().checked_add(timeout))
        }

        /// As [`closed_timeout`](Self::closed_timeout), until `deadline`.
        ///
        /// # Panics
        /// As [`closed`](Self::closed).
        #[track_caller]
        pub fn closed_deadline(&self, deadline: ::std::time::Instant) -> bool {
            self.shared.departure.wait_until(Some(deadline))
        }

        /// Ready when there is no receiver. Dropped half-way, it leaves no trace.
        pub fn closed_async(&self) -> $crate::sync::departure::Closed<'_> {
            self.shared.departure.wait()
        }
    };
}
pub(super) use closed_family;
