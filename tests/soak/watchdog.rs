//! Prints what goes on, and names what does not.

use std::collections::HashMap;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::books::BOOKS;
use crate::crew::{Crew, Progress};
use crate::worlds::{Place, Worlds};

const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Watchdog {
    done: Sender<()>,
    thread: JoinHandle<()>,
}

/// Watches the crews until it is ended.
pub(crate) fn watch(crews: &[Crew], worlds: &Worlds, patience: Duration, phase: &str) -> Watchdog {
    let crews: Vec<_> = crews.iter().map(|crew| crew.progress.clone()).collect();
    let (places, phase) = (worlds.places().to_vec(), phase.to_owned());
    let (done, end) = channel();
    let thread = thread::spawn(move || {
        let (begun, mut told) = (Instant::now(), Instant::now());
        let mut seen: HashMap<usize, (u64, Instant)> = HashMap::new();
        while end.recv_timeout(EVERY.min(patience / 4)) == Err(RecvTimeoutError::Timeout) {
            for (nth, crew) in crews.iter().enumerate() {
                let rounds = crew.rounds.load(SeqCst);
                let (before, since) = seen.entry(nth).or_insert((rounds, Instant::now()));
                if *before != rounds {
                    (*before, *since) = (rounds, Instant::now());
                } else if since.elapsed() > patience && !has_ended(crew) {
                    give_up(crew, since.elapsed(), &places);
                }
            }
            if told.elapsed() >= EVERY {
                told = Instant::now();
                let live: usize = places.iter().map(|place| place.handle.live()).sum();
                let rounds = BOOKS.rounds.load(Relaxed);
                println!(
                    "soak: {phase}, {:>5.0?} s, {rounds} rounds, {live} actors",
                    begun.elapsed().as_secs()
                );
            }
        }
    });
    Watchdog { done, thread }
}

/// Nobody but the watchdog has it any more.
fn has_ended(crew: &Arc<Progress>) -> bool {
    Arc::strong_count(crew) == 1
}

/// Ends the process, which cannot be ended in order while something hangs.
fn give_up(crew: &Progress, time: Duration, places: &[Place]) -> ! {
    eprintln!("soak: FAILED: {} makes no progress since {time:?}", crew.name);
    for place in places {
        let actors = place.handle.actors();
        let named =
            actors.iter().filter(|actor| !actor.1.is_empty()).map(|(pid, name)| format!("{pid} {name:?}"));
        let named: Vec<_> = named.collect();
        eprintln!(
            "soak: the world {} has {} actors, among them {}",
            place.name,
            actors.len(),
            named.join(", ")
        );
    }
    exit(2);
}

impl Watchdog {
    pub(crate) fn end(self) {
        drop(self.done);
        self.thread.join().expect("the watchdog does not panic");
    }
}
