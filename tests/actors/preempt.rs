//! Making actors that compute yield: at `check!`, at smarm's calls, and never under `disable`.

use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use smarm::compat::await_future;
use smarm::{Config, Runtime, hooks, preempt};
use smarm_workspace::{PATIENCE, calm, until, within};

/// One worker with short slices.
fn short_slices() -> Runtime {
    smarm::runtime::init(Config::exact(1).slice(Duration::from_millis(1)))
}

/// Two actors on one worker that compute, each calling `between` all the time, and end only if both
/// get to run again and again.
fn alternate(between: impl Fn() + Clone + Send + 'static) {
    const ROUNDS: usize = 5;
    within(PATIENCE, || {
        let runtime = short_slices();
        let progress: Arc<[AtomicUsize; 2]> = Arc::default();
        let actors: Vec<_> = (0..2)
            .map(|me| {
                let (progress, between) = (progress.clone(), between.clone());
                runtime
                    .spawn(move || {
                        for round in 1..=ROUNDS {
                            progress[me].store(round, SeqCst);
                            while progress[1 - me].load(SeqCst) < round {
                                between();
                            }
                        }
                    })
                    .unwrap()
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
    });
}

#[test]
fn two_actors_that_compute_alternate_at_check() {
    alternate(|| smarm::check!());
}

#[test]
fn two_actors_that_compute_alternate_at_calls_that_need_not_wait() {
    alternate(|| await_future(ready(())));
    alternate(|| drop(smarm::spawn(|| ())));
}

/// How many slices an actor takes that computes with checks until `over`, beside what `others` spawns.
fn slices_of_a_computing_actor(others: impl FnOnce(Arc<AtomicBool>) + Send) -> usize {
    let (slices, computing) = (Arc::new(AtomicUsize::new(0)), Arc::new(OnceLock::new()));
    let hooks = {
        let (slices, computing) = (slices.clone(), computing.clone());
        let count = move |_: &mut _| {
            slices.fetch_add(usize::from(computing.get() == Some(&smarm::self_pid())), SeqCst);
        };
        hooks::pair(|_| (), count)
    };
    let runtime = smarm::runtime::init(calm(Config::exact(1)).slice(Duration::from_millis(1)).hooks(hooks));
    runtime.run(|| {
        let over = Arc::new(AtomicBool::new(false));
        others(over.clone());
        computing.set(smarm::self_pid()).unwrap();
        while !over.load(SeqCst) {
            smarm::check!();
        }
    });
    slices.load(SeqCst)
}

#[test]
fn a_timer_waits_for_few_slices_of_an_actor_that_computes() {
    const TICKS: usize = 10;
    within(PATIENCE, || {
        let slices = slices_of_a_computing_actor(|over| {
            drop(smarm::spawn(move || {
                (0..TICKS).for_each(|_| smarm::sleep(Duration::from_micros(100)));
                over.store(true, SeqCst);
            }));
        });
        assert!(slices <= 4 * TICKS, "{slices} slices for {TICKS} ticks of the timer");
    });
}

#[test]
fn who_is_made_to_yield_comes_after_those_whose_timers_were_due() {
    within(PATIENCE, || {
        let runtime = smarm::runtime::init(calm(Config::exact(1)).slice(Duration::from_millis(1)));
        runtime.run(|| {
            let (others, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            // Always queued: who finds that it has run was made to yield.
            let beside = smarm::spawn({
                let (others, over) = (others.clone(), over.clone());
                move || {
                    until(|| {
                        others.fetch_add(1, SeqCst);
                        over.load(SeqCst)
                    });
                }
            });
            for _ in 0..10 {
                let (begun, woken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
                let due = Instant::now() + Duration::from_micros(100);
                let sleeper = smarm::spawn({
                    let (begun, woken) = (begun.clone(), woken.clone());
                    move || {
                        begun.store(true, SeqCst);
                        smarm::sleep_until(due);
                        woken.store(true, SeqCst);
                    }
                });
                until(|| begun.load(SeqCst));
                loop {
                    // Timers are rounded up, by much less.
                    let was_due = Instant::now() > due + Duration::from_millis(1);
                    let before = others.load(SeqCst);
                    smarm::check!();
                    if was_due && others.load(SeqCst) > before {
                        break;
                    }
                }
                assert!(woken.load(SeqCst), "it went on before the sleeper");
                sleeper.join().unwrap();
            }
            over.store(true, SeqCst);
            beside.join().unwrap();
        });
    });
}

#[test]
fn a_new_actor_waits_for_few_slices_of_an_actor_that_computes() {
    const NEW: usize = 64;
    within(PATIENCE, || {
        let slices = slices_of_a_computing_actor(|over| {
            let left = Arc::new(AtomicUsize::new(NEW));
            for _ in 0..NEW {
                let (left, over) = (left.clone(), over.clone());
                drop(smarm::spawn(move || over.store(left.fetch_sub(1, SeqCst) == 1, SeqCst)));
            }
        });
        assert!(slices <= 2 * NEW, "{slices} slices for {NEW} new actors");
    });
}

#[test]
fn a_check_outside_actors_does_nothing() {
    within(PATIENCE, || {
        smarm::check!();
        assert!(!preempt::on_allocation(true));
        assert!(!preempt::on_allocation(false));
        drop(preempt::disable());
        smarm::run(|| {
            await_future(async { smarm::check!() });
            smarm::on_native_stack(|| smarm::check!());
        });
    });
}

#[test]
fn what_was_asked_about_allocations_holds_for_one_actor_only() {
    within(PATIENCE, || {
        smarm::run(|| {
            assert!(!preempt::on_allocation(true));
            assert!(!smarm::spawn(|| preempt::on_allocation(true)).join().unwrap());
            assert!(preempt::on_allocation(false));
            assert!(!preempt::on_allocation(false));
        });
    });
}

/// Computes until the monitor must have marked the slice several times over, calling `each`.
fn compute_for_slices(each: impl Fn()) {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(30) {
        each();
    }
}

#[test]
fn under_disable_nothing_but_a_wait_lets_others_run() {
    within(PATIENCE, || {
        let runtime = short_slices();
        runtime.run(|| {
            let ran = Arc::new(AtomicBool::new(false));
            let outer = preempt::disable();
            let inner = preempt::disable();
            let theirs = ran.clone();
            let neighbour = smarm::spawn(move || theirs.store(true, SeqCst));
            compute_for_slices(|| {
                smarm::check!();
                await_future(ready(()));
            });
            assert!(!ran.load(SeqCst));
            drop(outer);
            compute_for_slices(|| smarm::check!());
            assert!(!ran.load(SeqCst), "the inner guard still holds");
            drop(inner);
            while !ran.load(SeqCst) {
                smarm::check!();
            }
            neighbour.join().unwrap();
        });
    });
}

#[test]
fn a_wait_under_disable_lets_others_run_and_they_are_made_to_yield() {
    within(PATIENCE, || {
        let runtime = short_slices();
        runtime.run(|| {
            let _undisturbed = preempt::disable();
            let seen = Arc::new(AtomicBool::new(false));
            let theirs = seen.clone();
            let computes = smarm::spawn(move || {
                while !theirs.load(SeqCst) {
                    smarm::check!();
                }
            });
            let sets = smarm::spawn(move || seen.store(true, SeqCst));
            sets.join().unwrap();
            computes.join().unwrap();
        });
    });
}

#[test]
fn a_computing_actor_does_not_keep_timers_and_wakes_from_others() {
    within(PATIENCE, || {
        let runtime = short_slices();
        runtime.run(|| {
            let over = Arc::new(AtomicBool::new(false));
            let theirs = over.clone();
            let sleeps = smarm::spawn(move || {
                smarm::sleep(Duration::from_millis(2));
                theirs.store(true, SeqCst);
            });
            while !over.load(SeqCst) {
                smarm::check!();
            }
            sleeps.join().unwrap();
        });
    });
}

#[test]
fn a_kill_is_obeyed_at_check_also_under_disable() {
    within(PATIENCE, || {
        let runtime = short_slices();
        let started = Arc::new(AtomicBool::new(false));
        let theirs = started.clone();
        let actor = runtime
            .spawn(move || {
                let _undisturbed = preempt::disable();
                theirs.store(true, SeqCst);
                loop {
                    smarm::check!();
                }
            })
            .unwrap();
        smarm_workspace::until(|| started.load(SeqCst));
        actor.kill();
        let ended: Result<(), _> = actor.join();
        assert!(ended.unwrap_err().is_killed());
    });
}
