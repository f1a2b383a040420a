//! Random selects over shared channels, mutexes and timers, some of them killed or timed out, in which every
//! message is followed from its making to its receipt: none is lost, and none comes twice.
//!
//! Each case is a function of a [`Config`], so that it can be run in other modes of the runtime.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use smarm::channel::{Receiver, Sender, bounded, channel};
use smarm::{Config, Mutex, select, spawn};
use smarm_workspace::{PATIENCE, within};

/// What one actor does, over and over.
#[derive(Clone, Debug)]
enum Role {
    /// Selects among sends into two channels, a mutex and a timer.
    Producer { to: [usize; 2], messages: u32, pause: u64 },
    /// Selects between its channel and one that it relays to, so that it receives and sends at once.
    Relay { patience: u64 },
}

#[derive(Clone, Debug)]
struct Case {
    workers: usize,
    /// Capacities of the channels; `None` is unbounded.
    channels: Vec<Option<usize>>,
    /// That of the channel to which relays pass on.
    last: Option<usize>,
    producers: Vec<Role>,
    relays: Vec<Role>,
    /// Which producers are killed, after how many yields.
    kills: Vec<(usize, u32)>,
    /// Whether selects that are biased and do not wait mix in.
    biased: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let capacity =
        || prop_oneof![1 => Just(None), 3 => Just(Some(0)), 1 => Just(Some(1)), 1 => Just(Some(3))];
    let producer = ([0_usize..8, 0_usize..8], 1_u32..40, 0_u64..3)
        .prop_map(|(to, messages, pause)| Role::Producer { to, messages, pause });
    let relay = (0_u64..3).prop_map(|patience| Role::Relay { patience });
    (
        1_usize..4,
        prop::collection::vec(capacity(), 1..4),
        capacity(),
        prop::collection::vec(producer, 1..6),
        prop::collection::vec(relay, 0..4),
        prop::collection::vec((0_usize..6, 0_u32..50), 0..4),
        any::<bool>(),
    )
        .prop_map(|(workers, channels, last, producers, relays, kills, biased)| Case {
            workers,
            channels,
            last,
            producers,
            relays,
            kills,
            biased,
        })
}

/// Where each message is accounted for.
#[derive(Default)]
struct Ledger {
    next: AtomicU32,
    /// Messages whose sender was told that they were sent.
    sent: StdMutex<Vec<u32>>,
    /// Messages that a sender kept, because its send lost or failed, or it was killed before.
    kept: StdMutex<Vec<u32>>,
    received: StdMutex<Vec<u32>>,
    /// How many hold the mutex.
    holders: AtomicUsize,
}

/// A message, which is in exactly one place.
struct Parcel {
    number: u32,
    ledger: Arc<Ledger>,
    delivered: bool,
}

impl Parcel {
    fn new(ledger: &Arc<Ledger>) -> Self {
        Self { number: ledger.next.fetch_add(1, SeqCst), ledger: ledger.clone(), delivered: false }
    }

    fn deliver(mut self) {
        self.delivered = true;
        self.ledger.received.lock().unwrap().push(self.number);
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if !self.delivered {
            self.ledger.kept.lock().unwrap().push(self.number);
        }
    }
}

fn produce(
    outs: [Sender<Parcel>; 2],
    mutex: &Mutex<()>,
    ledger: &Arc<Ledger>,
    messages: u32,
    pause: u64,
    biased: bool,
) {
    let mut next = None;
    let mut other = None;
    let mut left = messages;
    while left > 0 {
        let one = next.get_or_insert_with(|| Parcel::new(ledger)).number;
        let two = other.get_or_insert_with(|| Parcel::new(ledger)).number;
        let sent = if biased && left.is_multiple_of(3) {
            select! {
                biased;
                sent = send(&outs[0], &mut next) => sent.is_ok().then_some(one),
                sent = send(&outs[1], &mut other) => sent.is_ok().then_some(two),
                default => { smarm::yield_now(); None }
            }
        } else {
            select! {
                sent = send(&outs[0], &mut next) => sent.is_ok().then_some(one),
                sent = send(&outs[1], &mut other) => sent.is_ok().then_some(two),
                guard = lock(mutex) => {
                    let guard = guard.unwrap_or_else(|_| panic!("nobody panics with it"));
                    assert_eq!(ledger.holders.fetch_add(1, SeqCst), 0, "a mutex has one holder");
                    std::hint::spin_loop();
                    assert_eq!(ledger.holders.fetch_sub(1, SeqCst), 1);
                    drop(guard);
                    None
                }
                () = after(Duration::from_micros(pause * 50)) => None,
            }
        };
        // What lost is where it was.
        assert!(
            sent == Some(one) || next.as_ref().is_some_and(|parcel| parcel.number == one) || next.is_none()
        );
        assert!(sent != Some(one) || other.as_ref().is_some_and(|parcel| parcel.number == two));
        assert!(sent != Some(two) || next.as_ref().is_some_and(|parcel| parcel.number == one));
        ledger.sent.lock().unwrap().extend(sent);
        left -= 1;
    }
}

fn relay(rx: &Receiver<Parcel>, out: &Sender<Parcel>, patience: u64) {
    let (mut held, mut next): (Option<Parcel>, Option<Parcel>) = (None, None);
    let mut open = true;
    while open || held.is_some() {
        select! {
            received = recv(rx), if open && next.is_none() => match received {
                Ok(parcel) => next = Some(parcel),
                Err(_) => open = false,
            },
            sent = send(out, &mut held), if held.is_some() => if sent.is_err() { return },
            () = after(Duration::from_micros(patience * 50)) => {}
        }
        if held.is_none() {
            held = next.take();
        }
    }
}

/// Receives from all of these until their ends, from two at once.
fn consume(rxs: &[Receiver<Parcel>], out_of_patience: Duration) {
    let mut open: Vec<_> = rxs.iter().collect();
    while let [first, ..] = open[..] {
        let second = open.get(1).copied();
        let ended = select! {
            received = recv(first) => received.map(Parcel::deliver).is_err().then_some(0),
            received = recv(second.unwrap_or(first)), if second.is_some() => {
                received.map(Parcel::deliver).is_err().then_some(1)
            }
            () = after(out_of_patience) => {
                open.rotate_left(1);
                None
            }
        };
        if let Some(ended) = ended {
            open.remove(ended);
        }
    }
}

/// Runs a case and checks that each message is in one place.
fn conserves(config: Config, case: &Case) {
    let ledger = Arc::new(Ledger::default());
    let mutex = Arc::new(Mutex::new(()));
    let runtime = smarm::runtime::init(config);
    runtime.run(|| {
        let make = |capacity: &Option<usize>| capacity.map_or_else(channel, bounded);
        let (txs, rxs): (Vec<Sender<Parcel>>, Vec<_>) = case.channels.iter().map(make).unzip();
        // What the relays pass on ends here.
        let (last_tx, last_rx) = make(&case.last);
        let mut rxs = rxs.into_iter();
        let mut consumers = Vec::new();
        for role in &case.relays {
            let (Role::Relay { patience }, Some(rx)) = (role, rxs.next()) else { continue };
            let (patience, out) = (*patience, last_tx.clone());
            consumers.push(spawn(move || relay(&rx, &out, patience)));
        }
        drop(last_tx);
        let mut rest: Vec<_> = rxs.chain([last_rx]).collect();
        while !rest.is_empty() {
            let own: Vec<_> = rest.drain(..rest.len().min(3)).collect();
            consumers.push(spawn(move || consume(&own, Duration::from_micros(30))));
        }
        let mut producers = Vec::new();
        for role in &case.producers {
            let Role::Producer { to, messages, pause } = role else { continue };
            let outs = to.map(|to| txs[to % txs.len()].clone());
            let (mutex, ledger) = (mutex.clone(), ledger.clone());
            let (messages, pause, biased) = (*messages, *pause, case.biased);
            producers.push(spawn(move || produce(outs, &mutex, &ledger, messages, pause, biased)));
        }
        drop(txs);
        let mut yields = 0;
        for (who, after) in &case.kills {
            while yields < *after {
                smarm::yield_now();
                yields += 1;
            }
            if let Some(producer) = producers.get(*who) {
                producer.kill();
            }
        }
        for producer in producers {
            if let Err(error) = producer.join() {
                assert!(error.is_killed(), "{error}");
            }
        }
        for consumer in consumers {
            consumer.join().unwrap();
        }
    });
    drop(runtime);
    let all = ledger.next.load(SeqCst) as usize;
    let received = std::mem::take(&mut *ledger.received.lock().unwrap());
    let kept = std::mem::take(&mut *ledger.kept.lock().unwrap());
    let sent = std::mem::take(&mut *ledger.sent.lock().unwrap());
    let places: HashSet<_> = received.iter().chain(&kept).copied().collect();
    assert_eq!(received.len() + kept.len(), all, "each message is in one place");
    assert_eq!(places.len(), all, "and none is in two");
    let received: HashSet<_> = received.into_iter().collect();
    assert!(sent.iter().all(|number| received.contains(number)), "what was sent was received");
    assert!(mutex.try_lock().is_ok(), "nobody holds the mutex any more");
}

/// Runs as many random cases, each on a runtime that `config` describes.
fn hammer(count: u32, config: impl Fn(usize) -> Config) {
    let mut runner = TestRunner::new(Cases { cases: count, failure_persistence: None, ..Cases::default() });
    let outcome = runner.run(&cases(), |case| {
        conserves(config(case.workers), &case);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn random_selects_lose_nothing_and_double_nothing() {
    within(PATIENCE, || hammer(40, Config::exact));
}
