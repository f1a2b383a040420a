//! Random histories of a semaphore and of a lock, each against a model that is a queue and a number.
//!
//! A history runs by hand-polled futures, step by step, and is compared after each step. The same histories are then
//! run by actors, which ask, wait with timeouts, are killed, and let go; there only the ends are compared.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use smarm::Config;
use smarm::sync::{AcquireError, LockError, OwnedSemaphorePermit, RwLock, Semaphore};
use smarm_workspace::{OnDrop, PATIENCE, within};

use crate::support::{LONG, Polled};

/// One step of a history. A number chooses among those that there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Ask for so many.
    Ask(usize),
    /// Give up a wait.
    Leave(usize),
    /// Let go.
    Release(usize),
    /// Add so many.
    Add(usize),
    /// Take them if they are there.
    Try(usize),
}

fn step(most: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..=most).prop_map(Step::Ask),
        2 => any::<usize>().prop_map(Step::Leave),
        3 => any::<usize>().prop_map(Step::Release),
        1 => (1..=2_usize).prop_map(Step::Add),
        1 => (1..=most).prop_map(Step::Try),
    ]
}

/// What a semaphore is: permits, and asks in order.
#[derive(Default)]
struct Model {
    free: usize,
    waiting: VecDeque<(usize, usize)>,
    served: Vec<usize>,
}

impl Model {
    fn ask(&mut self, id: usize, count: usize) {
        self.waiting.push_back((id, count));
        self.serve();
    }

    fn leave(&mut self, id: usize) {
        self.waiting.retain(|(other, _)| *other != id);
        self.serve();
    }

    fn release(&mut self, count: usize) {
        self.free += count;
        self.serve();
    }

    fn serve(&mut self) {
        while let Some((id, count)) = self.waiting.front().copied().filter(|(_, count)| *count <= self.free) {
            self.free -= count;
            self.waiting.pop_front();
            self.served.push(id);
        }
    }
}

fn pick<T>(from: &mut Vec<T>, choice: usize) -> Option<T> {
    if from.is_empty() { None } else { Some(from.swap_remove(choice % from.len())) }
}

/// Somebody who asks a semaphore, with its number and how many it asks for.
type Asking<'a> = (usize, usize, Polled<'a, Result<OwnedSemaphorePermit, AcquireError>>);

fn semaphore_follows_its_model(permits: usize, steps: &[Step]) -> Result<(), TestCaseError> {
    let semaphore = Arc::new(Semaphore::new(permits));
    let mut model = Model { free: permits, ..Model::default() };
    let mut asking: Vec<Asking<'_>> = Vec::new();
    let mut held = Vec::new();
    for (id, step) in steps.iter().copied().enumerate() {
        match step {
            Step::Ask(count) => {
                let mut ask = Polled::new(semaphore.clone().acquire_many_owned_async(count));
                model.ask(id, count);
                if ask.is_pending_or_keep(&mut held) {
                    asking.push((id, count, ask));
                } else {
                    prop_assert_eq!(model.served.pop(), Some(id));
                }
            }
            Step::Leave(choice) => {
                if let Some((id, _, ask)) = pick(&mut asking, choice) {
                    drop(ask);
                    model.leave(id);
                }
            }
            Step::Release(choice) => {
                if let Some(permit) = pick(&mut held, choice) {
                    let count = permit.count();
                    drop(permit);
                    model.release(count);
                }
            }
            Step::Add(count) => {
                semaphore.add_permits(count);
                model.release(count);
            }
            Step::Try(count) => {
                let taken = semaphore.try_acquire_many(count);
                prop_assert_eq!(taken.is_ok(), model.waiting.is_empty() && model.free >= count);
            }
        }
        // Whoever the model has served, and nobody else, was woken.
        for (id, _, ask) in &asking {
            prop_assert_eq!(ask.wakes() > 0, model.served.contains(id));
        }
        for id in std::mem::take(&mut model.served) {
            let place = asking.iter().position(|(other, _, _)| *other == id).unwrap();
            held.push(asking.swap_remove(place).2.ready().unwrap());
        }
        prop_assert_eq!(semaphore.available_permits(), model.free);
    }
    Ok(())
}

impl<T, E: std::fmt::Debug> Polled<'_, Result<T, E>> {
    /// Whether it waits; else what it gave is put there.
    fn is_pending_or_keep(&mut self, keep: &mut Vec<T>) -> bool {
        match self.poll() {
            std::task::Poll::Ready(value) => {
                keep.push(value.unwrap());
                false
            }
            std::task::Poll::Pending => true,
        }
    }
}

/// As [`semaphore_follows_its_model`], with a reader for each ask for one, and a writer for more.
fn lock_follows_its_model(steps: &[Step]) -> Result<(), TestCaseError> {
    const ALL: usize = 1000;
    enum Guard<'a> {
        Read(smarm::sync::RwLockReadGuard<'a, ()>),
        Write(smarm::sync::RwLockWriteGuard<'a, ()>),
    }
    let lock = &RwLock::new(());
    let mut model = Model { free: ALL, ..Model::default() };
    let mut asking: Vec<(usize, Polled<'_, Result<Guard<'_>, ()>>)> = Vec::new();
    let mut held: Vec<Guard<'_>> = Vec::new();
    let size = |count: usize| if count == 1 { 1 } else { ALL };
    for (id, step) in steps.iter().copied().enumerate() {
        match step {
            Step::Ask(count) => {
                let mut ask = Polled::new(async move {
                    match count {
                        1 => lock.read_async().await.map(Guard::Read).map_err(drop),
                        _ => lock.write_async().await.map(Guard::Write).map_err(drop),
                    }
                });
                model.ask(id, size(count));
                if ask.is_pending_or_keep(&mut held) {
                    asking.push((id, ask));
                } else {
                    prop_assert_eq!(model.served.pop(), Some(id));
                }
            }
            Step::Leave(choice) => {
                if let Some((id, ask)) = pick(&mut asking, choice) {
                    drop(ask);
                    model.leave(id);
                }
            }
            Step::Release(choice) => match pick(&mut held, choice) {
                Some(Guard::Read(guard)) => {
                    drop(guard);
                    model.release(1);
                }
                Some(Guard::Write(guard)) => {
                    drop(guard);
                    model.release(ALL);
                }
                None => {}
            },
            Step::Add(_) => {
                if let Some(place) = held.iter().position(|guard| matches!(guard, Guard::Write(_)))
                    && let Guard::Write(guard) = held.swap_remove(place)
                {
                    held.push(Guard::Read(smarm::sync::RwLockWriteGuard::downgrade(guard)));
                    model.release(ALL - 1);
                }
            }
            Step::Try(count) => {
                let free = model.waiting.is_empty() && model.free >= size(count);
                let taken = if count == 1 { lock.try_read().is_ok() } else { lock.try_write().is_ok() };
                prop_assert_eq!(taken, free);
            }
        }
        for (id, ask) in &asking {
            prop_assert_eq!(ask.wakes() > 0, model.served.contains(id));
        }
        for id in std::mem::take(&mut model.served) {
            let place = asking.iter().position(|(other, _)| *other == id).unwrap();
            held.push(asking.swap_remove(place).1.ready().unwrap());
        }
    }
    Ok(())
}

/// What an actor does.
#[derive(Clone, Copy, Debug)]
struct Visit {
    count: usize,
    /// How long it waits, if not for ever.
    patience: Option<u64>,
    yields: usize,
    killed: bool,
}

fn visit(most: usize) -> impl Strategy<Value = Visit> {
    (1..=most, proptest::option::of(0..200_u64), 0..3_usize, prop::bool::weighted(0.2))
        .prop_map(|(count, patience, yields, killed)| Visit { count, patience, yields, killed })
}

/// However visitors of a semaphore end, no more than there are permits are inside, and all come back.
fn semaphore_keeps_its_permits(config: Config, permits: usize, visits: &[Visit]) {
    let runtime = smarm::runtime::init(config);
    let semaphore = Arc::new(Semaphore::new(permits));
    let inside = Arc::new(AtomicUsize::new(0));
    let actors: Vec<_> = visits
        .iter()
        .map(|&visit| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            let run = move || {
                let patience = visit.patience.map_or(LONG, Duration::from_micros);
                match semaphore.acquire_many_timeout(visit.count, patience) {
                    Ok(permit) => {
                        let now = inside.fetch_add(permit.count(), SeqCst) + permit.count();
                        let out = OnDrop(|| {
                            inside.fetch_sub(visit.count, SeqCst);
                        });
                        assert!(now <= permits, "{now} are inside");
                        (0..visit.yields).for_each(|_| smarm::yield_now());
                        drop(out);
                        drop(permit);
                        true
                    }
                    Err(AcquireError::TimedOut) => false,
                    Err(other) => panic!("{other}"),
                }
            };
            (visit, runtime.spawn(run).unwrap())
        })
        .collect();
    actors.iter().filter(|(visit, _)| visit.killed).for_each(|(_, actor)| actor.kill());
    for (visit, actor) in actors {
        match actor.join() {
            Ok(came) => assert!(came || visit.patience.is_some()),
            Err(error) => assert!(visit.killed && !error.is_panic(), "{error}"),
        }
    }
    assert_eq!((semaphore.available_permits(), inside.load(SeqCst)), (permits, 0));
    assert!(semaphore.try_acquire_many(permits).is_ok());
}

/// However visitors of a lock end, writers are alone, and it is free in the end.
fn lock_keeps_writers_alone(config: Config, visits: &[Visit]) {
    const WRITER: usize = 1 << 16;
    let runtime = smarm::runtime::init(config);
    let lock = Arc::new(RwLock::new(()));
    let inside = Arc::new(AtomicUsize::new(0));
    let actors: Vec<_> = visits
        .iter()
        .map(|&visit| {
            let (lock, inside) = (lock.clone(), inside.clone());
            let run = move || {
                let patience = visit.patience.map_or(LONG, Duration::from_micros);
                let stay = |size: usize| {
                    let now = inside.fetch_add(size, SeqCst) + size;
                    let out = OnDrop(|| {
                        inside.fetch_sub(size, SeqCst);
                    });
                    assert!(now <= WRITER, "{now} are inside");
                    (0..visit.yields).for_each(|_| smarm::yield_now());
                    drop(out);
                };
                // A writer that was killed inside has poisoned it.
                if visit.count == 1 {
                    let guard = lock.read(patience).or_else(into_guard)?;
                    stay(1);
                    drop(guard);
                } else {
                    let guard = lock.write(patience).or_else(into_guard)?;
                    stay(WRITER);
                    drop(guard);
                }
                Ok::<(), &str>(())
            };
            (visit, runtime.spawn(run).unwrap())
        })
        .collect();
    actors.iter().filter(|(visit, _)| visit.killed).for_each(|(_, actor)| actor.kill());
    for (visit, actor) in actors {
        match actor.join() {
            Ok(came) => assert!(came == Ok(()) || visit.patience.is_some()),
            Err(error) => assert!(visit.killed && !error.is_panic(), "{error}"),
        }
    }
    lock.clear_poison();
    assert!(lock.try_write().is_ok());
    assert_eq!(inside.load(SeqCst), 0);
}

/// The guard all the same; else says that the time was over.
fn into_guard<G>(error: LockError<G>) -> Result<G, &'static str> {
    match error {
        LockError::Poisoned(guard) => Ok(guard),
        LockError::TimedOut => Err("timed out"),
        LockError::Cancelled => panic!("nobody cancels"),
    }
}

/// Runs a property so often, with new histories each time. A failure says with which.
fn cases<S: Strategy>(count: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() };
    within(PATIENCE, || {
        if let Err(failure) = TestRunner::new(config).run(&strategy, property) {
            panic!("{failure}");
        }
    });
}

#[test]
fn a_semaphore_follows_its_model() {
    cases(200, (0..6_usize, vec(step(4), 1..60)), |(permits, steps)| {
        semaphore_follows_its_model(permits, &steps)
    });
}

#[test]
fn a_lock_follows_its_model() {
    cases(200, vec(step(3), 1..60), |steps| lock_follows_its_model(&steps));
}

#[test]
fn a_semaphore_keeps_its_permits_whatever_becomes_of_actors() {
    cases(60, (4..6_usize, vec(visit(4), 1..40), 1..3_usize), |(permits, visits, workers)| {
        semaphore_keeps_its_permits(Config::exact(workers), permits, &visits);
        Ok(())
    });
}

#[test]
fn a_lock_keeps_writers_alone_whatever_becomes_of_actors() {
    cases(60, (vec(visit(2), 1..40), 1..3_usize), |(visits, workers)| {
        lock_keeps_writers_alone(Config::exact(workers), &visits);
        Ok(())
    });
}
