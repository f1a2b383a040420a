//! The switch for Miri, which cannot follow one from stack to stack: each flow is an OS thread. Of those of a worker
//! one goes on at a time, the others wait for their turn; what smarm keeps in thread-locals goes with the turn
//! ([`flows`]). So Miri sees everything but the switch itself: slots, records, closures on stacks, queues, wakes.
//!
//! A flow's frames are on its thread's stack. On the actor's own there are its closure and its record, as ever.

use std::cell::{OnceCell, RefCell};
use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use crate::primitive::flows;

/// Where a suspended flow of control goes on: which thread waits.
#[derive(Debug)]
pub(crate) struct Context(RefCell<Option<Arc<Flow>>>);

/// A flow, and the turn that it waits for.
#[derive(Debug, Default)]
struct Flow {
    /// The number of the thread in whose name the flow goes on, once it may.
    turn: Mutex<Option<u64>>,
    given: Condvar,
    /// The thread of a flow that was made by [`Context::entry`].
    thread: Mutex<Option<JoinHandle<()>>>,
}

thread_local! {
    static HERE: OnceCell<Arc<Flow>> = const { OnceCell::new() };
}

impl Flow {
    /// That of the calling thread.
    fn here() -> Arc<Flow> {
        HERE.with(|here| here.get_or_init(Arc::default).clone())
    }

    fn wait(&self) {
        let mut turn = self.turn.lock().expect("never poisoned");
        while turn.is_none() {
            turn = self.given.wait(turn).expect("never poisoned");
        }
        flows::go_on_as(turn.take().expect("it was there"));
    }

    fn resume(&self) {
        *self.turn.lock().expect("never poisoned") = Some(flows::current());
        self.given.notify_one();
    }
}

/// What a new flow does.
struct Entry {
    function: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
}

// SAFETY: the spawner hands the argument over with the actor, which goes on in one flow at a time.
unsafe impl Send for Entry {}

impl Context {
    /// A context that is only ever switched away from first.
    pub(crate) const EMPTY: Self = Self(RefCell::new(None));

    /// A flow that calls `function(argument)`. When that returns, after [`switch_for_ever`], it has ended.
    pub(crate) fn entry(
        _top: *mut u8,
        function: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    ) -> Self {
        let flow = Arc::new(Flow::default());
        let (entry, own) = (Entry { function, argument }, flow.clone());
        let thread = thread::spawn(move || {
            let Entry { function, argument } = { entry };
            HERE.with(|here| here.set(own.clone()).expect("the thread is new"));
            own.wait();
            // SAFETY: whoever has resumed the flow vouches for the function and its argument.
            unsafe { function(argument) };
        });
        *flow.thread.lock().expect("never poisoned") = Some(thread);
        Self(RefCell::new(Some(flow)))
    }

    /// Forgets a flow that has ended. From another one.
    pub(crate) fn retire(&self) {
        let flow = self.0.take().expect("smarm bug: a flow that never was has ended");
        let thread = flow.thread.lock().expect("never poisoned").take();
        thread.expect("only threads of flows end").join().expect("flows do not unwind");
    }

    /// No address of the actor's stack: it has no frames.
    pub(crate) fn stack_pointer(&self) -> usize {
        0
    }

    fn flow(&self) -> Arc<Flow> {
        self.0.borrow().clone().expect("smarm bug: a switch to nowhere")
    }
}

/// Suspends the running flow into `from` and resumes `to`. Returns when somebody resumes `from`.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn switch(from: *mut Context, to: *const Context) {
    let here = Flow::here();
    // SAFETY: both are valid by the caller, and nobody else uses them before the turn is given away.
    let next = unsafe {
        (*from).0.replace(Some(here.clone()));
        (*to).flow()
    };
    next.resume();
    here.wait();
}

/// Leaves the running flow for ever and resumes `to`. The caller is to do nothing more.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn switch_for_ever(_from: *mut Context, to: *const Context) {
    // SAFETY: as in `switch`.
    unsafe { (*to).flow() }.resume();
}

/// To be called first in each new flow.
pub(crate) fn begun() {}

/// To be called last in each flow, after [`switch_for_ever`]: its thread ends.
pub(crate) fn over() {}

/// Nothing is fetched.
pub(crate) fn prefetch(_address: *const u8) {}

/// Calls `function(argument)`, on the running flow's thread.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn call_on(
    _on: &Context,
    function: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
) {
    // SAFETY: passed on.
    unsafe { function(argument) };
}

/// No address of an actor's stack.
pub(crate) fn stack_pointer() -> usize {
    0
}
