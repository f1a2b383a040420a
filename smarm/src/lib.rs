//! smarm: a native green-thread actor runtime for x86-64 Linux.
#![deny(clippy::print_stdout)]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!(
    "smarm runs on x86-64 Linux only: it switches stacks with x86-64 assembly and waits with epoll"
);

mod actor;
pub mod actor_local;
pub mod cancel;
pub mod channel;
mod chaos;
pub mod compat;
mod config;
mod context;
mod current;
pub mod fs;
#[cfg(all(any(test, smarm_fuzz), not(smarm_loom)))]
#[doc(hidden)]
pub mod fuzzing;
pub mod group;
pub mod hooks;
pub mod host;
pub mod io;
mod join;
pub mod mailbox;
#[cfg(doctest)]
mod must_not_compile;
pub mod mutex;
pub mod net;
mod pid;
pub mod preempt;
mod primitive;
pub mod process;
pub mod runtime;
mod scheduler;
pub mod scope;
pub mod select;
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(not(feature = "sim"))]
#[path = "sim/reality.rs"]
mod sim;
mod spawn;
mod stack;
pub mod supervisor;
pub mod sync;
pub mod thread;
pub mod time;
mod timer;
#[cfg(all(test, miri))]
mod under_miri;
mod unwinding;

pub use actor_local::ActorLocal;
pub use cancel::{CancelToken, shield, with_cancel, with_deadline, with_timeout};
pub use channel::{Receiver, Sender, channel};
#[cfg(feature = "chaos")]
pub use chaos::Chaos;
pub use compat::on_native_stack;
pub use config::{Config, DEFAULT_SLICE, DEFAULT_STACK_SIZE, InitError, StackSizeError};
pub use current::{Current, current, self_pid, sleep, sleep_until, try_self_pid, yield_now};
pub use group::Group;
pub use join::{JoinError, JoinHandle, JoinTimeoutError, Payload};
pub use mutex::{LockError, Mutex, MutexGuard, TryLockError};
pub use pid::Pid;
pub use runtime::{Handle, Runtime, ShutdownError, run};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use spawn::{Builder, SpawnError, spawn, spawn_local};
pub use stack::StackError;
