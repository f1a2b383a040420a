//! The allocator that makes actors yield: only those that asked, and only where it may.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use smarm::compat::await_future;
use smarm::{Config, Runtime, preempt};
use smarm_workspace::{OnDrop, PATIENCE, until, within};

/// An allocator that keeps something in its thread for the length of a call, as those with caches do.
struct Cached;

thread_local!(static IN_A_CALL: Cell<bool> = const { Cell::new(false) });
/// How many calls began in the middle of another one on the same thread.
static INTERLEAVED: AtomicUsize = AtomicUsize::new(0);

impl Cached {
    fn call<R>(f: impl FnOnce() -> R) -> R {
        if IN_A_CALL.replace(true) {
            INTERLEAVED.fetch_add(1, SeqCst);
        }
        let result = f();
        IN_A_CALL.set(false);
        result
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Cached {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        Self::call(|| unsafe { System.alloc(layout) })
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        Self::call(|| unsafe { System.alloc_zeroed(layout) })
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: passed on.
        Self::call(|| unsafe { System.realloc(block, layout, size) })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        Self::call(|| unsafe { System.dealloc(block, layout) });
    }
}

#[global_allocator]
static ALLOCATOR: preempt::Allocator<Cached> = preempt::Allocator::wrapping(Cached);

fn short_slices() -> Runtime {
    smarm::runtime::init(Config::exact(1).slice(Duration::from_millis(1)))
}

fn allocate() {
    drop(black_box(Box::new([0_u8; 100])));
}

/// Allocates for so long that the monitor must have marked the slice several times over.
fn allocate_for_slices() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(30) {
        allocate();
    }
}

/// An actor that says whether it has run, behind the calling one on the same worker.
fn neighbour() -> Arc<AtomicBool> {
    let ran = Arc::new(AtomicBool::new(false));
    let theirs = ran.clone();
    drop(smarm::spawn_local(move || theirs.store(true, SeqCst)));
    ran
}

/// Allocates until the neighbour has run, which it can only if allocations yield.
fn allocate_until(ran: &AtomicBool) {
    while !ran.load(SeqCst) {
        allocate();
    }
}

#[test]
fn an_actor_that_asked_yields_at_allocations() {
    within(PATIENCE, || {
        short_slices().run(|| {
            preempt::on_allocation(true);
            for _ in 0..5 {
                allocate_until(&neighbour());
            }
        });
    });
}

#[test]
fn an_actor_is_never_switched_away_in_the_middle_of_the_allocators_call() {
    within(PATIENCE, || {
        short_slices().run(|| {
            let grows = || {
                preempt::on_allocation(true);
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(100) {
                    let mut bytes = Vec::new();
                    (0..1000).for_each(|byte| bytes.push(byte));
                    black_box(bytes);
                }
            };
            let actors: Vec<_> = (0..4).map(|_| smarm::spawn_local(grows)).collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
        // Those of all other tests of this file count too.
        assert_eq!(INTERLEAVED.load(SeqCst), 0);
    });
}

#[test]
fn every_kind_of_allocation_yields() {
    within(PATIENCE, || {
        short_slices().run(|| {
            preempt::on_allocation(true);
            let ran = neighbour();
            while !ran.load(SeqCst) {
                drop(black_box(vec![0_u64; 10]));
            }
            let ran = neighbour();
            while !ran.load(SeqCst) {
                let mut grows = Vec::with_capacity(1);
                for n in 0..100 {
                    grows.push(black_box(n));
                    grows.shrink_to_fit();
                }
            }
        });
    });
}

#[test]
fn two_actors_that_build_collections_alternate() {
    const ROUNDS: usize = 5;
    within(PATIENCE, || {
        let runtime = short_slices();
        let progress: Arc<[AtomicUsize; 2]> = Arc::default();
        let actors: Vec<_> = (0..2)
            .map(|me| {
                let progress = progress.clone();
                runtime
                    .spawn(move || {
                        preempt::on_allocation(true);
                        for round in 1..=ROUNDS {
                            progress[me].store(round, SeqCst);
                            while progress[1 - me].load(SeqCst) < round {
                                let texts: Vec<_> = (0..10).map(|n| format!("{me} {round} {n}")).collect();
                                assert_eq!(texts[9], format!("{me} {round} 9"));
                            }
                        }
                    })
                    .unwrap()
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
    });
}

#[test]
fn an_actor_that_did_not_ask_never_yields_at_allocations() {
    within(PATIENCE, || {
        short_slices().run(|| {
            let ran = neighbour();
            allocate_for_slices();
            assert!(!ran.load(SeqCst));
            preempt::on_allocation(true);
            assert!(preempt::on_allocation(false));
            allocate_for_slices();
            assert!(!ran.load(SeqCst), "it took its word back");
        });
    });
}

#[test]
fn under_disable_no_allocation_yields() {
    within(PATIENCE, || {
        short_slices().run(|| {
            preempt::on_allocation(true);
            let undisturbed = preempt::disable();
            let ran = neighbour();
            allocate_for_slices();
            assert!(!ran.load(SeqCst));
            drop(undisturbed);
            allocate_until(&ran);
        });
    });
}

#[test]
fn while_a_panic_unwinds_no_allocation_yields() {
    within(PATIENCE, || {
        short_slices().run(|| {
            preempt::on_allocation(true);
            let undisturbed = preempt::disable();
            let ran = neighbour();
            let seen = ran.clone();
            drop(undisturbed);
            let child = smarm::spawn_local(|| ());
            let caught = catch_unwind(move || {
                let _allocates = OnDrop(move || {
                    let before = seen.load(SeqCst);
                    allocate_for_slices();
                    assert_eq!(seen.load(SeqCst), before);
                });
                std::panic::resume_unwind(Box::new("boom"));
            });
            assert!(caught.is_err());
            allocate_until(&ran);
            child.join().unwrap();
        });
    });
}

#[test]
fn inside_a_poll_and_on_the_native_stack_no_allocation_yields() {
    within(PATIENCE, || {
        short_slices().run(|| {
            preempt::on_allocation(true);
            let undisturbed = preempt::disable();
            let ran = neighbour();
            await_future(async {
                allocate_for_slices();
                assert!(!ran.load(SeqCst));
            });
            smarm::on_native_stack(|| {
                allocate_for_slices();
                assert!(!ran.load(SeqCst));
            });
            drop(undisturbed);
            allocate_until(&ran);
        });
    });
}

#[test]
fn errno_survives_a_yield_at_an_allocation() {
    within(PATIENCE, || {
        let runtime = short_slices();
        let over = Arc::new(AtomicBool::new(false));
        let rounds = [0; 2].map(|_| Arc::new(AtomicUsize::new(0)));
        let spoils = |errno: i32, rounds: &Arc<AtomicUsize>| {
            let (over, rounds) = (over.clone(), rounds.clone());
            runtime
                .spawn(move || {
                    preempt::on_allocation(true);
                    while !over.load(SeqCst) {
                        // SAFETY: errno is this thread's.
                        unsafe { *libc::__errno_location() = errno };
                        for _ in 0..10 {
                            allocate();
                        }
                        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(errno));
                        rounds.fetch_add(1, SeqCst);
                    }
                })
                .unwrap()
        };
        let (one, two) = (spoils(libc::ENOENT, &rounds[0]), spoils(libc::EBADF, &rounds[1]));
        // Neither waits: that each goes on after the other has shows that they were switched between allocations.
        for _ in 0..5 {
            let before = rounds.each_ref().map(|rounds| rounds.load(SeqCst));
            until(|| rounds.iter().zip(before).all(|(rounds, before)| rounds.load(SeqCst) > before));
        }
        over.store(true, SeqCst);
        one.join().unwrap();
        two.join().unwrap();
    });
}

#[test]
fn smarms_own_calls_stay_whole_when_all_actors_yield_at_allocations() {
    within(PATIENCE, || {
        let runtime = smarm::runtime::init(Config::exact(2).slice(Duration::from_millis(1)));
        let actors: Vec<_> = (0..20)
            .map(|n| {
                runtime
                    .spawn(move || {
                        preempt::on_allocation(true);
                        let mut sum = 0;
                        for round in 0..300_u64 {
                            let text = format!("{n} {round}");
                            let child = smarm::Builder::new().name(text.clone()).spawn(move || {
                                preempt::on_allocation(true);
                                text.len() as u64
                            });
                            sum += child.unwrap().join().unwrap();
                            smarm::sleep(Duration::from_nanos(round));
                            let _ = catch_unwind(|| {
                                std::panic::resume_unwind(Box::new(black_box(vec![1, 2, 3])))
                            });
                        }
                        sum
                    })
                    .unwrap()
            })
            .collect();
        for actor in actors {
            assert!(actor.join().unwrap() > 0);
        }
    });
}
