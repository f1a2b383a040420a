//! The switch for x86-64, System V.
//!
//! ```text
//!   Context (32 bytes, in the actor's slot or in the worker)
//!   +0   rsp   top of the suspended stack
//!   +8   rip   where it goes on: label 2 of a `switch`, or the trampoline
//!   +16  rbp   frame pointer
//!   +24  rbx   base register (LLVM reserves it, so it cannot be declared as clobbered)
//! ```
//!
//! All other registers are declared as clobbered, so the compiler saves exactly those that live
//! across a switch, in the frame that calls it. Nothing is pushed: the frame's unwinding
//! information stays exact at each instruction, and resuming a cold actor touches its slot first,
//! which the scheduler has prefetched.
//!
//! ```text
//!   fresh stack at entry                    unwinding
//!   top ──► record, closure
//!           ─────────────── 16-aligned ◄── rsp: the trampoline, whose return address is
//!           return into the trampoline      declared undefined: backtraces end here
//!           frames of the actor
//! ```

use std::arch::{asm, naked_asm};
use std::ffi::c_void;

#[cfg(smarm_sanitizer)]
use super::sanitizer::{self, Fiber};

/// Where a suspended flow of control goes on.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Context {
    rsp: usize,
    rip: usize,
    rbp: usize,
    rbx: usize,
    #[cfg(smarm_sanitizer)]
    fiber: Fiber,
}

impl Context {
    /// A context that is only ever switched away from first.
    pub(crate) const EMPTY: Self = Self {
        rsp: 0,
        rip: 0,
        rbp: 0,
        rbx: 0,
        #[cfg(smarm_sanitizer)]
        fiber: Fiber::THREAD,
    };

    /// A flow that calls `function(argument)` on the stack that ends below `top`.
    ///
    /// `top` must be 16-aligned, and the function must never return nor unwind.
    pub(crate) fn entry(
        top: *mut u8,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    ) -> Self {
        debug_assert_eq!(top.addr() % 16, 0);
        Self {
            rsp: top.addr(),
            rip: trampoline as *const () as usize,
            rbp: function as usize,
            rbx: argument.addr(),
            #[cfg(smarm_sanitizer)]
            fiber: Fiber::fresh(top.addr()),
        }
    }

    /// Forgets a flow that has ended. From another one.
    #[inline(always)]
    pub(crate) fn retire(&self) {
        #[cfg(smarm_sanitizer)]
        self.fiber.retire();
    }

    /// The top of the suspended stack.
    pub(crate) fn stack_pointer(&self) -> usize {
        self.rsp
    }
}

/// First frame of each actor. Entered by a jump with rbp = function, rbx = argument, rsp 16-aligned.
///
/// It enters the function by a jump too, with the return address pushed by hand: a call that never
/// returns would leave an entry in the processor's return predictor, and whoever is resumed after a
/// short actor would return to the wrong guess.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip", // the outermost frame: nobody called it
        "mov rdi, rbx",
        "mov rax, rbp",
        "xor ebp, ebp", // ends the chain of frame pointers too
        "lea rcx, [rip + 2f]",
        "push rcx",
        ".cfi_adjust_cfa_offset 8",
        "jmp rax",
        "nop", // a return address is taken to lie behind the call that it belongs to
        "2:",
        "ud2",
        ".cfi_endproc",
    )
}

/// Suspends the running flow into `from` and resumes `to`. Returns when somebody resumes `from`.
///
/// # Safety
/// - `from` is valid for writes, and stays so until the flow is resumed.
/// - `to` was made by [`Context::entry`] or filled by a `switch`, has not been resumed since, and
///   its stack is alive and used by nobody else.
/// - The flow in `to` was suspended on this thread or has not started.
#[inline(always)]
pub(crate) unsafe fn switch(from: *mut Context, to: *const Context) {
    #[cfg(smarm_sanitizer)]
    // SAFETY: both are valid by the caller.
    unsafe {
        (*from).fiber.leave(&(*to).fiber);
    }
    // SAFETY: passed on.
    unsafe { exchange(from, to) };
    #[cfg(smarm_sanitizer)]
    // SAFETY: valid until the flow is resumed, as it has been just now.
    unsafe {
        (*from).fiber.arrive();
    }
}

/// Leaves the running flow, whose context is `from`, for ever, and resumes `to`.
///
/// # Safety
/// As for [`switch`]; nobody resumes `from`.
#[inline(always)]
pub(crate) unsafe fn switch_for_ever(from: *mut Context, to: *const Context) {
    #[cfg(smarm_sanitizer)]
    // SAFETY: both are valid by the caller.
    unsafe {
        (*from).fiber.leave_for_ever(&(*to).fiber);
    }
    // SAFETY: passed on.
    unsafe { exchange(from, to) };
}

/// To be called first in each new flow.
#[inline(always)]
pub(crate) fn begun() {
    #[cfg(smarm_sanitizer)]
    sanitizer::arrive_first();
}

/// To be called last in each flow, after [`switch_for_ever`].
pub(crate) fn over() -> ! {
    unreachable!("smarm bug: an actor was resumed after its end");
}

/// The switch itself.
///
/// # Safety
/// As for [`switch`].
#[inline(always)]
unsafe fn exchange(from: *mut Context, to: *const Context) {
    // SAFETY: the block saves rsp, rbp and rbx, and declares every other register as clobbered, so
    // that the compiler keeps nothing in them. The caller vouches for both contexts.
    unsafe {
        asm!(
            "lea rax, [rip + 2f]",
            "mov [rdi], rsp",
            "mov [rdi + 8], rax",
            "mov [rdi + 16], rbp",
            "mov [rdi + 24], rbx",
            "mov rsp, [rsi]",
            "mov rbp, [rsi + 16]",
            "mov rbx, [rsi + 24]",
            "jmp qword ptr [rsi + 8]",
            "2:",
            inout("rdi") from => _,
            inout("rsi") to => _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
}

/// Has the cache line of this address fetched, whatever is there.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address is harmless.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast()) };
}

/// Calls `function(argument)` on the stack of a suspended flow, below its frames, and comes back to
/// the running flow's own stack.
///
/// ```text
///   suspended stack                 running stack
///   frames of the suspended flow    frames of the caller
///   ─────────────── ◄── its rsp     return address, rbp ◄── rbp: the frame is found through it,
///   frames of `function`                                   so backtraces go on in the caller
/// ```
///
/// # Safety
/// - `on` is suspended, and is not resumed before this returns; nobody else calls on its stack.
/// - The function does not unwind, and switches to no other flow.
#[inline(always)]
pub(crate) unsafe fn call_on(
    on: &Context,
    function: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
) {
    // Below the red zone.
    let top = (on.rsp - 128) & !15;
    #[cfg(smarm_sanitizer)]
    on.fiber.visit(function, argument, |function, argument| {
        // SAFETY: as below.
        unsafe { call_on_stack(top, function, argument) };
    });
    #[cfg(not(smarm_sanitizer))]
    // SAFETY: below the suspended flow's frames its stack is free; for the rest, passed on.
    unsafe {
        call_on_stack(top, function, argument);
    }
}

/// rdi = top of the stack, 16-aligned; rsi = function; rdx = its argument.
#[unsafe(naked)]
unsafe extern "C" fn call_on_stack(
    top: usize,
    function: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
) {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

/// Where the running flow's stack stands.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let rsp: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) rsp, options(nomem, nostack, preserves_flags)) };
    rsp
}
