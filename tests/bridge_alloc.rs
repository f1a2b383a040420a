//! The bridge allocates nothing: neither for a wait, nor for a wake, nor for an actor that is parked.

mod bridge_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Waker};
use std::time::Duration;

use bridge_support::on_tokio;
use smarm_compat::{TimedOut, await_future, await_timeout};
use smarm_workspace::{PATIENCE, within};

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

/// How many allocations `f` makes on the thread of the calling actor's worker, after it has run once.
/// What others do there meanwhile counts, too: tokio, the host, the worker.
fn allocations(mut f: impl FnMut()) -> usize {
    // Tokio's list of those that yielded grows with the first of them, which is the worker itself as
    // soon as a turn takes long.
    await_future(tokio::task::yield_now());
    f();
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

/// A place in which one waits until another passes: it makes no allocation of its own.
#[derive(Default)]
struct Gate {
    passed: AtomicUsize,
    waiting: Mutex<Option<Waker>>,
}

impl Gate {
    fn pass(&self) {
        self.passed.fetch_add(1, SeqCst);
        let waiting = self.waiting.lock().unwrap().take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    fn passed(&self, count: usize) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            if self.passed.load(SeqCst) >= count {
                return Poll::Ready(());
            }
            *self.waiting.lock().unwrap() = Some(cx.waker().clone());
            if self.passed.load(SeqCst) >= count { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

fn gate() -> &'static Gate {
    Box::leak(Box::default())
}

#[test]
fn the_counter_counts() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
            // Also what a task does, while the actor waits for it.
            assert!(allocations(|| await_future(tokio::spawn(async {})).unwrap()) > 0);
        });
    });
}

#[test]
fn a_future_that_is_ready_costs_no_allocation() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let waits = || (0..100).for_each(|n| assert_eq!(await_future(ready(n)), n));
            assert_eq!(allocations(waits), 0);
        });
    });
}

#[test]
fn an_actor_and_a_task_take_turns_without_an_allocation() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (ping, pong) = (gate(), gate());
            let stop: &AtomicBool = Box::leak(Box::default());
            let task = tokio::spawn(async move {
                for round in 1.. {
                    ping.passed(round).await;
                    pong.pass();
                    if stop.load(SeqCst) {
                        return;
                    }
                }
            });
            let mut round = 0;
            let waits = || {
                for _ in 0..2000 {
                    round += 1;
                    ping.pass();
                    await_future(pong.passed(round));
                }
            };
            assert_eq!(allocations(waits), 0);
            stop.store(true, SeqCst);
            ping.pass();
            await_future(task).unwrap();
        });
    });
}

#[test]
fn an_actor_that_is_parked_in_a_wait_costs_no_allocation() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            const ACTORS: usize = 500;
            let begun = gate();
            let gates: &'static [Gate] = Vec::leak((0..ACTORS).map(|_| Gate::default()).collect());
            let actors: Vec<_> = gates
                .iter()
                .map(|gate| {
                    smarm::spawn(|| {
                        for round in 1..=3 {
                            begun.pass();
                            await_future(gate.passed(round));
                        }
                    })
                })
                .collect();
            await_future(begun.passed(ACTORS));
            let mut all = ACTORS;
            let all_wait_again = || {
                gates.iter().for_each(Gate::pass);
                all += ACTORS;
                await_future(begun.passed(all));
            };
            assert_eq!(allocations(all_wait_again), 0);
            gates.iter().for_each(Gate::pass);
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn a_deadline_costs_no_allocation() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let waits = || {
                for _ in 0..5 {
                    let mut late = pin!(std::future::pending::<()>());
                    assert_eq!(await_timeout(Duration::from_micros(100), late.as_mut()), Err(TimedOut));
                    smarm::sleep(Duration::from_micros(100));
                }
            };
            assert_eq!(allocations(waits), 0);
        });
    });
}

#[test]
fn tokios_timers_cost_an_actor_no_more_than_a_task() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let waits = || {
                for _ in 0..5 {
                    await_future(tokio::time::sleep(Duration::from_micros(100)));
                }
            };
            assert_eq!(allocations(waits), 0);
        });
    });
}

#[test]
fn a_busy_worker_lets_tokio_run_without_an_allocation() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let turns = || {
                let gate = gate_of_this_test();
                let before = gate.passed.load(SeqCst);
                // Until tokio has had a task's turn five times between those of the busy worker.
                while gate.passed.load(SeqCst) < before + 5 {
                    smarm::yield_now();
                }
            };
            let task = tokio::spawn(async {
                loop {
                    gate_of_this_test().pass();
                    tokio::task::yield_now().await;
                }
            });
            assert_eq!(allocations(turns), 0);
            task.abort();
        });
    });
}

fn gate_of_this_test() -> &'static Gate {
    static GATE: Gate = Gate { passed: AtomicUsize::new(0), waiting: Mutex::new(None) };
    &GATE
}
