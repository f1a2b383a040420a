//! Actors and tokio's tasks on one thread of `smarm_compat::run`, where nothing but a wait lets the other one go on.

use std::sync::Arc;

use smarm::sync::{Barrier, Condvar, Mutex, Notify, OnceCell, RwLock, Semaphore, WaitGroup};
use smarm_workspace::{PATIENCE, within};

use crate::support::LONG;

const ROUNDS: usize = 50;

fn on_one_thread(body: impl FnOnce() + Send + 'static) {
    within(PATIENCE, || smarm_compat::Builder::new().workers(1).run(body));
}

#[test]
fn an_actor_and_a_task_take_turns_with_locks() {
    on_one_thread(|| {
        let (mutex, lock, seat) =
            (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)), Arc::new(Semaphore::new(1)));
        let theirs = (mutex.clone(), lock.clone(), seat.clone());
        let task = tokio::spawn(async move {
            let (mutex, lock, seat) = theirs;
            for _ in 0..ROUNDS {
                let _seat = seat.acquire_async().await.unwrap();
                tokio::task::yield_now().await;
                *mutex.lock_async().await.unwrap() += 1;
                *lock.write_async().await.unwrap() += 1;
            }
        });
        for _ in 0..ROUNDS {
            let _seat = seat.acquire().unwrap();
            smarm::yield_now();
            *mutex.lock(LONG).unwrap() += 1;
            *lock.write(LONG).unwrap() += 1;
        }
        smarm::compat::await_future(task).unwrap();
        assert_eq!((*mutex.lock(LONG).unwrap(), *lock.read(LONG).unwrap()), (2 * ROUNDS, 2 * ROUNDS));
    });
}

#[test]
fn an_actor_and_a_task_wake_each_other() {
    on_one_thread(|| {
        let shared = Arc::new((Notify::new(), Barrier::new(2), Mutex::new(0), Condvar::new()));
        let (theirs, cell, group) = (shared.clone(), Arc::new(OnceCell::new()), WaitGroup::new());
        let (filled, member) = (cell.clone(), group.clone());
        let task = tokio::spawn(async move {
            let (notify, barrier, mutex, changed) = &*theirs;
            let mut led = 0;
            for round in 0..ROUNDS {
                notify.notify_one();
                led += usize::from(barrier.wait_async().await.is_leader());
                let guard = mutex.lock_async().await.unwrap();
                let waited = changed.wait_while_async(guard, |value| *value != round + 1);
                drop(waited.await.unwrap());
                barrier.wait_async().await;
            }
            filled.get_or_init_async(|| async { led }).await;
            drop(member);
        });
        let (notify, barrier, mutex, changed) = &*shared;
        let mut led = 0;
        for round in 0..ROUNDS {
            notify.wait();
            led += usize::from(barrier.wait().is_leader());
            *mutex.lock(LONG).unwrap() = round + 1;
            changed.notify_all();
            barrier.wait();
        }
        group.wait();
        assert_eq!(cell.wait() + led, ROUNDS);
        smarm::compat::await_future(task).unwrap();
    });
}
