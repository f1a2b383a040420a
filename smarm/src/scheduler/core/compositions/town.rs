//! Workers and actors without stacks: an actor is a future, which its worker polls where it would switch to it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::actor::local::Place;
use crate::actor::seat::Commit;
use crate::actor::slot::{Slot, modelled};
use crate::channel::oneshot;
use crate::config::Config;
use crate::host::{Clock, Turn};
use crate::join::{Ending, Failure, JoinHandle};
use crate::pid::Pid;
use crate::primitive::deque::Worker as Deque;
use crate::primitive::model::{self, Parker};
use crate::scheduler::core::{Core, Watch};
use crate::scheduler::shared::Shared;

/// How many actors a turn runs.
const BATCH: u32 = 3;

struct Body(Pin<Box<dyn Future<Output = ()>>>);

// SAFETY: model threads are all on one thread of the system; and an actor stays on the worker that starts it.
unsafe impl Send for Body {}

/// A runtime.
pub(super) struct Town {
    shared: Arc<Shared>,
    slots: Vec<&'static Slot>,
    /// By the index of the slot. Not locked while anything of a model happens.
    bodies: Vec<Mutex<Option<Body>>>,
    spawned: AtomicU64,
    clock: Arc<Leaping>,
}

/// Time passes when a worker has nothing else to do than to wait for it.
struct Leaping(AtomicU64);

impl Leaping {
    /// After all real time that a model takes, as wheels begin at the time that it is.
    fn base() -> Instant {
        static BASE: OnceLock<Instant> = OnceLock::new();
        *BASE.get_or_init(|| Instant::now() + Duration::from_secs(36_000))
    }

    fn leap(&self, to: Instant) {
        let passed = to.saturating_duration_since(Self::base()).as_nanos() as u64;
        self.0.fetch_max(passed, Relaxed);
    }
}

impl Clock for Leaping {
    fn now(&self) -> Instant {
        Self::base() + Duration::from_nanos(self.0.load(Relaxed))
    }
}

/// Runs `program` beside so many workers, with room for so many actors; then shuts the runtime down.
pub(super) fn run(workers: usize, actors: u32, program: impl FnOnce(&Town)) {
    let settings = Config::exact(workers).settings().expect("a legal configuration");
    let deques: Vec<_> = (0..workers).map(|_| Deque::new_lifo()).collect();
    let town = Arc::new(Town {
        shared: Arc::new(Shared::new(settings, deques.iter().map(Deque::stealer).collect())),
        slots: modelled::prepare(actors),
        bodies: (0..actors).map(|_| Mutex::new(None)).collect(),
        spawned: AtomicU64::new(0),
        clock: Arc::new(Leaping(AtomicU64::new(0))),
    });
    let host = |(index, deque)| {
        let theirs = town.clone();
        model::spawn(move || theirs.host(index, deque))
    };
    let hosts: Vec<_> = deques.into_iter().enumerate().map(host).collect();
    program(&town);
    town.shared.stop();
    for host in hosts {
        host.join().expect("a worker panicked");
    }
    assert!(town.slots.iter().all(|slot| !slot.state.load().live()), "an actor was left behind");
}

/// Gives the actor's ending to who joins it, also if it is dropped half-way.
struct Outlet<T>(Option<oneshot::Sender<Ending<T>>>);

impl<T> Outlet<T> {
    fn deliver(&mut self, ending: Ending<T>) {
        if let Some(outlet) = self.0.take() {
            drop(outlet.send(ending));
        }
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        self.deliver(Err(Failure::killed()));
    }
}

impl Town {
    /// Spawns an actor from outside.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        let slot = self.slots[self.spawned.fetch_add(1, Relaxed) as usize];
        let (result, receiver) = oneshot::channel();
        let mut outlet = Outlet(Some(result));
        let body = Box::pin(async move {
            let value = future.await;
            outlet.deliver(Ok(value));
        });
        *self.body(slot) = Some(Body(body));
        assert!(self.shared.admit_outside());
        slot.seat.vacate();
        let pid = Pid::new(slot.index(), slot.state.occupy());
        self.shared.inject(slot.index());
        JoinHandle::new(pid, receiver)
    }

    fn body(&self, slot: &Slot) -> std::sync::MutexGuard<'_, Option<Body>> {
        self.bodies[slot.index() as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host that polls its worker until that is done.
    fn host(&self, index: usize, deque: Deque<u32>) {
        let core = Box::new(Core::new(self.shared.clone(), index, deque));
        assert!(core.local.clock.set(self.clock.clone()).is_ok());
        let parker = Parker::new();
        core.local.home.set_host(parker.waker());
        core.local.set_host(&parker.waker());
        loop {
            let entered = core.enter();
            let turn = self.turn(&core);
            drop(entered);
            match (turn, core.next_deadline()) {
                (Turn::Busy, _) => {}
                // As if the wait for it had been over at once.
                (Turn::Idle, Some(deadline)) => self.clock.leap(deadline),
                (Turn::Idle, None) => parker.park(),
                (Turn::Done, _) => break,
            }
        }
        core.local.forget();
    }

    fn turn(&self, core: &Core) -> Turn {
        core.begin_turn();
        core.rise();
        loop {
            core.take_in(&mut Watch::default());
            for _ in 0..BATCH {
                let tick = core.local.tick();
                let Some(actor) = core.next(tick) else { break };
                core.stop_searching();
                core.local.count(tick, actor);
                self.resume(core, actor);
            }
            if core.local.has_queued() {
                return Turn::Busy;
            }
            if let Some(turn) = core.run_dry() {
                return turn;
            }
        }
    }

    /// Runs an actor up to its next wait: in place of `Local::resume`.
    fn resume(&self, core: &Core, actor: &'static Slot) {
        let mut body = self.body(actor).take().expect("it has not ended");
        core.local.set_place(Place::InPoll);
        let killed = actor.state.load().killed();
        let ended = killed || body.0.as_mut().poll(&mut Context::from_waker(&actor.waker())).is_ready();
        if ended {
            drop(body);
            core.local.set_place(Place::Worker);
            core.bury(actor);
        } else {
            *self.body(actor) = Some(body);
            core.local.set_place(Place::Worker);
            if actor.seat.commit(actor.state.load().killed()) == Commit::Refused {
                core.local.queue(actor);
            }
        }
        core.local.home.pulse.run(None);
    }
}

/// Pending once: the others have a turn.
#[derive(Default)]
pub(super) struct Stay(bool);

impl Future for Stay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What `future` gives, unless `end` comes first.
pub(super) async fn in_time<F: Future>(future: F, end: impl Future<Output = ()>) -> Option<F::Output> {
    let (mut future, mut end) = (std::pin::pin!(future), std::pin::pin!(end));
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}
