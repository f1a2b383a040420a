//! What is left on a stack that comes back, overwritten: whoever still looks there finds no pointer.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::PAGE;
use super::area::bounds;

/// As an address it is not canonical, so its use faults.
const PATTERN: u64 = 0xdead_57ac_dead_57ac;

/// Overwrites the pages of a stack that were used, from the top to the first that is not resident.
///
/// # Safety
/// The stack is the caller's, and nothing on it is used any more.
pub(crate) unsafe fn fill(index: u32) {
    let usable = bounds(index);
    let words = used(&usable).step_by(size_of::<u64>());
    for address in words {
        // Atomic, as others may read a name or a word there with a pid that is stale.
        // SAFETY: in the stack, which is the caller's and mapped for ever.
        let word = unsafe { &*ptr::with_exposed_provenance::<AtomicU64>(address) };
        word.store(PATTERN, Relaxed);
    }
}

/// The part of the stack whose pages are resident, without a gap, up to the top.
fn used(usable: &Range<usize>) -> Range<usize> {
    let mut start = usable.end;
    while start > usable.start && is_resident(start - PAGE) {
        start -= PAGE;
    }
    start..usable.end
}

fn is_resident(page: usize) -> bool {
    let mut resident = 0;
    // SAFETY: asks about one page, and has room for its answer.
    let asked = unsafe { libc::mincore(ptr::with_exposed_provenance_mut(page), PAGE, &mut resident) };
    asked == 0 && resident & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::area::Area;
    use crate::stack::child;
    use crate::stack::guard::Guard;
    use crate::stack::pool;

    #[test]
    fn the_used_part_is_overwritten_and_no_other_page_is_touched() {
        child::run("stack::poison::tests::the_used_part_is_overwritten_and_no_other_page_is_touched", || {
            let index = pool::acquire_shared(Area::for_size(64 << 10, Guard::Mprotect).unwrap()).unwrap();
            let usable = bounds(index);
            let word = |address: usize| {
                // SAFETY: in a stack that was acquired above.
                unsafe { &*ptr::with_exposed_provenance::<AtomicU64>(address) }
            };
            for page in 1..=3 {
                word(usable.end - page * PAGE).store(1, Relaxed);
            }
            assert_eq!(used(&usable).len(), 3 * PAGE);
            // SAFETY: acquired above, used by nobody.
            unsafe { fill(index) };
            for address in used(&usable).step_by(8) {
                assert_eq!(word(address).load(Relaxed), PATTERN);
            }
            assert_eq!(used(&usable).len(), 3 * PAGE);
            // SAFETY: acquired above, used by nobody.
            unsafe { pool::release_shared(index) };
        });
    }
}
