//! Messages to and fro, round and round, and from many to one.

use std::time::{Duration, Instant};

use crate::measure::Stopwatch;

use super::super::World;

/// The sum of the numbers below `count`.
pub fn below(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}

program! {
    /// A number to and fro; the other end runs on this worker, where the world has a say in it.
    pub fn ping_pong(rounds: u64, other: usize) -> Duration {
        let (to_echo, mut requests) = W::channel::<u64>();
        let (to_caller, mut answers) = W::channel();
        let echo = go!(other, {
            while let Some(number) = wait!(W::recv(&mut requests)) {
                if !wait!(W::send(&to_caller, number + 1)) {
                    break;
                }
            }
        });
        let caller = go!(0, {
            let stopwatch = Stopwatch::start();
            let mut number = 0;
            for _ in 0..rounds {
                assert!(wait!(W::send(&to_echo, number)), "the echo listens");
                number = wait!(W::recv(&mut answers)).expect("the echo answers");
            }
            let elapsed = stopwatch.elapsed();
            assert_eq!(number, rounds);
            elapsed
        });
        let elapsed = wait!(W::join(caller));
        wait!(W::join(echo));
        elapsed
    }
}

program! {
    /// A token goes round a ring of `members`, `hops` times in all, and counts down.
    pub fn ring(members: usize, hops: u64) -> Duration {
        let (first, mut receiver) = W::channel::<u64>();
        let (done, mut winner) = W::channel::<usize>();
        let mut actors = Vec::with_capacity(members);
        for member in 0..members {
            let (next, inbox) = if member + 1 == members { (first.clone(), None) } else {
                let (next, inbox) = W::channel();
                (next, Some(inbox))
            };
            let done = done.clone();
            actors.push(go!({
                while let Some(token) = wait!(W::recv(&mut receiver)) {
                    if token == 0 {
                        // Past this point the token only tells the others to end.
                        wait!(W::send(&done, member));
                        wait!(W::send(&next, u64::MAX));
                        break;
                    }
                    let last = token == u64::MAX;
                    let token = if last { token } else { token - 1 };
                    wait!(W::send(&next, token));
                    if last {
                        break;
                    }
                }
            }));
            match inbox {
                Some(inbox) => receiver = inbox,
                None => break,
            }
        }
        let stopwatch = Stopwatch::start();
        wait!(W::send(&first, hops));
        let last = wait!(W::recv(&mut winner));
        let elapsed = stopwatch.elapsed();
        assert_eq!(last, Some((hops % members as u64) as usize));
        for actor in actors {
            wait!(W::join(actor));
        }
        elapsed
    }
}

program! {
    /// One receives, on worker 0, what `producers` send, on the others: `messages` in all.
    pub fn many_to_one(producers: usize, messages: u64, workers: usize) -> Duration {
        let each = messages / producers as u64;
        let (sender, mut receiver) = W::channel::<u64>();
        let consumer = go!(0, {
            let (mut begin, mut count, mut sum) = (None, 0, 0);
            while let Some(message) = wait!(W::recv(&mut receiver)) {
                begin.get_or_insert_with(Instant::now);
                count += 1;
                sum += message;
            }
            (begin.map_or(Duration::ZERO, |begin| begin.elapsed()), count, sum)
        });
        for producer in 0..producers {
            let sender = sender.clone();
            let worker = if producers == 1 { workers - 1 } else { producer % workers };
            drop(go!(worker, {
                for message in 0..each {
                    assert!(wait!(W::send(&sender, message)), "the receiver is there");
                }
            }));
        }
        drop(sender);
        let (elapsed, count, sum) = wait!(W::join(consumer));
        assert_eq!(count, producers as u64 * each);
        assert_eq!(sum, producers as u64 * below(each));
        elapsed
    }
}

program! {
    /// As [`many_to_one`], with room for so many messages.
    pub fn many_to_one_bounded(producers: usize, messages: u64, workers: usize, room: usize) -> Duration {
        let each = messages / producers as u64;
        let (sender, mut receiver) = W::bounded::<u64>(room);
        let consumer = go!(0, {
            let (mut begin, mut count, mut sum) = (None, 0, 0);
            while let Some(message) = wait!(W::recv_bounded(&mut receiver)) {
                begin.get_or_insert_with(Instant::now);
                count += 1;
                sum += message;
            }
            (begin.map_or(Duration::ZERO, |begin| begin.elapsed()), count, sum)
        });
        for producer in 0..producers {
            let sender = sender.clone();
            let worker = if producers == 1 { workers - 1 } else { producer % workers };
            drop(go!(worker, {
                for message in 0..each {
                    assert!(wait!(W::send_bounded(&sender, message)), "the receiver is there");
                }
            }));
        }
        drop(sender);
        let (elapsed, count, sum) = wait!(W::join(consumer));
        assert_eq!(count, producers as u64 * each);
        assert_eq!(sum, producers as u64 * below(each));
        elapsed
    }
}
