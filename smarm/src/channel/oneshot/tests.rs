use super::*;
use crate::channel::testing::{Counted, Wakes, part_of};
use std::pin::pin;
use std::thread;

#[test]
fn a_value_sent_before_it_is_asked_for_is_received() {
    let (tx, rx) = channel();
    assert_eq!(tx.send(7), Ok(()));
    assert_eq!(rx.recv(), Ok(7));
}

#[test]
fn a_value_is_received_once() {
    let (tx, mut rx) = channel();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.send("once").unwrap();
    assert_eq!(rx.try_recv(), Ok("once"));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(Wakes::new().poll(&mut rx), Poll::Ready(Err(RecvError::Closed)));
}

#[test]
fn sending_wakes_the_waker_of_the_last_poll_once() {
    let (tx, mut rx) = channel();
    let (first, last) = (Wakes::new(), Wakes::new());
    assert_eq!(first.poll(&mut rx), Poll::Pending);
    assert_eq!(last.poll(&mut rx), Poll::Pending);
    assert_eq!(last.poll(&mut rx), Poll::Pending);
    tx.send(1).unwrap();
    assert_eq!((first.count(), last.count()), (0, 1));
    assert_eq!(last.poll(&mut rx), Poll::Ready(Ok(1)));
}

#[test]
fn a_sender_dropped_wakes_the_receiver() {
    let (tx, mut rx) = channel::<()>();
    let wakes = Wakes::new();
    assert_eq!(wakes.poll(&mut rx), Poll::Pending);
    drop(tx);
    assert_eq!(wakes.count(), 1);
    assert_eq!(rx.recv(), Err(RecvError::Closed));
}

#[test]
fn a_receiver_gone_gives_the_value_back_and_wakes_who_waits_for_that() {
    let (mut tx, rx) = channel();
    let wakes = Wakes::new();
    assert!(!tx.is_closed());
    assert_eq!(wakes.poll(&mut pin!(tx.closed())), Poll::Pending);
    drop(rx);
    assert_eq!(wakes.count(), 1);
    assert_eq!(wakes.poll(&mut pin!(tx.closed())), Poll::Ready(()));
    assert!(tx.is_closed());
    assert_eq!(tx.send("back"), Err("back"));
}

#[test]
fn a_closed_receiver_still_takes_what_was_sent_before() {
    let (tx, mut rx) = channel();
    tx.send(3).unwrap();
    rx.close();
    assert_eq!(rx.recv(), Ok(3));
    let (tx, mut rx) = channel();
    rx.close();
    assert_eq!(tx.send(3), Err(3));
    assert_eq!(rx.recv(), Err(RecvError::Closed));
}

#[test]
fn every_value_is_dropped_exactly_once() {
    let counted = Counted::new();
    let (tx, rx) = channel();
    tx.send(counted.token()).unwrap();
    drop(rx);
    assert_eq!(counted.alive(), 0);

    let (tx, rx) = channel();
    drop(rx);
    let back = tx.send(counted.token()).unwrap_err();
    assert_eq!(counted.alive(), 1);
    drop(back);

    let (tx, rx) = channel();
    tx.send(counted.token()).unwrap();
    let value = rx.recv().unwrap();
    assert_eq!(counted.alive(), 1);
    drop(value);
    assert_eq!(counted.alive(), 0);
}

#[test]
fn a_timeout_leaves_the_value_to_a_later_receive() {
    let (tx, mut rx) = channel();
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::TimedOut));
    assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::TimedOut));
    tx.send(9).unwrap();
    assert_eq!(rx.recv_deadline(Instant::now()), Ok(9));
    assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
}

#[test]
fn wakers_left_behind_are_dropped() {
    let wakes = Wakes::new();
    let (mut tx, mut rx) = channel::<()>();
    assert_eq!(wakes.poll(&mut rx), Poll::Pending);
    assert_eq!(wakes.poll(&mut pin!(tx.closed())), Poll::Pending);
    drop((tx, rx));
    assert_eq!(wakes.references(), 1);
}

#[test]
fn values_cross_threads_whatever_the_timing() {
    let counted = Counted::new();
    for round in 0..part_of(5_000) {
        let (tx, mut rx) = channel();
        let token = counted.token();
        let sender = thread::spawn(move || match round % 5 {
            0 => drop(tx),
            _ => drop(tx.send(token)),
        });
        match round % 3 {
            0 => drop(rx),
            1 => assert_eq!(rx.recv().is_ok(), round % 5 != 0),
            _ => {
                let received = match Wakes::new().poll(&mut rx) {
                    Poll::Ready(received) => received,
                    Poll::Pending => rx.recv(),
                };
                assert_eq!(received.is_ok(), round % 5 != 0);
            }
        }
        sender.join().unwrap();
    }
    assert_eq!(counted.alive(), 0);
}
