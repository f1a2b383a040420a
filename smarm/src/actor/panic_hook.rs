//! What smarm adds to the process's panic hook: it remembers where an actor panicked, and keeps
//! the hook from leaving the actor's stack.
//!
//! Installed once per process, around the hook that stands at that time, which is then called. A
//! program that replaces the hook later loses the places in smarm's reports. It also loses what
//! tells smarm, while an actor is parked in a destructor as it unwinds, whether a neighbour on the
//! same worker unwinds too; so does code that calls `std::panic::resume_unwind` itself, which passes
//! no hook (`JoinError::resume` is seen).

use std::panic;
use std::sync::Once;
use std::thread;

use super::local::{Local, Place};
use super::record::Record;
use crate::chaos;

/// Wraps the process's panic hook, the first time.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    // The hook cannot be changed by a thread that panics; a later runtime then does it.
    if thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let inner = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let Some((local, actor)) = Local::running() else {
                inner(info);
                return chaos::postscript();
            };
            // SAFETY: the record of the running actor is alive, and this is its own stack.
            let record: &Record = unsafe { &*actor.record() };
            record.panicked.set(local.era.get());
            record.place.set(info.location().map(|place| place.to_string().into()));
            local.set_place(Place::InHook);
            inner(info);
            chaos::postscript();
            local.set_place(Place::Actor);
        }));
    });
}
