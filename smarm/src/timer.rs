//! Time: the wheels that deadlines wait in, and what lies in them.

pub(crate) mod clock;
pub(crate) mod due;
pub(crate) mod elsewhere;
pub(crate) mod wheel;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use due::{Owner, Ring};
use wheel::Key;

/// Rings an alarm that its owner has found due, and drops it. What it then drops of others' (a message that nobody wants) may panic,
/// which the panic hook has reported, and which ends nothing else.
pub(crate) fn ring(alarm: Arc<dyn Ring>, owner: Owner, mut release: impl FnMut(Key)) {
    let rung = catch_unwind(AssertUnwindSafe(move || {
        alarm.ring(owner, &mut release);
        drop(alarm);
    }));
    if let Err(payload) = rung {
        std::mem::forget(payload); // its destructor is somebody else's, too
    }
}
