//! Areas: which stacks there are, and where. All by arithmetic on the index.
//!
//! ```text
//! index   27  26..23      22..0
//!         |   size class  number of the stack in its area
//!         guard kind
//!         \___________/
//!           area (5 bits)
//! ```
//!
//! An area reserves address space for 2^23 stacks, or 4 TiB, when its first stack is wanted, and
//! grows by a chunk at a time: by what it has, between 16 and 256 stacks (fewer of the large ones),
//! so that a program with few actors prepares few stacks and one with many makes few system calls.
//!
//! `base` and `grown` are written by whoever holds the area's growth lock, `base` once. Everybody
//! else only reads them, a signal handler too: `grown` is stored with Release after `base` is set
//! and the chunk is open, and [`find`] loads it with Acquire.
//!
//! Rejected: one area with stacks of all sizes (an address would tell its stack only by a search
//! in a structure that a signal handler must read while it changes).

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::guard::{self, Guard};
use super::reserve::Reservation;
use super::{PAGE, StackError};

/// The usable size of the smallest stacks in bytes.
pub(crate) const MIN_SIZE: usize = 16 << 10;
/// The usable size of the largest stacks in bytes.
pub(crate) const MAX_SIZE: usize = 64 << 20;
/// The size of the guard below each stack in bytes: an odd number of pages, so that the pitch is one
/// too, and enough for the frames of C code that does not probe each page.
pub(super) const GUARD_SIZE: usize = 5 * PAGE;

/// How many values an [`Area`] may have, used or not.
pub(crate) const AREAS: usize = 32;

const NUMBER_BITS: u32 = 23;
const KIND_SHIFT: u32 = 4;
const CLASS_MASK: u8 = 15;
const CLASSES: u8 = (MAX_SIZE / MIN_SIZE).trailing_zeros() as u8 + 1;

/// The most address space that one area reserves: 26 of them fit into the 128 TiB of a process.
const MAX_RESERVED: usize = 4 << 40;
/// An area grows by at most this many bytes or [`MIN_CHUNK`] stacks, whichever is more.
const MAX_CHUNK_BYTES: usize = 128 << 20;
const MAX_CHUNK: usize = 256;
const FIRST_CHUNK: usize = 16;
const MIN_CHUNK: usize = 2;

const _: () = assert!((GUARD_SIZE / PAGE) % 2 == 1 && MIN_SIZE.is_multiple_of(2 * PAGE));
const _: () = assert!(CLASSES <= CLASS_MASK + 1);

/// The stacks of one size and guard kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area(u8);

impl Area {
    /// The area of the smallest stacks with at least `bytes` usable bytes.
    ///
    /// # Errors
    /// [`StackError::TooLarge`] above [`MAX_SIZE`].
    pub(crate) fn for_size(bytes: usize, guard: Guard) -> Result<Area, StackError> {
        if bytes > MAX_SIZE {
            return Err(StackError::TooLarge { wanted: bytes });
        }
        let class = (bytes.max(MIN_SIZE).next_power_of_two() / MIN_SIZE).trailing_zeros() as u8;
        Ok(Area((guard as u8) << KIND_SHIFT | class))
    }

    /// The area that a stack lies in.
    #[inline]
    pub(crate) fn of(index: u32) -> Area {
        debug_assert!(index >> NUMBER_BITS < AREAS as u32);
        Area((index >> NUMBER_BITS) as u8 % AREAS as u8)
    }

    /// All areas, used or not.
    pub(crate) fn all() -> impl Iterator<Item = Area> {
        (0..AREAS as u8).filter(|id| id & CLASS_MASK < CLASSES).map(Area)
    }

    /// The usable bytes of each stack.
    #[inline]
    pub(crate) fn size(self) -> usize {
        MIN_SIZE << (self.0 & CLASS_MASK)
    }

    /// How the guards of this area are made where nothing speaks against it.
    pub(crate) fn guard(self) -> Guard {
        if self.0 >> KIND_SHIFT == Guard::Advice as u8 { Guard::Advice } else { Guard::Mprotect }
    }

    /// The number of stacks that were ever made here. The indices below `index(grown())` exist.
    pub(crate) fn grown(self) -> u32 {
        self.ground().grown.load(Ordering::Acquire)
    }

    /// The index of the stack with this number.
    #[inline]
    pub(crate) fn index(self, number: u32) -> u32 {
        debug_assert!(number < 1 << NUMBER_BITS);
        u32::from(self.0) << NUMBER_BITS | number
    }

    /// The number of a stack in its area.
    #[inline]
    pub(crate) fn number(index: u32) -> usize {
        index as usize % (1 << NUMBER_BITS)
    }

    /// How many stacks the area can have at most.
    pub(crate) fn capacity(self) -> usize {
        (MAX_RESERVED / self.pitch()).min(1 << NUMBER_BITS)
    }

    /// How many stacks there is address space for: of an area that has some, perhaps fewer than its capacity.
    pub(crate) fn room(self) -> usize {
        self.growth().room()
    }

    /// For tables with an entry per area: below [`AREAS`].
    #[inline]
    pub(crate) fn id(self) -> usize {
        usize::from(self.0) % AREAS
    }

    /// The distance of two neighbours in bytes.
    #[inline]
    pub(super) fn pitch(self) -> usize {
        self.size() + GUARD_SIZE
    }

    fn ground(self) -> &'static Ground {
        &GROUNDS[self.id()]
    }

    /// The right to grow this area, waiting for whoever grows it now.
    pub(super) fn growth(self) -> Growth {
        let reservation = self.ground().growth.lock().unwrap_or_else(PoisonError::into_inner);
        Growth { area: self, reservation }
    }
}

/// Where an area lies.
struct Ground {
    /// The address of the reservation, 0 before there is one.
    base: AtomicUsize,
    /// The number of stacks made so far.
    grown: AtomicU32,
    /// Guards the growing; the reservation comes with the first chunk.
    growth: Mutex<Option<Reservation>>,
}

static GROUNDS: [Ground; AREAS] =
    [const { Ground { base: AtomicUsize::new(0), grown: AtomicU32::new(0), growth: Mutex::new(None) } };
        AREAS];

/// The right to grow an area.
pub(super) struct Growth {
    area: Area,
    reservation: MutexGuard<'static, Option<Reservation>>,
}

/// How many stacks lie in a reservation.
fn stacks_in(reservation: &Reservation, pitch: usize) -> usize {
    (reservation.len() / pitch).min(1 << NUMBER_BITS)
}

impl Growth {
    fn room(&self) -> usize {
        let pitch = self.area.pitch();
        self.reservation.as_ref().map_or(self.area.capacity(), |reservation| stacks_in(reservation, pitch))
    }

    /// Makes a chunk of new stacks and gives their indices.
    ///
    /// # Errors
    /// The area is full, or the system refuses more.
    pub(super) fn grow(&mut self) -> Result<Range<u32>, StackError> {
        let (area, ground) = (self.area, self.area.ground());
        let pitch = area.pitch();
        let reservation = match &mut *self.reservation {
            Some(reservation) => reservation,
            none => {
                let wanted = area.capacity() * pitch;
                let reservation = Reservation::new(wanted, pitch).map_err(|error| {
                    let os_error = error.raw_os_error().unwrap_or(libc::ENOMEM);
                    StackError::NoAddressSpace { wanted: pitch, os_error }
                })?;
                ground.base.store(reservation.base().as_ptr().expose_provenance(), Ordering::Relaxed);
                none.insert(reservation)
            }
        };
        let capacity = stacks_in(reservation, pitch);
        let grown = ground.grown.load(Ordering::Relaxed) as usize;
        let largest = (MAX_CHUNK_BYTES / pitch).clamp(MIN_CHUNK, MAX_CHUNK);
        let chunk = grown.max(FIRST_CHUNK).min(largest).min(capacity - grown);
        if chunk == 0 {
            return Err(StackError::AreaFull { size: area.size(), stacks: grown as u32 });
        }
        let opened = guard::open_chunk(area, reservation, grown..grown + chunk)?;
        // Release: `find` that sees the new number sees the base too.
        ground.grown.store((grown + opened) as u32, Ordering::Release);
        // `index(number)` would not do for the end: the number after an area's last is no number.
        let start = area.index(grown as u32);
        Ok(start..start + opened as u32)
    }
}

/// The usable addresses of a stack, from the lowest to the top.
#[inline]
pub(crate) fn bounds(index: u32) -> Range<usize> {
    let area = Area::of(index);
    let number = Area::number(index);
    // Relaxed: whoever has an index has it from `grow`, after the base was set.
    let base = area.ground().base.load(Ordering::Relaxed);
    debug_assert_ne!(base, 0, "no stack of this area was ever made");
    let top = base + (number + 1) * area.pitch();
    top - area.size()..top
}

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The guard below the stack.
    Guard,
    /// The stack itself.
    Usable,
}

/// Whose stack, or guard, an address lies in. Async-signal-safe.
pub(crate) fn find(address: usize) -> Option<(u32, Place)> {
    Area::all().find_map(|area| {
        let grown = area.grown() as usize;
        // Acquire of `grown` pairs with the Release in `grow`: with stacks there is a base.
        let offset = address.checked_sub(area.ground().base.load(Ordering::Relaxed))?;
        let number = offset / area.pitch();
        let place = if offset % area.pitch() < GUARD_SIZE { Place::Guard } else { Place::Usable };
        (number < grown).then(|| (area.index(number as u32), place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::pool::LocalPool;

    #[test]
    fn sizes_are_rounded_up_to_a_class() {
        let size = |bytes| Area::for_size(bytes, Guard::Advice).map(Area::size);
        assert_eq!(size(0), Ok(MIN_SIZE));
        assert_eq!(size(MIN_SIZE), Ok(MIN_SIZE));
        assert_eq!(size(MIN_SIZE + 1), Ok(2 * MIN_SIZE));
        assert_eq!(size(256 << 10), Ok(256 << 10));
        assert_eq!(size(MAX_SIZE), Ok(MAX_SIZE));
        assert_eq!(size(MAX_SIZE + 1), Err(StackError::TooLarge { wanted: MAX_SIZE + 1 }));
        assert_eq!(size(usize::MAX), Err(StackError::TooLarge { wanted: usize::MAX }));
    }

    #[test]
    fn an_index_names_its_area_and_number() {
        let all: Vec<Area> = Area::all().collect();
        assert_eq!(all.len(), 2 * usize::from(CLASSES));
        for area in all {
            assert_eq!(Area::for_size(area.size(), area.guard()), Ok(area));
            for number in [0, 1, (1 << NUMBER_BITS) - 1] {
                assert_eq!(Area::of(area.index(number)), area);
                assert!(area.index(number) < 1 << 28);
            }
        }
    }

    #[test]
    fn every_address_of_a_stack_leads_back_to_it() {
        for (bytes, guard) in [(64 << 10, Guard::Advice), (MAX_SIZE, Guard::Mprotect)] {
            let area = Area::for_size(bytes, guard).unwrap();
            let mut pool = LocalPool::new();
            let stacks: Vec<_> = (0..20).map(|_| pool.acquire(area).unwrap()).collect();
            for &index in &stacks {
                let usable = bounds(index);
                assert_eq!(usable.len(), area.size());
                assert_eq!(usable.end % PAGE, 0);
                for address in [usable.start, usable.start + usable.len() / 2, usable.end - 1] {
                    assert_eq!(find(address), Some((index, Place::Usable)));
                }
                for address in [usable.start - 1, usable.start - GUARD_SIZE] {
                    assert_eq!(find(address), Some((index, Place::Guard)));
                }
            }
            let end = bounds(area.index(area.grown() - 1)).end;
            assert_ne!(find(end).map(|(index, _)| Area::of(index)), Some(area), "not grown that far");
            for index in stacks {
                // SAFETY: acquired above, used by nobody.
                unsafe { pool.release(index) };
            }
        }
    }

    #[test]
    fn other_addresses_are_nobodys() {
        let local = 0;
        assert_eq!(find(0), None);
        assert_eq!(find((&raw const local).addr()), None);
        assert_eq!(find(usize::MAX), None);
    }

    #[test]
    fn tops_spread_over_all_page_colours() {
        for area in Area::all() {
            assert_eq!(area.pitch() / PAGE % 2, 1, "{area:?}");
        }
    }
}
