//! Timers, parked memory, and a ticker beside one that computes.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::measure::{Figures, Stopwatch, cpu_time};
use crate::memory;

use super::super::World;
use super::messages::below;

/// Longer than any run.
const LONG: Duration = Duration::from_secs(600);

program! {
    /// So many wait at once for an answer with a time limit, and all get one: each sets a timer and cancels it.
    pub fn set_and_cancel(count: u64) -> Duration {
        let (mut actors, mut answerers) = (Vec::with_capacity(count as usize), Vec::with_capacity(count as usize));
        let waiting = Arc::new(AtomicU64::new(0));
        let stopwatch = Stopwatch::start();
        for number in 0..count {
            let (answerer, answer) = W::oneshot::<u64>();
            answerers.push(answerer);
            let waiting = waiting.clone();
            actors.push(go!({
                waiting.fetch_add(1, Relaxed);
                number - wait!(W::hear_within(answer, LONG)).expect("the answer is in time")
            }));
        }
        while waiting.load(Relaxed) < count {
            wait!(W::yield_now());
        }
        for (number, answerer) in answerers.into_iter().enumerate() {
            W::answer(answerer, number as u64);
        }
        let mut sum = 0;
        for actor in actors {
            sum += wait!(W::join(actor));
        }
        let elapsed = stopwatch.elapsed();
        assert_eq!(sum, 0);
        elapsed
    }
}

program! {
    /// So many sleepers, due within a second, all set before the first is due. As many have slept before, so that
    /// memory which is used for the first time is not counted.
    pub fn lateness(count: u64, set_within: Duration, due_within: Duration) -> Figures {
        let mut sleepers = Vec::with_capacity(count as usize);
        let due = Instant::now() + set_within;
        for _ in 0..count {
            sleepers.push(go!({
                wait!(W::sleep_until(due));
                Instant::now().checked_duration_since(due)
            }));
        }
        for sleeper in sleepers.drain(..) {
            wait!(W::join(sleeper)).expect("no timer is early");
        }
        let before = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID);
        let begin = Instant::now() + set_within;
        for number in 0..count {
            // In an order that is neither that of the deadlines nor its reverse.
            let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let deadline = begin + due_within.mul_f64(place as f64 / f64::from(u32::MAX));
            sleepers.push(go!({
                wait!(W::sleep_until(deadline));
                Instant::now().checked_duration_since(deadline)
            }));
        }
        let late_start = Instant::now() > begin;
        let mut lateness = Vec::with_capacity(count as usize);
        for sleeper in sleepers {
            lateness.push(wait!(W::join(sleeper)).expect("no timer is early"));
        }
        let spent = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID) - before;
        Figures::cost(spent.as_secs_f64() * 1e9 / count as f64)
            .with("late_start", f64::from(u8::from(late_start)))
            .with_latencies(&mut lateness)
    }
}

program! {
    /// So many wait for one message each: what that takes of memory, and what is left of it afterwards.
    /// It is looked for until a twentieth is left, or until `patience` is at an end.
    pub fn parked(count: u64, patience: Duration) -> Figures {
        // The vectors are as large for all, and resident before the first look.
        let mut actors = memory::resident(count as usize);
        let mut answerers = memory::resident(count as usize);
        // What the runtime itself takes at the first use is not a parked actor's.
        for _ in 0..10 {
            wait!(W::join(go!({})));
        }
        let before = memory::resident_and_page_tables();
        let waiting = Arc::new(AtomicU64::new(0));
        let stopwatch = Instant::now();
        for number in 0..count {
            let (answerer, answer) = W::oneshot::<u64>();
            answerers.push(answerer);
            let waiting = waiting.clone();
            actors.push(go!({
                waiting.fetch_add(1, Relaxed);
                number + wait!(W::hear(answer))
            }));
        }
        while waiting.load(Relaxed) < count {
            wait!(W::yield_now());
        }
        let elapsed = stopwatch.elapsed();
        let during = memory::resident_and_page_tables();
        for answerer in answerers {
            W::answer(answerer, 1);
        }
        let mut sum = 0;
        for actor in actors {
            sum += wait!(W::join(actor));
        }
        assert_eq!(sum, below(count) + count);
        // What is given back is given back in some seconds, or never.
        let ended = Instant::now();
        let taken = during.saturating_sub(before);
        let (mut after, mut least_at) = (memory::resident_and_page_tables(), Duration::ZERO);
        while after.saturating_sub(before) > taken / 20 && ended.elapsed() < patience {
            wait!(W::sleep_until(Instant::now() + Duration::from_millis(50)));
            let now = memory::resident_and_page_tables();
            if now < after - after / 100 {
                (after, least_at) = (now, ended.elapsed());
            }
        }
        Figures::cost(elapsed.as_secs_f64() * 1e9 / count as f64)
            .with("bytes", taken as f64 / count as f64)
            .with("left", after.saturating_sub(before) as f64 / taken.max(1) as f64)
            .with("seconds", least_at.as_secs_f64())
            .with("before", before as f64)
            .with("during", during as f64)
            .with("after", after as f64)
    }
}

program! {
    /// A ticker of one millisecond, `ticks` times. After the first one it starts another that computes all the
    /// time and says `check!()`, where there is such a thing.
    pub fn neighbour(ticks: u64, compute: Duration) -> Figures {
        let ticker = go!({
            let mut lateness = Vec::with_capacity(ticks as usize);
            let mut computing = None;
            for _ in 0..ticks {
                let due = Instant::now() + Duration::from_millis(1);
                wait!(W::sleep_until(due));
                lateness.push(due.elapsed());
                computing.get_or_insert_with(|| {
                    go!({
                        let (begin, mut number) = (Instant::now(), 1_u64);
                        while begin.elapsed() < compute {
                            for _ in 0..1_000 {
                                number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                            }
                            W::check();
                        }
                        number
                    })
                });
            }
            assert_ne!(wait!(W::join(computing.expect("there was a tick"))), 1);
            lateness
        });
        let mut lateness = wait!(W::join(ticker));
        let mean = lateness.iter().sum::<Duration>().as_secs_f64() * 1e9 / ticks as f64;
        Figures::cost(mean).with_latencies(&mut lateness)
    }
}
