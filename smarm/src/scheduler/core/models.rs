//! Models of workers that sleep, find new actors, and end.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | new actor | worker, spawner | an actor is spawned from outside while the worker goes to sleep; the worker runs it and shuts the runtime down | the actor finds the worker | the second look left out; the fence after the push left out |
//! | end | two workers | the runtime stops while its last actor has yet to begin | both workers end | the last end told to nobody |
//! | leaving | worker, worker that leaves, spawner | an actor is spawned for a worker that is dropped | the other one runs it, and ends | the look after leaving left out |
//!
//! The workers' code is the real one, but that an actor ends as soon as it would run. The deques are modelled
//! ones (see [`deque`](crate::primitive::deque)).

use std::sync::Arc;

use super::{Core, Watch};
use crate::actor::slot::modelled;
use crate::config::Config;
use crate::host::Turn;
use crate::primitive::atomic::Ordering::SeqCst;
use crate::primitive::deque::Worker as Deque;
use crate::primitive::flaw::{Flaw, Op, Step, omitted, weakened};
use crate::primitive::model::{Parker, check, check_flawed, spawn};
use crate::scheduler::shared::{Settings, Shared};

/// A host that polls its worker until that is done. Each actor ends as it begins.
fn host(shared: &Arc<Shared>, index: usize, deque: Deque<u32>) {
    let core = Box::new(Core::new(shared.clone(), index, deque));
    let parker = Parker::new();
    core.local.home.set_host(parker.waker());
    core.local.set_host(&parker.waker());
    loop {
        let entered = core.enter();
        core.rise();
        core.take_in(&mut Watch::default());
        while core.next(1).is_some() {
            core.stop_searching();
            core.count_end();
            shared.stop(); // the only actor
        }
        let turn = core.run_dry();
        drop(entered);
        match turn {
            None | Some(Turn::Busy) => {}
            Some(Turn::Idle) => parker.park(),
            Some(Turn::Done) => break,
        }
    }
    core.local.forget();
}

fn new_actor(settings: &Settings) {
    let actor = modelled::prepare(1)[0];
    let deques = [Deque::new_lifo(), Deque::new_lifo()];
    let shared = Arc::new(Shared::new(settings.clone(), deques.iter().map(Deque::stealer).collect()));
    let [_unused, others] = deques;
    let theirs = shared.clone();
    let worker = spawn(move || host(&theirs, 1, others));
    actor.seat.vacate();
    let _ = actor.state.occupy();
    assert!(shared.admit_outside());
    shared.inject(actor.index());
    worker.join().unwrap();
}

fn settings() -> Settings {
    Config::exact(2).settings().unwrap()
}

fn flawed(flaw: Flaw) {
    let settings = settings();
    check_flawed(flaw, 2, move || new_actor(&settings));
}

#[test]
fn a_new_actor_finds_a_worker_and_the_runtime_ends() {
    let settings = settings();
    check(2, move || new_actor(&settings));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_without_a_second_look_is_caught() {
    flawed(omitted(Step::SecondLook));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_spawn_that_does_not_look_for_sleepers_in_order_is_caught() {
    flawed(weakened("scheduler/shared.rs", Op::Fence, SeqCst));
}

/// Two workers: one runs the last actor, the other sleeps.
fn end(settings: &Settings) {
    let actor = modelled::prepare(1)[0];
    let deques = [Deque::new_lifo(), Deque::new_lifo()];
    let shared = Arc::new(Shared::new(settings.clone(), deques.iter().map(Deque::stealer).collect()));
    let [first, second] = deques;
    let theirs = shared.clone();
    let worker = spawn(move || host(&theirs, 1, second));
    actor.seat.vacate();
    let _ = actor.state.occupy();
    assert!(shared.admit_outside());
    shared.stop();
    shared.inject(actor.index());
    host(&shared, 0, first);
    worker.join().unwrap();
}

#[test]
fn all_workers_end_with_the_last_actor() {
    let settings = settings();
    check(1, move || end(&settings));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_last_end_that_nobody_hears_of_is_caught() {
    let settings = settings();
    check_flawed(omitted(Step::LastEnd), 2, move || end(&settings));
}

/// Worker 1 leaves as an actor comes for it.
fn leaving(settings: &Settings) {
    let actor = modelled::prepare(1)[0];
    let deques = [Deque::new_lifo(), Deque::new_lifo()];
    let shared = Arc::new(Shared::new(settings.clone(), deques.iter().map(Deque::stealer).collect()));
    let [first, _unused] = deques;
    actor.seat.vacate();
    let _ = actor.state.occupy();
    assert!(shared.admit_outside());
    shared.stop();
    let (runs, leaves) = (shared.clone(), shared.clone());
    let worker = spawn(move || host(&runs, 0, first));
    let leaver = spawn(move || leaves.leave(1));
    shared.send(1, actor);
    leaver.join().unwrap();
    worker.join().unwrap();
}

#[test]
fn an_actor_for_a_worker_that_leaves_ends_on_another() {
    let settings = settings();
    check(2, move || leaving(&settings));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_worker_that_does_not_look_after_it_has_left_is_caught() {
    let settings = settings();
    check_flawed(omitted(Step::LookAfterLeaving), 2, move || leaving(&settings));
}
