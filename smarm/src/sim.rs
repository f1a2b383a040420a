//! Deterministic simulation: a program of actors runs on one thread, in virtual time, on a network in memory, and one
//! seed decides all that is left to chance.
//!
//! | call | |
//! |---|---|
//! | [`run`], [`Sim`] | runs a closure in a simulation, and gives its [`Outcome`] |
//! | [`explore`] | looks for a seed with which it fails |
//! | [`host`], [`ip`] | starts an actor on a host of its own; its address |
//! | [`partition`], [`heal`], [`reset`], [`crash`] | what befalls hosts and what lies between them |
//! | [`note`], [`random`], [`seed`] | a line in the trace; numbers that the seed decides |
//!
//! The sockets are those of [`net`](crate::net), unchanged: made in a simulation, they are simulated. A program binds,
//! connects, reads, writes and waits as it always does, on the host of the actor that makes the socket.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::time::Duration;
//! use smarm::net::{TcpListener, TcpStream};
//! use smarm::sim;
//!
//! fn program() {
//!     let server = sim::host("server", || {
//!         let listener = TcpListener::bind("0.0.0.0:80").unwrap();
//!         let (mut stream, _) = listener.accept().unwrap();
//!         stream.write_all(b"hello").unwrap();
//!     });
//!     smarm::sleep(Duration::from_secs(3600)); // takes no time
//!     let mut text = String::new();
//!     TcpStream::connect(("server", 80)).unwrap().read_to_string(&mut text).unwrap();
//!     assert_eq!(text, "hello");
//!     server.join().unwrap();
//! }
//!
//! let first = sim::run(7, program);
//! assert!(first.elapsed() > Duration::from_secs(3600));
//! // The same seed, the same trace, byte for byte; another seed, another one.
//! assert_eq!(first.trace(), sim::run(7, program).trace());
//! assert_ne!(first.trace(), sim::run(8, program).trace());
//! ```
//!
//! # What a seed decides
//! - Which actor runs next and when one is made to yield or woken for nothing, as in [chaos mode](crate::Chaos).
//! - The latency of each packet, and which are lost ([`Sim::latency`], [`Sim::loss`], [`Sim::breaks`]).
//! - Which of several ready arms [`select!`](macro@crate::select) takes.
//! - What [`random`] gives.
//!
//! Time stands still while anybody can run, and leaps to the next timer or arrival when all wait. If there is none, the
//! simulation is [stuck](Reason::Stuck), and says who waits.
//!
//! # What is simulated of the network
//! Hosts have IPv4 addresses, names ([`host`]) that [`ToSocketAddrs`](crate::net::ToSocketAddrs) finds, and ports of
//! their own. Streams are ordered, with a window of 64 KiB, ends, resets, refused connects, and connects that time out
//! after 127 s as on Linux. A partition holds what connections send until it is healed, and loses datagrams; a
//! connection outlives a partition, however long, if the program sets no timeout. Options of sockets that have no
//! meaning here (`set_nodelay`, `set_ttl`) are taken; multicast and descriptors are refused.
//!
//! # What is not deterministic
//! | | in its place |
//! |---|---|
//! | the order of a `HashMap` or `HashSet` with std's random keys | a `BTreeMap`, or a hasher with fixed keys |
//! | `Instant::now()`, `SystemTime`, `rand::rng()` | [`time::now`](crate::time::now), [`random`] |
//! | threads of one's own, [`block_on_io`](crate::io::block_on_io), [`fs`](crate::fs), [`process`](crate::process), Unix and other real sockets | actors, state in memory, [`net`](crate::net); most are refused, with what to use |
//! | [`Pid`](crate::Pid)s and addresses, which differ from run to run | names |
//! | statics that an earlier run has changed | state that the closure makes |
//!
//! With tokio: see `smarm_compat::sim`.
//!
//! # Cost
//! Only with the feature `sim`, which is for tests: each seam then looks whether the thread has a simulation.
//! Without it they are constants, and the types of [`net`](crate::net) hold std's types alone.

mod api;
mod net;
mod outcome;
mod random;
mod stage;
mod tcp;
mod trace;
mod udp;
mod wait;
mod world;

pub use api::{crash, heal, host, ip, note, partition, random, reset, seed};
pub use outcome::{Failure, Outcome, Reason};
pub use stage::{Next, Sim, Stage, explore, run};
pub use trace::Trace;

pub(crate) use api::resolve;
pub(crate) use tcp::{Acceptor, Stream};
pub(crate) use udp::Udp;
pub(crate) use wait::{Waits, poll, run as wait};
pub(crate) use world::{
    World, current, deliver, draw, ended, epoch, is_turn_over, mail_came, postscript, ran, refuse,
    refuse_real, sooner, spawned, unnoticed_panic,
};
