//! Locks, signals, and channels with many receivers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::{LONG, everywhere};
use crate::sync::{Barrier, Condvar, Notify, OnceCell, RwLock, Semaphore, WaitGroup, broadcast, mpmc, watch};
use crate::{Mutex, spawn};

#[test]
fn readers_share_and_writers_do_not() {
    everywhere(|| {
        let lock = Arc::new(RwLock::new(vec![0_u32]));
        let actors: Vec<_> = (1..=4)
            .map(|n| {
                let lock = lock.clone();
                spawn(move || {
                    if n % 2 == 0 {
                        let mut held = lock.write(LONG).unwrap();
                        crate::yield_now();
                        held.push(n);
                    } else {
                        let held = lock.read(LONG).unwrap();
                        let before = held.len();
                        crate::yield_now();
                        assert_eq!(held.len(), before);
                    }
                })
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        assert_eq!(lock.read(LONG).unwrap().iter().sum::<u32>(), 6);
    });
}

#[test]
fn permits_are_waited_for_in_numbers() {
    everywhere(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let inside = Arc::new(AtomicUsize::new(0));
        let actors: Vec<_> = (0..4)
            .map(|n| {
                let (semaphore, inside) = (semaphore.clone(), inside.clone());
                spawn(move || {
                    let count = 1 + n % 2;
                    let _permit = semaphore.acquire_many(count).unwrap();
                    assert!(inside.fetch_add(count, SeqCst) + count <= 2);
                    crate::yield_now();
                    inside.fetch_sub(count, SeqCst);
                })
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn who_waits_for_a_condition_sees_it() {
    everywhere(|| {
        let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let theirs = shared.clone();
        let waiter = spawn(move || {
            let (list, changed) = &*theirs;
            changed.wait_while(list.lock(LONG).unwrap(), |list| list.len() < 3).unwrap().len()
        });
        for n in 0..3 {
            shared.0.lock(LONG).unwrap().push(Box::new(n));
            shared.1.notify_all();
            crate::yield_now();
        }
        assert_eq!(waiter.join().unwrap(), 3);
    });
}

#[test]
fn all_come_before_one_goes_on() {
    everywhere(|| {
        let (barrier, come) = (Arc::new(Barrier::new(3)), Arc::new(AtomicUsize::new(0)));
        let all = WaitGroup::new();
        let actors: Vec<_> = (0..3)
            .map(|_| {
                let (barrier, come, all) = (barrier.clone(), come.clone(), all.clone());
                spawn(move || {
                    let _all = all;
                    come.fetch_add(1, SeqCst);
                    let leads = barrier.wait().is_leader();
                    assert_eq!(come.load(SeqCst), 3);
                    leads
                })
            })
            .collect();
        all.wait();
        let leaders = actors.into_iter().map(|actor| usize::from(actor.join().unwrap())).sum::<usize>();
        assert_eq!(leaders, 1);
    });
}

#[test]
fn a_value_is_made_once_and_those_who_wait_for_it_are_told() {
    everywhere(|| {
        let cell = Arc::new(OnceCell::new());
        let told = Arc::new(Notify::new());
        let actors: Vec<_> = (0..3)
            .map(|n| {
                let (cell, told) = (cell.clone(), told.clone());
                spawn(move || {
                    let made = cell.get_or_init(|| {
                        crate::yield_now();
                        Box::new(n)
                    });
                    told.notify_one();
                    **made
                })
            })
            .collect();
        told.wait();
        let made = **cell.wait();
        assert!(actors.into_iter().all(|actor| actor.join().unwrap() == made));
    });
}

#[test]
fn many_receivers_share_messages() {
    everywhere(|| {
        let (sender, receiver) = mpmc::bounded(1);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let receiver = receiver.clone();
                spawn(move || {
                    let mut sum = 0;
                    while let Ok(message) = receiver.recv() {
                        let message: Box<u32> = message;
                        sum += *message;
                    }
                    sum
                })
            })
            .collect();
        (1..=6).for_each(|n| sender.send(Box::new(n)).unwrap());
        drop(sender);
        assert_eq!(receivers.into_iter().map(|actor| actor.join().unwrap()).sum::<u32>(), 21);
    });
}

#[test]
fn each_receiver_gets_each_message_and_the_last_value() {
    everywhere(|| {
        let (sender, receiver) = broadcast::channel::<Box<u32>>(8);
        let (last, seen) = watch::channel(Box::new(0));
        let actors: Vec<_> = (0..2)
            .map(|_| {
                let (mut receiver, mut seen) = (sender.subscribe(), seen.clone());
                spawn(move || {
                    let sum: u32 = (0..3).map(|_| *receiver.recv().unwrap()).sum();
                    while **seen.borrow_and_update() != 3 {
                        seen.changed().unwrap();
                    }
                    sum
                })
            })
            .collect();
        drop((receiver, seen));
        for n in 1..=3 {
            assert!(sender.send(Box::new(n)).is_ok());
            assert!(last.send(Box::new(n)).is_ok());
            crate::yield_now();
        }
        assert!(actors.into_iter().all(|actor| actor.join().unwrap() == 6));
    });
}

#[test]
fn threads_and_actors_wait_for_each_other() {
    everywhere(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (sender, receiver) = mpmc::bounded(0);
        let theirs = semaphore.clone();
        let other = thread::spawn(move || {
            theirs.acquire().unwrap().forget();
            sender.send(Box::new(5)).unwrap();
            theirs.acquire_timeout(LONG).unwrap().forget();
        });
        semaphore.add_permits(1);
        assert_eq!(*receiver.recv().unwrap(), 5);
        semaphore.add_permits(1);
        other.join().unwrap();
    });
}
