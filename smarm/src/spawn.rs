//! Spawning actors.
//!
//! 1. The spawner takes a stack, and with it a slot and a pid; it writes the record and the closure
//!    to the top of the stack.
//! 2. It hands the new actor to any worker (deque or injector), or to a certain one (its inbox).
//! 3. The worker that starts it keeps it: from then on it never changes thread, which is why
//!    [`spawn`] is a safe function.
//! 4. The actor moves its closure out, runs it up to a `catch_unwind`, sends the result to its
//!    handle, and drops its record. Its last switch gives stack and slot back at once.

mod body;

use std::fmt;
use std::sync::Arc;

pub(crate) use self::body::Outlet;
use self::body::{create, join_handle, refuse};
use crate::actor::park;
use crate::actor::record::Record;
use crate::actor::slot::{self, Slot};
use crate::config::{self, StackSizeError};
use crate::join::JoinHandle;
use crate::pid::Pid;
use crate::runtime::Handle;
use crate::scheduler::core::{self, Core};
use crate::scheduler::shared::Shared;
use crate::scheduler::worker;
use crate::stack::StackError;
use crate::stack::area::Area;
use crate::stack::pool;

/// Starts an actor that runs `f`, on whichever worker takes it first.
///
/// Dropping the handle detaches the actor. An actor that panics while nobody can learn of it is
/// logged to standard error with its pid, name and place. While the runtime shuts down, nothing is
/// started: `f` is dropped, and the handle gives [`JoinError::Killed`](crate::JoinError::Killed).
///
/// # Panics
/// Outside a runtime, and if there is no stack for the actor; [`Builder::spawn`] gives these as
/// errors.
///
/// ```
/// smarm::run(|| {
///     let child = smarm::spawn(|| 6 * 7);
///     assert_eq!(child.join().unwrap(), 42);
/// });
/// ```
#[track_caller]
#[inline]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    park::chaos_point();
    let Some(core) = core::current() else { fail_to_spawn(SpawnError::NoRuntime) };
    let slot = match core.acquire(core.shared.settings.area) {
        Ok(slot) => slot,
        Err(error) => fail_to_spawn(SpawnError::Stack(error)),
    };
    if core.shared.stopping() {
        return refuse(slot, &core.shared, f, join_handle);
    }
    // SAFETY: `Send` and `'static`; the stack was just acquired.
    let handle = unsafe { create(slot, None, f, join_handle, |_| ()) };
    core.offer(slot);
    park::yield_if_overdue();
    handle
}

/// Starts an actor on this very worker. So neither its closure nor its result need be `Send`.
///
/// # Panics
/// If the caller runs on no worker's thread, or if there is no stack; [`Builder::spawn_local`]
/// gives these as errors.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
///
/// smarm::run(|| {
///     let shared = Rc::new(Cell::new(1));
///     let theirs = shared.clone();
///     smarm::spawn_local(move || theirs.set(2)).join().unwrap();
///     assert_eq!(shared.get(), 2);
/// });
/// ```
#[track_caller]
pub fn spawn_local<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    Builder::new().spawn_local(f).unwrap_or_else(|error| fail_to_spawn(error))
}

#[cold]
#[track_caller]
fn fail_to_spawn(error: SpawnError) -> ! {
    panic!("smarm: {error}")
}

/// Why an actor could not be spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// The calling thread belongs to no runtime.
    NoRuntime,
    /// The builder asks for a stack size that no stack can have.
    StackSize(StackSizeError),
    /// There is no stack; the cause says which limit to raise.
    Stack(StackError),
    /// The runtime has no worker with the number that the builder asks for.
    NoSuchWorker {
        /// The number asked for.
        worker: usize,
        /// How many workers there are.
        workers: usize,
    },
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str(
                "spawn was called outside a runtime: call it in an actor (`smarm::run`, `Runtime::run`), \
                 or use `Runtime::spawn` or `Handle::spawn`",
            ),
            Self::StackSize(error) => error.fmt(f),
            Self::Stack(error) => write!(f, "no stack for another actor: {error}"),
            Self::NoSuchWorker { worker, workers } => {
                write!(f, "worker {worker} was asked for, but the runtime has {workers}, counted from 0")
            }
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::StackSize(error) => Some(error),
            Self::Stack(error) => Some(error),
            _ => None,
        }
    }
}

/// Sets what an actor is like before it is spawned.
///
/// ```
/// smarm::run(|| {
///     let child = smarm::Builder::new().name("reader").stack_size(64 << 10).spawn(|| 1).unwrap();
///     assert_eq!(child.join().unwrap(), 1);
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    name: Option<Box<str>>,
    stack_size: Option<usize>,
    worker: Option<usize>,
    runtime: Option<Handle>,
}

impl Builder {
    /// An actor without a name, with the runtime's stack size, on any worker of the caller's runtime.
    pub const fn new() -> Self {
        Self { name: None, stack_size: None, worker: None, runtime: None }
    }

    /// Names the actor, for reports.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// The usable bytes of its stack: a multiple of 4096 from 16 KiB to 64 MiB, rounded up to a
    /// power of two.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts it on the worker with this number, counted from 0.
    pub fn worker(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Spawns it on this runtime instead of the caller's.
    pub fn runtime(mut self, handle: &Handle) -> Self {
        self.runtime = Some(handle.clone());
        self
    }

    /// Spawns it on this runtime, if none was asked for.
    pub(crate) fn runtime_unless_set(self, handle: &Handle) -> Self {
        if self.runtime.is_some() { self } else { self.runtime(handle) }
    }

    /// Spawns the actor. See [`spawn`](crate::spawn).
    ///
    /// # Errors
    /// Outside a runtime; for a stack size or a worker that there is not; when there is no stack.
    #[inline]
    pub fn spawn<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: `Send` and `'static`.
        unsafe { self.spawn_unchecked(f, |_| ()) }
    }

    /// Spawns the actor on this very worker. See [`spawn_local`](crate::spawn_local).
    ///
    /// # Errors
    /// If the caller is on no worker's thread, or on one of another runtime than the builder asks
    /// for; for a stack size that there is not; when there is no stack.
    pub fn spawn_local<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let core = self.own_core().ok_or(SpawnError::NoRuntime)?;
        let slot = core.acquire(self.area(&core.shared)?).map_err(SpawnError::Stack)?;
        if core.shared.stopping() {
            return Ok(refuse(slot, &core.shared, f, join_handle));
        }
        // SAFETY: `'static`, and `keep` ties it to this thread; the stack was acquired above.
        let handle = unsafe { create(slot, self.name, f, join_handle, |_| ()) };
        core.keep(slot);
        Ok(handle)
    }

    /// The worker of this thread, if it belongs to the runtime that is asked for.
    #[inline(always)]
    fn own_core(&self) -> Option<&'static Core> {
        let core = core::current()?;
        match &self.runtime {
            Some(handle) if !handle.is(&core.shared) => None,
            _ => Some(core),
        }
    }

    #[inline(always)]
    fn area(&self, shared: &Shared) -> Result<Area, SpawnError> {
        match self.stack_size {
            None => Ok(shared.settings.area),
            Some(bytes) => config::area(bytes, shared.settings.guard).map_err(SpawnError::StackSize),
        }
    }

    /// As [`spawn`](Self::spawn) for what the compiler cannot see to be `Send` and `'static`. `prepare` is
    /// called with the actor's record before anybody else knows of the actor; not called for one that is
    /// refused.
    ///
    /// # Safety
    /// `f` and its result may be sent to another thread, and what they borrow outlives the actor.
    #[inline(always)]
    pub(crate) unsafe fn spawn_unchecked<F, T>(
        self,
        f: F,
        prepare: impl FnOnce(&Record),
    ) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T,
    {
        // SAFETY: passed on.
        unsafe { self.spawn_into(f, join_handle, prepare) }
    }

    /// As [`spawn_unchecked`](Self::spawn_unchecked), with an outlet for the actor's ending. `connect` makes that,
    /// and what the spawner gets for it.
    ///
    /// # Safety
    /// As for [`spawn_unchecked`](Self::spawn_unchecked), of the outlet, too.
    #[inline(always)]
    pub(crate) unsafe fn spawn_into<F, T, O, H>(
        mut self,
        f: F,
        connect: impl FnOnce(Pid) -> (O, H),
        prepare: impl FnOnce(&Record),
    ) -> Result<H, SpawnError>
    where
        F: FnOnce() -> T,
        O: Outlet<T>,
    {
        let name = self.name.take();
        let (slot, way) = self.find_stack()?;
        if let Way::Refused(shared) = way {
            return Ok(refuse(slot, shared, f, connect));
        }
        // SAFETY: passed on; the stack was acquired for this.
        let handle = unsafe { create(slot, name, f, connect, prepare) };
        way.send_off(self.worker, slot);
        Ok(handle)
    }

    /// Takes a stack for an actor of the runtime that is asked for, and finds out how the actor gets to a worker.
    // Here and below: one function for closures of all types. In line, as in `spawn`, it is a tenth faster, but code that is
    // compiled for each call.
    fn find_stack(&self) -> Result<(&'static Slot, Way<'_>), SpawnError> {
        park::chaos_point();
        let (Some(core), None) = (self.own_core(), self.worker) else { return self.find_stack_outside() };
        let slot = core.acquire(self.area(&core.shared)?).map_err(SpawnError::Stack)?;
        Ok((slot, if core.shared.stopping() { Way::Refused(&core.shared) } else { Way::Own(core) }))
    }

    #[cold]
    fn find_stack_outside(&self) -> Result<(&'static Slot, Way<'_>), SpawnError> {
        let own = core::current().map(|core| &core.shared);
        let shared = self.runtime.as_ref().map(Handle::shared).or(own).ok_or(SpawnError::NoRuntime)?;
        if let Some(worker) = self.worker
            && worker >= shared.homes.len()
        {
            return Err(SpawnError::NoSuchWorker { worker, workers: shared.homes.len() });
        }
        let slot = acquire_shared(self.area(shared)?).map_err(SpawnError::Stack)?;
        Ok((slot, if shared.admit_outside() { Way::Outside(shared) } else { Way::Refused(shared) }))
    }
}

/// How a new actor gets to a worker.
enum Way<'a> {
    /// By the worker of this thread.
    Own(&'static Core),
    /// From a thread without the right worker.
    Outside(&'a Arc<Shared>),
    /// Not at all: the runtime shuts down.
    Refused(&'a Shared),
}

impl Way<'_> {
    /// Hands a new actor over.
    fn send_off(self, worker: Option<usize>, slot: &'static Slot) {
        match self {
            Way::Own(core) => {
                core.offer(slot);
                park::yield_if_overdue();
            }
            Way::Outside(shared) => {
                match worker {
                    Some(worker) => shared.send(worker, slot),
                    None => shared.inject(slot.index()),
                }
                if shared.stopping() {
                    worker::take_care(shared); // all may have gone since it was admitted
                }
            }
            Way::Refused(_) => unreachable!("an actor that is refused is not made"),
        }
    }
}

/// Takes a stack and a slot for an actor that a thread without the right worker spawns.
fn acquire_shared(area: Area) -> Result<&'static Slot, StackError> {
    let index = pool::acquire_shared(area)?;
    slot::prepare(index).inspect_err(|_| {
        // SAFETY: acquired above, and nothing was put there.
        unsafe { pool::release_shared(index) }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Duration;

    use super::Builder;
    use crate::host::Turn;
    use crate::runtime::Handle;
    use crate::scheduler::worker::Worker;
    use crate::{Config, JoinTimeoutError, runtime};

    #[test]
    fn a_slot_is_never_used_again_after_its_last_generation() {
        const LAST: u64 = 3;
        let config = Config::exact(1).stack_size(8 << 20).mprotect_guards(true).last_generation(LAST);
        let lives = runtime::init(config).run(|| {
            let mut lives: HashMap<u32, Vec<u64>> = HashMap::new();
            for _ in 0..200 {
                let child = crate::spawn(|| ());
                let pid = child.pid();
                child.join().unwrap();
                lives.entry(pid.index()).or_default().push(pid.generation());
            }
            lives
        });
        assert!(lives.len() >= 200 / (LAST as usize + 1));
        for generations in lives.values() {
            assert!(generations.is_sorted_by(|a, b| a < b), "no generation comes twice");
            assert!(*generations.last().unwrap() <= LAST);
        }
    }

    /// Spawns while `meanwhile` takes place, and looks what has become of the actor after `then`.
    #[track_caller]
    fn is_killed_unrun(
        handle: &Handle,
        worker: Option<usize>,
        meanwhile: impl FnOnce(),
        then: impl FnOnce(),
    ) {
        let held = Arc::new(());
        let theirs = held.clone();
        let builder = Builder { worker, ..Builder::new().runtime(handle) };
        // SAFETY: the closure is `Send` and borrows nothing.
        let spawned = unsafe {
            builder.spawn_unchecked(
                move || {
                    drop(theirs);
                    unreachable!("killed before it begins")
                },
                |_| meanwhile(),
            )
        };
        let actor: crate::JoinHandle<()> = spawned.unwrap();
        then();
        match actor.join_timeout(Duration::from_secs(10)) {
            Err(JoinTimeoutError::Ended(error)) => assert!(error.is_killed(), "{error:?}"),
            other => panic!("it should have been killed: {other:?}"),
        }
        assert_eq!(Arc::strong_count(&held), 1, "its closure was dropped");
    }

    fn end(mut worker: Worker) {
        let ended = (0..1000).any(|_| worker.poll_turn(Waker::noop()) == Turn::Done);
        assert!(ended, "it has nothing to wait for");
    }

    #[test]
    fn an_actor_for_a_worker_that_goes_meanwhile_ends_on_another() {
        let (runtime, mut workers) = runtime::detached(Config::exact(2)).unwrap();
        let (second, first) = (workers.pop().unwrap(), workers.pop().unwrap());
        is_killed_unrun(&runtime.handle(), Some(1), || drop(second), || end(first));
    }

    #[test]
    fn an_actor_that_is_spawned_while_all_workers_go_ends_with_its_spawner() {
        for (count, worker) in [(1, Some(0)), (1, None), (2, Some(0)), (2, Some(1)), (2, None)] {
            let (runtime, workers) = runtime::detached(Config::exact(count)).unwrap();
            is_killed_unrun(&runtime.handle(), worker, || drop(workers), || ());
        }
    }
}
