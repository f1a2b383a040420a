//! The native reactor of one worker: an epoll, which is also where the worker sleeps.
//!
//! ```text
//!  worker's thread                                  any thread
//!  ───────────────                                  ──────────
//!  register(fd) ──▶ entry in the registry ◀──────── drop of the source
//!  wait(timeout) ─▶ epoll_pwait2
//!      event of a source ──▶ its readiness, its waiters' wakers
//!      event of the eventfd ◀────────────────────── waker().wake()
//! ```
//!
//! Each descriptor is registered once, edge-triggered, for both directions; what an edge told is
//! kept in the source's [`readiness`](super::readiness), so a wait costs a system call only when
//! the kernel's answer is not known.
//!
//! A sleep ends on time to within the thread's timer slack, and never early: `epoll_pwait2` takes
//! nanoseconds. Where the kernel lacks it (before 5.11, or behind an old seccomp filter), a
//! timerfd in the epoll takes its place.
//!
//! When the reactor ends, its sources answer [`ReactorGone`](super::ReactorGone), and all who wait
//! are woken, so that they register the descriptor elsewhere.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::notifier::Notifier;
use super::registry::{self, Key, Registered, Registry, SOURCE_EVENTS};
use super::sys::{check, timespec};
use super::{Reactor, Source};
use crate::actor::park::rouse;

/// How many events one wait brings at most; the kernel keeps the others, in turn, for the next.
const BATCH: usize = 256;

/// An epoll with its sources. It belongs to one thread; its sources and wakers go anywhere.
pub(crate) struct Epoll {
    epoll: OwnedFd,
    clock: Clock,
    notifier: Arc<Notifier>,
    registry: Arc<Registry>,
    /// Buffers, which are taken out while in use: a foreign waker may do anything, even wait here.
    events: Cell<Vec<libc::epoll_event>>,
    woken: Cell<Vec<Waker>>,
    /// A wait has ended and wakes who waits for descriptors; its caller looks for work after that.
    delivering: Cell<bool>,
}

/// What ends a wait on time.
enum Clock {
    /// `epoll_pwait2` itself.
    Kernel,
    /// A timerfd in the epoll, and whether it is set.
    TimerFd(OwnedFd, Cell<bool>),
}

impl Epoll {
    /// # Errors
    /// Those of `epoll_create1` and `eventfd`: no descriptors or no memory left.
    pub(crate) fn new() -> io::Result<Epoll> {
        let epoll = create()?;
        let clock = if has_pwait2(&epoll)? { Clock::Kernel } else { timer_in(&epoll)? };
        Epoll::with_clock(epoll, clock)
    }

    fn with_clock(epoll: OwnedFd, clock: Clock) -> io::Result<Epoll> {
        let notifier = Arc::new(Notifier::new()?);
        registry::add(&epoll, notifier.as_fd().as_raw_fd(), libc::EPOLLIN, Key::NOTIFIER)?;
        let registry = Arc::new(Registry::new(epoll.as_raw_fd()));
        Ok(Epoll {
            epoll,
            clock,
            notifier,
            registry,
            events: Cell::new(Vec::with_capacity(BATCH)),
            woken: Cell::default(),
            delivering: Cell::default(),
        })
    }

    /// How many descriptors are registered: with none, there is nothing to poll for.
    pub(crate) fn registered(&self) -> usize {
        self.registry.len()
    }

    /// Ends the current or next [`wait`](Epoll::wait), from any thread; of many calls before that
    /// wait only the first is a system call. Does nothing once the reactor has ended.
    pub(crate) fn waker(&self) -> Waker {
        Arc::clone(&self.notifier).into()
    }

    /// Sleeps until a descriptor is ready, the waker is called, or `timeout` has passed, and wakes
    /// who waits for the descriptors; with `None` without limit, with zero not at all. Gives the
    /// number of descriptors that had news. A return before the timeout without any is possible.
    ///
    /// # Errors
    /// Those of `epoll_wait` other than `EINTR`, which is retried: none in a sound program.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<usize> {
        // Within another wait's delivery: the calls since that began count for this one.
        let timeout = if self.end_delivery() { Some(Duration::ZERO) } else { timeout };
        let mut events = self.events.take();
        events.reserve(BATCH);
        self.collect(&mut events, timeout)?;
        if !events.is_empty() {
            // Whoever is woken below calls the waker, which need not end a wait that is over.
            self.notifier.mute();
            self.delivering.set(true);
        }
        let mut woken = self.woken.take();
        let mut delivered = 0;
        for event in &events {
            // A wake is free of the registry's lock, and of this loop's borrow of a source.
            match Key(event.u64) {
                Key::NOTIFIER | Key::TIMER => {}
                key => {
                    if let Some(source) = self.registry.find(key) {
                        source.deliver(event.events, &mut woken);
                        delivered += 1;
                    }
                }
            }
            woken.drain(..).for_each(rouse);
        }
        events.clear();
        self.events.set(events);
        self.woken.set(woken);
        self.end_delivery();
        Ok(delivered)
    }

    /// Says whether there was one.
    fn end_delivery(&self) -> bool {
        let delivering = self.delivering.replace(false);
        if delivering {
            self.notifier.acknowledge();
        }
        delivering
    }

    /// Fills `events`, which is empty, from the kernel.
    fn collect(&self, events: &mut Vec<libc::epoll_event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut left = timeout;
        // One beyond the clock's range is no limit, and zero needs no clock.
        let deadline =
            timeout.filter(|span| !span.is_zero()).and_then(|span| Instant::now().checked_add(span));
        let count = loop {
            match self.clock.wait(&self.epoll, events, left) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if let Some(deadline) = deadline {
                        left = Some(deadline.saturating_duration_since(Instant::now()));
                    }
                }
                result => break result?,
            }
        };
        // SAFETY: the kernel wrote `count` events, no more than the spare capacity that it was given.
        unsafe { events.set_len(count) };
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Reactor for Epoll {
    fn register(&self, fd: BorrowedFd<'_>) -> io::Result<Arc<dyn Source>> {
        let key = self.registry.reserve();
        let added = match registry::add(&self.epoll, fd.as_raw_fd(), SOURCE_EVENTS, key) {
            // Some other wait has it registered: an epoll tells descriptors apart, so a duplicate
            // gets its own edges.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                fd.try_clone_to_owned().and_then(|duplicate| {
                    registry::add(&self.epoll, duplicate.as_raw_fd(), SOURCE_EVENTS, key)?;
                    Ok((duplicate.as_raw_fd(), Some(duplicate)))
                })
            }
            result => result.map(|()| (fd.as_raw_fd(), None)),
        };
        match added {
            Ok((fd, duplicate)) => {
                let source = Arc::new(Registered::new(Arc::clone(&self.registry), key, fd, duplicate));
                // No event can have come in between: events are taken by this thread alone.
                self.registry.fill(key, &source);
                Ok(source)
            }
            Err(error) => {
                self.registry.remove(key, None);
                Err(error)
            }
        }
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let mut woken = self.woken.take();
        self.registry.end(&mut woken);
        woken.drain(..).for_each(rouse);
    }
}

impl Clock {
    /// One wait, which a signal may interrupt. Gives the number of events that stand in the spare
    /// capacity of `events`.
    fn wait(
        &self,
        epoll: &OwnedFd,
        events: &mut Vec<libc::epoll_event>,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let spare = events.spare_capacity_mut();
        let (buffer, len) = (spare.as_mut_ptr().cast::<libc::epoll_event>(), spare.len().min(BATCH) as i32);
        let epoll = epoll.as_raw_fd();
        let count = match self {
            Clock::Kernel => {
                let span = timeout.map(timespec);
                pwait2(epoll, buffer, len, span.as_ref())?
            }
            Clock::TimerFd(timer, set) => {
                let zero = timeout == Some(Duration::ZERO);
                let span = timeout.filter(|_| !zero);
                if span.is_some() || set.get() {
                    set_timer(timer, span)?;
                    set.set(span.is_some());
                }
                // SAFETY: `buffer` has room for `len` events.
                check(unsafe { libc::epoll_wait(epoll, buffer, len, if zero { 0 } else { -1 }) })?
            }
        };
        Ok(count as usize)
    }
}

fn create() -> io::Result<OwnedFd> {
    // SAFETY: epoll_create1 takes no pointers.
    let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `epoll_pwait2` without a signal mask; `buffer` has room for `len` events.
fn pwait2(
    epoll: i32,
    buffer: *mut libc::epoll_event,
    len: i32,
    timeout: Option<&libc::timespec>,
) -> io::Result<i32> {
    let timeout: *const libc::timespec = timeout.map_or(ptr::null(), ptr::from_ref);
    let mask: *const libc::sigset_t = ptr::null();
    // The kernel's sigset has eight bytes; it does not look at a null one's size.
    let size: usize = 8;
    // SAFETY: `buffer` has room for `len` events, `timeout` is null or valid, the mask is null, and
    // every argument has the width of a register or is an int, as the call wants it.
    let count = unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, buffer, len, timeout, mask, size) };
    check(count as i32)
}

/// Whether the kernel (and what filters its calls) has `epoll_pwait2`.
fn has_pwait2(epoll: &OwnedFd) -> io::Result<bool> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    match pwait2(epoll.as_raw_fd(), &mut event, 1, Some(&timespec(Duration::ZERO))) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

/// A clock for kernels without `epoll_pwait2`.
fn timer_in(epoll: &OwnedFd) -> io::Result<Clock> {
    // SAFETY: timerfd_create takes no pointers.
    let fd = check(unsafe {
        libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK)
    })?;
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    let timer = unsafe { OwnedFd::from_raw_fd(fd) };
    registry::add(epoll, timer.as_raw_fd(), libc::EPOLLIN, Key::TIMER)?;
    Ok(Clock::TimerFd(timer, Cell::new(false)))
}

/// Lets the timer fire after `span`, or never.
fn set_timer(timer: &OwnedFd, span: Option<Duration>) -> io::Result<()> {
    let it_interval = timespec(Duration::ZERO);
    let it_value = timespec(span.unwrap_or(Duration::ZERO));
    let value = libc::itimerspec { it_interval, it_value };
    // SAFETY: `value` is valid for the call, and the old value is not asked for.
    check(unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &value, ptr::null_mut()) })?;
    Ok(())
}

#[cfg(test)]
mod tests;
