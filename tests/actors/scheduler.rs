//! Who runs when and where: no wake is lost, no actor starves, none that has started moves.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use smarm::host::{Turn, Worker};
use smarm::runtime::{detached, init};
use smarm::{Builder, Config, JoinError, Runtime};
use smarm_workspace::{Drops, PATIENCE, Signal, block_on, calm, panic_message, until, within, workers};

const ROUNDS: usize = 5_000;

#[test]
fn actors_on_two_workers_wake_each_other_thousands_of_times() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let handle = runtime.handle();
        let (ping, pong) = (Signal::new(), Signal::new());
        let side = |worker: usize, hears: &Signal, says: &Signal, first: bool| {
            let (hears, says) = (hears.clone(), says.clone());
            let ping_pong = move || {
                for round in 1..=ROUNDS {
                    if first {
                        says.raise();
                    }
                    hears.wait(round);
                    if !first {
                        says.raise();
                    }
                }
            };
            Builder::new().runtime(&handle).worker(worker).spawn(ping_pong).unwrap()
        };
        let one = side(0, &pong, &ping, true);
        let two = side(1, &ping, &pong, false);
        one.join().unwrap();
        two.join().unwrap();
    });
}

#[test]
fn many_pairs_of_actors_on_any_workers_wake_each_other() {
    within(PATIENCE, || {
        for count in [1, 2, 4] {
            let runtime = workers(count);
            runtime.run(|| {
                let players: Vec<_> = (0..50)
                    .flat_map(|_| {
                        let (ping, pong) = (Signal::new(), Signal::new());
                        let (theirs, answers) = (ping.clone(), pong.clone());
                        let one = smarm::spawn(move || {
                            for round in 1..=200 {
                                theirs.raise();
                                answers.wait(round);
                            }
                        });
                        let two = smarm::spawn(move || {
                            for round in 1..=200 {
                                ping.wait(round);
                                pong.raise();
                            }
                        });
                        [one, two]
                    })
                    .collect();
                players.into_iter().for_each(|player| player.join().unwrap());
            });
        }
    });
}

#[test]
fn a_thread_and_an_actor_wake_each_other_thousands_of_times() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let (ping, pong) = (Signal::new(), Signal::new());
        let (hears, says) = (ping.clone(), pong.clone());
        let actor = runtime
            .spawn(move || {
                for round in 1..=ROUNDS {
                    hears.wait(round);
                    says.raise();
                }
            })
            .unwrap();
        for round in 1..=ROUNDS {
            ping.raise();
            block_on(pong.reached(round));
        }
        actor.join().unwrap();
    });
}

#[test]
fn many_threads_wake_one_actor_and_no_raise_is_missed() {
    const THREADS: usize = 4;
    within(PATIENCE, || {
        let runtime = workers(2);
        let signal = Signal::new();
        let theirs = signal.clone();
        let actor =
            runtime.spawn(move || (1..=THREADS * ROUNDS).for_each(|count| theirs.wait(count))).unwrap();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..ROUNDS).for_each(|_| signal.raise()));
            }
        });
        actor.join().unwrap();
    });
}

#[test]
fn a_crowd_that_is_woken_at_once_wakes_up_whole() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let signal = Signal::new();
        let actors: Vec<_> = (0..1000)
            .map(|_| {
                let signal = signal.clone();
                runtime.spawn(move || (1..=20).for_each(|round| signal.wait(round))).unwrap()
            })
            .collect();
        for _ in 0..20 {
            signal.raise();
        }
        actors.into_iter().for_each(|actor| actor.join().unwrap());
    });
}

#[test]
fn new_actors_of_a_worker_that_is_stuck_are_taken_over() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..200 {
            let computing = Builder::new()
                .runtime(&runtime.handle())
                .worker(0)
                .spawn(|| {
                    let started = Arc::new(AtomicUsize::new(0));
                    for _ in 0..3 {
                        let started = started.clone();
                        drop(smarm::spawn(move || started.fetch_add(1, SeqCst)));
                    }
                    // A computation without any smarm call in it.
                    while started.load(SeqCst) < 3 {
                        std::hint::spin_loop();
                    }
                })
                .unwrap();
            computing.join().unwrap();
        }
    });
}

#[test]
fn new_actors_from_outside_find_the_worker_that_is_free() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for worker in [0, 1] {
            let (started, running) = mpsc::channel();
            let go = Arc::new(AtomicBool::new(false));
            let theirs = go.clone();
            let stuck = Builder::new()
                .runtime(&runtime.handle())
                .worker(worker)
                .spawn(move || {
                    started.send(()).unwrap();
                    while !theirs.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                })
                .unwrap();
            running.recv().unwrap();
            for n in 0..200 {
                assert_eq!(runtime.spawn(move || n).unwrap().join().unwrap(), n);
            }
            go.store(true, SeqCst);
            stuck.join().unwrap();
        }
    });
}

#[test]
fn an_actor_that_has_started_never_changes_thread() {
    within(PATIENCE, || {
        for count in [2, 4] {
            let runtime = workers(count);
            let actors: Vec<_> = (0..64)
                .map(|n| {
                    let wake = |_| Signal::new();
                    let signals: Vec<_> = (0..2).map(wake).collect();
                    let theirs = signals.clone();
                    let actor = runtime
                        .spawn(move || {
                            thread_local!(static KEPT: RefCell<Option<Rc<usize>>> = const { RefCell::new(None) });
                            let home = thread::current().id();
                            // The thread's own counter, shared with it for as long as the actor lives.
                            let kept = KEPT.with_borrow_mut(|kept| kept.get_or_insert_default().clone());
                            for round in 1..=200 {
                                match round % 3 {
                                    0 => smarm::yield_now(),
                                    1 => theirs[0].wait(round / 3 + 1),
                                    _ => drop(smarm::spawn(move || n).join()),
                                }
                                assert_eq!(thread::current().id(), home);
                                KEPT.with_borrow(|now| assert!(Rc::ptr_eq(now.as_ref().unwrap(), &kept)));
                            }
                            theirs[1].raise();
                        })
                        .unwrap();
                    (actor, signals)
                })
                .collect();
            // Woken from threads that are no workers.
            thread::scope(|scope| {
                for half in actors.chunks(32) {
                    scope.spawn(move || {
                        for _ in 0..100 {
                            half.iter().for_each(|(_, signals)| signals[0].raise());
                        }
                    });
                }
            });
            for (actor, signals) in actors {
                actor.join().unwrap();
                assert_eq!(signals[1].count(), 1);
            }
        }
    });
}

#[test]
fn a_new_actor_does_not_starve_behind_actors_that_yield_for_ever() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let stop = Arc::new(AtomicBool::new(false));
        let yielding: Vec<_> = (0..100)
            .map(|_| {
                let stop = stop.clone();
                runtime.spawn(move || until(|| stop.load(SeqCst))).unwrap()
            })
            .collect();
        // From outside and from inside.
        assert_eq!(runtime.spawn(|| 1).unwrap().join().unwrap(), 1);
        let inside = runtime.spawn(|| smarm::spawn(|| 2).join().unwrap()).unwrap();
        assert_eq!(inside.join().unwrap(), 2);
        stop.store(true, SeqCst);
        yielding.into_iter().for_each(|actor| actor.join().unwrap());
    });
}

#[test]
fn who_gives_way_while_nobody_else_can_run_lets_a_new_actor_begin() {
    within(PATIENCE, || {
        init(calm(Config::exact(1))).run(|| {
            for _ in 0..100 {
                let begun = Arc::new(AtomicUsize::new(0));
                let children: Vec<_> = (0..3)
                    .map(|_| {
                        let begun = begun.clone();
                        smarm::spawn(move || begun.fetch_add(1, SeqCst))
                    })
                    .collect();
                for given in 1..=children.len() {
                    smarm::yield_now();
                    assert!(begun.load(SeqCst) >= given, "a yield was for nobody");
                }
                children.into_iter().for_each(|child| assert!(child.join().unwrap() < 3));
            }
        });
    });
}

#[test]
fn who_gives_way_leaves_most_new_actors_to_other_workers() {
    const YIELDS: usize = 7;
    within(PATIENCE, || {
        let runtime = init(calm(Config::exact(2)));
        let (busy, over) = (Signal::new(), Arc::new(AtomicBool::new(false)));
        // Nobody else takes a new actor meanwhile.
        let (begins, theirs) = (busy.clone(), over.clone());
        let computes = move || {
            begins.raise();
            while !theirs.load(SeqCst) {
                std::hint::spin_loop();
            }
        };
        let computing = Builder::new().runtime(&runtime.handle()).worker(1).spawn(computes).unwrap();
        busy.wait(1);
        let gives_way = || {
            let begun = Arc::new(AtomicUsize::new(0));
            let children: Vec<_> = (0..2 * YIELDS)
                .map(|_| {
                    let begun = begun.clone();
                    smarm::spawn(move || begun.fetch_add(1, SeqCst))
                })
                .collect();
            (0..YIELDS).for_each(|_| smarm::yield_now());
            let begun = begun.load(SeqCst);
            children.into_iter().for_each(|child| assert!(child.join().unwrap() < 2 * YIELDS));
            begun
        };
        let begun = Builder::new().runtime(&runtime.handle()).worker(0).spawn(gives_way).unwrap().join();
        over.store(true, SeqCst);
        computing.join().unwrap();
        // One in eight turns is for new actors.
        assert!(begun.unwrap() <= 2, "what began here can run nowhere else");
    });
}

#[test]
fn an_old_new_actor_does_not_starve_behind_newer_ones() {
    fn breed(old_ran: Arc<AtomicBool>) {
        if !old_ran.load(SeqCst) {
            let theirs = old_ran.clone();
            drop(smarm::spawn(move || breed(theirs)));
            drop(smarm::spawn(|| ()));
        }
    }
    within(PATIENCE, || {
        let runtime = workers(1);
        runtime.run(|| {
            let old_ran = Arc::new(AtomicBool::new(false));
            let theirs = old_ran.clone();
            let old = smarm::spawn(move || theirs.store(true, SeqCst));
            breed(old_ran);
            old.join().unwrap();
        });
    });
}

#[test]
fn an_actor_from_outside_does_not_starve_behind_newer_ones_from_inside() {
    const OUTSIDE: usize = 16;
    within(PATIENCE, || {
        let (runtime, mut worker) = by_hand();
        let begun = Arc::new(AtomicUsize::new(0));
        // All of them come in one batch, and each of them keeps the own queue of new actors full.
        let outside: Vec<_> = (0..OUTSIDE)
            .map(|_| {
                let begun = begun.clone();
                let keeps_the_queue_full = move || {
                    begun.fetch_add(1, SeqCst);
                    for _ in 0..10_000 {
                        if begun.load(SeqCst) == OUTSIDE {
                            return;
                        }
                        drop(smarm::spawn(|| ()));
                        smarm::yield_now();
                    }
                    panic!("{} of {OUTSIDE} have begun", begun.load(SeqCst));
                };
                runtime.spawn(keeps_the_queue_full).unwrap()
            })
            .collect();
        settle(&mut worker);
        outside.into_iter().for_each(|actor| actor.join().unwrap());
        assert_eq!(begun.load(SeqCst), OUTSIDE);
        drop(worker);
    });
}

#[test]
fn a_queued_actor_does_not_starve_behind_two_that_wake_each_other_for_ever() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (ping, pong) = (Signal::new(), Signal::new());
        let side = |hears: &Signal, says: &Signal| {
            let (hears, says, stop) = (hears.clone(), says.clone(), stop.clone());
            runtime
                .spawn(move || {
                    for round in 1.. {
                        says.raise();
                        hears.wait(round);
                        if stop.load(SeqCst) {
                            return says.raise();
                        }
                    }
                })
                .unwrap()
        };
        let (one, two) = (side(&ping, &pong), side(&pong, &ping));
        until(|| ping.count() > 10 && pong.count() > 10);
        let yields = runtime.spawn(|| (0..1000).for_each(|_| smarm::yield_now())).unwrap();
        yields.join().unwrap();
        stop.store(true, SeqCst);
        one.join().unwrap();
        two.join().unwrap();
    });
}

#[test]
fn an_actor_that_wakes_itself_in_every_poll_lets_the_others_run() {
    within(PATIENCE, || {
        smarm::run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let theirs = stop.clone();
            let busy = smarm::spawn(move || {
                smarm::compat::await_future(std::future::poll_fn(|cx| {
                    if theirs.load(SeqCst) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }));
            });
            for _ in 0..100 {
                smarm::yield_now();
            }
            assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
            stop.store(true, SeqCst);
            busy.join().unwrap();
        });
    });
}

/// A runtime with one worker, which the test polls itself.
fn by_hand() -> (Runtime, Worker) {
    let (runtime, mut workers) = detached(Config::exact(1)).unwrap();
    (runtime, workers.remove(0))
}

/// Polls until the worker has nothing to do.
fn settle(worker: &mut Worker) {
    while worker.poll_turn(Waker::noop()) == Turn::Busy {}
}

#[test]
fn a_turn_is_bounded_however_many_actors_yield_for_ever() {
    within(PATIENCE, || {
        let (runtime, mut worker) = by_hand();
        let stop = Arc::new(AtomicBool::new(false));
        let yields = Arc::new(AtomicUsize::new(0));
        let actors: Vec<_> = (0..10)
            .map(|_| {
                let (stop, yields) = (stop.clone(), yields.clone());
                let actor = move || {
                    until(|| {
                        yields.fetch_add(1, SeqCst);
                        stop.load(SeqCst)
                    });
                };
                runtime.spawn(actor).unwrap()
            })
            .collect();
        for _ in 0..20 {
            let before = yields.load(SeqCst);
            assert_eq!(worker.poll_turn(Waker::noop()), Turn::Busy);
            assert!(yields.load(SeqCst) > before, "a turn gets something done");
        }
        stop.store(true, SeqCst);
        settle(&mut worker);
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        assert_eq!(worker.poll_turn(Waker::noop()), Turn::Idle);
        runtime.handle().stop();
        assert_eq!(worker.poll_turn(Waker::noop()), Turn::Done);
    });
}

#[test]
fn a_turn_is_bounded_also_when_one_actor_computes_with_checks() {
    within(PATIENCE, || {
        let (runtime, mut worker) = by_hand();
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = stop.clone();
        let computes = runtime
            .spawn(move || {
                while !theirs.load(SeqCst) {
                    smarm::check!()
                }
            })
            .unwrap();
        for _ in 0..3 {
            assert_eq!(worker.poll_turn(Waker::noop()), Turn::Busy);
        }
        stop.store(true, SeqCst);
        settle(&mut worker);
        computes.join().unwrap();
    });
}

#[test]
fn an_idle_worker_wakes_its_host_for_a_spawn_a_wake_and_a_stop() {
    #[derive(Default)]
    struct Wakes(AtomicUsize);
    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    within(PATIENCE, || {
        let (runtime, mut worker) = by_hand();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut woken_since = 0;
        let mut woken = || {
            let now = wakes.0.load(SeqCst);
            now > std::mem::replace(&mut woken_since, now)
        };
        assert_eq!(worker.poll_turn(&waker), Turn::Idle);
        assert!(!woken(), "nothing has happened");

        let signal = Signal::new();
        let theirs = signal.clone();
        let actor = runtime.spawn(move || theirs.wait(1)).unwrap();
        assert!(woken(), "a spawn");
        while worker.poll_turn(&waker) != Turn::Idle {}
        let _ = woken();

        thread::scope(|scope| scope.spawn(|| signal.raise()).join().unwrap());
        assert!(woken(), "a wake by another thread");
        while worker.poll_turn(&waker) != Turn::Idle {}
        actor.join().unwrap();
        let _ = woken();

        let theirs = signal.clone();
        let actor = runtime.spawn(move || theirs.wait(2)).unwrap();
        while worker.poll_turn(&waker) != Turn::Idle {}
        let _ = woken();
        signal.raise();
        assert!(woken(), "a wake by the worker's own thread");
        while worker.poll_turn(&waker) != Turn::Idle {}
        actor.join().unwrap();
        let _ = woken();

        runtime.handle().stop();
        assert!(woken(), "a stop");
        assert_eq!(worker.poll_turn(&waker), Turn::Done);
    });
}

#[test]
fn a_worker_polled_on_another_thread_says_that_actors_never_move() {
    within(PATIENCE, || {
        let (runtime, mut worker) = by_hand();
        runtime.spawn(smarm::yield_now).unwrap().kill();
        settle(&mut worker);
        let (message, worker) =
            thread::spawn(move || (panic_message(|| worker.poll_turn(Waker::noop())), worker))
                .join()
                .unwrap();
        assert!(message.contains("another thread") && message.contains("LocalSet"), "{message}");
        // It is none the worse for that on its own thread.
        let mut worker = worker;
        let child = runtime.spawn(|| 42).unwrap();
        settle(&mut worker);
        assert_eq!(child.join().unwrap(), 42);
    });
}

#[test]
fn dropping_a_worker_unwinds_its_actors() {
    within(PATIENCE, || {
        let (runtime, mut worker) = by_hand();
        let drops = Drops::new();
        let parked = Signal::new();
        let actors: Vec<_> = (0..100)
            .map(|_| {
                let (held, parked) = (drops.counted(), parked.clone());
                runtime
                    .spawn(move || {
                        let _held = held;
                        parked.wait(1);
                    })
                    .unwrap()
            })
            .collect();
        settle(&mut worker);
        assert_eq!(parked.waiting(), 100);
        drop(worker);
        assert_eq!(drops.count(), 100);
        for actor in actors {
            assert!(actor.join().unwrap_err().is_killed());
        }
    });
}

#[test]
fn dropping_a_worker_that_was_never_polled_drops_the_new_actors() {
    within(PATIENCE, || {
        let (runtime, worker) = by_hand();
        let drops = Drops::new();
        let held = drops.counted();
        let actor = runtime.spawn(move || drop(held)).unwrap();
        drop(worker);
        let ended: Result<(), JoinError> = actor.join();
        assert!(ended.unwrap_err().is_killed());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_spawn_after_all_workers_were_dropped_is_refused() {
    within(PATIENCE, || {
        let (runtime, worker) = by_hand();
        drop(worker);
        let drops = Drops::new();
        let held = drops.counted();
        let actor = runtime.spawn(move || drop(held)).unwrap();
        assert!(actor.join().unwrap_err().is_killed());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_worker_runs_as_a_future_in_an_executor_that_knows_nothing_of_it() {
    within(PATIENCE, || {
        let (runtime, workers) = detached(Config::exact(2)).unwrap();
        let threads: Vec<_> =
            workers.into_iter().map(|worker| thread::spawn(move || block_on(worker))).collect();
        let sum = runtime.run(|| {
            let children: Vec<_> = (0..1000)
                .map(|n| {
                    smarm::spawn(move || {
                        smarm::yield_now();
                        n
                    })
                })
                .collect();
            children.into_iter().map(|child| child.join().unwrap()).sum::<usize>()
        });
        assert_eq!(sum, 499_500);
        drop(runtime);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_host_that_polls_at_the_next_deadline_drives_timers() {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    within(PATIENCE, || {
        let (runtime, mut worker) = by_hand();
        assert_eq!(worker.next_deadline(), None);
        let start = Instant::now();
        let span = std::time::Duration::from_millis(5);
        let sleeper = runtime
            .spawn(move || {
                smarm::sleep(span);
                smarm::Handle::current().stop();
            })
            .unwrap();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut had_a_deadline = false;
        {
            let mut worker = pin!(&mut worker);
            while worker.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                match worker.next_deadline() {
                    Some(deadline) => {
                        had_a_deadline = true;
                        thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
                    }
                    None => thread::yield_now(),
                }
            }
        }
        assert!(had_a_deadline);
        assert!(start.elapsed() >= span);
        sleeper.join().unwrap();
    });
}

#[test]
fn a_worker_in_the_middle_of_another_workers_turn_keeps_the_two_apart() {
    within(PATIENCE, || {
        smarm::run(|| {
            let pid = smarm::self_pid();
            let inner = smarm::on_native_stack(|| {
                let (runtime, mut worker) = by_hand();
                let child = runtime.spawn(|| (smarm::self_pid(), smarm::spawn_local(|| 1).join().unwrap()));
                settle(&mut worker);
                let ended = smarm::compat::await_future(child.unwrap()).unwrap();
                drop(worker);
                ended
            });
            assert_ne!(inner.0, pid);
            assert_eq!(inner.1, 1);
            assert_eq!(smarm::self_pid(), pid);
            assert_eq!(smarm::spawn(|| 2).join().unwrap(), 2);
        });
    });
}

#[test]
fn a_worker_with_an_actor_of_its_own_takes_new_ones_of_a_crowded_worker() {
    const NEW: usize = 8;
    within(PATIENCE, || {
        let runtime = init(calm(Config::exact(2)));
        let handle = runtime.handle();
        let (busy, over) = (Signal::new(), Arc::new(AtomicBool::new(false)));
        let own = {
            let (busy, over) = (busy.clone(), over.clone());
            Builder::new().runtime(&handle).worker(1).spawn(move || {
                busy.raise();
                until(|| over.load(SeqCst)); // never dry, so it never searches
            })
        };
        busy.wait(1);
        let crowd = Builder::new().runtime(&handle).worker(0).spawn(move || {
            loop {
                let (begun, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
                let new = || {
                    let (begun, stop) = (begun.clone(), stop.clone());
                    smarm::spawn(move || {
                        begun.fetch_add(1, SeqCst);
                        until(|| stop.load(SeqCst));
                        thread::current().id()
                    })
                };
                let actors: Vec<_> = (0..NEW).map(|_| new()).collect();
                until(|| begun.load(SeqCst) == NEW);
                stop.store(true, SeqCst);
                let threads: Vec<_> = actors.into_iter().map(|actor| actor.join().unwrap()).collect();
                // In time the other worker looks while some of them are still new.
                if threads.iter().any(|&thread| thread != thread::current().id()) {
                    break;
                }
            }
            over.store(true, SeqCst);
        });
        crowd.unwrap().join().unwrap();
        own.unwrap().join().unwrap();
    });
}

#[test]
fn an_idle_worker_takes_a_new_actor_without_the_monitors_help() {
    within(PATIENCE, || {
        // A slice so long that the monitor never looks.
        let runtime = init(Config::exact(2).slice(Duration::from_secs(3600)));
        for _ in 0..200 {
            runtime.run(|| {
                let taken = Arc::new(AtomicBool::new(false));
                let theirs = taken.clone();
                drop(smarm::spawn(move || theirs.store(true, SeqCst)));
                while !taken.load(SeqCst) {
                    std::hint::spin_loop(); // keeps this worker
                }
            });
        }
    });
}
