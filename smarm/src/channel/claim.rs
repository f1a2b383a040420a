//! The word for which the counterparts of a `select!` compete, so that one of its arms takes effect.
//!
//! | word | meaning |
//! |---|---|
//! | claim | the right to decide which arm wins; its owner's while it looks at its arms |
//! | claimant | one arm's handle of it, which lies in the queue of its channel |
//! | missed | a counterpart came while the owner was looking, and waits now |
//!
//! Only channels of capacity 0 need it: there a message passes when both sides are there, so one of them decides
//! for the other. Everything else takes effect in a poll of the select's own.
//!
//! 1. The owner [opens](Claim::open) the claim before it looks at its arms: nobody decides for it from here on. If
//!    somebody has, it takes what that arm got, and looks at no other.
//! 2. If no arm is ready it [rests](Claim::rest), and parks. If somebody was missed, it wakes the counterparts
//!    that wait for its arms: they find it resting.
//! 3. A counterpart, which holds the lock of its channel, [claims](Claimant::claim) a select that rests. One that is
//!    being looked after it leaves alone, and notes that it was missed; then it waits, under the same lock.
//!
//! **No more than one takes effect**: steps 1 and 3 are exchanges of one word, so either the owner decides or one
//! counterpart. A counterpart that is a select itself is looking at its own arms meanwhile, and ends with this one.
//!
//! **No wake is lost**: of a note in step 3 and the rest in step 2 one comes first. If the note does, the owner
//! sees it, and finds the counterpart in the queue, whose lock that holds until it is there. Else the counterpart
//! finds the select at rest.
//!
//! Two selects that look for each other at the same time both rest and wake each other, and look again; as one
//! takes a little longer than the other, that ends.
//!
//! Rejected: looking again in step 2 without a rest (two that go on like this never meet); an order in which
//! selects wait for each other (a look runs polls of others, which may take long).

use std::ptr::NonNull;

use crate::primitive::atomic::AtomicUsize;
use crate::primitive::atomic::Ordering::{AcqRel, Relaxed};

/// The owner looks at its arms, or does not wait.
const LOOKING: usize = 0;
/// As `LOOKING`, and a counterpart was missed.
const MISSED: usize = 1;
/// Whoever comes may claim it.
const RESTING: usize = 2;
/// Somebody has claimed it, for the arm whose number is above these bits.
const CLAIMED: usize = 3;
/// The bits of the states.
const STATE: usize = 3;
/// One arm further.
const ARM: usize = 4;

/// The claim of one `select!`, pinned in it.
#[derive(Debug)]
pub struct Claim {
    /// LOOKING | MISSED | RESTING | CLAIMED.
    word: AtomicUsize,
}

/// The handle of an arm.
#[derive(Clone, Copy, Debug)]
pub struct Claimant {
    claim: NonNull<Claim>,
    arm: usize,
    waits: bool,
}

// SAFETY: the word is atomic, and whoever uses a claimant sees to it that the claim is there.
unsafe impl Send for Claimant {}
// SAFETY: as above.
unsafe impl Sync for Claimant {}

impl Claim {
    /// Of a select that looks at its arms.
    pub(crate) fn new() -> Self {
        Self { word: AtomicUsize::new(LOOKING) }
    }

    /// The handle of this arm, of a select that waits, or looks only once.
    pub(crate) fn claimant(&self, arm: usize, waits: bool) -> Claimant {
        Claimant { claim: NonNull::from(self), arm, waits }
    }

    /// Step 1. Gives the arm that somebody has claimed it for.
    pub(crate) fn open(&self) -> Option<usize> {
        // RESTING | LOOKING | MISSED | CLAIMED => LOOKING. Pairs with the exchanges in `claim`.
        let word = self.word.swap(LOOKING, AcqRel);
        (word & STATE == CLAIMED).then_some(word / ARM)
    }

    /// Step 2. Says whether somebody was missed.
    #[must_use = "who was missed is to be woken"]
    pub(crate) fn rest(&self) -> bool {
        // LOOKING | MISSED => RESTING. Pairs with the exchanges in `claim`.
        self.word.swap(RESTING, AcqRel) == MISSED
    }
}

impl Claimant {
    /// Step 3. Says whether the claim is the caller's now.
    ///
    /// # Safety
    /// The select has not ended.
    pub(super) unsafe fn claim(self) -> bool {
        // SAFETY: the caller's duty.
        let word = unsafe { &self.claim.as_ref().word };
        let mut now = word.load(Relaxed);
        loop {
            let (next, claimed) = match now {
                RESTING => (CLAIMED + self.arm * ARM, true),
                LOOKING => (MISSED, false),
                _ => return false,
            };
            // RESTING => CLAIMED, LOOKING => MISSED. Pairs with `open` and `rest`.
            match word.compare_exchange(now, next, AcqRel, Relaxed) {
                Ok(_) => return claimed,
                Err(changed) => now = changed,
            }
        }
    }

    /// Whether its select waits until an arm is ready.
    pub(super) fn waits(self) -> bool {
        self.waits
    }

    /// Whether both are arms of one select.
    pub(super) fn is_of(self, other: Option<Claimant>) -> bool {
        other.is_some_and(|other| other.claim == self.claim)
    }
}
