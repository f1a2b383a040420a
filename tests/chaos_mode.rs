//! What chaos mode disturbs, and what stays the same all the while.
#![cfg(feature = "chaos")]

use std::cell::Cell;
use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};

use smarm::{Chaos, Config, Mutex, Runtime, SpawnError};
use smarm_workspace::{PATIENCE, child, within};

/// A runtime of one worker with this chaos.
fn one(chaos: Chaos) -> Runtime {
    smarm::runtime::init(Config::exact(1).chaos(chaos))
}

/// Nothing yet: a seed, to switch kinds on one by one.
fn nothing_but(seed: u64) -> Chaos {
    Chaos::new(seed).only_forced_yields().forced_yields(0.0)
}

/// What 100 actors write down that lock, send, receive, spawn, join and await.
fn trace(chaos: Chaos) -> Vec<(usize, usize)> {
    one(chaos).run(|| {
        let (sender, receiver) = smarm::channel();
        let total = Arc::new(Mutex::new(0));
        let actors: Vec<_> = (0..100)
            .map(|name| {
                let (sender, total) = (sender.clone(), total.clone());
                smarm::spawn(move || {
                    for step in 0..5 {
                        sender.send((name, step)).unwrap();
                        *total.lock(Duration::MAX).unwrap() += 1;
                        let mut polls = 0;
                        smarm::compat::await_future(poll_fn(|cx| {
                            polls += 1;
                            cx.waker().wake_by_ref();
                            if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
                        }));
                    }
                    let child = smarm::spawn(move || name);
                    sender.send((child.join().unwrap(), 5)).unwrap();
                })
            })
            .collect();
        drop(sender);
        let said: Vec<_> = receiver.iter().collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        assert_eq!(*total.lock(Duration::MAX).unwrap(), 500);
        said
    })
}

#[test]
fn one_seed_gives_one_schedule_on_one_worker() {
    within(PATIENCE, || {
        for seed in 0..20 {
            let first = trace(Chaos::new(seed));
            for _ in 0..3 {
                assert_eq!(trace(Chaos::new(seed)), first, "seed {seed}");
            }
        }
    });
}

#[test]
fn different_seeds_give_different_schedules() {
    within(PATIENCE, || {
        let traces: HashSet<_> = (0..20).map(|seed| trace(Chaos::new(seed))).collect();
        assert_eq!(traces.len(), 20);
        let traces: HashSet<_> = (0..20).map(|seed| trace(Chaos::new(seed).only_forced_yields())).collect();
        assert_eq!(traces.len(), 20);
    });
}

#[test]
fn each_actor_does_its_own_steps_in_order_whatever_the_seed() {
    within(PATIENCE, || {
        for seed in 100..150 {
            let said = trace(Chaos::new(seed));
            for actor in 0..100 {
                let steps = said.iter().filter(|(name, _)| *name == actor).map(|(_, step)| *step);
                assert!(steps.eq(0..6), "seed {seed}, actor {actor}");
            }
        }
    });
}

#[test]
fn calls_that_need_not_wait_yield() {
    within(PATIENCE, || {
        one(nothing_but(1).forced_yields(1.0)).run(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let theirs = ran.clone();
            drop(smarm::spawn(move || theirs.fetch_add(1, SeqCst)));
            let (sender, receiver) = smarm::channel();
            let mutex = Mutex::new(());
            while ran.load(SeqCst) == 0 {
                sender.send(1).unwrap();
                receiver.try_recv().unwrap();
                drop(mutex.lock(Duration::MAX));
                smarm::check!();
            }
        });
    });
}

#[test]
fn nobody_is_made_to_yield_where_that_was_forbidden() {
    within(PATIENCE, || {
        one(Chaos::new(1).forced_yields(1.0)).run(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let theirs = ran.clone();
            let (sender, receiver) = smarm::channel();
            let undisturbed = smarm::preempt::disable();
            let child = smarm::spawn(move || theirs.fetch_add(1, SeqCst));
            for n in 0..100 {
                sender.send(n).unwrap();
                assert_eq!(receiver.try_recv(), Ok(n));
                smarm::check!();
            }
            assert_eq!(ran.load(SeqCst), 0);
            drop(undisturbed);
            child.join().unwrap();
        });
    });
}

#[test]
fn any_actor_that_can_run_may_run_next() {
    within(PATIENCE, || {
        let order = |seed| {
            one(nothing_but(seed).random_order(1.0)).run(|| {
                let (sender, receiver) = smarm::channel();
                for name in 0..20 {
                    let sender = sender.clone();
                    drop(smarm::spawn_local(move || {
                        smarm::yield_now();
                        sender.send(name).unwrap();
                    }));
                }
                drop(sender);
                receiver.iter().collect::<Vec<i32>>()
            })
        };
        let firsts: HashSet<_> = (0..100).map(|seed| order(seed)[0]).collect();
        assert!(firsts.len() > 10, "{firsts:?}");
    });
}

#[test]
fn a_parked_actor_is_polled_early_and_waits_on() {
    within(PATIENCE, || {
        one(nothing_but(1).early_wakes(0.9)).run(|| {
            let (sender, mut receiver) = smarm::channel::<i32>();
            let polls = Arc::new(AtomicUsize::new(0));
            let theirs = polls.clone();
            let awaiting = smarm::spawn_local(move || {
                let mut receive = std::pin::pin!(receiver.recv_async());
                smarm::compat::await_future(poll_fn(|cx| {
                    theirs.fetch_add(1, SeqCst);
                    receive.as_mut().poll(cx)
                }))
            });
            let start = Instant::now();
            smarm::sleep(Duration::from_millis(5));
            assert!(start.elapsed() >= Duration::from_millis(5), "a sleep is not cut short");
            while polls.load(SeqCst) < 3 {
                smarm::yield_now();
            }
            sender.send(3).unwrap();
            assert_eq!(awaiting.join().unwrap(), Ok(3));
        });
    });
}

#[test]
fn a_pending_future_is_polled_once_more() {
    within(PATIENCE, || {
        one(nothing_but(1).spurious_polls(1.0)).run(|| {
            let polls = Cell::new(0);
            smarm::compat::await_future(poll_fn(|cx| {
                polls.set(polls.get() + 1);
                if polls.get() == 1 {
                    cx.waker().wake_by_ref();
                }
                // Nobody wakes it for the third poll.
                if polls.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
            }));
            assert_eq!(polls.get(), 3);
        });
    });
}

#[test]
fn a_wake_from_elsewhere_is_delayed_and_not_lost() {
    within(PATIENCE, || {
        one(nothing_but(1).delayed_inbox(0.99)).run(|| {
            let (request, requests) = smarm::channel::<i32>();
            let (reply, replies) = smarm::channel();
            let elsewhere = std::thread::spawn(move || requests.iter().for_each(|n| reply.send(n).unwrap()));
            for n in 0..1000 {
                request.send(n).unwrap();
                assert_eq!(replies.recv(), Ok(n));
            }
            drop(request);
            smarm::io::block_on_io(|| elsewhere.join().unwrap());
        });
    });
}

#[test]
fn where_there_is_no_stack_the_spawner_is_told_and_the_others_live() {
    child::run_well(|| {
        one(nothing_but(1).faults(0.5)).run(|| {
            let (mut refused, mut children) = (0, Vec::new());
            let (gate, closed) = smarm::channel::<()>();
            let closed = Arc::new(Mutex::new(closed));
            for _ in 0..5000 {
                let closed = closed.clone();
                let waits = move || drop(closed.lock(Duration::MAX).map(|closed| closed.recv()));
                match smarm::Builder::new().stack_size(32 << 10).spawn(waits) {
                    Ok(child) => children.push(child),
                    Err(SpawnError::Stack(_)) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(refused > 0 && children.len() > 1000, "{refused} refused, {} not", children.len());
            drop(gate);
            children.into_iter().for_each(|child| child.join().unwrap());
        });
    });
}

#[test]
fn where_a_descriptor_is_refused_the_wait_fails_and_the_next_may_succeed() {
    within(PATIENCE, || {
        one(nothing_but(1).faults(0.5)).run(|| {
            let (mut refused, mut timed_out) = (0, 0);
            for _ in 0..100 {
                let (near, _far) = UnixStream::pair().unwrap();
                match smarm::io::wait_readable_timeout(&near, Duration::from_micros(10)) {
                    Err(error) if error.kind() == std::io::ErrorKind::TimedOut => timed_out += 1,
                    Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert!(refused > 0 && timed_out > 0, "{refused} {timed_out}");
        });
    });
}

#[test]
fn what_an_ended_actor_left_on_its_stack_is_gone() {
    within(PATIENCE, || {
        one(nothing_but(1).poisoned_stacks(1.0)).run(|| {
            let of_stack = |address: usize| {
                // SAFETY: stacks are never unmapped, and between the join and the next spawn nobody uses this one.
                unsafe { std::ptr::with_exposed_provenance::<u64>(address & !7).read_volatile() }
            };
            let address = smarm::spawn(|| {
                let secret = std::hint::black_box([0x5ec2_e75e_u64; 16]);
                (&raw const secret).expose_provenance()
            });
            let address = address.join().unwrap();
            smarm::yield_now(); // now it has left its stack
            for word in 0..16 {
                assert_ne!(of_stack(address + 8 * word), 0x5ec2_e75e);
            }
            assert_eq!(of_stack(address), of_stack(address + 8), "one pattern");
        });
    });
}

#[test]
fn a_panic_prints_what_repeats_it() {
    if let Some(output) = child::run(|| {
        let chaos = Chaos::new(42).forced_yields(0.0);
        let child = one(chaos).run(|| smarm::spawn(|| panic!("on purpose")).join());
        assert!(child.is_err());
    }) {
        assert!(output.status.success());
        let said = child::stderr(&output);
        let line = "SMARM_CHAOS=42 SMARM_CHAOS_KINDS=order,wakes,inbox,polls,poison repeats it";
        assert!(said.contains(line) && said.contains("worker 0"), "{said}");
    }
}

#[test]
fn with_a_configuration_that_says_off_nothing_is_disturbed() {
    within(PATIENCE, || {
        one(Chaos::off()).run(|| {
            for _ in 0..1000 {
                let polls = Cell::new(0);
                smarm::compat::await_future(poll_fn(|cx| {
                    polls.set(polls.get() + 1);
                    if polls.get() == 1 {
                        cx.waker().wake_by_ref();
                    }
                    if polls.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
                }));
                assert_eq!(polls.get(), 2, "one poll per wake");
            }
        });
    });
}
