//! What lies in thread-locals follows the actor: the pair of hooks.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use smarm::compat::{await_future, await_timeout, on_native_stack};
use smarm::hooks::{self, Hooks, Saved};
use smarm::{Config, JoinError, Pid, Runtime};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, calm, child, within};

#[global_allocator]
static ALLOCATOR: smarm::preempt::Allocator = smarm::preempt::Allocator::new();

const MOMENT: Duration = Duration::from_millis(2);

thread_local! {
    /// The context of whoever runs on this thread.
    static CONTEXT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Carries `CONTEXT`, and checks that it finds no other's.
struct Carry;

impl Hooks for Carry {
    fn on_park(&self, saved: &mut Saved) {
        assert!(saved.is_none());
        *saved = CONTEXT.take().map(|context| Box::new(context) as _);
    }

    fn on_resume(&self, saved: &mut Saved) {
        assert_eq!(CONTEXT.get(), None, "a context leaked to the next one on this thread");
        CONTEXT.set(saved.take().map(|saved| *saved.downcast().unwrap()));
    }
}

fn carrying(workers: usize) -> Runtime {
    smarm::runtime::init(Config::exact(workers).hooks(Carry))
}

/// Waits in a way of the caller's choice, and checks that the context is the same afterwards.
#[track_caller]
fn keeps(context: u64, wait: impl FnOnce()) {
    CONTEXT.set(Some(context));
    wait();
    assert_eq!(CONTEXT.get(), Some(context));
}

/// Asks for `Pending` this often, and has the context checked in each poll.
struct Polls(u32, u64);

impl Future for Polls {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        assert_eq!(CONTEXT.get(), Some(self.1));
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Polls {
    fn drop(&mut self) {
        assert_eq!(CONTEXT.get(), Some(self.1), "dropped in another context");
    }
}

#[test]
fn a_context_is_the_actors_again_after_every_kind_of_wait() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            let runtime = carrying(workers);
            runtime.run(|| {
                let actors: Vec<_> = (1..=20_u64)
                    .map(|n| {
                        smarm::spawn(move || {
                            assert_eq!(CONTEXT.get(), None, "a first slice begins with nothing");
                            for round in 0..10 {
                                let context = n * 100 + round;
                                keeps(context, smarm::yield_now);
                                keeps(context, || smarm::sleep(Duration::from_micros(50)));
                                keeps(context, || await_future(Polls(3, context)));
                                keeps(context, || {
                                    let (tx, rx) = smarm::channel();
                                    let child = smarm::spawn(move || keeps(1, || tx.send(()).unwrap()));
                                    rx.recv().unwrap();
                                    child.join().unwrap();
                                });
                                keeps(context, || {
                                    assert!(await_timeout(MOMENT, poll_fn(|_| Poll::<()>::Pending)).is_err());
                                });
                                keeps(context, || {
                                    on_native_stack(|| assert_eq!(CONTEXT.get(), Some(context)));
                                });
                            }
                        })
                    })
                    .collect();
                actors.into_iter().for_each(|actor| actor.join().unwrap());
                assert_eq!(CONTEXT.get(), None);
            });
        }
    });
}

#[test]
fn neighbours_that_hand_over_to_each_other_keep_their_contexts_apart() {
    const ROUNDS: usize = 2_000;
    within(PATIENCE, || {
        carrying(1).run(|| {
            let (to, from) = smarm::channel();
            let (back, answers) = smarm::channel();
            let echo = smarm::spawn(move || {
                CONTEXT.set(Some(2));
                for message in from.iter() {
                    assert_eq!(CONTEXT.get(), Some(2));
                    back.send(message).unwrap();
                }
            });
            CONTEXT.set(Some(1));
            for n in 0..ROUNDS {
                to.send(n).unwrap();
                assert_eq!((answers.recv(), CONTEXT.get()), (Ok(n), Some(1)));
            }
            drop(to);
            echo.join().unwrap();
        });
    });
}

#[test]
fn an_actor_that_is_made_to_yield_keeps_its_context() {
    within(PATIENCE, || {
        let config = Config::exact(1).slice(Duration::from_millis(1)).hooks(Carry);
        smarm::runtime::init(config).run(|| {
            let turn = Arc::new(AtomicUsize::new(0));
            let actors: Vec<_> = (0..2)
                .map(|n| {
                    let turn = turn.clone();
                    smarm::spawn(move || {
                        CONTEXT.set(Some(n as u64));
                        // Nobody gives way but by force.
                        for round in 0..3 {
                            while turn.load(SeqCst) != 2 * round + n {
                                smarm::check!();
                            }
                            assert_eq!(CONTEXT.get(), Some(n as u64));
                            turn.fetch_add(1, SeqCst);
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn an_actor_that_is_made_to_yield_by_an_allocation_keeps_its_context() {
    within(PATIENCE, || {
        let config = Config::exact(1).slice(Duration::from_millis(1)).hooks(Carry);
        smarm::runtime::init(config).run(|| {
            let turn = Arc::new(AtomicUsize::new(0));
            let actors: Vec<_> = (0..2)
                .map(|n| {
                    let turn = turn.clone();
                    smarm::spawn(move || {
                        smarm::preempt::on_allocation(true);
                        CONTEXT.set(Some(n as u64));
                        for round in 0..3 {
                            while turn.load(SeqCst) != 2 * round + n {
                                black_box(Box::new(round)); // the hooks allocate in there, too
                            }
                            assert_eq!(CONTEXT.get(), Some(n as u64));
                            turn.fetch_add(1, SeqCst);
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn hooks_use_values_of_the_actor_while_it_is_made_to_yield_anywhere() {
    smarm::actor_local! {
        static SLICES: Cell<u64> = Cell::new(0);
        static LISTS: RefCell<Vec<String>> = RefCell::default();
    }
    within(PATIENCE, || {
        let count = |_: &mut Saved| SLICES.try_with(|slices| slices.set(slices.get() + 1)).unwrap_or(());
        let hooks = hooks::pair(count, count);
        let config = Config::exact(1).slice(Duration::from_micros(100)).hooks((hooks, Carry));
        smarm::runtime::init(config).run(|| {
            let actors: Vec<_> = (0..300_u64)
                .map(|n| {
                    smarm::spawn(move || {
                        smarm::preempt::on_allocation(true);
                        CONTEXT.set(Some(n));
                        for round in 0..20 {
                            let inbox = smarm::mailbox::open::<u64>().unwrap();
                            let list: Vec<String> = (0..round).map(|n| n.to_string()).collect();
                            LISTS.set(list);
                            smarm::self_pid().send(round).unwrap();
                            assert_eq!((inbox.recv(), CONTEXT.get()), (Ok(round), Some(n)));
                            assert_eq!(smarm::with_timeout(Duration::ZERO, smarm::yield_now), Ok(()));
                        }
                        assert!(SLICES.get() > 0);
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn an_actor_that_is_killed_unwinds_in_its_context() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            carrying(workers).run(|| {
                let ready = Signal::new();
                let seen = Arc::new(AtomicUsize::new(0));
                let (theirs, counter) = (ready.clone(), seen.clone());
                let actor = smarm::spawn(move || {
                    CONTEXT.set(Some(9));
                    let _in_the_end = OnDrop(|| {
                        assert_eq!(CONTEXT.get(), Some(9));
                        smarm::yield_now(); // a neighbour runs while this one unwinds
                        assert_eq!(CONTEXT.get(), Some(9));
                        counter.fetch_add(1, SeqCst);
                    });
                    theirs.raise();
                    await_future(Polls(u32::MAX, 9));
                });
                ready.wait(1);
                CONTEXT.set(Some(1));
                smarm::yield_now();
                actor.kill();
                assert!(matches!(actor.join(), Err(JoinError::Killed)));
                assert_eq!((CONTEXT.get(), seen.load(SeqCst)), (Some(1), 1));
            });
        }
    });
}

/// Says which hooks were called, for which actor.
#[derive(Clone, Default)]
struct Journal(Arc<std::sync::Mutex<Vec<(Pid, char)>>>);

impl Journal {
    fn hooks(&self) -> impl Hooks + use<> {
        let (park, resume) = (self.clone(), self.clone());
        hooks::pair(move |_| park.note('p'), move |_| resume.note('r'))
    }

    fn note(&self, what: char) {
        self.0.lock().unwrap().push((smarm::self_pid(), what));
    }

    fn of(&self, pid: Pid) -> String {
        self.0.lock().unwrap().iter().filter(|entry| entry.0 == pid).map(|entry| entry.1).collect()
    }
}

#[test]
fn slices_are_paired_from_the_first_to_the_last_and_never_overlap() {
    within(PATIENCE, || {
        let journal = Journal::default();
        let config = calm(Config::exact(1)).hooks(journal.hooks()); // slices are counted
        let (plain, waiting, killed) = smarm::runtime::init(config).run(|| {
            let plain = smarm::spawn(|| ());
            let waiting = smarm::spawn(|| {
                smarm::yield_now(); // rp
                let mut left = 3;
                await_future(poll_fn(|cx| {
                    left -= 1;
                    cx.waker().wake_by_ref();
                    if left == 0 { Poll::Ready(()) } else { Poll::Pending }
                }));
            });
            let killed = smarm::spawn(|| smarm::sleep(Duration::MAX));
            let pids = (plain.pid(), waiting.pid(), killed.pid());
            plain.join().unwrap();
            waiting.join().unwrap();
            killed.kill();
            drop(killed.join());
            pids
        });
        assert_eq!(journal.of(plain), "rp");
        // start, yield | first poll, park | second poll | third poll | end
        assert_eq!(journal.of(waiting), "rprprprprp");
        let killed = journal.of(killed);
        assert!(killed == "rprp" || killed == "rp", "{killed}");
        let all = journal.0.lock().unwrap();
        for pair in all.chunks(2) {
            assert_eq!((pair[0].0, pair[0].1, pair[1].1), (pair[1].0, 'r', 'p'));
        }
    });
}

#[test]
fn what_is_saved_is_dropped_with_the_actor() {
    within(PATIENCE, || {
        let drops = Drops::new();
        let source = std::sync::Mutex::new(drops.clone());
        let config = Config::exact(1).hooks(hooks::pair(
            move |saved| {
                saved.get_or_insert_with(|| Box::new(source.lock().unwrap().counted()));
            },
            |_| (),
        ));
        let runtime = smarm::runtime::init(config);
        runtime.run(|| {
            for _ in 0..10 {
                smarm::spawn(|| {
                    smarm::yield_now();
                    smarm::yield_now();
                })
                .join()
                .unwrap();
            }
            smarm::spawn(|| panic!("with something saved")).join().unwrap_err();
        });
        drop(runtime);
        assert_eq!(drops.count(), 12);
    });
}

#[test]
fn two_pairs_of_hooks_nest() {
    thread_local!(static STACK: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });
    let named = |name| {
        hooks::pair(
            move |_| assert_eq!(STACK.with_borrow_mut(Vec::pop), Some(name)),
            move |_| STACK.with_borrow_mut(|stack| stack.push(name)),
        )
    };
    within(PATIENCE, || {
        let config = Config::exact(1).hooks((named("outer"), named("inner")));
        smarm::runtime::init(config).run(|| {
            for _ in 0..3 {
                assert_eq!(STACK.with_borrow(Vec::clone), ["outer", "inner"]);
                smarm::spawn(smarm::yield_now).join().unwrap();
            }
        });
    });
}

#[test]
fn a_wait_in_a_hook_is_refused() {
    thread_local!(static REFUSED: Cell<bool> = const { Cell::new(false) });
    within(PATIENCE, || {
        let config = Config::exact(1).hooks(hooks::pair(
            |_| {
                let waited = std::panic::catch_unwind(|| smarm::sleep(MOMENT));
                REFUSED.set(smarm_workspace::message(&*waited.unwrap_err()).contains("hooks must not wait"));
            },
            |_| (),
        ));
        smarm::runtime::init(config).run(|| {
            smarm::yield_now();
            assert!(REFUSED.get());
        });
    });
}

#[test]
fn a_hook_can_spawn_and_send() {
    within(PATIENCE, || {
        let (tx, rx) = smarm::channel();
        let spawned = AtomicUsize::new(0);
        let config = Config::exact(2).hooks(hooks::pair(
            move |_| {
                tx.send(()).unwrap();
                if spawned.fetch_add(1, SeqCst) == 0 {
                    drop(smarm::spawn(|| ()));
                }
            },
            |_| (),
        ));
        let runtime = smarm::runtime::init(config);
        runtime.run(smarm::yield_now);
        drop(runtime);
        assert!(rx.iter().count() >= 3);
    });
}

#[test]
fn a_hook_that_panics_ends_the_process_and_says_why() {
    let output = child::run(|| {
        let config = Config::exact(1).hooks(hooks::pair(|_| panic!("no more"), |_| ()));
        smarm::runtime::init(config).run(smarm::yield_now);
    });
    let Some(output) = output else { return };
    let said = child::stderr(&output);
    assert!(!output.status.success());
    assert!(said.contains("no more") && said.contains("a hook of actor"), "{}", child::text(&output));
}
