//! Scopes with a deadline or a token, and what they do to each wait below them.

use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use smarm::cancel::{self, Interrupted, with_deadline, with_timeout};
use smarm::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, bounded, channel, oneshot};
use smarm::compat::{TimedOut, await_future, await_timeout};
use smarm::mailbox::{self, SendError as MailError};
use smarm::{
    CancelToken, JoinError, JoinTimeoutError, LockError, Mutex, Receiver, shield, sleep, with_cancel,
};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, block_on, until, within, workers};

const MOMENT: Duration = Duration::from_millis(2);
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// Runs the test in an actor, and on a plain thread.
fn on_both(test: impl Fn() + Send + Sync + Copy) {
    within(PATIENCE, || {
        for count in [1, 2] {
            workers(count).run(test);
        }
        thread::scope(|scope| scope.spawn(test).join()).unwrap();
    });
}

/// How a scope can be over. Calls `f` in one that will be while it waits.
#[track_caller]
fn in_each_scope(f: impl Fn(Interrupted)) {
    assert_eq!(with_timeout(MOMENT, || f(Interrupted::TimedOut)), Ok(()));
    let token = CancelToken::new();
    let theirs = token.clone();
    let canceller = thread::spawn(move || theirs.cancel());
    assert_eq!(with_cancel(&token, || f(Interrupted::Cancelled)), Ok(()));
    canceller.join().unwrap();
    // And those that are over from the beginning.
    assert_eq!(with_deadline(Instant::now(), || f(Interrupted::TimedOut)), Ok(()));
    assert_eq!(with_cancel(&token, || f(Interrupted::Cancelled)), Ok(()));
}

#[test]
fn waits_that_can_fail_fail() {
    on_both(|| {
        let (tx, rx) = bounded(1);
        let (_tx, empty) = channel::<u8>();
        let mutex = Mutex::new(());
        let _held = mutex.try_lock().unwrap();
        tx.send(0).unwrap();
        in_each_scope(|why| {
            let timed_out = why == Interrupted::TimedOut;
            assert_eq!(empty.recv(), Err(if timed_out { RecvError::TimedOut } else { RecvError::Cancelled }));
            assert_eq!(
                empty.recv_timeout(FOR_EVER).is_err_and(|e| e == RecvTimeoutError::TimedOut),
                timed_out
            );
            assert_eq!(tx.send(1), Err(SendError(1)));
            let sent = tx.send_timeout(1, FOR_EVER);
            assert_eq!(sent == Err(SendTimeoutError::TimedOut(1)), timed_out);
            assert_eq!(sent == Err(SendTimeoutError::Cancelled(1)), !timed_out);
            let locked = mutex.lock(FOR_EVER);
            assert_eq!(matches!(locked, Err(LockError::TimedOut)), timed_out);
            assert_eq!(matches!(locked, Err(LockError::Cancelled)), !timed_out);
            let (_reply, answer) = oneshot::channel::<u8>();
            assert_eq!(
                answer.recv(),
                Err(if timed_out { RecvError::TimedOut } else { RecvError::Cancelled })
            );
            if timed_out {
                assert_eq!(await_timeout(FOR_EVER, pending::<()>()), Err(TimedOut));
            }
            assert_eq!(cancel::check(), Err(why));
        });
        assert_eq!((rx.recv(), rx.try_recv().is_err()), (Ok(0), true), "nothing was sent");
        assert_eq!(cancel::check(), Ok(()));
    });
}

#[test]
fn waits_that_cannot_fail_unwind_to_the_scope() {
    fn each(wait: impl Fn()) {
        let drops = Drops::new();
        let wait = || {
            let _dropped = drops.counted();
            wait();
            unreachable!("it went on");
        };
        assert_eq!(with_timeout(MOMENT, wait), Err(Interrupted::TimedOut));
        let token = CancelToken::new();
        let theirs = token.clone();
        let canceller = thread::spawn(move || theirs.cancel());
        assert_eq!(with_cancel(&token, wait), Err(Interrupted::Cancelled));
        canceller.join().unwrap();
        assert_eq!(with_cancel(&token, wait), Err(Interrupted::Cancelled));
        assert_eq!(drops.count(), 3);
        assert!(!thread::panicking());
    }
    on_both(|| {
        each(|| sleep(FOR_EVER));
        each(|| sleep(Duration::MAX));
        each(|| await_future(pending()));
        each(|| CancelToken::new().wait());
        let forever = workers(1);
        each(|| drop(shield(|| forever.spawn(|| sleep(Duration::MAX))).unwrap().join()));
    });
}

#[test]
fn what_is_ready_wins_over_a_scope_that_is_over() {
    on_both(|| {
        let (tx, rx) = bounded(1);
        let mutex = Mutex::new(());
        let all = with_timeout(Duration::ZERO, || {
            tx.send(1).unwrap();
            assert_eq!(rx.recv(), Ok(1));
            drop(mutex.lock(Duration::ZERO).unwrap());
            await_future(ready(()));
        });
        assert!(all.is_ok());
    });
}

#[test]
fn a_sleep_that_ends_before_the_deadline_is_slept_to_its_end() {
    on_both(|| {
        let start = Instant::now();
        assert_eq!(with_timeout(FOR_EVER, || sleep(MOMENT)), Ok(()));
        assert!(start.elapsed() >= MOMENT);
        let token = CancelToken::new();
        assert_eq!(with_cancel(&token, || sleep(MOMENT)), Ok(()));
    });
}

#[test]
fn the_result_of_a_closure_that_returns_is_given_although_its_time_is_over() {
    on_both(|| {
        let (_tx, rx) = channel::<u8>();
        let received = with_timeout(MOMENT, || rx.recv());
        assert_eq!(received, Ok(Err(RecvError::TimedOut)));
    });
}

#[test]
fn scopes_nest_and_the_first_to_be_over_counts() {
    on_both(|| {
        // The inner one is over first: the outer goes on.
        let outer = with_timeout(FOR_EVER, || {
            assert_eq!(with_timeout(MOMENT, || sleep(FOR_EVER)), Err(Interrupted::TimedOut));
            sleep(Duration::from_micros(1));
            7
        });
        assert_eq!(outer, Ok(7));
        // The outer one is over first: the innermost says so, and the next wait outside does too.
        let outer = with_timeout(MOMENT, || {
            assert_eq!(with_timeout(FOR_EVER, || sleep(FOR_EVER)), Err(Interrupted::TimedOut));
            sleep(FOR_EVER);
        });
        assert_eq!(outer, Err(Interrupted::TimedOut));
        // A token around a deadline.
        let token = CancelToken::new();
        token.cancel();
        let outer = with_cancel(&token, || with_timeout(FOR_EVER, || sleep(FOR_EVER)));
        assert_eq!(outer, Ok(Err(Interrupted::Cancelled)));
        assert_eq!(cancel::deadline(), None);
    });
}

#[test]
fn a_shield_keeps_scopes_away() {
    on_both(|| {
        let token = CancelToken::new();
        token.cancel();
        let start = Instant::now();
        let over = with_cancel(&token, || {
            with_timeout(Duration::ZERO, || {
                shield(|| {
                    assert_eq!((cancel::check(), cancel::deadline()), (Ok(()), None));
                    sleep(MOMENT);
                    assert_eq!(with_timeout(MOMENT, || sleep(FOR_EVER)), Err(Interrupted::TimedOut));
                });
                sleep(FOR_EVER);
            })
        });
        assert!(start.elapsed() >= 2 * MOMENT);
        assert_eq!(over, Ok(Err(Interrupted::Cancelled)));
    });
}

#[test]
fn a_panic_passes_through_a_scope_and_ends_it() {
    on_both(|| {
        let caught = catch_unwind(|| with_timeout(FOR_EVER, || resume_unwind(Box::new("boom"))));
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "boom");
        assert_eq!(cancel::deadline(), None);
        sleep(Duration::from_micros(1));
    });
}

#[test]
fn code_that_swallows_the_unwinding_is_unwound_again() {
    on_both(|| {
        let swallowed = AtomicUsize::new(0);
        let over = with_timeout(MOMENT, || {
            for _ in 0..3 {
                assert!(catch_unwind(AssertUnwindSafe(|| sleep(FOR_EVER))).is_err());
                swallowed.fetch_add(1, SeqCst);
            }
            sleep(FOR_EVER);
        });
        assert_eq!((over, swallowed.load(SeqCst)), (Err(Interrupted::TimedOut), 3));
    });
}

#[test]
fn destructors_of_what_unwinds_to_a_scope_may_wait() {
    on_both(|| {
        let done = AtomicUsize::new(0);
        let over = with_timeout(MOMENT, || {
            let (_tx, rx) = channel::<u8>();
            let _last = OnDrop(|| {
                // What has an error fails, what has none goes on to its end.
                assert_eq!(rx.recv(), Err(RecvError::TimedOut));
                let mut polls = 0;
                await_future(poll_fn(|cx| {
                    polls += 1;
                    cx.waker().wake_by_ref();
                    if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
                }));
                done.fetch_add(1, SeqCst);
            });
            sleep(FOR_EVER);
        });
        assert_eq!((over, done.load(SeqCst)), (Err(Interrupted::TimedOut), 1));
    });
}

#[test]
fn an_awaited_future_is_dropped_when_its_scope_is_over() {
    on_both(|| {
        let drops = Drops::new();
        let theirs = drops.counted();
        let future = async move {
            let _theirs = theirs;
            pending::<()>().await;
        };
        assert_eq!(with_timeout(MOMENT, || await_future(future)), Err(Interrupted::TimedOut));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_child_inherits_the_scope_for_its_life() {
    within(PATIENCE, || {
        for count in [1, 2] {
            workers(count).run(|| {
                let token = CancelToken::new();
                let started = Signal::new();
                let (their_token, theirs) = (token.clone(), started.clone());
                let spawner = smarm::spawn(move || {
                    with_cancel(&their_token, || {
                        let waits = theirs.clone();
                        let fails = smarm::spawn(move || {
                            let (_tx, rx) = channel::<u8>();
                            waits.raise();
                            rx.recv()
                        });
                        let waits = theirs.clone();
                        let unwinds = smarm::spawn(move || {
                            waits.raise();
                            // A grandchild, which may be the first to unwind.
                            drop(smarm::spawn(|| sleep(FOR_EVER)).join());
                            sleep(FOR_EVER);
                        });
                        let stays = shield(|| smarm::spawn(cancel::check));
                        (fails, unwinds, stays)
                    })
                    .unwrap()
                });
                // The spawner has left the scope.
                let (fails, unwinds, stays) = spawner.join().unwrap();
                started.wait(2);
                token.cancel();
                assert_eq!(fails.join().unwrap(), Err(RecvError::Cancelled));
                assert!(matches!(unwinds.join(), Err(JoinError::Killed)));
                assert_eq!(stays.join().unwrap(), Ok(()));

                let child = with_timeout(MOMENT, || smarm::spawn(|| sleep(FOR_EVER))).unwrap();
                assert!(matches!(child.join(), Err(JoinError::Killed)));
                smarm::spawn(|| assert_eq!(cancel::deadline(), None)).join().unwrap();
            });
        }
    });
}

#[test]
fn a_join_with_a_time_gives_the_handle_back() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let go = Signal::new();
            let theirs = go.clone();
            let child = smarm::spawn(move || theirs.wait(1));
            let joined = with_timeout(MOMENT, || child.join_timeout(FOR_EVER)).unwrap();
            let Err(JoinTimeoutError::TimedOut(child)) = joined else { panic!("{joined:?}") };
            let token = CancelToken::new();
            token.cancel();
            let joined = with_cancel(&token, || child.join_timeout(FOR_EVER)).unwrap();
            let Err(JoinTimeoutError::Cancelled(child)) = joined else { panic!("{joined:?}") };
            go.raise();
            child.join().unwrap();
        });
    });
}

#[test]
fn a_mailbox_that_is_full_gives_the_message_back() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let _full = mailbox::open_bounded::<u8>(0).unwrap();
            let me = smarm::self_pid();
            in_each_scope(|why| {
                let error = me.send(7_u8).unwrap_err();
                match why {
                    Interrupted::TimedOut => assert_eq!(error, MailError::TimedOut(7)),
                    Interrupted::Cancelled => assert_eq!(error, MailError::Cancelled(7)),
                }
            });
        });
    });
}

#[test]
fn a_kill_goes_before_a_scope_and_passes_through_it() {
    within(PATIENCE, || {
        for count in [1, 2] {
            workers(count).run(|| {
                for shielded in [false, true] {
                    let ready = Signal::new();
                    let theirs = ready.clone();
                    let actor = smarm::spawn(move || {
                        let wait = || {
                            theirs.raise();
                            sleep(FOR_EVER);
                        };
                        let over = with_timeout(FOR_EVER, || if shielded { shield(wait) } else { wait() });
                        unreachable!("{over:?}");
                    });
                    ready.wait(1);
                    actor.kill();
                    assert!(matches!(actor.join(), Err(JoinError::Killed)));
                }
            });
        }
    });
}

#[test]
fn tokens_are_cancelled_from_the_top_down_and_for_ever() {
    let root = CancelToken::new();
    let (left, right) = (root.child_token(), root.child_token());
    let (leaf, other) = (left.child_token(), left.child_token());
    drop(other);
    left.cancel();
    left.cancel();
    let seen = [&root, &left, &right, &leaf].map(CancelToken::is_cancelled);
    assert_eq!(seen, [false, true, false, true]);
    drop(left);
    let late = leaf.child_token();
    assert!(late.is_cancelled());
    drop(leaf);
    root.cancel();
    assert!(right.is_cancelled() && root.clone().is_cancelled());
    block_on(root.cancelled());
    assert!(CancelToken::default().child_token().child_token().cancelled().now_or_never_ready().is_none());
}

/// A look at a future without waiting.
trait Look: Future + Sized {
    fn now_or_never_ready(self) -> Option<Self::Output> {
        let mut this = Box::pin(self);
        match this.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}
impl<F: Future> Look for F {}

#[test]
fn actors_tasks_and_threads_wait_for_a_token() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let token = CancelToken::new();
        let child = token.child_token();
        let actors: Vec<_> = (0..10)
            .map(|n| {
                let token = if n % 2 == 0 { token.clone() } else { token.child_token() };
                runtime.spawn(move || token.wait()).unwrap()
            })
            .collect();
        let theirs = child.clone();
        let thread = thread::spawn(move || theirs.wait());
        assert!(!child.wait_timeout(MOMENT));
        let theirs = token.clone();
        let task = thread::spawn(move || block_on(async move { theirs.cancelled().await }));
        runtime.run(|| assert!(!token.wait_timeout(MOMENT)));
        // Dropped half-way, it leaves nobody behind.
        assert!(token.cancelled().now_or_never_ready().is_none());
        token.cancel();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        thread.join().unwrap();
        task.join().unwrap();
        assert!(child.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn a_token_forgets_its_children_and_its_waiters() {
    let token = CancelToken::new();
    let drops = Drops::new();
    struct Waiter(#[allow(dead_code, reason = "counted when it is dropped")] smarm_workspace::Counted);
    impl std::task::Wake for Waiter {
        fn wake(self: Arc<Self>) {}
    }
    for _ in 0..100 {
        let child = token.child_token();
        let waker = std::task::Waker::from(Arc::new(Waiter(drops.counted())));
        let mut waiting = Box::pin(child.cancelled());
        assert!(waiting.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(drops.count(), 100);
    token.cancel();
}

/// As many levels as no stack has room for calls, in an actor's and in a thread's.
#[test]
fn tokens_may_be_a_hundred_thousand_levels_deep() {
    /// Each level has a sibling that ends there.
    fn tree() -> (CancelToken, Vec<CancelToken>, CancelToken) {
        let top = CancelToken::new();
        let mut leaves = Vec::new();
        let mut lowest = top.clone();
        for _ in 0..100_000 {
            leaves.push(lowest.child_token());
            lowest = lowest.child_token();
        }
        (top, leaves, lowest)
    }
    on_both(|| {
        let (top, leaves, lowest) = tree();
        top.cancel();
        assert!(lowest.is_cancelled() && leaves.iter().all(CancelToken::is_cancelled));
        drop((top, leaves));
        drop(lowest); // all that are above it go with it

        let (top, leaves, lowest) = tree();
        drop((leaves, lowest));
        let (first, second) = (top.child_token(), top.child_token());
        top.cancel();
        assert!(first.is_cancelled() && second.is_cancelled());
    });
}

#[test]
fn cancelling_in_the_middle_of_a_tree_leaves_what_is_beside_and_above() {
    let top = CancelToken::new();
    let (left, right) = (top.child_token(), top.child_token());
    let (below, beside) = (left.child_token(), left.child_token());
    let lowest = below.child_token();
    below.cancel();
    assert!(below.is_cancelled() && lowest.is_cancelled());
    assert!(![&top, &left, &right, &beside].into_iter().any(CancelToken::is_cancelled));
    left.cancel();
    assert!(beside.is_cancelled() && !top.is_cancelled() && !right.is_cancelled());
    top.cancel();
    assert!(right.is_cancelled());
}

/// Cancelling at any moment of a wait wakes it, and none is left behind.
#[test]
fn cancelling_races_with_waits_and_loses_no_wake() {
    const ROUNDS: usize = 200;
    within(PATIENCE, || {
        let runtime = workers(2);
        runtime.run(|| {
            for round in 0..ROUNDS {
                let token = CancelToken::new();
                let actors: Vec<_> = (0..4)
                    .map(|n| {
                        let token = token.child_token();
                        smarm::spawn(move || {
                            let (tx, rx) = bounded::<u8>(0);
                            with_cancel(&token, || match (n + round) % 4 {
                                0 => assert_eq!(rx.recv(), Err(RecvError::Cancelled)),
                                1 => assert_eq!(tx.send(1), Err(SendError(1))),
                                2 => sleep(FOR_EVER),
                                _ => await_future(pending()),
                            })
                        })
                    })
                    .collect();
                (0..round % 5).for_each(|_| smarm::yield_now());
                token.cancel();
                for (n, actor) in actors.into_iter().enumerate() {
                    let over = actor.join().unwrap();
                    assert_eq!(over.is_err(), (n + round) % 4 >= 2, "{over:?}");
                }
            }
        });
    });
}

#[test]
fn deadlines_of_many_actors_are_all_kept() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let actors: Vec<_> = (0..200_u64)
                .map(|n| {
                    smarm::spawn(move || {
                        let start = Instant::now();
                        let span = Duration::from_micros(n * 20);
                        let over = with_timeout(span, || match n % 2 {
                            0 => sleep(FOR_EVER),
                            _ => await_future(pending()),
                        });
                        assert_eq!(over, Err(Interrupted::TimedOut));
                        assert!(start.elapsed() >= span, "too early");
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn an_actor_that_computes_asks_whether_its_scope_is_over() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let over = with_timeout(MOMENT, || {
                let mut rounds = 0_u64;
                while cancel::check().is_ok() {
                    rounds += 1;
                    smarm::check!();
                }
                rounds
            });
            assert!(over.is_ok());
        });
    });
}

#[test]
fn a_supervisor_is_told_that_a_child_which_unwound_for_its_scope_was_killed() {
    use smarm::supervisor::{self, Reason, Signal as Told};
    within(PATIENCE, || {
        workers(1).run(|| {
            let signals = supervisor::mailbox();
            let child = with_timeout(Duration::ZERO, || smarm::spawn(|| sleep(FOR_EVER))).unwrap();
            let told = signals.recv().unwrap();
            assert!(matches!(told, Told::Exit { reason: Reason::Killed, .. }), "{told:?}");
            assert!(child.join().is_err());
            let inbox: Receiver<Told> = signals;
            until(|| inbox.is_empty());
        });
    });
}
