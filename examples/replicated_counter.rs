//! A counter on three replicas with a planted race, which a simulation finds, replays, and shows to be cured:
//! `cargo run --features sim --example replicated_counter`.
//!
//! The flawed primary reads the value, waits for the backups' answers, and only then writes it: an addition that comes
//! in between is lost. The cured one keeps the others out until it is done. Time, connections and partitions are
//! simulated; the code is that of a real service.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering::SeqCst};
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream};
use smarm::{Mutex, sim};

const SEEDS: u64 = 1000;
const BACKUPS: [&str; 2] = ["backup a", "backup b"];
const ADDITIONS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a line and gives the line that comes back.
fn ask(host: &str, line: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((host, 80))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{line}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Starts a host that answers each connection's one line with what `answer` says, each in an actor of its own.
fn serve(host: &str, answer: impl Fn(&str) -> String + Send + Sync + 'static) {
    let (listening, told) = smarm::channel::oneshot::channel();
    drop(sim::host(host, move || {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        listening.send(()).unwrap();
        let answer = Arc::new(answer);
        for stream in listener.incoming() {
            let answer = answer.clone();
            drop(smarm::spawn(move || -> io::Result<()> {
                let mut stream = stream?;
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line)?;
                writeln!(stream, "{}", answer(line.trim()))
            }));
        }
    }));
    told.recv().unwrap();
}

/// Adds one on the primary.
fn add(value: &AtomicU64, turns: Option<&Mutex<()>>) -> u64 {
    let _turn = turns.map(|turns| turns.lock(PATIENCE).unwrap()); // the cure
    let sum = value.load(SeqCst) + 1;
    for backup in BACKUPS {
        ask(backup, &sum.to_string()).unwrap();
    }
    value.store(sum, SeqCst); // the flaw: what was read may be old by now
    sum
}

/// The whole system, with clients, in one simulation.
fn system(cured: bool) {
    for backup in BACKUPS {
        let copy = AtomicU64::new(0);
        serve(backup, move |line| {
            copy.store(line.parse().unwrap(), SeqCst);
            "kept".into()
        });
    }
    let (value, turns) = (Arc::new(AtomicU64::new(0)), cured.then(|| Mutex::new(())));
    let shared = value.clone();
    serve("primary", move |_| add(&shared, turns.as_ref()).to_string());
    let clients = ["client x", "client y"].map(|name| {
        sim::host(name, || {
            for _ in 0..ADDITIONS {
                smarm::sleep(Duration::from_millis(sim::random() % 20_000));
                ask("primary", "add").unwrap();
            }
        })
    });
    smarm::sleep(Duration::from_millis(sim::random() % 20_000));
    sim::partition("primary", BACKUPS[1]);
    smarm::sleep(Duration::from_millis(sim::random() % 300));
    sim::heal("primary", BACKUPS[1]);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(value.load(SeqCst), 2 * ADDITIONS, "an addition was lost");
}

fn main() {
    let found = sim::explore(0..SEEDS, || system(false)).expect("the race shows within 1,000 seeds");
    println!("seed {} of {SEEDS} shows it: {}", found.seed(), found.failure().expect("it failed"));
    let again = sim::run(found.seed(), || system(false));
    assert_eq!(again.trace().as_str(), found.trace().as_str());
    assert_eq!(again.failure(), found.failure());
    println!("replayed: the same {} lines, byte for byte", again.trace().lines().count());

    assert!(sim::explore(0..SEEDS, || system(true)).is_none(), "the cure does not cure");
    println!("cured: all {SEEDS} seeds pass");
}
