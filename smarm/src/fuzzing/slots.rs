//! Stacks from the pools, and lives in their slots, against a model of who holds what.
//!
//! | promise | seen by |
//! |---|---|
//! | a stack has one holder; a retired one has none ever again | a set of those held and retired |
//! | what is on a stack stays there while it is held | a word at either end of it |
//! | a slot's generations come one after another | the last one seen of each slot |
//! | a wake or a kill is mail once, and only of the life it is meant for | the state word taken apart |
//! | a slot goes back when its life is over and its mail was taken, not before | the same |

use std::collections::{BTreeMap, BTreeSet};

use super::plan::Plan;
use crate::actor::slot::{self, Slot};
use crate::actor::state::{Freed, Mail};
use crate::config;
use crate::pid::LAST_GENERATION;
use crate::stack::area::{Area, bounds};
use crate::stack::guard::{self, Guard};
use crate::stack::{pool, trim};

/// The most stacks that are held at once.
const MOST: usize = 300;

/// A slot that is held, as the model knows it.
struct Life {
    slot: &'static Slot,
    generation: u64,
    exposed: bool,
    killed: bool,
    mail: bool,
    scoped: bool,
    /// The actor has ended, and its mail is still to be taken; with the last generation of the slot.
    ended: Option<u64>,
}

/// Both ends of the stack.
fn ends(index: u32) -> [*mut u64; 2] {
    let stack = bounds(index);
    [stack.start, stack.end - 8].map(std::ptr::with_exposed_provenance_mut)
}

struct World {
    areas: [Area; 2],
    pools: [pool::LocalPool; 2],
    lives: Vec<Life>,
    held: BTreeSet<u32>,
    retired: BTreeSet<u32>,
    /// The generation that comes next in each slot that was seen.
    next: BTreeMap<u32, u64>,
}

/// Drives the pools of stacks, the slot table and state words.
///
/// # Panics
/// If a promise of the module doc is broken.
pub fn slots(bytes: &[u8]) {
    let kind = if guard::supported() { Guard::Advice } else { Guard::Mprotect };
    let area = |size: usize| config::area(size, kind).expect("a legal size");
    let mut world = World {
        areas: [area(16 << 10), area(64 << 10)],
        pools: [pool::LocalPool::new(), pool::LocalPool::new()],
        lives: Vec::new(),
        held: BTreeSet::new(),
        retired: BTreeSet::new(),
        next: BTreeMap::new(),
    };
    let mut plan = Plan::new(bytes);
    while let Some(step) = plan.next() {
        world.step(step % 16, &mut plan);
    }
    while let Some(chosen) = world.lives.len().checked_sub(1) {
        world.take_mail(chosen, 2);
        if chosen < world.lives.len() {
            world.end(chosen, LAST_GENERATION, 2);
        }
    }
    assert!(world.held.is_empty());
}

impl World {
    fn step(&mut self, step: u8, plan: &mut Plan<'_>) {
        if let 0..=2 = step {
            // One, or as many as make pools and shelves exchange batches.
            let count = if step == 2 { plan.below(140) } else { 1 };
            let from = plan.below(6);
            for _ in 0..count {
                self.begin(from % 2, from / 2);
            }
            return;
        }
        if step == 3 {
            trim::tick();
            return;
        }
        if self.lives.is_empty() {
            return;
        }
        let chosen = plan.below(self.lives.len());
        let life = &mut self.lives[chosen];
        let alive = life.ended.is_none();
        match step {
            4 | 5 if alive => {
                life.slot.state.expose();
                life.exposed = true;
            }
            6..=9 => {
                // Mostly its own, sometimes the life before or after it.
                let stale = plan.below(4);
                let generation = match stale {
                    0 => life.generation.wrapping_sub(1),
                    1 => life.generation + 1,
                    _ => life.generation,
                };
                let kill = step > 7;
                let meant = stale > 1 && alive;
                let expected = if meant && life.exposed && !life.mail { Mail::Post } else { Mail::Nothing };
                let state = &life.slot.state;
                let mail = if kill { state.kill(generation) } else { state.wake(generation) };
                assert_eq!(mail, expected);
                life.mail |= mail == Mail::Post;
                life.killed |= kill && meant;
            }
            10 => {
                let meant = plan.below(2) == 1;
                let generation = if meant { life.generation } else { life.generation + 1 };
                assert_eq!(life.slot.state.kill_here(generation), meant && alive);
                life.killed |= meant && alive;
            }
            11 if alive => {
                life.scoped = plan.below(2) == 1;
                life.slot.state.set_scoped(life.scoped);
            }
            12 => self.take_mail(chosen, plan.below(3)),
            13..=15 if alive => {
                // Few are retired, as they are never used again.
                let last = plan.byte() == 0 && self.retired.is_empty();
                let generation = self.lives[chosen].generation;
                self.end(chosen, if last { generation } else { LAST_GENERATION }, plan.below(3));
            }
            _ => {}
        }
        self.check();
    }

    fn begin(&mut self, area: usize, from: usize) {
        if self.lives.len() == MOST {
            return;
        }
        let area = self.areas[area];
        let acquired = match from {
            2 => pool::acquire_shared(area),
            local => self.pools[local].acquire(area),
        };
        let index = acquired.expect("there is room for some more stacks");
        assert_eq!(Area::of(index), area);
        assert!(self.held.insert(index), "a stack has two holders");
        assert!(!self.retired.contains(&index), "a retired stack was handed out");
        let slot = slot::prepare(index).expect("there is room for some more slots");
        assert_eq!(slot.index(), index);
        assert!(std::ptr::eq(slot, slot::slot(index)));
        slot.seat.vacate();
        let generation = slot.state.occupy();
        if let Some(next) = self.next.insert(index, generation + 1) {
            assert_eq!(generation, next, "a generation was left out or came twice");
        }
        for end in ends(index) {
            // SAFETY: the stack was acquired above, and is this target's alone.
            unsafe { end.write(u64::from(index) << 32 | generation & 0xFFFF) };
        }
        let life =
            Life { slot, generation, exposed: false, killed: false, mail: false, scoped: false, ended: None };
        self.lives.push(life);
    }

    fn take_mail(&mut self, chosen: usize, to: usize) {
        let life = &mut self.lives[chosen];
        if !life.mail {
            return;
        }
        let seen = life.slot.state.take_mail();
        life.mail = false;
        assert_eq!(seen.live(), life.ended.is_none());
        assert_eq!(seen.generation(), life.generation);
        assert_eq!(seen.killed(), life.killed, "a kill is seen with its mail");
        if let Some(last) = life.ended {
            let freed = life.slot.state.free_posted(last);
            self.give_back(chosen, freed, last, to);
        }
    }

    fn end(&mut self, chosen: usize, last: u64, to: usize) {
        let life = &mut self.lives[chosen];
        match life.slot.state.free(last, life.exposed) {
            Freed::Posted => {
                assert!(life.mail, "it waits for mail that there is not");
                life.ended = Some(last);
            }
            freed => {
                assert!(!life.mail, "freed over its mail");
                self.give_back(chosen, freed, last, to);
            }
        }
    }

    fn give_back(&mut self, chosen: usize, freed: Freed, last: u64, to: usize) {
        let life = self.lives.swap_remove(chosen);
        let index = life.slot.index();
        for end in ends(index) {
            // SAFETY: the stack is held by this target until it is released below.
            let word = unsafe { end.read() };
            assert_eq!(
                word,
                u64::from(index) << 32 | life.generation & 0xFFFF,
                "somebody else used the stack"
            );
        }
        self.held.remove(&index);
        let used_up = life.generation == last;
        assert_eq!(freed, if used_up { Freed::UsedUp } else { Freed::Reusable });
        let after = life.slot.state.load();
        assert!(!after.live() && !after.needs_care(), "something of a life is left");
        assert_eq!(after.generation(), life.generation + u64::from(!used_up));
        assert_eq!(
            life.slot.state.wake(life.generation),
            Mail::Nothing,
            "a wake of an ended life does nothing"
        );
        match (used_up, to) {
            (true, _) => {
                self.retired.insert(index);
                // SAFETY: it was acquired and not released since; nothing on it is used.
                unsafe { pool::retire(index) };
            }
            // SAFETY: as above.
            (false, 2) => unsafe { pool::release_shared(index) },
            // SAFETY: as above.
            (false, local) => unsafe { self.pools[local].release(index) },
        }
    }

    /// The words of all that live are as the model has them.
    fn check(&self) {
        for life in self.lives.iter().filter(|life| life.ended.is_none()) {
            let word = life.slot.state.load();
            assert!(word.live() && word.is(life.generation));
            assert_eq!(word.killed(), life.killed);
            assert_eq!(word.needs_care(), life.killed || life.scoped);
        }
    }
}
