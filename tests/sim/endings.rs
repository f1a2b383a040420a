use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use smarm::sim::{self, Outcome, Reason, Sim};
use smarm_workspace::{PATIENCE, child, within};

fn run<T: Send>(seed: u64, f: impl FnOnce() -> T + Send) -> Outcome<T> {
    within(PATIENCE, || sim::run(seed, f))
}

#[test]
fn a_panic_of_the_first_actor_is_the_failure_and_names_its_seed() {
    let outcome = run(77, || {
        smarm::sleep(Duration::from_secs(3));
        assert_eq!(1 + 1, 3, "sums");
    });
    let failure = outcome.failure().unwrap();
    assert_eq!(failure.seed(), 77);
    assert!(failure.at() >= Duration::from_secs(3));
    let Reason::Panicked { actor, place, message } = failure.reason() else { panic!("{failure}") };
    assert_eq!(actor, "1 \"main\" on main");
    assert!(place.contains("endings.rs") && message.contains("sums"), "{failure}");
    assert!(failure.to_string().ends_with("replay with seed 77"), "{failure}");
}

#[test]
fn unwrap_panics_with_the_seed() {
    let outcome = run(78, || panic!("on purpose"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outcome.unwrap())).unwrap_err();
    let text = panicked.downcast_ref::<String>().unwrap();
    assert!(text.contains("on purpose") && text.contains("seed 78"), "{text}");
}

#[test]
fn the_panic_s_report_on_standard_error_names_the_seed() {
    let Some(output) = child::run(|| drop(sim::run(79, || panic!("on purpose")))) else { return };
    let said = child::stderr(&output);
    assert!(said.contains("in a simulation of smarm's: seed 79 replays it"), "{said}");
}

#[test]
fn a_panic_that_nobody_learns_of_fails_the_simulation_at_once() {
    let outcome = run(1, || {
        drop(sim::host("server", || panic!("alone")));
        smarm::sleep(Duration::from_secs(3600));
    });
    let failure = outcome.failure().unwrap();
    assert!(failure.at() < Duration::from_secs(1), "{failure}");
    let Reason::Panicked { actor, message, .. } = failure.reason() else { panic!("{failure}") };
    assert_eq!((actor.as_str(), message.as_str()), ("2 \"server\" on server", "alone"));
}

#[test]
fn a_panic_that_somebody_joins_is_his_matter() {
    let outcome = run(1, || smarm::spawn(|| panic!("joined")).join().unwrap_err().is_panic());
    assert!(outcome.unwrap());
}

#[test]
fn a_deadlock_is_found_at_once_and_names_who_waits() {
    let outcome = run(4, || {
        smarm::sleep(Duration::from_secs(2));
        let (sender, receiver) = smarm::channel::<()>();
        let waiting = sim::host("other", move || receiver.recv());
        drop(waiting.join());
        drop(sender);
    });
    let failure = outcome.failure().unwrap();
    let Reason::Stuck { waiting } = failure.reason() else { panic!("{failure}") };
    assert_eq!(waiting, &["1 \"main\" on main", "2 \"other\" on other"]);
    assert!(failure.at() < Duration::from_secs(3), "{failure}");
}

#[test]
fn a_simulation_that_goes_on_and_on_reaches_its_time_limit() {
    let forever = || {
        loop {
            smarm::sleep(Duration::from_secs(600));
        }
    };
    let limited = Sim::new(2).time_limit(Duration::from_secs(7200));
    let outcome: Outcome<()> = within(PATIENCE, || limited.run(forever));
    assert_eq!(outcome.failure().unwrap().reason(), &Reason::TimeOver);
    assert_eq!(outcome.elapsed(), Duration::from_secs(7200));
}

#[test]
fn an_actor_that_yields_for_ever_reaches_the_step_limit() {
    let outcome: Outcome<()> = within(PATIENCE, || {
        Sim::new(2).step_limit(5000).run(|| {
            loop {
                smarm::yield_now();
            }
        })
    });
    assert_eq!(outcome.failure().unwrap().reason(), &Reason::StepsOver);
}

#[test]
fn a_first_actor_that_is_killed_is_a_failure() {
    let outcome = run(2, || {
        let me = smarm::sim::host("main", || ());
        me.join().unwrap();
        sim::crash("main");
        smarm::yield_now();
    });
    assert_eq!(outcome.failure().unwrap().reason(), &Reason::Killed);
}

#[test]
fn what_still_runs_at_the_end_unwinds() {
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    run(3, || {
        for _ in 0..3 {
            drop(smarm::spawn(|| {
                let _counted = Counted;
                smarm::sleep(Duration::from_secs(100));
            }));
        }
        smarm::sleep(Duration::from_secs(1));
    })
    .unwrap();
    assert_eq!(DROPPED.load(SeqCst), 3);
}

#[test]
fn the_closure_may_borrow_and_the_result_comes_back() {
    let words = ["a".to_owned(), "b".to_owned()];
    assert_eq!(run(1, || words.iter().map(String::as_str).collect::<String>()).unwrap(), "ab");
    assert_eq!(run(1, || Cell::new(3)).unwrap().get(), 3);
}

#[test]
fn explore_finds_a_race_and_its_seed_replays_it() {
    let racy = || {
        let count = std::sync::Arc::new(AtomicU32::new(0));
        let adders = [(); 2].map(|()| {
            let count = count.clone();
            smarm::spawn(move || {
                let seen = count.load(SeqCst);
                smarm::check!(); // yields only now and then
                count.store(seen + 1, SeqCst);
            })
        });
        adders.into_iter().for_each(|adder| adder.join().unwrap());
        assert_eq!(count.load(SeqCst), 2, "an update was lost");
    };
    let found = within(PATIENCE, || sim::explore(0..1000, racy)).expect("one of the seeds shows it");
    let again = run(found.seed(), racy);
    assert_eq!(found.trace().as_str(), again.trace().as_str());
    assert_eq!(found.failure(), again.failure());
    assert!(within(PATIENCE, || sim::explore(0..50, smarm::yield_now)).is_none());
}
