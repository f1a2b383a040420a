//! What a host sees of a worker: a future that is polled on one thread only.

use std::cell::Cell;
use std::future::Future;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use super::core::{Core, Short};
use super::shared::Shared;
use crate::actor::local::{Local, Place};
use crate::host::{self, Clock, Reactor, Turn};
use crate::primitive::deque::Worker as Deque;
use crate::stack::overflow;
use crate::timer::clock;
use crate::timer::wheel::Wheel;
use crate::unwinding;

/// Names a thread, never the same twice. What std has for this counts references.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ThreadNumber(u64);

impl ThreadNumber {
    #[inline(always)]
    fn current() -> Self {
        thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
        static LAST: AtomicU64 = AtomicU64::new(0);
        if NUMBER.get() == 0 {
            NUMBER.set(LAST.fetch_add(1, Relaxed) + 1);
        }
        Self(NUMBER.get())
    }
}

/// One thread's share of a runtime. A host polls it, always on the same thread: the one that bound
/// it or polled it first.
///
/// As a [`Future`] it is ready once its runtime has shut down. It then needs no help but a waker;
/// a host that can do better than to be woken at once while there is work calls
/// [`poll_turn`](Self::poll_turn) instead. A future has no clock: its host must also poll it at
/// [`next_deadline`](Self::next_deadline).
pub struct Worker {
    core: Option<Box<Core>>,
    thread: Option<ThreadNumber>,
    reactor: Option<Rc<dyn Reactor>>,
    /// When the earliest timer is due: only actors set timers, and they run in turns.
    deadline: Option<Instant>,
    /// While the thread runs actors, it has an alternate signal stack.
    signal_stack: Option<overflow::AltStack>,
}

// SAFETY: what is not `Send` inside (the core's cells, the reactor, the signal stack) is touched
// only once the worker is bound to a thread, and `bind`, `poll_turn` and `drop` check that they are
// on that thread: the first two panic elsewhere, the last leaks what it may not touch.
unsafe impl Send for Worker {}

/// Whether somebody else can run while this thread spins.
fn others_run() -> bool {
    thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1)
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, index: usize, deque: Deque<u32>) -> Self {
        let core = Core::new(shared, index, deque);
        Self { core: Some(Box::new(core)), thread: None, reactor: None, deadline: None, signal_stack: None }
    }

    /// Ties the worker to the calling thread and gives it the reactor for its actors' descriptors.
    ///
    /// # Panics
    /// If it is bound to another thread already.
    #[track_caller]
    pub fn bind(&mut self, reactor: Rc<dyn Reactor>) {
        self.check_thread();
        if let Some(old) = self.reactor.replace(reactor) {
            host::leave(&*old);
        }
        // So that the next turn begins with entering the new one.
        self.core.as_deref().expect("only drop takes the core").local.forget();
    }

    /// Has the worker's timers, and the deadlines of its actors, go by this clock from now on. To be called
    /// before the first turn, once; the worker's [`next_deadline`](Self::next_deadline) is then by this clock.
    ///
    /// # Panics
    /// If the worker has a clock already, as that of a runtime with
    /// [`Config::paused_clock`](crate::Config::paused_clock) has; if it belongs to another thread.
    #[track_caller]
    pub fn set_clock(&mut self, own: Arc<dyn Clock>) {
        let core = self.core();
        let now = clock::nanos(own.now());
        assert!(core.local.clock.set(own).is_ok(), "smarm: the worker has a clock of its own already");
        core.local.wheel.replace(Wheel::new(now)); // empty before the first turn
        clock::announce_own();
    }

    /// Lets the worker spin for some microseconds before it reports [`Turn::Idle`], as long as that
    /// pays; on a single CPU it never does. For hosts that have nothing else to do meanwhile.
    pub fn spin_before_sleep(&mut self, spin: bool) {
        self.core().spin_before_sleep(spin && others_run(), false);
    }

    /// As [`spin_before_sleep`](Self::spin_before_sleep), for hosts that have something else to do meanwhile: instead
    /// of spinning in a turn, the worker reports [`Turn::Busy`] until some microseconds have gone by. The worker of a
    /// runtime that has no other never does.
    pub fn spin_between_turns(&mut self, spin: bool) {
        let core = self.core();
        core.spin_before_sleep(spin && !core.shared.is_single() && others_run(), true);
    }

    /// Whether the last turn reported [`Turn::Busy`] only because of
    /// [`spin_between_turns`](Self::spin_between_turns): the host may let others go first, but should not sleep.
    pub fn is_spinning(&self) -> bool {
        self.core().is_spinning()
    }

    /// When the earliest timer of the worker's actors is due, or somewhat before, as of the last turn.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the clock stands still and leaps, which takes a host that lets the worker [`rest`](Self::rest).
    pub(crate) fn is_paused(&self) -> bool {
        self.core().shared.paused.is_some()
    }

    /// Waits in `epoll`, as a worker with a paused clock does that is idle.
    pub(crate) fn rest(&self, epoll: BorrowedFd<'_>) {
        self.core().rest(self.deadline, epoll);
    }

    /// Takes a turn. `waker` must wake the host while it has nothing to do.
    ///
    /// # Panics
    /// On another thread than the worker is bound to.
    #[track_caller]
    #[inline(always)]
    pub fn poll_turn(&mut self, waker: &Waker) -> Turn {
        if thread::panicking() { self.turn_in_destructor(waker) } else { self.turn(waker) }
    }

    /// The host unwinds, which is none of the actors' affair.
    #[cold]
    #[track_caller]
    fn turn_in_destructor(&mut self, waker: &Waker) -> Turn {
        let _host = unwinding::set_aside();
        self.turn(waker)
    }

    #[inline(always)]
    #[track_caller]
    fn turn(&mut self, waker: &Waker) -> Turn {
        let core = self.core.as_deref().expect("only drop takes the core");
        if core.local.stands_by() && core.local.is_host(waker) {
            // On its thread, where since its last turn nobody has taken its place.
            let entered = core.local.enter_again();
            match core.short_turn() {
                Short::NotTaken => {}
                Short::Idle => {
                    drop(entered);
                    self.deadline = core.next_deadline();
                    return Turn::Idle;
                }
                Short::Cut => {
                    if let Some(turn) = core.after_short_turn() {
                        drop(entered);
                        self.deadline = core.next_deadline();
                        return turn;
                    }
                }
            }
        }
        self.poll_whole_turn(waker)
    }

    #[track_caller]
    #[inline(never)]
    fn poll_whole_turn(&mut self, waker: &Waker) -> Turn {
        self.check_thread();
        let core = self.core.as_deref().expect("only drop takes the core");
        let nested = Local::current().is_some_and(|outer| outer.place() != Place::Host);
        // SAFETY: the guard goes at the end of this function, before the reactor and in reverse order;
        // `bind` and `drop` make the thread leave the reactor before it ends.
        let _reactor = self.reactor.as_deref().map(|reactor| unsafe { host::enter_turn(reactor, nested) });
        let _entered = core.enter();
        if core.local.set_host(waker) {
            core.local.home.set_host(waker.clone());
        }
        let turn = core.turn();
        self.deadline = core.next_deadline();
        turn
    }

    #[track_caller]
    fn core(&self) -> &Core {
        if let Some(home) = self.thread {
            assert!(home == ThreadNumber::current(), "{ELSEWHERE}");
        }
        self.core.as_deref().expect("only drop takes the core")
    }

    #[track_caller]
    fn check_thread(&mut self) {
        let here = ThreadNumber::current();
        match self.thread {
            Some(home) => assert!(home == here, "{ELSEWHERE}"),
            None => {
                self.thread = Some(here);
                // Without one an overflow still ends the process, only without a report.
                self.signal_stack = overflow::protect_thread().ok();
            }
        }
    }
}

impl Future for Worker {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_turn(cx.waker()) {
            Turn::Busy => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Turn::Idle => Poll::Pending,
            Turn::Done => Poll::Ready(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let core = self.core.take().expect("only drop takes the core");
        let last = core.shared.worker_leaves();
        if let Some(paused) = &core.shared.paused {
            paused.leave(core.index);
        }
        if self.thread.is_some_and(|home| home != ThreadNumber::current()) {
            if core.started.get() > 0 {
                eprintln!(
                    "smarm: a worker with {} parked actors was dropped on another thread than its own; \
                     their stacks are leaked",
                    core.started.get()
                );
            }
            core.shared.leaked.fetch_add(core.started.get().max(1), Relaxed);
            core.shared.leave(core.index);
            core.shared.worker_gone();
            std::mem::forget((core, self.reactor.take(), self.signal_stack.take()));
            return;
        }
        let _host = unwinding::set_aside(); // that unwinds, perhaps
        let reactor = self.reactor.take();
        let wound_up = core.wind_up(reactor.as_deref(), last);
        if let Some(reactor) = &reactor {
            host::leave(&**reactor);
        }
        core.local.move_alarms_elsewhere();
        core.shared.leave(core.index);
        if !wound_up {
            eprintln!(
                "smarm: a worker was dropped while {} of its actors would not end; their stacks are leaked",
                core.started.get()
            );
            core.shared.leaked.fetch_add(core.started.get(), Relaxed);
            core.local.forget();
            core.shared.worker_gone();
            std::mem::forget(core);
            return;
        }
        core.local.forget();
        core.shared.worker_gone();
        let shared = core.shared.clone();
        drop(core);
        take_care(&shared);
    }
}

/// Ends new actors that nobody is left to end, on the calling thread: by a worker that is dropped at once. Not those of
/// a runtime that has leaked stacks, which such a worker would have to leave alone.
#[cold]
pub(crate) fn take_care(shared: &Arc<Shared>) {
    if shared.leaked.load(Relaxed) > 0 || !shared.is_orphaned() {
        return;
    }
    // One at a time, as it has the place of a worker; who is at it looks again for who comes meanwhile.
    if shared.asked_to_care.fetch_add(1, SeqCst) > 0 {
        return;
    }
    loop {
        let asked = shared.asked_to_care.load(SeqCst);
        drop(Worker::new(shared.clone(), 0, Deque::new_lifo()));
        if shared.asked_to_care.fetch_sub(asked, SeqCst) == asked {
            return;
        }
    }
}

const ELSEWHERE: &str = "smarm: a worker was used on another thread than the one that it belongs to; actors never \
    change thread, so poll it where it was polled first (on tokio: spawn it on a `LocalSet` or a current-thread runtime)";
