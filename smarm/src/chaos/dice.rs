//! One worker's source of chance.
//!
//! The generator is SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014. Its state is a counter, so seeds that differ by one give streams without relation, and its
//! mixing function alone tells what depends on a tick.

use std::array;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

use super::Kind;
use super::settings::{Chaos, Choice};
use crate::pid::Pid;
use crate::sim;

/// The distance between two states: 2^64 divided by the golden ratio.
pub(crate) const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// So many actors at once are to be woken for nothing.
const VICTIMS: usize = 16;
/// An actor is woken for nothing after less than so many switches.
const LATEST: usize = 32;

thread_local! {
    /// What the thread throws.
    static LOADED: Cell<*const Dice> = const { Cell::new(ptr::null()) };
}

/// See the module doc. The worker's thread alone throws them.
pub(crate) struct Dice {
    chaos: Chaos,
    worker: usize,
    state: Cell<u64>,
    /// Actors that are to be woken for nothing, and at which tick.
    victims: [Cell<Option<(Pid, u32)>>; VICTIMS],
    /// Who runs next was chosen already.
    chosen: Cell<bool>,
}

impl Dice {
    /// The dice of the worker with this number.
    pub(crate) fn new(choice: Choice, worker: usize) -> Self {
        let chaos = choice.0.unwrap_or(Chaos::off());
        Self {
            chaos,
            worker,
            state: Cell::new(mix(chaos.seed()).wrapping_add(mix(worker as u64))),
            victims: array::from_fn(|_| Cell::new(None)),
            chosen: Cell::new(false),
        }
    }

    /// Has this thread throw these dice, until the guard goes.
    pub(crate) fn load(&self) -> Loaded<'_> {
        let these = if self.chaos.is_on() { ptr::from_ref(self) } else { ptr::null() };
        Loaded { before: LOADED.replace(these), dice: PhantomData }
    }

    fn throw(&self) -> u64 {
        self.state.set(self.state.get().wrapping_add(GAMMA));
        mix(self.state.get())
    }

    fn strike(&self, kind: Kind) -> bool {
        let odds = self.chaos.odds(kind);
        odds > 0 && self.throw() >> 32 < odds
    }
}

/// The mixing function of SplitMix64.
pub(crate) fn mix(state: u64) -> u64 {
    let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Undoes [`Dice::load`].
pub(crate) struct Loaded<'a> {
    before: *const Dice,
    dice: PhantomData<&'a Dice>,
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        LOADED.set(self.before);
    }
}

/// What the thread throws, if its worker has chaos.
fn loaded() -> Option<&'static Dice> {
    // SAFETY: the guard that `load` gave borrows the dice, and takes the pointer away as it goes. Callers,
    // all in this file, keep the reference no longer than the call they are in.
    unsafe { LOADED.get().as_ref() }
}

/// Whether anything is disturbed here.
pub(crate) fn on() -> bool {
    loaded().is_some()
}

/// Whether this kind strikes now.
pub(crate) fn strikes(kind: Kind) -> bool {
    loaded().is_some_and(|dice| dice.strike(kind))
}

/// Whether an actor yields because its slice has been too long, and not at random.
pub(crate) fn measures_slices() -> bool {
    loaded().is_none_or(|dice| dice.chaos.odds(Kind::Yields) == 0)
}

/// One of the numbers below `end`, which is not 0.
pub(crate) fn below(end: usize) -> usize {
    loaded().map_or(0, |dice| (dice.throw() % end as u64) as usize)
}

/// A number that depends on seed, tick and `what` alone; none if the order is not disturbed.
pub(crate) fn by_tick(tick: u32, what: u64) -> Option<u32> {
    let dice = loaded().filter(|dice| dice.chaos.odds(Kind::Order) > 0)?;
    Some((mix(dice.chaos.seed() ^ mix(what << 32 | u64::from(tick))) >> 32) as u32)
}

/// Has a parked actor woken for nothing some switches after this tick, if there is room.
pub(crate) fn threaten(actor: Pid, tick: u32) {
    if let Some(dice) = loaded()
        && let Some(place) = dice.victims.iter().find(|place| place.get().is_none())
    {
        place.set(Some((actor, tick.wrapping_add(below(LATEST) as u32))));
    }
}

/// Takes an actor that is to be woken for nothing by this tick; any, if there is none given.
pub(crate) fn due(tick: Option<u32>) -> Option<Pid> {
    let is_due = |at: u32| tick.is_none_or(|tick| tick.wrapping_sub(at).cast_signed() >= 0);
    let place = loaded()?.victims.iter().find(|place| place.get().is_some_and(|(_, at)| is_due(at)))?;
    place.take().map(|(actor, _)| actor)
}

/// Notes that the next one was chosen, and put back.
pub(crate) fn keep_choice() {
    if let Some(dice) = loaded() {
        dice.chosen.set(true);
    }
}

/// Whether the next one was chosen already.
pub(crate) fn take_choice() -> bool {
    loaded().is_some_and(|dice| dice.chosen.take())
}

/// Says, after a failure, how to repeat it.
pub(crate) fn postscript() {
    if sim::postscript() {
        return;
    }
    let said = match loaded() {
        Some(dice) => Some((dice.chaos, Some(dice.worker))),
        None => Chaos::of_environment().map(|chaos| (chaos, None)),
    };
    match said {
        Some((chaos, Some(worker))) => {
            eprintln!("in smarm's chaos mode, on worker {worker}: {chaos} repeats it")
        }
        Some((chaos, None)) => eprintln!("in smarm's chaos mode: {chaos} repeats it"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::fault;

    fn dice(chaos: Chaos) -> Dice {
        Dice::new(Choice(Some(chaos)), 0)
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // The published reference implementation's first outputs for state 1234567.
        let dice = dice(Chaos::new(0));
        dice.state.set(1_234_567);
        let thrown = [dice.throw(), dice.throw(), dice.throw()];
        assert_eq!(thrown, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_kind_strikes_as_often_as_it_should() {
        let dice = dice(Chaos::new(5).early_wakes(0.25).faults(1.0).spurious_polls(0.0));
        let strikes = |kind| (0..10_000).filter(|_| dice.strike(kind)).count();
        assert!((2_300..2_700).contains(&strikes(Kind::Wakes)));
        assert_eq!(strikes(Kind::Faults), 10_000);
        assert_eq!(strikes(Kind::Polls), 0);
    }

    #[test]
    fn dice_are_thrown_while_they_are_loaded_and_by_the_innermost_worker() {
        assert!(!on() && !strikes(Kind::Faults) && fault(libc::ENOMEM).is_ok());
        let (outer, inner) = (dice(Chaos::new(1).faults(1.0)), dice(Chaos::off()));
        let loaded = outer.load();
        assert!(on() && fault(libc::ENOMEM).is_err_and(|error| error.raw_os_error() == Some(libc::ENOMEM)));
        {
            let _loaded = inner.load();
            assert!(!on() && fault(libc::ENOMEM).is_ok());
        }
        assert!(on());
        drop(loaded);
        assert!(!on());
    }

    #[test]
    fn a_victim_comes_at_its_tick_or_when_nobody_else_is_left() {
        let dice = dice(Chaos::new(1).early_wakes(1.0));
        let _loaded = dice.load();
        let pid = Pid::new(3, 1);
        let start = u32::MAX - 3;
        threaten(pid, start);
        let waited = (0..LATEST as u32).find(|more| due(Some(start.wrapping_add(*more))) == Some(pid));
        assert!(waited.is_some() && due(None).is_none());
        for _ in 0..2 * VICTIMS {
            threaten(pid, 0);
        }
        assert_eq!(std::iter::from_fn(|| due(None)).count(), VICTIMS);
    }
}
