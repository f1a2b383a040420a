//! What the process has from the system.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How many threads of `block_on_io` and of tokio end, once idle, after at most so long.
const IDLE_THREADS_END: Duration = Duration::from_secs(12);
/// So many mappings more are the allocator's, which has an arena per thread.
const STRAY_MAPPINGS: usize = 64;
/// So much more resident memory is fragmentation, in MiB.
const STRAY_RESIDENT: usize = 96;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    descriptors: usize,
    threads: usize,
    mappings: usize,
    /// In MiB.
    resident: usize,
}

impl Census {
    fn now() -> Self {
        // What the allocator keeps for later is no leak.
        // SAFETY: malloc_trim may be called at any time.
        unsafe { libc::malloc_trim(0) };
        let statm = fs::read_to_string("/proc/self/statm").expect("there is /proc");
        let pages: usize =
            statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
        Self {
            descriptors: fs::read_dir("/proc/self/fd").expect("there is /proc").count(),
            threads: fs::read_dir("/proc/self/task").expect("there is /proc").count(),
            mappings: fs::read_to_string("/proc/self/maps").expect("there is /proc").lines().count(),
            resident: (pages * 4096) >> 20,
        }
    }

    /// Once it is no more than `before`, or after so long, when idle threads have ended, what it is then.
    pub(crate) fn settled(before: Option<&Self>, patience: Duration) -> Self {
        let deadline = Instant::now() + patience.min(IDLE_THREADS_END);
        loop {
            let now = Self::now();
            let settled = match before {
                Some(before) => now.excess(before).is_empty(),
                None => now.threads == 1,
            };
            if settled || Instant::now() >= deadline {
                return now;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is more than before.
    pub(crate) fn excess(&self, before: &Self) -> Vec<String> {
        self.lines(before)
            .into_iter()
            .filter(|(_, before, after, stray)| *after > before + stray)
            .map(|(what, before, after, stray)| {
                format!("{what}: {before} before, {after} after, where {stray} more are let pass")
            })
            .collect()
    }

    fn lines(&self, before: &Self) -> [(&'static str, usize, usize, usize); 4] {
        [
            ("descriptors", before.descriptors, self.descriptors, 0),
            ("threads", before.threads, self.threads, 0),
            ("mappings", before.mappings, self.mappings, STRAY_MAPPINGS),
            ("resident MiB", before.resident, self.resident, STRAY_RESIDENT),
        ]
    }

    /// A table of both.
    pub(crate) fn beside(&self, before: &Self) -> String {
        let line = |(what, before, after, _)| format!("  {what:<32}{before:>14} before {after:>10} after\n");
        self.lines(before).map(line).concat()
    }
}
