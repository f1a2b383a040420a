//! What smarm adds to the process's panic hook: it remembers where an actor panicked, keeps the hook from
//! leaving the actor's stack, and names the actor whose panic ends the process.
//!
//! Installed once per process, around the hook that stands at that time, which is then called. A
//! program that replaces the hook later loses the places in smarm's reports.

use std::io::{Write, stderr};
use std::panic;
use std::sync::Once;
use std::thread;

use super::local::{Local, Place};
use super::record::Record;
use crate::chaos;

/// The panics with which std ends the process, because unwinding has come to where it cannot go on: a
/// destructor that panicked while another panic unwound, or a function that promises not to unwind.
const LAST_WORDS: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// Says on whose behalf the thread runs that is about to end the process.
#[cold]
fn name_the_actor() {
    let Some(actor) = Local::current().and_then(Local::on_behalf_of) else { return };
    let mut name = [0; 32];
    let length = Record::visible_name(actor.index(), &mut name);
    let name = String::from_utf8_lossy(&name[..length]);
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(
        stderr(),
        "smarm: actor {} \"{name}\" panicked where no panic can be caught; the process ends",
        actor.pid()
    );
}

/// Wraps the process's panic hook, the first time.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    // The hook cannot be changed by a thread that panics; a later runtime then does it.
    if thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let inner = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(text) = info.payload().downcast_ref::<&str>()
                && LAST_WORDS.contains(text)
            {
                name_the_actor();
            }
            let Some((local, actor)) = Local::running() else {
                inner(info);
                return chaos::postscript();
            };
            // SAFETY: the record of the running actor is alive, and this is its own stack.
            let record: &Record = unsafe { &*actor.record() };
            record.place.set(info.location().map(|place| place.to_string().into()));
            local.set_place(Place::InHook);
            inner(info);
            chaos::postscript();
            local.set_place(Place::Actor);
        }));
    });
}
