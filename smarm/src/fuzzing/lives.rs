//! Actors that spawn others, wait for events, wake, kill and join each other, sleep and unwind.
//!
//! An event is a number of tokens and the wakers of those who want one. After an hour, when nothing moves any more,
//! nobody may wait for a token that is there, or for an actor that has ended; who was never killed was not unwound
//! as if; and after a kill of all, every actor that began has ended.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::plan::Plan;
use crate::actor::local;
use crate::join::{JoinError, JoinTimeoutError};
use crate::{Builder, Config, JoinHandle, Pid};

const ACTORS: usize = 8;
const EVENTS: usize = 3;
/// Longer than all sleeps of a program together.
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug)]
enum Step {
    Yield,
    /// Waits for a token.
    Take(usize),
    /// Adds a token and wakes who wants one.
    Give(usize),
    /// Wakes with a waker that somebody has left, perhaps long ago.
    Stir(usize),
    Spawn(usize),
    Kill(usize),
    Join(usize),
    JoinFor(usize, u64),
    Sleep(u64),
    /// Gives a token when the actor ends, after a wait.
    Leave(usize),
    /// Catches a panic or a kill that comes while it takes a token.
    Catch(usize),
    Panic,
}

fn scripts(plan: &mut Plan<'_>) -> [Vec<Step>; ACTORS] {
    let mut scripts = [const { Vec::new() }; ACTORS];
    while let Some(what) = plan.next() {
        let which = plan.byte();
        let (actor, other) = (usize::from(which) % ACTORS, usize::from(which >> 4));
        let (event, other) = (other % EVENTS, other % ACTORS);
        scripts[actor].push(match what % 16 {
            0 => Step::Yield,
            1 | 2 => Step::Take(event),
            3 | 4 => Step::Give(event),
            5 => Step::Stir(usize::from(what >> 4)),
            6 | 7 => Step::Spawn(other),
            8 | 9 => Step::Kill(other),
            10 => Step::Join(other),
            11 => Step::JoinFor(other, u64::from(what >> 4) * 40),
            12 => Step::Sleep(u64::from(what >> 4) * 40),
            13 => Step::Leave(event),
            14 => Step::Catch(event),
            _ => Step::Panic,
        });
    }
    scripts
}

#[derive(Default)]
struct Event {
    tokens: usize,
    wanted: Vec<Waker>,
}

/// An actor as the others know it: a script is run by at most one.
#[derive(Default)]
struct Post {
    spawned: bool,
    pid: Option<Pid>,
    /// Unless somebody joins it.
    handle: Option<JoinHandle<()>>,
    killed: bool,
    ended: bool,
    /// The event that it waits for.
    takes: Option<usize>,
    /// It waits for this actor.
    joins: Option<usize>,
}

struct Town {
    scripts: [Vec<Step>; ACTORS],
    events: [StdMutex<Event>; EVENTS],
    posts: [StdMutex<Post>; ACTORS],
    /// All wakers that were ever left.
    wakers: StdMutex<Vec<Waker>>,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// No actor is unwound inside these locks.
fn within<T, R>(lock: &StdMutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
    f(&mut lock.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Drives actors through their lives.
///
/// # Panics
/// If a wake or a kill is lost, or comes to somebody else, or if an actor does not end.
pub fn lives(bytes: &[u8]) {
    let mut plan = Plan::new(bytes);
    let workers = 1 + plan.below(2);
    let town = Arc::new(Town {
        scripts: scripts(&mut plan),
        events: Default::default(),
        posts: Default::default(),
        wakers: StdMutex::default(),
        begun: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
    });
    let runtime = crate::runtime::init(Config::exact(workers).paused_clock(true));
    runtime.run(|| {
        town.spawn(0);
        crate::sleep(HOUR);
        town.check_rest();
        town.end();
    });
    drop(runtime);
    assert_eq!(town.begun.load(Relaxed), town.ended.load(Relaxed), "an actor has not ended");
}

/// What is dropped last in a life.
struct Life(Arc<Town>, usize);

impl Drop for Life {
    fn drop(&mut self) {
        within(&self.0.posts[self.1], |post| post.ended = true);
        self.0.ended.fetch_add(1, Relaxed);
    }
}

/// Gives a token at the end of an actor, after a wait.
struct Farewell(Arc<Town>, usize);

impl Drop for Farewell {
    fn drop(&mut self) {
        crate::yield_now();
        crate::sleep(Duration::from_micros(50));
        self.0.give(self.1);
    }
}

impl Town {
    fn spawn(self: &Arc<Self>, number: usize) {
        let post = &self.posts[number];
        if within(post, |post| std::mem::replace(&mut post.spawned, true)) {
            return;
        }
        self.begun.fetch_add(1, Relaxed);
        let life = Life(self.clone(), number);
        let body = move || {
            let life = life; // dropped without a call if it is killed before it starts
            let mut farewells = Vec::new();
            for step in &life.0.scripts[number] {
                life.0.step(number, *step, &mut farewells);
            }
        };
        // Some stay on this worker, some have another stack.
        let spawned = match number % 3 {
            0 => Ok(crate::spawn(body)),
            1 => Builder::new().spawn_local(body),
            _ => Builder::new().stack_size(128 << 10).spawn(body),
        };
        let handle = spawned.expect("there is room for some actors");
        within(post, |post| {
            if post.killed {
                handle.kill(); // as it was asked for before its pid was known
            }
            post.pid = Some(handle.pid());
            post.handle = Some(handle);
        });
    }

    fn step(self: &Arc<Self>, number: usize, step: Step, farewells: &mut Vec<Farewell>) {
        match step {
            Step::Yield => crate::yield_now(),
            Step::Take(event) => self.take(number, event),
            Step::Give(event) => self.give(event),
            Step::Stir(which) => {
                let waker = within(&self.wakers, |wakers| wakers.get(which % wakers.len().max(1)).cloned());
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Step::Spawn(other) => self.spawn(other),
            Step::Kill(other) => self.kill(other),
            Step::Join(other) => self.join(number, other, HOUR * 3),
            Step::JoinFor(other, micros) => self.join(number, other, Duration::from_micros(micros)),
            Step::Sleep(micros) => crate::sleep(Duration::from_micros(micros)),
            Step::Leave(event) => farewells.push(Farewell(self.clone(), event)),
            Step::Catch(event) => {
                let caught =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.take(number, event)));
                if let Err(payload) = caught {
                    resume_unwind(payload);
                }
            }
            Step::Panic => resume_unwind(Box::new("as the script has it")),
        }
    }

    fn take(&self, number: usize, event: usize) {
        within(&self.posts[number], |post| post.takes = Some(event));
        let took = poll_fn(|cx| {
            within(&self.events[event], |event| match event.tokens.checked_sub(1) {
                Some(left) => {
                    event.tokens = left;
                    Poll::Ready(())
                }
                None => {
                    event.wanted.push(cx.waker().clone());
                    within(&self.wakers, |wakers| wakers.push(cx.waker().clone()));
                    Poll::Pending
                }
            })
        });
        crate::compat::await_future(pin!(took));
        within(&self.posts[number], |post| post.takes = None);
    }

    fn give(&self, event: usize) {
        let wanted = within(&self.events[event], |event| {
            event.tokens += 1;
            std::mem::take(&mut event.wanted)
        });
        wanted.into_iter().for_each(Waker::wake);
    }

    fn kill(&self, other: usize) {
        within(&self.posts[other], |post| {
            post.killed = true;
            if let Some(pid) = post.pid {
                local::kill(pid);
            }
        });
    }

    /// Joins an actor, if nobody else does.
    fn join(&self, number: usize, other: usize, patience: Duration) {
        let Some(handle) = within(&self.posts[other], |post| post.handle.take()) else { return };
        within(&self.posts[number], |post| post.joins = Some(other));
        let ended = handle.join_timeout(patience);
        within(&self.posts[number], |post| post.joins = None);
        match ended {
            Ok(()) | Err(JoinTimeoutError::Ended(JoinError::Panicked(_))) => {}
            Err(JoinTimeoutError::Ended(JoinError::Killed)) => {
                assert!(
                    within(&self.posts[other], |post| post.killed),
                    "{other} was killed in another's place"
                );
            }
            Err(JoinTimeoutError::TimedOut(handle) | JoinTimeoutError::Cancelled(handle)) => {
                within(&self.posts[other], |post| post.handle = Some(handle));
            }
        }
    }

    /// An hour later nobody waits for what is there.
    fn check_rest(&self) {
        for (number, post) in self.posts.iter().enumerate() {
            let (there, takes, joins, killed) =
                within(post, |post| (post.spawned && !post.ended, post.takes, post.joins, post.killed));
            if !there {
                continue;
            }
            assert!(!killed, "actor {number} lives on though it was killed");
            assert!(takes.is_some() || joins.is_some(), "actor {number} sleeps for nothing");
            if let Some(event) = takes {
                let tokens = within(&self.events[event], |event| event.tokens);
                assert_eq!(tokens, 0, "actor {number} sleeps over a token");
            }
            if let Some(other) = joins {
                assert!(!within(&self.posts[other], |post| post.ended), "actor {number} sleeps over an end");
            }
        }
    }

    /// Kills all, which then end.
    fn end(&self) {
        for number in 0..ACTORS {
            self.kill(number);
        }
        crate::sleep(HOUR);
        for post in &self.posts {
            let (spawned, ended) = within(post, |post| (post.spawned, post.ended));
            assert!(ended || !spawned, "a kill was lost");
        }
    }
}
