//! Actors with `select!` over shared channels, a mutex and timers, some of which are killed.
//!
//! Each actor runs a list of selects, each over some of: a receive from a channel of all, one from its own, a send,
//! the mutex, a timer. Afterwards every message is in one place: received, kept by who made it, or left in its
//! channel.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use super::plan::Plan;
use crate::channel::{self, Sender};
use crate::sync::mpmc::{self, Receiver};
use crate::{Config, JoinHandle, Mutex, TryLockError};

const ACTORS: usize = 5;
/// Channels that all receive from; behind them come the actors' own.
const CHANNELS: usize = 3;
/// Longer than all sleeps of a program together.
const HOUR: Duration = Duration::from_secs(3600);

/// One select.
#[derive(Clone, Copy, Debug)]
struct Select {
    from: Option<usize>,
    /// Receives from the actor's own channel.
    own: bool,
    to: Option<usize>,
    locks: bool,
    /// In microseconds.
    patience: Option<u64>,
    /// In the order as written, and without waiting.
    tries: bool,
}

/// What one actor does.
#[derive(Debug, Default)]
struct Script {
    selects: Vec<Select>,
}

fn scripts(plan: &mut Plan<'_>) -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for _ in 0..1 + plan.below(ACTORS) {
        scripts.push(Script::default());
    }
    while let Some(what) = plan.next() {
        let actor = plan.below(scripts.len());
        let places = plan.byte();
        scripts[actor].selects.push(Select {
            from: (what & 1 != 0).then_some(usize::from(places) % CHANNELS),
            own: what & 2 != 0,
            to: (what & 4 != 0).then_some(usize::from(places >> 4) % (CHANNELS + ACTORS)),
            locks: what & 8 != 0 && what & 3 != 3,
            patience: (what & 48 == 48).then(|| u64::from(places) * 10),
            tries: what & 192 == 192,
        });
    }
    scripts
}

/// What all actors share.
struct Market {
    sinks: Vec<Sender<Parcel>>,
    sources: Vec<Receiver<Parcel>>,
    mutex: Mutex<()>,
    /// What each actor waits for.
    waits: [StdMutex<Option<Select>>; ACTORS],
    ledger: Arc<Ledger>,
}

#[derive(Default)]
struct Ledger {
    next: AtomicU32,
    /// Messages whose sender was told that they were sent, to a channel of all.
    sent: StdMutex<BTreeSet<u32>>,
    received: StdMutex<Vec<u32>>,
    /// Messages that were dropped by who made them, or with their channel.
    dropped: StdMutex<Vec<u32>>,
}

/// A message, which is in exactly one place.
struct Parcel {
    number: u32,
    ledger: Arc<Ledger>,
    delivered: bool,
}

/// No actor is unwound inside these locks.
fn within<T, R>(lock: &StdMutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
    f(&mut lock.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Parcel {
    fn new(ledger: &Arc<Ledger>) -> Self {
        Parcel { number: ledger.next.fetch_add(1, Relaxed), ledger: ledger.clone(), delivered: false }
    }

    fn deliver(mut self) {
        self.delivered = true;
        within(&self.ledger.received, |received| received.push(self.number));
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if !self.delivered {
            within(&self.ledger.dropped, |dropped| dropped.push(self.number));
        }
    }
}

/// Drives `select!` in some actors.
///
/// # Panics
/// If a message is lost or doubled, or if an actor sleeps over what it waits for.
pub fn select(bytes: &[u8]) {
    let mut plan = Plan::new(bytes);
    let workers = 1 + plan.below(2);
    let capacities = [(); CHANNELS + ACTORS].map(|()| [None, Some(0), Some(1), Some(2)][plan.below(4)]);
    // Who is killed, after how many yields of the one who kills.
    let kills: Vec<_> = (0..plan.below(3)).map(|_| (plan.below(ACTORS), plan.below(32))).collect();
    let scripts = scripts(&mut plan);
    let (of_all, own) = capacities.split_at(CHANNELS);
    let make = |capacity: &Option<usize>| capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
    let (mut sinks, sources): (Vec<_>, _) = of_all.iter().map(make).unzip();
    let make = |capacity: &Option<usize>| capacity.map_or_else(channel::channel, channel::bounded);
    let (own_sinks, inboxes): (Vec<_>, Vec<_>) = own.iter().map(make).unzip();
    sinks.extend(own_sinks);
    let actors = scripts.into_iter().zip(inboxes).collect();
    let market = Arc::new(Market {
        sinks,
        sources,
        mutex: Mutex::new(()),
        waits: [const { StdMutex::new(None) }; ACTORS],
        ledger: Arc::default(),
    });
    let runtime = crate::runtime::init(Config::exact(workers).paused_clock(true));
    runtime.run(|| trade(&market, actors, &capacities, &kills));
    drop(runtime);
    let market = Arc::into_inner(market).expect("all actors have ended");
    let ledger = market.ledger.clone();
    drop(market);
    let ledger = Arc::into_inner(ledger).expect("a message was leaked");
    let made = ledger.next.into_inner();
    let dropped = ledger.dropped.into_inner().unwrap_or_else(PoisonError::into_inner);
    let received = ledger.received.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut places: Vec<_> = received.iter().chain(&dropped).copied().collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(0..made), "a message is in no place, or in two");
    let sent = ledger.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(sent.is_subset(&received.into_iter().collect()), "what was sent was not received");
}

/// What an actor does, and its own channel.
type Actor = (Script, channel::Receiver<Parcel>);

fn trade(market: &Arc<Market>, actors: Vec<Actor>, capacities: &[Option<usize>], kills: &[(usize, usize)]) {
    let actor = |(number, (script, mut inbox)): (usize, Actor)| {
        let market = market.clone();
        crate::spawn(move || {
            for select in script.selects {
                within(&market.waits[number], |wait| *wait = Some(select));
                market.select(select, &mut inbox);
            }
            within(&market.waits[number], |wait| *wait = None);
        })
    };
    let actors: Vec<_> = actors.into_iter().enumerate().map(actor).collect();
    let mut killed = BTreeSet::new();
    for &(who, yields) in kills {
        for _ in 0..yields {
            crate::yield_now();
        }
        if let Some(victim) = actors.get(who) {
            victim.kill();
            killed.insert(who);
        }
    }
    crate::sleep(HOUR);
    check_rest(market, capacities, &actors, &killed);
    for actor in &actors {
        actor.kill();
    }
    for actor in actors {
        let ended = actor.join_timeout(HOUR);
        assert!(!matches!(ended, Err(crate::join::JoinTimeoutError::TimedOut(_))), "a kill was lost");
    }
    // Who is killed with it poisons it.
    assert!(
        !matches!(market.mutex.try_lock(), Err(TryLockError::WouldBlock)),
        "somebody holds the mutex still"
    );
    // What was left in the channels.
    while market.sources.iter().any(|rx| rx.try_recv().map(Parcel::deliver).is_ok()) {}
}

/// An hour later nobody waits for what is there.
fn check_rest(
    market: &Market,
    capacities: &[Option<usize>],
    actors: &[JoinHandle<()>],
    killed: &BTreeSet<usize>,
) {
    let waiting = |number: usize| {
        let wait = within(&market.waits[number], |wait| *wait);
        wait.filter(|_| !actors[number].is_finished())
    };
    for number in 0..actors.len() {
        let Some(select) = waiting(number) else { continue };
        assert!(!killed.contains(&number), "actor {number} waits on though it was killed: {select:?}");
        assert!(
            !select.tries && select.patience.is_none() && !select.locks,
            "actor {number} sleeps: {select:?}"
        );
        let others = (0..actors.len()).filter(|&other| other != number).filter_map(waiting);
        let other_sends = |channel| others.clone().any(|other| other.to == Some(channel));
        for from in select.from.into_iter().chain(select.own.then_some(CHANNELS + number)) {
            assert!(market.sinks[from].is_empty(), "actor {number} sleeps over a message: {select:?}");
            assert!(!other_sends(from), "actor {number} sleeps over a sender: {select:?}");
        }
        if let Some(to) = select.to {
            let sink = &market.sinks[to];
            assert!(!sink.is_closed(), "actor {number} sleeps over the end: {select:?}");
            let room = capacities[to].is_none_or(|capacity| sink.len() < capacity);
            assert!(!room, "actor {number} sleeps over room: {select:?}");
        }
    }
}

impl Market {
    fn select(&self, select: Select, inbox: &mut channel::Receiver<Parcel>) {
        let Select { from, own, to, locks, patience, tries } = select;
        let source = &self.sources[from.unwrap_or(0)];
        let (place, pause) = (to.unwrap_or(0), Duration::from_micros(patience.unwrap_or(0)));
        let sink = &self.sinks[place];
        let mut parcel = to.map(|_| Parcel::new(&self.ledger));
        let number = parcel.as_ref().map(|parcel| parcel.number);
        if tries || (from.or(to).or(own.then_some(0)).is_none() && !locks && patience.is_none()) {
            crate::select! {
                biased;
                received = future(source.recv_async()), if from.is_some() => received.map_or((), Parcel::deliver),
                received = recv(&*inbox), if own => received.map_or((), Parcel::deliver),
                sent = send(sink, &mut parcel), if to.is_some() => self.sent(place, number, sent.is_ok()),
                guard = lock(&self.mutex), if locks => drop(guard),
                () = after(pause), if patience.is_some() => {}
                default => crate::yield_now(),
            }
        } else {
            crate::select! {
                received = future(source.recv_async()), if from.is_some() => received.map_or((), Parcel::deliver),
                received = recv(&mut *inbox), if own => received.map_or((), Parcel::deliver),
                sent = send(sink, &mut parcel), if to.is_some() => self.sent(place, number, sent.is_ok()),
                guard = lock(&self.mutex), if locks => {
                    crate::yield_now();
                    drop(guard);
                }
                () = after(pause), if patience.is_some() => {}
            }
        }
        // What lost is where it was.
        assert!(parcel.as_ref().is_none_or(|parcel| Some(parcel.number) == number));
    }

    /// A send has ended, well or because the receiver is gone, which only an actor's own is.
    fn sent(&self, place: usize, number: Option<u32>, sent: bool) {
        assert!(sent || place >= CHANNELS);
        if place < CHANNELS {
            within(&self.ledger.sent, |all| all.extend(number));
        }
    }
}
