//! The servers. Each worker listens at an address of its own, takes its share of the connections, and
//! ends when they have.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use smarm::{Config, Runtime};
use smarm_compat::await_future;
use smarm_compat::io::SyncIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Starts so many workers, which take so many connections in all. Gives their addresses.
type Start = fn(usize, usize) -> Vec<SocketAddr>;

/// Name, bar and start of each.
pub const ALL: [(&str, Option<f64>, Start); 4] = [
    ("tokio, current_thread per worker", None, tokio_tasks),
    ("smarm on tokio, SyncIo", Some(0.95), actors_over_tokio),
    ("smarm on tokio, smarm::net", None, |workers, connections| {
        let compat = smarm_compat::Builder::new().workers(workers).start().expect("a runtime");
        actors_over_smarm(compat, connections)
    }),
    ("smarm alone, smarm::net", Some(1.05), |workers, connections| {
        actors_over_smarm(smarm::runtime::init(Config::exact(workers)), connections)
    }),
];

const BUFFER: usize = 1024;

fn tokio_tasks(workers: usize, connections: usize) -> Vec<SocketAddr> {
    let (sender, addresses) = mpsc::channel();
    for worker in 0..workers {
        let (announce, share) = (announce(&sender, worker), share(connections, worker, workers));
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            // As a task: a runtime's root future is polled more often than need be.
            let serve = runtime.spawn(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                announce(listener.local_addr().expect("it is bound"));
                let mut tasks = Vec::new();
                for _ in 0..share {
                    let (mut stream, _) = listener.accept().await.expect("the client connects");
                    stream.set_nodelay(true).expect("it is a TCP socket");
                    tasks.push(tokio::spawn(async move {
                        let mut buf = [0; BUFFER];
                        loop {
                            match stream.read(&mut buf).await {
                                Ok(0) | Err(_) => return,
                                Ok(count) => stream.write_all(&buf[..count]).await.expect("the client reads"),
                            }
                        }
                    }));
                }
                for task in tasks {
                    task.await.expect("it does not panic");
                }
            });
            runtime.block_on(serve).expect("it does not panic");
        });
    }
    in_order(addresses, workers)
}

fn actors_over_tokio(workers: usize, connections: usize) -> Vec<SocketAddr> {
    let runtime = smarm_compat::Builder::new().workers(workers).start().expect("a runtime");
    on_each_worker(runtime, connections, |announce, share| {
        let listener = await_future(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        announce(listener.local_addr().expect("it is bound"));
        for _ in 0..share {
            let (stream, _) = await_future(listener.accept()).expect("the client connects");
            stream.set_nodelay(true).expect("it is a TCP socket");
            drop(smarm::spawn_local(move || echo(SyncIo::new(stream))));
        }
    })
}

fn actors_over_smarm(runtime: Runtime, connections: usize) -> Vec<SocketAddr> {
    on_each_worker(runtime, connections, |announce, share| {
        let listener = smarm::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        announce(listener.local_addr().expect("it is bound"));
        for _ in 0..share {
            let (stream, _) = listener.accept().expect("the client connects");
            stream.set_nodelay(true).expect("it is a TCP socket");
            drop(smarm::spawn_local(move || echo(stream)));
        }
    })
}

fn echo(mut stream: impl Read + Write) {
    let mut buf = [0; BUFFER];
    loop {
        match stream.read(&mut buf) {
            Ok(0) | Err(_) => return,
            Ok(count) => stream.write_all(&buf[..count]).expect("the client reads"),
        }
    }
}

/// Runs `serve` in an actor on each worker, until the last connection has ended.
fn on_each_worker(runtime: Runtime, connections: usize, serve: fn(Announce, usize)) -> Vec<SocketAddr> {
    let (sender, addresses) = mpsc::channel();
    let workers = runtime.handle().workers();
    thread::spawn(move || {
        let acceptors: Vec<_> = (0..workers)
            .map(|worker| {
                let (announce, share) = (announce(&sender, worker), share(connections, worker, workers));
                let builder = smarm::Builder::new().runtime(&runtime.handle()).worker(worker);
                builder.spawn(move || serve(announce, share)).expect("there is such a worker")
            })
            .collect();
        acceptors.into_iter().for_each(|acceptor| acceptor.join().expect("it does not panic"));
        // For as long as the process: the client goes last.
        std::mem::forget(runtime);
    });
    in_order(addresses, workers)
}

/// Tells where a worker listens.
type Announce = Box<dyn FnOnce(SocketAddr) + Send>;

fn announce(sender: &mpsc::Sender<(usize, SocketAddr)>, worker: usize) -> Announce {
    let sender = sender.clone();
    Box::new(move |address| sender.send((worker, address)).expect("main waits"))
}

/// Where the workers listen: the shares of the first ones are the larger ones.
fn in_order(addresses: mpsc::Receiver<(usize, SocketAddr)>, workers: usize) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = addresses.iter().take(workers).collect();
    addresses.sort_unstable();
    addresses.into_iter().map(|(_, address)| address).collect()
}

/// How many of the connections are this worker's.
fn share(connections: usize, worker: usize, workers: usize) -> usize {
    (connections + workers - 1 - worker) / workers
}
