//! How another thread ends an epoll wait: an eventfd, written at most once per wait.
//!
//! | `written` | |
//! |---|---|
//! | false | nobody has called since the last wait that saw a call |
//! | true | the eventfd was written, and no wait has seen it yet; or the waiting thread is awake |
//!
//! 1. A caller publishes its work (say, in an inbox), then swaps `written` to true; whoever finds
//!    false writes the eventfd.
//! 2. When a wait ends, the waiting thread swaps `written` to true, so that no call writes while it
//!    delivers what the wait brought. It then swaps `written` to false, and only then looks for work.
//!
//! No call is lost: both are swaps of one atomic. If the caller's comes first, the other one reads
//! from it and so sees the work; if it comes second, it finds false and writes a new edge.
//!
//! The eventfd is edge-triggered and never read: every write is an edge, and 2^64 writes do not
//! happen.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use super::sys::check;

/// The eventfd of one reactor. Its wakers keep it open after the reactor has ended.
pub(super) struct Notifier {
    eventfd: OwnedFd,
    written: AtomicBool,
}

impl Notifier {
    pub(super) fn new() -> io::Result<Notifier> {
        // SAFETY: eventfd takes no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor was opened just now, and nobody else knows it.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Notifier { eventfd, written: AtomicBool::new(false) })
    }

    /// Step 2, once a wait has ended: until [`acknowledge`](Notifier::acknowledge), calls write nothing.
    pub(super) fn mute(&self) {
        // any => true: a swap, so that `acknowledge` also reads from the calls before.
        self.written.swap(true, Ordering::AcqRel);
    }

    /// Step 2, before looking for work.
    pub(super) fn acknowledge(&self) {
        // true => false: pairs with the swap in `wake_by_ref`.
        self.written.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // false => true: pairs with the swap in `acknowledge`.
        if self.written.swap(true, Ordering::AcqRel) {
            return;
        }
        let one = 1_u64;
        // SAFETY: the eight bytes of `one` are readable, and the eventfd is open while `self` lives.
        let wrote = unsafe { libc::write(self.eventfd.as_raw_fd(), (&raw const one).cast(), 8) };
        debug_assert_eq!(wrote, 8, "{}", io::Error::last_os_error());
    }
}
