//! Identities: unique for ever, and harmless once stale.

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use smarm::compat::await_future;
use smarm::{Config, Pid, try_self_pid};
use smarm_workspace::{PATIENCE, Signal, calm, panic_message, until, within, workers};

/// The part of a pid that names the slot, as it is printed.
fn slot_of(pid: Pid) -> String {
    let text = pid.to_string();
    text.split_once('.').expect("a pid is printed as slot.generation").0.to_owned()
}

/// An actor whose slot is that of `pid`, which has ended: `f` runs in it.
fn successor<T: Send + 'static>(
    pid: Pid,
    f: impl FnOnce() -> T + Clone + Send + 'static,
) -> smarm::JoinHandle<T> {
    loop {
        let child = smarm::spawn(f.clone());
        if slot_of(child.pid()) == slot_of(pid) {
            return child;
        }
        child.kill();
        drop(child.join());
    }
}

#[test]
fn no_two_actors_ever_share_a_pid() {
    const ACTORS: usize = 20_000;
    within(PATIENCE, || {
        let mut seen = HashSet::new();
        for _ in 0..2 {
            let runtime = workers(2);
            let pids = Arc::new(Mutex::new(Vec::new()));
            let theirs = pids.clone();
            runtime.run(|| {
                for _ in 0..ACTORS / 20 {
                    let children: Vec<_> = (0..10).map(|_| smarm::spawn(smarm::self_pid)).collect();
                    for child in children {
                        let pid = child.pid();
                        assert_eq!(child.join().unwrap(), pid);
                        theirs.lock().unwrap().push(pid);
                    }
                }
            });
            for pid in pids.lock().unwrap().drain(..) {
                assert!(seen.insert(pid), "{pid} came twice");
            }
        }
        assert_eq!(seen.len(), ACTORS);
    });
}

#[test]
fn a_slot_is_used_again_with_another_generation() {
    within(PATIENCE, || {
        smarm::run(|| {
            let first = smarm::spawn(|| ());
            let pid = first.pid();
            first.join().unwrap();
            let next = successor(pid, || ());
            assert_ne!(next.pid(), pid);
            next.join().unwrap();
        });
    });
}

#[test]
fn a_kill_of_an_ended_actor_spares_the_next_one_in_its_slot() {
    within(PATIENCE, || {
        smarm::run(|| {
            for _ in 0..100 {
                let go = Signal::new();
                let ended = smarm::spawn(|| ());
                until(|| ended.is_finished());
                let theirs = go.clone();
                let next = successor(ended.pid(), move || {
                    theirs.wait(1);
                    42
                });
                ended.kill(); // while the next is new
                until(|| go.waiting() == 1);
                ended.kill(); // while it is parked
                go.raise();
                ended.kill(); // while it is queued
                assert_eq!(next.join().unwrap(), 42);
                ended.join().unwrap();
            }
        });
    });
}

#[test]
fn kills_that_race_with_the_end_of_their_actor_spare_the_next_one() {
    within(PATIENCE, || {
        let runtime = workers(1);
        for _ in 0..2000 {
            let victim = runtime.spawn(|| ()).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..20 {
                        victim.kill();
                    }
                });
                let next = runtime.spawn(|| {
                    smarm::yield_now();
                    42
                });
                assert_eq!(next.unwrap().join().unwrap(), 42);
            });
            // It was quick enough or was killed: both are right.
            if let Err(error) = victim.join() {
                assert!(error.is_killed());
            }
        }
    });
}

#[test]
fn a_stale_waker_does_not_even_poll_the_next_actor_in_the_slot() {
    within(PATIENCE, || {
        smarm::runtime::init(calm(Config::exact(1))).run(|| {
            let stale: Arc<Mutex<Option<Waker>>> = Arc::default();
            let theirs = stale.clone();
            let ended = smarm::spawn(move || {
                await_future(poll_fn(|cx| {
                    *theirs.lock().unwrap() = Some(cx.waker().clone());
                    Poll::Ready(())
                }));
            });
            let pid = ended.pid();
            ended.join().unwrap();
            let stale = stale.lock().unwrap().take().unwrap();

            let (go, polls) = (Signal::new(), Arc::new(AtomicUsize::new(0)));
            let theirs = (go.clone(), polls.clone());
            let next = successor(pid, move || {
                let mut reached = Box::pin(theirs.0.reached(1));
                await_future(poll_fn(|cx| {
                    theirs.1.fetch_add(1, SeqCst);
                    reached.as_mut().poll(cx)
                }));
            });
            until(|| go.waiting() == 1);
            let before = polls.load(SeqCst);
            for _ in 0..100 {
                stale.wake_by_ref();
                smarm::yield_now();
            }
            assert_eq!(polls.load(SeqCst), before);
            go.raise();
            next.join().unwrap();
        });
    });
}

#[test]
fn a_waker_outlives_its_actor_and_its_runtime() {
    within(PATIENCE, || {
        let waker = smarm::run(|| await_future(poll_fn(|cx| Poll::Ready(cx.waker().clone()))));
        waker.wake_by_ref();
        let runtime = workers(1);
        let child = runtime.spawn(|| smarm::sleep(Duration::MAX)).unwrap();
        waker.wake_by_ref();
        child.kill();
        assert!(child.join().unwrap_err().is_killed());
        drop(runtime);
        thread::spawn(move || waker.wake()).join().unwrap();
    });
}

#[test]
fn self_pid_is_the_actors_also_in_a_poll_and_on_the_native_stack() {
    within(PATIENCE, || {
        smarm::run(|| {
            let pid = smarm::self_pid();
            assert_eq!(await_future(async { smarm::self_pid() }), pid);
            assert_eq!(smarm::on_native_stack(smarm::self_pid), pid);
            let child = smarm::spawn(smarm::self_pid);
            let pid_of_child = child.pid();
            assert_eq!(child.join().unwrap(), pid_of_child);
            assert_eq!(smarm::self_pid(), pid);
        });
    });
}

#[test]
fn self_pid_outside_an_actor_names_the_way_in() {
    within(PATIENCE, || {
        assert_eq!(try_self_pid(), None);
        let message = panic_message(smarm::self_pid);
        assert!(message.contains("Runtime::spawn"), "{message}");
    });
}
