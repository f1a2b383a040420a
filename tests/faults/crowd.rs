//! Twenty thousand connections at once, and a limit on descriptors that is reached in the middle of accepting.
//!
//! A process may have no more descriptors than its hard limit, so there are two *halls*: each is a process that
//! listens, with a process of its own for the clients. The test opens both, waits until all are full, and
//! closes them.

use std::env;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use smarm::net::{TcpListener, TcpStream};
use smarm_workspace::{Signal, child, part_of, until, until_idly};

use crate::support::{cpu_millis, descriptors, limit, limits, native, spare_descriptors};

const ADDRESS: &str = "SMARM_TEST_CROWD";
const CONNECTIONS: usize = 20_000;
const HALLS: usize = 2;
/// One of so many connections, the first of each hall, ends when descriptors are short.
const SHORT: usize = 50;
/// So many clients of a hall are on their way in at once.
const DOORS: usize = 64;

/// How many connections one hall has: as many as there should be, or as the hard limit allows.
fn seats() -> usize {
    let (_, hard) = limits(libc::RLIMIT_NOFILE);
    (part_of(CONNECTIONS) / HALLS).min(hard as usize - 1_000)
}

#[test]
fn twenty_thousand_connections_at_once_with_a_limit_reached_in_the_middle() {
    let hall = || match env::var(ADDRESS) {
        Ok(address) => clients(address.parse().expect("the hall's address"), seats()),
        Err(_) => listen(seats()),
    };
    child::converse(hall, |first| {
        child::converse(hall, |second| {
            let mut halls = [first, second];
            for hall in &mut halls {
                child::read_until(hall.stdout.as_mut().unwrap(), "all are here");
            }
            for mut hall in halls {
                hall.stdin.take().unwrap().write_all(b"enough\n").unwrap();
                let output = hall.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", child::text(&output));
            }
        });
    });
}

/// A hall: accepts with too few descriptors first, then with enough.
fn listen(seats: usize) {
    let (fit, leaving) = (seats / 2, seats / SHORT);
    limit(libc::RLIMIT_NOFILE, u64::MAX);
    let runtime = native(2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut clients = Command::new(env::current_exe().unwrap())
        .args(env::args().skip(1))
        .env(ADDRESS, listener.local_addr().unwrap().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();

    let before = descriptors();
    let shortage = spare_descriptors(fit);
    let (accepted, refused, ended) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let short = Signal::new();
    let theirs = (accepted.clone(), refused.clone(), ended.clone(), short.clone());
    let accepting = runtime
        .spawn(move || {
            let (accepted, refused, ended, short) = theirs;
            while accepted.load(SeqCst) < seats {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let number = accepted.fetch_add(1, SeqCst);
                        let short = (number < leaving).then(|| short.clone());
                        let ended = ended.clone();
                        drop(smarm::spawn(move || {
                            serve(stream, short);
                            ended.fetch_add(1, SeqCst);
                        }));
                    }
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
                        refused.fetch_add(1, SeqCst);
                        smarm::sleep(Duration::from_millis(5)); // as the documentation of `accept` says
                    }
                }
            }
        })
        .unwrap();

    // In the middle, no more are let in, and the hall does not spin at its door.
    until_idly(|| refused.load(SeqCst) > 0 && accepted.load(SeqCst) == fit);
    let (begun, used) = (Instant::now(), cpu_millis());
    let many = refused.load(SeqCst) + 40;
    until_idly(|| refused.load(SeqCst) >= many);
    let (waited, used) = (begun.elapsed().as_millis() as u64, cpu_millis() - used);
    assert!(used * 2 <= waited + 20, "{used} ms of CPU time in {waited} ms of waiting for a descriptor");
    assert_eq!(accepted.load(SeqCst), fit);

    // Some leave, and as many are let in; then the limit is raised, and all are.
    short.raise();
    until_idly(|| accepted.load(SeqCst) == fit + leaving);
    drop(shortage);
    accepting.join().unwrap();
    until_idly(|| runtime.handle().live() == seats - leaving);
    println!("all are here");

    let mut line = String::new();
    stdin().read_line(&mut line).unwrap();
    clients.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    until_idly(|| ended.load(SeqCst) == seats);
    assert!(clients.wait().unwrap().success());
    // Theirs, the listener's and the pipe's have come back.
    until_idly(|| descriptors() <= before);
}

/// Echoes a byte, and holds the connection until the client ends it or the hall is short of descriptors.
fn serve(mut stream: TcpStream, short: Option<Signal>) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    stream.write_all(&byte).unwrap();
    match short {
        Some(short) => short.wait(1),
        None => assert_eq!(stream.read(&mut byte).unwrap(), 0),
    }
}

/// The clients of a hall, each an actor of its own once it is inside.
fn clients(address: SocketAddr, seats: usize) {
    limit(libc::RLIMIT_NOFILE, u64::MAX);
    let runtime = native(2);
    let (leave, next) = (Signal::new(), Arc::new(AtomicUsize::new(0)));
    let doors: Vec<_> = (0..DOORS)
        .map(|_| {
            let (leave, next) = (leave.clone(), next.clone());
            runtime
                .spawn(move || {
                    while next.fetch_add(1, SeqCst) < seats {
                        let mut stream = TcpStream::connect(address).unwrap();
                        stream.write_all(b"x").unwrap();
                        let mut byte = [0];
                        stream.read_exact(&mut byte).unwrap();
                        let leave = leave.clone();
                        drop(smarm::spawn(move || {
                            leave.wait(1);
                            drop(stream);
                        }));
                    }
                })
                .unwrap()
        })
        .collect();
    doors.into_iter().for_each(|door| door.join().unwrap());
    let mut line = String::new();
    BufReader::new(stdin()).read_line(&mut line).unwrap();
    leave.raise();
    until(|| runtime.handle().live() == 0);
}
