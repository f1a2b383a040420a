use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream};
use smarm::sim::{self, Reason};
use smarm_compat::await_future;
use smarm_compat::io::AsyncIo;
use smarm_workspace::{PATIENCE, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

fn simulated<T: Send>(seed: u64, f: impl FnOnce() -> T + Send) -> sim::Outcome<T> {
    within(PATIENCE, || smarm_compat::sim::run(seed, f))
}

/// Actors and tasks that wake each other and sleep.
fn program() -> Vec<u32> {
    let (sender, receiver) = smarm::channel();
    for number in 0..5 {
        let (to_task, mut from_actor) = tokio::sync::mpsc::channel(1);
        let reply = sender.clone();
        let task = tokio::spawn(async move {
            while let Some(number) = from_actor.recv().await {
                tokio::time::sleep(Duration::from_millis(3)).await;
                sim::note(format_args!("a task has {number}"));
                reply.send_async(number).await.unwrap();
            }
        });
        drop(smarm::spawn(move || {
            for round in 0..4 {
                smarm::sleep(Duration::from_millis(sim::random() % 7));
                await_future(to_task.send(number * 10 + round)).unwrap();
            }
            drop(to_task);
            await_future(task).unwrap();
        }));
    }
    drop(sender);
    receiver.iter().collect()
}

#[test]
fn the_same_seed_gives_the_same_trace_with_tasks_in_it() {
    for seed in 0..20 {
        let (first, second) = (simulated(seed, program), simulated(seed, program));
        assert_eq!(first.trace().as_str(), second.trace().as_str());
        assert!(first.trace().lines().any(|line| line.contains("note 0 a task has")));
        assert_eq!(first.unwrap(), second.unwrap());
    }
    assert_ne!(simulated(1, program).trace(), simulated(2, program).trace());
}

#[test]
fn both_worlds_wake_in_the_order_of_their_timers_and_hours_pass_at_once() {
    let outcome = simulated(1, || {
        let (sender, receiver) = smarm::channel();
        for hour in 1..=6_u64 {
            let (sender, span) = (sender.clone(), Duration::from_secs(3600 * hour));
            if hour % 2 == 0 {
                drop(smarm::spawn(move || {
                    smarm::sleep(span);
                    sender.send(hour).unwrap();
                }));
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(span).await;
                    sender.send(hour).unwrap();
                });
            }
        }
        drop(sender);
        receiver.iter().collect::<Vec<_>>()
    });
    assert!(outcome.elapsed() >= SECOND * 3600 * 6);
    assert_eq!(outcome.unwrap(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn one_clock_serves_both_worlds() {
    simulated(1, || {
        let begin = smarm::time::now();
        await_future(tokio::time::sleep_until((begin + SECOND * 50).into()));
        assert!(smarm::time::now() - begin >= SECOND * 50);
        smarm::sleep_until(tokio::time::Instant::now().into_std() + SECOND);
        assert!(smarm::time::now() - begin >= SECOND * 51);
        let limited = smarm_compat::await_timeout(SECOND, std::future::pending::<()>());
        assert!(limited.is_err());
    })
    .unwrap();
}

#[test]
fn tasks_use_the_simulated_network_through_async_io() {
    for seed in 0..20 {
        simulated(seed, || {
            let listener = TcpListener::bind("0.0.0.0:80").unwrap();
            let client = sim::host("client", || {
                let stream = TcpStream::connect("main:80").unwrap();
                await_future(tokio::spawn(async move {
                    let mut stream = AsyncIo::new(stream);
                    stream.write_all(b"from a task").await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut text = String::new();
                    stream.read_to_string(&mut text).await.unwrap();
                    text
                }))
                .unwrap()
            });
            let (stream, _) = listener.accept().unwrap();
            let server = tokio::spawn(async move {
                let mut stream = AsyncIo::new(stream);
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                stream.write_all(text.to_uppercase().as_bytes()).await.unwrap();
            });
            assert_eq!(client.join().unwrap(), "FROM A TASK");
            await_future(server).unwrap();
        })
        .unwrap();
    }
}

#[test]
fn a_deadlock_of_both_worlds_is_found() {
    let outcome = simulated(1, || {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
        let waiting = tokio::spawn(async move { receiver.recv().await });
        drop(await_future(waiting));
        drop(sender);
    });
    let Some(Reason::Stuck { waiting }) = outcome.failure().map(|failure| failure.reason()) else {
        panic!("{outcome:?}")
    };
    assert_eq!(waiting, &["1 \"main\" on main"]);
}

#[test]
fn a_race_between_a_task_and_an_actor_is_found_and_replayed() {
    let racy = || {
        let count = Arc::new(AtomicU64::new(0));
        let actor = {
            let count = count.clone();
            smarm::spawn(move || {
                let seen = count.load(SeqCst);
                smarm::yield_now();
                count.store(seen + 1, SeqCst);
            })
        };
        let task = {
            let count = count.clone();
            tokio::spawn(async move { count.fetch_add(1, SeqCst) })
        };
        actor.join().unwrap();
        await_future(task).unwrap();
        assert_eq!(count.load(SeqCst), 2);
    };
    let found = within(PATIENCE, || smarm_compat::sim::explore(0..1000, racy)).expect("some seed shows it");
    let again = simulated(found.seed(), racy);
    assert_eq!(found.trace().as_str(), again.trace().as_str());
    assert_eq!(found.failure(), again.failure());
}

#[test]
fn tasks_that_still_run_at_the_end_are_dropped_in_tokio_s_context() {
    struct InContext(Arc<AtomicU64>);
    impl Drop for InContext {
        fn drop(&mut self) {
            self.0.fetch_add(u64::from(tokio::runtime::Handle::try_current().is_ok()), SeqCst);
        }
    }
    let dropped = Arc::new(AtomicU64::new(0));
    let guard = InContext(dropped.clone());
    simulated(1, move || {
        tokio::spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await
        });
    })
    .unwrap();
    assert_eq!(dropped.load(SeqCst), 1);
}
