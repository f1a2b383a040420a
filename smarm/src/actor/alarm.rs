//! What is to be done at a certain time without an actor that waits for it: to wake a task, or to send a
//! message.
//!
//! | word | meaning |
//! |---|---|
//! | action | what is done when the time has come; there until it is done or cancelled |
//! | owner | the worker in whose wheel the alarm lies: the one on whose thread it was set; else the timer thread |
//! | returned | cancelled on another thread than its owner's, and given back to that |
//!
//! 1. [`set`] puts the alarm into the wheel of the thread's worker, which is one push into a list there. A
//!    worker that had told its host when it is due next is polled again, if a task beside it did this.
//! 2. When it is due, the owner gives the wheel's entry free, takes the action out under the alarm's lock,
//!    and does it outside.
//! 3. [`Alarm::cancel`] takes the action out under the same lock: so it is either done or given back, and
//!    never both. On the owner's thread the entry goes with it. Elsewhere the empty alarm is returned; the
//!    owner releases it when the next one is set there, or when it would have been due.
//! 4. A worker that ends hands its alarms to the timer thread.
//!
//! Who holds the key of the entry is told by the alarm, under its lock: it is taken once, by whoever
//! releases the entry.
//!
//! Rejected: one wheel for the process, or a lock around each worker's. Every wait with a deadline would
//! pay for that.

#[cfg(all(test, smarm_loom))]
mod models;

use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::home::{Home, Returned};
use super::local::{Local, Place};
use super::park::{own_code, rouse};
use crate::primitive::{Mutex, MutexGuard, Step, omits};
use crate::timer::due::{Due, Owner, Ring};
use crate::timer::wheel::{Key, Wheel};
use crate::timer::{clock, elsewhere};

/// What an alarm does.
pub(crate) trait Action: Send + 'static {
    /// Does it. What could not be done is left to whoever holds the alarm.
    fn act(self) -> Option<Self>
    where
        Self: Sized;
}

/// See the module doc.
pub(crate) struct Alarm<A> {
    /// Guards what is to be done and where the entry lies. Nothing foreign runs under it.
    state: Mutex<State<A>>,
}

struct State<A> {
    action: Option<A>,
    rung: bool,
    entry: Entry,
}

impl<A> State<A> {
    fn take_key(&mut self, owner: Owner) -> Option<Key> {
        if self.entry.owner() != Some(owner) {
            return None;
        }
        mem::replace(&mut self.entry, Entry::None).into_key()
    }
}

/// Where the alarm lies.
enum Entry {
    None,
    Worker(&'static Home, Key),
    Elsewhere(Key),
}

impl Entry {
    fn owner(&self) -> Option<Owner> {
        match self {
            Entry::None => None,
            Entry::Worker(home, _) => Some(owner_of(home)),
            Entry::Elsewhere(_) => Some(Owner::ELSEWHERE),
        }
    }

    fn into_key(self) -> Option<Key> {
        match self {
            Entry::None => None,
            Entry::Worker(_, key) | Entry::Elsewhere(key) => Some(key),
        }
    }
}

fn owner_of(home: &'static Home) -> Owner {
    Owner(std::ptr::from_ref(home).addr())
}

/// Has `action` done at `deadline`; never, if that is `None`.
pub(crate) fn set<A: Action>(deadline: Option<Instant>, action: A) -> Arc<Alarm<A>> {
    let state = State { action: Some(action), rung: false, entry: Entry::None };
    let alarm = Arc::new(Alarm { state: Mutex::new(state) });
    let Some(deadline) = deadline else { return alarm };
    let deadline = clock::nanos(deadline);
    match Local::current() {
        Some(local) => local.set_alarm(deadline, &alarm),
        None => {
            let mut state = alarm.lock();
            state.entry = Entry::Elsewhere(elsewhere::set(deadline, alarm.clone()));
        }
    }
    alarm
}

impl<A: Action> Alarm<A> {
    /// Whether the time has come.
    pub(crate) fn has_rung(&self) -> bool {
        self.lock().rung
    }

    /// Changes what is to be done; `false` if the time has come.
    pub(crate) fn change(&self, change: impl FnOnce(&mut A)) -> bool {
        let mut state = self.lock();
        if state.rung {
            return false;
        }
        if let Some(action) = &mut state.action {
            change(action);
        }
        true
    }

    /// Step 3: gives the action back if it was not done, and whether its time had come.
    pub(crate) fn cancel(self: &Arc<Self>) -> (Option<A>, bool) {
        let local = Local::current();
        let mut state = self.lock();
        let action = state.action.take();
        let rung = state.rung;
        let here = match &state.entry {
            Entry::None => return (action, rung),
            Entry::Worker(home, _) => local.filter(|local| std::ptr::eq(local.home, *home)),
            Entry::Elsewhere(_) => None,
        };
        match (here, mem::replace(&mut state.entry, Entry::None)) {
            (Some(local), entry) => {
                drop(state);
                if let Some(key) = entry.into_key() {
                    local.release(key);
                }
            }
            (None, Entry::Worker(home, key)) => {
                state.entry = Entry::Worker(home, key);
                drop(state);
                home.give_back(Returned::Alarm(self.clone()));
            }
            (None, Entry::Elsewhere(key)) => {
                drop(state);
                elsewhere::release(key);
            }
            (None, Entry::None) => unreachable!("the entry was looked at above"),
        }
        (action, rung)
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Action> Ring for Alarm<A> {
    fn take_key(&self, owner: Owner) -> Option<Key> {
        self.lock().take_key(owner)
    }

    fn ring(&self, owner: Owner, release: &mut dyn FnMut(Key)) {
        let mut state = self.lock();
        let action = state.action.take();
        state.rung = action.is_some() && !omits(Step::NoteRung);
        let key = state.take_key(owner);
        drop(state);
        if let Some(key) = key {
            release(key);
        }
        if let Some(left) = action.and_then(A::act) {
            self.lock().action = Some(left);
        }
    }

    fn move_elsewhere(self: Arc<Self>, deadline: u64) {
        // The lock is held until the key is known: the timer thread, should the alarm be due, waits for it.
        let mut state = self.lock();
        // Without an action it is on its way back to this worker, who is there no longer.
        let wanted = state.action.is_some();
        state.entry =
            if wanted { Entry::Elsewhere(elsewhere::set(deadline, self.clone())) } else { Entry::None };
    }
}

impl Local {
    /// Step 1, on the worker's thread.
    fn set_alarm<A: Action>(&self, deadline: u64, alarm: &Arc<Alarm<A>>) {
        let _own_code = own_code();
        self.take_returned();
        let key = self.wheel.borrow_mut().insert(deadline, Due::Alarm(alarm.clone()));
        alarm.lock().entry = Entry::Worker(self.home, key);
        if self.place() == Place::Host {
            self.stir();
        }
    }

    /// Releases the timers that were given up elsewhere.
    #[inline(always)]
    pub(crate) fn take_returned(&self) {
        if self.home.has_returned() {
            self.release_returned();
        }
    }

    #[cold]
    fn release_returned(&self) {
        for returned in self.home.returned() {
            let key = match returned {
                Returned::Alarm(alarm) => alarm.take_key(owner_of(self.home)),
                Returned::Reminder { tenancy, key } => (tenancy == self.tenancy).then_some(key),
            };
            if let Some(key) = key {
                self.release(key);
            }
        }
    }

    /// Takes a timer out of the wheel.
    pub(super) fn release(&self, key: Key) {
        let _own_code = own_code();
        let due = self.wheel.borrow_mut().release(key);
        drop(due); // outside the borrow
    }

    /// Step 2, by the worker.
    pub(crate) fn ring(&self, alarm: Arc<dyn Ring>) {
        crate::timer::ring(alarm, owner_of(self.home), |key| self.release(key));
    }

    /// Step 4, by a worker that ends. Tasks that wait are woken, and set their timers elsewhere.
    pub(crate) fn move_alarms_elsewhere(&self) {
        let (here, there) = (self.now(), clock::now());
        let wheel = self.wheel.replace(Wheel::new(here));
        for (deadline, due) in wheel.into_pending() {
            match due {
                Due::Actor(_) => {}
                Due::Task(waker) => rouse(waker),
                Due::Alarm(alarm) => {
                    alarm.move_elsewhere(deadline.saturating_sub(here).saturating_add(there));
                }
            }
        }
        drop(self.home.returned());
    }
}
