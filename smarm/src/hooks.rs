//! Hooks around the slices of an actor's life: what lies in thread-locals follows the actor.
//!
//! | word | meaning |
//! |---|---|
//! | context | what code keeps in thread-locals for the time that it runs: the current span, a request's id |
//! | slice | from the moment when an actor gets its thread to the moment when it leaves it |
//! | saved | an actor's place for its context, while it has no thread |
//!
//! The actors of one worker share its thread-locals. A pair of [`Hooks`], set with
//! [`Config::hooks`](crate::Config::hooks), takes an actor's context off its thread at the end of each
//! slice, and puts it on again at the beginning of the next:
//!
//! ```text
//!   start          wait, yield, made to yield               polls of an awaited future        end
//!   on_resume ... on_park │ others │ on_resume ... on_park │ on_resume poll on_park │ ... on_park
//! ```
//!
//! Every `on_resume` is followed by an `on_park` of the same actor on the same thread, and nothing of
//! another actor, task or host runs between the two. The first slice begins with nothing saved; what is
//! saved at the end of the last one is dropped. Polls of a future that a parked actor awaits, on the
//! worker's stack, are slices of the actor. So is what runs while it unwinds.
//!
//! ```
//! use std::cell::Cell;
//! use smarm::hooks::{self, Saved};
//!
//! thread_local!(static REQUEST: Cell<Option<u32>> = const { Cell::new(None) });
//!
//! let hooks = hooks::pair(
//!     |saved: &mut Saved| *saved = REQUEST.take().map(|request| Box::new(request) as _),
//!     |saved: &mut Saved| REQUEST.set(saved.take().and_then(|saved| saved.downcast().ok()).map(|saved| *saved)),
//! );
//! smarm::runtime::init(smarm::Config::exact(1).hooks(hooks)).run(|| {
//!     let actors: Vec<_> = (0..3)
//!         .map(|n| {
//!             smarm::spawn(move || {
//!                 REQUEST.set(Some(n));
//!                 smarm::yield_now(); // the others set theirs
//!                 assert_eq!(REQUEST.get(), Some(n));
//!             })
//!         })
//!         .collect();
//!     actors.into_iter().for_each(|actor| actor.join().unwrap());
//!     assert_eq!(REQUEST.get(), None);
//! });
//! ```
//!
//! # What a hook may do
//! - It runs on the actor's small stack, or on the worker's, once or twice for every switch: it should be
//!   short. With none set, an actor pays one test of a field at each end of a slice.
//! - It must not wait: a blocking smarm call that is not ready at once panics. It is not made to yield.
//! - A hook that panics ends the process, after the panic hook has said why: there is nobody to give the
//!   panic to, since a hook may run in the middle of an allocation, and a context that is half taken off
//!   would show up at a neighbour.
//! - It has the actor's values of [`actor_local!`](macro@crate::actor_local), but for the last `on_park`: they are
//!   gone by then (`try_with` says so).
//! - It can spawn, send and wake; [`self_pid`](crate::self_pid) names the actor.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// An actor's place for its context. `None` until a hook puts something there, so an actor without
/// context needs no allocation.
pub type Saved = Option<Box<dyn Any>>;

/// What is done at the ends of each slice of each actor. See the [module](self).
pub trait Hooks: Send + Sync + 'static {
    /// The actor leaves its thread: takes its context off the thread, into `saved`. What was there is what
    /// the `on_resume` before has left.
    ///
    /// # Panics
    /// A panic ends the process.
    fn on_park(&self, saved: &mut Saved);

    /// The actor gets its thread: puts on the context that `saved` has. What is left there is dropped with
    /// the actor, or is there at the next `on_park`.
    ///
    /// # Panics
    /// A panic ends the process.
    fn on_resume(&self, saved: &mut Saved);
}

/// Hooks made of two closures: `on_park`, then `on_resume`.
pub fn pair<P, R>(on_park: P, on_resume: R) -> impl Hooks
where
    P: Fn(&mut Saved) + Send + Sync + 'static,
    R: Fn(&mut Saved) + Send + Sync + 'static,
{
    struct Pair<P, R>(P, R);

    impl<P, R> Hooks for Pair<P, R>
    where
        P: Fn(&mut Saved) + Send + Sync + 'static,
        R: Fn(&mut Saved) + Send + Sync + 'static,
    {
        fn on_park(&self, saved: &mut Saved) {
            (self.0)(saved);
        }
        fn on_resume(&self, saved: &mut Saved) {
            (self.1)(saved);
        }
    }

    Pair(on_park, on_resume)
}

/// Both of two, each with a place of its own: the first is put on first and taken off last.
impl<A: Hooks, B: Hooks> Hooks for (A, B) {
    fn on_park(&self, saved: &mut Saved) {
        with_both(saved, |both| {
            self.1.on_park(&mut both.1);
            self.0.on_park(&mut both.0);
        });
    }

    fn on_resume(&self, saved: &mut Saved) {
        with_both(saved, |both| {
            self.0.on_resume(&mut both.0);
            self.1.on_resume(&mut both.1);
        });
    }
}

/// The places of two in the place of one, which is used only once either has something.
fn with_both(saved: &mut Saved, f: impl FnOnce(&mut (Saved, Saved))) {
    if let Some(both) = saved.as_mut().and_then(|saved| saved.downcast_mut()) {
        return f(both);
    }
    let mut both = (None, None);
    f(&mut both);
    if both.0.is_some() || both.1.is_some() {
        *saved = Some(Box::new(both));
    }
}

/// The hooks of a runtime, if it has any.
#[derive(Clone, Default)]
pub(crate) struct Installed(pub(crate) Option<Arc<dyn Hooks>>);

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Installed" } else { "None" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(step: u32) -> impl Hooks {
        pair(
            move |saved| {
                let count =
                    saved.take().and_then(|saved| saved.downcast::<u32>().ok()).map_or(0, |count| *count);
                *saved = (step > 0).then(|| Box::new(count + step) as _);
            },
            |_| (),
        )
    }

    #[test]
    fn two_pairs_have_places_of_their_own() {
        let hooks = (counting(1), (counting(10), counting(0)));
        let mut saved = None;
        for _ in 0..3 {
            hooks.on_park(&mut saved);
            hooks.on_resume(&mut saved);
        }
        let both = saved.as_ref().and_then(|saved| saved.downcast_ref::<(Saved, Saved)>()).unwrap();
        assert_eq!(both.0.as_ref().and_then(|saved| saved.downcast_ref::<u32>()), Some(&3));
        let both = both.1.as_ref().and_then(|saved| saved.downcast_ref::<(Saved, Saved)>()).unwrap();
        assert_eq!(both.0.as_ref().and_then(|saved| saved.downcast_ref::<u32>()), Some(&30));
        assert!(both.1.is_none());
    }

    #[test]
    fn pairs_that_save_nothing_allocate_nothing() {
        let hooks = (counting(0), counting(0));
        let mut saved = None;
        hooks.on_park(&mut saved);
        assert!(saved.is_none());
    }
}
