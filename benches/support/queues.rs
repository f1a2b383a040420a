//! Many to many, broadcast and watch, beside their peers: actors beside OS threads or tokio's tasks.

use std::thread;
use std::time::{Duration, Instant};

use smarm::sync::{broadcast, mpmc, watch};
use tokio::runtime::Runtime as Tokio;

/// How a channel's clones send one message, and receive until the end.
pub trait Peer: Clone + Send + 'static {
    /// Sends.
    fn send(&self, message: u64);
    /// Receives, or `None` at the end.
    fn recv(receiver: &Self::Receiver) -> Option<u64>;
    /// The other half.
    type Receiver: Send + 'static;
    /// Another receiver, if there can be one.
    fn another(receiver: &Self::Receiver) -> Self::Receiver;
}

macro_rules! peer {
    ($sender:ty, $receiver:ty, $send:ident, $recv:ident) => {
        impl Peer for $sender {
            type Receiver = $receiver;
            fn send(&self, message: u64) {
                self.$send(message).expect("a receiver is there");
            }
            fn recv(receiver: &$receiver) -> Option<u64> {
                receiver.$recv().ok()
            }
            fn another(receiver: &$receiver) -> $receiver {
                receiver.clone()
            }
        }
    };
}

peer!(crossbeam_channel::Sender<u64>, crossbeam_channel::Receiver<u64>, send, recv);
peer!(flume::Sender<u64>, flume::Receiver<u64>, send, recv);
peer!(kanal::Sender<u64>, kanal::Receiver<u64>, send, recv);
peer!(async_channel::Sender<u64>, async_channel::Receiver<u64>, send_blocking, recv_blocking);

/// From the first message that one receives to the end, what it received.
type Received = (Option<Instant>, u64, u64);

fn receive(mut next: impl FnMut() -> Option<u64>) -> Received {
    let (mut begin, mut count, mut sum) = (None, 0, 0);
    while let Some(message) = next() {
        begin.get_or_insert_with(Instant::now);
        count += 1;
        sum += message;
    }
    (begin, count, sum)
}

/// The time from the first message to the end; checks that all were received.
fn check(received: &[Received], senders: u64, each: u64) -> Duration {
    assert_eq!(received.iter().map(|one| one.1).sum::<u64>(), senders * each);
    let sum = received.iter().map(|one| one.2).sum::<u64>();
    assert_eq!(sum, senders * (each * each.saturating_sub(1) / 2));
    received.iter().filter_map(|one| one.0).min().map_or(Duration::ZERO, |begin| begin.elapsed())
}

/// As many OS threads send as `senders` says, and as many receive as `receivers` says.
pub fn threads<S: Peer>((tx, rx): (S, S::Receiver), senders: u64, receivers: u64, messages: u64) -> Duration {
    let each = messages / senders;
    let receiving: Vec<_> = (0..receivers)
        .map(|_| {
            let rx = S::another(&rx);
            thread::spawn(move || receive(|| S::recv(&rx)))
        })
        .collect();
    drop(rx);
    for _ in 0..senders {
        let tx = tx.clone();
        thread::spawn(move || (0..each).for_each(|message| tx.send(message)));
    }
    drop(tx);
    let received: Vec<_> =
        receiving.into_iter().map(|thread| thread.join().expect("it does not panic")).collect();
    check(&received, senders, each)
}

/// As [`threads`], of actors on all workers in turn.
pub fn actors(runtime: &smarm::Runtime, capacity: Option<usize>, count: u64, messages: u64) -> Duration {
    let each = messages / count;
    runtime.run(|| {
        let workers = smarm::Handle::current().workers() as u64;
        let on = |n: u64| smarm::Builder::new().worker((n % workers) as usize);
        let (tx, rx) = capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
        let receiving: Vec<_> = (0..count)
            .map(|n| {
                let rx = rx.clone();
                on(n).spawn(move || receive(|| rx.recv().ok())).expect("there is a stack")
            })
            .collect();
        drop(rx);
        for n in 0..count {
            let tx = tx.clone();
            let sender = on(n)
                .spawn(move || (0..each).for_each(|message| tx.send(message).expect("a receiver is there")));
            drop(sender.expect("there is a stack"));
        }
        drop(tx);
        let received: Vec<_> =
            receiving.into_iter().map(|actor| actor.join().expect("it does not panic")).collect();
        check(&received, count, each)
    })
}

/// As [`actors`], of tokio's tasks on async-channel.
pub fn tasks(runtime: &Tokio, capacity: Option<usize>, count: u64, messages: u64) -> Duration {
    let each = messages / count;
    runtime.block_on(async {
        let (tx, rx) = capacity.map_or_else(async_channel::unbounded, async_channel::bounded);
        let receiving: Vec<_> = (0..count)
            .map(|_| {
                let rx = rx.clone();
                tokio::spawn(async move {
                    let mut received: Received = (None, 0, 0);
                    while let Ok(message) = rx.recv().await {
                        received.0.get_or_insert_with(Instant::now);
                        received.1 += 1;
                        received.2 += message;
                    }
                    received
                })
            })
            .collect();
        drop(rx);
        for _ in 0..count {
            let tx = tx.clone();
            tokio::spawn(async move {
                for message in 0..each {
                    tx.send(message).await.expect("a receiver is there");
                }
            });
        }
        drop(tx);
        let mut received = Vec::new();
        for task in receiving {
            received.push(task.await.expect("it does not panic"));
        }
        check(&received, count, each)
    })
}

/// One actor sends to `receivers` others, each of which answers when it has received a message.
pub fn actors_broadcast(runtime: &smarm::Runtime, receivers: u64, rounds: u64) -> Duration {
    runtime.run(|| {
        let (tx, rx) = broadcast::channel(16);
        let (answer, answers) = smarm::channel();
        for _ in 0..receivers {
            let (mut rx, answer) = (rx.resubscribe(), answer.clone());
            drop(smarm::spawn(move || {
                while let Ok(message) = rx.recv() {
                    answer.send(message).expect("the sender listens");
                }
            }));
        }
        drop(rx);
        let start = Instant::now();
        for round in 0..rounds {
            assert_eq!(tx.send(round).expect("there are receivers"), receivers as usize);
            for _ in 0..receivers {
                assert_eq!(answers.recv(), Ok(round));
            }
        }
        start.elapsed()
    })
}

/// As [`actors_broadcast`], of tasks.
pub fn tasks_broadcast(runtime: &Tokio, receivers: u64, rounds: u64) -> Duration {
    let work = async move {
        let (tx, rx) = tokio::sync::broadcast::channel(16);
        let (answer, mut answers) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..receivers {
            let (mut rx, answer) = (rx.resubscribe(), answer.clone());
            tokio::spawn(async move {
                while let Ok(message) = rx.recv().await {
                    answer.send(message).expect("the sender listens");
                }
            });
        }
        drop(rx);
        let start = Instant::now();
        for round in 0..rounds {
            assert_eq!(tx.send(round).expect("there are receivers"), receivers as usize);
            for _ in 0..receivers {
                assert_eq!(answers.recv().await, Some(round));
            }
        }
        start.elapsed()
    };
    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
}

/// One actor sends a value, another waits for it and answers through a value of its own.
pub fn actors_watch(runtime: &smarm::Runtime, rounds: u64) -> Duration {
    runtime.run(|| {
        let (tx, mut rx) = watch::channel(0);
        let (answer, mut answered) = watch::channel(0);
        let echo = smarm::spawn(move || {
            while rx.changed().is_ok() {
                let value = *rx.borrow();
                answer.send(value).expect("the sender listens");
            }
        });
        let start = Instant::now();
        for round in 1..=rounds {
            tx.send(round).expect("the echo listens");
            answered.changed().expect("the echo answers");
            assert_eq!(*answered.borrow(), round);
        }
        let elapsed = start.elapsed();
        drop(tx);
        echo.join().expect("it does not panic");
        elapsed
    })
}

/// As [`actors_watch`], of tasks.
pub fn tasks_watch(runtime: &Tokio, rounds: u64) -> Duration {
    let work = async move {
        let (tx, mut rx) = tokio::sync::watch::channel(0);
        let (answer, mut answered) = tokio::sync::watch::channel(0);
        let echo = tokio::spawn(async move {
            while rx.changed().await.is_ok() {
                let value = *rx.borrow();
                answer.send(value).expect("the sender listens");
            }
        });
        let start = Instant::now();
        for round in 1..=rounds {
            tx.send(round).expect("the echo listens");
            answered.changed().await.expect("the echo answers");
            assert_eq!(*answered.borrow(), round);
        }
        let elapsed = start.elapsed();
        drop(tx);
        echo.await.expect("it does not panic");
        elapsed
    };
    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
}
