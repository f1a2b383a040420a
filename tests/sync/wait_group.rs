//! | promise | of | test |
//! |---|---|---|
//! | a wait ends when all other clones are gone | crossbeam | `a_wait_ends_when_all_others_are_done` |
//! | several may wait | crossbeam | `several_wait_for_the_rest` |
//! | alone, one does not wait | crossbeam | `alone_one_does_not_wait` |
//! | a member that panics or is killed is done | smarm | `members_that_panic_or_are_killed_are_done` |
//! | a timeout makes its caller a member again | smarm | `who_times_out_is_a_member_again` |
//! | a dropped wait is done | smarm | `a_wait_that_is_dropped_is_done` |
//! | a killed waiter is done | smarm | `a_killed_waiter_is_done` |
//! | everybody at once | smarm | `actors_tasks_and_threads_are_members` |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use smarm::sync::{WaitError, WaitGroup};
use smarm_workspace::{PATIENCE, Signal, until, within, workers};

use crate::support::{LONG, Polled, SHORT, send};

#[test]
fn a_wait_ends_when_all_others_are_done() {
    let group = WaitGroup::new();
    let others = [group.clone(), group.clone()];
    let mut wait = Polled::waiting(group.wait_async());
    let [one, two] = others;
    drop(one);
    assert!(wait.is_pending());
    drop(two);
    assert_eq!(wait.wakes(), 1);
    wait.ready();
}

#[test]
fn several_wait_for_the_rest() {
    let group = WaitGroup::new();
    let other = group.clone();
    let mut waits = [Polled::waiting(group.clone().wait_async()), Polled::waiting(group.wait_async())];
    drop(other);
    waits.iter_mut().for_each(Polled::ready);
}

#[test]
fn alone_one_does_not_wait() {
    WaitGroup::new().wait();
    WaitGroup::default().wait_deadline(Instant::now()).unwrap();
}

#[test]
fn members_that_panic_or_are_killed_are_done() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let group = WaitGroup::new();
            let (member, other) = (group.clone(), group.clone());
            let panics = smarm::spawn(move || {
                let _member = member;
                panic!("as a member");
            });
            let killed = smarm::spawn(move || {
                let _member = other;
                smarm::sleep(LONG);
            });
            killed.kill();
            group.wait();
            assert!(panics.join().is_err() && killed.join().is_err());
        });
    });
}

#[test]
fn who_times_out_is_a_member_again() {
    within(PATIENCE, || {
        let wait = || {
            let group = WaitGroup::new();
            let other = group.clone();
            let start = Instant::now();
            let error = group.wait_timeout(SHORT).unwrap_err();
            assert_eq!(error.reason, WaitError::TimedOut);
            assert!(start.elapsed() >= SHORT);
            let mut waits = Polled::waiting(other.wait_async());
            drop(error);
            waits.ready();
        };
        workers(1).run(wait);
        wait();
    });
}

#[test]
fn a_wait_that_is_dropped_is_done() {
    let group = WaitGroup::new();
    let mut wait = Polled::waiting(group.clone().wait_async());
    let other = group.clone();
    drop(Polled::waiting(other.wait_async()));
    assert!(wait.is_pending());
    drop(group.wait_async()); // not even polled
    wait.ready();
}

#[test]
fn a_killed_waiter_is_done() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (group, waits) = (WaitGroup::new(), Signal::new());
            let (member, signal) = (group.clone(), waits.clone());
            let killed = smarm::spawn(move || {
                signal.raise();
                member.wait();
            });
            waits.wait(1);
            killed.kill();
            assert!(killed.join().is_err());
            group.wait();
        });
    });
}

#[test]
fn actors_tasks_and_threads_are_members() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        for _ in 0..50 {
            let group = WaitGroup::new();
            let done = Arc::new(AtomicUsize::new(0));
            let work = |member: WaitGroup| {
                let done = done.clone();
                move || {
                    done.fetch_add(1, SeqCst);
                    drop(member);
                }
            };
            let actor = runtime.spawn(work(group.clone())).unwrap();
            let task = work(group.clone());
            tokio.spawn(async move { task() });
            let thread = thread::spawn(work(group.clone()));
            let (seen, theirs) = (Arc::new(AtomicUsize::new(0)), group.clone());
            let (count, result) = (done.clone(), seen.clone());
            tokio.spawn(send(async move {
                theirs.wait_async().await;
                result.store(count.load(SeqCst), SeqCst);
            }));
            group.wait();
            assert_eq!(done.load(SeqCst), 3);
            until(|| seen.load(SeqCst) == 3);
            actor.join().unwrap();
            thread.join().unwrap();
        }
    });
}
