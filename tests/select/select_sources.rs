//! What `select!` waits for: one test per kind of source.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use smarm::channel::{bounded, channel, oneshot};
use smarm::runtime::init;
use smarm::select::{Selectable, Shallow};
use smarm::{CancelToken, Config, Group, Mutex, select, spawn};
use smarm_workspace::{Drops, PATIENCE, Signal, block_on, calm, panic_message, until, within, workers};

fn everywhere(f: impl Fn() + Send + Sync) {
    within(PATIENCE, || {
        workers(2).run(&f);
        f();
    });
}

#[test]
fn a_oneshot_is_received() {
    everywhere(|| {
        let (tx, mut rx) = oneshot::channel();
        select! {
            _ = recv(&mut rx) => unreachable!(),
            () = after(Duration::from_millis(1)) => {}
        }
        std::thread::spawn(move || tx.send(1).unwrap());
        let got = select! {
            got = recv(&mut rx) => got,
            () = after(PATIENCE) => unreachable!(),
        };
        assert_eq!(got, Ok(1));
    });
}

#[test]
fn an_actor_that_ends_is_joined_and_one_that_loses_can_be_joined_later() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (go, wait) = channel::<()>();
            let mut slow = spawn(move || wait.recv().is_err());
            let mut quick = spawn(|| 2);
            let got = select! {
                _ = join(&mut slow) => unreachable!(),
                got = join(&mut quick) => got.unwrap(),
            };
            assert_eq!(got, 2);
            drop(go);
            assert!(slow.join().unwrap());
            let mut bad = spawn(|| -> u8 { std::panic::resume_unwind(Box::new("bad")) });
            select! { ended = join(&mut bad) => assert!(ended.unwrap_err().is_panic()) }
        });
    });
}

#[test]
fn a_mutex_is_held_by_the_handler_only() {
    everywhere(|| {
        let mutex = Mutex::new(1);
        select! {
            guard = lock(&mutex) => *guard.unwrap() += 1,
            () = after(PATIENCE) => unreachable!(),
        }
        let guard = mutex.lock(PATIENCE).unwrap();
        select! {
            _ = lock(&mutex) => unreachable!(),
            () = after(Duration::from_millis(1)) => {}
        }
        assert_eq!(*guard, 2);
        drop(guard);
        assert_eq!(*mutex.try_lock().unwrap(), 2);
    });
}

#[test]
fn a_mutex_that_was_handed_to_a_loser_goes_to_the_next() {
    within(PATIENCE, || {
        init(calm(Config::exact(1))).run(|| {
            let mutex = Mutex::new(());
            let (tx, rx) = channel();
            let guard = mutex.lock(PATIENCE).unwrap();
            smarm::scope(|s| {
                let theirs = &mutex;
                let chooser = s.spawn(move || {
                    select! {
                        biased;
                        n = recv(&rx) => n.unwrap(),
                        _ = lock(theirs) => 0,
                    }
                });
                (0..10).for_each(|_| smarm::yield_now());
                let next = s.spawn(|| mutex.lock(PATIENCE).is_ok());
                (0..10).for_each(|_| smarm::yield_now());
                // Both become ready, in one turn.
                drop(guard);
                tx.send(1).unwrap();
                assert_eq!(chooser.join().unwrap(), 1);
                assert!(next.join().unwrap());
            });
        });
    });
}

#[test]
fn a_permit_that_was_granted_to_a_loser_goes_to_the_next() {
    within(PATIENCE, || {
        init(calm(Config::exact(1))).run(|| {
            let (tx, rx) = bounded(1);
            let (other, stop) = channel();
            tx.send(0).unwrap();
            smarm::scope(|s| {
                let mut message = Some(1);
                let (chooser_tx, next_tx) = (tx.clone(), tx.clone());
                let chooser = s.spawn(move || {
                    select! {
                        biased;
                        n = recv(&stop) => n.unwrap(),
                        _ = send(&chooser_tx, &mut message) => 0,
                    };
                    message
                });
                (0..10).for_each(|_| smarm::yield_now());
                let next = s.spawn(move || next_tx.send(2).is_ok());
                (0..10).for_each(|_| smarm::yield_now());
                other.send(9).unwrap();
                assert_eq!(rx.try_recv(), Ok(0));
                assert_eq!(chooser.join().unwrap(), Some(1), "it has lost, and so keeps its message");
                assert_eq!(rx.recv(), Ok(2));
                assert!(next.join().unwrap());
                assert!(rx.try_recv().is_err());
            });
        });
    });
}

#[test]
fn descriptors_are_waited_for() {
    everywhere(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        select! {
            ready = readable(&far) => unreachable!("{ready:?}"),
            () = after(Duration::from_millis(1)) => {}
        }
        select! {
            biased;
            ready = readable(&far) => unreachable!("{ready:?}"),
            ready = writable(&far) => ready.unwrap(),
        }
        let writer = std::thread::spawn(move || near.write_all(b"x").map(|()| near).unwrap());
        select! {
            ready = readable(&far) => ready.unwrap(),
            () = after(PATIENCE) => unreachable!(),
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_descriptor_and_a_message_on_a_plain_thread() {
    within(PATIENCE, || {
        let (_near, far) = UnixStream::pair().unwrap();
        for _ in 0..50 {
            let (tx, rx) = channel();
            let sender = std::thread::spawn(move || tx.send(1).unwrap());
            select! {
                ready = readable(&far) => unreachable!("{ready:?}"),
                n = recv(&rx) => assert_eq!(n, Ok(1)),
            }
            sender.join().unwrap();
        }
        let over = smarm::with_timeout(Duration::from_millis(1), || {
            select! { ready = readable(&far) => ready.is_ok() }
        });
        assert!(over.is_err());
    });
}

#[test]
fn a_future_of_others_is_polled_on_the_workers_stack_and_dropped_there() {
    within(PATIENCE, || {
        workers(1).run(|| {
            /// Where a local of the caller lies.
            fn here() -> usize {
                let local = 0_u8;
                std::ptr::from_ref(std::hint::black_box(&local)).addr()
            }
            struct Noted<'a>(&'a std::cell::Cell<usize>);
            impl Drop for Noted<'_> {
                fn drop(&mut self) {
                    self.0.set(here());
                }
            }
            let (polled, dropped) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
            let noted = Noted(&dropped);
            let mine = here();
            select! {
                () = future(async {
                    let _noted = noted;
                    polled.set(here());
                    std::future::pending().await
                }) => unreachable!(),
                () = after(Duration::from_millis(1)) => {}
            }
            // The stacks of actors and of threads lie far apart.
            let far = |address: usize| address.abs_diff(mine) > 64 << 20;
            assert!(far(polled.get()) && far(dropped.get()), "{mine:x} {polled:x?} {dropped:x?}");
            // smarm's own stays here.
            struct Own<'a>(&'a std::cell::Cell<usize>);
            impl Future for Own<'_> {
                type Output = ();
                fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
                    self.0.set(here());
                    Poll::Ready(())
                }
            }
            impl Shallow for Own<'_> {}
            select! { () = future(Own(&polled)) => {} }
            assert!(!far(polled.get()));
        });
    });
}

#[test]
fn a_future_is_woken_from_elsewhere_and_a_wake_for_nothing_does_no_harm() {
    everywhere(|| {
        let signal = Signal::new();
        let theirs = signal.clone();
        let raiser = std::thread::spawn(move || {
            until(|| theirs.waiting() > 0);
            theirs.rouse();
            until(|| theirs.waiting() > 0);
            theirs.raise();
        });
        select! {
            () = future(signal.reached(1)) => {}
            () = after(PATIENCE) => unreachable!(),
        }
        raiser.join().unwrap();
    });
}

#[test]
fn a_panic_in_a_future_continues_in_the_caller_and_the_others_are_dropped() {
    everywhere(|| {
        let drops = Drops::new();
        let counted = drops.counted();
        let text = panic_message(|| {
            select! {
                biased;
                () = future(async { let _counted = counted; std::future::pending().await }) => {}
                () = future(async { std::panic::panic_any("in the future") }) => {}
            }
        });
        assert_eq!((text.as_str(), drops.count()), ("in the future", 1));
    });
}

#[test]
fn a_future_by_reference_goes_on_in_the_next_select() {
    everywhere(|| {
        let mut polls = 0;
        let mut counting = pin!(poll_fn(|_| {
            polls += 1;
            if polls > 3 { Poll::Ready(polls) } else { Poll::Pending }
        }));
        let polls = loop {
            select! {
                polls = future(&mut counting) => break polls,
                () = after(Duration::ZERO) => {}
            }
        };
        assert_eq!(polls, 4);
    });
}

#[test]
fn the_async_faces_are_sources() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (tx, mut rx) = channel();
            let mutex = Mutex::new(());
            let token = CancelToken::new();
            let mut group = Group::new();
            tx.send(1).unwrap();
            select! { n = future(rx.recv_async()) => assert_eq!(n, Ok(1)) }
            select! { guard = future(mutex.lock_async()) => drop(guard.unwrap()) }
            group.spawn(|| 3);
            select! {
                n = group.join_next_async() => assert_eq!(n.unwrap().unwrap(), 3),
                () = token.cancelled() => unreachable!(),
            }
            token.cancel();
            select! { biased; n = rx.recv_async() => unreachable!("{n:?}"), () = token.cancelled() => {} }
        });
    });
}

#[test]
fn a_type_of_ones_own_is_a_source() {
    struct Countdown(u32);
    struct Ticks(u32);
    impl Selectable for Countdown {
        type Output = &'static str;
        type Wait = Ticks;
        fn into_wait(self) -> Ticks {
            Ticks(self.0)
        }
    }
    impl Future for Ticks {
        type Output = &'static str;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
            if self.0 == 0 {
                return Poll::Ready("lift-off");
            }
            self.0 -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    everywhere(|| {
        let said = select! {
            said = Countdown(5) => said,
            () = after(PATIENCE) => unreachable!(),
        };
        assert_eq!(said, "lift-off");
    });
}

#[test]
fn a_send_without_a_message_says_what_to_write() {
    let (tx, _rx) = bounded::<u8>(1);
    let mut none = None;
    let text = panic_message(|| select! { _ = send(&tx, &mut none) => {} });
    assert!(text.contains("if message.is_some()"), "{text}");
}

#[test]
fn tokio_select_loses_nothing_of_smarm() {
    within(PATIENCE, || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let smarm = workers(1);
        runtime.block_on(async {
            let (tx, mut rx) = bounded(2);
            let mut actor = smarm
                .spawn(move || {
                    for n in 0..500 {
                        tx.send(n).unwrap();
                        smarm::yield_now();
                    }
                })
                .unwrap();
            let mutex = Mutex::new(0);
            let (mut next, mut ended) = (0, false);
            loop {
                tokio::select! {
                    received = rx.recv_async() => match received {
                        Ok(n) => { assert_eq!(n, next); next += 1; }
                        Err(_) => break,
                    },
                    result = &mut actor, if !ended => { result.unwrap(); ended = true; }
                    guard = mutex.lock_async() => { *guard.unwrap() += 1; tokio::task::yield_now().await; }
                }
            }
            assert_eq!(next, 500);
        });
    });
}

#[test]
fn the_select_of_futures_loses_nothing_of_smarm() {
    use futures::{FutureExt, select_biased};
    within(PATIENCE, || {
        let (tx, mut rx) = channel();
        let (tx2, mut rx2) = channel();
        (0..100).for_each(|n| tx.send(n).unwrap());
        (0..100).for_each(|n| tx2.send(n).unwrap());
        let mut sums = [0; 2];
        block_on(async {
            for _ in 0..200 {
                select_biased! {
                    n = rx.recv_async().map(Result::ok).fuse() => match n {
                        Some(n) => sums[0] += n,
                        None => sums[1] += rx2.recv_async().await.unwrap(),
                    },
                    n = rx2.recv_async().fuse() => sums[1] += n.unwrap(),
                }
                if sums[0] == 4950 && !tx.is_closed() {
                    rx.close();
                }
            }
        });
        assert_eq!(sums, [4950, 4950]);
    });
}

/// They are marked as polled on the actor's own stack, at no extra cost.
#[test]
fn the_futures_of_sync_are_sources() {
    fn shallow<F: smarm::select::Shallow>(future: F) -> F {
        future
    }
    everywhere(|| {
        let (tx, rx) = smarm::sync::mpmc::unbounded();
        let (news, mut seen) = smarm::sync::watch::channel(0);
        let (casts, cast) = smarm::sync::broadcast::channel::<u32>(1);
        let notify = smarm::sync::Notify::new();
        let mut left = [true; 5];
        tx.send(1).unwrap();
        news.send(2).unwrap();
        notify.notify_one();
        drop(cast);
        while left != [false; 5] {
            select! {
                n = future(shallow(rx.recv_async())), if left[0] => { left[0] = false; assert_eq!(n, Ok(1)); }
                changed = future(shallow(seen.changed_async())), if left[1] => {
                    left[1] = false;
                    changed.unwrap();
                }
                () = future(shallow(casts.closed_async())), if left[2] => left[2] = false,
                () = future(shallow(notify.notified())), if left[3] => left[3] = false,
                n = recv(&rx), if left[4] && !left[0] => { left[4] = false; assert_eq!(n, Ok(3)); }
                default => tx.send(3).unwrap(),
            }
        }
        drop(seen);
        select! {
            () = future(shallow(news.closed_async())) => {}
            () = after(PATIENCE) => unreachable!("the receiver is gone"),
        }
    });
}
