//! What a program needs every day: time, threads' names, files, processes, signals.

mod cancel;
mod fs;
mod interval;
mod paused_clock;
mod process;
mod send_after;
mod signal;
mod sleeps;
mod std_examples;
mod thread;
mod timer;

use smarm::{Config, Runtime};

/// A runtime whose time stands still, and leaps.
fn paused(workers: usize) -> Runtime {
    smarm::runtime::init(Config::exact(workers).paused_clock(true))
}
