//! Runs actors on workers.
//!
//! | word | meaning |
//! |---|---|
//! | worker | one thread's share of the runtime: run queue, inbox, timers, deque of new actors |
//! | new actor | spawned, not started: lies in a deque or in the injector, and any worker may start it |
//! | turn | one poll of a worker: it runs actors until its time is over or none can run |
//! | searching | looking for new actors in other workers' deques |

pub(crate) mod core;
pub(crate) mod monitor;
pub(crate) mod paused;
pub(crate) mod shared;
pub(crate) mod threads;
pub(crate) mod worker;
