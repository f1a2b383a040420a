//! What goes wrong with stackful threads in Rust, and that it does not here. The hazards of stacks,
//! switches, pids, kills and preemption are tested in the files of these names.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, stdin};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use smarm::compat::await_future;
use smarm::{Builder, Config, JoinHandle};
use smarm_workspace::{OnDrop, PATIENCE, Signal, child, panic_message, until, within, workers};

/// An actor that is parked in a destructor while a panic unwinds it, until `go` is raised.
fn parked_while_unwinding(go: &Signal) -> JoinHandle<()> {
    let parked = Signal::new();
    let (theirs, go) = (parked.clone(), go.clone());
    let actor = smarm::spawn_local(move || {
        let _waits = OnDrop(move || {
            theirs.raise();
            go.wait(1);
            assert!(thread::panicking(), "it is its own");
        });
        panic!("with a destructor that waits");
    });
    parked.wait(1);
    smarm::yield_now();
    assert!(!thread::panicking(), "it is not the neighbours'");
    actor
}

/// Ends the actor of [`parked_while_unwinding`].
#[track_caller]
fn let_go(go: &Signal, actor: JoinHandle<()>) {
    go.raise();
    assert!(actor.join().unwrap_err().is_panic());
    assert!(!thread::panicking(), "it has ended");
}

#[test]
fn a_neighbour_of_an_actor_parked_while_unwinding_panics_and_is_caught_as_ever() {
    within(PATIENCE, || {
        smarm::run(|| {
            let go = Signal::new();
            let unwinding = parked_while_unwinding(&go);
            assert_eq!(panic_message(|| panic!("caught")), "caught");
            assert!(smarm::spawn(|| panic!("joined")).join().is_err_and(|error| error.is_panic()));
            assert_eq!(panic_message(|| await_future(async { panic!("in a poll") })), "in a poll");
            assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
            let_go(&go, unwinding);
        });
    });
}

#[test]
fn a_neighbour_of_an_actor_parked_while_unwinding_is_killed_as_ever() {
    within(PATIENCE, || {
        smarm::run(|| {
            let go = Signal::new();
            let parked = Signal::new();
            let victims: Vec<_> = (0..3)
                .map(|how| {
                    let parked = parked.clone();
                    smarm::spawn_local(move || {
                        parked.raise();
                        match how {
                            0 => smarm::sleep(Duration::MAX),
                            1 => await_future(std::future::pending()),
                            _ => until(|| false),
                        }
                    })
                })
                .collect();
            parked.wait(3);
            let unwinding = parked_while_unwinding(&go);
            for victim in victims {
                victim.kill();
                assert!(victim.join().unwrap_err().is_killed());
            }
            let_go(&go, unwinding);
        });
    });
}

#[test]
fn a_neighbour_that_caught_a_panic_before_is_killed_as_ever_too() {
    within(PATIENCE, || {
        smarm::run(|| {
            let go = Signal::new();
            let parked = Signal::new();
            let theirs = parked.clone();
            let victim = smarm::spawn_local(move || {
                assert_eq!(panic_message(|| panic!("caught long ago")), "caught long ago");
                theirs.raise();
                await_future(std::future::pending::<()>());
            });
            parked.wait(1);
            let unwinding = parked_while_unwinding(&go);
            victim.kill();
            assert!(victim.join().unwrap_err().is_killed());
            let_go(&go, unwinding);
        });
    });
}

/// Beside an actor that is parked while unwinding, another one unwinds in the way of `panic`, waits
/// in a destructor and is killed there. It must not unwind twice, which would abort.
fn kill_in_a_destructor_beside_one(panic: fn()) {
    smarm::run(|| {
        let go = Signal::new();
        let unwinding = parked_while_unwinding(&go);
        let (destructing, done) = (Signal::new(), Signal::new());
        let theirs = (destructing.clone(), done.clone());
        let victim = smarm::spawn_local(move || {
            let _waits = OnDrop(move || {
                theirs.0.raise();
                theirs.1.wait(1);
                smarm::sleep(Duration::MAX);
            });
            panic();
        });
        destructing.wait(1);
        victim.kill();
        done.raise();
        assert!(victim.join().unwrap_err().is_panic());
        let_go(&go, unwinding);
    });
}

#[test]
fn two_actors_wait_in_destructors_at_once_and_one_is_killed() {
    child::run_well(|| kill_in_a_destructor_beside_one(|| panic!("boom")));
}

#[test]
fn two_actors_wait_in_destructors_at_once_and_one_whose_future_panicked_is_killed() {
    child::run_well(|| kill_in_a_destructor_beside_one(|| await_future(async { panic!("boom") })));
}

#[test]
fn two_actors_wait_in_destructors_at_once_and_one_whose_call_panicked_is_killed() {
    child::run_well(|| kill_in_a_destructor_beside_one(|| smarm::on_native_stack(|| panic!("boom"))));
}

#[test]
fn actors_that_wait_while_unwinding_end_in_any_order() {
    within(PATIENCE, || {
        smarm::run(|| {
            for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
                let goes: Vec<_> = (0..3).map(|_| Signal::new()).collect();
                let mut actors: Vec<_> = goes.iter().map(|go| Some(parked_while_unwinding(go))).collect();
                for n in order {
                    goes[n].raise();
                    assert!(actors[n].take().unwrap().join().unwrap_err().is_panic());
                }
                assert!(!thread::panicking());
            }
        });
    });
}

#[test]
fn a_std_lock_taken_and_freed_beside_an_actor_parked_while_unwinding_is_not_poisoned() {
    within(PATIENCE, || {
        smarm::run(|| {
            let lock = Arc::new(Mutex::new(0));
            let go = Signal::new();
            let unwinding = parked_while_unwinding(&go);
            *lock.lock().unwrap() += 1;
            smarm::yield_now();
            *lock.lock().unwrap() += 1;
            let_go(&go, unwinding);
            assert_eq!(*lock.lock().unwrap(), 2);
        });
    });
}

#[test]
fn a_std_lock_held_while_a_neighbour_parks_in_an_unwinding_is_not_poisoned() {
    within(PATIENCE, || {
        smarm::run(|| {
            let lock = Mutex::new(0);
            let go = Signal::new();
            let mut guard = lock.lock().unwrap();
            let unwinding = parked_while_unwinding(&go);
            *guard += 1;
            drop(guard);
            assert!(!lock.is_poisoned());
            let_go(&go, unwinding);
        });
    });
}

#[test]
fn an_actor_that_unwinds_by_a_resume_unwind_of_its_own_is_not_killed_in_its_destructor() {
    child::run_well(|| kill_in_a_destructor_beside_one(|| resume_unwind(Box::new("by itself"))));
}

#[test]
fn who_has_caught_a_panic_beside_an_actor_parked_while_unwinding_is_killed_as_ever() {
    within(PATIENCE, || {
        smarm::run(|| {
            let go = Signal::new();
            let unwinding = parked_while_unwinding(&go);
            let (caught, theirs) = (Signal::new(), Signal::new());
            let signals = (caught.clone(), theirs.clone());
            let neighbour = smarm::spawn_local(move || {
                assert_eq!(panic_message(|| panic!("just now")), "just now");
                signals.0.raise();
                signals.1.wait(1); // nobody raises it
            });
            caught.wait(1);
            neighbour.kill();
            assert!(neighbour.join().unwrap_err().is_killed());
            let_go(&go, unwinding);
        });
    });
}

#[test]
fn destructors_that_wait_in_an_unwinding_within_an_unwinding_keep_both() {
    within(PATIENCE, || {
        smarm::run(|| {
            let actor = smarm::spawn_local(|| {
                let _outer = OnDrop(|| {
                    smarm::yield_now();
                    let inner = catch_unwind(|| {
                        let _inner = OnDrop(|| {
                            smarm::sleep(Duration::from_micros(1));
                            assert!(thread::panicking());
                        });
                        panic!("inner");
                    });
                    assert!(inner.is_err() && thread::panicking());
                    smarm::yield_now();
                    assert!(thread::panicking());
                });
                panic!("outer");
            });
            assert_eq!(actor.join().unwrap_err().to_string(), "the actor panicked: outer");
            assert!(!thread::panicking());
        });
    });
}

#[test]
fn a_worker_that_its_host_polls_and_drops_while_it_unwinds_knows_nothing_of_that() {
    within(PATIENCE, || {
        let (runtime, mut workers) = smarm::runtime::detached(Config::exact(1)).unwrap();
        let stays = Signal::new();
        let theirs = stays.clone();
        let waits = runtime.spawn(move || theirs.wait(1)).unwrap();
        let works = runtime
            .spawn(|| {
                smarm::yield_now();
                thread::panicking()
            })
            .unwrap();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let (workers, waits) = (&mut workers, &waits);
            let _host = OnDrop(move || {
                while workers[0].poll_turn(std::task::Waker::noop()) == smarm::host::Turn::Busy {}
                assert!(thread::panicking());
                waits.kill();
                workers.clear();
                assert!(thread::panicking());
            });
            resume_unwind(Box::new("the host unwinds"));
        }));
        assert!(unwound.is_err() && !thread::panicking());
        assert!(!works.join().unwrap());
        assert!(waits.join().unwrap_err().is_killed());
    });
}

#[test]
fn the_panic_hook_of_an_actor_is_never_left() {
    static NEIGHBOUR_RAN: AtomicBool = AtomicBool::new(false);
    static RAN_IN_HOOK: AtomicBool = AtomicBool::new(false);
    static HOOKS: AtomicUsize = AtomicUsize::new(0);
    child::run_well(|| {
        std::panic::set_hook(Box::new(|_| {
            HOOKS.fetch_add(1, SeqCst);
            for _ in 0..10 {
                smarm::yield_now();
                smarm::check!();
            }
            RAN_IN_HOOK.fetch_or(NEIGHBOUR_RAN.load(SeqCst), SeqCst);
        }));
        smarm::run(|| {
            let actor = smarm::spawn(|| {
                let undisturbed = smarm::preempt::disable(); // the neighbour comes no sooner
                drop(smarm::spawn(|| NEIGHBOUR_RAN.store(true, SeqCst)));
                drop(undisturbed);
                panic!("boom");
            });
            assert!(actor.join().unwrap_err().is_panic());
            until(|| NEIGHBOUR_RAN.load(SeqCst));
        });
        assert_eq!(HOOKS.load(SeqCst), 1);
        assert!(!RAN_IN_HOOK.load(SeqCst));
    });
}

#[test]
fn what_must_stay_on_its_thread_may_be_held_across_waits() {
    thread_local!(static KEPT: RefCell<Vec<Rc<usize>>> = const { RefCell::new(Vec::new()) });
    within(PATIENCE, || {
        let runtime = workers(2);
        let lock = Arc::new(Mutex::new(0_usize));
        let actors: Vec<_> = (0..20)
            .map(|n| {
                let lock = lock.clone();
                runtime
                    .spawn(move || {
                        let rc = Rc::new(n);
                        KEPT.with_borrow_mut(|kept| kept.push(rc.clone()));
                        for _ in 0..200 {
                            smarm::yield_now();
                            let again = rc.clone();
                            assert_eq!(*again, n);
                        }
                        KEPT.with_borrow(|kept| assert!(kept.iter().any(|other| Rc::ptr_eq(other, &rc))));
                        // A std guard that nobody else on this worker wants.
                        if let Ok(mut guard) = lock.try_lock() {
                            smarm::yield_now();
                            *guard += 1;
                        }
                    })
                    .unwrap()
            })
            .collect();
        actors.into_iter().for_each(|actor| actor.join().unwrap());
        assert!(*lock.lock().unwrap() > 0);
    });
}

#[test]
fn a_neighbour_finds_a_thread_local_borrowed_that_is_held_across_a_wait() {
    thread_local!(static LOG: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) });
    within(PATIENCE, || {
        smarm::run(|| {
            let (borrowed, go) = (Signal::new(), Signal::new());
            let theirs = (borrowed.clone(), go.clone());
            let holder = smarm::spawn_local(move || {
                LOG.with_borrow_mut(|log| {
                    theirs.0.raise();
                    theirs.1.wait(1);
                    log.push(1);
                });
            });
            borrowed.wait(1);
            smarm::yield_now();
            LOG.with(|log| assert!(log.try_borrow().is_err(), "as documented"));
            go.raise();
            holder.join().unwrap();
            LOG.with_borrow(|log| assert_eq!(*log, [1]));
        });
    });
}

#[test]
fn a_guard_dropped_in_another_order_than_its_neighbours_is_no_trouble() {
    within(PATIENCE, || {
        smarm::run(|| {
            let goes: Vec<_> = (0..3).map(|_| Signal::new()).collect();
            let mut actors: Vec<_> = goes
                .iter()
                .map(|go| {
                    let go = go.clone();
                    Some(smarm::spawn_local(move || {
                        let _undisturbed = smarm::preempt::disable();
                        go.wait(1);
                    }))
                })
                .collect();
            until(|| goes.iter().all(|go| go.waiting() == 1));
            for n in [1, 0, 2] {
                goes[n].raise();
                actors[n].take().unwrap().join().unwrap();
            }
        });
    });
}

#[test]
fn an_actor_that_blocks_its_worker_is_reported_by_name_and_new_actors_move_on() {
    let body = || {
        let runtime = smarm::runtime::init(Config::exact(2).slice(Duration::from_millis(1)));
        let blocked = Builder::new()
            .name("blocking")
            .runtime(&runtime.handle())
            .worker(0)
            .spawn(|| {
                let moved_on = smarm::spawn(|| eprintln!("moved on"));
                // Truly blocks the thread, until the parent says so.
                let mut line = String::new();
                stdin().read_line(&mut line).unwrap();
                moved_on.join().unwrap();
                line
            })
            .unwrap();
        assert_eq!(blocked.join().unwrap(), "go\n");
    };
    child::converse(body, |mut process| {
        use std::io::Write;
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let (mut moved_on, mut reported) = (false, false);
        while !moved_on || !reported {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "{moved_on} {reported}");
            moved_on |= line.contains("moved on");
            reported |= line.contains("\"blocking\"") && line.contains("block_on_io");
        }
        process.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(process.wait().unwrap().success());
    });
}

#[test]
fn a_kill_that_is_swallowed_and_passed_on_later_is_still_a_kill() {
    within(PATIENCE, || {
        smarm::run(|| {
            let parked = Signal::new();
            let theirs = parked.clone();
            let actor = smarm::spawn(move || {
                theirs.raise();
                let caught = catch_unwind(AssertUnwindSafe(|| smarm::sleep(Duration::MAX)));
                // As `scope` does: clean up first, then go on unwinding.
                resume_unwind(caught.unwrap_err());
            });
            parked.wait(1);
            actor.kill();
            let ended: Result<(), _> = actor.join();
            assert!(ended.unwrap_err().is_killed());
        });
    });
}

/// What the kernel says of the mapping that an address lies in.
fn flags_of_mapping(address: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut ours = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let bounds = range.map(|(start, end)| [start, end].map(|bound| usize::from_str_radix(bound, 16)));
        if let Some([Ok(start), Ok(end)]) = bounds {
            ours = (start..end).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| ours) {
            return flags.to_owned();
        }
    }
    panic!("no mapping has {address:#x}");
}

#[test]
fn stacks_are_not_made_of_huge_pages() {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return println!("this kernel has no huge pages");
    }
    within(PATIENCE, || {
        for mprotect in [false, true] {
            let runtime = smarm::runtime::init(Config::exact(1).mprotect_guards(mprotect));
            runtime.run(|| {
                let on_the_stack = 0_u8;
                let flags = flags_of_mapping((&raw const on_the_stack).addr());
                let declined = |flags: &str| flags.split_whitespace().any(|flag| flag == "nh");
                assert!(declined(&flags), "{flags}");
                let on_the_heap = Box::new(0_u8);
                assert!(
                    !declined(&flags_of_mapping((&raw const *on_the_heap).addr())),
                    "it shows a difference"
                );
            });
        }
    });
}

#[test]
fn a_runtime_dropped_while_its_actors_wait_for_actors_of_another_does_not_hang() {
    within(PATIENCE, || {
        for first in [true, false] {
            let (one, two) = (workers(1), workers(1));
            let go = Signal::new();
            let theirs = go.clone();
            let far = two.spawn(move || theirs.wait(1)).unwrap();
            let waits = one.spawn(move || far.join()).unwrap();
            until(|| go.waiting() == 1);
            if first {
                drop(one);
                assert!(waits.join().unwrap_err().is_killed());
                drop(two);
            } else {
                drop(two);
                assert!(waits.join().unwrap().unwrap_err().is_killed());
                drop(one);
            }
        }
    });
}
