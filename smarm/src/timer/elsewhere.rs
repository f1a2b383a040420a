//! The wheel of those who are on no worker's thread: alarms set by plain OS threads and by tasks of other
//! executors, and those of workers that have ended.
//!
//! One thread serves the process. It starts with the first alarm, and ends when there has been none for
//! [`IDLE`].
//!
//! No alarm is forgotten: the thread looks at the wheel, under its lock, before it sleeps and before it
//! ends; who sets an alarm that is due before the end of the sleep calls it, under the same lock.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::clock;
use super::due::{Owner, Ring};
use super::wheel::{Key, Wheel};

/// How long the thread waits for another alarm before it ends.
const IDLE: Duration = Duration::from_secs(10);

static STATE: Mutex<State> = Mutex::new(State { wheel: None, running: false, sleeps_until: 0 });
/// An alarm was set that is due before the thread would look.
static SOONER: Condvar = Condvar::new();

struct State {
    wheel: Option<Wheel<Arc<dyn Ring>>>,
    running: bool,
    /// When the thread will look again by itself.
    sleeps_until: u64,
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `alarm` rung at `deadline`, on the timer thread.
///
/// # Panics
/// If there is no timer thread yet and the system refuses one.
pub(crate) fn set(deadline: u64, alarm: Arc<dyn Ring>) -> Key {
    let mut state = lock();
    let key = state.wheel.get_or_insert_with(|| Wheel::new(clock::now())).insert(deadline, alarm);
    if !state.running {
        state.running = true;
        let started = thread::Builder::new().name("smarm-timer".into()).spawn(serve);
        if let Err(error) = started {
            state.running = false;
            drop(state);
            panic!("smarm: the system refused the thread for timers: {error}");
        }
    } else if deadline < state.sleeps_until {
        drop(state);
        SOONER.notify_one();
    }
    key
}

/// Takes an alarm out of the wheel.
pub(crate) fn release(key: Key) {
    let alarm = lock().wheel.as_mut().and_then(|wheel| wheel.release(key));
    drop(alarm); // outside the lock
}

fn serve() {
    let mut state = lock();
    loop {
        let now = clock::now();
        let State { wheel: Some(wheel), .. } = &mut *state else {
            unreachable!("the thread starts with the first entry of the wheel")
        };
        if let Some(alarm) = wheel.pop_expired(now) {
            drop(state);
            super::ring(alarm, Owner::ELSEWHERE, release);
            state = lock();
            continue;
        }
        let next = wheel.next_deadline();
        let span = next.map_or(IDLE, |next| Duration::from_nanos(next.saturating_sub(now)));
        state.sleeps_until = next.unwrap_or(u64::MAX);
        let (awake, waited) = SOONER.wait_timeout(state, span).unwrap_or_else(PoisonError::into_inner);
        state = awake;
        state.sleeps_until = 0; // it looks before it sleeps
        if waited.timed_out() && state.wheel.as_ref().is_none_or(Wheel::is_empty) {
            state.running = false;
            return;
        }
    }
}
