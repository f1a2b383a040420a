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
    for batch in ranges.chunks(MOST_RANGES) {
        // SAFETY: `batch` is a valid array of that length; the caller answers for what it names.
        let advised = unsafe {
            libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, batch.as_ptr(), batch.len(), advice, 0)
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
