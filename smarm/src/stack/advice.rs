//! Advice about many ranges of this process's memory in few system calls.
//!
//! `process_madvise` takes up to 1,024 ranges and flushes the TLB once for all of them; one
//! `madvise` per range interrupts every other running thread of the process each time. Where the
//! kernel refuses it (it takes all kinds of advice for the calling process since Linux 6.13, and
//! knows `PIDFD_SELF` a little later; a sandbox may forbid it), each range gets its own `madvise`.
//!
//! `PIDFD_SELF` rather than a descriptor from `pidfd_open`: after a `fork` such a descriptor would
//! still name the parent.

use std::io;

use crate::chaos;

/// Installs guard markers: an access faults until they are removed. Linux 6.13.
pub(super) const GUARD_INSTALL: libc::c_int = 102;

/// Names the process of the calling thread where a pidfd is expected.
const PIDFD_SELF: libc::c_int = -10001;

/// The most ranges that one call takes (`UIO_MAXIOV`).
const MOST_RANGES: usize = 1024;

/// Gives `advice` about all `ranges`.
///
/// # Errors
/// What the system says about the first range that it refuses; later ones are left as they are.
///
/// # Safety
/// The ranges are mapped, and nobody holds a reference into them or relies on their content if the
/// advice takes that away.
pub(super) unsafe fn advise(ranges: &[libc::iovec], advice: libc::c_int) -> io::Result<()> {
    chaos::fault(libc::ENOMEM)?;
    if cfg!(miri) {
        return Ok(()); // it knows no advice
    }
    // SAFETY: the caller has the same duties.
    unsafe { advise_through(PIDFD_SELF, ranges, advice) }
}

/// [`advise`] through a descriptor that names this process, or that the kernel refuses.
///
/// # Safety
/// As for [`advise`].
unsafe fn advise_through(pidfd: libc::c_int, ranges: &[libc::iovec], advice: libc::c_int) -> io::Result<()> {
    for batch in ranges.chunks(MOST_RANGES) {
        // SAFETY: `batch` is a valid array of that length; the caller answers for what it names.
        let advised = unsafe {
            libc::syscall(libc::SYS_process_madvise, pidfd, batch.as_ptr(), batch.len(), advice, 0)
        };
        let mut done = usize::try_from(advised).unwrap_or(0);
        for range in batch {
            let skip = done.min(range.iov_len);
            done -= skip;
            if skip == range.iov_len {
                continue;
            }
            // SAFETY: the rest of a range that the caller answers for.
            let result =
                unsafe { libc::madvise(range.iov_base.byte_add(skip), range.iov_len - skip, advice) };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// The range of `len` bytes from `start`, as the system calls want it.
pub(super) fn range(start: usize, len: usize) -> libc::iovec {
    libc::iovec { iov_base: std::ptr::with_exposed_provenance_mut(start), iov_len: len }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::PAGE;
    use crate::stack::reserve::Reservation;

    /// Makes every other page of a mapping dirty, drops every fourth, and looks which are zero.
    fn drops_what_it_should(pidfd: libc::c_int) {
        const PAGES: usize = 10_000;
        let reservation = Reservation::new(PAGES * PAGE, PAGES * PAGE).unwrap();
        reservation.commit(0..PAGES * PAGE).unwrap();
        let base = reservation.base().as_ptr();
        let page = |number: usize| base.wrapping_add(number * PAGE);
        // SAFETY: committed above and nobody else's.
        (0..PAGES).step_by(2).for_each(|number| unsafe { page(number).write(1) });
        let ranges: Vec<_> =
            (0..PAGES).step_by(4).map(|number| range(page(number).expose_provenance(), PAGE)).collect();
        assert!(ranges.len() > 2 * MOST_RANGES);
        // SAFETY: as above.
        unsafe { advise_through(pidfd, &ranges, libc::MADV_DONTNEED) }.unwrap();
        for number in (0..PAGES).step_by(2) {
            // SAFETY: as above.
            assert_eq!(unsafe { page(number).read() } == 0, number % 4 == 0, "page {number}");
        }
    }

    #[test]
    fn the_ranges_and_nothing_else_are_advised() {
        drops_what_it_should(PIDFD_SELF);
    }

    #[test]
    fn where_the_kernel_refuses_batches_each_range_is_advised_alone() {
        drops_what_it_should(-1);
    }

    #[test]
    fn a_refused_range_is_an_error() {
        let reservation = Reservation::new(4 * PAGE, 4 * PAGE).unwrap();
        let base = reservation.base().as_ptr().expose_provenance();
        let ranges = [range(base, PAGE), range(base + 1, PAGE), range(base + 2 * PAGE, PAGE)];
        // SAFETY: nobody uses the reservation.
        let error = unsafe { advise(&ranges, libc::MADV_DONTNEED) }.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "not whole pages");
    }
}
