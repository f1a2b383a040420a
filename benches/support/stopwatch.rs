//! Measures time in a way that a busy machine spoils little.

use std::time::{Duration, Instant};

/// Runs from its start.
pub enum Stopwatch {
    /// For work on this one thread, which never sleeps: its CPU time, which stands still while the
    /// machine does something else.
    Thread(Duration),
    /// For work on several threads.
    Wall(Instant),
}

impl Stopwatch {
    /// For an actor whose work only the workers of its runtime do.
    #[allow(dead_code, reason = "not every bench compares workers")]
    pub fn start_in_actor() -> Self {
        Self::start(smarm::Handle::current().workers() == 1)
    }

    /// For a task whose work only the threads of its runtime do.
    #[allow(dead_code, reason = "not every bench compares workers")]
    pub fn start_in_task() -> Self {
        Self::start(tokio::runtime::Handle::current().metrics().num_workers() == 1)
    }

    /// For work that only this thread does, or not.
    pub fn start(alone: bool) -> Self {
        if alone { Self::Thread(thread_time()) } else { Self::Wall(Instant::now()) }
    }

    /// The time since the start, which was on this thread.
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Thread(start) => thread_time() - *start,
            Self::Wall(start) => start.elapsed(),
        }
    }
}

/// The CPU time of the calling thread.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that is as the call wants it.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
