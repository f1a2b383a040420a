//! Suspended flows of control and the switch between them.
//!
//! One file per instruction set, and one for Miri, each with the same items:
//!
//! | item | meaning |
//! |---|---|
//! | `Context` | where a suspended flow goes on: stack pointer, address, frame pointer, base register |
//! | `Context::entry` | a flow that starts by calling a function on a fresh stack |
//! | `switch` | suspends the running flow into one context and resumes another |
//! | `switch_for_ever` | ends the running flow and resumes another |
//! | `begun` | to be called first in a new flow |
//! | `Context::retire` | forgets a flow that has ended |
//! | `over` | to be called last in a flow that has ended |
//! | `call_on` | calls a function on the stack of a suspended flow |
//! | `prefetch` | has a cache line fetched |
//! | `stack_pointer` | where the running flow's stack stands |
//!
//! Neither mxcsr nor the x87 control word is saved: a flow that changes a rounding mode or an
//! exception mask across a switch changes it for its neighbours, which is documented as forbidden.

#[cfg(smarm_sanitizer)]
mod sanitizer;
#[cfg(miri)]
mod threads;
#[cfg(not(miri))]
mod x86_64;

#[cfg(miri)]
use threads as machine;
#[cfg(not(miri))]
use x86_64 as machine;

pub(crate) use machine::{Context, begun, call_on, over, prefetch, stack_pointer, switch, switch_for_ever};
