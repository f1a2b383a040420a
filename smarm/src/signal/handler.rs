//! Step 1: what runs when a signal arrives, which is async-signal-safe.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Release},
};

use super::Signal;
use crate::host::sys::check;

/// Signals that have arrived and were not passed on.
static PENDING: AtomicU64 = AtomicU64::new(0);
/// Written by the handler; there before the first handler is.
static EVENTFD: OnceLock<OwnedFd> = OnceLock::new();
/// By signal, less one: what stood there before; there before the handler is.
static BEFORE: [OnceLock<libc::sigaction>; 64] = [const { OnceLock::new() }; 64];

/// Makes the eventfd, if there is none.
///
/// # Errors
/// Those of `eventfd(2)`.
pub(super) fn prepare() -> io::Result<()> {
    if EVENTFD.get().is_none() {
        // SAFETY: eventfd takes no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
        // SAFETY: the descriptor was opened just now, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // One made by somebody else meanwhile serves as well, and this one is closed.
        let (Ok(()) | Err(_)) = EVENTFD.set(fd);
    }
    Ok(())
}

/// Puts the handler in place. To be called once for each signal, after [`prepare`].
///
/// # Errors
/// Those of `sigaction(2)`.
pub(super) fn install(signal: Signal) -> io::Result<()> {
    let number = signal.as_raw();
    // SAFETY: a sigaction of zeros is valid: no handler, no flags, an empty mask.
    let mut before: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: nothing is set, and `before` is writable.
    check(unsafe { libc::sigaction(number, ptr::null(), &raw mut before) })?;
    let (Ok(()) | Err(_)) = BEFORE[number as usize - 1].set(before); // it stays, if an attempt has failed
    // SAFETY: as above.
    let mut own: libc::sigaction = unsafe { mem::zeroed() };
    own.sa_sigaction = handle as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
    // On the alternate stack: an actor's own may be small. That holds few frames of handlers, of which each
    // takes some kilobytes for the processor's registers: so no other signal comes in between.
    own.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the mask is writable.
    unsafe { libc::sigfillset(&raw mut own.sa_mask) };
    // SAFETY: `own` is valid, and its handler is async-signal-safe.
    check(unsafe { libc::sigaction(number, &raw const own, ptr::null_mut()) })?;
    Ok(())
}

extern "C" fn handle(number: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the errno of this thread is always there.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // Release: pairs with `wait`; the eventfd orders them anyhow.
    PENDING.fetch_or(1 << (number - 1), Release);
    if let Some(eventfd) = EVENTFD.get() {
        let one = 1_u64;
        // A full counter says as much as one more.
        // SAFETY: the eight bytes of `one` are readable, and the eventfd is never closed.
        unsafe { libc::write(eventfd.as_raw_fd(), (&raw const one).cast(), 8) };
    }
    // SAFETY: as above.
    unsafe { *errno = before };
    if let Some(earlier) = BEFORE[number as usize - 1].get() {
        // SAFETY: the arguments are those of this call.
        unsafe { pass_on(earlier, number, info, context) };
    }
}

/// Calls the handler that stood there before.
///
/// # Safety
/// The arguments are what the system has given the handler that calls this.
unsafe fn pass_on(
    earlier: &libc::sigaction,
    number: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    if earlier.sa_sigaction == libc::SIG_DFL || earlier.sa_sigaction == libc::SIG_IGN {
        return;
    }
    if earlier.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: with this flag it is such a function, as whoever installed it has promised the system.
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { mem::transmute(earlier.sa_sigaction) };
        handler(number, info, context);
    } else {
        // SAFETY: without the flag it is such a function.
        let handler: extern "C" fn(c_int) = unsafe { mem::transmute(earlier.sa_sigaction) };
        handler(number);
    }
}

/// Blocks until signals have arrived, and takes them. By the thread of step 2, after [`prepare`].
pub(super) fn wait() -> u64 {
    let eventfd = EVENTFD.get().expect("made before the thread was started");
    let mut count = 0_u64;
    // SAFETY: the eight bytes of `count` are writable. An interruption is as good as a count: marks are
    // looked at, and are there or not.
    unsafe { libc::read(eventfd.as_raw_fd(), (&raw mut count).cast(), 8) };
    PENDING.swap(0, AcqRel)
}
