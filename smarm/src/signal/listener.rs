//! Step 2: who listens, and the thread that passes signals on.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::{Signal, handler};
use crate::actor::park::{self, Interrupt};
use crate::io::{Cancelled, deadline_after};

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { handled: 0, passes_on: false, listeners: Vec::new() });

struct Registry {
    /// Signals whose handler is in place.
    handled: u64,
    /// The thread runs.
    passes_on: bool,
    listeners: Vec<Arc<Listener>>,
}

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Listener {
    wanted: u64,
    /// Signals that have arrived and were not received.
    pending: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Listener {
    /// The waker, of whoever waits; nothing foreign runs under its lock.
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Signal> {
        let mut pending = self.pending.load(Relaxed);
        while pending != 0 {
            let lowest = pending & pending.wrapping_neg();
            match self.pending.compare_exchange_weak(pending, pending & !lowest, Acquire, Relaxed) {
                Ok(_) => return Some(Signal(lowest.trailing_zeros() as i32 + 1)),
                Err(found) => pending = found,
            }
        }
        None
    }
}

/// Passes signals on, for ever.
fn pass_on() {
    loop {
        let arrived = handler::wait();
        if arrived == 0 {
            continue;
        }
        let mut woken = Vec::new();
        for listener in &registry().listeners {
            let wanted = arrived & listener.wanted;
            if wanted != 0 {
                // Before the waker is taken, as `poll_recv` leaves it before it looks.
                listener.pending.fetch_or(wanted, AcqRel);
                woken.extend(listener.waker().take());
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Listens to some signals, from when it was made until it is dropped; see the [module](super). As a
/// [`Stream`] it never ends.
///
/// ```
/// use smarm::signal::{Signal, Signals};
///
/// let mut signals = Signals::new([Signal::USER1, Signal::HANGUP])?;
/// assert_eq!(signals.try_recv(), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Signals(Arc<Listener>);

impl Signals {
    /// Listens to these from now on.
    ///
    /// # Errors
    /// The system refuses a descriptor, a handler or a thread.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
        let signals: Vec<Signal> = signals.into_iter().collect();
        let wanted = signals.iter().fold(0, |set, signal| set | signal.bit());
        let listener = Arc::new(Listener { wanted, pending: AtomicU64::new(0), waker: Mutex::new(None) });
        let mut registry = registry();
        handler::prepare()?;
        if !registry.passes_on {
            thread::Builder::new().name("smarm-signal".into()).spawn(pass_on)?;
            registry.passes_on = true;
        }
        for signal in signals {
            if registry.handled & signal.bit() == 0 {
                handler::install(signal)?;
                registry.handled |= signal.bit();
            }
        }
        registry.listeners.push(listener.clone());
        Ok(Signals(listener))
    }

    /// Waits for a signal. Of several that have arrived, the one with the lowest number comes first.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) and [`Cancelled`] by the caller's [scope](crate::cancel), or as the
    /// actor is being killed and already unwinds.
    pub fn recv(&mut self) -> io::Result<Signal> {
        self.recv_until(None)
    }

    /// Waits for a signal, at most for `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn recv_timeout(&mut self, timeout: Duration) -> io::Result<Signal> {
        self.recv_until(deadline_after(timeout))
    }

    /// Waits for a signal until `deadline`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&mut self, deadline: Instant) -> io::Result<Signal> {
        self.recv_until(Some(deadline))
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> io::Result<Signal> {
        park::wait_until(self.recv_async(), deadline).map_err(|interrupt| match interrupt {
            Interrupt::TimedOut => io::ErrorKind::TimedOut.into(),
            Interrupt::Cancelled => Cancelled.into(),
        })
    }

    /// A signal that has arrived.
    pub fn try_recv(&mut self) -> Option<Signal> {
        self.0.take()
    }

    /// Waits for a signal in async code. Dropped half-way, the signal is still to be received.
    pub fn recv_async(&mut self) -> impl Future<Output = Signal> + '_ {
        poll_fn(|cx| self.poll_recv(cx))
    }

    /// [`recv_async`](Self::recv_async) for poll functions; only the waker of the last call is kept.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        if let Some(signal) = self.0.take() {
            return Poll::Ready(signal);
        }
        // Cloned before the lock and dropped after it: both are code of others.
        let new = cx.waker().clone();
        let old = self.0.waker().replace(new);
        drop(old);
        // One that has arrived in between has found the old waker, or none.
        match self.0.take() {
            Some(signal) => Poll::Ready(signal),
            None => Poll::Pending,
        }
    }
}

impl Stream for Signals {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        self.poll_recv(cx).map(Some)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        registry().listeners.retain(|listener| !Arc::ptr_eq(listener, &self.0));
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = (1..=64).map(Signal).filter(|signal| self.0.wanted & signal.bit() != 0);
        f.debug_tuple("Signals").field(&wanted.collect::<Vec<_>>()).finish()
    }
}
