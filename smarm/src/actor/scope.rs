//! The scope that a caller's waits are in: a deadline and tokens, inherited by what is below.
//!
//! ```text
//!   with_deadline(9 s) ── Scope { deadline: 9 s }
//!     with_cancel(token) ── Scope { deadline: 9 s, token } ─► outer
//!       wait            is over at 9 s, or when the token is cancelled
//!       spawn           the child has this scope until it ends
//!       shield          no scope at all
//! ```
//!
//! An actor's scope stands among its belongings, and a bit in its state word says that there is one: it is
//! looked at together with the request to be killed, so an actor without a scope pays nothing. A plain
//! thread's scope stands in a thread-local.
//!
//! # How a wait learns of it
//! 1. Whoever enters a scope with a token subscribes to that with the waker of its actor or thread; so does
//!    a spawner, for its child, with each token of the scope that the child inherits.
//! 2. Before a wait parks, and when it was woken and finds nothing, it asks whether a token is cancelled, and
//!    whether the scope's timer has fired, which the first wait in a scope sets.
//! 3. Who cancels marks the token, and then wakes the subscribers; the timer wakes its actor.
//!
//! No wake is lost: subscription and timer are there before the wait asks.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::Instant;

use super::belongings::Belongings;
use super::park::{Interrupt, Manner, Running, now};

/// Something that can be cancelled.
pub(crate) trait Cancel: Send + Sync {
    fn is_cancelled(&self) -> bool;

    /// Wakes `waker` when it is cancelled, unless what this gives is dropped before.
    fn subscribe(self: Arc<Self>, waker: Waker) -> Subscription;
}

/// Ends a subscription when it is dropped.
pub(crate) type Subscription = Box<dyn Send>;

/// See the module doc.
pub(crate) struct Scope {
    /// The next one around it that has a token.
    outer: Option<Arc<Scope>>,
    /// The earliest of this scope's and those around it.
    deadline: Option<Instant>,
    token: Option<Arc<dyn Cancel>>,
}

/// With this, what cannot say otherwise that its scope is over unwinds to where that was entered.
pub(crate) struct Over(pub(crate) Interrupt);

thread_local! {
    /// The scope of this thread, outside actors.
    static OUTSIDE: RefCell<Option<Arc<Scope>>> = const { RefCell::new(None) };
}

impl Scope {
    /// A scope within the caller's.
    pub(crate) fn new(deadline: Option<Instant>, token: Option<Arc<dyn Cancel>>) -> Self {
        let outer = current();
        let deadline = sooner(deadline, outer.as_ref().and_then(|outer| outer.deadline));
        // Only tokens are looked for there: a chain of children each in a scope of its own stays short.
        let outer =
            outer.and_then(|outer| if outer.token.is_some() { Some(outer) } else { outer.outer.clone() });
        Self { outer, deadline, token }
    }

    /// The earliest deadline of all that it is in.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether a token of this scope, or of one around it, is cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.tokens().any(|token| token.is_cancelled())
    }

    fn tokens(&self) -> impl Iterator<Item = &Arc<dyn Cancel>> {
        let scopes = std::iter::successors(Some(self), |scope| scope.outer.as_deref());
        scopes.filter_map(|scope| scope.token.as_ref())
    }

    /// Has `waker` woken when any token of this scope is cancelled.
    pub(super) fn subscribe_to_all(&self, waker: &Waker) -> Vec<Subscription> {
        self.tokens().map(|token| token.clone().subscribe(waker.clone())).collect()
    }
}

/// The earlier of two deadlines.
fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The caller's scope, if it is in one.
pub(crate) fn current() -> Option<Arc<Scope>> {
    match Running::current() {
        Some(actor) => actor.scope(),
        None => OUTSIDE.with_borrow(Clone::clone),
    }
}

/// Whether the caller's scope is over, and how: a token that was cancelled goes before a deadline that has passed.
pub(crate) fn over() -> Option<Interrupt> {
    let scope = current()?;
    if scope.is_cancelled() {
        Some(Interrupt::Cancelled)
    } else {
        (scope.deadline? <= now()).then_some(Interrupt::TimedOut)
    }
}

/// The earlier of this deadline and the one of the caller's scope.
pub(crate) fn soonest(deadline: Option<Instant>) -> Option<Instant> {
    sooner(deadline, current().and_then(|scope| scope.deadline))
}

/// Puts the caller into this scope, or out of any, until the guard is dropped.
pub(crate) fn enter(scope: Option<Arc<Scope>>) -> Entered {
    let owner = Running::current();
    Entered { owner, outer: replace(owner, scope) }
}

/// Takes its caller back to the scope of before.
#[must_use]
pub(crate) struct Entered {
    owner: Option<Running>,
    outer: Option<Arc<Scope>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(replace(self.owner, self.outer.take()));
    }
}

fn replace(owner: Option<Running>, scope: Option<Arc<Scope>>) -> Option<Arc<Scope>> {
    match owner {
        Some(actor) => actor.record().set_scope(scope),
        None => OUTSIDE.replace(scope),
    }
}

impl Running {
    /// The scope of the actor's waits.
    fn scope(self) -> Option<Arc<Scope>> {
        self.record().belongings.belongings().and_then(Belongings::scope)
    }

    /// Whether that is over, and how. By whoever owns the actor's stack.
    #[cold]
    pub(super) fn scope_over(self) -> Option<Interrupt> {
        self.record().belongings.belongings()?.scope_over(self)
    }
}

/// What an actor that is to be killed, or is in a scope, does before it parks: unwinds, ends the wait, or says
/// whether it parks although it is killed. Knows nothing of the future, which so can stay in registers.
#[cold]
#[inline(never)]
pub(super) fn take_care(actor: Running, manner: Manner) -> Result<bool, Interrupt> {
    let killed = if manner == Manner::Unbroken { actor.killed() } else { actor.obey() };
    if killed && manner == Manner::Breakable {
        return Err(Interrupt::Cancelled);
    }
    if heeds_scope(manner)
        && let Some(over) = actor.scope_over()
    {
        return Err(interrupt(over, manner));
    }
    Ok(killed)
}

/// Whether a scope ends such a wait of the caller.
pub(super) fn heeds_scope(manner: Manner) -> bool {
    match manner {
        Manner::Breakable => true,
        Manner::Uncancelled => !thread::panicking(),
        Manner::Unbroken => false,
    }
}

/// A scope ends a wait: gives what the wait fails with, or unwinds if it cannot fail.
pub(super) fn interrupt(interrupt: Interrupt, manner: Manner) -> Interrupt {
    if manner != Manner::Breakable {
        unwind(interrupt);
    }
    interrupt
}

/// Unwinds to where the caller's scope was entered: the wait that was interrupted has no way to say so.
/// Returns only if the caller unwinds already.
pub(crate) fn unwind(interrupt: Interrupt) {
    if !thread::panicking() {
        resume_unwind(Box::new(Over(interrupt)));
    }
}
