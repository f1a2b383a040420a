//! What the simulations of these tests are made of.

use std::io::{Read, Write};
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream};
use smarm::sim::{self, Sim};
use smarm_workspace::{PATIENCE, within};

/// A simulation that must end well. Gives what `f` returns.
#[track_caller]
pub fn simulated<T: Send>(seed: u64, f: impl FnOnce() -> T + Send) -> T {
    in_sim(&Sim::new(seed), f)
}

/// As [`simulated`], with these settings.
#[track_caller]
pub fn in_sim<T: Send>(sim: &Sim, f: impl FnOnce() -> T + Send) -> T {
    within(PATIENCE, || sim.run(f)).unwrap()
}

/// Calls `f` in a simulation for each of some seeds.
#[track_caller]
pub fn for_seeds(f: impl Fn() + Send + Sync) {
    let failed = within(PATIENCE, || sim::explore(0..50, f));
    if let Some(outcome) = failed {
        panic!("{}\n{}", outcome.failure().expect("explore gives those that fail"), outcome.trace());
    }
}

/// Starts an echo server at port 7 of the host `echo`. It listens when this returns.
pub fn start_echo() {
    let (listening, told) = smarm::channel::oneshot::channel();
    drop(sim::host("echo", move || {
        let listener = TcpListener::bind("0.0.0.0:7").unwrap();
        listening.send(()).unwrap();
        for stream in listener.incoming() {
            drop(smarm::spawn(move || serve(stream.unwrap())));
        }
    }));
    told.recv().unwrap();
}

/// Sends back what comes, until the end or a reset.
fn serve(mut stream: TcpStream) {
    let mut buf = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buf) {
        if stream.write_all(&buf[..count]).is_err() {
            return;
        }
    }
}

/// Virtual time since `begin`.
pub fn since(begin: smarm::time::Instant) -> Duration {
    smarm::time::now() - begin
}
