//! Guards: the inaccessible pages below each stack.
//!
//! | kind | how | mappings (VMAs) |
//! |---|---|---|
//! | [`Guard::Advice`] | `MADV_GUARD_INSTALL` markers in the page tables; Linux 6.13 | one for a whole area |
//! | [`Guard::Mprotect`] | the guards are never made accessible | two per stack |
//!
//! Markers cannot be installed in locked memory (`mlockall`), and an emulator may accept advice
//! that it does not know; so [`supported`] installs one and looks whether it works. When a later
//! chunk cannot have markers, its guards are closed with `mprotect` instead.

use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;

use super::advice;
use super::area::{Area, GUARD_SIZE};
use super::error::max_map_count;
use super::reserve::Reservation;
use super::{PAGE, StackError};

/// How the guard below a stack is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Markers in the page tables, where [`supported`].
    Advice = 0,
    /// Pages without access, everywhere.
    Mprotect = 1,
}

/// When the mappings run out, this many stacks are closed again: the rest of the program needs
/// mappings too, if only to report the error.
const HEADROOM: usize = 64;

/// Whether this system installs guard markers. Tried once per process.
pub(crate) fn supported() -> bool {
    if cfg!(miri) {
        return false;
    }
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    *SUPPORTED.get_or_init(|| {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh private mapping at an address that the kernel chooses disturbs nothing.
        let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return false;
        }
        // SAFETY: the page was mapped above and nobody else knows it.
        let accepted = unsafe { libc::madvise(page, PAGE, advice::GUARD_INSTALL) } == 0;
        let works = accepted && !is_readable(page.cast());
        // SAFETY: as above; it is not used any more.
        unsafe { libc::munmap(page, PAGE) };
        works
    })
}

/// Whether a page can be read. The kernel tries it for us, in a call that fails in either case:
/// it fetches the signal set before it looks at what to do with it, which is nothing that exists.
pub(super) fn is_readable(page: *const u8) -> bool {
    const NO_SUCH_OPERATION: libc::c_int = -1;
    const SET_SIZE: usize = 8;
    let no_set = ptr::null_mut::<u8>();
    // SAFETY: the call changes nothing; an unreadable address gives EFAULT.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, NO_SUCH_OPERATION, page, no_set, SET_SIZE) };
    result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EFAULT)
}

/// Makes the stacks with these numbers accessible, with a guard below each. None of them was in use
/// before. Gives the number of stacks that came to be, counted from the first: at least one.
///
/// # Errors
/// The system refused the memory or the mappings; all of the chunk is inaccessible (again).
pub(super) fn open_chunk(
    area: Area,
    reservation: &Reservation,
    numbers: Range<usize>,
) -> Result<usize, StackError> {
    match area.guard() {
        Guard::Advice => open_with_advice(area, reservation, numbers),
        Guard::Mprotect => open_with_mprotect(area, reservation, numbers),
    }
}

fn open_with_advice(
    area: Area,
    reservation: &Reservation,
    numbers: Range<usize>,
) -> Result<usize, StackError> {
    let pitch = area.pitch();
    let chunk = numbers.start * pitch..numbers.end * pitch;
    if let Err(error) = reservation.commit(chunk.clone()) {
        return Err(refusal(reservation, chunk, &error));
    }
    let base = reservation.base().as_ptr().expose_provenance();
    let guards: Vec<_> =
        numbers.clone().map(|number| advice::range(base + number * pitch, GUARD_SIZE)).collect();
    // SAFETY: the ranges are in the chunk, which nobody uses yet.
    if unsafe { advice::advise(&guards, advice::GUARD_INSTALL) }.is_ok() {
        return Ok(numbers.len());
    }
    // SAFETY: nobody uses the chunk yet.
    match unsafe { reservation.close(chunk.clone()) } {
        Ok(()) => open_with_mprotect(area, reservation, numbers),
        Err(error) => Err(refusal(reservation, chunk, &error)),
    }
}

fn open_with_mprotect(
    area: Area,
    reservation: &Reservation,
    numbers: Range<usize>,
) -> Result<usize, StackError> {
    let usable = |number: usize| number * area.pitch() + GUARD_SIZE..(number + 1) * area.pitch();
    for number in numbers.clone() {
        let Err(error) = reservation.commit(usable(number)) else { continue };
        let refusal = refusal(reservation, usable(number), &error);
        let mut opened = number - numbers.start;
        if matches!(refusal, StackError::TooManyMaps { .. }) {
            let kept = opened.saturating_sub(HEADROOM);
            for surplus in numbers.start + kept..number {
                // To give mappings back never needs one; were it refused, the stack would merely
                // stay accessible until it is opened again.
                // SAFETY: nobody uses the chunk yet.
                let _ = unsafe { reservation.close(usable(surplus)) };
            }
            opened = kept;
        }
        return if opened == 0 { Err(refusal) } else { Ok(opened) };
    }
    Ok(numbers.len())
}

/// Why the system refused to commit `range`, which is inaccessible afterwards.
fn refusal(reservation: &Reservation, range: Range<usize>, error: &io::Error) -> StackError {
    let wanted = range.len();
    if reservation.lacks_maps(range) {
        StackError::TooManyMaps { limit: max_map_count() }
    } else {
        StackError::NoMemory { wanted, os_error: error.raw_os_error().unwrap_or(libc::ENOMEM) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::area::bounds;
    use crate::stack::child;
    use crate::stack::pool::LocalPool;
    use std::os::unix::process::ExitStatusExt;

    /// Both kinds, or the one that this system has.
    fn kinds() -> impl Iterator<Item = Guard> {
        [Guard::Advice, Guard::Mprotect].into_iter().filter(|kind| *kind == Guard::Mprotect || supported())
    }

    fn assert_guarded(index: u32) {
        let usable = bounds(index);
        assert!(child::is_readable(usable.start));
        assert!(child::is_readable(usable.end - 1));
        for page in 1..=GUARD_SIZE / PAGE {
            assert!(!child::is_readable(usable.start - page * PAGE), "guard page {page} of {index:#x}");
        }
    }

    #[test]
    fn every_stack_has_its_guard_below_it() {
        let mut pool = LocalPool::new();
        for kind in kinds() {
            let area = Area::for_size(32 << 10, kind).unwrap();
            let stacks: Vec<_> = (0..700).map(|_| pool.acquire(area).unwrap()).collect();
            for &index in &stacks {
                child::touch(index);
                assert_guarded(index);
            }
            for index in stacks {
                // SAFETY: acquired above, used by nobody.
                unsafe { pool.release(index) };
            }
        }
    }

    #[test]
    fn a_write_into_a_guard_is_a_segmentation_fault() {
        let name = "stack::guard::tests::a_write_into_a_guard_is_a_segmentation_fault";
        let output = child::output(name, || {
            let kind = if supported() { Guard::Advice } else { Guard::Mprotect };
            let index = LocalPool::new().acquire(Area::for_size(1 << 14, kind).unwrap()).unwrap();
            // SAFETY: none: it is to fault.
            unsafe { ptr::with_exposed_provenance_mut::<u8>(bounds(index).start - 1).write_volatile(1) };
        });
        if let Some(output) = output {
            assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", child::text(&output));
        }
    }

    #[test]
    fn a_chunk_in_locked_memory_gets_mprotect_guards() {
        child::run("stack::guard::tests::a_chunk_in_locked_memory_gets_mprotect_guards", || {
            let area = Area::for_size(1 << 14, Guard::Advice).unwrap();
            let mut pool = LocalPool::new();
            let first = pool.acquire(area).unwrap();
            assert_guarded(first);
            let grown = area.grown();
            let next_chunk = bounds(area.index(grown)).start;
            // It is inaccessible yet, so it counts as locked although the call says ENOMEM.
            // SAFETY: to lock memory changes nothing in it.
            unsafe { libc::mlock(ptr::with_exposed_provenance(next_chunk - PAGE), PAGE) };
            // SAFETY: nobody uses that address yet.
            let refused = unsafe {
                let guard = advice::range(next_chunk - PAGE, PAGE);
                advice::advise(&[guard], advice::GUARD_INSTALL).is_err()
            };
            assert!(refused || !supported(), "the memory is locked, so the fallback is what is tested");
            for _ in 0..2 * grown {
                assert_guarded(pool.acquire(area).unwrap());
            }
            assert!(area.grown() > grown);
            assert_guarded(first);
        });
    }

    #[test]
    fn locked_processes_have_no_guard_markers() {
        child::run("stack::guard::tests::locked_processes_have_no_guard_markers", || {
            // SAFETY: to lock memory changes nothing in it.
            if unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) } == 0 {
                assert!(!supported());
                let area = Area::for_size(1 << 14, Guard::Mprotect).unwrap();
                assert_guarded(LocalPool::new().acquire(area).unwrap());
            }
        });
    }

    #[test]
    fn when_the_mappings_run_out_the_error_names_the_sysctl_and_the_process_lives_on() {
        let name = "stack::guard::tests::\
                    when_the_mappings_run_out_the_error_names_the_sysctl_and_the_process_lives_on";
        child::run(name, || {
            let limit = max_map_count().unwrap();
            // With a raised limit, this would take memory rather than mappings.
            if limit > 1 << 17 {
                return;
            }
            let area = Area::for_size(1 << 14, Guard::Mprotect).unwrap();
            let mut pool = LocalPool::new();
            let mut stacks = Vec::new();
            let error = loop {
                match pool.acquire(area) {
                    Ok(index) => stacks.push(index),
                    Err(error) => break error,
                }
                assert!(stacks.len() <= limit / 2, "each stack takes two mappings");
            };
            assert_eq!(error, StackError::TooManyMaps { limit: Some(limit) });
            assert!(stacks.len() > limit / 2 - 1000, "{} of {limit} / 2", stacks.len());
            std::thread::spawn(|| ()).join().expect("mappings are left for a thread");
            assert_eq!(pool.acquire(area), Err(error), "and it stays an error");
            assert_guarded(*stacks.last().unwrap());
            let last = stacks.pop().unwrap();
            // SAFETY: acquired above, used by nobody.
            unsafe { pool.release(last) };
            assert_eq!(pool.acquire(area), Ok(last));
        });
    }
}
