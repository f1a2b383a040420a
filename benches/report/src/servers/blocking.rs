//! Servers in straight-line code: smarm's actors and may's coroutines.

use std::io::{Read, Write};
use std::net::SocketAddr;

use smarm::Config;
use smarm_compat::await_future;
use smarm_compat::io::SyncIo;

use super::{ANY, BUFFER};
use crate::connection::Connection;
use crate::peer::{Peer, configure_may, smarm_runtime};

fn echo(mut stream: impl Read + Write) {
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) if stream.write_all(&buffer[..count]).is_ok() => {}
            Ok(_) => return,
        }
    }
}

pub fn actors(peer: Peer, workers: usize, is_http: bool) -> Vec<SocketAddr> {
    let runtime = smarm_runtime(peer, Config::exact(workers));
    let addresses = (0..workers)
        .map(|worker| {
            let (sender, address) = smarm::channel::oneshot::channel();
            let acceptor = move || match peer {
                Peer::SmarmStreams => {
                    let listener = await_future(tokio::net::TcpListener::bind(ANY)).expect("a free port");
                    sender.send(listener.local_addr().expect("it is bound")).expect("main waits");
                    while let Ok((stream, _)) = await_future(listener.accept()) {
                        stream.set_nodelay(true).expect("it is a TCP socket");
                        drop(smarm::spawn_local(move || echo(SyncIo::new(stream))));
                    }
                }
                _ => {
                    let listener = smarm::net::TcpListener::bind(ANY).expect("a free port");
                    sender.send(listener.local_addr().expect("it is bound")).expect("main waits");
                    while let Ok((stream, _)) = listener.accept() {
                        stream.set_nodelay(true).expect("it is a TCP socket");
                        if is_http {
                            drop(smarm::spawn_local(move || Connection::new(stream).serve()));
                        } else {
                            drop(smarm::spawn_local(move || echo(stream)));
                        }
                    }
                }
            };
            let builder = smarm::Builder::new().runtime(&runtime.handle()).worker(worker);
            drop(builder.spawn(acceptor).expect("there is such a worker"));
            address.recv().expect("the acceptor says where it listens")
        })
        .collect();
    // For as long as the process.
    std::mem::forget(runtime);
    addresses
}

/// As in may's own example: a listener for each worker, a coroutine for each connection.
pub fn coroutines(workers: usize) -> Vec<SocketAddr> {
    configure_may(workers, 10_000);
    (0..workers)
        .map(|_| {
            let listener = may::net::TcpListener::bind(ANY).expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            drop(may::go!(move || {
                for stream in listener.incoming() {
                    let stream = stream.expect("the client connects");
                    stream.set_nodelay(true).expect("it is a TCP socket");
                    drop(may::go!(move || echo(stream)));
                }
            }));
            address
        })
        .collect()
}
