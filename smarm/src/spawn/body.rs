//! An actor's closure on its stack: written there by the spawner (step 1), run and its result delivered by the actor
//! itself (step 4).

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::actor::local::Local;
use crate::actor::park::{Kill, message};
use crate::actor::record::{End, Record};
use crate::actor::scope::Over;
use crate::actor::slot::Slot;
use crate::actor::state::Freed;
use crate::channel::oneshot;
use crate::context::{self, Context};
use crate::join::{Ending, Failure, JoinError, JoinHandle, Payload, Report};
use crate::pid::Pid;
use crate::scheduler::shared::Shared;
use crate::stack::pool;

/// A closure larger than this goes to the heap instead of to the actor's stack, in bytes.
const LARGEST_INLINE: usize = 1024;

/// Where an actor's ending goes.
pub(crate) trait Outlet<T> {
    /// Whether somebody learns of the panic that the actor has ended with, even if nobody joins it.
    fn learns_of_panic(&self) -> bool {
        false
    }

    /// Delivers the ending; one that nobody wants is given to `discard`, before this has ended.
    fn deliver(self, ending: Ending<T>, discard: impl FnOnce(Ending<T>));
}

impl<T> Outlet<T> for oneshot::Sender<Ending<T>> {
    #[inline(always)]
    fn deliver(self, ending: Ending<T>, discard: impl FnOnce(Ending<T>)) {
        if let Err(unwanted) = self.send(ending) {
            discard(unwanted);
        }
    }
}

/// An outlet that a join handle waits at.
#[inline(always)]
pub(super) fn join_handle<T>(pid: Pid) -> (oneshot::Sender<Ending<T>>, JoinHandle<T>) {
    let (result, receiver) = oneshot::channel();
    (result, JoinHandle::new(pid, receiver))
}

/// The closure of an actor and where its result goes.
struct Body<F, O> {
    f: F,
    outlet: O,
}

/// What comes of a spawn while the runtime shuts down: a handle of an actor that never was.
#[cold]
pub(super) fn refuse<F, T, O, H>(slot: &Slot, shared: &Shared, f: F, connect: impl FnOnce(Pid) -> (O, H)) -> H
where
    F: FnOnce() -> T,
    O: Outlet<T>,
{
    let pid = give_back(slot, shared);
    drop(f);
    let (outlet, handle) = connect(pid);
    outlet.deliver(Err(Failure::killed()), drop);
    handle
}

/// Gives a stack back that was acquired and not used. Gives the pid of the actor that would have had it.
fn give_back(slot: &Slot, shared: &Shared) -> Pid {
    let pid = Pid::new(slot.index(), slot.state.occupy());
    match slot.state.free(shared.settings.last_generation, false) {
        // SAFETY: acquired by the caller of `refuse`, and nothing was put there.
        Freed::Reusable => unsafe { pool::release_shared(slot.index()) },
        // SAFETY: as above.
        Freed::UsedUp => unsafe { pool::retire(slot.index()) },
        Freed::Posted => unreachable!("smarm bug: mail for an actor without a worker"),
    }
    pid
}

/// Step 1: makes a new actor, which is the caller's until it hands it to a worker.
///
/// # Safety
/// As for [`Builder::spawn_unchecked`](super::Builder::spawn_unchecked), unless the actor is kept on this thread; then only the part
/// about what is borrowed. The stack of the slot is unused and the caller's.
#[inline(always)]
pub(super) unsafe fn create<F, T, O, H>(
    slot: &Slot,
    name: Option<Box<str>>,
    f: F,
    connect: impl FnOnce(Pid) -> (O, H),
    prepare: impl FnOnce(&Record),
) -> H
where
    F: FnOnce() -> T,
    O: Outlet<T>,
{
    slot.seat.vacate();
    let pid = Pid::new(slot.index(), slot.state.occupy());
    let (outlet, handle) = connect(pid);
    // SAFETY: passed on.
    unsafe {
        if const { size_of::<F>() > LARGEST_INLINE } {
            let f = Box::new(f);
            place(slot, pid, name, Body { f: move || f(), outlet });
        } else {
            place(slot, pid, name, Body { f, outlet });
        }
        prepare(&*slot.record());
    }
    handle
}

/// Where the closure stands, below the record.
#[inline(always)]
fn body_at<F, O>(record: *mut Record) -> *mut Body<F, O> {
    let below = record.addr() - size_of::<Body<F, O>>();
    record.with_addr(below & !(align_of::<Body<F, O>>() - 1)).cast()
}

/// Writes record, closure and first context.
///
/// # Safety
/// The stack of the slot is unused and the caller's.
#[inline(always)]
unsafe fn place<F, T, O>(slot: &Slot, pid: Pid, name: Option<Box<str>>, body: Body<F, O>)
where
    F: FnOnce() -> T,
    O: Outlet<T>,
{
    let at = body_at::<F, O>(slot.record());
    // SAFETY: the body lies below the record, aligned, on a stack that is the caller's.
    unsafe {
        at.write(body);
        lay_out(slot, pid, run::<F, T, O>, name, at.cast());
    }
}

/// Writes record and first context above and for a closure that stands at `body`.
///
/// # Safety
/// As for [`place`].
#[inline]
unsafe fn lay_out(
    slot: &Slot,
    pid: Pid,
    run: unsafe fn(*mut Record, bool),
    name: Option<Box<str>>,
    body: *mut u8,
) {
    let record = slot.record();
    let top = body.map_addr(|address| address & !15);
    // SAFETY: the caller owns the stack, and so the context; record and body do not overlap.
    unsafe {
        Record::write(record, pid, run, name);
        slot.context.get().write(Context::entry(top, main, record.cast()));
    }
}

/// The first function on an actor's stack.
unsafe extern "C" fn main(record: *mut c_void) {
    context::begun();
    let record = record.cast::<Record>();
    let (local, slot) = Local::running().expect("smarm bug: an actor started outside its worker");
    // SAFETY: `place` wrote the record for this actor, and `run` moves the closure out once. The
    // record is dropped once, after the last use.
    unsafe {
        ((*record).run)(record, slot.state.load().killed());
        if local.hooked() {
            local.end_last_slice(slot);
        }
        record.drop_in_place();
        // Nothing on this stack is used from here on: the worker gives it back.
        local.end(slot);
    }
    context::over()
}

/// Calls the closure of an actor, in a frame of its own: where an actor goes on after a wait, what it needs then
/// lies together at the top of its stack, where it is fetched ahead.
#[inline(never)]
fn call<T>(f: impl FnOnce() -> T) -> T {
    f()
}

/// Runs the closure of an actor and delivers its result. Does not unwind.
///
/// # Safety
/// Called once, on the actor's own stack, with the record that `place::<F, T, O>` wrote.
unsafe fn run<F, T, O>(record: *mut Record, killed: bool)
where
    F: FnOnce() -> T,
    O: Outlet<T>,
{
    // SAFETY: by the caller, the body is there and has not been moved out.
    let Body { f, outlet } = unsafe { body_at::<F, O>(record).read() };
    // SAFETY: as above; only this actor touches it.
    let record = unsafe { &*record };
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        if killed {
            drop(f);
            return None;
        }
        Some(call(f))
    }));
    if !record.belongings.end_if_none() {
        end_belongings(record);
    }
    let ending = match outcome {
        Ok(Some(value)) => {
            if record.watcher.is_some() {
                tell(record, &End::Returned);
            }
            Ok(value)
        }
        Ok(None) => Err(fail(record, Box::new(Kill), &|| false)),
        Err(payload) => Err(fail(record, payload, &|| outlet.learns_of_panic())),
    };
    outlet.deliver(ending, |unwanted| discard(record, unwanted));
}

/// Drops the actor's values of `actor_local!`, whose destructors may panic and ask for further values, and
/// closes its mailboxes.
#[cold]
fn end_belongings(record: &Record) {
    let belongings = record.belongings.make();
    while let Some(value) = belongings.take_last() {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            if !payload.is::<Kill>() && !payload.is::<Over>() {
                drop(report(record, message(&*payload), record.place.take()));
            }
            std::mem::forget(payload); // its own destructor might panic, too
        }
    }
    record.belongings.end(record.pid);
}

/// Tells the watcher, if there is one, how the actor ended. Says whether it takes notice.
#[cold]
fn tell(record: &Record, end: &End<'_>) -> bool {
    record.watcher.as_ref().is_some_and(|watcher| watcher.ended(record.pid, record.name.as_deref(), end))
}

/// What an actor leaves behind that ended with this payload. `learns` says whether somebody learns of a
/// panic anyway.
#[cold]
fn fail(record: &Record, payload: Box<dyn Any + Send>, learns: &dyn Fn() -> bool) -> Box<Failure> {
    let place = record.place.take();
    if payload.is::<Kill>() || payload.is::<Over>() {
        tell(record, &End::Killed);
        return Failure::killed();
    }
    let message = message(&*payload);
    let noticed = tell(record, &End::Panicked { message, place: place.as_deref() });
    let report = (!learns() && !noticed).then(|| report(record, message, place));
    Box::new(Failure { error: JoinError::Panicked(Payload::new(payload)), report })
}

fn report(record: &Record, message: &str, place: Option<Box<str>>) -> Report {
    let (name, message) = (record.name.clone(), message.to_owned());
    Report { pid: record.pid, name, place, message, obsolete: false }
}

/// Drops what nobody wants. The drop may panic, and so may that of the panic's payload.
#[cold]
fn discard<T>(record: &Record, ending: Ending<T>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(ending))) {
        drop(report(record, message(&*payload), record.place.take()));
        std::mem::forget(payload);
    }
}
