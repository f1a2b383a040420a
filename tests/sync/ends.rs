//! What ends any wait: a kill, the end of a scope, a token; on an actor and, but for the kill, on an OS thread. After that
//! everything is as if nobody had waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use smarm::sync::{
    AcquireError, Barrier, Condvar, LockError, Mutex, Notify, Once, OnceCell, RwLock, Semaphore, WaitError,
    WaitGroup,
};
use smarm::{CancelToken, with_cancel, with_timeout};
use smarm_workspace::{OnDrop, PATIENCE, Signal, within, workers};

use crate::support::{LONG, Polled, SHORT};

/// One of each, none of which is to be had: the holder of the locks is the caller of [`All::taken`].
struct All {
    mutex: Mutex<()>,
    lock: RwLock<()>,
    free: Mutex<()>,
    changed: Condvar,
    semaphore: Semaphore,
    notify: Notify,
    barrier: Barrier,
    once: Once,
    cell: OnceCell<u8>,
    group: WaitGroup,
}

type Wait = fn(&All);

/// Those whose signature has an error, and where it has not, that is ignored. What ends them may come before the wait
/// itself, at the lock that a condition variable needs and that another waiter has.
const WAITS: [(&str, Wait); 14] = [
    ("lock", |all| drop(all.mutex.lock(LONG).map_err(LockError::into_guard))),
    ("read", |all| drop(all.lock.read(LONG).map_err(LockError::into_guard))),
    ("write", |all| drop(all.lock.write(LONG).map_err(LockError::into_guard))),
    ("condvar", |all| {
        drop(all.free.lock(LONG).map(|guard| all.changed.wait(guard).map_err(LockError::into_guard)));
    }),
    ("condvar, timed", |all| {
        drop(
            all.free
                .lock(LONG)
                .map(|guard| all.changed.wait_timeout(guard, LONG).map_err(LockError::into_guard)),
        );
    }),
    ("acquire", |all| drop(all.semaphore.acquire())),
    ("acquire many", |all| drop(all.semaphore.acquire_many_timeout(3, LONG))),
    ("notify", |all| all.notify.wait()),
    ("notify, timed", |all| ended(all.notify.wait_timeout(LONG))),
    ("barrier", |all| ended(all.barrier.wait_timeout(LONG))),
    ("once", |all| all.once.wait()),
    ("cell", |all| assert_eq!(all.cell.wait(), &0)),
    ("cell, timed", |all| ended(all.cell.wait_timeout(LONG))),
    ("group", |all| drop(all.group.clone().wait_timeout(LONG))),
];

/// However it ended.
fn ended<T, E>(_outcome: Result<T, E>) {}

impl All {
    fn new() -> Self {
        All {
            mutex: Mutex::new(()),
            lock: RwLock::new(()),
            free: Mutex::new(()),
            changed: Condvar::new(),
            semaphore: Semaphore::new(0),
            notify: Notify::new(),
            barrier: Barrier::new(2),
            once: Once::new(),
            cell: OnceCell::new(),
            group: WaitGroup::new(),
        }
    }

    /// Calls `f` while nothing is to be had, and looks that all is to be had afterwards, by one alone.
    fn taken(self: &Arc<Self>, f: impl FnOnce(&Arc<Self>)) {
        let (mutex, lock) = (self.mutex.lock(LONG).unwrap(), self.lock.write(LONG).unwrap());
        f(self);
        drop((mutex, lock));
        assert!(
            self.mutex.try_lock().is_ok() && self.lock.try_write().is_ok() && self.free.try_lock().is_ok()
        );
        self.semaphore.add_permits(1);
        self.semaphore.try_acquire().unwrap().forget();
        assert!(!self.notify.try_wait());
        self.notify.notify_one();
        assert!(self.notify.try_wait());
        let mut first = Polled::waiting(self.barrier.wait_async());
        assert!(self.barrier.wait().is_leader());
        assert!(!first.ready().is_leader());
    }
}

#[test]
fn a_kill_ends_each_wait_and_nothing_is_lost() {
    within(PATIENCE, || {
        workers(2).run(|| {
            for (name, wait) in WAITS {
                for _ in 0..10 {
                    Arc::new(All::new()).taken(|all| {
                        let (all, begins) = (all.clone(), Signal::new());
                        let signal = begins.clone();
                        let waits = smarm::spawn(move || {
                            signal.raise();
                            wait(&all);
                        });
                        begins.wait(1);
                        waits.kill();
                        assert!(waits.join().is_err_and(|error| !error.is_panic()), "{name}");
                    });
                }
            }
        });
    });
}

#[test]
fn a_scope_ends_each_wait_and_nothing_is_lost() {
    let each = || {
        for (_, wait) in WAITS {
            // Whether it unwinds or gives an error is for the wait to say; it ends.
            Arc::new(All::new()).taken(|all| ended(with_timeout(SHORT, || wait(all))));
        }
    };
    within(PATIENCE, || {
        workers(1).run(each);
        each();
    });
}

#[test]
fn a_token_ends_each_wait_and_nothing_is_lost() {
    within(PATIENCE, || {
        let runtime = workers(1);
        for (_, wait) in WAITS {
            Arc::new(All::new()).taken(|all| {
                let (token, begins) = (CancelToken::new(), Signal::new());
                let run = || {
                    let (all, token, begins) = (all.clone(), token.clone(), begins.clone());
                    move || {
                        ended(with_cancel(&token, || {
                            begins.raise();
                            wait(&all);
                        }));
                    }
                };
                let (actor, thread) = (runtime.spawn(run()).unwrap(), thread::spawn(run()));
                begins.wait(2);
                token.cancel();
                actor.join().unwrap();
                thread.join().unwrap();
            });
        }
    });
}

#[test]
fn a_wait_in_a_destructor_of_a_killed_actor_says_that_it_is_cancelled() {
    type Says = fn(&All) -> bool;
    const SAY: [Says; 9] = [
        |all| matches!(all.mutex.lock(LONG), Err(LockError::Cancelled)),
        |all| matches!(all.lock.read(LONG), Err(LockError::Cancelled)),
        |all| matches!(all.lock.write(LONG), Err(LockError::Cancelled)),
        |all| matches!(all.changed.wait(all.free.lock(LONG).unwrap()), Err(LockError::Cancelled)),
        |all| matches!(all.semaphore.acquire(), Err(AcquireError::Cancelled)),
        |all| matches!(all.notify.wait_timeout(LONG), Err(WaitError::Cancelled)),
        |all| matches!(all.barrier.wait_timeout(LONG), Err(WaitError::Cancelled)),
        |all| matches!(all.cell.wait_timeout(LONG), Err(WaitError::Cancelled)),
        |all| matches!(all.group.clone().wait_timeout(LONG), Err(error) if error.reason == WaitError::Cancelled),
    ];
    within(PATIENCE, || {
        workers(1).run(|| {
            for (n, says) in SAY.into_iter().enumerate() {
                Arc::new(All::new()).taken(|all| {
                    let (all, begins, said) = (all.clone(), Signal::new(), Arc::new(AtomicUsize::new(0)));
                    let (signal, says_so) = (begins.clone(), said.clone());
                    let dies = smarm::spawn(move || {
                        let _waits = OnDrop(|| {
                            says_so.fetch_add(usize::from(says(&all)), SeqCst);
                        });
                        signal.raise();
                        smarm::sleep(LONG);
                    });
                    begins.wait(1);
                    dies.kill();
                    assert!(dies.join().is_err());
                    assert_eq!(said.load(SeqCst), 1, "number {n}");
                });
            }
        });
    });
}
