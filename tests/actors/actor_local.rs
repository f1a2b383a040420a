//! `actor_local!`: values of which each actor has its own.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use smarm::actor_local::AccessError;
use smarm::compat::{await_future, on_native_stack};
use smarm::{JoinError, actor_local};
use smarm_workspace::{PATIENCE, Signal, within, workers};

actor_local! {
    static COUNT: Cell<u64> = Cell::new(0);
    /// A list.
    pub static LIST: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static SHARED: Rc<Cell<u32>> = Rc::default();
}

#[test]
fn each_actor_has_its_own() {
    within(PATIENCE, || {
        for count in [1, 2] {
            workers(count).run(|| {
                let actors: Vec<_> = (0..100_u64)
                    .map(|n| {
                        smarm::spawn(move || {
                            for step in 0..n {
                                assert_eq!(COUNT.get(), step);
                                COUNT.set(step + 1);
                                LIST.with_borrow_mut(|list| list.push(step));
                                smarm::yield_now();
                            }
                            (COUNT.take(), LIST.take().len() as u64)
                        })
                    })
                    .collect();
                for (n, actor) in (0..).zip(actors) {
                    assert_eq!(actor.join().unwrap(), (n, n));
                }
                assert_eq!(COUNT.get(), 0);
            });
        }
    });
}

#[test]
fn a_value_never_passes_to_the_next_actor_in_the_slot() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let mut places = std::collections::HashSet::new();
            for _ in 0..50 {
                let child = smarm::spawn(|| COUNT.replace(7));
                places.insert(child.pid().to_string().split('.').next().unwrap().to_owned());
                assert_eq!(child.join().unwrap(), 0);
            }
            assert!(places.len() < 50, "no slot came twice, so nothing was tested");
        });
    });
}

#[test]
fn a_borrow_may_be_held_across_a_wait() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let all_hold = Signal::new();
            let others: Vec<_> = (0..3)
                .map(|n| {
                    let all_hold = all_hold.clone();
                    smarm::spawn(move || {
                        LIST.with_borrow_mut(|list| {
                            list.push(n);
                            all_hold.raise();
                            all_hold.wait(3);
                            assert_eq!(*list, [n]);
                        });
                    })
                })
                .collect();
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    });
}

#[test]
fn polls_and_calls_on_the_workers_stack_see_the_actors_value() {
    within(PATIENCE, || {
        workers(1).run(|| {
            COUNT.set(5);
            let mut polls = 0;
            await_future(poll_fn(|cx| {
                polls += 1;
                assert_eq!(COUNT.replace(5 + polls), 4 + polls);
                cx.waker().wake_by_ref();
                if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
            }));
            assert_eq!(COUNT.get(), 8);
            on_native_stack(|| COUNT.set(1));
            assert_eq!(COUNT.get(), 1);
        });
    });
}

#[test]
fn outside_actors_it_is_the_threads() {
    COUNT.set(3);
    thread::spawn(|| assert_eq!(COUNT.get(), 0)).join().unwrap();
    within(PATIENCE, || workers(1).run(|| assert_eq!(COUNT.get(), 0)));
    assert_eq!((COUNT.get(), SHARED.with(Rc::strong_count)), (3, 1));
}

/// Notes its number when it is dropped.
struct Noted(u32);
static NOTES: Mutex<Vec<u32>> = Mutex::new(Vec::new());

impl Drop for Noted {
    fn drop(&mut self) {
        NOTES.lock().unwrap().push(self.0);
    }
}

#[test]
fn values_are_dropped_last_made_first_before_the_join_returns_however_the_actor_ends() {
    actor_local! {
        static FIRST: Noted = Noted(1);
        static SECOND: Noted = Noted(2);
        static NEVER: Noted = Noted(3);
    }
    within(PATIENCE, || {
        workers(1).run(|| {
            for end in 0..3 {
                let made = Signal::new();
                let theirs = made.clone();
                let actor = smarm::spawn(move || {
                    FIRST.with(|_| ());
                    SECOND.with(|_| ());
                    theirs.raise();
                    match end {
                        0 => {}
                        1 => std::panic::resume_unwind(Box::new("the end")),
                        _ => smarm::sleep(Duration::MAX),
                    }
                });
                made.wait(1);
                if end == 2 {
                    actor.kill();
                }
                let ended = actor.join();
                assert_eq!(ended.is_ok(), end == 0);
                assert_eq!(std::mem::take(&mut *NOTES.lock().unwrap()), [2, 1]);
            }
            let _ = &NEVER;
        });
    });
}

#[test]
fn a_destructor_is_still_in_the_actor_and_may_use_values_that_are_left() {
    static SEEN: Mutex<Vec<Result<u64, AccessError>>> = Mutex::new(Vec::new());
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            smarm::yield_now(); // an actor may wait here
            SEEN.lock().unwrap().push(COUNT.try_with(Cell::get));
            SEEN.lock().unwrap().push(LIST.try_with(|list| list.borrow().len() as u64));
            assert!(smarm::try_self_pid().is_some());
        }
    }
    actor_local!(static LAST: OnceCell<Last> = OnceCell::new());
    within(PATIENCE, || {
        workers(1).run(|| {
            smarm::spawn(|| {
                LAST.with(|last| assert!(last.set(Last).is_ok()));
                COUNT.set(4); // made later, so gone before `LAST`
            })
            .join()
            .unwrap();
            // The list was made in the destructor, and dropped after it.
            assert_eq!(*SEEN.lock().unwrap(), [Err(AccessError), Ok(0)]);
        });
    });
}

#[test]
fn a_result_that_nobody_wants_finds_no_values_any_more() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    struct Unwanted;
    impl Drop for Unwanted {
        fn drop(&mut self) {
            SEEN.store(1 + usize::from(COUNT.try_with(Cell::get).is_err()), SeqCst);
        }
    }
    within(PATIENCE, || {
        workers(1).run(|| {
            let detached = Signal::new();
            let theirs = detached.clone();
            drop(smarm::spawn(move || {
                COUNT.set(1);
                theirs.wait(1);
                Unwanted
            }));
            detached.raise();
            while SEEN.load(SeqCst) == 0 {
                smarm::yield_now();
            }
            assert_eq!(SEEN.load(SeqCst), 2);
        });
    });
}

#[test]
fn a_destructor_that_panics_or_is_killed_keeps_no_other_from_being_run() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Bad(bool);
    impl Drop for Bad {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
            if self.0 {
                std::panic::resume_unwind(Box::new("a bad end"));
            }
            smarm::yield_now();
        }
    }
    actor_local! {
        static ONE: Bad = Bad(true);
        static TWO: Bad = Bad(false);
        static THREE: Bad = Bad(true);
    }
    within(PATIENCE, || {
        workers(1).run(|| {
            let use_all = || {
                ONE.with(|_| ());
                TWO.with(|_| ());
                THREE.with(|_| ());
            };
            assert_eq!(smarm::spawn(move || (use_all(), 7).1).join().unwrap(), 7);
            assert_eq!(DROPPED.swap(0, SeqCst), 3);
            let made = Signal::new();
            let theirs = made.clone();
            let killed = smarm::spawn(move || {
                use_all();
                theirs.raise();
                smarm::sleep(Duration::MAX);
            });
            made.wait(1);
            killed.kill();
            assert!(matches!(killed.join(), Err(JoinError::Killed)));
            assert_eq!(DROPPED.load(SeqCst), 3);
        });
    });
}

#[test]
fn an_initialiser_may_use_other_values_and_wait() {
    actor_local! {
        static OUTER: u64 = {
            COUNT.set(COUNT.get() + 1);
            smarm::yield_now();
            COUNT.get()
        };
    }
    within(PATIENCE, || {
        workers(1).run(|| {
            let actors: Vec<_> = (0..3).map(|_| smarm::spawn(|| OUTER.with(|outer| *outer))).collect();
            for actor in actors {
                assert_eq!(actor.join().unwrap(), 1);
            }
        });
    });
}
