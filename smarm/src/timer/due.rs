//! What lies in a wheel: an actor or a task to be woken, or an alarm to be rung.

use std::sync::Arc;
use std::task::Waker;

use super::wheel::Key;
use crate::pid::Pid;

/// Whom an entry of a worker's wheel is for.
pub(crate) enum Due {
    /// An actor that waits. It owns its key.
    Actor(Pid),
    /// A future that waits. It owns its key.
    Task(Waker),
    /// Something else that has no stack of its own. The alarm keeps its key.
    Alarm(Arc<dyn Ring>),
}

// So that a place of the wheel is half a cache line.
const _: () = assert!(size_of::<Option<Due>>() == 24);

/// An alarm, as seen by the wheel that it lies in.
pub(crate) trait Ring: Send + Sync {
    /// Gives up the key of the entry in the wheel of this owner, which the caller is to release. `None`
    /// if the entry lies elsewhere, or was released.
    fn take_key(&self, owner: Owner) -> Option<Key>;

    /// Does what was to be done, unless it was cancelled; before that, gives the key as
    /// [`take_key`](Self::take_key) does. May run code of others: outside all borrows and locks.
    fn ring(&self, owner: Owner, release: &mut dyn FnMut(Key));

    /// Puts the alarm into the wheel of the timer thread, as its worker ends.
    fn move_elsewhere(self: Arc<Self>, deadline: u64);
}

/// Names a wheel: the address of its worker's home, or 0 for the timer thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) usize);

impl Owner {
    /// The timer thread.
    pub(crate) const ELSEWHERE: Owner = Owner(0);
}
