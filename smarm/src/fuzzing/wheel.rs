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
    while let Some(step) = plan.next() {
        match step % 8 {
            0..=2 => set(&mut wheel, &mut model, now, now.saturating_add(plan.span(50)), &mut number),
            3 => set(&mut wheel, &mut model, now, now.saturating_sub(plan.span(50)), &mut number),
            4 | 5 => {
                let chosen = plan.below(model.len().max(1));
                let name = model.keys().nth(chosen).copied();
                if let Some((name, (key, _))) = name.and_then(|name| model.remove_entry(&name)) {
                    assert_eq!(wheel.release(key), Some(name.1), "a pending timer is cancelled");
                }
            }
            6 => now = now.saturating_add(plan.span(50)).min(LAST),
            _ => now = wheel.next_deadline().unwrap_or(now).max(now),
        }
        fire(&mut wheel, &mut model, now);
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
