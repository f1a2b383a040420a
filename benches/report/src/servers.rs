//! The servers. Those with a worker per core have a listener each, and take an equal share of the connections.

mod blocking;
mod plain;
mod tasks;

use std::net::{Ipv4Addr, SocketAddr};

use crate::peer::Peer;

/// Any address of this machine, and a free port.
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::UNSPECIFIED, 0);
/// Room for what a connection reads at a time.
const BUFFER: usize = 1024;

/// Starts it, and gives the addresses where it listens.
pub fn start(what: &str, peer: Peer, workers: usize) -> Vec<SocketAddr> {
    let is_http = what == "http";
    match peer {
        Peer::Smarm | Peer::SmarmTokio | Peer::SmarmStreams => blocking::actors(peer, workers, is_http),
        Peer::May => blocking::coroutines(workers),
        Peer::Epoll => plain::loops(workers),
        Peer::TokioPerCore => tasks::per_core(workers, is_http),
        Peer::TokioMulti => tasks::shared(workers, is_http),
        Peer::Axum => tasks::axum(workers),
        other => panic!("{other:?} has no server"),
    }
}
