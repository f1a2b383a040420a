//! The timer wheel against a sorted map: it fires the same, never early, in the order of ticks.

use std::collections::BTreeMap;

use super::plan::Plan;
use crate::timer::wheel::{Key, Wheel};

/// The wheel's unit of time, in nanoseconds.
const TICK: u64 = 1 << 15;
/// Beyond this not everything could still fire.
const LAST: u64 = 1 << 62;

/// A timer of the model: its tick and its number, which is the order of firing.
type Name = (u64, u32);

/// Drives a timer wheel.
///
/// # Panics
/// If it does not do as a sorted map does.
pub fn wheel(bytes: &[u8]) {
    let mut plan = Plan::new(bytes);
    let mut now = plan.span(50);
    let mut wheel = Wheel::new(now);
    let mut model = BTreeMap::new();
    let mut number = 0;
    let mut steps = 0;
    while let Some(step) = plan.next() {
        match step % 10 {
            0..=2 => set(&mut wheel, &mut model, now, now.saturating_add(plan.span(50)), &mut number),
            3 => set(&mut wheel, &mut model, now, now.saturating_sub(plan.span(50)), &mut number),
            4 | 5 => {
                let chosen = plan.below(model.len().max(1));
                let name = model.keys().nth(chosen).copied();
                if let Some((name, (key, _))) = name.and_then(|name| model.remove_entry(&name)) {
                    assert_eq!(wheel.release(key), Some(name.1), "a pending timer is cancelled");
                }
            }
            6 => set_many(&mut wheel, &mut model, now, &mut plan, &mut number),
            7 => cancel_many(&mut wheel, &mut model, &mut plan),
            8 => now = now.saturating_add(plan.span(50)).min(LAST),
            _ => now = wheel.next_deadline().unwrap_or(now).max(now),
        }
        fire(&mut wheel, &mut model, now);
        if steps % 16 == 0 {
            wheel.check(0); // looks at everything
        }
        steps += 1;
        assert_eq!(wheel.is_empty(), model.is_empty());
        assert_eq!(wheel.next_deadline().is_some(), !model.is_empty());
        assert!(wheel.next_deadline().is_none_or(|next| next > now), "it would be looked at for nothing");
        if let Some(((tick, _), _)) = model.first_key_value() {
            assert!(wheel.next_deadline() <= Some(tick * TICK), "it would be looked at too late");
        }
    }
    let mut left: Vec<_> = model.iter().map(|((tick, number), _)| (tick * TICK, *number)).collect();
    let mut pending: Vec<_> = wheel.into_pending().collect();
    left.sort_unstable();
    pending.sort_unstable();
    assert_eq!(pending, left);
}

fn set(
    wheel: &mut Wheel<u32>,
    model: &mut BTreeMap<Name, (Key, u64)>,
    now: u64,
    deadline: u64,
    number: &mut u32,
) {
    let tick = deadline.div_ceil(TICK).max(now / TICK);
    model.insert((tick, *number), (wheel.insert(deadline, *number), deadline));
    *number += 1;
}

/// Some within some ticks, spread over these and not in their order.
fn set_many(
    wheel: &mut Wheel<u32>,
    model: &mut BTreeMap<Name, (Key, u64)>,
    now: u64,
    plan: &mut Plan<'_>,
    number: &mut u32,
) {
    let (count, ticks, later) = (plan.below(100) as u64, 1 + plan.below(200) as u64, plan.span(50));
    for each in 0..count {
        let deadline = now.saturating_add(later).saturating_add(each * 7919 % ticks * TICK);
        set(wheel, model, now, deadline, number);
    }
}

/// All but each so many-th, the newest first or the oldest.
fn cancel_many(wheel: &mut Wheel<u32>, model: &mut BTreeMap<Name, (Key, u64)>, plan: &mut Plan<'_>) {
    let mut names: Vec<Name> = model.keys().copied().collect();
    names.sort_unstable_by_key(|(_, number)| *number);
    let (keep, newest_first) = (2 + plan.below(18), plan.below(2) == 0);
    if newest_first {
        names.reverse();
    }
    for (_, name) in names.into_iter().enumerate().filter(|(place, _)| place % keep > 0) {
        let (key, _) = model.remove(&name).expect("it is one of its keys");
        assert_eq!(wheel.release(key), Some(name.1), "a pending timer is cancelled");
    }
}

/// Fires what is due in both, and compares.
fn fire(wheel: &mut Wheel<u32>, model: &mut BTreeMap<Name, (Key, u64)>, now: u64) {
    while let Some(fired) = wheel.pop_expired(now) {
        let Some(((tick, number), (key, deadline))) = model.pop_first() else {
            panic!("it fired and nothing was pending")
        };
        assert_eq!(fired, number, "out of the order of ticks");
        assert!(deadline <= now && tick <= now / TICK, "it fired early");
        assert!(wheel.has_fired(&key));
        assert_eq!(wheel.release(key), None);
    }
    let late = model.first_key_value().filter(|((tick, _), _)| *tick <= now / TICK);
    assert!(late.is_none(), "{late:?} is due and did not fire");
}
