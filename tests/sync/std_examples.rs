//! The examples of std's documentation for `RwLock`, `Condvar`, `Barrier`, `Once`, `OnceLock` and `LazyLock`, with
//! `smarm::sync`'s types in place of std's, in an actor and with actors in place of threads. What differs: locks have a
//! timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use smarm::spawn;
use smarm::sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceCell, RwLock, RwLockWriteGuard};
use smarm_workspace::{PATIENCE, within, workers};

const TIME: Duration = Duration::from_secs(50);

#[track_caller]
fn example(body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    within(PATIENCE, || {
        for count in [1, 2] {
            let body = body.clone();
            workers(count).run(move || body());
        }
    });
}

#[test]
fn rwlock() {
    example(|| {
        let lock = RwLock::new(5);
        {
            let r1 = lock.read(TIME).unwrap();
            let r2 = lock.read(TIME).unwrap();
            assert_eq!(*r1, 5);
            assert_eq!(*r2, 5);
        }
        {
            let mut w = lock.write(TIME).unwrap();
            *w += 1;
            assert_eq!(*w, 6);
        }
    });
}

#[test]
fn rwlock_read() {
    example(|| {
        let lock = Arc::new(RwLock::new(1));
        let c_lock = Arc::clone(&lock);
        let n = lock.read(TIME).unwrap();
        assert_eq!(*n, 1);
        spawn(move || {
            let r = c_lock.read(TIME);
            assert!(r.is_ok());
        })
        .join()
        .unwrap();
    });
}

#[test]
fn rwlock_try_read_and_try_write() {
    example(|| {
        let lock = RwLock::new(1);
        match lock.try_read() {
            Ok(n) => assert_eq!(*n, 1),
            Err(_) => unreachable!(),
        };
        let n = lock.read(TIME).unwrap();
        assert_eq!(*n, 1);
        assert!(lock.try_write().is_err());
    });
}

#[test]
fn rwlock_write() {
    example(|| {
        let lock = RwLock::new(1);
        let mut n = lock.write(TIME).unwrap();
        *n = 2;
        assert!(lock.try_read().is_err());
    });
}

#[test]
fn rwlock_is_poisoned_and_clear_poison() {
    example(|| {
        let lock = Arc::new(RwLock::new(0));
        let c_lock = Arc::clone(&lock);
        let _ = spawn(move || {
            let _lock = c_lock.write(TIME).unwrap();
            panic!(); // the lock gets poisoned
        })
        .join();
        assert!(lock.is_poisoned());
        let guard = lock.write(TIME).unwrap_or_else(|e| {
            let mut guard = e.into_guard().expect("it was locked");
            *guard = 1;
            lock.clear_poison();
            guard
        });
        assert!(!lock.is_poisoned());
        assert_eq!(*guard, 1);
    });
}

#[test]
fn rwlock_into_inner_and_get_mut() {
    example(|| {
        let lock = RwLock::new(String::new());
        {
            let mut s = lock.write(TIME).unwrap();
            *s = "modified".to_owned();
        }
        assert_eq!(lock.into_inner().unwrap(), "modified");
        let mut lock = RwLock::new(0);
        *lock.get_mut().unwrap() = 10;
        assert_eq!(*lock.read(TIME).unwrap(), 10);
    });
}

#[test]
fn rwlock_downgrade() {
    example(|| {
        let rw = Arc::new(RwLock::new(1));
        let mut write_guard = rw.write(TIME).unwrap();
        let rw_clone = rw.clone();
        let evil_handle = spawn(move || {
            // This does not return until the guard is dropped.
            let mut write_guard = rw_clone.write(TIME).unwrap();
            assert_eq!(*write_guard, 2);
            *write_guard = 3;
        });
        *write_guard = 2;
        let read_guard = RwLockWriteGuard::downgrade(write_guard);
        // Nobody was able to write in between.
        assert_eq!(*read_guard, 2);
        drop(read_guard);
        evil_handle.join().unwrap();
        assert_eq!(*rw.read(TIME).unwrap(), 3);
    });
}

/// The pair that the examples of `Condvar` begin with, and an actor that makes it true or not pending any more.
fn pair(before: bool, notify: fn(&Condvar)) -> Arc<(Mutex<bool>, Condvar)> {
    let pair = Arc::new((Mutex::new(before), Condvar::new()));
    let pair2 = Arc::clone(&pair);
    drop(spawn(move || {
        let (lock, cvar) = &*pair2;
        let mut value = lock.lock(TIME).unwrap();
        *value = !before;
        notify(cvar);
    }));
    pair
}

#[test]
fn condvar_wait() {
    for notify in [Condvar::notify_one, Condvar::notify_all] {
        example(move || {
            let pair = pair(false, notify);
            let (lock, cvar) = &*pair;
            let mut started = lock.lock(TIME).unwrap();
            while !*started {
                started = cvar.wait(started).unwrap();
            }
        });
    }
}

#[test]
fn condvar_wait_while() {
    example(|| {
        let pair = pair(true, Condvar::notify_one);
        let (lock, cvar) = &*pair;
        let _guard = cvar.wait_while(lock.lock(TIME).unwrap(), |pending| *pending).unwrap();
    });
}

#[test]
fn condvar_wait_timeout() {
    example(|| {
        let pair = pair(false, Condvar::notify_one);
        let (lock, cvar) = &*pair;
        let mut started = lock.lock(TIME).unwrap();
        loop {
            let result = cvar.wait_timeout(started, Duration::from_millis(10)).unwrap();
            started = result.0;
            if *started {
                break;
            }
        }
    });
}

#[test]
fn condvar_wait_timeout_while() {
    example(|| {
        let pair = pair(true, Condvar::notify_one);
        let (lock, cvar) = &*pair;
        let result = cvar.wait_timeout_while(lock.lock(TIME).unwrap(), TIME, |&mut pending| pending).unwrap();
        assert!(!result.1.timed_out() && !*result.0);
    });
}

#[test]
fn barrier() {
    example(|| {
        let n = 10;
        let (barrier, before) = (Arc::new(Barrier::new(n)), Arc::new(AtomicUsize::new(0)));
        let handles: Vec<_> = (0..n)
            .map(|_| {
                let (barrier, before) = (Arc::clone(&barrier), before.clone());
                spawn(move || {
                    before.fetch_add(1, SeqCst);
                    let result = barrier.wait();
                    assert_eq!(before.load(SeqCst), n);
                    result.is_leader()
                })
            })
            .collect();
        let leaders = handles.into_iter().map(|handle| handle.join().unwrap());
        assert_eq!(leaders.filter(|leads| *leads).count(), 1);
    });
}

#[test]
fn once_call_once() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static VALUE: OnceCell<usize> = OnceCell::new();
    static INIT: Once = Once::new();
    fn cached() -> usize {
        INIT.call_once(|| VALUE.set(COUNT.fetch_add(1, SeqCst) + 41).unwrap());
        *VALUE.get().unwrap()
    }
    example(|| {
        assert_eq!(cached(), 41);
        assert_eq!(cached(), 41);
        assert_eq!(COUNT.load(SeqCst), 1);
    });
}

#[test]
fn once_is_completed() {
    example(|| {
        static INIT: Once = Once::new();
        static HANDLED: AtomicUsize = AtomicUsize::new(0);
        if HANDLED.fetch_add(1, SeqCst) == 0 {
            assert!(!INIT.is_completed());
            let handle = spawn(|| INIT.call_once(|| panic!()));
            assert!(handle.join().is_err());
            assert!(!INIT.is_completed());
        }
    });
}

#[test]
fn once_call_once_force() {
    example(|| {
        let init = Arc::new(Once::new());
        let theirs = init.clone();
        // poison the once
        let handle = spawn(move || theirs.call_once(|| panic!()));
        assert!(handle.join().is_err());
        // poisoning propagates
        let theirs = init.clone();
        let handle = spawn(move || theirs.call_once(|| {}));
        assert!(handle.join().is_err());
        // call_once_force will still run and reset the poisoned state
        init.call_once_force(|state| assert!(state.is_poisoned()));
        // once any success happens, we stop propagating the poison
        init.call_once(|| {});
    });
}

#[test]
fn once_wait() {
    example(|| {
        let ready = Arc::new(Once::new());
        let theirs = ready.clone();
        let handle = spawn(move || theirs.wait());
        ready.call_once(|| ());
        handle.join().unwrap();
    });
}

#[test]
fn once_lock_writing_to_a_static_from_elsewhere() {
    example(|| {
        static CELL: OnceCell<usize> = OnceCell::new();
        spawn(|| {
            let value = CELL.get_or_init(|| 12345);
            assert_eq!(value, &12345);
        })
        .join()
        .unwrap();
        assert_eq!(CELL.get(), Some(&12345));
    });
}

#[test]
fn once_lock_set() {
    example(|| {
        let cell = Arc::new(OnceCell::new());
        assert!(cell.get().is_none());
        let theirs = cell.clone();
        spawn(move || assert_eq!(theirs.set(92), Ok(()))).join().unwrap();
        assert_eq!(cell.set(62), Err(62));
        assert_eq!(cell.get(), Some(&92));
    });
}

#[test]
fn once_lock_get_or_init_and_try() {
    example(|| {
        let cell = OnceCell::new();
        assert_eq!(cell.get_or_init(|| 92), &92);
        assert_eq!(cell.get_or_init(|| unreachable!()), &92);
        let cell = OnceCell::new();
        assert_eq!(cell.get_or_try_init(|| Err(())), Err(()));
        assert!(cell.get().is_none());
        assert_eq!(cell.get_or_try_init(|| Ok::<i32, ()>(92)), Ok(&92));
        assert_eq!(cell.get(), Some(&92));
    });
}

#[test]
fn once_lock_wait() {
    example(|| {
        let value = Arc::new(OnceCell::new());
        let theirs = value.clone();
        let handle = spawn(move || theirs.set(1 + 1).unwrap());
        assert_eq!(value.wait(), &2);
        handle.join().unwrap();
    });
}

#[test]
fn once_lock_into_inner_take_and_get_mut() {
    example(|| {
        let cell: OnceCell<String> = OnceCell::new();
        assert_eq!(cell.into_inner(), None);
        let cell = OnceCell::new();
        cell.set("hello".to_owned()).unwrap();
        assert_eq!(cell.into_inner(), Some("hello".to_owned()));
        let mut cell: OnceCell<String> = OnceCell::new();
        assert_eq!(cell.take(), None);
        cell.set("hello".to_owned()).unwrap();
        assert_eq!(cell.take(), Some("hello".to_owned()));
        assert_eq!(cell.get(), None);
        let cell = OnceCell::from(3);
        assert_eq!(cell, OnceCell::from(3));
    });
}

#[test]
fn lazy_lock_in_a_static() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    static DEEP_THOUGHT: LazyLock<String> = LazyLock::new(|| {
        RUNS.fetch_add(1, SeqCst);
        "42".to_owned()
    });
    example(|| {
        assert_eq!(&*DEEP_THOUGHT, "42");
        assert_eq!(&*DEEP_THOUGHT, "42");
        assert_eq!(RUNS.load(SeqCst), 1);
    });
}

#[test]
fn lazy_lock_in_a_struct() {
    example(|| {
        struct UseCellLock {
            number: LazyLock<u32>,
        }
        let lock = UseCellLock { number: LazyLock::new(|| 0_u32) };
        assert_eq!(*lock.number, 0);
    });
}

#[test]
fn lazy_lock_force() {
    example(|| {
        let lazy: LazyLock<i32, fn() -> i32> = LazyLock::new(|| 92);
        assert_eq!(LazyLock::force(&lazy), &92);
        assert_eq!(&*lazy, &92);
    });
}
