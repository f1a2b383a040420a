//! How a wait on a channel ends before its time: killed, timed out, cancelled, in an actor that unwinds.
//!
//! | wait | kill | deadline of a scope | cancelled token | in a destructor during a kill |
//! |---|---|---|---|---|
//! | `mpmc` receive and send | unwinds | `TimedOut`; a send gives back | `Cancelled`; a send gives back | `Cancelled` |
//! | `broadcast` receive | unwinds | `TimedOut` | `Cancelled` | `Cancelled` |
//! | `watch` `changed`, `wait_for` | unwinds | `TimedOut` | `Cancelled` | `Cancelled` |
//! | `closed` of both | unwinds | unwinds to the scope | unwinds to the scope | waits on |
//!
//! For the channels with one receiver see `tests/channels/basics.rs` and `tests/everyday/cancel.rs`.

use std::sync::Arc;
use std::time::Duration;

use smarm::cancel::Interrupted;
use smarm::channel::{RecvError, SendError, bounded};
use smarm::sync::{broadcast, mpmc, watch};
use smarm::{CancelToken, with_cancel, with_timeout};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, until, within, workers};

/// What a wait gave: an error's name.
type Outcome = Result<(), &'static str>;

fn of_recv(error: RecvError) -> &'static str {
    match error {
        RecvError::TimedOut => "timed out",
        RecvError::Cancelled => "cancelled",
        RecvError::Closed => "closed",
    }
}

/// Each wait, by something that nobody ends otherwise.
fn waits() -> Vec<Box<dyn Fn() -> Outcome + Send + Sync>> {
    let (tx, rx) = mpmc::bounded(1);
    tx.send(0).unwrap();
    let (idle_tx, idle) = mpmc::unbounded::<u8>();
    let (meets_tx, meets) = mpmc::bounded::<u8>(0);
    let (casts, _) = broadcast::channel::<u8>(1);
    let (watched, _) = watch::channel(0);
    let (waited, listening) = watch::channel(0);
    vec![
        Box::new(move || {
            (rx.len() == 1).then_some(()).ok_or("it was emptied").and(tx.send(1).map_err(|_| "given back"))
        }),
        Box::new(move || {
            idle.recv().map(drop).map_err(of_recv).and((!idle_tx.is_closed()).then_some(()).ok_or("gone"))
        }),
        Box::new(move || {
            meets.recv().map(drop).map_err(of_recv).and((!meets_tx.is_closed()).then_some(()).ok_or("gone"))
        }),
        Box::new(move || match casts.subscribe().recv() {
            Err(broadcast::RecvError::TimedOut) => Err("timed out"),
            Err(broadcast::RecvError::Cancelled) => Err("cancelled"),
            received => panic!("nobody sends: {received:?}"),
        }),
        Box::new(move || watched.subscribe().changed().map_err(of_recv)),
        Box::new(move || {
            let found = listening.clone().wait_for(|n| *n > 0).map(drop).map_err(of_recv);
            found.and((waited.receiver_count() > 0).then_some(()).ok_or("gone"))
        }),
    ]
}

#[test]
fn the_deadline_of_a_scope_ends_each_wait() {
    within(PATIENCE, || {
        let check = || {
            for (n, wait) in waits().into_iter().enumerate() {
                let outcome = with_timeout(Duration::from_micros(100), &wait);
                assert_eq!(outcome, Ok(Err(if n == 0 { "given back" } else { "timed out" })), "wait {n}");
            }
        };
        smarm::run(check);
        check();
    });
}

#[test]
fn a_cancelled_token_ends_each_wait() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for (n, wait) in waits().into_iter().enumerate() {
            let (token, waiting) = (CancelToken::new(), Signal::new());
            let (theirs, started) = (token.clone(), waiting.clone());
            let actor = runtime.spawn(move || {
                started.raise();
                with_cancel(&theirs, &wait)
            });
            waiting.wait(1);
            token.cancel();
            let outcome = actor.unwrap().join().unwrap();
            assert_eq!(outcome, Ok(Err(if n == 0 { "given back" } else { "cancelled" })), "wait {n}");
        }
    });
}

#[test]
fn a_kill_ends_each_wait() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for wait in waits() {
            let waiting = Signal::new();
            let started = waiting.clone();
            let actor = runtime.spawn(move || {
                started.raise();
                wait()
            });
            waiting.wait(1);
            let actor = actor.unwrap();
            actor.kill();
            assert!(actor.join().unwrap_err().is_killed());
        }
    });
}

#[test]
fn a_wait_in_a_destructor_during_a_kill_is_cancelled() {
    within(PATIENCE, || {
        smarm::run(|| {
            for (n, wait) in waits().into_iter().enumerate() {
                let (waiting, report) = (Signal::new(), Arc::new(std::sync::Mutex::new(None)));
                let (started, theirs) = (waiting.clone(), report.clone());
                let actor = smarm::spawn(move || {
                    let _waits = OnDrop(|| *theirs.lock().unwrap() = Some(wait()));
                    started.raise();
                    smarm::sleep(Duration::MAX);
                });
                waiting.wait(1);
                actor.kill();
                assert!(actor.join().unwrap_err().is_killed());
                let outcome = report.lock().unwrap().take();
                assert_eq!(outcome, Some(Err(if n == 0 { "given back" } else { "cancelled" })), "wait {n}");
            }
        });
    });
}

#[test]
fn a_wait_for_the_other_sides_end_unwinds_to_its_scope() {
    within(PATIENCE, || {
        let check = || {
            let (casts, _casts) = broadcast::channel::<u8>(1);
            let (watched, _watched) = watch::channel(0);
            let time = Duration::from_micros(100);
            assert_eq!(with_timeout(time, || casts.closed()), Err(Interrupted::TimedOut));
            assert_eq!(with_timeout(time, || watched.closed()), Err(Interrupted::TimedOut));
            assert_eq!(with_timeout(time, || watched.closed_timeout(Duration::MAX)), Ok(false));
        };
        smarm::run(check);
        check();
    });
}

#[test]
fn kills_that_race_with_messages_lose_and_double_none() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for capacity in [None, Some(0), Some(2)] {
            for _ in 0..150 {
                let drops = Drops::new();
                let (tx, rx) = capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
                let receive = |rx: mpmc::Receiver<_>| {
                    let (tx, received) = smarm::channel();
                    let actor =
                        runtime.spawn(move || rx.iter().for_each(|message| tx.send(message).unwrap()));
                    (actor.unwrap(), received)
                };
                let ((victim, some), (survivor, rest)) = (receive(rx.clone()), receive(rx));
                let held: Vec<_> = (0..20).map(|_| drops.counted()).collect();
                let sends =
                    runtime.spawn(move || held.into_iter().for_each(|message| tx.send(message).unwrap()));
                victim.kill();
                sends.unwrap().join().unwrap();
                survivor.join().unwrap();
                assert!(victim.join().map_or_else(|error| error.is_killed(), |()| true));
                let got: Vec<_> = some.iter().chain(rest.iter()).collect();
                assert_eq!((got.len(), drops.count()), (20, 0));
                drop(got);
                assert_eq!(drops.count(), 20);
            }
        }
    });
}

#[test]
fn a_receiver_that_is_killed_after_its_wake_passes_the_message_on() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (tx, rx) = mpmc::unbounded();
            let waiting = Signal::new();
            let actors = [rx.clone(), rx].map(|rx| {
                let waiting = waiting.clone();
                smarm::spawn(move || {
                    waiting.raise();
                    rx.recv()
                })
            });
            until(|| waiting.count() == 2);
            smarm::yield_now();
            tx.send(7).unwrap(); // wakes the first, which does not run before it is killed
            let [first, second] = actors;
            first.kill();
            match first.join() {
                Err(_) => assert_eq!(second.join().unwrap(), Ok(7)),
                Ok(first) => {
                    // It was started later than the second.
                    drop(tx);
                    let got = [first, second.join().unwrap()];
                    assert!(got.contains(&Ok(7)) && got.contains(&Err(RecvError::Closed)));
                }
            }
        });
    });
}

#[test]
fn a_killed_sender_of_a_full_channel_keeps_its_place_from_nobody() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (tx, rx) = mpmc::bounded(1);
            tx.send(0).unwrap();
            let waiting = Signal::new();
            let send = |n| {
                let (tx, waiting) = (tx.clone(), waiting.clone());
                smarm::spawn(move || {
                    waiting.raise();
                    tx.send(n)
                })
            };
            let victim = send(1);
            until(|| waiting.count() == 1);
            let other = send(2);
            until(|| waiting.count() == 2);
            victim.kill();
            assert!(victim.join().unwrap_err().is_killed());
            assert_eq!((rx.recv(), rx.recv()), (Ok(0), Ok(2)));
            assert_eq!(other.join().unwrap(), Ok(()));
            drop(rx);
            assert_eq!(tx.send(3), Err(SendError(3)));
            let (one, _one_rx) = bounded(1);
            one.send(4).unwrap();
            assert_eq!(with_timeout(Duration::from_micros(1), || one.send(5)), Ok(Err(SendError(5))));
        });
    });
}
