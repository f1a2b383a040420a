//! The wheel against a sorted map, under operations that proptest makes up and shrinks.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::wheel::{Key, Wheel};

/// The wheel's unit of time, in nanoseconds.
const TICK: u64 = 1 << 15;

#[derive(Clone, Debug)]
enum Step {
    /// Sets a timer so much later than now; or earlier.
    Set { later: i64 },
    /// Sets so many within so many ticks, which begin so much later than now.
    SetMany { count: u32, ticks: u64, later: u64 },
    /// Cancels one of those that are pending, counted around.
    Cancel(usize),
    /// Cancels all that are pending but each so many-th, the newest first or the oldest.
    CancelBut { keep: usize, newest_first: bool },
    /// Lets so much time pass.
    Advance(u64),
    /// Lets time pass until the wheel wants to be looked at.
    AdvanceToNext,
}

/// Spans of all magnitudes.
fn span() -> impl Strategy<Value = u64> {
    (0_u32..50, any::<u64>()).prop_map(|(bits, any)| any & ((1 << bits) - 1))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => span().prop_map(|later| Step::Set { later: later as i64 }),
        1 => span().prop_map(|earlier| Step::Set { later: -(earlier as i64) }),
        1 => (0_u32..100, 1_u64..200, span())
            .prop_map(|(count, ticks, later)| Step::SetMany { count, ticks, later }),
        3 => any::<usize>().prop_map(Step::Cancel),
        1 => (2_usize..20, any::<bool>()).prop_map(|(keep, newest_first)| Step::CancelBut { keep, newest_first }),
        2 => span().prop_map(Step::Advance),
        2 => Just(Step::AdvanceToNext),
    ]
}

/// A timer of the model: its tick and its number, which is the order of firing.
type Name = (u64, u32);

/// Fires what is due in both, and compares.
fn fire(
    wheel: &mut Wheel<u32>,
    model: &mut BTreeMap<Name, (Key, u64)>,
    now: u64,
) -> Result<(), TestCaseError> {
    while let Some(fired) = wheel.pop_expired(now) {
        let Some(((tick, number), (key, deadline))) = model.pop_first() else {
            return Err(TestCaseError::fail("it fired and nothing was pending"));
        };
        prop_assert_eq!(fired, number, "out of the order of ticks");
        prop_assert!(deadline <= now && tick <= now / TICK, "it fired early");
        prop_assert!(wheel.has_fired(&key));
        prop_assert_eq!(wheel.release(key), None);
    }
    let late = model.first_key_value().filter(|((tick, _), _)| *tick <= now / TICK);
    prop_assert!(late.is_none(), "{:?} is due and did not fire", late);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn it_fires_what_a_sorted_map_does_never_early_and_in_the_order_of_ticks(
        begin in span(),
        steps in vec(step(), 1..300),
    ) {
        let mut now = begin;
        let mut wheel = Wheel::new(now);
        let mut model = BTreeMap::new();
        let mut numbers = 0_u32..;
        let mut set = |wheel: &mut Wheel<u32>, model: &mut BTreeMap<_, _>, deadline: u64, now: u64| {
            let number = numbers.next().expect("there are enough");
            let tick = deadline.div_ceil(TICK).max(now / TICK);
            model.insert((tick, number), (wheel.insert(deadline, number), deadline));
        };
        for (count, step) in steps.into_iter().enumerate() {
            match step {
                Step::Set { later } => set(&mut wheel, &mut model, now.saturating_add_signed(later), now),
                Step::SetMany { count, ticks, later } => {
                    for each in 0..u64::from(count) {
                        // A large stride spreads them over the ticks, not in their order.
                        let deadline = now.saturating_add(later).saturating_add(each * 7919 % ticks * TICK);
                        set(&mut wheel, &mut model, deadline, now);
                    }
                }
                Step::CancelBut { keep, newest_first } => {
                    let mut names: Vec<Name> = model.keys().copied().collect();
                    names.sort_unstable_by_key(|(_, number)| *number);
                    if newest_first {
                        names.reverse();
                    }
                    for (_, name) in names.into_iter().enumerate().filter(|(place, _)| place % keep > 0) {
                        let (key, _) = model.remove(&name).expect("it was found above");
                        prop_assert_eq!(wheel.release(key), Some(name.1));
                    }
                }
                Step::Cancel(chosen) => {
                    let name = model.keys().nth(chosen % model.len().max(1)).copied();
                    if let Some(name) = name {
                        let (key, _) = model.remove(&name).expect("it was found above");
                        prop_assert_eq!(wheel.release(key), Some(name.1));
                    }
                }
                Step::Advance(by) => now += by,
                Step::AdvanceToNext => now = wheel.next_deadline().unwrap_or(now).max(now),
            }
            fire(&mut wheel, &mut model, now)?;
            if count % 16 == 0 {
                wheel.check(0); // looks at everything
            }
            prop_assert_eq!(wheel.len(), model.len());
            prop_assert_eq!(wheel.next_deadline().is_some(), !model.is_empty());
            if let Some(((tick, _), _)) = model.first_key_value() {
                prop_assert!(wheel.next_deadline() <= Some(tick * TICK), "it would be looked at too late");
            }
        }
        let mut left: Vec<_> = model.iter().map(|((tick, number), _)| (tick * TICK, *number)).collect();
        let mut pending: Vec<_> = wheel.into_pending().collect();
        left.sort_unstable();
        pending.sort_unstable();
        prop_assert_eq!(pending, left);
    }
}
