//! Messages that flow: fork-join, counting, big, bounded buffer, trapezoid.

use std::time::Duration;

use crate::measure::Stopwatch;

use super::super::super::World;
use super::Random;

program! {
    /// 60 actors take messages, in turn; `messages` in all.
    pub fn fork_join(messages: u64) -> Duration {
        const ACTORS: u64 = 60;
        let each = messages / ACTORS;
        let stopwatch = Stopwatch::start();
        let (mut actors, mut senders) = (Vec::new(), Vec::new());
        for _ in 0..ACTORS {
            let (sender, mut inbox) = W::channel::<u64>();
            senders.push(sender);
            actors.push(go!({
                let mut sum = 0;
                while let Some(message) = wait!(W::recv(&mut inbox)) {
                    sum += message;
                }
                sum
            }));
        }
        for message in 0..each {
            for sender in &senders {
                wait!(W::send(sender, message));
            }
        }
        drop(senders);
        let mut sum = 0;
        for actor in actors {
            sum += wait!(W::join(actor));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, ACTORS * (each * each.saturating_sub(1) / 2));
        elapsed
    }
}

/// To the actor that counts.
enum Count<A> {
    One,
    Tell(A),
}

program! {
    /// One says "one more" so often, then asks how many there were.
    pub fn counting(messages: u64) -> Duration {
        let stopwatch = Stopwatch::start();
        let (sender, mut inbox) = W::channel::<Count<W::Answerer<u64>>>();
        let counter = go!({
            let mut count = 0;
            while let Some(message) = wait!(W::recv(&mut inbox)) {
                match message {
                    Count::One => count += 1,
                    Count::Tell(answerer) => W::answer(answerer, count),
                }
            }
        });
        let producer = go!({
            for _ in 0..messages {
                wait!(W::send(&sender, Count::One));
            }
            let (answerer, answer) = W::oneshot();
            wait!(W::send(&sender, Count::Tell(answerer)));
            wait!(W::hear(answer))
        });
        let count = wait!(W::join(producer));
        wait!(W::join(counter));
        let elapsed = stopwatch.elapsed();
        assert_eq!(count, messages);
        elapsed
    }
}

#[derive(Clone, Copy)]
enum Big {
    Ping(usize),
    Pong,
    End,
}

program! {
    /// `count` actors: each pings a random other one, again as soon as it is answered, `pings` times.
    pub fn big(count: usize, pings: u64) -> Duration {
        let stopwatch = Stopwatch::start();
        let (mut senders, mut inboxes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (sender, inbox) = W::channel::<Big>();
            senders.push(sender);
            inboxes.push(inbox);
        }
        let (to_sink, mut sink) = W::channel::<u64>();
        let mut actors = Vec::new();
        for (own, mut inbox) in inboxes.into_iter().enumerate() {
            let (others, to_sink) = (senders.clone(), to_sink.clone());
            actors.push(go!({
                let mut random = Random::new(own as u64 + 1);
                let mut other = || random.below(others.len() as u64) as usize;
                let (mut left, mut pongs, mut answered) = (pings, 0, 0_u64);
                wait!(W::send(&others[other()], Big::Ping(own)));
                while let Some(message) = wait!(W::recv(&mut inbox)) {
                    match message {
                        Big::Ping(from) => {
                            answered += 1;
                            wait!(W::send(&others[from], Big::Pong));
                        }
                        Big::Pong => {
                            pongs += 1;
                            left -= 1;
                            if left == 0 {
                                wait!(W::send(&to_sink, pongs));
                            } else {
                                let other = other();
                                wait!(W::send(&others[other], Big::Ping(own)));
                            }
                        }
                        Big::End => break,
                    }
                }
                answered
            }));
        }
        let mut pongs = 0;
        for _ in 0..count {
            pongs += wait!(W::recv(&mut sink)).expect("all report");
        }
        for sender in &senders {
            wait!(W::send(sender, Big::End));
        }
        let mut answered = 0;
        for actor in actors {
            answered += wait!(W::join(actor));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!((pongs, answered), (count as u64 * pings, count as u64 * pings));
        elapsed
    }
}

/// To the manager of a bounded buffer.
enum Buffer<A, I> {
    /// With the way to say that there is room for the next one.
    Put(u64, A),
    Take(I),
}

program! {
    /// 40 producers and 40 consumers, and a manager with room for 50 items between them.
    pub fn bounded_buffer(items: u64) -> Duration {
        const ENDS: u64 = 40;
        const ROOM: usize = 50;
        let each = items / ENDS;
        let stopwatch = Stopwatch::start();
        let (to_manager, mut inbox) = W::channel::<Buffer<W::Answerer<()>, W::Answerer<u64>>>();
        let manager = go!({
            let mut items = std::collections::VecDeque::new();
            let mut blocked = std::collections::VecDeque::new();
            let mut hungry = std::collections::VecDeque::new();
            let mut most = 0;
            while let Some(message) = wait!(W::recv(&mut inbox)) {
                match message {
                    Buffer::Put(item, answerer) => match hungry.pop_front() {
                        Some(consumer) => {
                            W::answer(consumer, item);
                            W::answer(answerer, ());
                        }
                        None if items.len() < ROOM => {
                            items.push_back(item);
                            most = most.max(items.len());
                            W::answer(answerer, ());
                        }
                        None => blocked.push_back((item, answerer)),
                    },
                    Buffer::Take(consumer) => match items.pop_front() {
                        Some(item) => {
                            W::answer(consumer, item);
                            if let Some((item, answerer)) = blocked.pop_front() {
                                items.push_back(item);
                                W::answer(answerer, ());
                            }
                        }
                        None => hungry.push_back(consumer),
                    },
                }
            }
            most
        });
        let (mut producers, mut consumers) = (Vec::new(), Vec::new());
        for _ in 0..ENDS {
            let sender = to_manager.clone();
            producers.push(go!({
                for item in 0..each {
                    let (answerer, answer) = W::oneshot();
                    wait!(W::send(&sender, Buffer::Put(item, answerer)));
                    wait!(W::hear(answer));
                }
            }));
            let sender = to_manager.clone();
            consumers.push(go!({
                let mut sum = 0;
                for _ in 0..each {
                    let (answerer, answer) = W::oneshot();
                    wait!(W::send(&sender, Buffer::Take(answerer)));
                    sum += wait!(W::hear(answer));
                }
                sum
            }));
        }
        drop(to_manager);
        for producer in producers {
            wait!(W::join(producer));
        }
        let mut sum = 0;
        for consumer in consumers {
            sum += wait!(W::join(consumer));
        }
        let most = wait!(W::join(manager));
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, ENDS * (each * each.saturating_sub(1) / 2));
        assert!(most <= ROOM);
        elapsed
    }
}

program! {
    /// The integral of `1 / (x + 1)` from 1 to 5, by 100 workers, of which each takes its share of the pieces.
    pub fn trapezoid(pieces: u64) -> Duration {
        const WORKERS: u64 = 100;
        let (left, right) = (1.0_f64, 5.0_f64);
        let width = (right - left) / pieces as f64;
        let each = pieces / WORKERS;
        let stopwatch = Stopwatch::start();
        let (results, mut master) = W::channel::<f64>();
        for worker in 0..WORKERS {
            let results = results.clone();
            drop(go!({
                let area = |piece: u64| {
                    let at = left + piece as f64 * width;
                    0.5 * (1.0 / (at + 1.0) + 1.0 / (at + width + 1.0)) * width
                };
                let sum: f64 = (worker * each..(worker + 1) * each).map(area).sum();
                wait!(W::send(&results, sum));
            }));
        }
        drop(results);
        let mut integral = 0.0;
        while let Some(part) = wait!(W::recv(&mut master)) {
            integral += part;
        }
        let elapsed = stopwatch.elapsed();
        assert!((integral - 3_f64.ln()).abs() < 1e-3, "the integral is {integral}");
        elapsed
    }
}
