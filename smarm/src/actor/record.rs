//! What an actor carries besides its stack: name, watcher, closure.
//!
//! ```text
//!   top of the stack
//!     colour      0 to 15 pairs of cache lines, by index, so that the hot lines of many actors do not
//!                 share the same cache sets
//!     Record
//!     closure     written by the spawner, moved out by the actor
//!     frames      the first ones share the page with the above
//! ```

use std::cell::Cell;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::belongings::{Belongings, Word};
use super::local::Local;
use super::scope::Scope;
use super::slot::slot;
use super::waker::waker;
use crate::pid::Pid;
use crate::stack::area;

/// How an actor ended, for those who watch it.
#[derive(Debug)]
pub(crate) enum End<'a> {
    /// Its closure returned.
    Returned,
    /// It unwound because somebody killed it.
    Killed,
    /// It panicked.
    Panicked {
        /// The text of the panic, if it has one.
        message: &'a str,
        /// File, line and column, if the panic hook saw them.
        place: Option<&'a str>,
    },
}

/// Somebody who is told how an actor ended.
pub(crate) trait Watcher: Send + Sync {
    /// Called on the ending actor's own stack, after its closure is gone. Says whether anybody
    /// takes notice.
    fn ended(&self, pid: Pid, name: Option<&str>, end: &End<'_>) -> bool;
}

/// How many places records start at.
const COLOURS: usize = 16;

/// The visible part of a name, which other threads may read at any time.
const VISIBLE: usize = 32;

/// An actor's control block, at the top of its stack. Only the actor itself touches it, or its
/// spawner before; but for `visible` and `belongings`.
///
/// What the end of an actor looks at is one cache line: with very many actors it is cold by then.
#[repr(C, align(64))]
pub(crate) struct Record {
    pub(crate) name: Option<Box<str>>,
    pub(crate) watcher: Option<Arc<dyn Watcher>>,
    /// Where the last panic came from.
    pub(crate) place: Cell<Option<Box<str>>>,
    /// What few actors have.
    pub(crate) belongings: Word,
    /// The actor is parked in a destructor while it unwinds.
    pub(crate) parked_unwinding: Cell<bool>,
    /// The actor knows that it is to unwind, and waits all the same: in a destructor.
    pub(crate) ignores_kill: Cell<bool>,
    /// The allocator may make this actor yield.
    pub(crate) preemptible: Cell<bool>,
    /// Actors that this one spawns get something from it: its watch, or its scope.
    bequeaths: Cell<bool>,
    pub(crate) pid: Pid,
    /// Moves the closure out, runs or drops it, and delivers the result.
    pub(crate) run: unsafe fn(*mut Self, killed: bool),
    /// How many `preempt::disable` guards it holds.
    pub(crate) undisturbed: Cell<u32>,
    /// The first bytes of the name, for reports from other threads and from signal handlers.
    visible: [AtomicU64; VISIBLE / 8],
}

const _: () = assert!(offset_of!(Record, pid) == 64);

impl Record {
    /// Where the record of the stack with this index stands.
    #[inline(always)]
    pub(crate) fn at(index: u32) -> *mut Self {
        let top = area::bounds(index).end;
        let colour = (index as usize % COLOURS) * 128;
        std::ptr::with_exposed_provenance_mut(top - colour - size_of::<Self>())
    }

    /// Writes the record of a new actor, which the calling actor watches if it has a mailbox, and which
    /// inherits its scope.
    ///
    /// # Safety
    /// `at` is where the record of an unused stack belongs, and the stack is the caller's.
    #[inline(always)]
    pub(crate) unsafe fn write(
        at: *mut Self,
        pid: Pid,
        run: unsafe fn(*mut Self, bool),
        name: Option<Box<str>>,
    ) {
        // Field by field: a whole that is built elsewhere would be copied right after it was written
        // in parts, which stalls.
        // SAFETY: by the caller.
        unsafe {
            match &name {
                // The first byte ends the name; what the last actor left behind it does no harm.
                None => (*at).visible[0].store(0, Relaxed),
                Some(name) => (&raw mut (*at).visible).write(visible(name)),
            }
            (&raw mut (*at).pid).write(pid);
            (&raw mut (*at).name).write(name);
            (&raw mut (*at).run).write(run);
            (&raw mut (*at).watcher).write(None);
            (&raw mut (*at).bequeaths).write(Cell::new(false));
            (&raw mut (*at).place).write(Cell::new(None));
            (&raw mut (*at).parked_unwinding).write(Cell::new(false));
            (&raw mut (*at).ignores_kill).write(Cell::new(false));
            (&raw mut (*at).preemptible).write(Cell::new(false));
            (&raw mut (*at).undisturbed).write(Cell::new(0));
            (*at).belongings.clear();
            with_current(|parent| match parent {
                Some(parent) if parent.bequeaths.get() => Self::inherit(at, parent),
                _ => {}
            });
        }
    }

    /// Gives a new actor what its parent has for it.
    ///
    /// # Safety
    /// As for [`write`](Self::write), which has written all else.
    #[cold]
    unsafe fn inherit(at: *mut Self, parent: &Self) {
        let theirs = parent.belongings.belongings();
        let watcher = theirs.and_then(Belongings::watcher_of_children);
        // SAFETY: by the caller. Others may be looking at the belongings, so there is no exclusive reference.
        let child = unsafe {
            (&raw mut (*at).watcher).write(watcher);
            &*at
        };
        if let Some(scope) = theirs.and_then(Belongings::scope) {
            child.put_into(scope);
        }
    }

    /// Puts a new actor into a scope for life. By its spawner, before anybody else knows of the actor.
    pub(crate) fn put_into(&self, scope: Arc<Scope>) {
        let subscriptions = scope.subscribe_to_all(&waker(self.pid));
        self.belongings.make().inherit(scope, subscriptions);
        self.bequeaths.set(true);
        slot(self.pid.index()).state.set_scoped(true);
    }

    /// Puts the waits of the running actor, whose record this is, into another scope. Gives the one of before.
    pub(super) fn set_scope(&self, scope: Option<Arc<Scope>>) -> Option<Arc<Scope>> {
        if scope.is_none() && self.belongings.belongings().is_none() {
            return None;
        }
        self.bequeaths.set(true); // from now on a spawn has to look
        slot(self.pid.index()).state.set_scoped(scope.is_some());
        self.belongings.make().set_scope(scope)
    }

    /// From now on `watcher` is told of the ends of actors that this one spawns.
    pub(crate) fn set_mailbox(&self, watcher: Arc<dyn Watcher>) {
        let earlier = self.belongings.make().watch_children(watcher);
        self.bequeaths.set(true);
        drop(earlier);
    }

    /// Reads the beginning of the name of whoever lives at `index`, from any thread or signal
    /// handler. What it gives is right if the actor has not ended meanwhile, and harmless if it has.
    pub(crate) fn visible_name(index: u32, out: &mut [u8; VISIBLE]) -> usize {
        // SAFETY: the top of a stack that was handed out is mapped for ever, and `visible` is
        // atomic, so a racing writer cannot make this undefined. Any bit pattern is an integer.
        let words = unsafe { &(*Self::at(index)).visible };
        for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        out.iter().position(|&byte| byte == 0).unwrap_or(VISIBLE)
    }
}

#[cold]
fn visible(name: &str) -> [AtomicU64; VISIBLE / 8] {
    let mut end = name.len().min(VISIBLE);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    std::array::from_fn(|word| {
        let mut bytes = [0; 8];
        for (byte, from) in bytes.iter_mut().zip(name.as_bytes()[..end].iter().skip(word * 8)) {
            *byte = *from;
        }
        AtomicU64::new(u64::from_ne_bytes(bytes))
    })
}

/// Runs `f` with the record of the running actor, if the caller is one.
#[inline(always)]
pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Record>) -> R) -> R {
    // SAFETY: the record of the running actor is alive until its closure has ended, and only the
    // actor itself touches it.
    f(Local::running().map(|(_, slot)| unsafe { &*slot.record() }))
}
