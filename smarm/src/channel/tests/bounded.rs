//! What a bound promises.

use super::*;
use crate::channel::sending::Sending;

fn poll<T>(wakes: &Wakes, sending: &mut Pin<Box<Sending<'_, T>>>) -> Poll<Result<(), SendError<T>>> {
    wakes.poll(sending)
}

#[test]
fn a_full_channel_takes_no_more_until_one_is_received() {
    let (tx, rx) = bounded(2);
    assert_eq!(tx.capacity(), Some(2));
    tx.try_send(1).unwrap();
    tx.try_send(2).unwrap();
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(rx.recv(), Ok(1));
    tx.try_send(3).unwrap();
    assert_eq!(tx.try_send(4), Err(TrySendError::Full(4)));
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn senders_that_wait_are_served_in_the_order_of_their_coming() {
    for capacity in [0, 1, 3] {
        let (tx, rx) = bounded(capacity);
        for n in 0..capacity {
            tx.try_send(n).unwrap();
        }
        let wakes: Vec<_> = (0..5).map(|_| Wakes::new()).collect();
        let mut waiting: Vec<_> = (0..5).map(|n| Box::pin(tx.send_async(capacity + n))).collect();
        for (wakes, sending) in wakes.iter().zip(&mut waiting) {
            assert_eq!(poll(wakes, sending), Poll::Pending);
        }
        for n in 0..5 {
            assert_eq!(rx.try_recv(), Ok(n));
            let woken: Vec<_> = wakes.iter().map(Wakes::count).collect();
            assert_eq!(woken, (0..5).map(|sender| usize::from(sender <= n)).collect::<Vec<_>>());
            assert_eq!(poll(&wakes[n], &mut waiting[n]), Poll::Ready(Ok(())));
        }
        assert_eq!(rx.try_iter().count(), capacity);
    }
}

#[test]
fn nobody_overtakes_a_sender_that_waits() {
    let (tx, rx) = bounded(1);
    tx.try_send(1).unwrap();
    let wakes = Wakes::new();
    let mut waiting = Box::pin(tx.send_async(2));
    assert_eq!(poll(&wakes, &mut waiting), Poll::Pending);
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(poll(&wakes, &mut waiting), Poll::Ready(Ok(())));
    assert_eq!(rx.try_recv(), Ok(2));
    tx.try_send(3).unwrap();
}

#[test]
fn a_sender_that_gives_up_makes_place_for_the_next() {
    let counted = Counted::new();
    let (tx, rx) = bounded(1);
    tx.try_send(counted.token()).unwrap();
    let wakes = Wakes::new();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(tx.send_async(counted.token()))).collect();
    for sending in &mut waiting {
        assert!(poll(&wakes, sending).is_pending());
    }
    drop(waiting.remove(1));
    assert_eq!(counted.alive(), 3);
    drop(waiting.remove(0));
    assert_eq!((counted.alive(), wakes.count()), (2, 0));
    drop(rx.try_recv());
    assert_eq!(wakes.count(), 1);
    assert!(poll(&wakes, &mut waiting[0]).is_ready());
    drop(rx.try_recv());
    assert_eq!(counted.alive(), 0);
    assert!(tx.try_send(counted.token()).is_ok());
}

#[test]
fn a_message_that_the_channel_took_is_received_though_its_sender_never_learns() {
    for capacity in [1, 2] {
        let (tx, rx) = bounded(capacity);
        for n in 0..capacity {
            tx.try_send(n).unwrap();
        }
        let mut waiting = Box::pin(tx.send_async(capacity));
        assert!(poll(&Wakes::new(), &mut waiting).is_pending());
        assert_eq!(rx.try_recv(), Ok(0));
        drop(waiting);
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), (1..=capacity).collect::<Vec<_>>());
        for n in 0..capacity {
            tx.try_send(n).unwrap();
        }
        assert!(tx.try_send(0).is_err());
    }
}

#[test]
fn a_timeout_gives_the_message_back() {
    for capacity in [0, 1] {
        let (tx, rx) = bounded(capacity);
        for n in 0..capacity {
            tx.try_send(n).unwrap();
        }
        assert_eq!(tx.send_timeout(7, Duration::from_millis(1)), Err(SendTimeoutError::TimedOut(7)));
        assert_eq!(tx.send_deadline(8, Instant::now()), Err(SendTimeoutError::TimedOut(8)));
        assert_eq!(rx.try_iter().count(), capacity);
    }
}

#[test]
fn closing_gives_their_messages_back_to_those_who_wait() {
    for capacity in [0, 1] {
        for drop_it in [false, true] {
            let (tx, rx) = bounded(capacity);
            for n in 0..capacity {
                tx.try_send(n).unwrap();
            }
            let wakes = Wakes::new();
            let mut waiting: Vec<_> = (10..13).map(|n| Box::pin(tx.send_async(n))).collect();
            for sending in &mut waiting {
                assert_eq!(poll(&wakes, sending), Poll::Pending);
            }
            let rx = if drop_it {
                drop(rx);
                None
            } else {
                rx.close();
                Some(rx)
            };
            assert_eq!(wakes.count(), 3);
            for (n, sending) in (10..13).zip(&mut waiting) {
                assert_eq!(poll(&wakes, sending), Poll::Ready(Err(SendError(n))));
            }
            if let Some(rx) = rx {
                assert_eq!(rx.iter().count(), capacity);
            }
        }
    }
}

#[test]
fn a_sender_is_woken_by_its_last_waker() {
    let (tx, rx) = bounded(1);
    tx.try_send(1).unwrap();
    let (first, last) = (Wakes::new(), Wakes::new());
    let mut waiting = Box::pin(tx.send_async(2));
    assert_eq!(poll(&first, &mut waiting), Poll::Pending);
    assert_eq!(poll(&last, &mut waiting), Poll::Pending);
    assert_eq!(poll(&last, &mut waiting), Poll::Pending);
    assert_eq!((first.references(), last.references()), (1, 2));
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!((first.count(), last.count()), (0, 1));
    assert_eq!(last.references(), 1);
}

#[test]
fn a_rendezvous_takes_a_message_only_while_the_receiver_waits() {
    let (tx, mut rx) = bounded(0);
    assert_eq!(tx.capacity(), Some(0));
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    let wakes = Wakes::new();
    {
        let mut recv = pin!(rx.recv_async());
        assert_eq!(wakes.poll(&mut recv), Poll::Pending);
    }
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    {
        let mut recv = pin!(rx.recv_async());
        assert_eq!(wakes.poll(&mut recv), Poll::Pending);
        tx.try_send(3).unwrap();
        assert_eq!(tx.try_send(4), Err(TrySendError::Full(4)));
        assert_eq!(wakes.count(), 1);
        assert_eq!(wakes.poll(&mut recv), Poll::Ready(Ok(3)));
    }
    assert_eq!(tx.try_send(5), Err(TrySendError::Full(5)));
}

#[test]
fn a_rendezvous_keeps_what_was_sent_to_a_receive_that_was_dropped() {
    let (tx, mut rx) = bounded(0);
    let wakes = Wakes::new();
    {
        let mut recv = pin!(rx.recv_async());
        assert_eq!(wakes.poll(&mut recv), Poll::Pending);
        tx.try_send(1).unwrap();
    }
    let mut waiting = Box::pin(tx.send_async(2));
    assert_eq!(poll(&wakes, &mut waiting), Poll::Pending);
    assert_eq!(wakes.poll(&mut rx.recv_async()), Poll::Ready(Ok(1)));
    assert_eq!(wakes.poll(&mut rx.recv_async()), Poll::Ready(Ok(2)));
    assert_eq!(poll(&wakes, &mut waiting), Poll::Ready(Ok(())));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

#[test]
#[should_panic(expected = "too large")]
fn a_capacity_beyond_reason_is_refused() {
    bounded::<()>(usize::MAX);
}
