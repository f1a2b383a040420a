//! What was made and what has ended. Messages and actors are counted by values whose drop counts, so that neither
//! a lost nor a doubled one balances.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) static BOOKS: Books = Books::new();

#[derive(Debug)]
pub(crate) struct Books {
    made: AtomicU64,
    received: AtomicU64,
    given_back: AtomicU64,
    dropped: AtomicU64,
    spawned: AtomicU64,
    ended: AtomicU64,
    pub(crate) killed: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) rounds: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Books {
    const fn new() -> Self {
        Self {
            made: AtomicU64::new(0),
            received: AtomicU64::new(0),
            given_back: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            spawned: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            killed: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
        }
    }

    /// Counts a reception that never was: for a planted fault.
    pub(crate) fn count_twice(&self) {
        count(&self.received);
    }

    /// What does not balance, once all work has ended.
    pub(crate) fn imbalances(&self) -> Vec<String> {
        let mut found = Vec::new();
        let [made, received, given_back, dropped] =
            [&self.made, &self.received, &self.given_back, &self.dropped].map(|count| count.load(Relaxed));
        if made != received + given_back + dropped {
            found.push(format!(
                "{made} messages were made, but {received} received, {given_back} given back and {dropped} dropped with \
                 their channel"
            ));
        }
        let [spawned, ended] = [&self.spawned, &self.ended].map(|count| count.load(Relaxed));
        if spawned != ended {
            found.push(format!("{spawned} actors were spawned, but {ended} have ended"));
        }
        found
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("rounds of work", &self.rounds),
            ("messages made", &self.made),
            ("  received", &self.received),
            ("  given back", &self.given_back),
            ("  dropped with their channel", &self.dropped),
            ("actors spawned", &self.spawned),
            ("  ended", &self.ended),
            ("  of these killed", &self.killed),
            ("  of these panicked", &self.panicked),
        ];
        lines.iter().try_for_each(|(what, count)| writeln!(f, "  {what:<32}{:>14}", count.load(Relaxed)))
    }
}

/// A message: a number in the order of its sender.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) sender: usize,
    pub(crate) number: usize,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    OnItsWay,
    Received,
    GivenBack,
}

impl Parcel {
    pub(crate) fn new(sender: usize, number: usize) -> Self {
        count(&BOOKS.made);
        Self { sender, number, fate: Fate::OnItsWay }
    }

    pub(crate) fn receive(mut self) {
        self.fate = Fate::Received;
    }

    pub(crate) fn give_back(mut self) {
        self.fate = Fate::GivenBack;
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        count(match self.fate {
            Fate::OnItsWay => &BOOKS.dropped,
            Fate::Received => &BOOKS.received,
            Fate::GivenBack => &BOOKS.given_back,
        });
    }
}

/// What each actor has with it from its spawn to its end.
#[derive(Debug)]
pub(crate) struct Life(());

impl Life {
    pub(crate) fn new() -> Self {
        count(&BOOKS.spawned);
        Self(())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        count(&BOOKS.ended);
    }
}
