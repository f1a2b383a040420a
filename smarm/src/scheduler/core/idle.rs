//! Step 4 of a turn: a worker with nothing to run searches, spins if that pays, and sleeps. The protocols by
//! which no wake is lost meanwhile are [`home`](crate::actor::home)'s and [`shared`](super::super::shared)'s.

use super::Core;
use crate::chaos;
use crate::host::Turn;
use crate::primitive::{Step, omits};
use crate::timer::clock;

/// How long a worker spins before it sleeps, in nanoseconds.
const SPIN: u64 = 30_000;
/// How long it spins before it counts as searching: two workers that send each other messages need
/// not share the count, too. In nanoseconds.
const SPIN_UNCOUNTED: u64 = 8_000;
/// After spinning has paid, so many more sleeps begin with it.
const SPIN_CREDIT: u32 = 4;
/// After spinning has failed, one in so many sleeps tries it again; each failure doubles that, ...
pub(super) const SPIN_RETRY: u32 = 16;
/// ... up to this: a worker that waits for descriptors alone need not spin at all.
const RAREST_SPIN_RETRY: u32 = 1024;

impl Core {
    /// Step 4 of a turn: nothing can run here. `None` if something can again.
    pub(super) fn run_dry(&self) -> Option<Turn> {
        if chaos::on() && self.local.wake_early() || self.search() {
            return None;
        }
        let (local, shared) = (&self.local, &*self.shared);
        if shared.stopping() && shared.live() == 0 {
            self.stop_searching();
            return Some(Turn::Done);
        }
        if self.spins_between_turns.get() && self.spins_on() {
            return Some(Turn::Busy);
        }
        self.announce_sleep();
        self.asleep.set(true);
        self.takes_short_turns.set(shared.is_single());
        local.home.crowding.tell(0);
        shared.sleep(self.searching.replace(false));
        if !omits(Step::SecondLook) && (local.home.has_mail() || shared.has_new_beside(self.index)) {
            self.rise();
            return None;
        }
        // None of its own; those from elsewhere are looked for.
        local.expects_new.set(false);
        local.home.pulse.rest(true);
        local.set_idle(true);
        Some(Turn::Idle)
    }

    /// Announces the sleep to other threads. A single worker's announcement stands while it runs,
    /// until somebody has acted on it: whoever wakes such a worker needlessly tells its host once, and
    /// a worker that takes short turns, with a wake from its own thread for each, saves two exchanges
    /// a turn.
    fn announce_sleep(&self) {
        let home = self.local.home;
        if !self.shared.is_single() {
            home.fall_asleep();
        } else if !home.sleeps() {
            if home.wake_up() && self.searching.replace(true) {
                self.shared.uncount_search(); // counted twice: as spinning, and by who summoned it
            }
            home.fall_asleep();
        }
    }

    /// Ends the sleep, if the worker slept.
    pub(super) fn rise(&self) {
        if self.asleep.replace(false) {
            self.takes_short_turns.set(false);
            self.local.set_idle(false);
            if !self.shared.is_single() && self.local.home.wake_up() {
                self.searching.set(true); // whoever summoned it has counted it
            }
            self.shared.rise(self.local.home);
        }
    }

    /// Looks for something to do elsewhere, and spins meanwhile if that pays.
    fn search(&self) -> bool {
        let shared = &*self.shared;
        if shared.is_single() && self.spin.get().is_none() {
            return false;
        }
        let found = || self.local.home.has_mail() || self.steal();
        if found() {
            if self.is_spinning() {
                self.spin_has_paid();
            }
        } else if self.spins_between_turns.get() || !(self.spins() && self.spin_until(found)) {
            return false;
        }
        self.stop_searching();
        true
    }

    /// Whether the last turn was busy only because the worker spins from turn to turn.
    #[inline(always)]
    pub(in crate::scheduler) fn is_spinning(&self) -> bool {
        self.spinning.get() != 0
    }

    /// Whether to spin from turn to turn, or to go on with it.
    fn spins_on(&self) -> bool {
        let now = clock::now();
        if !self.is_spinning() {
            if !self.spins() {
                return false;
            }
            self.spinning.set(now.max(1));
        }
        let spun = now.saturating_sub(self.spinning.get());
        if spun > SPIN || self.shared.stopping() {
            self.spinning.set(0);
            return false;
        }
        if spun > SPIN_UNCOUNTED && !self.searching.replace(true) {
            self.shared.begin_search();
        }
        true
    }

    /// At the beginning of a turn, while the worker spins from turn to turn: whether that has paid, as something came
    /// from elsewhere. What the host's own tasks have woken ends it, too.
    #[cold]
    pub(super) fn look_up(&self) {
        if self.local.home.has_mail() {
            self.spin_has_paid();
        } else if self.local.has_queued() {
            self.spinning.set(0);
        }
    }

    fn spin_has_paid(&self) {
        self.spinning.set(0);
        self.spin.set(Some(SPIN_CREDIT));
        self.spin_retry.set(SPIN_RETRY);
    }

    /// Spins for a while. Says whether it paid.
    fn spin_until(&self, found: impl Fn() -> bool) -> bool {
        let home = self.local.home;
        let start = clock::now();
        for round in 1_u32.. {
            // Mail is on an own cache line; the rest is shared with others, and looked at less often.
            if home.has_mail() || round.is_multiple_of(16) && found() {
                self.spin_has_paid();
                return true;
            }
            if round.is_multiple_of(64) {
                let spun = clock::now() - start;
                if spun > SPIN {
                    break;
                }
                if spun > SPIN_UNCOUNTED && !self.searching.replace(true) {
                    self.shared.begin_search();
                }
            }
            std::hint::spin_loop();
        }
        false
    }

    /// Whether to spin this time: as long as it pays, and now and then to see whether it would.
    fn spins(&self) -> bool {
        let Some(credit) = self.spin.get() else { return false };
        if credit > 0 {
            self.spin.set(Some(credit - 1));
            return true;
        }
        if let Some(left) = self.spinless.get().checked_sub(1) {
            self.spinless.set(left);
            return false;
        }
        let retry = self.spin_retry.get();
        self.spinless.set(retry);
        self.spin_retry.set((retry * 2).min(RAREST_SPIN_RETRY));
        true
    }

    pub(super) fn stop_searching(&self) {
        if self.searching.replace(false) {
            self.shared.end_search();
        }
    }

    /// Takes a new actor from another worker into the own deque.
    fn steal(&self) -> bool {
        let shared = &*self.shared;
        if let Some(actor) = shared.take_injected(&self.deque) {
            self.deque.push(actor);
            return true;
        }
        let workers = shared.homes.len();
        (1..workers).any(|step| match shared.steal((self.index + step) % workers) {
            Some(actor) => {
                self.deque.push(actor);
                true
            }
            None => false,
        })
    }
}
