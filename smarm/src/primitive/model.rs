//! What models share: how they are run, and how their threads wait.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::env;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::panicking;

use super::engine::sync::atomic::AtomicBool;
pub(crate) use super::engine::thread::spawn;
use super::engine::thread::{self, Thread};
use super::flaw::{Flaw, plant};

/// Tries what the model can do: all of it with `SMARM_MODELS=deep`, else all with at most so many
/// preemptions, or as many as `LOOM_MAX_PREEMPTIONS` says.
#[cfg(not(smarm_shuttle))]
pub(crate) fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    if env::var("SMARM_MODELS").is_ok_and(|how| how == "deep") {
        builder.preemption_bound = None;
    } else {
        builder.preemption_bound.get_or_insert(preemptions);
    }
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = runs.clone();
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        KEPT.take();
        model();
    });
    eprintln!("{} executions", runs.load(std::sync::atomic::Ordering::Relaxed));
}

/// Tries so many interleavings for each preemption of the bound; `SMARM_MODELS=deep` tries a hundred times as many.
/// Half are drawn evenly, half with few preemptions, at places drawn at random: the latter find what needs some few
/// threads to change at the right places (S. Burckhardt et al., *A Randomized Scheduler with Probabilistic Guarantees
/// of Finding Bugs*, ASPLOS 2010).
#[cfg(smarm_shuttle)]
pub(crate) fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let deep = env::var("SMARM_MODELS").is_ok_and(|how| how == "deep");
    let runs = if deep { 100_000 } else { 1000 } * preemptions.max(1);
    let model = Arc::new(move || {
        KEPT.take();
        model();
    });
    let again = model.clone();
    shuttle::check_pct(move || again(), runs, preemptions.max(1) + 1);
    shuttle::check_random(move || model(), runs);
}

/// As [`check`], with this bug in it.
pub(crate) fn check_flawed(flaw: Flaw, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let _planted = plant(flaw);
    check(preemptions, model);
}

thread_local! {
    /// What lives until the next execution begins.
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a value until the execution is over: for what the protocols know as `'static`.
pub(crate) fn keep<T: 'static>(value: T) -> &'static T {
    let kept = Box::new(value);
    let address: *const T = &raw const *kept;
    KEPT.with_borrow_mut(|all| all.push(kept));
    // SAFETY: the box stays where it is until the next execution, when no thread of this one is left.
    unsafe { &*address }
}

/// A thread's token, as `std::thread::park` has it. loom's own orders more: whatever its waker did would be
/// seen at once, before the thread has parked.
pub(crate) struct Parker {
    token: AtomicBool,
    /// Touched between two places where model threads change.
    parked: Cell<Option<Thread>>,
}

// SAFETY: model threads are all on one thread of the system, and so is the cell.
unsafe impl Sync for Parker {}
// SAFETY: as above.
unsafe impl Send for Parker {}

impl Parker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { token: AtomicBool::new(false), parked: Cell::new(None) })
    }

    /// Waits for a wake since the last call.
    pub(crate) fn park(&self) {
        // A model that has failed is unwound: nobody waits any more.
        while !panicking() && !self.token.swap(false, Acquire) {
            self.parked.set(Some(thread::current()));
            thread::park();
        }
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        self.clone().into()
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if panicking() {
            return;
        }
        self.token.swap(true, Release);
        if let Some(thread) = self.parked.take() {
            thread.unpark();
        }
    }
}

/// Waits for a future, on a model thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let parker = Parker::new();
    let waker = parker.waker();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        parker.park();
    }
}

/// Polls a future once, with a waker that is not waited for.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(&Parker::new().waker()))
}
