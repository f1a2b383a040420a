//! Waiting for futures: on the worker's stack, in threads, with bounds; and the misuses.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use smarm::compat::{TimedOut, await_deadline, await_future, await_timeout};
use smarm::{Builder, Config, on_native_stack};
use smarm_workspace::{
    Counted, Drops, OnDrop, PATIENCE, Signal, message, panic_message, until, within, workers,
};

/// Uses at least this many bytes of stack below the first call, and gives where it ended.
#[inline(never)]
fn deep(start: usize, bytes: usize) -> usize {
    let block = std::hint::black_box([1_u8; 512]);
    let here = block.as_ptr().addr();
    let end = if start - here < bytes { deep(start, bytes) } else { here };
    std::hint::black_box(&block);
    end
}

fn here() -> usize {
    let local = 0_u8;
    std::hint::black_box(&raw const local).addr()
}

#[test]
fn a_future_is_polled_on_a_deep_stack_that_is_not_the_actors() {
    const DEEP: usize = 200 << 10;
    within(PATIENCE, || {
        let runtime = smarm::runtime::init(Config::exact(1).stack_size(16 << 10));
        runtime.run(|| {
            let own = here();
            let (signal, polled) = (Signal::new(), Signal::new());
            let (theirs, first) = (signal.clone(), polled.clone());
            drop(smarm::spawn(move || {
                first.wait(1);
                theirs.raise();
            }));
            let mut reached = Box::pin(signal.reached(1));
            let mut polls = 0;
            await_future(poll_fn(|cx| {
                polls += 1;
                let there = here();
                assert!(there.abs_diff(own) > 16 << 10, "it is another stack");
                assert!(there - deep(there, DEEP) >= DEEP);
                let reached = reached.as_mut().poll(cx);
                polled.raise();
                reached
            }));
            assert!(polls >= 2);
            let inside = on_native_stack(|| {
                let there = here();
                there - deep(there, DEEP)
            });
            assert!(inside >= DEEP);
        });
    });
}

#[test]
fn a_future_is_dropped_on_the_deep_stack_too() {
    struct DeepDrop(Arc<AtomicUsize>);
    impl Drop for DeepDrop {
        fn drop(&mut self) {
            let there = here();
            self.0.store(there - deep(there, 200 << 10), SeqCst);
        }
    }
    within(PATIENCE, || {
        let runtime = smarm::runtime::init(Config::exact(1).stack_size(16 << 10));
        let dropped = Arc::new(AtomicUsize::new(0));
        let theirs = dropped.clone();
        runtime.run(move || {
            let held = DeepDrop(theirs);
            await_future(async move {
                let _held = held;
            });
        });
        assert!(dropped.swap(0, SeqCst) >= 200 << 10, "after it was ready");

        let theirs = dropped.clone();
        runtime.run(move || {
            let held = DeepDrop(theirs);
            let awaited = await_deadline(Instant::now(), async move {
                let _held = held;
                pending::<()>().await;
            });
            assert_eq!(awaited, Err(TimedOut));
        });
        assert!(dropped.swap(0, SeqCst) >= 200 << 10, "after its time was over");

        let held = DeepDrop(dropped.clone());
        let parked = Signal::new();
        let theirs = parked.clone();
        let actor = runtime
            .spawn(move || {
                await_future(async move {
                    let _held = held;
                    theirs.raise();
                    pending::<()>().await;
                });
            })
            .unwrap();
        parked.wait(1);
        actor.kill();
        assert!(actor.join().unwrap_err().is_killed());
        assert!(dropped.swap(0, SeqCst) >= 200 << 10, "after a kill");
    });
}

#[test]
fn a_wake_for_nothing_polls_again_and_does_not_resume_the_actor() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (waker, ready) = (Arc::new(Mutex::new(None::<Waker>)), Arc::new(AtomicBool::new(false)));
            let (polls, resumed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let theirs = (waker.clone(), ready.clone(), polls.clone(), resumed.clone());
            let actor = smarm::spawn(move || {
                await_future(poll_fn(|cx| {
                    theirs.2.fetch_add(1, SeqCst);
                    *theirs.0.lock().unwrap() = Some(cx.waker().clone());
                    if theirs.1.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                }));
                theirs.3.store(true, SeqCst);
            });
            until(|| polls.load(SeqCst) == 1);
            for _ in 0..100 {
                let before = polls.load(SeqCst);
                let waker = waker.lock().unwrap().clone().unwrap();
                waker.wake_by_ref();
                waker.wake();
                until(|| polls.load(SeqCst) > before);
                assert!(!resumed.load(SeqCst));
            }
            ready.store(true, SeqCst);
            let last = waker.lock().unwrap().take().unwrap();
            last.wake();
            actor.join().unwrap();
            assert!(resumed.load(SeqCst));
        });
    });
}

#[test]
fn the_waker_of_an_actor_is_always_the_same() {
    within(PATIENCE, || {
        smarm::run(|| {
            let waker = || await_future(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
            let first = waker();
            smarm::yield_now();
            assert!(first.will_wake(&waker()));
            let other =
                smarm::spawn(|| await_future(poll_fn(|cx| Poll::Ready(cx.waker().clone())))).join().unwrap();
            assert!(!first.will_wake(&other));
        });
    });
}

#[test]
fn a_panic_of_a_future_continues_in_the_actor_that_awaits_it() {
    within(PATIENCE, || {
        smarm::run(|| {
            let drops = Drops::new();
            let held = drops.counted();
            let text = panic_message(|| {
                await_future(async move {
                    let _held = held;
                    panic!("in the first poll");
                })
            });
            assert_eq!((text.as_str(), drops.count()), ("in the first poll", 1));

            let signal = Signal::new();
            let theirs = signal.clone();
            drop(smarm::spawn(move || theirs.raise()));
            let text = panic_message(|| {
                await_future(async {
                    signal.reached(1).await;
                    panic!("in a later poll");
                })
            });
            assert_eq!(text, "in a later poll");

            // The actor is as good as before.
            assert_eq!(await_future(ready(1)), 1);
            let actor = smarm::spawn(|| await_future(async { panic!("caught by nobody") }));
            let payload = actor.join().unwrap_err().into_panic();
            assert_eq!(message(&*payload), "caught by nobody");
        });
    });
}

#[test]
fn a_panic_in_the_drop_of_a_future_continues_in_the_actor_that_awaited_it() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("in the drop");
            }
        }
    }
    /// Panics when it is dropped, which is the await's business, not that of the poll.
    struct Explodes(Option<()>, Bomb);
    impl Future for Explodes {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0.map_or(Poll::Pending, Poll::Ready)
        }
    }
    within(PATIENCE, || {
        smarm::run(|| {
            let text = panic_message(|| await_future(Explodes(Some(()), Bomb)));
            assert_eq!(text, "in the drop", "after it was ready");
            let text = panic_message(|| await_deadline(Instant::now(), Explodes(None, Bomb)));
            assert_eq!(text, "in the drop", "after its time was over");

            // During a kill nothing is left to say; above all it does not abort.
            let parked = Signal::new();
            let theirs = parked.clone();
            let actor = smarm::spawn(move || {
                theirs.raise();
                await_future(Explodes(None, Bomb));
            });
            parked.wait(1);
            until(|| {
                actor.kill();
                actor.is_finished()
            });
            assert!(actor.join().is_err());
            assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
        });
    });
}

/// Awaits outputs with `N` times `filling` in them, of futures that are ready at once and of one that is not.
fn arrives_whole<T: Copy + PartialEq + std::fmt::Debug + 'static, const N: usize>(filling: T) {
    assert_eq!(await_future(ready([filling; N])), [filling; N]);
    let mut polled = false;
    let later = poll_fn(move |cx| {
        if polled {
            return Poll::Ready(([filling; N], Box::new(7)));
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    assert_eq!(await_future(later), ([filling; N], Box::new(7)));
    assert_eq!(await_timeout(PATIENCE, ready(Some([filling; N]))), Ok(Some([filling; N])));
}

#[test]
fn outputs_of_any_size_arrive_whole() {
    within(PATIENCE, || {
        smarm::run(|| {
            arrives_whole::<u8, 0>(1);
            arrives_whole::<u8, 31>(2);
            arrives_whole::<u16, 7>(3);
            arrives_whole::<u32, 9>(4);
            arrives_whole::<u64, 1>(5);
            arrives_whole::<u64, 2>(6);
            arrives_whole::<u64, 3>(7);
            arrives_whole::<u64, 6>(8);
            arrives_whole::<u64, 9>(9);
            arrives_whole::<u64, 100>(10);
            arrives_whole::<u128, 3>(11);
            arrives_whole::<&str, 2>("borrowed");
            let texts = await_future(async { Ok::<_, String>(vec!["a".to_string(), "b".to_string()]) });
            assert_eq!(texts.unwrap().concat(), "ab");
        });
    });
}

#[test]
fn the_output_of_a_future_that_panics_in_its_drop_is_dropped_once() {
    struct Evil<T>(Option<T>, bool);
    impl<T: Unpin> Future for Evil<T> {
        type Output = T;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
            if self.1 {
                self.1 = false;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.0.take().expect("polled until it is ready"))
        }
    }
    impl<T> Drop for Evil<T> {
        fn drop(&mut self) {
            panic!("evil to the end");
        }
    }
    within(PATIENCE, || {
        smarm::run(|| {
            for pending_first in [false, true] {
                let drops = Drops::new();
                let output = drops.counted();
                let payload =
                    catch_unwind(AssertUnwindSafe(|| await_future(Evil(Some(output), pending_first)))).err();
                assert_eq!(message(&*payload.expect("its drop panics")), "evil to the end");
                assert_eq!(drops.count(), 1);
            }
        });
    });
}

#[test]
fn a_future_that_is_not_send_is_polled_on_its_actors_thread_only() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let signal = Signal::new();
        let actors: Vec<_> = (0..20)
            .map(|_| {
                let signal = signal.clone();
                runtime
                    .spawn(move || {
                        let polls = Rc::new(Cell::new(0));
                        let home = thread::current().id();
                        for round in 1..=50 {
                            let theirs = polls.clone();
                            let mut reached = Box::pin(signal.reached(round));
                            await_future(poll_fn(move |cx| {
                                assert_eq!(thread::current().id(), home);
                                theirs.set(theirs.get() + 1);
                                reached.as_mut().poll(cx)
                            }));
                        }
                        assert!(polls.get() >= 50);
                        assert_eq!(Rc::strong_count(&polls), 1);
                    })
                    .unwrap()
            })
            .collect();
        (0..50).for_each(|_| signal.raise());
        actors.into_iter().for_each(|actor| actor.join().unwrap());
    });
}

#[test]
fn a_future_may_borrow_from_the_actor() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (mut text, signal) = (String::from("a"), Signal::new());
            let theirs = signal.clone();
            drop(smarm::spawn(move || theirs.raise()));
            await_future(async {
                text.push('b');
                signal.reached(1).await;
                text.push('c');
            });
            assert_eq!(text, "abc");
        });
    });
}

#[test]
fn a_timeout_drops_the_future_and_is_never_early() {
    const TIME: Duration = Duration::from_millis(5);
    within(PATIENCE, || {
        let try_it = || {
            let drops = Drops::new();
            let held = drops.counted();
            let start = Instant::now();
            let awaited = await_timeout(TIME, async move {
                let _held = held;
                pending::<()>().await;
            });
            assert_eq!(awaited, Err(TimedOut));
            assert!(start.elapsed() >= TIME);
            assert_eq!(drops.count(), 1, "it was dropped before the return");
        };
        try_it(); // on a plain thread
        smarm::run(try_it);
    });
}

#[test]
fn a_deadline_in_the_past_polls_once_and_returns_at_once() {
    within(PATIENCE, || {
        let try_it = || {
            let polls = Cell::new(0);
            let never = poll_fn(|_| {
                polls.set(polls.get() + 1);
                Poll::<()>::Pending
            });
            assert_eq!(await_deadline(Instant::now(), never), Err(TimedOut));
            assert_eq!(polls.get(), 1);
            assert_eq!(await_timeout(Duration::ZERO, pending::<()>()), Err(TimedOut));
        };
        try_it();
        smarm::run(try_it);
    });
}

#[test]
fn a_future_that_is_ready_wins_over_a_deadline_in_the_past() {
    within(PATIENCE, || {
        let try_it = || {
            assert_eq!(await_deadline(Instant::now(), ready(1)), Ok(1));
            assert_eq!(await_timeout(Duration::ZERO, ready(2)), Ok(2));
            assert_eq!(await_timeout(Duration::MAX, ready(3)), Ok(3));
        };
        try_it();
        smarm::run(try_it);
    });
}

#[test]
fn a_wake_for_nothing_does_not_lengthen_or_shorten_a_timeout() {
    const TIME: Duration = Duration::from_millis(5);
    within(PATIENCE, || {
        let runtime = workers(2);
        let signal = Signal::new();
        let theirs = signal.clone();
        let over = Arc::new(AtomicBool::new(false));
        let actor = runtime
            .spawn(move || {
                let start = Instant::now();
                assert_eq!(await_timeout(TIME, theirs.reached(1)), Err(TimedOut));
                assert!(start.elapsed() >= TIME);
            })
            .unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    signal.rouse();
                }
            });
            let joined = actor.join();
            over.store(true, SeqCst);
            joined.unwrap();
        });
    });
}

#[test]
fn a_timeout_that_does_not_fire_leaves_nothing_behind() {
    within(PATIENCE, || {
        smarm::run(|| {
            for round in 0..1000 {
                let signal = Signal::new();
                let theirs = signal.clone();
                drop(smarm::spawn(move || theirs.raise()));
                await_timeout(Duration::from_secs(3600), signal.reached(1)).unwrap();
                assert_eq!(await_timeout(PATIENCE, ready(round)), Ok(round));
            }
        });
    });
}

#[test]
fn a_plain_thread_awaits_a_future_too() {
    within(PATIENCE, || {
        let signal = Signal::new();
        thread::scope(|scope| {
            scope.spawn(|| (0..100).for_each(|_| signal.raise()));
            await_future(signal.reached(100));
        });
        assert_eq!(panic_message(|| await_future(async { panic!("boom") })), "boom");
        // Nested, which a thread may do.
        assert_eq!(await_future(async { await_future(ready(1)) }), 1);
    });
}

#[test]
fn an_await_inside_a_poll_is_refused_and_says_what_to_do() {
    within(PATIENCE, || {
        smarm::run(|| {
            // What is ready needs no wait.
            assert_eq!(await_future(async { await_future(ready(1)) }), 1);
            let text = panic_message(|| await_future(async { await_future(pending::<()>()) }));
            assert!(
                text.contains("inside a future that an actor awaits") && text.contains("handle.await"),
                "{text}"
            );
            // Nothing is left in disorder.
            assert_eq!(await_future(ready(2)), 2);
            assert_eq!(smarm::spawn(|| 3).join().unwrap(), 3);
        });
    });
}

#[test]
fn blocking_calls_inside_a_poll_are_refused() {
    within(PATIENCE, || {
        let runtime = workers(1);
        runtime.run(|| {
            let child = smarm::spawn(|| smarm::sleep(Duration::MAX));
            let text = panic_message(|| await_future(async { child.join() }));
            assert!(text.contains("inside a future that an actor awaits"), "{text}");
            let text = panic_message(|| await_future(async { smarm::sleep(Duration::MAX) }));
            assert!(text.contains("inside a future that an actor awaits"), "{text}");
            let other = smarm::spawn(|| smarm::sleep(Duration::MAX));
            let text =
                panic_message(|| await_future(async { other.join_timeout(Duration::from_secs(1)).is_ok() }));
            assert!(text.contains("inside a future that an actor awaits"), "{text}");
            let text = panic_message(|| await_future(async { smarm::run(|| ()) }));
            assert!(text.contains("inside a future that an actor awaits"), "{text}");
        });
    });
}

#[test]
fn a_runtime_dropped_where_nothing_may_wait_ends_by_itself() {
    within(PATIENCE, || {
        smarm::run(|| {
            let drops = Drops::new();
            let parked = Signal::new();
            for in_poll in [true, false] {
                let runtime = workers(1);
                let (theirs, held) = (parked.clone(), drops.counted());
                let parked_before = parked.count();
                drop(runtime.spawn(move || {
                    let _held = held;
                    theirs.raise();
                    smarm::sleep(Duration::MAX);
                }));
                parked.wait(parked_before + 1);
                if in_poll {
                    await_future(async move { drop(runtime) });
                } else {
                    on_native_stack(move || drop(runtime));
                }
            }
            until(|| drops.count() == 2);
        });
    });
}

#[test]
fn blocking_calls_on_the_native_stack_are_refused() {
    within(PATIENCE, || {
        smarm::run(|| {
            let child = smarm::spawn(|| smarm::sleep(Duration::MAX));
            let text = panic_message(|| on_native_stack(|| child.join()));
            assert!(text.contains("on_native_stack"), "{text}");
            let text = panic_message(|| on_native_stack(|| await_future(pending::<()>())));
            assert!(text.contains("on_native_stack"), "{text}");
            assert_eq!(on_native_stack(|| await_future(ready(1))), 1);
        });
    });
}

#[test]
fn on_native_stack_passes_values_and_panics_through() {
    within(PATIENCE, || {
        let try_it = || {
            let drops = Drops::new();
            let held = drops.counted();
            let back: Counted = on_native_stack(move || held);
            assert_eq!(drops.count(), 0);
            drop(back);
            assert_eq!(drops.count(), 1);
            assert_eq!(panic_message(|| on_native_stack(|| panic!("boom"))), "boom");
            assert_eq!(on_native_stack(|| on_native_stack(|| 42)), 42);
        };
        try_it();
        smarm::run(try_it);
    });
}

#[test]
fn an_await_in_a_destructor_while_a_panic_unwinds_goes_on_to_its_end() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (signal, values) = (Signal::new(), mpsc::channel());
            let (theirs, sender) = (signal.clone(), values.0);
            let actor = smarm::spawn(move || {
                let _awaits = OnDrop(move || {
                    theirs.wait(1);
                    let timed = await_timeout(Duration::from_millis(1), pending::<()>());
                    sender.send(timed).unwrap();
                });
                panic!("boom");
            });
            until(|| signal.waiting() == 1);
            signal.raise();
            assert!(actor.join().unwrap_err().is_panic());
            assert_eq!(values.1.try_recv(), Ok(Err(TimedOut)));
        });
    });
}

#[test]
fn a_hundred_actors_await_futures_that_wake_each_other_in_a_ring() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let signals: Arc<Vec<_>> = Arc::new((0..100).map(|_| Signal::new()).collect());
            let actors: Vec<_> = (0..100)
                .map(|n| {
                    let signals = signals.clone();
                    runtime
                        .spawn(move || {
                            for round in 1..=50 {
                                signals[n].wait(round);
                                signals[(n + 1) % 100].raise();
                            }
                        })
                        .unwrap()
                })
                .collect();
            signals[0].raise();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
            assert_eq!(signals[0].count(), 51);
        }
    });
}

#[test]
fn a_killed_actor_drops_a_future_whose_drop_wakes_others() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (parked, dropped) = (Signal::new(), Signal::new());
            let theirs = (parked.clone(), dropped.clone());
            let actor = Builder::new()
                .name("victim")
                .spawn(move || {
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        await_future(async move {
                            let _raises = OnDrop(|| theirs.1.raise());
                            theirs.0.raise();
                            pending::<()>().await;
                        });
                    }));
                })
                .unwrap();
            parked.wait(1);
            actor.kill();
            dropped.wait(1);
            actor.join().unwrap();
        });
    });
}
