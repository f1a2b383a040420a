//! std's promises for threads, kept for actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use smarm::thread;
use smarm_workspace::{PATIENCE, until, within, workers};

use crate::paused;

#[test]
fn a_token_that_was_given_before_the_park_is_kept_and_there_is_one_at_most() {
    within(PATIENCE, || {
        paused(1).run(|| {
            for _ in 0..5 {
                thread::current().unpark();
            }
            thread::park();
            let begin = smarm::time::now();
            thread::park_timeout(Duration::from_secs(9)); // no second token
            assert_eq!((smarm::time::now() - begin).as_secs(), 9);
        });
    });
}

#[test]
fn each_of_many_tokens_in_turn_ends_a_park() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            runtime.run(move || {
                let rounds = 2_000;
                let turn = Arc::new(AtomicUsize::new(0));
                let play = move |turn: Arc<AtomicUsize>, own: usize, other: thread::Thread| {
                    for round in 0..rounds {
                        while turn.load(SeqCst) != 2 * round + own {
                            thread::park();
                        }
                        turn.fetch_add(1, SeqCst);
                        other.unpark();
                    }
                };
                let main = thread::current();
                let theirs = turn.clone();
                let partner =
                    thread::Builder::new().worker(count - 1).spawn(move || play(theirs, 1, main)).unwrap();
                play(turn, 0, partner.thread());
                partner.join().unwrap();
            });
        }
    });
}

#[test]
fn threads_and_actors_unpark_each_other() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let main = thread::current();
        let go = Arc::new(AtomicBool::new(false));
        let theirs = go.clone();
        let actor = runtime
            .spawn(move || {
                thread::park();
                theirs.store(true, SeqCst);
                main.unpark();
            })
            .unwrap();
        actor.thread().unpark();
        while !go.load(SeqCst) {
            thread::park();
        }
        actor.join().unwrap();
    });
}

#[test]
fn a_token_for_one_that_has_ended_is_nobodys() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let ended = thread::spawn(|| ());
            let handle = ended.thread();
            ended.join().unwrap();
            handle.unpark();
            let next = thread::spawn(|| {
                let begin = smarm::time::now();
                thread::park_timeout(Duration::from_secs(1));
                smarm::time::now() - begin
            });
            assert!(next.join().unwrap() >= Duration::from_secs(1));
        });
    });
}

#[test]
fn names_and_identities_are_those_of_actors_and_threads() {
    within(PATIENCE, || {
        let outside = thread::current().id();
        assert_eq!(outside, thread::current().id());
        smarm::run(move || {
            let named = thread::Builder::new().name("reader").spawn(|| {
                thread::park();
                (thread::current().id(), thread::current().name().map(str::to_owned))
            });
            let named = named.unwrap();
            smarm::yield_now();
            let handle = named.thread();
            assert_eq!(handle.name(), Some("reader"));
            handle.unpark();
            assert_eq!(named.join().unwrap(), (handle.id(), Some("reader".to_owned())));
            assert_ne!(handle.id(), thread::current().id());
            assert_ne!(outside, thread::current().id());
            assert!(thread::available_parallelism().unwrap().get() > 0);
            assert!(!thread::panicking());
        });
    });
}

#[test]
fn a_kill_ends_a_park_and_a_scope_does() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let parked = Arc::new(AtomicBool::new(false));
        let theirs = parked.clone();
        let forever = runtime
            .spawn(move || {
                theirs.store(true, SeqCst);
                loop {
                    thread::park();
                }
            })
            .unwrap();
        until(|| parked.load(SeqCst));
        runtime.shutdown(PATIENCE).unwrap();
        assert!(forever.join().unwrap_err().is_killed());
        for in_actor in [true, false] {
            let over = || {
                smarm::with_timeout(Duration::from_millis(1), || {
                    loop {
                        thread::park()
                    }
                })
            };
            let over: Result<(), _> = if in_actor { smarm::run(over) } else { over() };
            assert_eq!(over, Err(smarm::cancel::Interrupted::TimedOut));
        }
    });
}
