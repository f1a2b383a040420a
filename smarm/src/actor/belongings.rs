//! What few actors have, and the others do not pay for: mailboxes that a pid reaches, values of
//! `actor_local!`, what hooks have saved, who watches its children, and the scope of its waits.
//!
//! One word in the record points to all of it, and is null for an actor that has nothing of the kind:
//!
//! | word | meaning |
//! |---|---|
//! | null | nothing so far |
//! | address | there is something |
//! | with `OVER` | the actor's closure has ended; nobody else may look any more |
//!
//! The actor itself, or its spawner before it starts, puts things there. The mailboxes alone are also
//! looked at by others, who have a pid that may be stale, under one of a few locks (by index):
//!
//! 1. A sender locks, reads the word, and then compares the generation in the slot with the pid's. If
//!    they are equal, the word is of that life: only the end of that life changes the generation.
//! 2. If the word is without `OVER`, it uses the mailboxes, and unlocks.
//! 3. The actor that ends and has something locks, sets `OVER`, takes the mailboxes out, and unlocks.
//!    What it has is freed after that.
//!
//! **No stale use**: a sender that has found the word without `OVER` holds the lock that the ending actor
//! needs before it frees. An actor that has nothing ends without the lock, and there is nothing to use.
//! The record itself can be read at any time: the top of a stack that was handed out is mapped for ever.
//!
//! Rejected: a table of all mailboxes by pid (a hash and an allocation where an address will do, and
//! every end of an actor would have to look into it).

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::park::{Interrupt, Running, Timer, own_code};
use super::record::{Record, Watcher};
use super::scope::{Scope, Subscription};
use super::slot::slot;
use crate::hooks::Saved;
use crate::pid::Pid;

/// In the word: the actor's closure has ended.
const OVER: usize = 1;

/// The word. Written by the actor, or by its spawner before it starts.
#[repr(transparent)]
pub(crate) struct Word(AtomicPtr<Belongings>);

/// See the module doc. All but `mailboxes` is the actor's alone.
#[derive(Default)]
#[repr(align(2))]
pub(crate) struct Belongings {
    /// Used under the lock of the actor's index.
    mailboxes: UnsafeCell<Vec<Mailbox>>,
    locals: RefCell<Vec<Local>>,
    /// Who is told of the ends of actors that this one spawns.
    children: RefCell<Option<Arc<dyn Watcher>>>,
    /// What its waits are in.
    scope: RefCell<Option<Arc<Scope>>>,
    /// Wakes it at the deadline of its scope, once it has waited there.
    timer: RefCell<Option<Timer>>,
    /// To the tokens of a scope that it has inherited.
    subscriptions: RefCell<Vec<Subscription>>,
    /// What the runtime's hooks have saved of the actor's context.
    pub(super) saved: Cell<Saved>,
}

/// The way into one mailbox: the type of its messages, and a sender of them.
pub(crate) type Mailbox = (TypeId, Box<dyn Any + Send + Sync>);

/// Names a value that actors have: the address of its declaration, and its type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(NonNull<()>, TypeId);

impl Key {
    pub(crate) fn new(declaration: NonNull<()>, of: TypeId) -> Self {
        Self(declaration, of)
    }
}

/// A value of `actor_local!`; none once it was dropped. It stays where it is in memory until then.
struct Local {
    key: Key,
    value: Option<Box<dyn Any>>,
}

/// What an actor has under a key.
pub(crate) enum Kept {
    Absent,
    /// It was there, and has been dropped.
    Gone,
    /// Where the value is.
    There(NonNull<()>),
}

impl Word {
    /// Begins a life. By the spawner; others may be looking, with a stale pid.
    #[inline(always)]
    pub(super) fn clear(&self) {
        self.0.store(ptr::null_mut(), Relaxed);
    }

    /// What the actor has. By the actor, or whoever owns its stack.
    #[inline(always)]
    pub(crate) fn belongings(&self) -> Option<&Belongings> {
        let word = self.0.load(Relaxed);
        // SAFETY: without its flag the word is null or the address of what `make` has leaked, which lives
        // until the word is dropped.
        unsafe { word.map_addr(|address| address & !OVER).as_ref() }
    }

    /// Whether the actor's closure has ended.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Relaxed).addr() & OVER != 0
    }

    /// What the actor has, or a place for it. By whoever owns its stack.
    pub(crate) fn make(&self) -> &Belongings {
        if let Some(belongings) = self.belongings() {
            return belongings;
        }
        // A yield at the allocation would call hooks, which may come here, too.
        let _own_code = own_code();
        let fresh = Box::into_raw(Box::<Belongings>::default());
        let over = self.0.load(Relaxed).addr() & OVER;
        // Release: pairs with `visit`.
        self.0.store(fresh.map_addr(|address| address | over), Release);
        // SAFETY: as in `belongings`.
        unsafe { &*fresh }
    }

    /// Step 3 for an actor that has nothing: says whether that is so. By the actor, when its closure has
    /// ended.
    #[inline(always)]
    pub(crate) fn end_if_none(&self) -> bool {
        let none = self.0.load(Relaxed).is_null();
        if none {
            // Release: whoever knows that the actor has ended sees it.
            self.0.store(ptr::without_provenance_mut(OVER), Release);
        }
        none
    }

    /// Step 3, but for freeing. By the actor, when its closure has ended.
    pub(crate) fn end(&self, pid: Pid) {
        let belongings = self.make();
        // Nobody makes the actor yield under the lock.
        let own_code = own_code();
        let guard = lock(pid);
        self.0.store(self.0.load(Relaxed).map_addr(|address| address | OVER), Release);
        // SAFETY: under the lock.
        let mailboxes = mem::take(unsafe { &mut *belongings.mailboxes.get() });
        drop(guard);
        drop(own_code);
        drop(mailboxes);
        drop(belongings.subscriptions.take());
        drop(belongings.set_scope(None));
    }
}

impl Drop for Word {
    #[inline(always)]
    fn drop(&mut self) {
        if self.belongings().is_some() {
            free(&self.0);
        }
    }
}

#[cold]
fn free(word: &AtomicPtr<Belongings>) {
    let belongings = word.load(Relaxed).map_addr(|address| address & !OVER);
    // SAFETY: leaked by `make`, and freed once, by the drop of its word. Nobody else looks at it, as its
    // actor has ended (step 3).
    drop(unsafe { Box::from_raw(belongings) });
}

/// Values of `actor_local!`. No borrow of the list lasts while code of others runs.
impl Belongings {
    /// Looks for a value.
    pub(crate) fn find(&self, key: Key) -> Kept {
        let locals = self.locals.borrow();
        match locals.iter().find(|local| local.key == key) {
            None => Kept::Absent,
            Some(Local { value: None, .. }) => Kept::Gone,
            Some(Local { value: Some(value), .. }) => Kept::There(NonNull::from(&**value).cast()),
        }
    }

    /// Keeps a value that is not there yet, whose type is the key's, and says where.
    pub(crate) fn keep(&self, key: Key, value: Box<dyn Any>) -> NonNull<()> {
        let _own_code = own_code(); // as in `make`
        let mut locals = self.locals.borrow_mut();
        locals.push(Local { key, value: Some(value) });
        // Only now, as a box that moves has no references to what is in it.
        let kept = locals.last().and_then(|local| local.value.as_deref()).expect("it was pushed");
        NonNull::from(kept).cast()
    }

    /// Takes the newest value that is left, to be dropped.
    pub(crate) fn take_last(&self) -> Option<Box<dyn Any>> {
        self.locals.borrow_mut().iter_mut().rev().find_map(|local| local.value.take())
    }
}

impl Belongings {
    /// Who is told of the ends of actors that this one spawns, if somebody is.
    pub(super) fn watcher_of_children(&self) -> Option<Arc<dyn Watcher>> {
        self.children.borrow().clone()
    }

    /// Has `watcher` told of them. Gives the one of before.
    pub(super) fn watch_children(&self, watcher: Arc<dyn Watcher>) -> Option<Arc<dyn Watcher>> {
        self.children.replace(Some(watcher))
    }

    /// The scope of the actor's waits, if they are in one.
    pub(crate) fn scope(&self) -> Option<Arc<Scope>> {
        self.scope.borrow().clone()
    }

    /// Whether that scope is over, and how. Sets the timer for its deadline, the first time.
    pub(super) fn scope_over(&self, actor: Running) -> Option<Interrupt> {
        let scope = self.scope.borrow();
        let scope = scope.as_ref()?;
        if scope.is_cancelled() {
            return Some(Interrupt::Cancelled);
        }
        let mut timer = self.timer.borrow_mut();
        let over = timer.get_or_insert_with(|| Timer::new(actor)).is_over(scope.deadline());
        over.then_some(Interrupt::TimedOut)
    }

    /// Puts the actor's waits into another scope, and gives the one of before. The mark in the state word is
    /// the caller's affair.
    pub(super) fn set_scope(&self, scope: Option<Arc<Scope>>) -> Option<Arc<Scope>> {
        drop(self.timer.take());
        self.scope.replace(scope)
    }

    /// Gives the scope to an actor that has not started, and has those subscriptions.
    pub(super) fn inherit(&self, scope: Arc<Scope>, subscriptions: Vec<Subscription>) {
        self.scope.replace(Some(scope));
        self.subscriptions.replace(subscriptions);
    }

    /// Changes the mailboxes of the actor, which is the caller or has not started. `f` runs no foreign
    /// code.
    pub(crate) fn with_mailboxes<R>(&self, pid: Pid, f: impl FnOnce(&mut Vec<Mailbox>) -> R) -> R {
        // Nobody makes the actor yield under the lock.
        let _own_code = own_code();
        let _guard = lock(pid);
        // SAFETY: under the lock.
        f(unsafe { &mut *self.mailboxes.get() })
    }
}

/// Steps 1 and 2: calls `f` with the mailboxes of the actor with this pid; with `None` if its closure
/// has ended. `f` runs no foreign code.
pub(crate) fn visit<R>(pid: Pid, f: impl FnOnce(Option<&[Mailbox]>) -> R) -> R {
    let _own_code = own_code();
    let _guard = lock(pid);
    // SAFETY: the top of a stack that was handed out is mapped for ever, and the word is atomic.
    let word = unsafe { &(*Record::at(pid.index())).belongings }.0.load(Acquire);
    // After the word. Pairs with the Release with which the life ends.
    let state = slot(pid.index()).state.load();
    if state.generation() != pid.generation() || !state.live() || word.addr() & OVER != 0 {
        return f(None);
    }
    // SAFETY: the word is of this life, which has not ended, and cannot while the lock is held (module
    // doc). Only `mailboxes` is touched, under the lock.
    f(Some(unsafe { word.as_ref().map_or(&[], |belongings| &*belongings.mailboxes.get()) }))
}

/// So many actors share one lock.
const LOCKS: usize = 64;

#[repr(align(64))]
struct Lock(Mutex<()>);

static TABLE: [Lock; LOCKS] = [const { Lock(Mutex::new(())) }; LOCKS];

fn lock(pid: Pid) -> MutexGuard<'static, ()> {
    // Nothing panics under the lock.
    TABLE[pid.index() as usize % LOCKS].0.lock().unwrap_or_else(PoisonError::into_inner)
}
