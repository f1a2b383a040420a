//! Faults that are planted to see whether they are found.

use std::panic;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// What children panic with when they are to.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// A planted fault; the works ask for theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Plant {
    LeakFd = 1,
    LeakThread,
    LeakMapping,
    LeakMemory,
    LoseMessage,
    CountTwice,
    Reorder,
    LoseActor,
    LoseUpdate,
    EarlyTimer,
    GarbleBytes,
    Hang,
    Outlive,
    Panic,
}

/// All of them, with the names that `--plant` takes and what their discovery must say.
pub(crate) const ALL: [(Plant, &str, &str); 14] = [
    (Plant::LeakFd, "leak-fd", "descriptors"),
    (Plant::LeakThread, "leak-thread", "threads"),
    (Plant::LeakMapping, "leak-mapping", "mappings"),
    (Plant::LeakMemory, "leak-memory", "resident"),
    (Plant::LoseMessage, "lose-message", "messages were made"),
    (Plant::CountTwice, "count-twice", "messages were made"),
    (Plant::Reorder, "reorder", "came after"),
    (Plant::LoseActor, "lose-actor", "actors were spawned"),
    (Plant::LoseUpdate, "lose-update", "under the lock"),
    (Plant::EarlyTimer, "early-timer", "early"),
    (Plant::GarbleBytes, "garble-bytes", "echo"),
    (Plant::Hang, "hang", "makes no progress"),
    (Plant::Outlive, "outlive", "had not ended"),
    (Plant::Panic, "panic", "not on purpose"),
];

static ARMED: AtomicU8 = AtomicU8::new(0);

impl Plant {
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = ALL.iter().find(|plant| plant.1 == name);
        found.map(|plant| plant.0).ok_or_else(|| format!("there is no fault {name} to plant"))
    }
}

/// Lets the works find this fault.
pub(crate) fn arm(plant: Option<Plant>) {
    ARMED.store(plant.map_or(0, |plant| plant as u8), SeqCst);
}

/// Whether this fault is to be committed now, and not again.
pub(crate) fn once(plant: Plant) -> bool {
    is(plant) && ARMED.swap(0, SeqCst) == plant as u8
}

/// Whether this fault is to be committed.
pub(crate) fn is(plant: Plant) -> bool {
    ARMED.load(SeqCst) == plant as u8
}

/// Keeps the panics that are part of the work off the screen.
pub(crate) fn expect_panics_on_purpose() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<&str>().copied();
        let text = text.or(info.payload().downcast_ref::<String>().map(String::as_str));
        if text != Some(ON_PURPOSE) {
            usual(info);
        }
    }));
}
