//! A meeting: it begins when the last one has come, and is over when the last one has left.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::measure::Stopwatch;

pub struct Meeting {
    awaited: AtomicUsize,
    present: AtomicUsize,
    begin: OnceLock<Stopwatch>,
    elapsed: OnceLock<Duration>,
}

impl Meeting {
    pub fn new(count: usize) -> Self {
        Self {
            awaited: AtomicUsize::new(count),
            present: AtomicUsize::new(count),
            begin: OnceLock::new(),
            elapsed: OnceLock::new(),
        }
    }

    pub fn arrive(&self) {
        // The stopwatch first: who sees that all are here may leave at once.
        if self.awaited.load(SeqCst) == 1 {
            self.begin.get_or_init(Stopwatch::start);
        }
        if self.awaited.fetch_sub(1, SeqCst) == 1 {
            self.begin.get_or_init(Stopwatch::start);
        }
    }

    pub fn all_here(&self) -> bool {
        self.awaited.load(SeqCst) == 0
    }

    pub fn leave(&self) {
        if self.present.fetch_sub(1, SeqCst) == 1 {
            let elapsed = self.begin.get_or_init(Stopwatch::start).elapsed();
            self.elapsed.set(elapsed).expect("only the last one ends it");
        }
    }

    /// How long it took from the last arrival to the last departure.
    pub fn elapsed(&self) -> Duration {
        *self.elapsed.get().expect("all have left")
    }
}
