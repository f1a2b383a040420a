//! Looking before parking: an actor whose messages come from another thread looks for the next one for about a
//! microsecond before it parks, if nobody else is queued and that paid lately.
//!
//! A message that is found so needs no wake, and no mail: neither side touches more than the message's cache
//! line. The worker would spin anyway, on its inbox, with the actor parked.
//!
//! 1. A wake from elsewhere allows looking, if looking has paid or was not tried for a while.
//! 2. A look that finds something leaves it allowed; one in vain forbids it for so many wakes from
//!    elsewhere, and for twice as many the next time.
//!
//! A look ends at once when there is mail, as somebody may want the actor to unwind.

use std::hint::spin_loop;

use super::Local;

/// How many times to look, with a pause after each.
const LOOKS: u32 = 64;
/// What is there at one of the first looks comes from somebody who sends one after the other: ...
const SOON: u32 = 3;
/// ... so many pauses more let some come together, as each look in between would take the cache line away from
/// the sender.
const PAUSES: u32 = 8;
/// After a vain look, so many wakes from elsewhere pass until the next, ...
const RETRY: u32 = 16;
/// ... and each further one doubles that, up to this.
const RAREST_RETRY: u32 = 1024;

/// See the module doc.
#[derive(Clone, Copy)]
pub(super) struct Looking {
    allowed: bool,
    /// How many wakes pass after the next vain look, and how many are left now.
    retry: u32,
    left: u32,
}

impl Looking {
    pub(super) const NEW: Self = Self { allowed: false, retry: RETRY, left: 0 };
}

impl Local {
    /// Step 1. By a worker whose host lets it spin.
    pub(crate) fn allow_looking(&self) {
        let mut looking = self.looking.get();
        match looking.left.checked_sub(1) {
            Some(left) => looking.left = left,
            None => looking.allowed = true,
        }
        self.looking.set(looking);
    }

    /// Looks for what the running actor waits for, if that is allowed. Says whether it is there.
    #[inline(always)]
    pub(crate) fn look(&self, there: impl Fn() -> bool) -> bool {
        self.looking.get().allowed && !self.has_queued() && self.look_for_a_while(there)
    }

    /// Step 2.
    #[inline(never)]
    fn look_for_a_while(&self, there: impl Fn() -> bool) -> bool {
        for round in 0..LOOKS {
            if there() {
                if round < SOON {
                    (0..PAUSES).for_each(|_| spin_loop());
                }
                self.looking.set(Looking { allowed: true, ..Looking::NEW });
                return true;
            }
            if self.home.has_mail() {
                return false;
            }
            spin_loop();
        }
        let retry = self.looking.get().retry;
        let next = (retry * 2).min(RAREST_RETRY);
        self.looking.set(Looking { allowed: false, retry: next, left: retry });
        false
    }
}
