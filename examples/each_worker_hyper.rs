//! A hyper service with one accept loop per worker, each on a listening socket of its own.
//!
//! The loop and its connections are tasks of one worker, and so is the actor that all of them ask: it
//! counts the worker's requests in straight-line code and needs no lock.
//!
//! | command | does |
//! |---|---|
//! | `cargo run --example each_worker_hyper [-- --check]` | serves on a free port, asks until each worker has answered, ends |
//! | `cargo run --release --example each_worker_hyper serve [ADDRESS]` | serves on 127.0.0.1:8080 until ctrl-c |

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use smarm::channel::{Receiver, Sender, channel, oneshot};
use smarm_compat::{Builder, await_future, await_timeout};
use tokio::net::TcpSocket;

type Failure = Box<dyn Error + Send + Sync>;

/// A request for the next number.
type Asked = oneshot::Sender<u64>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--check"] => {
            // Bound to reserve a port, but not listening: nobody is sent here.
            let reserved = shared_socket("127.0.0.1:0".parse()?)?;
            let address = reserved.local_addr()?;
            let patience = Duration::from_secs(30);
            service(address).workers(2).run(|| await_timeout(patience, check(address, 2)))?
        }
        ["serve", ref address @ ..] => {
            let address: SocketAddr = address.first().unwrap_or(&"127.0.0.1:8080").parse()?;
            println!("serving http://{address}/");
            Ok(service(address).run(|| await_future(tokio::signal::ctrl_c()))?)
        }
        _ => Err("usage: each_worker_hyper [--check | serve [ADDRESS]]".into()),
    }
}

/// The service, on each worker.
fn service(address: SocketAddr) -> Builder {
    Builder::new().each_worker(move |worker| async move {
        if let Err(error) = accept(worker, address).await {
            eprintln!("worker {worker} does not serve: {error}");
        }
    })
}

async fn accept(worker: usize, address: SocketAddr) -> io::Result<()> {
    let listener = shared_socket(address)?.listen(1024)?;
    let (count, inbox) = channel();
    // On this worker: it takes turns with the connections, and nothing crosses threads.
    drop(smarm::spawn_local(move || count_requests(&inbox)));
    loop {
        let (stream, _) = listener.accept().await?;
        let count = count.clone();
        tokio::spawn(async move {
            let answer = service_fn(|_: Request<Incoming>| answer(worker, &count));
            // A client that hangs up in the middle is no concern of ours.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(worker: usize, count: &Sender<Asked>) -> Result<Response<String>, Infallible> {
    let (asked, number) = oneshot::channel();
    // Only the end of the runtime takes the actor away.
    let _ = count.send(asked);
    let number = number.await.unwrap_or(0);
    Ok(Response::new(format!("worker {worker}, request {number}\n")))
}

fn count_requests(inbox: &Receiver<Asked>) {
    for (number, asked) in (1..).zip(inbox) {
        let _ = asked.send(number); // the client may have hung up
    }
}

/// A socket whose port others may bind, too.
fn shared_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?; // also while connections of an earlier run linger
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Asks, by a new connection each time, until every worker has answered.
async fn check(address: SocketAddr, workers: usize) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    while seen.len() < workers {
        let answer = match reqwest::get(format!("http://{address}/")).await {
            Err(error) if error.is_connect() => continue, // none listens yet
            answer => answer?.error_for_status()?.text().await?,
        };
        let (worker, number) = answer.trim_end().split_once(", ").ok_or("it should name its worker")?;
        if seen.insert(worker.to_owned()) {
            println!("GET /: {worker}, {number}");
            if number != "request 1" {
                return Err("each worker should count from 1".into());
            }
        }
    }
    Ok(())
}
