use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::channel::testing::{Wakes, times};

const LONG: Duration = Duration::from_secs(60);

fn poison<T>(mutex: &Mutex<T>) {
    let panics = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mutex.lock(LONG).unwrap();
        panic!("while it is locked");
    }));
    assert!(panics.is_err());
}

#[test]
fn one_at_a_time_holds_it() {
    const TIMES: usize = times(5_000);
    let mutex = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..TIMES {
                    if n % 10 == 0 {
                        // A holder that is preempted in the middle must not matter.
                        let mut guard = mutex.lock(LONG).unwrap();
                        let value = *guard;
                        thread::yield_now();
                        *guard = value + 1;
                    } else {
                        *mutex.lock(LONG).unwrap() += 1;
                    }
                }
            });
        }
    });
    assert_eq!(mutex.into_inner().unwrap(), 4 * TIMES);
}

#[test]
fn a_held_mutex_times_out_and_would_block() {
    let mutex = Mutex::new(());
    let guard = mutex.lock(Duration::ZERO).unwrap();
    assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    assert!(matches!(mutex.lock(Duration::ZERO), Err(LockError::TimedOut)));
    assert!(matches!(mutex.lock(Duration::from_millis(1)), Err(LockError::TimedOut)));
    assert!(matches!(mutex.lock_deadline(Instant::now()), Err(LockError::TimedOut)));
    drop(guard);
    assert!(mutex.lock_deadline(Instant::now()).is_ok());
    assert!(mutex.try_lock().is_ok());
    assert_eq!(mutex.state.load(Relaxed), FREE);
}

#[test]
fn it_is_handed_over_in_the_order_of_asking_and_nobody_barges_in() {
    let mutex = Mutex::new(());
    let wakes: Vec<_> = (0..3).map(|_| Wakes::new()).collect();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(mutex.lock_async())).collect();
    let mut guard = mutex.try_lock().unwrap();
    for (wakes, lock) in wakes.iter().zip(&mut waiting) {
        assert!(wakes.poll(lock).is_pending());
    }
    for n in 0..3 {
        drop(guard);
        assert_eq!(wakes.iter().map(Wakes::count).sum::<usize>(), n + 1);
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        for later in n + 1..3 {
            assert!(wakes[later].poll(&mut waiting[later]).is_pending());
        }
        let Poll::Ready(Ok(handed_over)) = wakes[n].poll(&mut waiting[n]) else { panic!("not handed over") };
        guard = handed_over;
    }
    drop(guard);
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn a_waiter_that_leaves_is_passed_over() {
    let mutex = Mutex::new(());
    let wakes = Wakes::new();
    let guard = mutex.try_lock().unwrap();
    let mut first = Box::pin(mutex.lock_async());
    let mut second = Box::pin(mutex.lock_async());
    assert!(wakes.poll(&mut first).is_pending() && wakes.poll(&mut second).is_pending());
    drop(first);
    drop(guard);
    assert_eq!(wakes.count(), 1);
    assert!(wakes.poll(&mut second).is_ready());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn a_waiter_that_leaves_after_the_hand_over_passes_it_on() {
    let mutex = Mutex::new(());
    let (first_wakes, second_wakes) = (Wakes::new(), Wakes::new());
    let guard = mutex.try_lock().unwrap();
    let mut first = Box::pin(mutex.lock_async());
    let mut second = Box::pin(mutex.lock_async());
    assert!(first_wakes.poll(&mut first).is_pending() && second_wakes.poll(&mut second).is_pending());
    drop(guard);
    assert_eq!((first_wakes.count(), second_wakes.count()), (1, 0));
    drop(first);
    assert_eq!(second_wakes.count(), 1);
    drop(second);
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn the_last_waiter_to_leave_leaves_it_uncontended() {
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().unwrap();
    {
        let mut lock = pin!(mutex.lock_async());
        assert!(Wakes::new().poll(&mut lock).is_pending());
        assert_eq!(mutex.state.load(Relaxed), CONTENDED);
    }
    assert_eq!(mutex.state.load(Relaxed), LOCKED);
    drop(guard);
    assert_eq!(mutex.state.load(Relaxed), FREE);
}

#[test]
fn a_waiter_is_woken_by_its_last_waker() {
    let mutex = Mutex::new(());
    let (first, last) = (Wakes::new(), Wakes::new());
    let guard = mutex.try_lock().unwrap();
    let mut lock = pin!(mutex.lock_async());
    assert!(first.poll(&mut lock).is_pending());
    assert!(last.poll(&mut lock).is_pending());
    drop(guard);
    assert_eq!((first.count(), last.count()), (0, 1));
    assert!(last.poll(&mut lock).is_ready());
}

#[test]
fn a_blocked_thread_is_handed_the_mutex() {
    let mutex = Mutex::new(1);
    let (waits, is_waiting) = mpsc::channel();
    thread::scope(|scope| {
        let mut guard = mutex.lock(LONG).unwrap();
        scope.spawn(|| {
            waits.send(()).unwrap();
            assert_eq!(*mutex.lock(LONG).unwrap(), 2);
        });
        is_waiting.recv().unwrap();
        while mutex.state.load(Relaxed) != CONTENDED {
            thread::yield_now();
        }
        *guard = 2;
    });
}

#[test]
fn a_panic_while_it_is_locked_poisons_it_until_that_is_cleared() {
    let mut mutex = Mutex::new(5);
    poison(&mutex);
    assert!(mutex.is_poisoned());
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(guard)) if *guard == 5));
    assert_eq!(
        mutex.lock(LONG).map_err(|error| error.into_guard().map(|guard| *guard)).unwrap_err(),
        Some(5)
    );
    assert!(mutex.get_mut().is_err());
    let mut lock = Box::pin(mutex.lock_async());
    assert!(matches!(Wakes::new().poll(&mut lock), Poll::Ready(Err(LockError::Poisoned(_)))));
    drop(lock);
    mutex.clear_poison();
    assert_eq!(*mutex.lock(LONG).unwrap(), 5);
    assert_eq!(*mutex.get_mut().unwrap(), 5);
    poison(&mutex);
    assert_eq!(mutex.into_inner().unwrap_err().into_inner(), 5);
}

#[test]
fn a_lock_taken_while_unwinding_does_not_poison() {
    struct LocksWhenDropped<'a>(&'a Mutex<u8>);
    impl Drop for LocksWhenDropped<'_> {
        fn drop(&mut self) {
            *self.0.lock(LONG).unwrap() += 1;
        }
    }
    let mutex = Mutex::new(0);
    let panics = catch_unwind(AssertUnwindSafe(|| {
        let _locks = LocksWhenDropped(&mutex);
        panic!("to unwind");
    }));
    assert!(panics.is_err() && !mutex.is_poisoned());
    assert_eq!(*mutex.try_lock().unwrap(), 1);
}

#[test]
fn impatient_waiters_never_lose_it() {
    let mutex = Mutex::new(0_u64);
    let locked = thread::scope(|scope| {
        let impatient: Vec<_> = (0..4)
            .map(|thread| {
                let mutex = &mutex;
                scope.spawn(move || {
                    let mut locked = 0;
                    for n in 0..times(3_000) as u64 {
                        if let Ok(mut guard) = mutex.lock(Duration::from_nanos(n * thread % 30_000)) {
                            *guard += 1;
                            locked += 1;
                        }
                    }
                    locked
                })
            })
            .collect();
        impatient.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    assert_eq!(*mutex.try_lock().unwrap(), locked);
    assert_eq!(mutex.state.load(Relaxed), FREE);
}

#[cfg(not(smarm_loom))]
#[test]
fn it_works_for_unsized_values_in_statics_and_prints() {
    static COUNT: Mutex<u8> = Mutex::new(3);
    assert_eq!(*COUNT.try_lock().unwrap(), 3);
    let slice: &Mutex<[u8]> = &Mutex::new([1, 2]);
    slice.lock(LONG).unwrap()[0] = 7;
    assert_eq!(format!("{slice:?}"), "Mutex { value: [7, 2], poisoned: false, .. }");
    let guard = COUNT.try_lock().unwrap();
    assert_eq!(format!("{COUNT:?} {guard:?} {guard}"), "Mutex { value: <locked>, poisoned: false, .. } 3 3");
    assert_eq!(*Mutex::<u8>::default().try_lock().unwrap(), 0);
    assert_eq!(*Mutex::from(4).try_lock().unwrap(), 4);
}

#[test]
fn the_mutex_and_its_future_can_be_sent_and_shared_and_the_guard_shared() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    assert_send::<Mutex<std::cell::Cell<u8>>>();
    assert_sync::<Mutex<std::cell::Cell<u8>>>();
    assert_send::<Lock<'static, std::cell::Cell<u8>>>();
    assert_sync::<MutexGuard<'static, u8>>();
}
