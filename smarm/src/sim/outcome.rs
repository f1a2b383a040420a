//! How a simulation ended.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::trace::Trace;

/// How a simulation ended, and what happened in it.
#[derive(Debug)]
#[must_use = "it says whether the simulation failed"]
pub struct Outcome<T> {
    pub(super) seed: u64,
    pub(super) elapsed: Duration,
    pub(super) trace: Trace,
    pub(super) result: Result<T, Failure>,
}

impl<T> Outcome<T> {
    /// The seed that repeats it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How much virtual time went by until the closure returned, or the simulation failed.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// What happened until then.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What happened until then.
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }

    /// What the closure returned.
    ///
    /// # Errors
    /// The simulation failed.
    pub fn into_result(self) -> Result<T, Failure> {
        self.result
    }

    /// What the closure returned.
    ///
    /// # Panics
    /// If the simulation failed. The message has the reason and the seed.
    #[track_caller]
    pub fn unwrap(self) -> T {
        match self.result {
            Ok(value) => value,
            Err(failure) => panic!("{failure}"),
        }
    }
}

/// Why a simulation failed, and with which seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub(super) seed: u64,
    pub(super) at: Duration,
    pub(super) reason: Reason,
}

impl Failure {
    /// The seed that repeats it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// When it failed, in virtual time since the beginning.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// What went wrong.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// What went wrong in a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The closure panicked, or an actor of which nobody learns it.
    Panicked {
        /// Which actor: number, name and host.
        actor: String,
        /// File, line and column, if known.
        place: String,
        /// The text of the panic.
        message: String,
    },
    /// The closure's actor was killed before it returned.
    Killed,
    /// All actors wait, and nothing will come: a deadlock, or a wait for something outside the simulation.
    Stuck {
        /// The actors: number, name and host.
        waiting: Vec<String>,
    },
    /// The [time limit](super::Sim::time_limit) was reached.
    TimeOver,
    /// The [step limit](super::Sim::step_limit) was reached: probably some actor yields for ever.
    StepsOver,
    /// Something from outside took part, so that the seed does not decide alone.
    Outside(String),
}

/// What is said when an OS thread takes part.
pub(super) const BY_THREAD: &str = "an OS thread (of the program's, or tokio's for `spawn_blocking`) woke an actor, at a \
    time that the seed does not decide: use actors in its place, or do its work before the simulation";

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { actor, place, message } => {
                write!(f, "actor {actor} panicked at {place}: {message}")
            }
            Self::Killed => f.write_str("its first actor was killed before it returned"),
            Self::Stuck { waiting } => write!(
                f,
                "all actors wait and nothing will come (a deadlock, or a wait for what is outside the simulation): {}",
                waiting.join(", ")
            ),
            Self::TimeOver => f.write_str("it went on longer than `Sim::time_limit`"),
            Self::StepsOver => {
                f.write_str("it took more steps than `Sim::step_limit` (does an actor yield for ever?)")
            }
            Self::Outside(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "smarm: the simulation with seed {} failed after {:?}: {}; replay with seed {}",
            self.seed, self.at, self.reason, self.seed
        )
    }
}

impl Error for Failure {}
