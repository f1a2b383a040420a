//! A crew does one work in one world, over and over, with children in all worlds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use smarm::{Builder, JoinError, JoinHandle};

use crate::arguments::Arguments;
use crate::books::{BOOKS, Life, count};
use crate::dice::Dice;
use crate::plant::{self, ON_PURPOSE, Plant};
use crate::work;
use crate::worlds::{Place, Worlds};

/// What a work needs.
pub(crate) struct Site {
    pub(crate) places: Vec<Place>,
    pub(crate) home: Place,
}

/// What others see of a crew.
pub(crate) struct Progress {
    pub(crate) name: String,
    pub(crate) rounds: AtomicU64,
    stop: AtomicBool,
}

pub(crate) struct Crew {
    pub(crate) progress: Arc<Progress>,
    actor: JoinHandle<()>,
}

impl Crew {
    /// Starts one for each work in each world.
    pub(crate) fn all(worlds: &Worlds, arguments: &Arguments) -> Vec<Self> {
        let mut crews = Vec::new();
        for home in worlds.places() {
            for (name, work) in work::ALL {
                let site = Site { places: worlds.places().to_vec(), home: home.clone() };
                let name = format!("{name} in {}", home.name);
                crews.push(Self::start(name, work, site, arguments.seed, crews.len() as u64));
            }
        }
        crews
    }

    fn start(name: String, work: fn(&mut Dice, &Site), site: Site, seed: u64, number: u64) -> Self {
        let progress = Arc::new(Progress { name, rounds: AtomicU64::new(0), stop: AtomicBool::new(false) });
        let theirs = progress.clone();
        let handle = site.home.handle.clone();
        let shift = move || {
            while !theirs.stop.load(SeqCst) {
                let round = theirs.rounds.load(SeqCst);
                work(&mut Dice::new(seed, number, round), &site);
                theirs.rounds.store(round + 1, SeqCst);
                count(&BOOKS.rounds);
                smarm::yield_now();
            }
        };
        let actor = Builder::new().name(&*progress.name).runtime(&handle).spawn(shift);
        Self { progress, actor: actor.expect("there is a stack") }
    }

    /// Whether it has done its work once.
    pub(crate) fn has_worked(&self) -> bool {
        self.progress.rounds.load(SeqCst) > 0 || self.actor.is_finished()
    }

    pub(crate) fn stop(&self) {
        self.progress.stop.store(true, SeqCst);
    }

    /// Waits for its last round, and gives what went wrong.
    pub(crate) fn end(self) -> Option<String> {
        let name = &self.progress.name;
        match self.actor.join() {
            Ok(()) => None,
            Err(error) => Some(format!("{name}: {error}")),
        }
    }
}

impl Site {
    /// Spawns a child anywhere.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        dice: &mut Dice,
        f: impl FnOnce(&mut Dice) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let place = dice.pick(&self.places).clone();
        self.spawn_at(&place, dice, f)
    }

    /// Spawns a child in this world.
    pub(crate) fn spawn_at<T: Send + 'static>(
        &self,
        place: &Place,
        dice: &mut Dice,
        f: impl FnOnce(&mut Dice) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let (life, mut dice) = (Life::new(), dice.fork());
        let child = move || {
            let result = f(&mut dice);
            if plant::once(Plant::LoseActor) {
                std::mem::forget(life);
            } else {
                drop(life);
            }
            result
        };
        let builder = Builder::new().runtime(&place.handle);
        builder.spawn(child).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A child of this crew's own world.
    pub(crate) fn spawn_at_home<T: Send + 'static>(
        &self,
        dice: &mut Dice,
        f: impl FnOnce(&mut Dice) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.spawn_at(&self.home, dice, f)
    }
}

/// Waits for a child, which may have been killed or have panicked on purpose.
#[track_caller]
pub(crate) fn end<T>(child: JoinHandle<T>) -> Option<T> {
    match child.join() {
        Ok(value) => Some(value),
        Err(JoinError::Killed) => {
            count(&BOOKS.killed);
            None
        }
        Err(JoinError::Panicked(payload)) if payload.message() == ON_PURPOSE => {
            count(&BOOKS.panicked);
            None
        }
        Err(JoinError::Panicked(payload)) => {
            panic!("a child panicked, not on purpose: {}", payload.message())
        }
    }
}

/// As [`end`], for children whose results nobody wants.
#[track_caller]
pub(crate) fn end_all<T>(children: impl IntoIterator<Item = JoinHandle<T>>) {
    for child in children {
        let _ = end(child);
    }
}

/// Kills some of the children while they work.
pub(crate) fn kill_some<T>(dice: &mut Dice, children: &[JoinHandle<T>]) {
    for child in children {
        if dice.once_in(4) {
            if dice.once_in(2) {
                smarm::sleep(Duration::from_micros(dice.below(200) as u64));
            }
            child.kill();
        }
    }
}
