//! What does not allocate: waiting for a future, waking, yielding, and sleeping.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};

use smarm::Config;
use smarm::compat::{await_deadline, await_future, await_timeout};
use smarm_workspace::{PATIENCE, calm, until, within};

thread_local!(static COUNT: Cell<usize> = const { Cell::new(0) });

/// Counts the allocations of each thread.
struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `f` makes on this thread, that is on the calling actor's worker, after it
/// has run once.
fn allocations(mut f: impl FnMut()) -> usize {
    f();
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

/// Is pending when it is polled first, and ready afterwards.
fn pending_once() -> impl Future<Output = ()> {
    let mut polled = false;
    poll_fn(move |cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn the_counter_counts() {
    within(PATIENCE, || {
        smarm::run(|| assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1));
    });
}

#[test]
fn waiting_for_a_future_allocates_nothing() {
    within(PATIENCE, || {
        smarm::run(|| {
            let ready_at_once = || {
                for n in 0..100 {
                    assert_eq!(await_future(ready(n)), n);
                }
            };
            assert_eq!(allocations(ready_at_once), 0);

            let pending_first = || {
                for _ in 0..100 {
                    await_future(pending_once());
                }
            };
            assert_eq!(allocations(pending_first), 0);

            let with_a_deadline = || {
                for n in 0..100 {
                    assert_eq!(await_timeout(Duration::from_secs(3600), ready(n)), Ok(n));
                    // This one's timer is set, whatever the time.
                    assert_eq!(await_timeout(Duration::from_secs(3600), pending_once()), Ok(()));
                    assert!(await_deadline(Instant::now(), pending::<()>()).is_err());
                    assert!(await_timeout(Duration::from_nanos(1), pending::<()>()).is_err());
                }
            };
            assert_eq!(allocations(with_a_deadline), 0);
        });
    });
}

#[test]
fn yields_and_sleeps_allocate_nothing() {
    within(PATIENCE, || {
        smarm::runtime::init(calm(Config::exact(1))).run(|| {
            // Those that begin here while it is counted would have the worker make room for them.
            let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let neighbours = [(); 10].map(|()| {
                let (begun, ended) = (begun.clone(), ended.clone());
                smarm::spawn(move || {
                    begun.fetch_add(1, SeqCst);
                    while !ended.load(SeqCst) {
                        smarm::yield_now();
                    }
                })
            });
            until(|| begun.load(SeqCst) == neighbours.len());
            let waits = || {
                for _ in 0..100 {
                    smarm::yield_now();
                    smarm::check!();
                    smarm::sleep(Duration::from_nanos(1)); // most often over before its timer is set
                    smarm::sleep(Duration::from_micros(50));
                }
            };
            assert_eq!(allocations(waits), 0);
            ended.store(true, SeqCst);
            neighbours.into_iter().for_each(|neighbour| neighbour.join().unwrap());
        });
    });
}
