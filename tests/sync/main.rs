//! `smarm::sync`, from actors, async code and OS threads at once.
//!
//! Each module begins with a table of what the well-known counterparts promise, one test a line.

mod barrier;
mod bridge;
mod condvar;
mod ends;
mod models;
mod mutex;
mod notify;
mod once;
mod rwlock;
mod semaphore;
mod std_examples;
mod support;
mod wait_group;
