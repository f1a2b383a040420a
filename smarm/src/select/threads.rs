//! How a plain thread waits for descriptors and for wakes at once: in `ppoll(2)`, with an eventfd that its waker
//! writes to.
//!
//! 1. The thread polls its arms with the waker. None is ready.
//! 2. It sleeps in `ppoll` on the descriptors and the eventfd, until the deadline.
//! 3. Who wakes it writes to the eventfd, which stays readable until the thread has read it: before the next (1).
//!
//! No wake is lost, as one between (1) and (2) makes (2) return at once.

use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::actor::park::Interrupt;
use crate::actor::scope;
use crate::host::Direction;
use crate::host::sys::{check, timespec};

/// A descriptor, and what it is watched for.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    fd: RawFd,
    direction: Direction,
}

impl Watched {
    pub(super) fn new(fd: RawFd, direction: Direction) -> Self {
        Self { fd, direction }
    }

    fn entry(self) -> libc::pollfd {
        let events = match self.direction {
            Direction::Read => libc::POLLIN | libc::POLLRDHUP,
            Direction::Write => libc::POLLOUT,
        };
        libc::pollfd { fd: self.fd, events, revents: 0 }
    }
}

/// Wakes a thread in `ppoll`.
struct Bell(OwnedFd);

impl Bell {
    fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: just made, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn silence(&self) {
        let mut count = 0_u64;
        // SAFETY: reads eight bytes into `count`, or fails because nobody has rung.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let one = 1_u64;
        // SAFETY: writes the eight bytes of `one`. It fails only if the count is at its highest: it rings then.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

/// As [`wait_uncancelled_until`](crate::actor::park::wait_uncancelled_until), by a plain thread that watches
/// descriptors, too. Sees the deadline of its scope, but no token.
///
/// # Panics
/// If the system refuses an eventfd.
#[cold]
#[track_caller]
pub(super) fn wait_watching<F: Future>(
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
    watched: &[Watched],
) -> Result<F::Output, Interrupt> {
    let bell = match Bell::new() {
        Ok(bell) => Arc::new(bell),
        Err(error) => panic!("smarm: select! on a thread waits for descriptors with an eventfd: {error}"),
    };
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let ring = libc::pollfd { fd: bell.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<_> = watched.iter().map(|watched| watched.entry()).chain([ring]).collect();
    let soonest = scope::soonest(deadline);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Ok(value);
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Interrupt::TimedOut);
        }
        if soonest.is_some_and(|soonest| soonest <= now) {
            scope::unwind(Interrupt::TimedOut);
        }
        // While the thread unwinds, the scope's deadline does not count.
        let until = if std::thread::panicking() { deadline } else { soonest };
        let span = until.map(|until| timespec(until.saturating_duration_since(now)));
        let span = span.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the entries are that many, and the span is null or points to a timespec that lives on. It fails
        // after a signal, and for want of memory: then the arms are polled again, which say what is wrong.
        unsafe { libc::ppoll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, span, ptr::null()) };
        bell.silence();
    }
}
