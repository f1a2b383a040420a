//! The shelves: per area, the free stacks that no worker holds.
//!
//! A shelf has two lists. *Warm* stacks are handed out first, the last one in first; below them
//! lie the ones that were not needed for longest, which [`super::trim`] takes. *Cold* stacks, fresh
//! or trimmed, are handed out when no warm one is left, the lowest address of a batch first, and an
//! area grows when both lists are empty.
//!
//! Lock order: an area's growth lock, then the trimmer's, then a shelf. Each is a leaf for whoever
//! holds it alone: no user code and no wake happens under any of them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::area::{AREAS, Area};
use super::{StackError, trim};

/// The free stacks of one area.
pub(super) struct Shelf {
    /// Used before and not trimmed since; the next one to use is at the back: the last one released,
    /// or, of many, the one at the lowest address.
    pub(super) warm: VecDeque<u32>,
    /// Without pages; the next one to use is at the end.
    pub(super) cold: Vec<u32>,
    /// How many are never handed out again.
    pub(super) retired: usize,
    /// How many came to `warm` since it was last sorted.
    unsorted: usize,
    /// How many of `warm` were not needed.
    pub(super) spare: trim::Spare,
}

/// Guarded by its mutex: the shelf of the area with this id.
static SHELVES: [Mutex<Shelf>; AREAS] = [const {
    Mutex::new(Shelf {
        warm: VecDeque::new(),
        cold: Vec::new(),
        retired: 0,
        unsorted: 0,
        spare: trim::Spare::new(),
    })
}; AREAS];

/// The shelf of an area.
pub(super) fn lock(area: Area) -> MutexGuard<'static, Shelf> {
    SHELVES[area.id()].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Appends up to `wanted` free stacks, and at least one, to `free`, the best one last. Gives how many
/// of them are cold.
///
/// # Errors
/// None is free and the area cannot grow.
pub(super) fn draw(area: Area, wanted: usize, free: &mut Vec<u32>) -> Result<usize, StackError> {
    if let Some(cold) = lock(area).take(wanted, free) {
        return Ok(cold);
    }
    let mut growth = area.growth();
    // Whoever held the right to grow before may have left some.
    if let Some(cold) = lock(area).take(wanted, free) {
        return Ok(cold);
    }
    match growth.grow() {
        Ok(fresh) => {
            let mut shelf = lock(area);
            shelf.cold.extend(fresh.rev());
            Ok(shelf.take(wanted, free).expect("fresh stacks were put there under this lock"))
        }
        Err(error) => {
            // Stacks that are being trimmed are on no list: wait for them before giving up.
            let _quiet = trim::pause();
            lock(area).take(wanted, free).ok_or(error)
        }
    }
}

impl Shelf {
    /// Appends up to `wanted` stacks to `free`, the best one last: warm ones, or, if there is none,
    /// cold ones. Gives how many of them are cold, or `None` if there is none at all.
    fn take(&mut self, wanted: usize, free: &mut Vec<u32>) -> Option<usize> {
        self.tidy();
        let left = self.warm.len().saturating_sub(wanted);
        if left < self.warm.len() {
            free.extend(self.warm.drain(left..));
            self.spare.left_over(left);
            return Some(0);
        }
        let left = self.cold.len().saturating_sub(wanted);
        let taken = self.cold.len() - left;
        free.extend(self.cold.drain(left..));
        (taken > 0).then_some(taken)
    }
}

/// From so many warm stacks on, they are kept in the order of their addresses.
const MANY: usize = 4096;

impl Shelf {
    /// Puts a stack on the shelf that was used.
    pub(super) fn put(&mut self, stacks: impl IntoIterator<Item = u32>) {
        let before = self.warm.len();
        self.warm.extend(stacks);
        self.unsorted += self.warm.len() - before;
    }

    /// Brings many warm stacks into the order of their addresses, the lowest last, once half of them
    /// are new. So many are in no cache any more, but neighbours share page tables: handed out in
    /// the order in which a large burst ended, each would take a walk of its own.
    fn tidy(&mut self) {
        if self.warm.len() >= MANY && self.unsorted >= self.warm.len() / 2 {
            self.warm.make_contiguous().sort_unstable_by(|a, b| b.cmp(a));
            self.unsorted = 0;
        }
    }
}

/// Where the stacks of an area are.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    /// How many there are.
    pub(crate) grown: usize,
    /// Free, with resident pages.
    pub(crate) warm: usize,
    /// Free, without.
    pub(crate) cold: usize,
    /// Never handed out again.
    pub(crate) retired: usize,
    /// In use, in the local pool of a worker, or just being trimmed.
    pub(crate) out: usize,
}

/// Counts the stacks of an area.
#[cfg(test)]
pub(crate) fn census(area: Area) -> Census {
    let shelf = lock(area);
    let (warm, cold, retired) = (shelf.warm.len(), shelf.cold.len(), shelf.retired);
    drop(shelf);
    // Read after the lists, which only grow by stacks that were made before.
    let grown = area.grown() as usize;
    Census { grown, warm, cold, retired, out: grown - warm - cold - retired }
}
