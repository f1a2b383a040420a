//! smarm: a native green-thread actor runtime for x86-64 Linux.
#![cfg_attr(not(test), deny(clippy::print_stdout))]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!(
    "smarm runs on x86-64 Linux only: it switches stacks with x86-64 assembly and waits with epoll"
);

mod actor;
pub mod channel;
pub mod host;
pub mod io;
mod mutex;
pub mod net;
mod stack;
mod timer;
