//! Time as the wheels count it: nanoseconds since the process first asked.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::sim;

/// Where the scale begins: for a simulation's thread at the simulation's beginning, so that the wheels do the same
/// in each run.
fn epoch() -> Instant {
    if let Some(epoch) = sim::epoch() {
        return epoch;
    }
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
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
pub(crate) fn now() -> u64 {
    nanos(Instant::now())
}

/// Nanoseconds from the epoch to `instant`; 0 if it lies before.
pub(crate) fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(epoch()).as_nanos()).unwrap_or(u64::MAX)
}

/// The instant so many nanoseconds after the epoch, if the clock reaches that far.
pub(crate) fn instant(nanos: u64) -> Option<Instant> {
    epoch().checked_add(Duration::from_nanos(nanos))
}
