//! The pools that actors get their stacks from: one per worker, without locks, in front of the
//! shared shelves.
//!
//! 1. [`LocalPool::acquire`] takes the stack that this worker released last. If it has none, it
//!    fetches [`BATCH`] from the shelf.
//! 2. [`LocalPool::release`] keeps the stack. With [`CAPACITY`] of an area, the [`BATCH`] that were
//!    released first go to the shelf, so that what a worker hoards is bounded.
//! 3. A thread without a worker goes to the shelf each time ([`acquire_shared`], [`release_shared`]).
//!
//! No stack is lost when a worker ends: dropping its pool puts all of them on the shelves.
//!
//! These functions allocate now and then, some of them under a lock. An actor must not be switched
//! away in the midst of them, not even by a preempting allocator.

use std::array;

use super::StackError;
use super::advice;
use super::area::{AREAS, Area, bounds};
use super::shelf;

/// The most free stacks of one area that a local pool keeps.
const CAPACITY: usize = 256;
/// How many stacks go to or come from the shelf at once.
const BATCH: usize = CAPACITY / 2;

/// The free stacks of one worker.
pub(crate) struct LocalPool {
    /// By the id of the area.
    stashes: [Stash; AREAS],
}

/// A worker's free stacks of one area.
#[derive(Default)]
struct Stash {
    /// The next one to use is at the end. Its first `cold` ones have no pages; as stacks come
    /// back on top, the cold ones are always at the bottom.
    free: Vec<u32>,
    cold: usize,
}

impl LocalPool {
    /// An empty pool. Allocates nothing.
    pub(crate) fn new() -> LocalPool {
        LocalPool { stashes: array::from_fn(|_| Stash::default()) }
    }

    /// Hands out a stack of this area, the warmest there is. Its content is arbitrary.
    ///
    /// # Errors
    /// None is free, and the system or the area allows no more.
    #[inline]
    pub(crate) fn acquire(&mut self, area: Area) -> Result<u32, StackError> {
        let stash = &mut self.stashes[area.id()];
        match stash.pop() {
            Some(index) => Ok(index),
            None => stash.refill(area),
        }
    }

    /// Takes a stack back.
    ///
    /// # Safety
    /// The stack was acquired (from any pool) and not released since, and nothing on it is used any
    /// more: from now on it may be handed out, or lose its content, at any time.
    #[inline]
    pub(crate) unsafe fn release(&mut self, index: u32) {
        let area = Area::of(index);
        let stash = &mut self.stashes[area.id()];
        if stash.free.len() >= CAPACITY {
            stash.spill(area, BATCH);
        }
        stash.free.push(index);
    }
}

impl Stash {
    #[inline]
    fn pop(&mut self) -> Option<u32> {
        let index = self.free.pop()?;
        if self.free.len() < self.cold {
            // What is used stays warm from then on.
            self.cold = self.free.len();
        }
        Some(index)
    }

    #[cold]
    #[inline(never)]
    fn refill(&mut self, area: Area) -> Result<u32, StackError> {
        self.free.reserve(CAPACITY);
        self.cold = shelf::draw(area, BATCH, &mut self.free)?;
        Ok(self.pop().expect("a shelf gives at least one stack or an error"))
    }

    /// Puts the first `count` stacks on the shelf.
    #[cold]
    #[inline(never)]
    fn spill(&mut self, area: Area, count: usize) {
        let cold = self.cold.min(count);
        self.cold -= cold;
        let mut shelf = shelf::lock(area);
        shelf.cold.extend(self.free.drain(..cold));
        shelf.put(self.free.drain(..count - cold));
    }
}

impl Drop for LocalPool {
    fn drop(&mut self) {
        for area in Area::all() {
            let stash = &mut self.stashes[area.id()];
            if !stash.free.is_empty() {
                stash.spill(area, stash.free.len());
            }
        }
    }
}

/// Like [`LocalPool::acquire`], for a thread that has no pool.
///
/// # Errors
/// None is free, and the system or the area allows no more.
pub(crate) fn acquire_shared(area: Area) -> Result<u32, StackError> {
    let mut one = Vec::with_capacity(1);
    shelf::draw(area, 1, &mut one)?;
    Ok(one.pop().expect("a shelf gives at least one stack or an error"))
}

/// Like [`LocalPool::release`], for a thread that has no pool.
///
/// # Safety
/// As there.
pub(crate) unsafe fn release_shared(index: u32) {
    shelf::lock(Area::of(index)).put([index]);
}

/// Takes a stack back for ever: it is never handed out again, and its pages go to the system. Its
/// addresses stay its own.
///
/// # Safety
/// As for [`LocalPool::release`].
pub(crate) unsafe fn retire(index: u32) {
    let usable = bounds(index);
    // Refused in locked memory, which is to stay resident.
    // SAFETY: the caller promises that nothing on the stack is used any more.
    let _ = unsafe { advice::advise(&[advice::range(usable.start, usable.len())], libc::MADV_DONTNEED) };
    shelf::lock(Area::of(index)).retired += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::child;
    use crate::stack::guard::{self, Guard};
    use crate::stack::shelf::{Census, census};
    use std::collections::HashSet;
    use std::thread;

    fn area(bytes: usize) -> Area {
        let guard = if guard::supported() { Guard::Advice } else { Guard::Mprotect };
        Area::for_size(bytes, guard).unwrap()
    }

    #[test]
    fn the_last_stack_in_is_the_first_one_out() {
        let area = area(128 << 10);
        let mut pool = LocalPool::new();
        let stacks: Vec<_> = (0..300).map(|_| pool.acquire(area).unwrap()).collect();
        assert_eq!(stacks.iter().collect::<HashSet<_>>().len(), 300, "all different");
        for &index in &stacks[..200] {
            // SAFETY: acquired above, used by nobody.
            unsafe { pool.release(index) };
        }
        for &index in stacks[..200].iter().rev() {
            assert_eq!(pool.acquire(area), Ok(index));
        }
        for index in stacks {
            // SAFETY: acquired above, used by nobody.
            unsafe { pool.release(index) };
        }
    }

    #[test]
    fn stacks_of_different_sizes_do_not_mix() {
        let mut pool = LocalPool::new();
        let (small, large) = (area(64 << 10), area(2 << 20));
        let index = pool.acquire(small).unwrap();
        // SAFETY: acquired above, used by nobody.
        unsafe { pool.release(index) };
        let index = pool.acquire(large).unwrap();
        assert_eq!(Area::of(index), large);
        assert_eq!(bounds(index).len(), 2 << 20);
        // SAFETY: acquired above, used by nobody.
        unsafe { pool.release(index) };
    }

    #[test]
    fn what_a_worker_hoards_is_bounded_and_nothing_is_lost() {
        child::run("stack::pool::tests::what_a_worker_hoards_is_bounded_and_nothing_is_lost", || {
            let area = area(16 << 10);
            let mut pool = LocalPool::new();
            let stacks: Vec<_> = (0..2000).map(|_| pool.acquire(area).unwrap()).collect();
            let before = census(area);
            for &index in &stacks {
                // SAFETY: acquired above, used by nobody.
                unsafe { pool.release(index) };
            }
            let after = census(area);
            assert!(after.out <= CAPACITY, "{after:?}");
            assert_eq!(after.grown, before.grown);
            drop(pool);
            let Census { grown, warm, cold, retired, out } = census(area);
            assert_eq!((retired, out), (0, 0));
            assert_eq!(warm, 2000, "the used ones are warm");
            assert_eq!(cold, grown - warm, "and the others cold");
            assert!(grown < 2000 + 2 * CAPACITY, "and not many more were made");
        });
    }

    #[test]
    fn what_one_thread_releases_another_gets_before_fresh_ones() {
        child::run("stack::pool::tests::what_one_thread_releases_another_gets_before_fresh_ones", || {
            let area = area(16 << 10);
            let used = thread::spawn(move || {
                let mut pool = LocalPool::new();
                let index = pool.acquire(area).unwrap();
                // SAFETY: acquired above, used by nobody.
                unsafe { pool.release(index) };
                index
            })
            .join()
            .unwrap();
            assert_eq!(acquire_shared(area), Ok(used));
            // SAFETY: acquired above, used by nobody.
            unsafe { release_shared(used) };
            assert_eq!(LocalPool::new().acquire(area), Ok(used));
        });
    }

    #[test]
    fn threads_never_get_the_same_stack() {
        let area = area(512 << 10);
        let stacks: Vec<u32> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let mut pool = LocalPool::new();
                        let mut stacks = Vec::new();
                        for round in 0..600 {
                            stacks.push(pool.acquire(area).unwrap());
                            if round % 3 == 0 {
                                let back = stacks.swap_remove(stacks.len() / 2);
                                // SAFETY: acquired above, used by nobody.
                                unsafe { pool.release(back) };
                            }
                        }
                        stacks
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(stacks.iter().collect::<HashSet<_>>().len(), stacks.len());
        for index in stacks {
            // SAFETY: acquired above, used by nobody.
            unsafe { release_shared(index) };
        }
    }

    #[test]
    fn a_retired_stack_is_never_handed_out_again_and_has_no_pages() {
        child::run("stack::pool::tests::a_retired_stack_is_never_handed_out_again_and_has_no_pages", || {
            let area = area(16 << 10);
            let mut pool = LocalPool::new();
            let retired = pool.acquire(area).unwrap();
            child::touch(retired);
            // SAFETY: acquired above, used by nobody.
            unsafe { retire(retired) };
            // SAFETY: mapped for ever, and nobody writes there any more.
            assert_eq!(unsafe { *std::ptr::with_exposed_provenance::<u64>(bounds(retired).end - 64) }, 0);
            for _ in 0..1000 {
                assert_ne!(pool.acquire(area), Ok(retired));
            }
            assert_eq!(census(area).retired, 1);
            assert!(super::super::area::find(bounds(retired).start).is_some(), "it still has its address");
        });
    }
}
