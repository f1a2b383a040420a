//! What is shared: a mutex, the clock, scopes of deadlines and tokens, and the pool for calls that block.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use smarm::compat::{await_future, await_timeout};
use smarm::{CancelToken, LockError, Mutex, MutexGuard};

use crate::crew::{Site, end_all, kill_some};
use crate::dice::Dice;
use crate::plant::{self, ON_PURPOSE, Plant};

/// Two numbers that are the same whenever nobody holds the lock, and are told of outside when they change.
pub(crate) fn mutex(dice: &mut Dice, site: &Site) {
    let (lock, changes) = (Arc::new(Mutex::new((0, 0))), Arc::new(AtomicUsize::new(0)));
    let children: Vec<_> = (0..2 + dice.below(6))
        .map(|_| {
            let (lock, changes) = (lock.clone(), changes.clone());
            site.spawn(dice, move |dice| {
                for _ in 0..20 {
                    let guard = match dice.below(3) {
                        0 => lock.lock(dice.moment()),
                        1 => await_future(lock.lock_async()).map_err(|error| match error {
                            LockError::Poisoned(guard) => LockError::Poisoned(guard),
                            _ => LockError::TimedOut,
                        }),
                        _ => lock.lock(Duration::MAX),
                    };
                    change(dice, guard, &changes);
                }
            })
        })
        .collect();
    kill_some(dice, &children);
    end_all(children);
    lock.clear_poison();
    let (one, two) = *lock.lock(Duration::ZERO).expect("nobody is left who holds it");
    let changes = changes.load(SeqCst);
    // A kill between the two leaves one change behind, and says so by poisoning.
    assert!(one >= two && two == changes, "under the lock {one} and {two}, and {changes} were told of");
}

type Locked<'a> = Result<MutexGuard<'a, (usize, usize)>, LockError<MutexGuard<'a, (usize, usize)>>>;

fn change(dice: &mut Dice, guard: Locked<'_>, changes: &AtomicUsize) {
    let mut guard = match guard {
        Ok(guard) => guard,
        Err(LockError::Poisoned(guard)) => guard,
        Err(_) => return,
    };
    guard.0 += 1;
    if dice.once_in(5) {
        smarm::yield_now(); // held across a wait, where a kill may come
    }
    if dice.once_in(100) {
        panic!("{ON_PURPOSE}");
    }
    if !plant::is(Plant::LoseUpdate) {
        guard.1 += 1;
    }
    changes.fetch_add(1, SeqCst);
}

/// Sleeps and deadlines, never early.
pub(crate) fn timers(dice: &mut Dice, site: &Site) {
    let children: Vec<_> = (0..1 + dice.below(30))
        .map(|_| {
            site.spawn(dice, |dice| {
                let (begun, span) = (Instant::now(), dice.moment());
                let asked = if plant::is(Plant::EarlyTimer) { span / 2 } else { span };
                match dice.below(4) {
                    0 => smarm::sleep(asked),
                    1 => smarm::sleep_until(begun + asked),
                    2 => assert!(await_timeout(asked, std::future::pending::<()>()).is_err()),
                    _ => assert!(smarm::channel::<()>().1.recv_timeout(span).is_err_and(|_| true)),
                }
                let slept = begun.elapsed();
                // A channel without senders is closed, and needs no time.
                assert!(
                    slept >= asked && (slept >= span || asked == span),
                    "{span:?} ended {slept:?}: early"
                );
            })
        })
        .collect();
    kill_some(dice, &children);
    end_all(children);
}

/// Scopes whose time is over, or whose token is cancelled, at any moment of what is done in them.
pub(crate) fn scopes(dice: &mut Dice, site: &Site) {
    let token = CancelToken::new();
    let children: Vec<_> = (0..1 + dice.below(8))
        .map(|_| {
            let token = token.child_token();
            site.spawn(dice, move |dice| {
                let _however = smarm::with_cancel(&token, || {
                    smarm::with_timeout(dice.moment(), || {
                        smarm::shield(smarm::yield_now);
                        match dice.below(3) {
                            0 => smarm::sleep(Duration::MAX),
                            1 => await_future(std::future::pending()),
                            _ => drop(smarm::spawn_local(|| 1).join()),
                        }
                    })
                });
                smarm::yield_now(); // outside, it goes on
            })
        })
        .collect();
    if dice.once_in(2) {
        smarm::sleep(dice.moment());
        token.cancel();
    }
    kill_some(dice, &children);
    end_all(children);
}

/// Calls that block a thread of the pool, of which some are given up.
pub(crate) fn blocking_calls(dice: &mut Dice, site: &Site) {
    let children: Vec<_> = (0..1 + dice.below(4))
        .map(|nth| {
            site.spawn(dice, move |dice| {
                let (span, panics) = (dice.moment(), dice.once_in(10));
                let call = move || {
                    thread::sleep(span);
                    assert!(!panics, "{ON_PURPOSE}");
                    nth
                };
                let got = match dice.below(2) {
                    0 if !panics => smarm::io::block_on_io(call),
                    _ if !panics => await_future(smarm::io::block_on_io_async(call)),
                    _ => panic!("{ON_PURPOSE}"),
                };
                assert_eq!(got, nth);
            })
        })
        .collect();
    kill_some(dice, &children);
    end_all(children);
}
