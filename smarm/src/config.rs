//! What can be set about a runtime.

use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[cfg(feature = "chaos")]
use crate::chaos::Chaos;
use crate::chaos::Choice;
use crate::hooks::{Hooks, Installed};
use crate::pid::LAST_GENERATION;
use crate::scheduler::shared::Settings;
use crate::stack::area::{Area, MAX_SIZE, MIN_SIZE};
use crate::stack::guard::{self, Guard};
use crate::stack::{PAGE, StackError};

/// The usable bytes of an actor's stack unless set otherwise: 256 KiB, or 1 MiB in debug builds,
/// whose frames are larger. Pages become resident as they are touched.
pub const DEFAULT_STACK_SIZE: usize = if cfg!(debug_assertions) { 1 << 20 } else { 256 << 10 };

/// How long an actor may run before `check!()` and smarm's calls make it yield, unless set
/// otherwise.
pub const DEFAULT_SLICE: Duration = Duration::from_millis(10);

/// What can be set about a runtime.
///
/// ```
/// use smarm::Config;
///
/// let runtime = smarm::runtime::init(Config::exact(2).stack_size(64 << 10).name("service"));
/// assert_eq!(runtime.run(|| 6 * 7), 42);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) workers: usize,
    stack_size: usize,
    slice: Duration,
    name: String,
    mprotect_guards: bool,
    paused_clock: bool,
    last_generation: u64,
    hooks: Installed,
    chaos: Choice,
}

impl Default for Config {
    /// One worker per CPU that the process may use.
    fn default() -> Self {
        Self::exact(thread::available_parallelism().map_or(1, NonZero::get))
    }
}

impl Config {
    /// Exactly this many workers.
    pub fn exact(workers: usize) -> Self {
        Self {
            workers,
            stack_size: DEFAULT_STACK_SIZE,
            slice: DEFAULT_SLICE,
            name: "smarm".into(),
            mprotect_guards: false,
            paused_clock: false,
            last_generation: LAST_GENERATION,
            hooks: Installed::default(),
            chaos: Choice::NONE,
        }
    }

    /// So many workers instead.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The usable bytes of an actor's stack: a multiple of 4096 from 16 KiB to 64 MiB, rounded up to
    /// a power of two. [`Builder::stack_size`](crate::Builder::stack_size) sets it for one actor.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// How long an actor may run before it is made to yield (see [`preempt`](crate::preempt)). The
    /// monitor looks twice in that time, so the true length lies between half of it and all of it; of the first one
    /// after the runtime was idle, up to one and a half.
    pub fn slice(mut self, slice: Duration) -> Self {
        self.slice = slice;
        self
    }

    /// The name that the runtime's threads begin with; `smarm` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Protects stacks with `mprotect`, as on kernels before 6.13, although the kernel offers better.
    /// Each stack then takes two mappings, of which `vm.max_map_count` allows 65,530 by default.
    pub fn mprotect_guards(mut self, yes: bool) -> Self {
        self.mprotect_guards = yes;
        self
    }

    /// Stops the runtime's clock, for tests: time then stands still, and leaps to the next timer when all
    /// actors wait. See [`time`](crate::time#paused-time).
    ///
    /// For runtimes with threads of their own ([`run`](crate::Runtime::run), [`init`](crate::runtime::init));
    /// elsewhere the runtime is refused with [`InitError::PausedClock`].
    pub fn paused_clock(mut self, yes: bool) -> Self {
        self.paused_clock = yes;
        self
    }

    /// Calls these where an actor gets and leaves its thread, so that what it keeps in thread-locals
    /// follows it; see [`hooks`](crate::hooks). They take the place of earlier ones: a tuple has two.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.hooks = Installed(Some(Arc::new(hooks)));
        self
    }

    /// Disturbs what is not promised, as this says, in place of what the environment says; see [`Chaos`].
    #[cfg(feature = "chaos")]
    pub fn chaos(mut self, chaos: Chaos) -> Self {
        self.chaos = Choice(Some(chaos));
        self
    }

    #[cfg(test)]
    pub(crate) fn last_generation(mut self, last: u64) -> Self {
        self.last_generation = last;
        self
    }

    pub(crate) fn settings(&self) -> Result<Settings, InitError> {
        if self.workers == 0 {
            return Err(InitError::NoWorkers);
        }
        if self.slice.is_zero() {
            return Err(InitError::NoSlice);
        }
        let guard = if self.mprotect_guards || !guard::supported() { Guard::Mprotect } else { Guard::Advice };
        let area = area(self.stack_size, guard).map_err(InitError::Stack)?;
        Ok(Settings {
            name: self.name.clone(),
            area,
            guard,
            slice: self.slice,
            last_generation: self.last_generation,
            hooks: self.hooks.clone(),
            chaos: self.chaos.settled(),
            paused: self.paused_clock,
        })
    }
}

/// The area of stacks with this many usable bytes.
pub(crate) fn area(bytes: usize, guard: Guard) -> Result<Area, StackSizeError> {
    if !(MIN_SIZE..=MAX_SIZE).contains(&bytes) || !bytes.is_multiple_of(PAGE) {
        return Err(StackSizeError { bytes });
    }
    Area::for_size(bytes, guard).map_err(|_: StackError| StackSizeError { bytes })
}

/// A stack size that no stack can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackSizeError {
    bytes: usize,
}

impl fmt::Display for StackSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a stack of {} bytes was asked for; it must be a multiple of {PAGE} bytes from {} KiB to {} MiB",
            self.bytes,
            MIN_SIZE >> 10,
            MAX_SIZE >> 20
        )
    }
}

impl Error for StackSizeError {}

/// Why a runtime could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// The configuration asks for no workers.
    NoWorkers,
    /// The configuration asks for a slice of no length.
    NoSlice,
    /// The configuration asks for a stack size that no stack can have.
    Stack(StackSizeError),
    /// The process runs with shadow stacks, which forbid to switch stacks as smarm does.
    ShadowStacks,
    /// The configuration asks for a paused clock, and the workers are polled by somebody else, who has a
    /// clock.
    PausedClock,
    /// The system refused a thread, an epoll instance or a signal handler.
    Io(io::Error),
    /// What was to poll the workers cannot; the error says why.
    Host(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers => f.write_str("a runtime needs at least one worker: use `Config::exact(1)` or more"),
            Self::NoSlice => f.write_str("a slice needs a length: use `Config::slice` with some milliseconds"),
            Self::Stack(error) => error.fmt(f),
            Self::ShadowStacks => f.write_str(
                "this process runs with shadow stacks (CET), which smarm's switch of stacks does not support; \
                 start it with GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK",
            ),
            Self::PausedClock => f.write_str(
                "a paused clock is for runtimes with threads of their own (`smarm::runtime::init`); on tokio, smarm's \
                 time follows tokio's: call `tokio::time::pause` in an actor or task",
            ),
            Self::Io(error) => write!(f, "the system refused what a worker needs: {error}"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl Error for InitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Stack(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Host(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<io::Error> for InitError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
