//! Stacks for actors: lazily committed address space with a guard below each stack, reused while
//! warm, and given back to the system after a burst. All runtimes of a process share them.
//!
//! | word | meaning |
//! |---|---|
//! | area | all stacks of one size and guard kind: one reservation of address space, grown in chunks |
//! | index | names a stack for ever: the area in its upper 5 bits, the stack's number in the lower 23 |
//! | pitch | the distance of two neighbours: a stack and its guard, an odd number of pages |
//! | warm | used before: its pages are resident and cost nothing to use again |
//! | cold | never used, or trimmed: its pages come with the first touch |
//! | retired | never handed out again |
//!
//! ```text
//! base             base + pitch                          base + grown * pitch
//!   | guard | stack 0 | guard | stack 1 | guard | stack 2 | ... reserved, inaccessible ...
//!           low     top
//! ```
//!
//! Stacks grow down, into the guard that lies below them. A power of two as the pitch would put
//! the tops of all stacks into a few sets of the caches and of the TLB; with an odd number of pages
//! they spread over all of them.
//!
//! A stack goes round like this:
//!
//! 1. [`area`] grows a chunk, and [`guard`] makes it accessible and protects the guards: cold.
//! 2. [`pool`] hands it out. A worker's [`pool::LocalPool`] needs neither locks nor atomics; it
//!    fetches from, and spills to, the shared [`shelf`] in batches.
//! 3. The stack comes back and is warm: the last one in is the first one out.
//! 4. [`trim`] gives back the pages of warm stacks that were not needed for a while: cold again.
//!
//! [`overflow`] turns the fault of an actor that ran into its guard into a message that names it.
//!
//! Rejected: unmapping stacks (an address must tell for ever whose stack it is, and a mapping costs
//! two system calls and a VMA each); growing a stack by moving it (interior pointers); pages given
//! back at each return (one `madvise` costs 1.9 µs alone and 16 µs beside a running thread, a warm
//! stack a few ns).

mod advice;
pub(crate) mod area;
#[cfg(test)]
mod child;
mod error;
pub(crate) mod guard;
pub(crate) mod overflow;
pub(crate) mod poison;
pub(crate) mod pool;
pub(crate) mod reserve;
pub(crate) mod shelf;
pub(crate) mod trim;

pub use error::StackError;

/// The size of a page in bytes. x86-64 has no other base page size.
pub(crate) const PAGE: usize = 4096;
