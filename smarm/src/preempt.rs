//! Making actors that compute yield.
//!
//! The runtime's monitor marks a worker whose actor has been running for most of a slice (10 ms unless
//! [`Config::slice`](crate::Config::slice) says otherwise). The actor then yields
//!
//! - at its next [`check!`](crate::check), which costs about a nanosecond when the mark is not set;
//! - at its next smarm call that could wait, also when it need not;
//! - at its next allocation, if it has opted in with [`on_allocation`] and the program's global
//!   allocator is an [`Allocator`].
//!
//! # What can go wrong with allocations
//! A yield at an allocation comes wherever code allocates, so also while the actor holds a std lock
//! or a borrow of a thread-local. Another actor on the same worker that wants the lock then blocks
//! the worker for ever, and one that wants the borrow panics:
//!
//! ```no_run
//! use std::cell::RefCell;
//!
//! thread_local!(static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });
//!
//! smarm::run(|| {
//!     for _ in 0..2 {
//!         smarm::spawn(|| {
//!             smarm::preempt::on_allocation(true);
//!             // `format!` allocates while LOG is borrowed: a yield there makes the other actor
//!             // panic with "already borrowed".
//!             LOG.with_borrow_mut(|log| (0..1_000_000).for_each(|n| log.push(format!("{n}"))));
//!         });
//!     }
//! });
//! ```
//!
//! So it is opt-in, and [`disable`] protects such a section.

use std::alloc::{GlobalAlloc, Layout, System};
use std::marker::PhantomData;
use std::thread;

use crate::actor::local::Local;
use crate::actor::park::{self, Running};
use crate::actor::record;
use crate::chaos;
use crate::context::stack_pointer;
use crate::stack::area;

/// Yields if the running slice has been too long. Outside actors it does nothing.
///
/// An actor that is to be killed unwinds here.
///
/// ```
/// smarm::run(|| {
///     let mut sum = 0_u64;
///     for n in 0..100_000 {
///         sum += n;
///         smarm::check!();
///     }
///     assert_eq!(sum, 4_999_950_000);
/// });
/// ```
#[macro_export]
macro_rules! check {
    () => {
        $crate::preempt::check()
    };
}

/// The function behind [`check!`](crate::check).
#[inline(always)]
pub fn check() {
    if let Some(actor) = Running::current() {
        actor.check();
    }
}

/// Whether allocations may make the calling actor yield; they may not unless it has said so.
///
/// Gives what held before. Outside actors it does nothing and gives `false`.
pub fn on_allocation(yes: bool) -> bool {
    record::with_current(|record| record.is_some_and(|record| record.preemptible.replace(yes)))
}

/// Keeps the calling actor from being made to yield, until the guard is dropped: by `check!()`, by
/// smarm calls that need not wait, and by allocations. Calls that must wait still do.
///
/// ```
/// smarm::run(|| {
///     let _undisturbed = smarm::preempt::disable();
///     // ... no other actor of this worker runs here, unless this one waits ...
/// });
/// ```
pub fn disable() -> Disabled {
    record::with_current(|record| {
        if let Some(record) = record {
            record.undisturbed.set(record.undisturbed.get() + 1);
        }
    });
    Disabled(PhantomData)
}

/// While it lives, its actor is not made to yield. See [`disable`].
#[derive(Debug)]
#[must_use = "the actor can be made to yield again once this is dropped"]
pub struct Disabled(PhantomData<*const ()>);

impl Drop for Disabled {
    fn drop(&mut self) {
        record::with_current(|record| {
            if let Some(record) = record {
                record.undisturbed.set(record.undisturbed.get().saturating_sub(1));
            }
        });
    }
}

/// A global allocator that lets actors which opted in yield at an allocation.
///
/// The yield comes after the inner allocator has returned, never inside; never in a poll, in the
/// runtime itself or in a signal handler, never while the thread panics, and never under
/// [`disable`]. It costs less than a nanosecond when no slice is too long. `errno` stays as it was.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: smarm::preempt::Allocator = smarm::preempt::Allocator::new();
/// # fn main() {}
/// ```
#[derive(Debug, Default)]
pub struct Allocator<A = System>(A);

impl Allocator<System> {
    /// Around the system's allocator.
    pub const fn new() -> Self {
        Self(System)
    }
}

impl<A> Allocator<A> {
    /// Around another allocator.
    pub const fn wrapping(inner: A) -> Self {
        Self(inner)
    }
}

// SAFETY: everything is passed on to the inner allocator. A yield afterwards touches neither the
// block nor the allocator; it does not unwind.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        let block = unsafe { self.0.alloc(layout) };
        yield_if_overdue();
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.0.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        yield_if_overdue();
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: passed on.
        let block = unsafe { self.0.realloc(block, layout, size) };
        yield_if_overdue();
        block
    }
}

#[inline(always)]
fn yield_if_overdue() {
    if chaos::on() || Local::current().is_some_and(Local::overdue) {
        yield_at_allocation();
    }
}

#[cold]
fn yield_at_allocation() {
    let Some(actor) = Running::current() else { return };
    let wanted = record::with_current(|record| {
        record.is_some_and(|record| record.preemptible.get() && record.undisturbed.get() == 0)
    });
    // A signal handler runs on another stack, which is not to be left.
    let own_stack = area::bounds(actor.pid().index()).contains(&stack_pointer());
    if !wanted || !own_stack || park::in_own_code() || thread::panicking() {
        return;
    }
    // SAFETY: errno is this thread's, and the actor stays on it.
    let errno = unsafe { *libc::__errno_location() };
    actor.yield_if_overdue();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}
