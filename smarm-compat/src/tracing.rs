//! Spans of the crate `tracing` follow the actor that has entered them.
//!
//! A subscriber keeps the spans that are entered in thread-locals, and the actors of one worker share
//! these. With [`Spans`] set as the runtime's hooks, a span that an actor has entered is current again
//! after each wait and inside the futures that it awaits, and its neighbours never see it:
//!
//! ```
//! use smarm_compat::tracing::Spans;
//! use tracing_subscriber::registry;
//!
//! tracing::subscriber::set_global_default(registry()).unwrap();
//! let config = smarm::Config::default().hooks(Spans::new());
//! smarm_compat::Builder::new().config(config).run(|| {
//!     let request = tracing::info_span!("request").entered();
//!     smarm::yield_now();
//!     assert_eq!(tracing::Span::current(), *request);
//!
//!     // A child begins without spans. It gets those that it enters itself:
//!     let span = tracing::Span::current();
//!     smarm::spawn(move || span.in_scope(|| tracing::info!("on its behalf"))).join().unwrap();
//! });
//! ```
//!
//! They work on a runtime of smarm's own as well as on one of this crate. With other hooks beside them,
//! give both: `config.hooks((Spans::new(), others))`.
//!
//! # How
//! At the end of a slice all spans that are entered on the thread are exited, the innermost first, and
//! kept; at the beginning of the next one they are entered again, in the old order. Layers see an exit and
//! an enter, as with an instrumented future. What had been entered on the thread by others (a task around
//! the worker) is put aside for the slice and put back after it. A span that is kept is not closed, and
//! what an actor leaves entered at its end is exited. An actor without spans costs two
//! questions to the dispatcher per slice.
//!
//! # What is not carried
//! - *A scoped dispatcher* (`tracing::subscriber::with_default`, `set_default`) belongs to the thread: set
//!   one for the whole program, or keep the guard only as long as the actor does not wait. Spans of one that
//!   is in force at a wait are exited from and entered with it.
//! - *A wait inside a subscriber's own code*, such as a layer that sends to a bounded channel: `tracing`
//!   does not let itself be asked meanwhile, so spans stay where they are.
//! - *A subscriber that does not say which span is current* (`Subscriber::current_span`); the registry of
//!   `tracing-subscriber` does.

use smarm::hooks::{Hooks, Saved};
use tracing::Dispatch;
use tracing::dispatcher::get_default;
use tracing::span::Id;

/// Hooks that carry the entered spans of `tracing`. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Spans(());

impl Spans {
    /// For the subscriber that is in force at each wait.
    pub fn new() -> Self {
        Self(())
    }
}

/// Spans that are off the thread.
#[derive(Default)]
struct Kept {
    /// The actor's, while it has no thread.
    own: Vec<Entry>,
    /// The thread's, while the actor has it.
    others: Vec<Entry>,
}

/// An entered span that was exited for a while, with a reference to keep it open.
struct Entry {
    dispatch: Dispatch,
    id: Id,
}

impl Hooks for Spans {
    fn on_park(&self, saved: &mut Saved) {
        swap(saved, |kept| (&mut kept.own, &mut kept.others));
    }

    fn on_resume(&self, saved: &mut Saved) {
        swap(saved, |kept| (&mut kept.others, &mut kept.own));
    }
}

/// Takes the spans off the thread into one list, and puts those of another one on.
fn swap(saved: &mut Saved, lists: impl FnOnce(&mut Kept) -> (&mut Vec<Entry>, &mut Vec<Entry>)) {
    match saved.as_mut().and_then(|saved| saved.downcast_mut()) {
        Some(kept) => {
            let (off, on) = lists(kept);
            take_off(off);
            put_on(on);
        }
        None if is_bare() => {}
        None => {
            let mut kept = Kept::default();
            take_off(lists(&mut kept).0);
            *saved = Some(Box::new(kept));
        }
    }
}

/// Whether no span is entered on this thread.
fn is_bare() -> bool {
    get_default(|dispatch| dispatch.current_span().id().is_none())
}

/// Exits all spans that are entered on this thread, the innermost first.
fn take_off(entries: &mut Vec<Entry>) {
    // Outside `get_default`: an exit asks for the default itself, which must not be nested.
    let dispatch = get_default(Dispatch::clone);
    while let Some(id) = dispatch.current_span().id() {
        // Cloned before the exit, which may give up the last reference.
        entries.push(Entry { dispatch: dispatch.clone(), id: dispatch.clone_span(id) });
        dispatch.exit(id);
    }
}

/// Enters spans again, the outermost first.
fn put_on(entries: &mut Vec<Entry>) {
    while let Some(entry) = entries.pop() {
        entry.dispatch.enter(&entry.id);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.dispatch.try_close(self.id.clone());
    }
}
