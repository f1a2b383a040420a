//! Workers that look for work from elsewhere before they sleep, from turn to turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::thread;

use smarm::host::{Turn, Worker};
use smarm::runtime::detached;
use smarm::{Builder, Config, Runtime};
use smarm_workspace::{PATIENCE, calm, within};

/// Counts how often a host is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A runtime whose workers the test polls itself, and which spin between turns.
fn by_hand(workers: usize) -> (Runtime, Vec<Worker>) {
    let (runtime, mut workers) = detached(calm(Config::exact(workers))).unwrap();
    for worker in &mut workers {
        worker.spin_between_turns(true);
    }
    (runtime, workers)
}

/// From another thread, an actor for the first worker.
fn spawn_from_elsewhere(runtime: &Runtime) {
    let handle = runtime.handle();
    let spawn = move || drop(Builder::new().runtime(&handle).worker(0).spawn(|| ()).unwrap());
    thread::spawn(spawn).join().unwrap();
}

fn end(runtime: Runtime, mut workers: Vec<Worker>) {
    runtime.handle().stop();
    for worker in &mut workers {
        while worker.poll_turn(Waker::noop()) != Turn::Done {}
    }
    drop(workers);
    runtime.shutdown(PATIENCE).unwrap();
}

fn others_run() -> bool {
    thread::available_parallelism().unwrap().get() > 1
}

#[test]
fn a_worker_that_spins_between_turns_finds_what_comes_without_being_woken() {
    within(PATIENCE, || {
        if !others_run() {
            return; // see below
        }
        let (runtime, mut workers) = by_hand(2);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let worker = &mut workers[0];
        for _ in 0..100 {
            while !worker.is_spinning() {
                assert_eq!(worker.poll_turn(&waker), Turn::Busy);
            }
            spawn_from_elsewhere(&runtime); // however long that takes
            while runtime.handle().live() > 0 {
                assert_eq!(worker.poll_turn(&waker), Turn::Busy, "it has paid, so it goes on");
            }
        }
        assert_eq!(wakes.0.load(SeqCst), 0);
        while worker.poll_turn(&waker) == Turn::Busy {}
        assert!(!worker.is_spinning());
        spawn_from_elsewhere(&runtime);
        assert_eq!(wakes.0.load(SeqCst), 1, "who sleeps is woken");
        end(runtime, workers);
    });
}

#[test]
fn a_worker_whose_spinning_does_not_pay_spins_ever_more_rarely() {
    within(PATIENCE, || {
        let (runtime, mut workers) = by_hand(2);
        let mut spins = 0;
        for _ in 0..4_000 {
            let mut spun = false;
            while workers[0].poll_turn(Waker::noop()) == Turn::Busy {
                spun |= workers[0].is_spinning();
            }
            spins += usize::from(spun);
        }
        let expected = if others_run() { 6..12 } else { 0..1 };
        assert!(expected.contains(&spins), "{spins} times");
        end(runtime, workers);
    });
}

#[test]
fn a_worker_without_others_never_spins_between_turns() {
    within(PATIENCE, || {
        let (runtime, mut workers) = by_hand(1);
        for _ in 0..100 {
            while workers[0].poll_turn(Waker::noop()) == Turn::Busy {
                assert!(!workers[0].is_spinning());
            }
            spawn_from_elsewhere(&runtime);
        }
        end(runtime, workers);
    });
}
