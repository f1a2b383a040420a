//! What the sanitizers are told of a switch, in builds of `tests/sanitizers` only
//! (`--cfg smarm_sanitizer="address"` or `"thread"`).
//!
//! | moment | AddressSanitizer | ThreadSanitizer |
//! |---|---|---|
//! | [`Fiber::fresh`]: a flow is made | notes where its stack lies | makes a fiber |
//! | [`Fiber::leave`]: before a switch | where the next stack lies; keeps the fake stack | the thread is that fiber now |
//! | [`Fiber::arrive`], [`arrive_first`]: after it | takes the fake stack up again | |
//! | [`Fiber::leave_for_ever`]: before the last one | the fake stack is dropped | as before each |
//! | [`Fiber::retire`]: the flow has ended | the marks of the frames that it left go | the fiber goes |
//!
//! A switch orders what comes before it before what comes after it, in ThreadSanitizer's eyes: flows of one
//! worker run on one thread, in program order. Races are looked for between workers.
//!
//! Rejected: no fibers for ThreadSanitizer at all, as a started actor never changes thread. Its shadow of the
//! call stack would grow by the frames of each actor that ends, until it is full.

use std::cell::Cell;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr;

/// A flow of control, as the sanitizer knows it.
#[derive(Debug)]
pub(crate) struct Fiber {
    /// The addresses of its stack; empty for a thread's that has not been left yet.
    stack: Cell<(usize, usize)>,
    /// AddressSanitizer's fake stack while the flow is suspended, ThreadSanitizer's fiber.
    handle: Cell<*mut c_void>,
}

impl Fiber {
    /// The flow of the thread that leaves it first.
    pub(crate) const THREAD: Self = Self { stack: Cell::new((0, 0)), handle: Cell::new(ptr::null_mut()) };

    /// A new flow on the stack that lies below `top`.
    pub(crate) fn fresh(top: usize) -> Self {
        let (index, _) = crate::stack::area::find(top - 1).expect("smarm bug: a flow on no stack");
        let Range { start, end } = crate::stack::area::bounds(index);
        let fiber = Self { stack: Cell::new((start, end - start)), handle: Cell::new(ptr::null_mut()) };
        tool::create(&fiber);
        fiber
    }

    /// Says that the thread goes on in `to`, and will come back to this flow.
    #[inline(always)]
    pub(crate) fn leave(&self, to: &Self) {
        tool::leave(self, to);
    }

    /// Says that the thread goes on in `to`, and that this flow has ended.
    #[inline(always)]
    pub(crate) fn leave_for_ever(&self, to: &Self) {
        tool::leave_for_ever(to);
    }

    /// Says that the thread has come back to this flow.
    #[inline(always)]
    pub(crate) fn arrive(&self) {
        tool::arrive(self.handle.get());
    }

    /// Forgets a flow that has ended. From another one.
    pub(crate) fn retire(&self) {
        tool::retire(self);
    }

    /// Calls `call`, which calls on the stack of this suspended flow: its argument is to be called there.
    #[inline(always)]
    pub(crate) fn visit(
        &self,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
        call: impl FnOnce(unsafe extern "C" fn(*mut c_void), *mut c_void),
    ) {
        tool::visit(self, function, argument, call);
    }
}

/// Says that the thread is in a flow that has just begun.
#[inline(always)]
pub(crate) fn arrive_first() {
    tool::arrive(ptr::null_mut());
}

#[cfg(smarm_sanitizer = "address")]
mod tool {
    use super::*;

    unsafe extern "C" {
        fn __sanitizer_start_switch_fiber(fake: *mut *mut c_void, bottom: *const c_void, size: usize);
        fn __sanitizer_finish_switch_fiber(fake: *mut c_void, bottom: *mut *const c_void, size: *mut usize);
        fn __asan_unpoison_memory_region(start: *const c_void, size: usize);
    }

    pub(super) fn create(_: &Fiber) {}

    #[inline(always)]
    pub(super) fn leave(from: &Fiber, to: &Fiber) {
        if from.stack.get() == (0, 0) {
            from.stack.set(thread_stack());
        }
        let (start, size) = to.stack.get();
        // SAFETY: the switch follows at once; `to` is suspended or new, so its bounds are known.
        unsafe { __sanitizer_start_switch_fiber(from.handle.as_ptr(), ptr::without_provenance(start), size) };
    }

    #[inline(always)]
    pub(super) fn leave_for_ever(to: &Fiber) {
        let (start, size) = to.stack.get();
        // SAFETY: as in `leave`; null says that the flow has ended.
        unsafe { __sanitizer_start_switch_fiber(ptr::null_mut(), ptr::without_provenance(start), size) };
    }

    #[inline(always)]
    pub(super) fn arrive(fake_stack: *mut c_void) {
        // SAFETY: the switch announced by `leave` is done, and the fake stack is this flow's.
        unsafe { __sanitizer_finish_switch_fiber(fake_stack, ptr::null_mut(), ptr::null_mut()) };
    }

    pub(super) fn retire(fiber: &Fiber) {
        let (start, size) = fiber.stack.get();
        // SAFETY: the stack has no frames any more, and stays mapped.
        unsafe { __asan_unpoison_memory_region(ptr::without_provenance(start), size) };
    }

    #[inline(always)]
    pub(super) fn visit(
        on: &Fiber,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
        call: impl FnOnce(unsafe extern "C" fn(*mut c_void), *mut c_void),
    ) {
        struct Visit<'a> {
            on: &'a Fiber,
            home: &'a Fiber,
            function: unsafe extern "C" fn(*mut c_void),
            argument: *mut c_void,
        }
        unsafe extern "C" fn there(visit: *mut c_void) {
            // SAFETY: it stands in the frame that waits for this call.
            let visit = unsafe { &*visit.cast::<Visit<'_>>() };
            visit.on.arrive();
            // SAFETY: what the caller of `visit` wants called here.
            unsafe { (visit.function)(visit.argument) };
            visit.on.leave(visit.home);
        }
        let home = here();
        let mut visit = Visit { on, home: &home, function, argument };
        home.leave(on);
        call(there, (&raw mut visit).cast());
        home.arrive();
    }

    /// The running actor's flow.
    fn here() -> Fiber {
        let (index, _) = crate::stack::area::find(crate::context::stack_pointer())
            .expect("smarm bug: only an actor calls on another stack");
        let Range { start, end } = crate::stack::area::bounds(index);
        Fiber { stack: Cell::new((start, end - start)), handle: Cell::new(ptr::null_mut()) }
    }

    /// The calling thread's stack, start and size.
    #[cold]
    fn thread_stack() -> (usize, usize) {
        let (mut start, mut size) = (ptr::null_mut(), 0);
        // SAFETY: the attributes are filled by the first call, read by the second and freed by the last.
        unsafe {
            let mut attributes = std::mem::zeroed::<libc::pthread_attr_t>();
            assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &mut attributes), 0);
            assert_eq!(libc::pthread_attr_getstack(&attributes, &mut start, &mut size), 0);
            libc::pthread_attr_destroy(&mut attributes);
        }
        (start.addr(), size)
    }
}

#[cfg(smarm_sanitizer = "thread")]
mod tool {
    use super::*;

    unsafe extern "C" {
        fn __tsan_get_current_fiber() -> *mut c_void;
        fn __tsan_create_fiber(flags: u32) -> *mut c_void;
        fn __tsan_destroy_fiber(fiber: *mut c_void);
        fn __tsan_switch_to_fiber(fiber: *mut c_void, flags: u32);
    }

    pub(super) fn create(fiber: &Fiber) {
        // SAFETY: may be called at any time.
        fiber.handle.set(unsafe { __tsan_create_fiber(0) });
    }

    #[inline(always)]
    pub(super) fn leave(from: &Fiber, to: &Fiber) {
        if from.handle.get().is_null() {
            // SAFETY: may be called at any time.
            from.handle.set(unsafe { __tsan_get_current_fiber() });
        }
        leave_for_ever(to);
    }

    #[inline(always)]
    pub(super) fn leave_for_ever(to: &Fiber) {
        // SAFETY: the switch follows at once; `to` is suspended or new, so it has a fiber.
        unsafe { __tsan_switch_to_fiber(to.handle.get(), 0) };
    }

    #[inline(always)]
    pub(super) fn arrive(_: *mut c_void) {}

    pub(super) fn retire(fiber: &Fiber) {
        // SAFETY: the flow has ended, so the fiber is not the current one; taken out, it goes once.
        unsafe { __tsan_destroy_fiber(fiber.handle.replace(ptr::null_mut())) };
    }

    #[inline(always)]
    pub(super) fn visit(
        _: &Fiber,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
        call: impl FnOnce(unsafe extern "C" fn(*mut c_void), *mut c_void),
    ) {
        call(function, argument); // still the same flow, wherever its frames lie
    }
}
