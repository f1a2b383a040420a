//! Larger compositions of the protocols, under Shuttle: whole workers with their inboxes, queues, wheels and sleep,
//! whose actors use channels, mutexes, timers and joins, and are killed.
//!
//! | composition | actors | property | planted bugs |
//! |---|---|---|---|
//! | lives | a parent that joins its child, which waits for outside; another kills the parent | all end; nobody else is killed | the second look left out; a wake torn; an exposure skipped |
//! | channels | two senders and a receiver that leaves; one sender is killed | each message is received, given back or dropped; nobody waits for ever | a permit given back torn |
//! | crowd | a sender, two receivers, one of which gives up | the message comes to one | the passing on left out |
//! | mutex | three that want it; one gives up after a while, one is killed | one holder at a time; who waits gets it | the passing on left out |
//! | timers | one sets a timer, the other waits for it or gives it up | who sleeps wakes | the ringing not noted |
//! | shutdown | actors parked at channels, timers, joins, and one not begun | all are dropped, once; the workers end | the last end told to nobody |
//!
//! The workers' code is the real one, but for the switch: an actor is a future that its worker polls, with the
//! waker that the actor would have, and drops when it is killed. loom would not come to an end here. Shuttle draws
//! interleavings at random, with everything sequentially consistent.

mod town;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use self::town::{Stay, in_time, run};
use crate::actor::local;
use crate::channel::testing::Counted;
use crate::channel::{Sender, bounded, channel, oneshot};
use crate::mutex::Mutex;
use crate::primitive::atomic::AtomicUsize;
use crate::primitive::atomic::Ordering::{AcqRel, Relaxed};
use crate::primitive::flaw::{Flaw, Op, Step, omitted, skipped, torn};
use crate::primitive::model::{block_on, check, check_flawed};
use crate::sync::mpmc;
use crate::time::sleep_async;

const MOMENT: Duration = Duration::from_millis(1);

/// How many threads change where they need not, in the half of the runs that counts them.
const CHANGES: usize = 3;

fn lives() {
    run(2, 3, |town| {
        let (news, wait) = oneshot::channel::<u32>();
        let child = town.spawn(async move { wait.await.unwrap_or(0) });
        let (tell, told) = oneshot::channel();
        let parent = town.spawn(async move {
            let ended = child.await;
            drop(tell.send(ended));
        });
        let victim = parent.pid();
        let third = town.spawn(async move {
            local::kill(victim);
            7
        });
        assert!(news.send(3).is_ok(), "the child is never killed");
        match block_on(parent) {
            Ok(()) => assert!(matches!(block_on(told), Ok(Ok(3)))),
            Err(error) => assert!(error.is_killed()),
        }
        assert_eq!(block_on(third).ok(), Some(7), "who was not killed ends well");
    });
}

#[test]
fn actors_that_are_joined_woken_and_killed_all_end() {
    check(CHANGES, lives);
}

fn flawed_lives(flaw: Flaw) {
    check_flawed(flaw, CHANGES, lives);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_without_a_second_look_is_caught() {
    flawed_lives(omitted(Step::SecondLook));
}

#[test]
#[should_panic]
fn a_torn_wake_is_caught() {
    flawed_lives(torn("actor/state.rs", Op::Exchange, AcqRel));
}

#[test]
#[should_panic(expected = "deadlock")]
fn an_exposure_that_is_skipped_is_caught() {
    flawed_lives(skipped("actor/state.rs", Op::Modify, AcqRel));
}

fn channels() {
    let counted = Counted::new();
    run(2, 3, |town| {
        let (tx, mut rx) = bounded(1);
        let send = |tx: Sender<_>, tokens: [_; 2]| async move {
            for token in tokens {
                if tx.send_async(token).await.is_err() {
                    break;
                }
            }
        };
        let first = town.spawn(send(tx.clone(), [counted.token(), counted.token()]));
        let second = town.spawn(send(tx, [counted.token(), counted.token()]));
        let receiver = town.spawn(async move {
            let mut received = 0;
            while received < 3 && rx.recv_async().await.is_ok() {
                received += 1;
            }
            received
        });
        first.kill();
        let received = block_on(receiver).expect("it was not killed");
        assert!((2..=3).contains(&received), "{received} were received, of two at least and three at most");
        assert!(block_on(second).is_ok(), "it was not killed");
        drop(block_on(first));
    });
    assert_eq!(counted.alive(), 0, "a message was lost");
}

#[test]
fn channels_lose_nothing_when_ends_leave_and_are_killed() {
    check(CHANGES, channels);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_torn_permit_is_caught() {
    check_flawed(torn("channel/bound.rs", Op::Modify, AcqRel), CHANGES, channels);
}

fn crowd() {
    run(2, 3, |town| {
        let (tx, rx) = mpmc::unbounded();
        let impatient = rx.clone();
        let first = town.spawn(async move {
            in_time(impatient.recv_async(), sleep_async(MOMENT)).await.is_some_and(|it| it.is_ok())
        });
        let second = town.spawn(async move { rx.recv_async().await.is_ok() });
        let sender = tx.clone();
        let third = town.spawn(async move { sender.send_async(1).await.expect("somebody receives") });
        assert!(block_on(third).is_ok());
        if block_on(first).expect("it was not killed") {
            drop(tx); // so that the other one ends
            assert!(!block_on(second).expect("it was not killed"), "the message came twice");
        } else {
            assert!(block_on(second).expect("it was not killed"), "the message comes to who waits");
        }
    });
}

#[test]
fn each_message_comes_to_one_of_many_though_some_give_up() {
    check(CHANGES, crowd);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_receive_that_is_given_up_and_keeps_its_wake_is_caught() {
    check_flawed(omitted(Step::WakeNext), CHANGES, crowd);
}

fn mutex() {
    run(2, 3, |town| {
        let mutex = Arc::new(Mutex::new(0));
        let holders = Arc::new(AtomicUsize::new(0));
        let add = |patient: bool| {
            let (mutex, holders) = (mutex.clone(), holders.clone());
            async move {
                let lock = mutex.lock_async();
                let locked =
                    if patient { Some(lock.await) } else { in_time(lock, sleep_async(MOMENT)).await };
                let Some(Ok(mut guard)) = locked else { return 0 };
                assert_eq!(holders.fetch_add(1, Relaxed), 0, "two hold it");
                Stay::default().await;
                holders.fetch_sub(1, Relaxed);
                *guard += 1;
                1
            }
        };
        let (patient, impatient) = (town.spawn(add(true)), town.spawn(add(false)));
        let theirs = mutex.clone();
        // Killed while it waits, or just as it gets it.
        let victim = town.spawn(async move { drop(theirs.lock_async().await) });
        victim.kill();
        let held = block_on(patient).expect("not killed") + block_on(impatient).expect("not killed");
        drop(block_on(victim));
        assert_eq!(*block_on(mutex.lock_async()).ok().expect("not poisoned"), held);
    });
}

#[test]
fn a_mutex_is_handed_on_though_some_give_up() {
    check(CHANGES, mutex);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_waiter_that_keeps_what_it_does_not_want_is_caught() {
    check_flawed(omitted(Step::PassOn), CHANGES, mutex);
}

/// A timer is set by one actor and waited for, or given up, by another one, on another worker perhaps.
fn timers(gives_up: bool) {
    run(2, 2, |town| {
        let (give, given) = oneshot::channel();
        let first = town.spawn(async move {
            let mut nap = Box::pin(sleep_async(MOMENT));
            if poll_fn(|cx| Poll::Ready(nap.as_mut().poll(cx))).await.is_pending() {
                drop(give.send(nap));
            }
            sleep_async(2 * MOMENT).await;
        });
        let second = town.spawn(async move {
            match given.await {
                Ok(nap) if gives_up => drop(in_time(nap, Stay::default()).await),
                Ok(nap) => nap.await,
                Err(_) => {}
            }
        });
        assert!(block_on(first).is_ok() && block_on(second).is_ok());
    });
}

#[test]
fn who_sleeps_wakes_wherever_the_timer_lies() {
    check(CHANGES, || timers(false));
    check(CHANGES, || timers(true));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_timer_that_rings_and_does_not_say_so_is_caught() {
    check_flawed(omitted(Step::NoteRung), CHANGES, || timers(false));
}

fn shutdown() {
    let counted = Counted::new();
    run(2, 5, |town| {
        let (tx, mut rx) = channel::<u32>();
        let token = counted.token();
        let receiver = town.spawn(async move {
            let _token = token;
            rx.recv_async().await.is_ok()
        });
        let token = counted.token();
        drop(town.spawn(async move {
            let _ends = (token, tx);
            sleep_async(1000 * MOMENT).await;
        }));
        let token = counted.token();
        drop(town.spawn(async move {
            let _token = token;
            drop(receiver.await);
        }));
        let token = counted.token();
        drop(town.spawn(async move { drop(token) }));
    });
    assert_eq!(counted.alive(), 0, "an actor's record was left");
}

#[test]
fn a_shutdown_ends_parked_and_new_actors_once_and_then_the_workers() {
    check(CHANGES, shutdown);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_last_end_that_nobody_hears_of_is_caught() {
    check_flawed(omitted(Step::LastEnd), CHANGES, shutdown);
}
