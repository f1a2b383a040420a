//! Random programs of actors that run at once: no message is lost, doubled, or out of order, and every
//! wait ends.
//!
//! The property is a function over a [`Config`], to be run in other modes too.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use smarm::channel::{self, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError};
use smarm::compat::await_future;
use smarm::sync::mpmc;
use smarm::{Config, yield_now};
use smarm_workspace::{Counted, Drops, PATIENCE, within};

use crate::poll_once;

/// How an actor sends its next message, or receives one.
#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    Async,
    Try,
    Timeout(u64),
    /// Begun, and dropped half-way.
    Abandoned,
    Yield,
}

fn ways(most: usize) -> impl Strategy<Value = Vec<Way>> {
    let way = prop_oneof![
        4 => Just(Way::Plain),
        2 => Just(Way::Async),
        2 => Just(Way::Try),
        2 => (0..100_u64).prop_map(Way::Timeout),
        1 => Just(Way::Abandoned),
        1 => Just(Way::Yield),
    ];
    proptest::collection::vec(way, 0..most)
}

/// Who sent it, as the how-manieth; and something whose drop is counted.
type Message = ((usize, usize), Counted);

/// Sends one message after the other. Gives which were sent, as far as it can know, and whether one may have
/// been sent without its knowing.
fn send(tx: &Sender<Message>, sender: usize, ways: &[Way], drops: &Drops) -> Vec<(usize, usize)> {
    let mut sent = Vec::new();
    for (n, way) in ways.iter().enumerate() {
        let message = ((sender, n), drops.counted());
        let delivered = match way {
            Way::Plain => tx.send(message).is_ok(),
            Way::Async => await_future(tx.send_async(message)).is_ok(),
            Way::Try => tx.try_send(message).is_ok(),
            Way::Timeout(micros) => match tx.send_timeout(message, Duration::from_micros(*micros)) {
                Ok(()) => true,
                Err(SendTimeoutError::TimedOut(back) | SendTimeoutError::Closed(back)) => {
                    assert_eq!(back.0, (sender, n));
                    false
                }
                Err(error) => panic!("nobody cancels it: {error}"),
            },
            // `Pending` leaves open what becomes of it, so only what is sent at once is sent so.
            Way::Abandoned if tx.capacity().is_none() => poll_once(pin!(tx.send_async(message))).is_ready(),
            Way::Abandoned | Way::Yield => {
                yield_now();
                false
            }
        };
        if delivered {
            sent.push((sender, n));
        }
    }
    sent
}

/// What one receive gave: a message, nothing yet, or the end.
fn outcome(received: Result<Message, TryRecvError>, got: &mut Vec<Message>) -> bool {
    match received {
        Ok(message) => got.push(message),
        Err(error) => return error == TryRecvError::Empty,
    }
    true
}

fn timed(received: Result<Message, RecvTimeoutError>) -> Result<Message, TryRecvError> {
    received.map_err(|error| match error {
        RecvTimeoutError::Closed => TryRecvError::Closed,
        RecvTimeoutError::TimedOut => TryRecvError::Empty,
        RecvTimeoutError::Cancelled => panic!("nobody cancels it"),
    })
}

/// Both kinds of receivers.
enum Rx {
    One(channel::Receiver<Message>),
    Many(mpmc::Receiver<Message>),
}

impl Rx {
    /// One receive. Says whether there can be more.
    fn receive(&mut self, way: Way, got: &mut Vec<Message>) -> bool {
        let closed = |_| TryRecvError::Closed;
        let received = match (way, self) {
            (Way::Plain, Rx::One(rx)) => rx.recv().map_err(closed),
            (Way::Plain, Rx::Many(rx)) => rx.recv().map_err(closed),
            (Way::Async, Rx::One(rx)) => await_future(rx.recv_async()).map_err(closed),
            (Way::Async, Rx::Many(rx)) => await_future(rx.recv_async()).map_err(closed),
            (Way::Try, Rx::One(rx)) => rx.try_recv(),
            (Way::Try, Rx::Many(rx)) => rx.try_recv(),
            (Way::Timeout(micros), Rx::One(rx)) => timed(rx.recv_timeout(Duration::from_micros(micros))),
            (Way::Timeout(micros), Rx::Many(rx)) => timed(rx.recv_timeout(Duration::from_micros(micros))),
            (Way::Abandoned, Rx::One(rx)) => match poll_once(pin!(rx.recv_async())) {
                std::task::Poll::Ready(received) => received.map_err(closed),
                std::task::Poll::Pending => Err(TryRecvError::Empty),
            },
            (Way::Abandoned, Rx::Many(rx)) => match poll_once(pin!(rx.recv_async())) {
                std::task::Poll::Ready(received) => received.map_err(closed),
                std::task::Poll::Pending => Err(TryRecvError::Empty),
            },
            (Way::Yield, _) => {
                yield_now();
                Err(TryRecvError::Empty)
            }
        };
        outcome(received, got)
    }
}

/// A sender, and the receivers.
type Channel = (Sender<Message>, Vec<Rx>);

/// What the actors of one program do.
#[derive(Clone, Debug)]
struct Program {
    senders: Vec<Vec<Way>>,
    receivers: Vec<Vec<Way>>,
    /// Whether the first receiver goes on to the end, so that everything is received.
    to_the_end: bool,
}

fn program(receivers: usize) -> impl Strategy<Value = Program> {
    let senders = proptest::collection::vec(ways(40), 1..4);
    let receivers = proptest::collection::vec(ways(40), 1..=receivers);
    (senders, receivers, any::<bool>()).prop_map(|(senders, receivers, to_the_end)| Program {
        senders,
        receivers,
        to_the_end,
    })
}

fn run(program: &Program, tx: Sender<Message>, receivers: Vec<Rx>) {
    let drops = Drops::new();
    let created: usize = program.senders.iter().map(Vec::len).sum();
    let receivers: Vec<_> = receivers
        .into_iter()
        .zip(&program.receivers)
        .enumerate()
        .map(|(n, (mut rx, ways))| {
            let (ways, to_the_end) = (ways.clone(), program.to_the_end && n == 0);
            smarm::spawn(move || {
                let mut got = Vec::new();
                let more = ways.into_iter().all(|way| rx.receive(way, &mut got));
                while to_the_end && more && rx.receive(Way::Plain, &mut got) {}
                got
            })
        })
        .collect();
    let senders: Vec<_> = program
        .senders
        .iter()
        .enumerate()
        .map(|(n, ways)| {
            let (tx, ways, drops) = (tx.clone(), ways.clone(), drops.clone());
            smarm::spawn(move || send(&tx, n, &ways, &drops))
        })
        .collect();
    drop(tx);
    let sent: Vec<_> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
    let mut count = HashMap::new();
    let mut received = 0;
    for receiver in receivers {
        let got = receiver.join().unwrap();
        received += got.len();
        let mut last = HashMap::new();
        for ((sender, n), _) in &got {
            *count.entry((*sender, *n)).or_insert(0) += 1;
            assert!(last.insert(*sender, *n).is_none_or(|before| before < *n), "out of order");
        }
    }
    assert!(count.values().all(|times| *times == 1), "received twice");
    assert!(count.keys().all(|message| sent.contains(message)), "received, and given back");
    if program.to_the_end {
        assert_eq!(received, sent.len(), "lost");
    }
    assert_eq!(drops.count(), created, "each is dropped once");
}

/// Runs random programs on channels of each kind.
fn check(config: Config, cases: u32, most_receivers: usize, make: fn(Option<usize>, usize) -> Channel) {
    within(PATIENCE, || {
        smarm::runtime::init(config).run(move || {
            for capacity in [None, Some(0), Some(1), Some(4)] {
                let mut runner =
                    TestRunner::new(Cases { failure_persistence: None, ..Cases::with_cases(cases) });
                let outcome = runner.run(&program(most_receivers), |program| {
                    let (tx, receivers) = make(capacity, program.receivers.len());
                    run(&program, tx, receivers);
                    Ok(())
                });
                if let Err(error) = outcome {
                    panic!("capacity {capacity:?}: {error}");
                }
            }
        });
    });
}

fn one(capacity: Option<usize>, _: usize) -> Channel {
    let (tx, rx) = capacity.map_or_else(channel::channel, channel::bounded);
    (tx, vec![Rx::One(rx)])
}

fn many(capacity: Option<usize>, count: usize) -> Channel {
    let (tx, rx) = capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
    (tx, vec![rx; count].into_iter().map(Rx::Many).collect())
}

const CASES: u32 = 20;

#[test]
fn actors_of_one_worker_lose_and_double_nothing() {
    check(Config::exact(1), CASES, 1, one);
    check(Config::exact(1), CASES, 3, many);
}

#[test]
fn actors_of_two_workers_lose_and_double_nothing() {
    check(Config::exact(2), CASES, 1, one);
    check(Config::exact(2), CASES, 3, many);
}
