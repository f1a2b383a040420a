//! Wakes and kills from other threads, at the moments of an actor's life where they could get lost or
//! reach somebody else: as it starts, as it parks, as it ends, and when its slot is somebody else's.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use smarm::channel;
use smarm::compat::await_future;
use smarm_workspace::{PATIENCE, until, within, workers};

/// The waker of the running actor, as any primitive would get it.
fn own_waker() -> Waker {
    await_future(poll_fn(|cx| Poll::Ready(cx.waker().clone())))
}

/// Threads that wake whatever waker was put up last, until they are told to stop.
struct Pesterers {
    target: Arc<Mutex<Option<Waker>>>,
    stop: Arc<AtomicBool>,
    wakes: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Pesterers {
    fn start(count: usize) -> Self {
        let (target, stop, wakes) =
            <(Arc<Mutex<Option<Waker>>>, Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let pester = || {
            let (target, stop, wakes) = (target.clone(), stop.clone(), wakes.clone());
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let waker = target.lock().unwrap().clone();
                    if let Some(waker) = waker {
                        waker.wake();
                        wakes.fetch_add(1, SeqCst);
                    }
                }
            })
        };
        let threads = (0..count).map(|_| pester()).collect();
        Self { target, stop, wakes, threads }
    }

    fn pester(&self, waker: Waker) {
        *self.target.lock().unwrap() = Some(waker);
    }

    /// How many wakes there were.
    fn stop(self) -> usize {
        self.stop.store(true, SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.wakes.load(SeqCst)
    }
}

#[test]
fn wakes_that_race_with_the_end_of_an_actor_harm_neither_it_nor_who_lives_there_next() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let pesterers = Pesterers::start(2);
            workers(count).run(|| {
                let (mut rounds, mut reused) = (0, false);
                let mut first = None;
                while rounds < 3000 || pesterers.wakes.load(SeqCst) < 3000 {
                    rounds += 1;
                    let target = pesterers.target.clone();
                    let (to_child, orders) = channel::channel();
                    let child = smarm::spawn(move || {
                        *target.lock().unwrap() = Some(own_waker());
                        // It parks, and ends while the wakes come.
                        orders.recv().unwrap()
                    });
                    reused |= *first.get_or_insert(child.pid()) != child.pid();
                    to_child.send(rounds).unwrap();
                    assert_eq!(child.join().unwrap(), rounds);
                }
                assert!(reused);
            });
            assert!(pesterers.stop() >= 3000);
        }
    });
}

#[test]
fn an_actor_that_is_woken_all_the_time_waits_until_there_is_something() {
    within(PATIENCE, || {
        let pesterers = Pesterers::start(2);
        workers(2).run(|| {
            let (to_child, orders) = channel::channel();
            pesterers.pester(own_waker());
            let child = smarm::spawn(move || orders.iter().sum::<u64>());
            for number in 0..2000 {
                to_child.send(number).unwrap();
                smarm::yield_now();
            }
            drop(to_child);
            assert_eq!(child.join().unwrap(), 1999 * 2000 / 2);
            // This actor itself has been woken by strangers meanwhile, in the join and while it ran.
            until(|| pesterers.wakes.load(SeqCst) > 1000);
        });
        pesterers.stop();
    });
}

#[test]
fn a_kill_from_another_thread_that_races_with_the_start_is_never_lost() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            for _ in 0..2000 {
                let (_keep, never) = channel::channel::<()>();
                let child = runtime.spawn(move || never.recv()).unwrap();
                child.kill(); // before the start, during it, or while it parks
                assert!(child.join().unwrap_err().is_killed());
            }
        }
    });
}

#[test]
fn a_kill_from_another_thread_that_races_with_waits_and_wakes_is_never_lost() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..1000 {
            let (ping, pings) = channel::channel();
            let (pong, pongs) = channel::channel();
            let one = runtime
                .spawn(move || {
                    while ping.send(()).is_ok() {
                        pongs.recv().unwrap();
                    }
                })
                .unwrap();
            let two = runtime.spawn(move || pings.iter().for_each(|()| pong.send(()).unwrap_or(()))).unwrap();
            one.kill();
            assert!(one.join().unwrap_err().is_killed());
            two.join().unwrap();
        }
    });
}

#[test]
fn messages_from_threads_and_from_actors_of_both_workers_wake_one_receiver_for_each() {
    within(PATIENCE, || {
        let runtime = workers(2);
        const EACH: usize = 2000;
        let (sender, receiver) = channel::channel::<usize>();
        let counted = runtime.spawn(move || receiver.iter().count()).unwrap();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || (0..EACH).for_each(|number| sender.send(number).unwrap()))
            })
            .collect();
        for _ in 0..4 {
            let sender = sender.clone();
            let _detached = runtime
                .spawn(move || {
                    for number in 0..EACH {
                        sender.send(number).unwrap();
                        smarm::yield_now(); // so that the receiver runs dry, again and again
                    }
                })
                .unwrap();
        }
        drop(sender);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(counted.join().unwrap(), 6 * EACH);
    });
}
