//! An exception that is caught before std knows, and raised again elsewhere.
//!
//! `resume_unwind` counts an unwinding and raises an exception; `catch_unwind` catches that and counts one less. The
//! frame of [`begin_and_catch`] stands between them: its personality routine takes the exception for its own, so
//! that the unwinding ends there uncounted. After the Itanium C++ ABI, part "Exception Handling", which the System V
//! ABI takes over.

use std::arch::naked_asm;
use std::ffi::{c_int, c_void};
use std::panic::{catch_unwind, resume_unwind};
use std::ptr::NonNull;

/// What an unwinding that has begun on some thread is about: it is std's, and nobody else has it.
pub(super) struct Exception(NonNull<c_void>);

// SAFETY: it lies on the heap, with a payload that is `Send`; unwinders know of no thread that it belongs to.
unsafe impl Send for Exception {}

/// In `actions`: the search for whoever catches the exception; afterwards the frames are unwound.
const SEARCH_PHASE: c_int = 1;
/// What a personality routine answers: this frame catches it; go on in this frame.
const HANDLER_FOUND: c_int = 6;
const INSTALL_CONTEXT: c_int = 7;
/// The number of rax.
const RAX: c_int = 0;

unsafe extern "C-unwind" {
    fn _Unwind_RaiseException(exception: *mut c_void) -> c_int;
}

unsafe extern "C" {
    fn _Unwind_SetGR(context: *mut c_void, register: c_int, value: usize);
}

impl Exception {
    /// Begins an unwinding, which counts on this thread from now on.
    pub(super) fn begin() -> Self {
        // SAFETY: `begin` unwinds by an exception of std's, for which the frame is made.
        let caught = unsafe { begin_and_catch(begin) };
        Self(NonNull::new(caught).expect("smarm bug: an unwinding that has not begun"))
    }

    /// Goes on with the unwinding to its end, so that there is one less on this thread. There is one, or this is where
    /// it began.
    pub(super) fn end(self) {
        let ended = catch_unwind(|| {
            // SAFETY: the exception is std's, was raised by std, and its payload has not been taken out: who catches it
            // finds what std had raised.
            let reason = unsafe { _Unwind_RaiseException(self.0.as_ptr()) };
            unreachable!("smarm bug: an exception that cannot be raised again: {reason}");
        });
        debug_assert!(ended.is_err_and(|payload| payload.is::<Begun>()));
    }
}

/// The payload.
struct Begun;

extern "C-unwind" fn begin() -> ! {
    resume_unwind(Box::new(Begun));
}

/// Calls `begin`, which unwinds, and gives the exception that it unwinds with: the frame goes on behind the call, as if
/// that had returned it.
///
/// # Safety
/// The exception is one that may be caught here, which its owner knows.
#[unsafe(naked)]
unsafe extern "C-unwind" fn begin_and_catch(begin: extern "C-unwind" fn() -> !) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_personality 0x1b, {personality}", // its distance, in 4 bytes
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call rdi", // gives the exception in rax
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        personality = sym personality,
    )
}

/// What the unwinder asks at the frame of [`begin_and_catch`]: it catches everything.
///
/// # Safety
/// Called by the unwinder alone.
unsafe extern "C" fn personality(
    _version: c_int,
    actions: c_int,
    _class: u64,
    exception: *mut c_void,
    context: *mut c_void,
) -> c_int {
    if actions & SEARCH_PHASE != 0 {
        return HANDLER_FOUND;
    }
    // SAFETY: in the second phase the context is that of the frame, which goes on behind its call.
    unsafe { _Unwind_SetGR(context, RAX, exception.expose_provenance()) };
    INSTALL_CONTEXT
}
