//! A message that is sent later is sent once, in time, or given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use smarm::channel::{bounded, channel};
use smarm::time::{self, CancelError, send_after, send_at};
use smarm_workspace::{Drops, PATIENCE, block_on, part_of, within, workers};

use crate::paused;

const LATER: Duration = Duration::from_millis(2);

#[test]
fn messages_come_in_the_order_of_their_times_and_never_early() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let (tx, rx) = channel();
            let begin = time::now();
            for seconds in [3_u64, 1, 2, 5, 4] {
                send_after(Duration::from_secs(seconds), &tx, seconds);
            }
            for expected in 1..=5 {
                assert_eq!(rx.recv(), Ok(expected));
                assert_eq!((time::now() - begin).as_secs(), expected);
            }
        });
    });
}

#[test]
fn it_is_sent_from_wherever_it_was_asked_for() {
    within(PATIENCE, || {
        let (tx, mut rx) = channel();
        let begin = time::now();
        send_after(LATER, &tx, "thread");
        assert_eq!(rx.recv(), Ok("thread"));
        assert!(time::now() - begin >= LATER);
        block_on(async {
            send_after(LATER, &tx, "task");
            assert_eq!(rx.recv_async().await, Ok("task"));
        });
        let runtime = workers(2);
        let theirs = tx.clone();
        runtime.run(move || drop(send_at(time::now() + LATER, &theirs, "actor")));
        assert_eq!(rx.recv(), Ok("actor"));
        smarm_compat::Builder::new().workers(1).run({
            let tx = tx.clone();
            move || {
                smarm::compat::await_future(tokio::spawn(
                    async move { drop(send_after(LATER, &tx, "beside")) },
                ))
                .unwrap()
            }
        });
        assert_eq!(rx.recv(), Ok("beside"));
    });
}

#[test]
fn one_set_by_a_task_beside_an_idle_worker_is_in_time() {
    within(PATIENCE, || {
        smarm_compat::Builder::new().workers(1).run(|| {
            // The worker sleeps for long; its host is told of what is due sooner.
            let sleeper = smarm::spawn(|| smarm::sleep(Duration::MAX));
            let task = tokio::spawn(async {
                let (tx, mut rx) = channel();
                for _ in 0..20 {
                    send_after(Duration::from_micros(300), &tx, ());
                    rx.recv_async().await.unwrap();
                    time::sleep_async(Duration::from_micros(200)).await;
                }
            });
            smarm::compat::await_future(task).unwrap();
            drop(sleeper);
        });
    });
}

#[test]
fn a_message_that_was_taken_back_is_not_sent() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let (tx, rx) = channel();
            let kept = send_after(LATER, &tx, "kept");
            let back = send_after(LATER, &tx, "back");
            assert_eq!(back.cancel(), Ok("back"));
            assert!(!kept.is_over());
            smarm::sleep(LATER * 2);
            assert!(kept.is_over());
            assert_eq!(kept.cancel(), Err(CancelError::Sent));
            assert_eq!(rx.try_recv(), Ok("kept"));
            assert!(rx.try_recv().is_err());
        });
    });
}

#[test]
fn one_that_could_not_be_sent_is_given_back() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let (tx, rx) = bounded(1);
            tx.send("first").unwrap();
            let full = send_after(LATER, &tx, "no room");
            let (gone, receiver) = channel();
            drop(receiver);
            let gone = send_after(LATER, &gone, "nobody");
            smarm::sleep(LATER * 2);
            assert_eq!(full.cancel(), Err(CancelError::Undelivered("no room")));
            assert_eq!(gone.cancel(), Err(CancelError::Undelivered("nobody")));
            assert_eq!(rx.recv(), Ok("first"));
        });
    });
}

#[test]
fn the_channel_stays_open_until_it_was_sent() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let (tx, rx) = channel();
            drop(send_after(LATER, &tx, 1));
            drop(tx);
            assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
        });
    });
}

#[test]
fn between_sending_and_taking_back_each_message_has_one_owner() {
    within(PATIENCE, || {
        let (rounds, runtime) = (2_000, workers(2));
        let drops = Drops::new();
        let (tx, rx) = channel();
        let (handles, taken) = channel();
        let (giver, message) = (tx.clone(), drops.clone());
        let setter = runtime.spawn(move || {
            for n in 0..rounds {
                let delay = Duration::from_micros(n % 200);
                handles.send(send_after(delay, &giver, message.counted())).unwrap();
                if n % 16 == 0 {
                    smarm::sleep(Duration::from_micros(100));
                }
            }
        });
        // Elsewhere, so that the entries go back to the worker.
        let canceller = std::thread::spawn(move || {
            let (mut back, mut sent) = (0, 0);
            for handle in taken {
                match handle.cancel() {
                    Ok(_) => back += 1,
                    Err(CancelError::Sent) => sent += 1,
                    Err(CancelError::Undelivered(_)) => panic!("the receiver is there"),
                }
            }
            (back, sent)
        });
        setter.unwrap().join().unwrap();
        let (back, sent) = canceller.join().unwrap();
        drop(tx);
        let received = rx.iter().count();
        assert_eq!((received, back + sent), (sent, rounds as usize));
        assert_eq!(drops.count(), rounds as usize);
    });
}

#[test]
fn what_is_pending_outlives_the_runtime() {
    within(PATIENCE, || {
        let (tx, rx) = channel();
        let begin = time::now();
        let back = smarm::run({
            let tx = tx.clone();
            move || {
                send_after(Duration::from_millis(20), &tx, "sent");
                send_after(Duration::from_secs(3600), &tx, "back")
            }
        });
        drop(tx);
        assert_eq!(back.cancel(), Ok("back"));
        assert_eq!(rx.recv(), Ok("sent"));
        assert!(time::now() - begin >= Duration::from_millis(20));
        assert!(rx.recv().is_err());
    });
}

#[test]
fn a_message_whose_drop_panics_or_waits_does_not_stop_the_worker() {
    struct Vicious(Arc<AtomicUsize>, bool);
    impl Drop for Vicious {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            if self.1 {
                smarm::sleep(Duration::from_millis(1)); // misuse on the worker's stack: a panic
            }
            panic!("vicious");
        }
    }
    within(PATIENCE, || {
        smarm::run(|| {
            let dropped = Arc::new(AtomicUsize::new(0));
            let (tx, rx) = channel();
            drop(rx);
            drop(send_after(LATER, &tx, Vicious(dropped.clone(), false)));
            smarm::sleep(LATER * 2);
            smarm_workspace::until(|| dropped.load(SeqCst) == 1);
            smarm::sleep(LATER);
        });
    });
}

#[test]
fn a_million_take_no_stack_and_go_back_in_any_order() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (tx, rx) = channel::<usize>();
            let count = part_of(if cfg!(debug_assertions) { 100_000 } else { 1_000_000 });
            let mut pending: Vec<_> = (0..count)
                .map(|n| Some(send_after(Duration::from_secs(3600 + n as u64 % 999), &tx, n)))
                .collect();
            for n in 0..count {
                let chosen = n * 7919 % count; // a prime, of which the count is no multiple
                assert_eq!(pending[chosen].take().unwrap().cancel(), Ok(chosen));
            }
            assert!(rx.is_empty());
        });
    });
}
