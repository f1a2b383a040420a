//! Servers over loopback: each in a process of its own, asked by a client of one thread in another.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::client::{Client, Question};
use crate::measure::Figures;
use crate::peer::Peer::{Axum, Epoll, May, Smarm, SmarmStreams, SmarmTokio, TokioMulti, TokioPerCore};
use crate::servers;
use crate::workload::Against::One;
use crate::workload::{Job, Workload, bar};

pub(super) const FURTHER: &[(&str, &str)] =
    &[("wall", "ns of wall clock each"), ("p50", "p50, µs"), ("p99", "p99, µs"), ("p99.9", "p99.9, µs")];

pub const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "echo",
        title: "Echo over TCP",
        group: "Servers",
        unit: "request, of the server's CPU",
        of: "connections",
        workers: 2,
        shows: "64 bytes to and fro on each connection, again as soon as they are back: what a server adds to the \
                system calls, of which there are the same for all; the plain epoll loop has nothing else",
        hides: "a network, and servers that do something; client and server share two CPUs",
        peers: &[Smarm, SmarmTokio, SmarmStreams, TokioMulti, TokioPerCore, May, Epoll],
        limits: &[],
        tiny: 4,
        quick: &[100, 10_000],
        full: &[100, 10_000],
        further: FURTHER,
        bars: &[
            bar("cost", One(TokioMulti), 0.9),
            bar("wall", One(TokioPerCore), 1.0),
            bar("p99", One(TokioPerCore), 1.0),
        ],
        run: |job| ask(job, "echo", Question::Echo(64)),
    },
    Workload {
        name: "http",
        title: "HTTP keep-alive",
        group: "Servers",
        unit: "request, of the server's CPU",
        of: "connections",
        workers: 2,
        shows: "a small GET on 100 connections: the example `http_native` beside hyper and axum",
        hides: "large answers, TLS, and all that hyper can do and the example cannot",
        peers: &[Smarm, SmarmTokio, TokioMulti, TokioPerCore, Axum],
        limits: &[],
        tiny: 4,
        quick: &[100],
        full: &[100],
        further: FURTHER,
        bars: &[
            bar("cost", One(TokioMulti), 0.9),
            bar("wall", One(TokioPerCore), 1.0),
            bar("p99", One(TokioPerCore), 1.0),
        ],
        run: |job| ask(job, "http", Question::Http),
    },
];

/// The server's process: it says where it listens, and ends when its standard input does.
pub fn serve(what: &str, peer: crate::peer::Peer, workers: usize) {
    raise_limit();
    for address in servers::start(what, peer, workers) {
        println!("{address}");
    }
    println!();
    let ended = std::io::stdin().read(&mut [0]);
    // The servers' threads never end.
    std::process::exit(if ended.is_ok() { 0 } else { 1 });
}

fn ask(job: &Job, what: &str, question: Question) -> Figures {
    raise_limit();
    let program = std::env::current_exe().expect("Linux knows it");
    let mut server = Command::new(program)
        .args(["--serve", what, job.peer.slug(), &job.workers.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(server.stdout.take().expect("it is piped")).lines();
    let addresses: Vec<SocketAddr> = lines
        .map(|line| line.expect("the server says where it listens"))
        .take_while(|line| !line.is_empty())
        .map(|line| line.parse().expect("an address"))
        .collect();
    assert!(!addresses.is_empty(), "the server listens");
    let mut client = Client::connect(&addresses, job.size as usize, question);
    let length = if job.effort.tiny { Duration::ZERO } else { job.effort.length };
    if !job.effort.tiny {
        client.play(length / 4, server.id());
    }
    let mut round = client.play(length, server.id());
    drop(client);
    drop(server.stdin.take());
    assert!(server.wait().expect("it was started here").success(), "the server ends well");
    let requests = round.latencies.len() as f64;
    Figures::cost(round.server_time.as_secs_f64() * 1e9 / requests)
        .with("wall", round.elapsed.as_secs_f64() * 1e9 / requests)
        .with_latencies(&mut round.latencies)
}

/// As many descriptors as the system allows this process.
fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local that is as the calls want it.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0, "Linux knows it");
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0, "it may be as high as that");
    }
}
