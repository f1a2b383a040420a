//! Actors under Miri: what goes over stacks, slots, queues and wakes that the real scheduler handles, with threads in
//! place of the switch (`context/threads.rs`) and hosts that park in place of epoll. `tests/miri` runs them.

mod ends;
mod sync;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::channel::{bounded, channel, oneshot};
use crate::host::Turn;
use crate::{
    Builder, CancelToken, Config, JoinError, Mutex, Runtime, actor_local, compat, runtime, select, spawn,
};

const LONG: Duration = Duration::from_secs(3600);

/// A runtime of this many workers.
fn workers(count: usize) -> Runtime {
    workers_with(Config::exact(count))
}

fn workers_with(config: Config) -> Runtime {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    // Miri is slow: an actor is made to yield and reported only after very long.
    let config = config.stack_size(16 << 10).slice(LONG);
    let (mut runtime, workers) = runtime::detached(config).expect("there is memory");
    for mut worker in workers {
        runtime.add_host(thread::spawn(move || {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            loop {
                match (worker.poll_turn(&waker), worker.next_deadline()) {
                    (Turn::Done, _) => return,
                    (Turn::Busy, _) => {}
                    (Turn::Idle, None) => thread::park(),
                    (Turn::Idle, Some(deadline)) => {
                        thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
                    }
                }
            }
        }));
    }
    runtime
}

/// As the first actor, on one worker and on two.
fn everywhere(f: impl Fn() + Send + Sync) {
    for count in [1, 2] {
        let runtime = workers(count);
        runtime.run(&f);
        runtime.shutdown(LONG).expect("all end");
    }
}

/// Its drop is counted.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn results_of_all_sizes_are_joined_and_closures_dropped() {
    everywhere(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let held = Counted(drops.clone());
        let small = spawn(move || {
            let _held = held;
            7_u8
        });
        let large = spawn(|| [3_u64; 40]);
        let array = [5_u8; 2000]; // too large for the actor's stack: on the heap
        let boxed = spawn(move || array.iter().map(|&n| u32::from(n)).sum::<u32>());
        #[repr(align(64))]
        struct Aligned(u64);
        let aligned = Aligned(9);
        let aligned = spawn(move || (aligned.0, (&raw const aligned).addr() % 64));
        assert_eq!(small.join().unwrap(), 7);
        assert_eq!(large.join().unwrap(), [3; 40]);
        assert_eq!(boxed.join().unwrap(), 10_000);
        assert_eq!(aligned.join().unwrap(), (9, 0));
        assert_eq!(drops.load(SeqCst), 1);
    });
}

#[test]
fn slots_and_stacks_serve_one_actor_after_the_other() {
    everywhere(|| {
        let first = spawn(|| crate::sleep(LONG));
        first.kill();
        for round in 0..12 {
            let actors: Vec<_> = (0..3).map(|n| spawn(move || Box::new(round * n))).collect();
            for (n, actor) in (0..).zip(actors) {
                assert_eq!(*actor.join().unwrap(), round * n);
            }
        }
        first.kill(); // has ended long ago
        assert!(first.join().unwrap_err().is_killed());
    });
}

#[test]
fn actors_give_way_to_each_other_and_keep_what_must_stay_on_its_thread() {
    everywhere(|| {
        let actors: Vec<_> = (0..4_usize)
            .map(|n| {
                spawn(move || {
                    let list = Rc::new(RefCell::new(vec![n]));
                    for step in 0..4 {
                        let held = list.borrow_mut();
                        crate::yield_now();
                        drop(held);
                        list.borrow_mut().push(step);
                    }
                    list.take().len()
                })
            })
            .collect();
        assert_eq!(actors.into_iter().map(|actor| actor.join().unwrap()).sum::<usize>(), 20);
    });
}

#[test]
fn messages_go_to_and_fro() {
    everywhere(|| {
        let (ask, questions) = channel::<(u32, oneshot::Sender<Box<u32>>)>();
        let server = spawn(move || {
            while let Ok((question, answer)) = questions.recv() {
                answer.send(Box::new(question * 2)).expect("somebody asked");
            }
        });
        for question in 0..6 {
            let (sender, answer) = oneshot::channel();
            ask.send((question, sender)).expect("the server is there");
            assert_eq!(*answer.recv().unwrap(), question * 2);
        }
        drop(ask);
        server.join().unwrap();
    });
}

#[test]
fn senders_wait_for_room_and_a_rendezvous() {
    everywhere(|| {
        for capacity in [0, 1, 3] {
            let (sender, receiver) = bounded(capacity);
            let senders: Vec<_> = (0..3)
                .map(|n| {
                    let sender = sender.clone();
                    spawn(move || (0..3).for_each(|m| sender.send(Box::new(n * 3 + m)).unwrap()))
                })
                .collect();
            drop(sender);
            let mut all: Vec<i32> = receiver.iter().map(|message| *message).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..9));
            senders.into_iter().for_each(|sender| sender.join().unwrap());
        }
    });
}

#[test]
fn a_lock_is_handed_over() {
    everywhere(|| {
        let lock = Arc::new(Mutex::new(0));
        let actors: Vec<_> = (0..4)
            .map(|_| {
                let lock = lock.clone();
                spawn(move || {
                    for _ in 0..3 {
                        let mut held = lock.lock(LONG).unwrap();
                        crate::yield_now();
                        *held += 1;
                    }
                })
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        assert_eq!(*lock.lock(LONG).unwrap(), 12);
    });
}

#[test]
fn waits_end_by_their_limits() {
    everywhere(|| {
        let before = Instant::now();
        crate::sleep(Duration::from_millis(2));
        assert!(before.elapsed() >= Duration::from_millis(2));
        let (_sender, receiver) = channel::<u8>();
        assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
        let lock = Mutex::new(());
        let held = lock.try_lock().unwrap();
        assert!(lock.lock(Duration::from_millis(1)).is_err());
        drop(held);
        let sleepers: Vec<_> =
            (0..4).map(|n| spawn(move || crate::sleep(Duration::from_millis(n)))).collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn the_killed_unwind_from_each_kind_of_wait() {
    type Wait = Box<dyn FnOnce() + Send>;
    everywhere(|| {
        let (sender, receiver) = channel::<u8>();
        let (full, _kept) = bounded::<Box<u8>>(0);
        let (_answerer, answer) = oneshot::channel::<u8>();
        let lock = Arc::new(Mutex::new(()));
        let theirs = lock.clone();
        let held = lock.try_lock().unwrap();
        let waits: Vec<Wait> = vec![
            Box::new(move || _ = receiver.recv()),
            Box::new(move || _ = full.send(Box::new(1))),
            Box::new(move || _ = answer.recv()),
            Box::new(move || _ = theirs.lock(LONG)),
            Box::new(|| crate::sleep(LONG)),
            Box::new(|| _ = spawn(|| crate::sleep(LONG)).join()),
            Box::new(|| compat::await_future(std::future::pending())),
            Box::new(|| {
                loop {
                    crate::yield_now();
                }
            }),
        ];
        let drops = Arc::new(AtomicUsize::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        let count = waits.len();
        let actors: Vec<_> = waits
            .into_iter()
            .map(|wait| {
                let (held, begun) = (Counted(drops.clone()), begun.clone());
                spawn(move || {
                    let _held = held;
                    begun.fetch_add(1, SeqCst);
                    wait();
                })
            })
            .collect();
        while begun.load(SeqCst) < count {
            crate::yield_now();
        }
        for _ in 0..10 {
            crate::yield_now(); // by now almost all wait
        }
        for actor in &actors {
            actor.kill();
        }
        for actor in actors {
            assert!(actor.join().unwrap_err().is_killed());
        }
        assert_eq!(drops.load(SeqCst), count);
        drop(held);
        drop(sender);
    });
}

#[test]
fn panics_are_joined_with_their_payload() {
    everywhere(|| {
        let actor = spawn(|| -> u8 { std::panic::resume_unwind(Box::new(String::from("why"))) });
        match actor.join() {
            Err(JoinError::Panicked(payload)) => {
                assert_eq!(payload.into_inner().downcast_ref::<String>().unwrap(), "why");
            }
            other => panic!("{other:?}"),
        }
        let caught = spawn(|| {
            let wait = || {
                crate::yield_now();
                std::panic::resume_unwind(Box::new(1_u8))
            };
            let caught: Result<(), _> = catch_unwind(AssertUnwindSafe(wait));
            crate::yield_now();
            caught.is_err()
        });
        assert!(caught.join().unwrap());
    });
}

#[test]
fn a_select_takes_what_comes_first() {
    everywhere(|| {
        let (one, ones) = channel();
        let (two, twos) = bounded(0);
        let senders = [
            spawn(move || (0..3).for_each(|n| one.send(Box::new(n)).unwrap())),
            spawn(move || (0..3).for_each(|n| two.send(Box::new(n)).unwrap())),
        ];
        let mut sum = 0;
        let (mut no_ones, mut no_twos) = (false, false);
        while !(no_ones && no_twos) {
            select! {
                message = recv(&ones), if !no_ones => match message {
                    Ok(message) => sum += *message,
                    Err(_) => no_ones = true,
                },
                message = recv(&twos), if !no_twos => match message {
                    Ok(message) => sum += *message,
                    Err(_) => no_twos = true,
                },
            }
        }
        assert_eq!(sum, 6);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn what_is_borrowed_in_a_scope_is_whole_afterwards() {
    everywhere(|| {
        let mut list = vec![1, 2, 3, 4];
        let (left, right) = list.split_at_mut(2);
        crate::scope(|scope| {
            for half in [left, right] {
                scope.spawn(move || {
                    for n in half {
                        crate::yield_now();
                        *n *= 10;
                    }
                });
            }
        });
        assert_eq!(list, [10, 20, 30, 40]);
    });
}

#[test]
fn futures_are_awaited_and_woken_from_other_threads() {
    everywhere(|| {
        let shared = Arc::new(StdMutex::new((false, None::<Waker>)));
        let theirs = shared.clone();
        let other = thread::spawn(move || {
            let waker = {
                let mut shared = theirs.lock().unwrap();
                shared.0 = true;
                shared.1.take()
            };
            waker.into_iter().for_each(Waker::wake);
        });
        let text = compat::await_future(poll_fn(|context| {
            let mut shared = shared.lock().unwrap();
            if shared.0 {
                return Poll::Ready(String::from("ready"));
            }
            shared.1 = Some(context.waker().clone());
            Poll::Pending
        }));
        assert_eq!(text, "ready");
        other.join().unwrap();
        assert_eq!(compat::await_future(async { [1; 5] }), [1; 5]);
    });
}

#[test]
fn a_waker_outlives_its_actor() {
    let kept = Arc::new(StdMutex::new(None::<Waker>));
    let runtime = workers(1);
    runtime.run(|| {
        let theirs = kept.clone();
        let actor = spawn(move || {
            compat::await_future(poll_fn(|context| {
                *theirs.lock().unwrap() = Some(context.waker().clone());
                Poll::Ready(())
            }));
        });
        actor.join().unwrap();
        let waker = kept.lock().unwrap().clone().unwrap();
        let next = spawn(|| crate::yield_now()); // in the same slot
        waker.wake_by_ref();
        next.join().unwrap();
    });
    runtime.shutdown(LONG).unwrap();
    kept.lock().unwrap().take().unwrap().wake();
}

#[test]
fn values_of_actors_end_with_them() {
    actor_local! {
        static COUNT: Cell<u32> = Cell::new(0);
        static HELD: RefCell<Option<Counted>> = RefCell::new(None);
    }
    everywhere(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let actors: Vec<_> = (0..3)
            .map(|n| {
                let held = Counted(drops.clone());
                spawn(move || {
                    HELD.replace(Some(held));
                    for _ in 0..n {
                        COUNT.set(COUNT.get() + 1);
                        crate::yield_now();
                    }
                    COUNT.get()
                })
            })
            .collect();
        for (n, actor) in (0..).zip(actors) {
            assert_eq!(actor.join().unwrap(), n);
        }
        assert_eq!(drops.load(SeqCst), 3);
    });
}

#[test]
fn a_token_ends_waits_and_children_tell_their_parent() {
    everywhere(|| {
        let mailbox = crate::supervisor::mailbox();
        let token = CancelToken::new();
        let child = token.child_token();
        let actor = Builder::new()
            .name("waits")
            .spawn(move || {
                child.wait();
                1
            })
            .unwrap();
        token.cancel();
        let pid = actor.pid();
        assert_eq!(actor.join().unwrap(), 1);
        assert_eq!(mailbox.recv().unwrap().pid(), pid);
    });
}

#[test]
fn a_runtime_that_is_dropped_ends_its_actors() {
    let drops = Arc::new(AtomicUsize::new(0));
    let runtime = workers(2);
    for n in 0..4 {
        let held = Counted(drops.clone());
        let wait = move || {
            let _held = held;
            if n % 2 == 0 { crate::sleep(LONG) } else { channel::<u8>().1.recv().map_or((), drop) }
        };
        drop(runtime.spawn(wait).expect("there is a stack"));
    }
    runtime.shutdown(LONG).unwrap();
    assert_eq!(drops.load(SeqCst), 4);
}
