//! The async faces of smarm's primitives, and what becomes of each that is dropped half-way.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{SinkExt, StreamExt, future, stream};
use smarm::channel::{RecvError, SendError, TryRecvError, TrySendError, bounded, channel, oneshot};
use smarm::compat::await_future;
use smarm::{JoinError, Mutex, yield_now};
use smarm_workspace::{Drops, PATIENCE, Signal, block_on, until, within, workers};
use tokio::select;

use crate::{Wakes, poll_once};

/// Gives the future a poll, in which it must be pending, and drops it.
#[track_caller]
fn drop_half_way(future: impl Future) {
    assert!(poll_once(pin!(future)).is_pending());
}

#[test]
fn a_receiver_is_a_stream_of_all_messages() {
    within(PATIENCE, || {
        for capacity in [None, Some(3), Some(0)] {
            workers(2).run(move || {
                let (tx, rx) = capacity.map_or_else(channel, bounded);
                let sender = smarm::spawn(move || (0..100).for_each(|n| tx.send(n).unwrap()));
                let sum = await_future(rx.map(|n| n * 2).fold(0, |sum, n| future::ready(sum + n)));
                assert_eq!(sum, 99 * 100);
                sender.join().unwrap();
            });
        }
    });
}

#[test]
fn a_receive_that_is_dropped_half_way_loses_no_message() {
    for capacity in [None, Some(1), Some(0)] {
        let (tx, mut rx) = capacity.map_or_else(channel, bounded);
        drop_half_way(rx.recv_async());
        drop_half_way(rx.next());
        if capacity == Some(0) {
            // The stream's wait has left its offer to a sender, who need not wait.
            assert_eq!(tx.try_send(1), Ok(()));
            assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
        } else {
            tx.send(1).unwrap();
        }
        let woken = Wakes::default();
        assert_eq!(woken.poll(pin!(rx.recv_async())), Poll::Ready(Ok(1)));
        drop(tx);
        assert_eq!(block_on(rx.next()), None);
        assert_eq!(woken.count(), 0);
    }
}

#[test]
fn a_waker_that_a_dropped_receive_left_is_not_woken() {
    let (tx, mut rx) = channel();
    let wakes = Wakes::default();
    assert!(wakes.poll(pin!(rx.recv_async())).is_pending());
    tx.send(1).unwrap();
    assert_eq!(wakes.count(), 0);
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(Arc::strong_count(&wakes.0), 1);
}

#[test]
fn a_sink_sends_all_of_a_stream() {
    within(PATIENCE, || {
        for capacity in [None, Some(2), Some(0)] {
            workers(2).run(move || {
                let (tx, rx) = capacity.map_or_else(channel, bounded);
                let source = smarm::spawn(move || {
                    await_future(stream::iter(0..100).map(Ok).forward(tx)).unwrap();
                });
                assert_eq!(rx.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
                source.join().unwrap();
            });
        }
    });
}

#[test]
fn what_a_sink_has_accepted_is_on_its_way_without_further_polls() {
    let (mut tx, rx) = bounded(1);
    let direct = tx.clone();
    tx.send(0).unwrap();
    drop_half_way(SinkExt::send(&mut tx, 1)); // accepted, and waits for room
    assert!(poll_once(pin!(SinkExt::flush(&mut tx))).is_pending());
    assert_eq!(direct.try_send(9), Err(TrySendError::Full(9)), "nobody overtakes it");
    // A send whose message the sink does not accept takes that along.
    drop_half_way(SinkExt::send(&mut tx, 2));
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(rx.recv(), Ok(1));
    block_on(SinkExt::flush(&mut tx)).unwrap();
    block_on(SinkExt::feed(&mut tx, 3)).unwrap();
    drop((tx, direct));
    assert_eq!(rx.recv(), Ok(3));
    assert_eq!(rx.recv(), Err(RecvError::Closed));
}

#[test]
fn a_sink_that_waits_is_woken_when_its_message_is_taken() {
    let (mut tx, rx) = bounded(1);
    let wakes = Wakes::default();
    tx.send(0).unwrap();
    {
        let mut sending = pin!(SinkExt::send(&mut tx, 1));
        assert!(wakes.poll(sending.as_mut()).is_pending());
        assert_eq!((rx.recv(), wakes.count()), (Ok(0), 1));
        assert_eq!(wakes.poll(sending), Poll::Ready(Ok(())));
    }
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn a_sink_gives_back_what_it_cannot_send() {
    let (mut tx, rx) = bounded(1);
    tx.send(0).unwrap();
    drop_half_way(SinkExt::send(&mut tx, 1));
    drop(rx);
    let SendError(waited) = block_on(SinkExt::flush(&mut tx)).unwrap_err();
    let SendError(refused) = block_on(SinkExt::send(&mut tx, 2)).unwrap_err();
    assert_eq!((waited, refused), (1, 2));
    block_on(SinkExt::close(&mut tx)).unwrap();
}

#[test]
fn dropping_a_sender_drops_what_its_sink_still_holds_and_lets_the_next_send() {
    let drops = Drops::new();
    let (mut tx, rx) = bounded(1);
    let other = tx.clone();
    tx.send(None).unwrap();
    drop_half_way(SinkExt::send(&mut tx, Some(drops.counted())));
    let mut waiting = pin!(other.send_async(None));
    assert!(poll_once(waiting.as_mut()).is_pending());
    drop(tx);
    assert_eq!(drops.count(), 1);
    assert!(rx.recv().is_ok());
    assert!(poll_once(waiting).is_ready());
    assert!(rx.recv().unwrap().is_none());
}

#[test]
fn a_send_that_is_dropped_half_way_leaves_the_queue_to_those_behind_it() {
    let drops = Drops::new();
    let (tx, rx) = bounded(1);
    tx.send(None).unwrap();
    let wakes = Wakes::default();
    let mut first = Box::pin(tx.send_async(Some(drops.counted())));
    let mut second = Box::pin(tx.send_async(Some(drops.counted())));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(wakes.poll(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(drops.count(), 1);
    assert!(rx.recv().unwrap().is_none());
    assert_eq!(wakes.count(), 1);
    drop(second); // admitted already: the channel has it
    assert_eq!(drops.count(), 1);
    assert!(rx.recv().unwrap().is_some());
    assert_eq!(rx.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn a_lock_that_is_dropped_half_way_is_handed_on() {
    let mutex = Mutex::new(0);
    let guard = mutex.try_lock().unwrap();
    let wakes = Wakes::default();
    let mut first = Box::pin(mutex.lock_async());
    let mut second = Box::pin(mutex.lock_async());
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(wakes.poll(second.as_mut()).is_pending());
    drop(guard); // handed to the first, which never looks
    assert_eq!(wakes.count(), 0);
    drop(first);
    assert_eq!(wakes.count(), 1);
    assert!(wakes.poll(second.as_mut()).is_ready());
    drop(second);
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn a_join_that_is_dropped_half_way_loses_nothing_by_reference_and_detaches_by_value() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let go = Signal::new();
            let (theirs, ended) = (go.clone(), Signal::new());
            let mut handle = smarm::spawn(move || {
                theirs.wait(1);
                7
            });
            drop_half_way(&mut handle);
            let (theirs, end) = (go.clone(), ended.clone());
            let detached = smarm::spawn(move || {
                theirs.wait(1);
                end.raise();
            });
            drop_half_way(detached);
            go.raise();
            assert_eq!(await_future(&mut handle).unwrap(), 7);
            ended.wait(1);
        });
    });
}

#[test]
fn a_oneshot_that_is_dropped_half_way_loses_nothing_by_reference_and_gives_back_by_value() {
    let (tx, mut rx) = oneshot::channel();
    drop_half_way(&mut rx);
    tx.send(1).unwrap();
    assert_eq!(block_on(rx), Ok(1));

    let (mut tx, rx) = oneshot::channel();
    drop_half_way(tx.closed());
    drop_half_way(rx);
    assert_eq!(tx.send(2), Err(2));
}

#[test]
fn a_wait_for_a_descriptor_that_is_dropped_half_way_loses_no_readiness() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (near, mut far) = UnixStream::pair().unwrap();
            smarm::io::set_nonblocking(&near, true).unwrap();
            let poll_here = |waiting: &mut Pin<Box<dyn Future<Output = _>>>| {
                await_future(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))))
            };
            let mut waiting: Pin<Box<dyn Future<Output = _>>> =
                Box::pin(smarm::io::wait_readable_async(near.try_clone().unwrap()));
            assert!(poll_here(&mut waiting).is_pending());
            far.write_all(b"x").unwrap();
            await_future(smarm::io::wait_readable_async(&near)).unwrap();
            drop(waiting);
            assert_eq!(smarm::io::read(&near, &mut [0; 2]).unwrap(), 1);
        });
    });
}

#[test]
fn a_blocking_call_that_is_dropped_before_its_start_does_not_run() {
    let drops = Drops::new();
    let counted = drops.counted();
    let never = smarm::io::block_on_io_async(move || {
        drop(counted);
        unreachable!("it was never polled")
    });
    drop::<Pin<Box<dyn Future<Output = ()>>>>(Box::pin(never));
    assert_eq!(drops.count(), 1);
}

/// What the losers of `select!` did must show nowhere: every message arrives once, in order.
#[test]
fn select_loses_no_message_and_no_wake() {
    const MESSAGES: usize = 300;
    within(PATIENCE, || {
        for (capacity, threads) in [(None, 1), (Some(1), 2), (Some(0), 2)] {
            let runtime = workers(threads);
            let (tx, mut rx) = capacity.map_or_else(channel, bounded);
            let (to_actors, replies) = channel();
            let actors = runtime.spawn(move || {
                for n in 0..MESSAGES {
                    tx.send(n).unwrap();
                    if n % 3 == 0 {
                        yield_now();
                    }
                    to_actors.send(()).unwrap();
                }
            });
            let seen = block_on(async move {
                let (mut seen, mut ticks, mut replies) = (Vec::new(), 0, Some(replies));
                loop {
                    select! {
                        message = rx.recv_async() => match message {
                            Ok(message) => seen.push(message),
                            Err(_) => return (seen, ticks),
                        },
                        Some(_) = async { replies.as_mut()?.next().await }, if replies.is_some() => {
                            ticks += 1;
                            if ticks == MESSAGES {
                                replies = None;
                            }
                        }
                    }
                }
            });
            assert_eq!(seen.0, (0..MESSAGES).collect::<Vec<_>>());
            assert!(seen.1 <= MESSAGES);
            actors.unwrap().join().unwrap();
        }
    });
}

/// Each round drops a send and a lock half-way, at a point that the scheduler chooses.
#[test]
fn racing_drops_of_sends_and_locks_pass_on_what_they_were_given() {
    const ROUNDS: usize = 200;
    within(PATIENCE, || {
        let runtime = workers(2);
        let (tx, rx) = bounded(1);
        let mutex = Arc::new(Mutex::new(0));
        let received = runtime.spawn(move || rx.iter().count()).unwrap();
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (tx, mutex) = (tx.clone(), mutex.clone());
                let send = move || {
                    let mut sent = 0;
                    for round in 0..ROUNDS {
                        let mut sending = Box::pin(tx.send_async(()));
                        let polls = round % 4;
                        let done = (0..polls).any(|_| {
                            yield_now();
                            poll_once(sending.as_mut()).is_ready()
                        });
                        let mut locking = Box::pin(mutex.lock_async());
                        let locked = poll_once(locking.as_mut());
                        yield_now();
                        if let Poll::Ready(guard) = locked {
                            *guard.unwrap() += 1;
                        }
                        drop(locking);
                        drop(sending);
                        sent += usize::from(done);
                        tx.send(()).unwrap();
                        *mutex.lock(Duration::from_secs(50)).unwrap() += 1;
                        sent += 1;
                    }
                    sent
                };
                runtime.spawn(send).unwrap()
            })
            .collect();
        drop(tx);
        let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        let received = received.join().unwrap();
        // A send that was dropped may have been admitted just before.
        assert!((sent..=4 * ROUNDS).contains(&received), "{sent} were sent and {received} received");
        assert!(*mutex.try_lock().unwrap() >= 2 * ROUNDS);
    });
}

#[test]
fn killing_an_actor_that_holds_a_sink_gives_its_place_to_the_next() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (mut tx, rx) = bounded(1);
            let other = tx.clone();
            tx.send(0).unwrap();
            let stuck = smarm::spawn(move || await_future(SinkExt::send(&mut tx, 1)));
            until(|| other.len() == 1 && other.try_send(9).is_err());
            yield_now();
            stuck.kill();
            assert!(matches!(stuck.join(), Err(JoinError::Killed)));
            let sent = smarm::spawn(move || other.send(2));
            assert_eq!(rx.recv(), Ok(0));
            assert_eq!(rx.recv(), Ok(2));
            sent.join().unwrap().unwrap();
        });
    });
}
