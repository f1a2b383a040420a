//! Faults: what the system refuses, what foreign code does wrong, and what ends a process. Each has a defined
//! outcome, and none of them is a hang, an end without an explanation, or worse.

mod crowd;
mod descriptors;
mod kills;
mod memory;
mod overflow;
mod panics;
mod processes;
mod support;
mod teardown;
mod time;
