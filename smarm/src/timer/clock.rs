//! Time as the wheels count it: nanoseconds since the process first asked.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::sim;

/// When the process first asked: for std, and as the system says it, which comes later by a moment. So what is
/// `now` by the latter may lie that moment before std's, and no deadline comes early.
struct Epoch {
    instant: Instant,
    raw: u64,
}

#[inline(always)]
fn epoch() -> &'static Epoch {
    static EPOCH: OnceLock<Epoch> = OnceLock::new();
    EPOCH.get_or_init(|| Epoch { instant: Instant::now(), raw: raw() })
}

/// Nanoseconds by the clock that std's `Instant` goes by. An `Instant` takes some hundred instructions more to
/// become a number, and each turn with timers asks.
#[inline(always)]
fn raw() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable. The system has had this clock for ever, so the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * NANOS + time.tv_nsec as u64
}

const NANOS: u64 = 1_000_000_000;

/// Where the scale begins: for a simulation's thread at the simulation's beginning, so that the wheels do the same in
/// each run.
#[inline(always)]
fn zero() -> Instant {
    sim::epoch().unwrap_or_else(|| epoch().instant)
}

/// Whether a worker of this process has a clock of its own: so that those who have none ask only this.
static OWN_CLOCKS: AtomicBool = AtomicBool::new(false);

/// Announces that a worker has a clock of its own.
pub(crate) fn announce_own() {
    OWN_CLOCKS.store(true, Relaxed); // what a thread finds in its own worker was stored by itself
}

/// Whether a worker may have a clock of its own.
#[inline(always)]
pub(crate) fn may_be_own() -> bool {
    OWN_CLOCKS.load(Relaxed)
}

/// Nanoseconds from the epoch to now, by the system's clock.
#[inline]
pub(crate) fn now() -> u64 {
    if sim::epoch().is_some() {
        return nanos(Instant::now());
    }
    let begin = epoch().raw; // first, as it may be now that it is taken
    raw().saturating_sub(begin)
}

/// Nanoseconds from the epoch to `instant`; 0 if it lies before.
pub(crate) fn nanos(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(zero());
    since.as_secs().saturating_mul(NANOS).saturating_add(u64::from(since.subsec_nanos()))
}

/// The instant so many nanoseconds after the epoch, if the clock reaches that far.
pub(crate) fn instant(nanos: u64) -> Option<Instant> {
    zero().checked_add(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_never_ahead_of_an_instant_that_is_taken_after_it() {
        for _ in 0..10_000 {
            let earlier = now();
            let later = nanos(Instant::now());
            assert!(earlier <= later, "{earlier} is ahead of {later}");
        }
    }

    #[test]
    fn an_instant_comes_back_from_its_nanoseconds() {
        let there = Instant::now() + Duration::from_millis(1_234);
        assert_eq!(instant(nanos(there)), Some(there));
    }
}
