//! Bugs to plant into a protocol, so that one can see that its model finds them.
//!
//! | flaw | the operation, or step |
//! |---|---|
//! | [`weakened`] | has no ordering: `Relaxed`, and no fence |
//! | [`skipped`] | does nothing, and says that it did |
//! | [`torn`] | reads, and writes later: another thread may come in between |
//! | [`omitted`] | is left out |
//!
//! An operation is named by its file, its kind and the ordering that the code gives to it; if there are several
//! such in the file, all have the flaw. All model threads of a test run on that test's thread, so flaws of tests
//! that run side by side do not meet.

use std::cell::Cell;
use std::panic::Location;
use std::sync::atomic::Ordering;

pub(crate) use super::Step;

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Load,
    Store,
    /// A read-modify-write that always writes.
    Modify,
    /// Compare and exchange, also in a loop (`fetch_update`).
    Exchange,
    Fence,
}

/// What is wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Weakened,
    Skipped,
    Torn,
}

/// One bug; see the module doc.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flaw {
    /// Of the operations of this kind and ordering in the file whose path ends so.
    Operation(&'static str, Op, Ordering, Wrong),
    /// This step is left out.
    Omission(Step),
}

pub(crate) const fn weakened(file: &'static str, op: Op, ordering: Ordering) -> Flaw {
    Flaw::Operation(file, op, ordering, Wrong::Weakened)
}

pub(crate) const fn skipped(file: &'static str, op: Op, ordering: Ordering) -> Flaw {
    Flaw::Operation(file, op, ordering, Wrong::Skipped)
}

pub(crate) const fn torn(file: &'static str, op: Op, ordering: Ordering) -> Flaw {
    Flaw::Operation(file, op, ordering, Wrong::Torn)
}

pub(crate) const fn omitted(step: Step) -> Flaw {
    Flaw::Omission(step)
}

thread_local! {
    static PLANTED: Cell<Option<Flaw>> = const { Cell::new(None) };
}

/// The flaw is there until this is dropped.
#[must_use]
pub(crate) struct Planted(());

/// Plants a flaw into what models of this thread do.
pub(crate) fn plant(flaw: Flaw) -> Planted {
    PLANTED.set(Some(flaw));
    Planted(())
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}

/// What is wrong with the operation at this place, if anything.
pub(super) fn wrong(place: &Location<'_>, op: Op, ordering: Ordering) -> Option<Wrong> {
    match PLANTED.get()? {
        Flaw::Operation(file, flawed, weak, wrong) => {
            (flawed == op && weak == ordering && place.file().ends_with(file)).then_some(wrong)
        }
        Flaw::Omission(_) => None,
    }
}

/// Whether a model wants this step left out.
pub(crate) fn omits(step: Step) -> bool {
    matches!(PLANTED.get(), Some(Flaw::Omission(omitted)) if omitted == step)
}
