//! A reservation: address space that belongs to the process for ever and costs nothing until parts
//! of it are committed.
//!
//! It is mapped inaccessible and without swap accounting, so its size is limited by address space
//! alone. Where the system refuses the wanted size (`RLIMIT_AS`, or `RLIMIT_MEMLOCK` under
//! `mlockall`), half of it is tried, down to a minimum. Neighbouring commits merge into one mapping
//! (VMA).
//!
//! Huge pages are declined: with them a single touched stack kept 62–70 KB resident.
//!
//! Under Miri, which knows neither inaccessible memory nor any that costs nothing, a reservation is small, and all
//! of it is open.

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::PAGE;
use crate::chaos;

/// With a limit on address space, the share of it that one reservation takes at most. The rest of
/// the program needs some too, and does not find out that it is gone until it allocates.
const SHARE_OF_LIMIT: usize = 4;

/// A range of address space, inaccessible but for its committed parts. Never unmapped.
#[derive(Debug)]
pub(crate) struct Reservation {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: it owns no thread-bound state; what lies at the addresses is up to the code that uses them.
unsafe impl Send for Reservation {}
// SAFETY: as above; all methods are system calls that may run on several threads at once.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `wanted` bytes, or, where that is refused, half of it, and so on down to `minimum`.
    /// Sizes are rounded up to pages.
    ///
    /// # Errors
    /// What the system says about the smallest size tried.
    pub(crate) fn new(wanted: usize, minimum: usize) -> io::Result<Reservation> {
        let minimum = minimum.max(1).next_multiple_of(PAGE);
        let mut len = wanted.min(address_space_limit() / SHARE_OF_LIMIT).next_multiple_of(PAGE).max(minimum);
        loop {
            match reserve(len) {
                Ok(base) => return Ok(Reservation { base, len }),
                Err(error) if len == minimum => return Err(error),
                Err(error) => match error.raw_os_error() {
                    // EAGAIN is what RLIMIT_MEMLOCK says under mlockall(MCL_FUTURE), and EINVAL what
                    // valgrind says where the address space that it manages ends.
                    Some(libc::ENOMEM | libc::EAGAIN | libc::EINVAL) => {
                        len = (len / 2).next_multiple_of(PAGE).max(minimum)
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// The lowest address.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The number of bytes reserved.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes a range (byte offsets from the base, whole pages) readable and writable. Fresh pages
    /// read as zero and become resident with the first touch. Committing twice is harmless, except
    /// that it opens an `mprotect` guard in the range.
    ///
    /// # Errors
    /// `ENOMEM`: too many mappings, `RLIMIT_DATA`, or strict overcommit.
    ///
    /// # Panics
    /// If the range is not in the reservation or not of whole pages.
    pub(crate) fn commit(&self, range: Range<usize>) -> io::Result<()> {
        chaos::fault(libc::ENOMEM)?;
        self.protect(range, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Makes a range inaccessible (again).
    ///
    /// # Errors
    /// `ENOMEM`: too many mappings.
    ///
    /// # Panics
    /// If the range is not in the reservation or not of whole pages.
    ///
    /// # Safety
    /// Nobody uses the range.
    pub(super) unsafe fn close(&self, range: Range<usize>) -> io::Result<()> {
        self.protect(range, libc::PROT_NONE)
    }

    /// Whether the commit of `range`, which was just refused, failed for want of mappings rather
    /// than of memory. Leaves the range inaccessible.
    ///
    /// Pages that are only readable take as many mappings as writable ones, but count neither
    /// towards `RLIMIT_DATA` nor as committed memory: if even they are refused, it is the mappings.
    pub(super) fn lacks_maps(&self, range: Range<usize>) -> bool {
        let refused = self.protect(range.clone(), libc::PROT_READ).is_err();
        // Cannot need a mapping more than the line above; if that failed, there is nothing to undo.
        let _ = self.protect(range, libc::PROT_NONE);
        refused
    }

    fn protect(&self, range: Range<usize>, protection: libc::c_int) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "outside of the reservation");
        assert!(range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE), "not whole pages");
        if cfg!(miri) {
            return Ok(());
        }
        // SAFETY: the range lies in this reservation, which is never unmapped; code that takes
        // access away has promised that nobody uses it (`close`), or it was never given
        // (`lacks_maps`).
        let result = unsafe {
            let start = self.base.as_ptr().add(range.start);
            libc::mprotect(start.cast(), range.len(), protection)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    chaos::fault(libc::ENOMEM)?;
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let (access, flags) = if cfg!(miri) {
        (libc::PROT_READ | libc::PROT_WRITE, private)
    } else {
        (libc::PROT_NONE, private | libc::MAP_NORESERVE)
    };
    // SAFETY: a fresh private mapping at an address that the kernel chooses disturbs nothing.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    #[cfg(not(miri))]
    // The result does not matter: EINVAL says that the kernel has no huge pages.
    // SAFETY: the range was mapped above.
    unsafe {
        libc::madvise(base, len, libc::MADV_NOHUGEPAGE)
    };
    NonNull::new(base.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// The soft `RLIMIT_AS` in bytes, or `usize::MAX`.
fn address_space_limit() -> usize {
    if cfg!(miri) {
        return 16 << 20; // what is reserved is allocated
    }
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    limit.rlim_cur as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::child;

    #[test]
    fn committed_pages_are_zero_and_writable_and_the_others_fault() {
        let reservation = Reservation::new(1 << 30, 1 << 20).unwrap();
        assert_eq!(reservation.len(), 1 << 30);
        reservation.commit(PAGE..3 * PAGE).unwrap();
        let base = reservation.base().as_ptr();
        // SAFETY: the two pages were committed above and are nobody else's.
        unsafe {
            assert_eq!(base.add(PAGE).read(), 0);
            base.add(3 * PAGE - 1).write(1);
        }
        assert!(!child::is_readable(base.addr()));
        assert!(child::is_readable(base.addr() + PAGE));
        assert!(!child::is_readable(base.addr() + 3 * PAGE));
    }

    #[test]
    #[should_panic(expected = "outside of the reservation")]
    fn a_commit_outside_panics() {
        let reservation = Reservation::new(PAGE, PAGE).unwrap();
        let _ = reservation.commit(PAGE..2 * PAGE);
    }

    #[test]
    fn a_reservation_shrinks_under_a_limit_of_address_space() {
        child::run("stack::reserve::tests::a_reservation_shrinks_under_a_limit_of_address_space", || {
            let limit = 8 << 30;
            let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            // SAFETY: the structure is valid.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limits) }, 0);
            let share = Reservation::new(1 << 42, PAGE).unwrap();
            assert_eq!(share.len() as u64, limit / SHARE_OF_LIMIT as u64);
            // Take reservations until less than a share is left, so that one must be halved.
            let halved = loop {
                let next = Reservation::new(1 << 42, PAGE).unwrap();
                if next.len() < share.len() {
                    break next;
                }
            };
            assert!(halved.len() * 2 <= share.len());
            assert!(Reservation::new(1 << 42, 1 << 40).is_err(), "a minimum above the limit is an error");
        });
    }
}
