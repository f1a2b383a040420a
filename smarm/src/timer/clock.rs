//! Time as the wheels count it: nanoseconds since the process first asked.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Nanoseconds from the epoch to now.
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
