//! What the wheel promises, one by one; `timer::model` has the rest.

use super::*;
use std::collections::{BTreeMap, HashMap};

const TICK: u64 = 1 << TICK_BITS;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Numbers of all magnitudes below 2^`bits`.
    fn scaled(&mut self, bits: u64) -> u64 {
        let magnitude = self.below(bits);
        self.below(1 << magnitude)
    }
}

fn drain<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
    std::iter::from_fn(|| wheel.pop_expired(now)).collect()
}

#[test]
fn an_entry_fires_at_its_deadline_rounded_up_to_a_tick_and_never_before() {
    for deadline in [1, TICK - 1, TICK, TICK + 1, 65 * TICK, 4097 * TICK + 5, 1 << 40, (1 << 62) + 1] {
        let mut wheel = Wheel::new(0);
        let key = wheel.insert(deadline, ());
        let due = deadline.div_ceil(TICK) * TICK;
        assert_eq!(wheel.pop_expired(due - 1), None);
        assert!(!wheel.has_fired(&key));
        assert_eq!(wheel.pop_expired(due), Some(()));
        assert!(wheel.has_fired(&key));
        assert_eq!(wheel.release(key), None);
    }
}

#[test]
fn a_deadline_in_the_past_fires_at_the_next_pop() {
    let now = 1000 * TICK + 7;
    let mut wheel = Wheel::new(now);
    let keys = [wheel.insert(0, "zero"), wheel.insert(1000 * TICK, "this tick")];
    assert_eq!(drain(&mut wheel, now), ["zero", "this tick"]);
    assert!(keys.into_iter().all(|key| wheel.release(key).is_none()));
}

#[test]
fn a_released_entry_gives_its_payload_back_and_does_not_fire() {
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..5).map(|n| wheel.insert(100 * TICK, n)).collect();
    for (n, key) in keys.into_iter().enumerate() {
        assert_eq!(wheel.release(key), Some(n));
    }
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_deadline(), None);
    assert_eq!(wheel.pop_expired(u64::MAX), None);
}

#[test]
fn entries_cascade_through_all_levels_in_order() {
    let mut wheel = Wheel::new(0);
    let mut deadlines = vec![];
    for level in 0..8 {
        for digit in [1, 2, 62, 63] {
            deadlines.push((digit << (level * DIGIT_BITS)) * TICK);
            deadlines.push(((digit << (level * DIGIT_BITS)) | 1) * TICK);
        }
    }
    deadlines.push((1 << 48) * TICK);
    for &deadline in deadlines.iter().rev() {
        let _ = wheel.insert(deadline, deadline);
    }
    deadlines.sort_unstable();
    assert_eq!(drain(&mut wheel, u64::MAX), deadlines);
}

#[test]
fn never_is_never() {
    let mut wheel = Wheel::new(0);
    let key = wheel.insert(u64::MAX, ());
    assert_eq!(wheel.next_deadline(), Some(u64::MAX));
    assert_eq!(wheel.pop_expired(u64::MAX), None);
    assert_eq!(wheel.release(key), Some(()));
}

#[test]
fn entries_of_one_tick_fire_in_the_order_of_insertion() {
    let mut wheel = Wheel::new(0);
    let due = 70_000 * TICK;
    let _ = (wheel.insert(due, 0), wheel.insert(due, 1));
    assert_eq!(drain(&mut wheel, due - 3000 * TICK), []);
    let _ = wheel.insert(due, 2);
    assert_eq!(drain(&mut wheel, due - 3 * TICK), []);
    let _ = wheel.insert(due - TICK + 1, 3);
    assert_eq!(drain(&mut wheel, due), [0, 1, 2, 3]);
}

#[test]
fn a_lone_far_entry_needs_one_wake_up() {
    let mut wheel = Wheel::new(12_345);
    let due = 1_234_567 * TICK;
    let _ = wheel.insert(due, ());
    assert_eq!(wheel.next_deadline(), Some(due));
    assert_eq!(wheel.pop_expired(due), Some(()));
}

#[test]
fn released_places_are_used_again() {
    let mut wheel = Wheel::new(0);
    for round in 0..1000 {
        let (pending, fired) = (wheel.insert((round + 9) * TICK, ()), wheel.insert(0, ()));
        assert_eq!(wheel.pop_expired(round * TICK), Some(()));
        assert_eq!((wheel.release(fired), wheel.release(pending)), (None, Some(())));
    }
    assert_eq!(wheel.places.len(), 2);
}

#[test]
fn it_agrees_with_a_sorted_map_whatever_is_done_to_it() {
    for seed in 1..=40 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
        let mut now = random.scaled(60);
        let mut wheel = Wheel::new(now);
        // (tick, number) to nothing is the order of firing; number to key is who is pending.
        let mut order = BTreeMap::new();
        let mut keys = HashMap::new();
        for number in 0..3000_u64 {
            if now >> 62 > 0 {
                break; // Beyond the times at which everything can still fire.
            }
            match random.below(8) {
                0..=3 => {
                    let deadline = match random.below(10) {
                        0 => now.saturating_sub(random.below(1 << 30)),
                        _ => now.saturating_add(random.scaled(63)),
                    };
                    let tick = deadline.div_ceil(TICK).max(now / TICK);
                    order.insert((tick, number), ());
                    keys.insert(number, (wheel.insert(deadline, number), tick));
                }
                4..=5 => {
                    let victim = keys.keys().min_by_key(|&&key| key ^ random.0 & 0xFFF).copied();
                    if let Some(victim) = victim {
                        let (key, tick) = keys.remove(&victim).unwrap();
                        assert_eq!(wheel.release(key), Some(victim));
                        order.remove(&(tick, victim));
                    }
                }
                6 => now = now.saturating_add(random.scaled(50)),
                _ => now = wheel.next_deadline().unwrap_or(now).max(now),
            }
            while let Some(fired) = wheel.pop_expired(now) {
                let ((tick, expected), ()) = order.pop_first().unwrap();
                assert_eq!(fired, expected);
                assert!(tick * TICK <= now);
                let (key, _) = keys.remove(&fired).unwrap();
                assert!(wheel.has_fired(&key));
                assert_eq!(wheel.release(key), None);
            }
            let earliest = order.keys().next().map(|&(tick, _)| tick.saturating_mul(TICK));
            assert!(earliest.is_none_or(|earliest| earliest > now));
            assert_eq!(wheel.len(), order.len());
            assert_eq!(wheel.is_empty(), order.is_empty());
            assert_eq!(wheel.next_deadline().is_some(), earliest.is_some());
            assert!(wheel.next_deadline() <= earliest);
            assert!(wheel.next_deadline().is_none_or(|next| next > now));
        }
    }
}

#[test]
fn waking_at_the_next_deadline_fires_everything_in_few_steps() {
    let mut random = Random(77);
    let mut wheel = Wheel::new(0);
    for n in 0..1000 {
        let _ = wheel.insert(random.below(1 << 50), n);
    }
    let (mut wakes, mut fired) = (0, 0);
    while let Some(now) = wheel.next_deadline() {
        wakes += 1;
        fired += drain(&mut wheel, now).len();
    }
    assert_eq!(fired, 1000);
    assert!(wakes <= 1000 * LEVELS);
}

#[test]
fn a_timer_that_is_cancelled_at_once_leaves_nothing_behind() {
    let mut wheel = Wheel::new(0);
    let others: Vec<_> = (0..20).map(|n| wheel.insert(100 * TICK, n)).collect();
    let used = wheel.chunks.len();
    for round in 0..1000 {
        let key = wheel.insert(100 * TICK, round);
        assert_eq!(wheel.release(key), Some(round));
        assert_eq!(wheel.places.count_used(), others.len());
        wheel.check(0);
    }
    assert_eq!(wheel.chunks.len(), used);
}

#[test]
fn equal_time_limits_that_end_in_turn_leave_nothing_behind() {
    let mut wheel = Wheel::new(0);
    let mut pending: std::collections::VecDeque<_> = (0..20).map(|n| wheel.insert(100 * TICK, n)).collect();
    let used = wheel.chunks.len();
    for round in 20..1000 {
        let oldest = pending.pop_front().unwrap();
        match round % 2 {
            0 => assert_eq!(wheel.release(oldest), Some(round - 20)),
            _ => wheel.forget(oldest),
        }
        pending.push_back(wheel.insert(100 * TICK, round));
        assert_eq!(wheel.places.count_used(), pending.len());
        wheel.check(0);
    }
    assert!(wheel.chunks.len() <= used + 1);
    assert!(drain(&mut wheel, 100 * TICK).into_iter().eq(980..1000));
    pending.into_iter().for_each(|key| wheel.forget(key));
    wheel.check(0);
    assert_eq!(wheel.places.count_used(), 0);
}

#[test]
fn those_that_are_cancelled_out_of_order_are_swept_out() {
    let mut wheel = Wheel::new(0);
    let lasting = wheel.insert(1 << 30, 0);
    let mut pending = std::collections::VecDeque::new();
    for n in 0..10_000 {
        pending.push_back(wheel.insert(1 << 30, n));
        if pending.len() > 8 {
            let oldest = pending.pop_front().unwrap();
            assert!(wheel.release(oldest).is_some());
        }
    }
    wheel.check(0);
    assert!(wheel.places.len() < 64, "{} places for 10 timers", wheel.places.len());
    pending.push_back(lasting);
    assert!(pending.into_iter().all(|key| wheel.release(key).is_some()));
    wheel.check(0);
}

#[test]
fn a_burst_gives_its_memory_back_once_little_is_used() {
    for (cancel, newest_first) in [(false, false), (true, false), (true, true)] {
        let mut wheel = Wheel::new(0);
        let mut keys: Vec<_> = (0..100_000).map(|n| wheel.insert((n * 7919 % 30_000) * TICK, n)).collect();
        assert!(wheel.places.len() >= 100_000);
        if !cancel {
            assert_eq!(drain(&mut wheel, 1 << 40).len(), keys.len());
            wheel.check(keys.len());
        }
        if newest_first {
            keys.reverse();
        }
        for key in keys {
            assert_eq!(wheel.release(key).is_some(), cancel);
        }
        wheel.check(0);
        let next = wheel.insert(0, 0);
        assert_eq!(wheel.release(next), Some(0));
        wheel.check(0);
        assert_eq!((wheel.places.len(), wheel.chunks.len()), (0, 0));
    }
}

#[test]
fn a_cascade_leaves_cancelled_entries_behind() {
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..30).map(|n| wheel.insert((4096 + n) * TICK, n)).collect();
    for (n, key) in keys.into_iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        assert_eq!(wheel.release(key), Some(n as u64));
    }
    assert_eq!(wheel.pop_expired(4096 * TICK), None);
    wheel.check(0);
    assert_eq!(wheel.places.count_used(), 20);
    assert!(drain(&mut wheel, 5000 * TICK).into_iter().eq((0..30).filter(|n| n % 3 != 0)));
    wheel.check(20);
}
