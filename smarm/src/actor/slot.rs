//! The slot table: one cache line per stack, for ever.
//!
//! ```text
//!   index = area (5 bits) | number in the area (23 bits)
//!   slot  = base of the area's slots + number * 64
//! ```
//!
//! Slots are type-stable: once a slot has been handed out it stays mapped and stays a slot, so a
//! waker may read the slot of any pid at any time. Fresh memory is zero, and zero is `FREE` with
//! generation 0.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, PoisonError};

use super::native::Errand;
use super::record::Record;
use super::seat::Seat;
use super::state::{Snapshot, State};
use super::waker::{PidWaker, waker};
use crate::context::Context;
use crate::pid::Pid;
use crate::primitive;
use crate::stack::{
    StackError,
    area::{AREAS, Area},
    reserve::Reservation,
};

/// One actor's place. Which thread may touch which field, and when:
///
/// | field | who |
/// |---|---|
/// | `state` | anybody, by the rules of [`State`] |
/// | `context`, `errand` | the owner of the stack |
/// | `seat` | anybody reads it; written by the actor's worker, by the rules of [`Seat`] |
/// | `link` | whoever holds the actor outside its worker: a waker, or the inbox |
/// | `index` | written before the first life, the same for ever |
#[repr(C, align(64))]
pub(crate) struct Slot {
    pub(crate) state: State,
    pub(crate) context: UnsafeCell<Context>,
    pub(crate) seat: Seat,
    /// What the worker polls before it resumes the actor, on the actor's own stack; null unless it
    /// waits so.
    pub(crate) errand: Cell<*mut Errand>,
    /// The next slot in an inbox, plus one; 0 ends the list.
    pub(crate) link: primitive::atomic::AtomicU32,
    index: AtomicU32,
}

// SAFETY: the cells are touched by the owner of the stack only, and the state word hands that
// ownership on with acquire and release.
unsafe impl Sync for Slot {}

// Beside a sanitizer's mark, a slot takes two lines.
#[cfg(not(all(test, smarm_loom)))]
const _: () = assert!(size_of::<Slot>() == 64 || cfg!(smarm_sanitizer));

impl Slot {
    #[inline(always)]
    pub(crate) fn index(&self) -> u32 {
        self.index.load(Relaxed)
    }

    /// The pid of the actor that lives here.
    #[inline(always)]
    pub(crate) fn pid(&self) -> Pid {
        Pid::new(self.index(), self.state.load().generation())
    }

    /// The waker of the actor that lives here. By its worker's thread.
    #[inline(always)]
    pub(crate) fn waker(&self) -> PidWaker {
        if !self.seat.exposed() {
            self.expose();
        }
        waker(self.pid())
    }

    /// As [`waker`](Self::waker), of an actor that is exposed, by a reading of its state.
    #[inline(always)]
    pub(super) fn exposed_waker(&self, state: Snapshot) -> PidWaker {
        debug_assert!(self.seat.exposed());
        waker(Pid::new(self.index(), state.generation()))
    }

    /// Exposes the actor, if it is not. By its worker's thread.
    #[cold]
    pub(super) fn make_exposed(&self) {
        if !self.seat.exposed() {
            self.expose();
        }
    }

    #[cold]
    fn expose(&self) {
        self.state.expose();
        self.seat.set_exposed();
    }

    /// The record of the actor that lives here, at the top of its stack.
    #[inline(always)]
    pub(crate) fn record(&self) -> *mut Record {
        Record::at(self.index())
    }
}

/// The slots of one area.
struct Table {
    base: AtomicPtr<Slot>,
    /// How many are mapped.
    mapped: AtomicUsize,
}

static TABLES: [Table; AREAS] =
    [const { Table { base: AtomicPtr::new(std::ptr::null_mut()), mapped: AtomicUsize::new(0) } }; AREAS];

/// Taken to map more slots.
static GROW: Mutex<[Option<Reservation>; AREAS]> = Mutex::new([const { None }; AREAS]);

/// Slots are mapped in steps of this many.
const STEP: usize = 4096;

#[cfg(all(test, smarm_loom))]
pub(crate) use self::modelled::{all, slot};

/// The slot with this index, which must have been handed out by [`prepare`] before.
#[cfg(not(all(test, smarm_loom)))]
#[inline(always)]
pub(crate) fn slot(index: u32) -> &'static Slot {
    let table = &TABLES[Area::of(index).id()];
    let base = table.base.load(Acquire);
    debug_assert!(Area::number(index) < table.mapped.load(Relaxed));
    // SAFETY: indices come from pids, which come from `prepare`; its slot is mapped for ever.
    unsafe { &*base.add(Area::number(index)) }
}

/// Makes sure that the slot with this index is mapped, and gives it.
///
/// # Errors
/// The system allows no more memory.
#[inline(always)]
pub(crate) fn prepare(index: u32) -> Result<&'static Slot, StackError> {
    let table = &TABLES[Area::of(index).id()];
    if Area::number(index) >= table.mapped.load(Acquire) {
        grow(table, index)?;
    }
    let slot = slot(index);
    slot.index.store(index, Relaxed);
    Ok(slot)
}

#[cold]
fn grow(table: &Table, index: u32) -> Result<(), StackError> {
    const SIZE: usize = size_of::<Slot>();
    let area = Area::of(index);
    let mut reservations = GROW.lock().unwrap_or_else(PoisonError::into_inner);
    let refused = |error: std::io::Error| StackError::NoMemory {
        wanted: STEP * SIZE,
        os_error: error.raw_os_error().unwrap_or(libc::ENOMEM),
    };
    let reservation = match &mut reservations[area.id()] {
        Some(reservation) => reservation,
        none => none.insert(Reservation::new(area.room() * SIZE, STEP * SIZE).map_err(refused)?),
    };
    let mapped = table.mapped.load(Relaxed);
    let wanted = (Area::number(index) + 1).next_multiple_of(STEP);
    if wanted > mapped {
        if wanted * SIZE > reservation.len() {
            return Err(StackError::AreaFull { size: area.size(), stacks: mapped as u32 });
        }
        reservation.commit(mapped * SIZE..wanted * SIZE).map_err(refused)?;
        table.base.store(reservation.base().as_ptr().cast(), Release);
        // Release: who sees the number sees the base.
        table.mapped.store(wanted, Release);
    }
    Ok(())
}

/// All slots that were ever handed out, live or not: for shutdown, dumps and reports.
#[cfg(not(all(test, smarm_loom)))]
pub(crate) fn all() -> impl Iterator<Item = &'static Slot> {
    Area::all().flat_map(|area| {
        let grown = area.grown().min(TABLES[area.id()].mapped.load(Acquire) as u32);
        (0..grown).map(move |number| slot(area.index(number)))
    })
}

/// Slots for models: few, and new for each execution.
#[cfg(all(test, smarm_loom))]
pub(crate) mod modelled {
    use super::*;
    use crate::primitive::model::keep;
    use std::cell::RefCell;

    thread_local! {
        static SLOTS: RefCell<Vec<&'static Slot>> = const { RefCell::new(Vec::new()) };
    }

    /// Makes so many free slots, in place of those of the execution before.
    pub(crate) fn prepare(count: u32) -> Vec<&'static Slot> {
        let fresh = |index| {
            keep(Slot {
                state: State::new(0),
                context: UnsafeCell::new(Context::EMPTY),
                seat: Seat::new(),
                errand: Cell::new(std::ptr::null_mut()),
                link: primitive::atomic::AtomicU32::new(0),
                index: AtomicU32::new(index),
            })
        };
        let slots: Vec<_> = (0..count).map(fresh).collect();
        SLOTS.set(slots.clone());
        slots
    }

    /// As the real one.
    pub(crate) fn slot(index: u32) -> &'static Slot {
        SLOTS.with_borrow(|slots| slots[index as usize])
    }

    /// As the real one.
    pub(crate) fn all() -> impl Iterator<Item = &'static Slot> {
        SLOTS.with_borrow(Clone::clone).into_iter()
    }
}
