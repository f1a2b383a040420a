//! The bridge, in each of its modes.

mod attach;
mod attach_fairness;
mod attach_shutdown;
mod awaiting;
#[path = "../bridge_support/mod.rs"]
mod bridge_support;
mod cancel;
mod compat;
mod each_worker;
mod epoll;
mod fairness;
mod io;
mod local;
mod misuse;
mod shutdown;
mod streams;
mod streams_async;
mod streams_convert;
mod streams_sync;
mod syscalls;
mod wakes;
mod worker;
