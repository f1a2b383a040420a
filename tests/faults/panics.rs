//! Panics where nobody expects them: in wakers, in destructors while another panic unwinds, in polls.

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::pin::{Pin, pin};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use smarm::Runtime;
use smarm::compat::await_future;
use smarm::net::UnixStream;
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, child, message, until, within};

use crate::support::{HOSTS, native, on_tokio};

/// A waker of somebody else's, which panics.
struct Bomb(AtomicBool);

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, SeqCst);
        panic!("in a waker");
    }
}

/// Polls the future once with a waker that panics; it must be pending. Gives the bomb.
#[track_caller]
fn mine(future: Pin<&mut impl Future>) -> Arc<Bomb> {
    let bomb = Arc::new(Bomb(AtomicBool::new(false)));
    let waker = Waker::from(bomb.clone());
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
    bomb
}

#[test]
fn in_the_waker_of_who_joins_it_harms_neither_worker_nor_neighbours() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(1);
            let drops = Drops::new();
            let go = Signal::new();
            let (theirs, held) = (go.clone(), drops.counted());
            let mut actor = runtime
                .spawn(move || {
                    theirs.wait(1);
                    drop(held);
                    7
                })
                .unwrap();
            let bomb = mine(pin!(&mut actor));
            go.raise();
            until(|| bomb.0.load(SeqCst));
            // The result is there, and the worker goes on.
            assert_eq!(actor.join().unwrap(), 7);
            assert_eq!(runtime.run(|| 42), 42);
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn in_the_waker_of_who_receives_it_does_not_reach_the_sender_and_the_message_is_there() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (sender, mut receiver) = smarm::channel();
            let mut receive = Box::pin(receiver.recv_async());
            let bomb = mine(receive.as_mut());
            sender.send(1).unwrap();
            assert!(bomb.0.load(SeqCst));
            drop(receive);
            sender.send(2).unwrap();
            assert_eq!([receiver.recv().unwrap(), receiver.recv().unwrap()], [1, 2]);
        });
    });
}

#[test]
fn in_the_waker_of_who_sends_it_does_not_cost_the_receiver_the_message() {
    for capacity in [0, 1] {
        within(PATIENCE, || {
            smarm::run(|| {
                let (sender, receiver) = smarm::channel::bounded(capacity);
                (0..capacity).for_each(|_| sender.try_send(0).unwrap());
                let mut send = Box::pin(sender.send_async(1));
                let bomb = mine(send.as_mut());
                (0..capacity).for_each(|_| assert_eq!(receiver.recv(), Ok(0)));
                assert_eq!(receiver.recv(), Ok(1));
                assert!(bomb.0.load(SeqCst));
            });
        });
    }
}

#[test]
fn in_the_waker_of_who_waits_for_a_lock_it_does_not_reach_the_holder_and_the_lock_goes_on() {
    within(PATIENCE, || {
        smarm::run(|| {
            let lock = Arc::new(smarm::Mutex::new(1));
            let guard = lock.lock(PATIENCE).unwrap();
            let mut waits = Box::pin(lock.lock_async());
            let bomb = mine(waits.as_mut());
            drop(guard);
            assert!(bomb.0.load(SeqCst));
            // It was handed over, and passes on when who has it gives up.
            drop(waits);
            assert_eq!(*lock.try_lock().unwrap(), 1);
        });
    });
}

#[test]
fn in_the_wakers_of_supervisor_and_mailbox_it_harms_neither_worker_nor_neighbours() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(1);
            runtime.run(|| {
                let mut signals = smarm::supervisor::mailbox();
                let open = Signal::new();
                let (theirs, go) = (open.clone(), Signal::new());
                let gone = go.clone();
                let child = smarm::spawn(move || {
                    let full = smarm::mailbox::open_bounded::<u8>(1);
                    theirs.raise();
                    gone.wait(1);
                    drop(full);
                });
                open.wait(1);
                child.pid().send(1_u8).unwrap();
                // One waits for room in the mailbox, one for the supervisor's next signal.
                let mut send = Box::pin(child.pid().send_async(2_u8));
                let mut signal = Box::pin(signals.recv_async());
                let bombs = [mine(send.as_mut()), mine(signal.as_mut())];
                go.raise();
                child.join().unwrap();
                until(|| bombs.iter().all(|bomb| bomb.0.load(SeqCst)));
            });
            assert_eq!(runtime.run(|| 42), 42);
        }
    });
}

#[test]
fn in_the_waker_of_who_waits_for_a_descriptor_it_harms_neither_worker_nor_others() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(1);
            runtime.run(|| {
                let (near, mut far) = UnixStream::pair().unwrap();
                let near = Arc::new(near);
                // Three wait for one edge, the bomb in the middle.
                let read = |near: Arc<UnixStream>| {
                    smarm::spawn_local(move || smarm::io::wait_readable(&*near).unwrap())
                };
                let first = read(near.clone());
                smarm::yield_now();
                let theirs = near.clone();
                let mut wait = Box::pin(smarm::io::wait_readable_async(&*theirs));
                let bomb = await_future(std::future::poll_fn(|_| Poll::Ready(mine(wait.as_mut()))));
                let last = read(near.clone());
                smarm::yield_now();
                use std::io::Write;
                far.write_all(b"x").unwrap();
                first.join().unwrap();
                last.join().unwrap();
                until(|| bomb.0.load(SeqCst));
            });
            assert_eq!(runtime.run(|| 42), 42);
        }
    });
}

#[test]
fn in_the_waker_of_who_waits_for_a_blocking_call_it_harms_no_other_call() {
    child::run_well(|| {
        smarm::run(|| {
            let go = Signal::new();
            let theirs = go.clone();
            let mut call = Box::pin(smarm::io::block_on_io_async(move || {
                theirs.wait(1);
                5
            }));
            let bomb = mine(call.as_mut());
            go.raise();
            until(|| bomb.0.load(SeqCst));
            assert_eq!(await_future(call), 5);
            assert_eq!(smarm::io::block_on_io(|| 6), 6);
        });
    });
}

#[test]
fn in_a_waker_that_a_cancelled_token_wakes_it_keeps_no_other_from_being_woken() {
    within(PATIENCE, || {
        smarm::run(|| {
            let token = smarm::CancelToken::new();
            let cancelled = token.clone();
            let first = smarm::spawn_local(move || await_future(cancelled.cancelled()));
            smarm::yield_now();
            let cancelled = token.clone();
            let mut wait = Box::pin(cancelled.cancelled());
            let bomb = mine(wait.as_mut());
            let cancelled = token.clone();
            let last = smarm::spawn_local(move || await_future(cancelled.cancelled()));
            smarm::yield_now();
            token.cancel();
            first.join().unwrap();
            last.join().unwrap();
            assert!(bomb.0.load(SeqCst));
        });
    });
}

/// A child that aborted after these words, and named the actor.
#[track_caller]
fn assert_named(output: &Output, name: &str, words: &[&str]) {
    let text = child::stderr(output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", child::text(output));
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    let named = |line: &str| line.contains("smarm: actor ") && line.contains(&format!("\"{name}\""));
    assert!(text.lines().any(named), "{text}");
}

/// An actor whose second panic comes while the first unwinds it.
fn panic_twice(runtime: &Runtime) {
    let doubled = smarm::Builder::new().name("doubled").runtime(&runtime.handle()).spawn(|| {
        let _second = OnDrop(|| panic!("the second"));
        panic!("the first");
    });
    drop(doubled.unwrap().join());
}

#[test]
fn a_second_panic_while_an_actor_unwinds_aborts_and_names_the_actor() {
    if let Some(output) = child::run(|| panic_twice(&native(1))) {
        assert_named(&output, "doubled", &["the first", "the second"]);
    }
}

#[test]
fn a_second_panic_while_an_actor_on_tokio_unwinds_aborts_and_names_the_actor() {
    if let Some(output) = child::run(|| panic_twice(&on_tokio(1))) {
        assert_named(&output, "doubled", &["the first", "the second"]);
    }
}

#[test]
fn a_second_panic_in_the_poll_of_an_awaited_future_aborts_and_names_the_actor() {
    let output = child::run(|| {
        let runtime = native(1);
        let doubled = smarm::Builder::new().name("awaits").runtime(&runtime.handle()).spawn(|| {
            await_future(async {
                let _second = OnDrop(|| panic!("the second"));
                panic!("the first");
            })
        });
        drop(doubled.unwrap().join());
    });
    if let Some(output) = output {
        assert_named(&output, "awaits", &["the first", "the second"]);
    }
}

#[test]
fn a_panic_in_a_destructor_while_a_kill_unwinds_aborts_and_names_the_actor() {
    let output = child::run(|| {
        smarm::run(|| {
            let parked = Signal::new();
            let theirs = parked.clone();
            let victim = smarm::Builder::new().name("victim").spawn(move || {
                let _panics = OnDrop(|| panic!("in a destructor"));
                theirs.raise();
                smarm::sleep(std::time::Duration::MAX);
            });
            let victim = victim.unwrap();
            parked.wait(1);
            victim.kill();
            drop(victim.join());
        });
    });
    if let Some(output) = output {
        assert_named(&output, "victim", &["in a destructor"]);
    }
}

#[test]
fn a_panic_in_a_destructor_that_runs_by_itself_is_a_panic_like_any_other() {
    within(PATIENCE, || {
        smarm::run(|| {
            let error = smarm::spawn(|| drop(OnDrop(|| panic!("dropped")))).join().unwrap_err();
            assert_eq!(message(&*error.into_panic()), "dropped");
        });
    });
}

#[test]
fn a_payload_whose_destructor_panics_harms_nobody() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("in a payload's destructor");
        }
    }
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(1);
            let actor = runtime.spawn(|| std::panic::panic_any(Payload)).unwrap();
            let ended: Result<(), _> = actor.join();
            std::mem::forget(ended.unwrap_err().into_panic());
            // And if nobody joins: the actor's own drop of it is caught.
            let go = Signal::new();
            let theirs = go.clone();
            let detached = runtime.spawn(move || {
                theirs.wait(1);
                std::panic::panic_any(Payload);
            });
            drop(detached.unwrap());
            go.raise();
            until(|| runtime.handle().live() == 0);
            assert_eq!(runtime.run(|| 42), 42);
        }
    });
}

#[test]
fn a_panic_in_a_task_beside_actors_ends_that_task_alone() {
    child::run_well(|| {
        let runtime = smarm_compat::Builder::new().workers(1).start().unwrap();
        runtime.run(|| {
            let task = tokio::spawn(async { panic!("in a task") });
            assert!(await_future(task).unwrap_err().is_panic());
            assert!(!thread::panicking());
        });
        assert_eq!(runtime.run(|| 42), 42);
    });
}

#[test]
fn a_future_whose_drop_panics_while_a_kill_unwinds_its_actor_harms_nobody() {
    struct Late(Signal);
    impl Future for Late {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0.raise();
            Poll::Pending
        }
    }
    impl Drop for Late {
        fn drop(&mut self) {
            panic!("in the drop of a future");
        }
    }
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(1);
            let polled = Signal::new();
            let theirs = polled.clone();
            let victim = runtime.spawn(move || await_future(Late(theirs))).unwrap();
            polled.wait(1);
            victim.kill();
            // The kill unwinds it already, so the panic of the drop is reported and goes no further.
            assert!(victim.join().unwrap_err().is_killed());
            assert_eq!(runtime.run(|| 42), 42);
        }
    });
}
