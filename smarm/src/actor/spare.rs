//! Small allocations that come and go with each spawn: a worker keeps some of them for the next.
//!
//! All are of one size, whatever is in them, and come from the allocator one by one, so any thread may give back what
//! another has taken: to its own worker, if it has one with room, else to the allocator. A worker keeps [`MOST`] at
//! most, and gives them back when it goes.
//!
//! Larger things are boxed; so is everything in models and beside a sanitizer, which could not see then that somebody
//! uses what was given back.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

use super::local::Local;

/// What an allocation holds at most.
const LAYOUT: Layout = match Layout::from_size_align(64, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("64 bytes can be allocated"),
};
/// So many a worker keeps.
const MOST: u32 = 64;

/// One that is kept.
struct Block {
    next: Option<NonNull<Block>>,
}

/// What a worker keeps. Its thread's.
pub(super) struct Spare {
    first: Cell<Option<NonNull<Block>>>,
    count: Cell<u32>,
}

// SAFETY: nobody else refers to what is kept.
unsafe impl Send for Spare {}

impl Spare {
    pub(super) const fn new() -> Self {
        Self { first: Cell::new(None), count: Cell::new(0) }
    }

    #[inline(always)]
    fn take(&self) -> Option<NonNull<Block>> {
        let block = self.first.get()?;
        // SAFETY: what is kept is a `Block`, and nobody else's.
        self.first.set(unsafe { block.as_ref() }.next);
        self.count.set(self.count.get() - 1);
        Some(block)
    }

    /// Keeps an allocation, if there is room.
    ///
    /// # Safety
    /// It has [`LAYOUT`], and nobody else refers to it.
    #[inline(always)]
    unsafe fn keep(&self, block: NonNull<Block>) -> bool {
        let room = self.count.get() < MOST;
        if room {
            // SAFETY: by the caller; a `Block` fits.
            unsafe { block.write(Block { next: self.first.get() }) };
            self.first.set(Some(block));
            self.count.set(self.count.get() + 1);
        }
        room
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        while let Some(block) = self.take() {
            // SAFETY: by the duty of `keep`.
            unsafe { dealloc(block.as_ptr().cast(), LAYOUT) };
        }
    }
}

/// Whether a `T` is kept: the same for each `T` at all times.
const fn is_kept<T>() -> bool {
    let fits = size_of::<T>() <= LAYOUT.size() && align_of::<T>() <= LAYOUT.align();
    fits && !cfg!(any(smarm_sanitizer, miri, all(test, smarm_loom)))
}

/// Room for a `T`, to be [given back](give_back).
#[inline(always)]
pub(crate) fn room<T>() -> NonNull<T> {
    if !is_kept::<T>() {
        return NonNull::from(Box::leak(Box::<T>::new_uninit())).cast();
    }
    match Local::current().and_then(|local| local.spare.take()) {
        Some(block) => block.cast(),
        None => fresh().cast(),
    }
}

#[cold]
fn fresh() -> NonNull<u8> {
    // SAFETY: its size is not 0.
    NonNull::new(unsafe { alloc(LAYOUT) }).unwrap_or_else(|| handle_alloc_error(LAYOUT))
}

/// Drops a `T`, and gives its room back.
///
/// # Safety
/// The room came from [`room`], there is a `T` in it, and nobody else refers to it.
#[inline(always)]
pub(crate) unsafe fn give_back<T>(at: NonNull<T>) {
    if !is_kept::<T>() {
        // SAFETY: by the caller it is a box's.
        drop(unsafe { Box::from_raw(at.as_ptr()) });
        return;
    }
    /// Gives the room back even if the drop unwinds.
    struct Room(NonNull<Block>);
    impl Drop for Room {
        #[inline(always)]
        fn drop(&mut self) {
            // SAFETY: by the duty of the caller of `give_back`, what was in it is gone.
            let kept = Local::current().is_some_and(|local| unsafe { local.spare.keep(self.0) });
            if !kept {
                // SAFETY: as above, and it has this layout.
                unsafe { dealloc(self.0.as_ptr().cast(), LAYOUT) };
            }
        }
    }
    let _room = Room(at.cast());
    // SAFETY: by the caller.
    unsafe { at.drop_in_place() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_keeps_no_more_than_it_has_room_for_and_gives_the_last_one_first() {
        let spare = Spare::new();
        let mut blocks: Vec<NonNull<Block>> = (0..=MOST).map(|_| fresh().cast()).collect();
        let last = blocks.pop().unwrap();
        for block in &blocks {
            // SAFETY: allocated above.
            assert!(unsafe { spare.keep(*block) });
        }
        // SAFETY: as above.
        assert!(!unsafe { spare.keep(last) });
        // SAFETY: it was not kept.
        unsafe { dealloc(last.as_ptr().cast(), LAYOUT) };
        let newest = spare.take().unwrap();
        assert_eq!(Some(&newest), blocks.last());
        // SAFETY: allocated above, and taken out.
        assert!(unsafe { spare.keep(newest) });
    }

    #[test]
    fn rooms_of_all_sizes_and_of_threads_without_a_worker_are_given_back() {
        fn come_and_go<T>(value: T) {
            let at = room::<T>();
            // SAFETY: the room is fresh, and what is in it is given back once.
            unsafe {
                at.write(value);
                give_back(at);
            }
        }
        let counted = std::rc::Rc::new(());
        let all = || {
            for _ in 0..3 {
                come_and_go(counted.clone());
                come_and_go((counted.clone(), [0_u64; 7]));
                come_and_go((counted.clone(), [0_u64; 100]));
            }
        };
        all();
        crate::runtime::init(crate::Config::exact(1)).run(|| {
            let counted = std::rc::Rc::new(());
            come_and_go((counted.clone(), 1_u8));
            come_and_go((counted.clone(), 2_u8));
            assert_eq!(std::rc::Rc::strong_count(&counted), 1);
        });
        assert_eq!(std::rc::Rc::strong_count(&counted), 1);
    }
}
