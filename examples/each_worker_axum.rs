//! An axum service with one accept loop per worker: each worker listens on a socket of its own, all
//! share a port, and the kernel spreads the connections.
//!
//! A connection stays on the worker that it came to, with its tasks and with the actors that its
//! handlers start there. `/primes/N` counts primes in an actor: `check!` lets others run meanwhile.
//!
//! | command | does |
//! |---|---|
//! | `cargo run --example each_worker_axum [-- --check]` | serves on a free port, asks until each worker has answered, ends |
//! | `cargo run --release --example each_worker_axum serve [ADDRESS]` | serves on 127.0.0.1:8080 until ctrl-c |

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use smarm_compat::{Builder, await_future, await_timeout};
use tokio::net::TcpSocket;

type Failure = Box<dyn Error + Send + Sync>;

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
            println!("serving http://{address}/primes/1000");
            Ok(service(address).run(|| await_future(tokio::signal::ctrl_c()))?)
        }
        _ => Err("usage: each_worker_axum [--check | serve [ADDRESS]]".into()),
    }
}

/// The service, on each worker.
fn service(address: SocketAddr) -> Builder {
    Builder::new().each_worker(move |worker| async move {
        let served = async { axum::serve(shared_socket(address)?.listen(1024)?, app(worker)).await };
        if let Err(error) = served.await {
            eprintln!("worker {worker} does not serve: {error}");
        }
    })
}

fn app(worker: usize) -> Router {
    let primes = async move |Path(below): Path<u32>| {
        let counted = smarm::spawn_local(move || (2..below).filter(|n| is_prime(*n)).count());
        match counted.await {
            Ok(count) => format!("worker {worker}: {count} primes below {below}\n"),
            Err(error) => format!("worker {worker}: {error}\n"),
        }
    };
    Router::new().route("/primes/{below}", get(primes))
}

fn is_prime(n: u32) -> bool {
    smarm::check!();
    (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
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
        let answer = match reqwest::get(format!("http://{address}/primes/1000")).await {
            Err(error) if error.is_connect() => continue, // none listens yet
            answer => answer?.error_for_status()?.text().await?,
        };
        if !answer.ends_with(": 168 primes below 1000\n") {
            return Err(format!("there should be 168: {answer}").into());
        }
        if seen.insert(answer.clone()) {
            print!("GET /primes/1000: {answer}");
        }
    }
    Ok(())
}
