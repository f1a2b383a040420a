//! Actors, tokio's tasks and OS threads on one channel.

use std::thread;

use smarm::channel::bounded;
use smarm::sync::{broadcast, mpmc, watch};
use smarm_workspace::{PATIENCE, block_on, within};

const EACH: u64 = 300;

/// Calls `f` as an actor of a runtime whose workers are tasks of tokio.
fn on_tokio<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    within(PATIENCE, || smarm_compat::run(f))
}

#[test]
fn an_actor_a_task_and_a_thread_send_to_an_actor() {
    on_tokio(|| {
        for capacity in [0, 1, 8] {
            let (tx, rx) = bounded(capacity);
            let (one, two, three) = (tx.clone(), tx.clone(), tx);
            let actor = smarm::spawn(move || (0..EACH).for_each(|n| one.send(n).unwrap()));
            let task = tokio::spawn(async move {
                for n in 0..EACH {
                    two.send_async(n).await.unwrap();
                }
            });
            let thread = thread::spawn(move || (0..EACH).for_each(|n| three.send(n).unwrap()));
            assert_eq!(rx.iter().sum::<u64>(), 3 * EACH * (EACH - 1) / 2);
            actor.join().unwrap();
            smarm::compat::await_future(task).unwrap();
            thread.join().unwrap();
        }
    });
}

#[test]
fn an_actor_a_task_and_a_thread_share_the_messages_of_such() {
    on_tokio(|| {
        for capacity in [None, Some(0), Some(1), Some(8)] {
            let (tx, rx) = capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
            let (one, two, three) = (rx.clone(), rx.clone(), rx);
            let actor = smarm::spawn(move || one.iter().fold((0, 0), |(n, sum), m: u64| (n + 1, sum + m)));
            let task = tokio::spawn(async move {
                let (mut n, mut sum) = (0, 0);
                while let Ok(message) = two.recv_async().await {
                    n += 1;
                    sum += message;
                }
                (n, sum)
            });
            let thread = thread::spawn(move || three.iter().fold((0, 0), |(n, sum), m| (n + 1, sum + m)));
            let (other, third) = (tx.clone(), tx.clone());
            let source = smarm::spawn(move || (0..EACH).for_each(|n| other.send(n).unwrap()));
            let source_thread = thread::spawn(move || (0..EACH).for_each(|n| third.send(n).unwrap()));
            let source_task = tokio::spawn(async move {
                for n in 0..EACH {
                    tx.send_async(n).await.unwrap();
                }
            });
            let got =
                [actor.join().unwrap(), smarm::compat::await_future(task).unwrap(), thread.join().unwrap()];
            assert_eq!(got.iter().map(|got| got.0).sum::<u64>(), 3 * EACH);
            assert_eq!(got.iter().map(|got| got.1).sum::<u64>(), 3 * EACH * (EACH - 1) / 2);
            source.join().unwrap();
            source_thread.join().unwrap();
            smarm::compat::await_future(source_task).unwrap();
        }
    });
}

#[test]
fn an_actor_a_task_and_a_thread_hear_every_broadcast() {
    on_tokio(|| {
        let (tx, mut one) = broadcast::channel(EACH as usize);
        let (mut two, mut three) = (tx.subscribe(), tx.subscribe());
        let actor = smarm::spawn(move || (0..EACH).for_each(|n| assert_eq!(one.recv(), Ok(n))));
        let task = tokio::spawn(async move {
            for n in 0..EACH {
                assert_eq!(two.recv_async().await, Ok(n));
            }
        });
        let thread = thread::spawn(move || (0..EACH).for_each(|n| assert_eq!(three.recv(), Ok(n))));
        for n in 0..EACH {
            tx.send(n).unwrap();
            smarm::yield_now();
        }
        actor.join().unwrap();
        smarm::compat::await_future(task).unwrap();
        thread.join().unwrap();
        assert!(tx.is_empty());
    });
}

#[test]
fn an_actor_a_task_and_a_thread_watch_one_value() {
    on_tokio(|| {
        let (tx, mut one) = watch::channel(0);
        let (mut two, mut three) = (one.clone(), one.clone());
        let actor = smarm::spawn(move || *one.wait_for(|n| *n == EACH).unwrap());
        let task = tokio::spawn(async move { *two.wait_for_async(|n| *n == EACH).await.unwrap() });
        let thread = thread::spawn(move || {
            let mut last = 0;
            while last < EACH {
                block_on(three.changed_async()).unwrap();
                let now = *three.borrow_and_update();
                assert!(now > last);
                last = now;
            }
            last
        });
        for _ in 0..EACH {
            tx.send_modify(|n| *n += 1);
            smarm::yield_now();
        }
        assert_eq!(actor.join().unwrap(), EACH);
        assert_eq!(smarm::compat::await_future(task).unwrap(), EACH);
        assert_eq!(thread.join().unwrap(), EACH);
    });
}
