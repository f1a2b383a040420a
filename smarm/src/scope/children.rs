//! The children of a scope: their count, their pids, and what each does last.
//!
//! All of this stands in the frame of the parent. See the protocol in [the module above](super).

use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::actor::{local, park};
use crate::channel::oneshot;
use crate::join::{Ending, JoinError, is_over};
use crate::pid::Pid;
use crate::spawn;

/// In `count`: the parent waits for zero.
const AWAITED: usize = 1;
/// In `count`: one child.
const CHILD: usize = 2;

/// From so many pids on, those that have ended are looked for.
const MANY: usize = 32;

pub(super) struct Children {
    /// The number of children that have not ended, times `CHILD`, and `AWAITED`.
    count: AtomicUsize,
    /// How many have panicked without being joined so far.
    panics: AtomicUsize,
    /// How many were killed, or ended by a scope of waits, without being joined so far.
    kills: AtomicUsize,
    parent: Waker,
    /// Guards the pids. No waker is woken under it.
    pids: Mutex<Pids>,
}

struct Pids {
    /// Of those that were spawned and are not known to have ended.
    list: Vec<Pid>,
    /// At this length those are looked for that have ended.
    full: usize,
    /// Whoever is spawned from now on is killed.
    killed: bool,
}

impl Children {
    pub(super) fn new(parent: Waker) -> Self {
        let pids = Mutex::new(Pids { list: Vec::new(), full: MANY, killed: false });
        Self {
            count: AtomicUsize::new(0),
            panics: AtomicUsize::new(0),
            kills: AtomicUsize::new(0),
            parent,
            pids,
        }
    }

    /// Step 1: counts a child.
    pub(super) fn admit(&self) -> Child {
        self.count.fetch_add(CHILD, Relaxed);
        Child(NonNull::from(self))
    }

    /// Notes the pid of a child that has just been spawned.
    pub(super) fn enlist(&self, pid: Pid) {
        let own_code = park::own_code(); // an allocation under the lock is no place to yield
        let mut pids = self.pids();
        if pids.list.len() == pids.full {
            pids.list.retain(|pid| !is_over(*pid));
            pids.full = (pids.list.len() * 2).max(MANY);
        }
        pids.list.push(pid);
        let killed = pids.killed;
        drop(pids);
        drop(own_code);
        if killed {
            local::kill(pid);
        }
    }

    /// Kills those that there are.
    pub(super) fn kill(&self) {
        let list = std::mem::take(&mut self.pids().list);
        list.into_iter().for_each(local::kill);
    }

    /// Kills those that there are, and all that will be.
    pub(super) fn kill_for_good(&self) {
        self.pids().killed = true;
        self.kill();
    }

    pub(super) fn running(&self) -> usize {
        self.count.load(Relaxed) / CHILD
    }

    /// Whether step 3 is done at once.
    pub(super) fn all_ended(&self) -> bool {
        // Pairs with the drop of `Child`.
        self.count.load(Acquire) < CHILD
    }

    /// Step 3.
    pub(super) fn end(&self) -> AllEnded<'_> {
        AllEnded(self)
    }

    /// Whether a child has panicked whom nobody has joined. When all have ended.
    pub(super) fn unheard_panic(&self) -> bool {
        self.panics.load(Relaxed) > 0
    }

    /// Whether a child was killed, or ended by a scope of waits, whom nobody has joined. When all have ended.
    pub(super) fn unheard_kill(&self) -> bool {
        self.kills.load(Relaxed) > 0
    }

    /// Somebody has joined a child that has ended without a result.
    pub(super) fn heard(&self, error: &JoinError) {
        self.without_result(error).fetch_sub(1, Relaxed);
    }

    fn without_result(&self, error: &JoinError) -> &AtomicUsize {
        match error {
            JoinError::Panicked(_) => &self.panics,
            JoinError::Killed => &self.kills,
        }
    }

    fn pids(&self) -> MutexGuard<'_, Pids> {
        // Nothing panics under the lock, but for want of memory.
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of step 3. Dropped half-way, it has only said that somebody waits.
pub(super) struct AllEnded<'a>(&'a Children);

impl Future for AllEnded<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // The parent's own waker is what wakes it: `scope` waits with no other.
        // _ => AWAITED. Pairs with the drop of `Child`.
        let count = self.0.count.fetch_or(AWAITED, AcqRel);
        if count < CHILD { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A child that is counted. Its drop is step 2.
pub(super) struct Child(NonNull<Children>);

// SAFETY: the children are `Sync`, and live until none is counted.
unsafe impl Send for Child {}

impl Child {
    fn children(&self) -> &Children {
        // SAFETY: while this child is counted, the frame is there.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let parent = self.children().parent.clone();
        // n children => n - 1. Release: what the child did comes before the frame goes. Acquire: so does what the
        // other children did, if this one wakes the parent. Pairs with `AllEnded`.
        let before = self.children().count.fetch_sub(CHILD, AcqRel);
        // From here on the frame may be gone.
        if before == CHILD | AWAITED {
            park::rouse(parent);
        }
    }
}

/// Where the ending of a child goes.
pub(super) struct Outlet<T> {
    result: oneshot::Sender<Ending<T>>,
    /// Dropped last.
    child: Child,
}

impl<T> Outlet<T> {
    pub(super) fn new(result: oneshot::Sender<Ending<T>>, child: Child) -> Self {
        Self { result, child }
    }
}

impl<T> spawn::Outlet<T> for Outlet<T> {
    fn learns_of_panic(&self) -> bool {
        true
    }

    fn deliver(self, ending: Ending<T>, discard: impl FnOnce(Ending<T>)) {
        let Self { result, child } = self;
        if let Err(failure) = &ending {
            child.children().without_result(&failure.error).fetch_add(1, Relaxed);
        }
        result.deliver(ending, discard);
        drop(child);
    }
}
