//! Trimming: memory comes down after a burst, a steady cycle keeps its stacks warm, and an idle
//! process is silent.
//!
//! A monitor calls [`tick`] every [`PERIOD`] while something runs, and until it says that nothing is
//! left to do once all is idle. Each shelf remembers the least number of warm stacks that lay on
//! it in each of the last [`WINDOW`] ticks: so many were not needed in all that time. Of those,
//!
//! 1. a tick takes half (all, once they are few), those released longest ago; of many, [`MOST`] at once and the
//!    others in steps that come [`SOON`];
//! 2. gives back their pages in the order of their addresses, neighbours as one range, without
//!    any lock that an actor's spawn or end takes;
//! 3. and puts them on the cold list, which is used when no warm stack is left.
//!
//! [`FLOOR`] warm stacks stay. Halving rather than all at once: a load that comes again soon after
//! the window finds half of its stacks warm.
//!
//! So a burst of a hundred thousand is gone four seconds after its end, one of a million after seven.
//!
//! Several runtimes share the shelves; the first tick in each period counts, whosever it is.
//!
//! Guard markers survive `MADV_DONTNEED`, and pages that are inaccessible anyway are not
//! bothered, so a range may run across guards. Locked memory is refused, and stays resident as its
//! owner wanted.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::advice;
use super::area::{Area, GUARD_SIZE, bounds};
use super::shelf::{self, Shelf};

/// How many ticks a stack must be spare for.
const WINDOW: usize = 8;
/// So many warm stacks per area are kept for the next load.
const FLOOR: usize = 64;
/// So many spare stacks are taken at once, however few that leaves.
const FEW: usize = 512;
/// At 0.5–1 µs each, the monitor is away for a few milliseconds.
const MOST: usize = 4096;
/// When the next part of a tick's work is to be done.
const SOON: Duration = Duration::from_millis(10);
/// How long a tick should be after the one before. Those that come sooner do nothing: several
/// runtimes may call for them.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// Held while stacks are on no list; tells when the last tick was.
static TRIMMER: Mutex<Option<Instant>> = Mutex::new(None);

/// How many warm stacks of a shelf were not needed.
pub(super) struct Spare {
    /// The least number of warm stacks since the last tick.
    least: usize,
    /// The same for the ticks before; `oldest` is the next one to be overwritten.
    history: [usize; WINDOW],
    oldest: usize,
    /// How many of those that the last tick wanted are still to be taken.
    owed: usize,
}

impl Spare {
    pub(super) const fn new() -> Spare {
        Spare { least: 0, history: [0; WINDOW], oldest: 0, owed: 0 }
    }

    /// Warm stacks were taken, and so many are left.
    pub(super) fn left_over(&mut self, warm: usize) {
        self.least = self.least.min(warm);
    }

    /// A tick passed, and there are `warm` stacks now.
    fn tick(&mut self, warm: usize) {
        self.history[self.oldest] = self.least;
        self.oldest = (self.oldest + 1) % WINDOW;
        self.least = warm;
        let spare = self.spare();
        self.owed = if spare > FEW { spare / 2 } else { spare };
    }

    /// How many of the warm stacks were not needed.
    fn spare(&self) -> usize {
        self.history.iter().fold(self.least, |least, &then| least.min(then)).saturating_sub(FLOOR)
    }

    /// Gives how many stacks to trim now; they count as taken away.
    fn step(&mut self) -> usize {
        let surplus = self.owed.min(MOST).min(self.spare()); // some may be in use again
        self.owed = if surplus > 0 { self.owed - surplus } else { 0 };
        // All of them are at least `surplus`, unless that is 0.
        for then in self.history.iter_mut().chain([&mut self.least]) {
            *then -= surplus.min(*then);
        }
        surplus
    }
}

/// Gives back the pages of stacks that were not needed for a while. Says in what time to call it again; `None` if
/// nothing is left to do unless something runs again.
///
/// Takes some microseconds, and up to some milliseconds after a burst.
pub(crate) fn tick() -> Option<Duration> {
    let mut last = match TRIMMER.try_lock() {
        Ok(last) => last,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Some(PERIOD),
    };
    let now = Instant::now();
    let passed = last.is_none_or(|last| now.duration_since(last) >= PERIOD);
    if passed {
        *last = Some(now);
    }
    let next = trim_all(&last, passed);
    if passed { next } else { next.or(Some(PERIOD)) }
}

/// Waits until no stack is between the lists, and keeps it so.
pub(super) fn pause() -> MutexGuard<'static, Option<Instant>> {
    TRIMMER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`tick`] does; `passed` if a period has. The lock keeps [`pause`] waiting.
fn trim_all(_trimmer: &MutexGuard<'static, Option<Instant>>, passed: bool) -> Option<Duration> {
    let (mut more, mut owed) = (false, false);
    for area in Area::all().filter(|area| area.grown() > 0) {
        let mut shelf = shelf::lock(area);
        if passed {
            let warm = shelf.warm.len();
            shelf.spare.tick(warm);
        }
        let mut surplus = shelf.take_surplus();
        more |= shelf.warm.len() > FLOOR;
        owed |= shelf.spare.owed > 0;
        drop(shelf);
        if !surplus.is_empty() {
            surplus.sort_unstable();
            // SAFETY: they were free, and now this function owns them.
            unsafe { give_back(&surplus) };
            // The end of the list is used first: the lowest address.
            shelf::lock(area).cold.extend(surplus.into_iter().rev());
        }
    }
    match owed {
        true => Some(SOON),
        false => more.then_some(PERIOD),
    }
}

impl Shelf {
    /// Takes out the warm stacks to trim.
    fn take_surplus(&mut self) -> Vec<u32> {
        let surplus = self.spare.step();
        let taken = self.warm.drain(..surplus).collect();
        if self.warm.len() < self.warm.capacity() / 4 {
            self.warm.shrink_to(self.warm.len() * 2);
        }
        taken
    }
}

/// Gives the pages of these stacks of one area back to the system; `stacks` is sorted.
///
/// # Safety
/// They are free, and on no list that others take from.
unsafe fn give_back(stacks: &[u32]) {
    let mut ranges: Vec<libc::iovec> = Vec::with_capacity(stacks.len());
    let mut end = 0;
    for &index in stacks {
        let usable = bounds(index);
        match ranges.last_mut() {
            Some(range) if usable.start - end == GUARD_SIZE => range.iov_len += GUARD_SIZE + usable.len(),
            _ => ranges.push(advice::range(usable.start, usable.len())),
        }
        end = usable.end;
    }
    // Refused in locked memory only.
    // SAFETY: the caller owns the stacks; between merged neighbours there is but a guard.
    let _ = unsafe { advice::advise(&ranges, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::child;
    use crate::stack::guard::{self, Guard};
    use crate::stack::pool::LocalPool;
    use crate::stack::shelf::census;

    fn area() -> Area {
        let guard = if guard::supported() { Guard::Advice } else { Guard::Mprotect };
        Area::for_size(16 << 10, guard).unwrap()
    }

    /// A tick without waiting for its time.
    fn tick_now() -> bool {
        trim_all(&pause(), true).is_some()
    }

    /// Uses `count` stacks at once.
    fn burst(pool: &mut LocalPool, area: Area, count: usize) {
        let stacks: Vec<_> = (0..count).map(|_| pool.acquire(area).unwrap()).collect();
        stacks.iter().for_each(|&index| child::touch(index));
        for index in stacks {
            // SAFETY: acquired above, used by nobody.
            unsafe { pool.release(index) };
        }
    }

    /// Ticks until nothing is left to do.
    fn settle() -> usize {
        let ticks = (0..200).take_while(|_| tick_now()).count();
        assert!(ticks < 200, "an idle process must become silent");
        ticks
    }

    #[test]
    fn memory_comes_down_after_a_burst_and_then_all_is_silent() {
        let name = "stack::trim::tests::memory_comes_down_after_a_burst_and_then_all_is_silent";
        child::run(name, || {
            const STACKS: usize = if cfg!(debug_assertions) { 10_000 } else { 20_000 };
            let area = area();
            let mut pool = LocalPool::new();
            burst(&mut pool, area, 1);
            let before = child::resident();
            burst(&mut pool, area, STACKS);
            let burst_took = child::resident() - before;
            assert!(burst_took >= STACKS * 4096, "{burst_took}");
            settle();
            let left = child::resident().saturating_sub(before);
            assert!(left < burst_took / 10, "{left} of {burst_took}");
            assert!(!tick_now(), "and it stays silent");
            let census = census(area);
            assert_eq!(census.warm, FLOOR);
            assert!(census.cold >= STACKS - 256 - FLOOR);
            // The trimmed stacks are as good as new, guards included.
            let stacks: Vec<_> = (0..STACKS).map(|_| pool.acquire(area).unwrap()).collect();
            assert_eq!(area.grown() as usize, census.grown, "and are used again before fresh ones");
            for index in stacks {
                let usable = bounds(index);
                assert!(!child::is_readable(usable.start - 1));
                child::touch(index);
            }
        });
    }

    #[test]
    fn a_large_burst_is_given_back_in_steps_and_those_stop_when_it_comes_again() {
        let name =
            "stack::trim::tests::a_large_burst_is_given_back_in_steps_and_those_stop_when_it_comes_again";
        child::run(name, || {
            const STACKS: usize = 4 * MOST;
            let area = area();
            let mut pool = LocalPool::new();
            burst(&mut pool, area, STACKS);
            (0..=WINDOW).for_each(|_| assert!(tick_now()));
            let step = || trim_all(&pause(), false);
            let first = census(area);
            assert!(first.warm >= STACKS - 256 - MOST, "{first:?}");
            assert_eq!(step(), Some(PERIOD), "half of them are gone with the second step");
            let half = census(area);
            assert!(half.warm < first.warm && half.warm >= STACKS / 2 - 256, "{half:?}");
            (0..2).for_each(|_| assert_eq!(step(), Some(PERIOD)));
            assert_eq!(census(area), half, "the others wait for the next tick");
            assert!(tick_now());
            burst(&mut pool, area, half.warm);
            let used = census(area);
            (0..2 * WINDOW).for_each(|_| _ = step());
            assert_eq!(census(area), used, "the load has come again, and needs what is left");
        });
    }

    #[test]
    fn a_steady_cycle_stays_warm() {
        child::run("stack::trim::tests::a_steady_cycle_stays_warm", || {
            let area = area();
            let mut pool = LocalPool::new();
            burst(&mut pool, area, 3000);
            let cold = census(area).cold;
            for _ in 0..50 {
                // The load comes every fourth tick, and in between all its stacks are free.
                (0..4).for_each(|_| assert!(tick_now()));
                assert_eq!(census(area).cold, cold, "none was trimmed");
                burst(&mut pool, area, 3000);
            }
        });
    }

    #[test]
    fn a_smaller_load_keeps_what_it_needs() {
        child::run("stack::trim::tests::a_smaller_load_keeps_what_it_needs", || {
            let area = area();
            let mut pool = LocalPool::new();
            burst(&mut pool, area, 8000);
            for _ in 0..60 {
                burst(&mut pool, area, 2000);
                tick_now();
            }
            let settled = census(area);
            assert!(settled.warm + settled.out >= 2000, "{settled:?}");
            assert!(settled.warm + settled.out <= 2000 + 256 + 128 + FLOOR, "{settled:?}");
            burst(&mut pool, area, 2000);
            assert_eq!(census(area).cold, settled.cold, "the load finds all of them warm");
        });
    }

    #[test]
    fn ticks_of_several_runtimes_count_once() {
        child::run("stack::trim::tests::ticks_of_several_runtimes_count_once", || {
            burst(&mut LocalPool::new(), area(), 1000);
            let start = Instant::now();
            (0..4 * WINDOW).for_each(|_| assert!(tick().is_some()));
            // Where the machine was so slow that a whole window of periods passed, nothing is shown.
            if start.elapsed() < PERIOD * (WINDOW as u32 - 1) {
                assert_eq!(census(area()).warm, 1000);
            }
        });
    }
}
