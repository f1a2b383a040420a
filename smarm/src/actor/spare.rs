//! Small allocations that come and go with each spawn: a worker keeps some of them for the next.
//!
//! They are of two sizes, whatever is in them, and come from the allocator one by one, so any thread may give back what
//! another has taken: to its own worker, if it has one with room, else to the allocator. A worker keeps [`MOST`] of each
//! at most, and gives them back when it goes.
//!
//! Larger things are boxed; so is everything in models and beside a sanitizer, which could not see then that somebody
//! uses what was given back.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

use super::local::Local;

/// What an allocation holds at most. With the 8 bytes that glibc's allocator adds these are multiples of 16, as it has
/// them: parked actors have two each.
const SIZES: [usize; 2] = [56, 72];
/// The alignment of all.
const ALIGN: usize = 16;
/// So many of each size a worker keeps.
const MOST: u32 = 64;

/// The index in [`SIZES`] of those that a `T` goes into, if one is kept: the same for each `T` at all times.
const fn size<T>() -> Option<usize> {
    if cfg!(any(smarm_sanitizer, miri, all(test, smarm_loom))) || align_of::<T>() > ALIGN {
        return None;
    }
    match size_of::<T>() {
        bytes if bytes <= SIZES[0] => Some(0),
        bytes if bytes <= SIZES[1] => Some(1),
        _ => None,
    }
}

const fn layout(size: usize) -> Layout {
    match Layout::from_size_align(SIZES[size], ALIGN) {
        Ok(layout) => layout,
        Err(_) => panic!("so few bytes can be allocated"),
    }
}

/// One that is kept.
struct Block {
    next: Option<NonNull<Block>>,
}

/// What a worker keeps of one size. Its thread's.
struct Stock {
    first: Cell<Option<NonNull<Block>>>,
    count: Cell<u32>,
}

/// What a worker keeps, by size. Its thread's.
pub(super) struct Spare([Stock; SIZES.len()]);

// SAFETY: nobody else refers to what is kept.
unsafe impl Send for Spare {}

impl Spare {
    pub(super) const fn new() -> Self {
        Self([const { Stock { first: Cell::new(None), count: Cell::new(0) } }; SIZES.len()])
    }

    #[inline(always)]
    fn take(&self, size: usize) -> Option<NonNull<Block>> {
        let Stock { first, count } = &self.0[size];
        let block = first.get()?;
        // SAFETY: what is kept is a `Block`, and nobody else's.
        first.set(unsafe { block.as_ref() }.next);
        count.set(count.get() - 1);
        Some(block)
    }

    /// Keeps an allocation, if there is room.
    ///
    /// # Safety
    /// It has the [`layout`] of this size, and nobody else refers to it.
    #[inline(always)]
    unsafe fn keep(&self, size: usize, block: NonNull<Block>) -> bool {
        let Stock { first, count } = &self.0[size];
        let room = count.get() < MOST;
        if room {
            // SAFETY: by the caller; a `Block` fits.
            unsafe { block.write(Block { next: first.get() }) };
            first.set(Some(block));
            count.set(count.get() + 1);
        }
        room
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        for size in 0..SIZES.len() {
            while let Some(block) = self.take(size) {
                // SAFETY: by the duty of `keep`.
                unsafe { dealloc(block.as_ptr().cast(), layout(size)) };
            }
        }
    }
}

/// Room for a `T`, to be [given back](give_back).
#[inline(always)]
pub(crate) fn room<T>() -> NonNull<T> {
    let Some(size) = size::<T>() else {
        return NonNull::from(Box::leak(Box::<T>::new_uninit())).cast();
    };
    match Local::current().and_then(|local| local.spare.take(size)) {
        Some(block) => block.cast(),
        None => fresh(size).cast(),
    }
}

#[cold]
fn fresh(size: usize) -> NonNull<u8> {
    let layout = layout(size);
    // SAFETY: its size is not 0.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Drops a `T`, and gives its room back.
///
/// # Safety
/// The room came from [`room`], there is a `T` in it, and nobody else refers to it.
#[inline(always)]
pub(crate) unsafe fn give_back<T>(at: NonNull<T>) {
    let Some(size) = size::<T>() else {
        // SAFETY: by the caller it is a box's.
        drop(unsafe { Box::from_raw(at.as_ptr()) });
        return;
    };
    /// Gives the room back even if the drop unwinds.
    struct Room(NonNull<Block>, usize);
    impl Drop for Room {
        #[inline(always)]
        fn drop(&mut self) {
            let Self(block, size) = *self;
            // SAFETY: by the duty of the caller of `give_back`, what was in it is gone.
            let kept = Local::current().is_some_and(|local| unsafe { local.spare.keep(size, block) });
            if !kept {
                // SAFETY: as above, and it has this layout.
                unsafe { dealloc(block.as_ptr().cast(), layout(size)) };
            }
        }
    }
    let _room = Room(at.cast(), size);
    // SAFETY: by the caller.
    unsafe { at.drop_in_place() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_keeps_no_more_than_it_has_room_for_and_gives_the_last_one_first() {
        let spare = Spare::new();
        for size in 0..SIZES.len() {
            let mut blocks: Vec<NonNull<Block>> = (0..=MOST).map(|_| fresh(size).cast()).collect();
            let last = blocks.pop().unwrap();
            for block in &blocks {
                // SAFETY: allocated above.
                assert!(unsafe { spare.keep(size, *block) });
            }
            // SAFETY: as above.
            assert!(!unsafe { spare.keep(size, last) });
            // SAFETY: it was not kept.
            unsafe { dealloc(last.as_ptr().cast(), layout(size)) };
            let newest = spare.take(size).unwrap();
            assert_eq!(Some(&newest), blocks.last());
            // SAFETY: allocated above, and taken out.
            assert!(unsafe { spare.keep(size, newest) });
        }
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
                come_and_go((counted.clone(), [0_u64; 6]));
                come_and_go((counted.clone(), [0_u64; 7]));
                come_and_go((counted.clone(), [0_u64; 8]));
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
