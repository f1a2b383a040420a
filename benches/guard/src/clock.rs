//! The clock of this process, in place of the system's: it goes on by the same time with each look at it.
//!
//! A worker measures its turns, so under callgrind, which makes everything fifty times slower, and on a slow machine more
//! of what is counted would be the ends of turns.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// From one look to the next, in nanoseconds: what an operation takes, and less than a batch should last, so that
/// batches become as long as on a fast machine.
const STEP: i64 = 100;
/// How far it is ahead of the system's, in seconds: the kernel, which goes by its own, would otherwise wake at once who
/// sleeps until some time, as the monitor does.
const AHEAD: i64 = 3_600;
const NANOS: i64 = 1_000_000_000;

/// What it said last, in nanoseconds; 0 before the first look.
static LAST: AtomicI64 = AtomicI64::new(0);

fn look() -> i64 {
    if LAST.load(Relaxed) == 0 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is writable.
        let code = unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut time) };
        assert_eq!(code, 0, "the system has such a clock");
        let begin = (time.tv_sec + AHEAD) * NANOS;
        // Whoever comes second begins with the time of the first.
        let (Ok(_) | Err(_)) = LAST.compare_exchange(0, begin, Relaxed, Relaxed);
    }
    LAST.fetch_add(STEP, Relaxed)
}

/// What libc's of this name does, for all clocks.
///
/// # Safety
/// `time` must be writable.
// SAFETY: it takes the place of libc's function of this name, and has its signature.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(_clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let now = look();
    // SAFETY: the caller's promise.
    unsafe { *time = libc::timespec { tv_sec: now / NANOS, tv_nsec: now % NANOS } };
    0
}
