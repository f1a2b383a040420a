//! Channels between actors of several workers, threads and futures; and kills in the middle.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use smarm::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, bounded, oneshot};
use smarm::compat::await_future;
use smarm::{Builder, channel};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, block_on, until, within, workers};

const MESSAGES: usize = 20_000;

#[test]
fn messages_of_each_sender_arrive_once_and_in_order() {
    const SENDERS: usize = 8;
    within(PATIENCE, || {
        for count in [1, 2] {
            for capacity in [None, Some(1), Some(16), Some(0)] {
                let runtime = workers(count);
                let (sender, receiver) = capacity.map_or_else(channel, bounded);
                for n in 0..SENDERS {
                    let sender = sender.clone();
                    let send = move || {
                        for message in 0..MESSAGES / SENDERS / 4 {
                            sender.send((n, message)).unwrap();
                        }
                    };
                    if n % 4 == 0 { drop(thread::spawn(send)) } else { drop(runtime.spawn(send)) }
                }
                drop(sender);
                runtime.run(move || {
                    let mut next = [0; SENDERS];
                    for (n, message) in receiver.iter() {
                        assert_eq!(message, next[n]);
                        next[n] += 1;
                    }
                    assert_eq!(next, [MESSAGES / SENDERS / 4; SENDERS]);
                });
            }
        }
    });
}

#[test]
fn two_actors_on_two_workers_play_ping_pong_through_channels() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let handle = runtime.handle();
        for bound in [None, Some(1), Some(0)] {
            let make = || bound.map_or_else(channel, bounded);
            let ((ping, pinged), (pong, ponged)) = (make(), make());
            let one = Builder::new().runtime(&handle).worker(0).spawn(move || {
                for round in 0..MESSAGES / 4 {
                    ping.send(round).unwrap();
                    assert_eq!(ponged.recv(), Ok(round));
                }
            });
            let two = Builder::new().runtime(&handle).worker(1).spawn(move || {
                for round in pinged.iter() {
                    pong.send(round).unwrap();
                }
            });
            one.unwrap().join().unwrap();
            two.unwrap().join().unwrap();
        }
    });
}

#[test]
fn a_thread_and_an_actor_play_ping_pong_through_channels() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let ((ping, pinged), (pong, ponged)) = (channel(), channel());
        let actor = runtime.spawn(move || pinged.iter().for_each(|round| pong.send(round).unwrap())).unwrap();
        for round in 0..MESSAGES / 4 {
            ping.send(round).unwrap();
            assert_eq!(ponged.recv(), Ok(round));
        }
        drop(ping);
        actor.join().unwrap();
    });
}

#[test]
fn blocking_async_and_threads_meet_in_one_channel() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let (sender, mut receiver) = bounded(2);
        let (one, two, three) = (sender.clone(), sender.clone(), sender);
        let blocking = runtime.spawn(move || (0..500).for_each(|_| one.send(1).unwrap())).unwrap();
        let awaiting = runtime
            .spawn(move || {
                await_future(async {
                    for _ in 0..500 {
                        two.send_async(2).await.unwrap();
                    }
                });
            })
            .unwrap();
        let thread = thread::spawn(move || {
            block_on(async {
                for _ in 0..500 {
                    three.send_async(3).await.unwrap();
                }
            });
        });
        let sum = runtime.run(move || {
            let mut sum = 0;
            loop {
                match await_future(receiver.recv_async()) {
                    Ok(number) => sum += number,
                    Err(error) => break assert_eq!(error, RecvError::Closed),
                }
                match receiver.recv() {
                    Ok(number) => sum += number,
                    Err(error) => break assert_eq!(error, RecvError::Closed),
                }
            }
            sum
        });
        assert_eq!(sum, 500 * 6);
        blocking.join().unwrap();
        awaiting.join().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn the_end_of_one_side_wakes_actors_that_wait_on_the_other() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..200 {
            let (sender, receiver) = channel::<()>();
            let waits = runtime.spawn(move || receiver.recv()).unwrap();
            runtime.run(move || drop(sender));
            assert_eq!(waits.join().unwrap(), Err(RecvError::Closed));

            let (sender, receiver) = bounded(1);
            sender.send(0).unwrap();
            let waits = runtime.spawn(move || sender.send(1)).unwrap();
            runtime.run(move || drop(receiver));
            assert_eq!(waits.join().unwrap(), Err(SendError(1)));
        }
    });
}

#[test]
fn a_receiver_whose_actor_was_killed_in_recv_still_has_every_message() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..300 {
            let (sender, receiver) = channel();
            let (back, left) = oneshot::channel();
            let started = Signal::new();
            let theirs = started.clone();
            let waits = runtime
                .spawn(move || {
                    theirs.raise();
                    // Handed on when the kill unwinds the actor out of `recv`.
                    let mut kept = Some((receiver, back));
                    let received = AtomicUsize::new(0);
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        let (receiver, _) = kept.as_ref().unwrap();
                        while receiver.recv().is_ok() {
                            received.fetch_add(1, SeqCst);
                        }
                    }));
                    let (receiver, back) = kept.take().unwrap();
                    drop(back.send((receiver, received.into_inner())));
                    if let Err(payload) = result {
                        resume_unwind(payload);
                    }
                })
                .unwrap();
            started.wait(1);
            for message in 0..5 {
                sender.send(message).unwrap();
            }
            waits.kill();
            for message in 5..10 {
                sender.send(message).unwrap();
            }
            drop(sender);
            let ended = waits.join();
            let (receiver, received) = left.recv().unwrap();
            assert_eq!(received + receiver.iter().count(), 10);
            assert!(ended.map_or_else(|error| error.is_killed(), |()| received == 10));
        }
    });
}

#[test]
fn kills_that_race_with_messages_drop_each_message_once() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for capacity in [None, Some(0), Some(2)] {
            for _ in 0..200 {
                let drops = Drops::new();
                let (sender, receiver) = capacity.map_or_else(channel, bounded);
                let receives = runtime.spawn(move || receiver.iter().count()).unwrap();
                let held: Vec<_> = (0..10).map(|_| drops.counted()).collect();
                let sends = runtime
                    .spawn(move || held.into_iter().all(|message| sender.send(message).is_ok()))
                    .unwrap();
                receives.kill();
                assert!(receives.join().map_or_else(|error| error.is_killed(), |count| count <= 10));
                sends.join().unwrap();
                assert_eq!(drops.count(), 10);
            }
        }
    });
}

#[test]
fn a_killed_sender_leaves_the_queue_of_those_who_wait_for_room() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (sender, receiver) = bounded(1);
            sender.send(0).unwrap();
            let waiting = Signal::new();
            let senders: Vec<_> = (1..=3)
                .map(|n| {
                    let (sender, waiting) = (sender.clone(), waiting.clone());
                    smarm::spawn(move || {
                        // From here on it leaves its worker only to wait for room.
                        let _undisturbed = smarm::preempt::disable();
                        waiting.raise();
                        sender.send(n)
                    })
                })
                .collect();
            until(|| waiting.count() == 3);
            senders[1].kill();
            until(|| senders[1].is_finished());
            drop(sender);
            let mut got: Vec<_> = receiver.iter().collect();
            got.sort_unstable();
            let [one, two, three] = senders.try_into().unwrap();
            assert!(two.join().is_err_and(|error| error.is_killed()));
            assert_eq!((one.join().unwrap(), three.join().unwrap()), (Ok(()), Ok(())));
            assert_eq!(got, [0, 1, 3]);
        });
    });
}

#[test]
fn waits_on_channels_in_a_destructor_during_a_kill_are_cancelled_unless_ready() {
    within(PATIENCE, || {
        smarm::run(|| {
            let parked = Signal::new();
            let theirs = parked.clone();
            let (report, reported) = channel();
            let actor = smarm::spawn(move || {
                let _waits = OnDrop(move || {
                    let (sender, receiver) = bounded(1);
                    let long = Duration::from_secs(3600);
                    assert_eq!(receiver.recv(), Err(RecvError::Cancelled));
                    assert_eq!(receiver.recv_timeout(long), Err(RecvTimeoutError::Cancelled));
                    assert_eq!(sender.send(1), Ok(()), "there is room");
                    assert_eq!(sender.send(2), Err(SendError(2)));
                    assert_eq!(sender.send_timeout(3, long), Err(SendTimeoutError::Cancelled(3)));
                    assert_eq!(receiver.recv(), Ok(1), "it is there");
                    report.send("all as promised").unwrap();
                });
                theirs.raise();
                smarm::sleep(Duration::MAX);
            });
            parked.wait(1);
            actor.kill();
            assert!(actor.join().unwrap_err().is_killed());
            assert_eq!(reported.try_recv(), Ok("all as promised"));
        });
    });
}

#[test]
fn timeouts_are_never_early_and_lose_nothing() {
    const TIME: Duration = Duration::from_millis(3);
    within(PATIENCE, || {
        let try_it = || {
            let (sender, receiver) = bounded(1);
            let start = Instant::now();
            assert_eq!(receiver.recv_timeout(TIME), Err(RecvTimeoutError::TimedOut));
            assert!(start.elapsed() >= TIME);
            sender.send(1).unwrap();
            let start = Instant::now();
            assert_eq!(sender.send_timeout(2, TIME), Err(SendTimeoutError::TimedOut(2)));
            assert!(start.elapsed() >= TIME);
            assert_eq!(receiver.recv_deadline(start), Ok(1), "what is there wins over a past deadline");
            assert_eq!(receiver.recv_deadline(start), Err(RecvTimeoutError::TimedOut));
        };
        try_it();
        smarm::run(try_it);
    });
}

#[test]
fn timeouts_that_race_with_messages_lose_none() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let (sender, receiver) = channel();
        let receives = runtime
            .spawn(move || {
                let mut next = 0;
                while next < MESSAGES / 10 {
                    match receiver.recv_timeout(Duration::from_micros(10)) {
                        Ok(message) => {
                            assert_eq!(message, next);
                            next += 1;
                        }
                        Err(error) => assert_eq!(error, RecvTimeoutError::TimedOut),
                    }
                }
            })
            .unwrap();
        let sends = runtime
            .spawn(move || {
                for message in 0..MESSAGES / 10 {
                    smarm::sleep(Duration::from_micros(message as u64 % 20));
                    sender.send(message).unwrap();
                }
            })
            .unwrap();
        sends.join().unwrap();
        receives.join().unwrap();
    });
}

#[test]
fn a_pipeline_of_actors_passes_everything_on() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let (first, mut last) = bounded(4);
        for _ in 0..20 {
            let (sender, receiver) = bounded(4);
            let from = std::mem::replace(&mut last, receiver);
            drop(runtime.spawn(move || from.iter().for_each(|n: usize| sender.send(n + 1).unwrap())));
        }
        drop(runtime.spawn(move || (0..500).for_each(|n| first.send(n).unwrap())));
        let sum = runtime.run(move || last.iter().sum::<usize>());
        assert_eq!(sum, 499 * 500 / 2 + 500 * 20);
    });
}

#[test]
fn a_dropped_runtime_wakes_threads_that_wait_for_its_actors() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let (sender, receiver) = channel::<()>();
        let parked = Signal::new();
        let theirs = parked.clone();
        drop(runtime.spawn(move || {
            let _sender = sender;
            theirs.raise();
            smarm::sleep(Duration::MAX);
        }));
        parked.wait(1);
        let waits = thread::spawn(move || receiver.recv());
        drop(runtime);
        assert_eq!(waits.join().unwrap(), Err(RecvError::Closed));
    });
}
