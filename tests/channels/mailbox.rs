//! Mailboxes: messages to whoever has a pid.

use std::collections::HashSet;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use smarm::channel::RecvError;
use smarm::compat::await_future;
use smarm::mailbox::{self, OpenError, SendError};
use smarm::{Builder, JoinError, Pid, Receiver};
use smarm_workspace::{Drops, PATIENCE, Signal, block_on, until, within, workers};

const MOMENT: Duration = Duration::from_millis(2);

#[test]
fn a_message_reaches_the_mailbox_of_its_type() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let actor = mailbox::spawn(|numbers: Receiver<u32>| {
                let words = mailbox::open::<String>().unwrap();
                numbers.recv().unwrap(); // its sender knows by then that words are welcome
                (numbers.recv().unwrap(), words.recv().unwrap())
            });
            let pid = actor.pid();
            pid.send(0_u32).unwrap();
            until(|| pid.sender::<String>().is_ok());
            pid.send("seven".to_owned()).unwrap();
            pid.send(7_u32).unwrap();
            assert_eq!(actor.join().unwrap(), (7, "seven".to_owned()));
        });
    });
}

#[test]
fn nothing_is_lost_that_is_sent_before_the_actor_starts() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let actor = mailbox::spawn(|rx: Receiver<u32>| rx.iter().take(3).collect::<Vec<_>>());
            (0..3_u32).for_each(|n| actor.pid().send(n).unwrap()); // the one worker is ours until we wait
            assert_eq!(actor.join().unwrap(), [0, 1, 2]);
        });
    });
}

#[test]
fn actors_tasks_and_threads_send_to_a_pid() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let open = |rx: Receiver<u64>| rx.iter().take(300).sum::<u64>();
        let actor = Builder::new().runtime(&runtime.handle()).spawn_with_mailbox(open).unwrap();
        let pid = actor.pid();
        let sibling = runtime.spawn(move || (0..100_u64).for_each(|n| pid.send(n).unwrap())).unwrap();
        let thread = thread::spawn(move || (0..100_u64).for_each(|n| pid.send(n).unwrap()));
        block_on(async move {
            for n in 0..100_u64 {
                pid.send_async(n).await.unwrap();
            }
        });
        thread.join().unwrap();
        sibling.join().unwrap();
        assert_eq!(actor.join().unwrap(), 3 * 99 * 50);
    });
}

#[test]
fn the_error_names_the_cause_and_gives_the_message_back() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let go = Signal::new();
            let theirs = go.clone();
            let actor = smarm::spawn(move || theirs.wait(1));
            let pid = actor.pid();
            assert_eq!(pid.send(1), Err(SendError::NoMailbox(1)));
            assert_eq!(pid.try_send(2), Err(SendError::NoMailbox(2)));
            assert_eq!(await_future(pid.send_async(3)), Err(SendError::NoMailbox(3)));
            assert_eq!(pid.sender::<u8>().unwrap_err(), SendError::NoMailbox(()));
            go.raise();
            actor.join().unwrap();
            assert_eq!(pid.send(1), Err(SendError::NoActor(1)));
            assert_eq!(pid.send_timeout(1, MOMENT), Err(SendError::NoActor(1)));
            assert_eq!(pid.try_send(2).unwrap_err().into_inner(), 2);
            assert_eq!(await_future(pid.send_async(3)), Err(SendError::NoActor(3)));
        });
    });
}

#[test]
fn only_actors_open_mailboxes_and_one_per_type() {
    assert_eq!(mailbox::open::<u8>().unwrap_err(), OpenError::NoActor);
    within(PATIENCE, || {
        workers(1).run(|| {
            let me = smarm::self_pid();
            let first = mailbox::open::<u8>().unwrap();
            assert_eq!(mailbox::open_bounded::<u8>(1).unwrap_err(), OpenError::AlreadyOpen);
            assert!(mailbox::open::<u16>().is_ok());
            let in_a_future = await_future(async { mailbox::open::<u32>().unwrap_err() });
            assert_eq!(in_a_future, OpenError::NoActor);
            me.send(1_u8).unwrap();
            assert_eq!(first.recv(), Ok(1));
            drop(first);
            assert_eq!(me.send(2_u8), Err(SendError::NoMailbox(2)));
            assert_eq!(me.sender::<u8>().unwrap_err(), SendError::NoMailbox(()));
            let second = mailbox::open::<u8>().unwrap();
            me.send(3_u8).unwrap();
            second.close();
            assert_eq!(me.send(4_u8), Err(SendError::NoMailbox(4)));
            assert_eq!((second.recv(), second.recv()), (Ok(3), Err(RecvError::Closed)));
        });
    });
}

#[test]
fn a_bounded_mailbox_makes_its_senders_wait() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let go = Signal::new();
            let theirs = go.clone();
            let actor = Builder::new().spawn_with_bounded_mailbox(1, move |rx: Receiver<u32>| {
                theirs.wait(1);
                rx.iter().take(3).collect::<Vec<_>>()
            });
            let actor = actor.unwrap();
            let pid = actor.pid();
            pid.send(0_u32).unwrap();
            assert_eq!(pid.try_send(9_u32), Err(SendError::Full(9)));
            assert_eq!(pid.send_timeout(9_u32, MOMENT), Err(SendError::TimedOut(9)));
            assert_eq!(pid.send_deadline(9_u32, Instant::now()), Err(SendError::TimedOut(9)));
            {
                // Dropped half-way, it leaves the queue.
                let mut lost = pin!(pid.send_async(9_u32));
                assert!(lost.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            let sender = smarm::spawn(move || (1..3).for_each(|n: u32| pid.send(n).unwrap()));
            until(|| pid.sender::<u32>().unwrap().len() == 1);
            go.raise();
            assert_eq!(actor.join().unwrap(), [0, 1, 2]);
            sender.join().unwrap();
        });
    });
}

#[test]
fn a_mailbox_goes_with_its_actor_however_that_ends() {
    within(PATIENCE, || {
        workers(2).run(|| {
            for end in 0..3 {
                let drops = Drops::new();
                let ready = Signal::new();
                let theirs = ready.clone();
                let actor = mailbox::spawn(move |rx: Receiver<smarm_workspace::Counted>| {
                    theirs.wait(1);
                    match end {
                        0 => {}
                        1 => resume_unwind(Box::new("the end")),
                        _ => {
                            std::iter::from_fn(|| rx.recv().ok().map(std::mem::forget)).take(2).for_each(drop)
                        }
                    }
                });
                let pid = actor.pid();
                pid.send(drops.counted()).unwrap();
                if end == 2 {
                    actor.kill();
                } else {
                    ready.raise();
                }
                let ended = actor.join();
                assert!(match end {
                    0 => ended.is_ok(),
                    1 => ended.is_err_and(|error| error.is_panic()),
                    _ => matches!(ended, Err(JoinError::Killed)),
                });
                assert_eq!(drops.count(), 1, "what was not received is dropped");
                assert!(matches!(pid.send(drops.counted()), Err(SendError::NoActor(_))));
                assert_eq!(drops.count(), 2);
            }
        });
    });
}

#[test]
fn a_receiver_that_outlives_its_actor_is_reached_no_more() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let sent = Signal::new();
            let theirs = sent.clone();
            let actor = mailbox::spawn(move |rx: Receiver<u8>| {
                theirs.wait(1);
                rx
            });
            let pid = actor.pid();
            pid.send(1_u8).unwrap();
            sent.raise();
            let rx = actor.join().unwrap();
            assert_eq!(pid.send(2_u8), Err(SendError::NoActor(2)));
            assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Closed)));
        });
    });
}

#[test]
fn a_stale_pid_never_reaches_the_next_life_of_its_slot() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let mut stale: Vec<Pid> = Vec::new();
            let mut slots = HashSet::new();
            for _ in 0..50 {
                let actor = mailbox::spawn(|rx: Receiver<u32>| rx.recv().unwrap());
                let pid = actor.pid();
                slots.insert(pid.to_string().split('.').next().unwrap().to_owned());
                for old in &stale {
                    assert_eq!(old.send(1_u32), Err(SendError::NoActor(1)));
                }
                pid.send(7_u32).unwrap();
                assert_eq!(actor.join().unwrap(), 7);
                stale.push(pid);
            }
            assert!(slots.len() < 50, "no slot came twice, so nothing was tested");
        });
    });
}

#[test]
fn a_sender_that_waits_learns_of_the_end() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let stay = |rx: Receiver<u8>| {
                smarm::sleep(Duration::MAX);
                drop(rx);
            };
            let actor = Builder::new().spawn_with_bounded_mailbox(1, stay).unwrap();
            let pid = actor.pid();
            pid.send(0_u8).unwrap();
            let sender = smarm::spawn(move || pid.send(1_u8));
            let handle = pid.sender::<u8>().unwrap();
            until(|| handle.try_send(9).is_err());
            actor.kill();
            let error = sender.join().unwrap().unwrap_err();
            assert!(matches!(error, SendError::NoActor(1) | SendError::NoMailbox(1)), "{error}");
        });
    });
}

#[test]
fn an_actor_of_the_own_worker_gets_messages_that_refer_to_its_thread() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let shared = Rc::new(());
            let (me, theirs) = (smarm::self_pid(), shared.clone());
            let inbox = mailbox::open::<usize>().unwrap();
            let child = smarm::spawn_local(move || me.send(Rc::strong_count(&theirs)).unwrap());
            child.join().unwrap();
            assert_eq!(inbox.recv(), Ok(2));
        });
    });
}

/// Senders on all sides, with pids that are about to be stale, of actors whose slots are used again at
/// once: each message is received, dropped with its mailbox, or given back.
#[test]
fn sends_that_race_with_the_ends_of_actors_lose_and_mix_up_nothing() {
    const LIVES: usize = 300;
    within(PATIENCE, || {
        let runtime = workers(2);
        let over = Arc::new(AtomicBool::new(false));
        let target = Arc::new(std::sync::Mutex::new(None::<Pid>));
        let drops = Drops::new();
        let made = Arc::new(AtomicUsize::new(0));
        let send_all = || {
            let (over, target, drops, made) = (over.clone(), target.clone(), drops.clone(), made.clone());
            move || {
                while !over.load(SeqCst) {
                    let pid = *target.lock().unwrap();
                    if let Some(pid) = pid {
                        made.fetch_add(1, SeqCst);
                        let sent = pid.send((pid, drops.counted()));
                        assert!(matches!(
                            sent,
                            Ok(()) | Err(SendError::NoActor(_) | SendError::NoMailbox(_))
                        ));
                    }
                    smarm::yield_now();
                }
            }
        };
        let thread = thread::spawn(send_all());
        let sibling = runtime.spawn(send_all()).unwrap();
        let lives = target.clone();
        runtime.run(move || {
            for life in 0..LIVES {
                let actor = mailbox::spawn(move |rx: Receiver<(Pid, smarm_workspace::Counted)>| {
                    let me = smarm::self_pid();
                    let boxes = life % 3;
                    let others: Vec<_> = (0..boxes).map(|_| mailbox::open::<u64>()).collect();
                    for (to, _) in rx.iter().take(life % 4) {
                        assert_eq!(to, me);
                    }
                    drop(others);
                });
                *lives.lock().unwrap() = Some(actor.pid());
                actor.join().unwrap();
            }
        });
        over.store(true, SeqCst);
        thread.join().unwrap();
        sibling.join().unwrap();
        drop(runtime);
        assert_eq!(drops.count(), made.load(SeqCst));
    });
}
