//! Descriptors and sockets: what std's do, and more.

#[path = "../bridge_support/mod.rs"]
mod bridge_support;
mod io;
mod share;
mod sockets;
mod std_examples;
