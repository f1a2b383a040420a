//! Waiting for signals of the operating system.
//!
//! ```no_run
//! smarm::run(|| {
//!     let service = smarm::spawn(|| smarm::sleep(std::time::Duration::MAX));
//!     smarm::signal::ctrl_c().unwrap();
//!     drop(service); // shut down in order
//! });
//! ```
//!
//! [`Signals`] listens to a set of signals; each listener gets each of them. Like the system's own, signals of
//! one kind that arrive before the listener has looked are one.
//!
//! From the first listener on, a signal no longer does what it does by default, such as ending the process,
//! also when no listener is left.
//!
//! # How it is done
//! 1. A handler marks the signal as pending, writes to an eventfd, and calls the handler that stood there
//!    before, be it another library's. It does no more: it may have interrupted anything.
//! 2. A thread of smarm's, which the first listener starts, reads the eventfd, passes what is pending on to
//!    the listeners, and wakes them.
//!
//! No signal is lost: the mark comes before the write, and the thread takes marks after it has read.
//!
//! Rejected: a signalfd, which takes only signals that are blocked on every thread of the process, and in its
//! children; and waking from the handler, which may have interrupted whoever holds the waker's locks.

mod handler;
mod listener;

use std::ffi::c_int;
use std::fmt;
use std::io;

pub use listener::Signals;

/// One kind of signal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(c_int);

impl Signal {
    /// `SIGALRM`: a timer of the system's.
    pub const ALARM: Signal = Signal(libc::SIGALRM);
    /// `SIGCHLD`: a child process has ended.
    pub const CHILD: Signal = Signal(libc::SIGCHLD);
    /// `SIGHUP`: the terminal is gone; by custom, read the configuration again.
    pub const HANGUP: Signal = Signal(libc::SIGHUP);
    /// `SIGINT`: control and C on the terminal.
    pub const INTERRUPT: Signal = Signal(libc::SIGINT);
    /// `SIGPIPE`: nobody reads what was written. Rust ignores it unless told otherwise.
    pub const PIPE: Signal = Signal(libc::SIGPIPE);
    /// `SIGQUIT`: control and \ on the terminal.
    pub const QUIT: Signal = Signal(libc::SIGQUIT);
    /// `SIGTERM`: the process is asked to end.
    pub const TERMINATE: Signal = Signal(libc::SIGTERM);
    /// `SIGUSR1`: whatever the program makes of it.
    pub const USER1: Signal = Signal(libc::SIGUSR1);
    /// `SIGUSR2`: whatever the program makes of it.
    pub const USER2: Signal = Signal(libc::SIGUSR2);
    /// `SIGWINCH`: the terminal's size has changed.
    pub const WINDOW_CHANGE: Signal = Signal(libc::SIGWINCH);

    /// The signal of this number, `None` if there is none that a program can listen to: `SIGKILL` and `SIGSTOP`
    /// reach nobody, and the faults `SIGSEGV`, `SIGBUS`, `SIGFPE` and `SIGILL` cannot be gone on from.
    pub fn from_raw(number: c_int) -> Option<Signal> {
        const NEVER: [c_int; 6] =
            [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];
        let reserved = 32..libc::SIGRTMIN(); // the C library's own
        let known = (1..=libc::SIGRTMAX()).contains(&number);
        (known && !reserved.contains(&number) && !NEVER.contains(&number)).then_some(Signal(number))
    }

    /// Its number.
    pub fn as_raw(self) -> c_int {
        self.0
    }

    /// Its place in a set: bit `number - 1`.
    fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::ALARM => "SIGALRM",
            Self::CHILD => "SIGCHLD",
            Self::HANGUP => "SIGHUP",
            Self::INTERRUPT => "SIGINT",
            Self::PIPE => "SIGPIPE",
            Self::QUIT => "SIGQUIT",
            Self::TERMINATE => "SIGTERM",
            Self::USER1 => "SIGUSR1",
            Self::USER2 => "SIGUSR2",
            Self::WINDOW_CHANGE => "SIGWINCH",
            Signal(number) => return write!(f, "signal {number}"),
        };
        f.write_str(name)
    }
}

/// Waits for the next `SIGINT`, which control and C on the terminal send. Several who wait all return.
///
/// # Errors
/// As [`Signals::new`] and [`Signals::recv`].
pub fn ctrl_c() -> io::Result<()> {
    Signals::new([Signal::INTERRUPT])?.recv().map(drop)
}

/// [`ctrl_c`] for async code. It listens from its first poll on; dropped half-way, it has not listened.
///
/// # Errors
/// As [`Signals::new`].
pub async fn ctrl_c_async() -> io::Result<()> {
    Signals::new([Signal::INTERRUPT])?.recv_async().await;
    Ok(())
}
