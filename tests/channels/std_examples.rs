//! The examples in the documentation of `std::sync::mpsc`, with actors in place of threads, `bounded` in
//! place of `sync_channel`, and hand-shakes in place of sleeps.

use std::time::{Duration, Instant};

use smarm::channel::{Receiver, RecvError, RecvTimeoutError, SendError, bounded, channel, oneshot};
use smarm::spawn;
use smarm_workspace::{PATIENCE, within};

/// Runs an example as an actor.
fn example(f: impl FnOnce() + Send + 'static) {
    within(PATIENCE, || smarm::run(f));
}

/// A receiver of what another actor sends.
fn sent<const N: usize>(messages: [u8; N]) -> Receiver<u8> {
    let (tx, rx) = channel();
    drop(spawn(move || messages.into_iter().for_each(|message| tx.send(message).unwrap())));
    rx
}

#[test]
fn simple_usage() {
    example(|| {
        let (tx, rx) = channel();
        drop(spawn(move || tx.send(10).unwrap()));
        assert_eq!(rx.recv().unwrap(), 10);
    });
}

#[test]
fn shared_usage() {
    example(|| {
        let (tx, rx) = channel();
        for i in 0..10 {
            let tx = tx.clone();
            drop(spawn(move || tx.send(i).unwrap()));
        }
        for _ in 0..10 {
            let j = rx.recv().unwrap();
            assert!((0..10).contains(&j));
        }
    });
}

#[test]
fn a_channel_that_has_hung_up() {
    example(|| {
        let (tx, rx) = channel::<i32>();
        drop(tx);
        assert!(rx.recv().is_err());
    });
}

#[test]
fn a_rendezvous() {
    example(|| {
        let (tx, rx) = bounded::<i32>(0);
        drop(spawn(move || tx.send(53).unwrap()));
        assert_eq!(rx.recv().unwrap(), 53);
    });
}

#[test]
fn an_unbounded_receive_loop() {
    example(|| {
        let (tx, rx) = bounded(3);
        for _ in 0..3 {
            let tx = tx.clone();
            drop(spawn(move || tx.send("ok").unwrap()));
        }
        drop(tx);
        let mut count = 0;
        while let Ok(message) = rx.recv() {
            assert_eq!(message, "ok");
            count += 1;
        }
        assert_eq!(count, 3);
    });
}

#[test]
fn a_message_at_once_and_one_that_takes_its_time() {
    example(|| {
        let (tx, rx) = channel();
        let (go_on, told) = oneshot::channel();
        drop(spawn(move || {
            tx.send("Hello world!").unwrap();
            told.recv().unwrap();
            tx.send("Delayed").unwrap();
        }));
        assert_eq!(rx.recv().unwrap(), "Hello world!");
        assert!(rx.try_recv().is_err());
        go_on.send(()).unwrap();
        assert_eq!(rx.recv().unwrap(), "Delayed");
    });
}

#[test]
fn iterating_by_reference_and_by_value() {
    example(|| {
        let rx = sent([1, 2, 3]);
        assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2, 3]);
        let mut got = Vec::new();
        for message in sent([1, 2, 3]) {
            got.push(message);
        }
        assert_eq!(got, [1, 2, 3]);
        let rx = sent([1, 2, 3]);
        let mut iter = rx.iter();
        assert_eq!([iter.next(), iter.next(), iter.next(), iter.next()], [Some(1), Some(2), Some(3), None]);
    });
}

#[test]
fn iterating_over_what_is_there() {
    example(|| {
        let (tx, rx) = channel();
        assert!(rx.try_iter().next().is_none());
        let sender = spawn(move || (1..=3).for_each(|n| tx.send(n).unwrap()));
        sender.join().unwrap();
        let mut iter = rx.try_iter();
        assert_eq!([iter.next(), iter.next(), iter.next(), iter.next()], [Some(1), Some(2), Some(3), None]);
    });
}

#[test]
fn senders_of_two_actors() {
    example(|| {
        let (tx, rx) = channel();
        let tx2 = tx.clone();
        drop(spawn(move || tx.send(1).unwrap()));
        drop(spawn(move || tx2.send(2).unwrap()));
        assert_eq!(3, rx.recv().unwrap() + rx.recv().unwrap());
    });
}

#[test]
fn bounded_senders_of_two_actors() {
    example(|| {
        let (tx, rx) = bounded(2);
        let tx2 = tx.clone();
        drop(spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        }));
        let unblocked = spawn(move || tx2.send(3));
        let mut got = [rx.recv().unwrap(), rx.recv().unwrap(), rx.recv().unwrap()];
        assert_eq!(unblocked.join().unwrap(), Ok(()));
        got.sort();
        assert_eq!(got, [1, 2, 3]);
    });
}

#[test]
fn the_answer_of_an_expensive_computation() {
    example(|| {
        let (tx, rx) = channel();
        drop(spawn(move || tx.send((1..=20_u64).product::<u64>()).unwrap()));
        assert_eq!(rx.recv().unwrap(), 2_432_902_008_176_640_000);
    });
}

#[test]
fn a_send_that_returns_at_once_and_one_that_waits() {
    example(|| {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        drop(spawn(move || tx.send(2).unwrap()));
        assert_eq!((rx.recv().unwrap(), rx.recv().unwrap()), (1, 2));
    });
}

#[test]
fn a_send_that_succeeds_and_one_whose_receiver_is_gone() {
    example(|| {
        let (tx, rx) = channel();
        tx.send(1).unwrap();
        assert!(!tx.is_closed() && !rx.is_closed());
        drop(rx);
        assert!(tx.is_closed());
        assert_eq!(tx.send(1).unwrap_err().0, 1);
        assert_eq!(tx.send(2), Err(SendError(2)));
        let (tx, rx) = channel::<i32>();
        assert!(!rx.is_closed());
        drop(tx);
        assert!(rx.is_closed());
    });
}

#[test]
fn a_message_met() {
    example(|| {
        let (tx, rx) = bounded(0);
        let sender = spawn(move || tx.send(1));
        assert_eq!(1, rx.recv().unwrap());
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_third_message_that_may_never_have_been_sent() {
    example(|| {
        let (tx, rx) = bounded(1);
        let tx2 = tx.clone();
        let one = spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        let two = spawn(move || tx2.try_send(3).is_ok());
        let mut got = vec![rx.recv().unwrap(), rx.recv().unwrap()];
        let third = two.join().unwrap();
        got.extend(rx.iter());
        one.join().unwrap();
        got.sort();
        assert_eq!(got, if third { vec![1, 2, 3] } else { vec![1, 2] });
    });
}

#[test]
fn nothing_to_receive() {
    let (_, rx): (_, Receiver<i32>) = channel();
    assert!(rx.try_recv().is_err());
}

#[test]
fn what_is_received_after_the_sender_has_ended() {
    example(|| {
        let (tx, rx) = channel();
        spawn(move || tx.send(1u8).unwrap()).join().unwrap();
        assert_eq!(Ok(1), rx.recv());
        let (tx, rx) = channel();
        let sender = spawn(move || {
            (1..=3).for_each(|n| tx.send(n).unwrap());
            drop(tx);
        });
        sender.join().unwrap();
        assert_eq!([rx.recv(), rx.recv(), rx.recv()], [Ok(1), Ok(2), Ok(3)]);
        assert_eq!(Err(RecvError::Closed), rx.recv());
    });
}

#[test]
fn a_message_in_time_and_one_that_is_not() {
    example(|| {
        let time = Duration::from_secs(30);
        let (tx, rx) = channel();
        drop(spawn(move || {
            tx.send('a').unwrap();
            tx.send('b').unwrap();
        }));
        assert_eq!(rx.recv_timeout(time), Ok('a'));
        assert_eq!(rx.recv_deadline(Instant::now() + time), Ok('b'));
        let (tx, rx) = channel();
        let (go_on, told) = oneshot::channel();
        drop(spawn(move || {
            told.recv().unwrap();
            tx.send('a').unwrap();
        }));
        let short = Duration::from_millis(1);
        assert_eq!(rx.recv_timeout(short), Err(RecvTimeoutError::TimedOut));
        assert_eq!(rx.recv_deadline(Instant::now() + short), Err(RecvTimeoutError::TimedOut));
        go_on.send(()).unwrap();
        assert_eq!(rx.recv(), Ok('a'));
    });
}
