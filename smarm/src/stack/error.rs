//! Why there is no stack, and what to raise.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// Why an actor could not be given a stack. Its text says which limit to raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackError {
    /// The wanted size is larger than the largest stack (64 MiB).
    TooLarge {
        /// The wanted size in bytes.
        wanted: usize,
    },
    /// The system reserved no address space for stacks of this size.
    NoAddressSpace {
        /// The smallest amount that was asked for, in bytes.
        wanted: usize,
        /// The `errno` of the refusal.
        os_error: i32,
    },
    /// All stacks that fit into the address space reserved for this size are in use.
    AreaFull {
        /// The size of these stacks in bytes.
        size: usize,
        /// How many there are.
        stacks: u32,
    },
    /// The system refused to make reserved address space usable.
    NoMemory {
        /// How much it was asked for, in bytes.
        wanted: usize,
        /// The `errno` of the refusal.
        os_error: i32,
    },
    /// The process has as many separate memory mappings as the system allows.
    TooManyMaps {
        /// The value of the sysctl `vm.max_map_count`, where it could be read.
        limit: Option<usize>,
    },
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            StackError::TooLarge { wanted } => {
                write!(f, "a stack of {wanted} bytes was wanted; the largest has {}", super::area::MAX_SIZE)
            }
            StackError::NoAddressSpace { wanted, os_error } => write!(
                f,
                "no {wanted} bytes of address space for stacks ({}); raise RLIMIT_AS (ulimit -v)",
                io::Error::from_raw_os_error(os_error)
            ),
            StackError::AreaFull { size, stacks } => write!(
                f,
                "all {stacks} stacks of {} KiB are in use; end some actors, choose another stack size, \
                 or raise RLIMIT_AS (ulimit -v) if it is limited",
                size / 1024
            ),
            StackError::NoMemory { wanted, os_error } => write!(
                f,
                "no {wanted} bytes of memory for stacks ({}); raise RLIMIT_DATA (ulimit -d) or the overcommit \
                 limit (vm.overcommit_memory, vm.overcommit_ratio), or choose smaller stacks",
                io::Error::from_raw_os_error(os_error)
            ),
            StackError::TooManyMaps { limit } => {
                f.write_str("the process has as many memory mappings as vm.max_map_count allows")?;
                if let Some(limit) = limit {
                    write!(f, " ({limit})")?;
                }
                f.write_str(
                    ", and each stack with an mprotect guard takes two; \
                     raise it with sysctl -w vm.max_map_count=..., \
                     or use Linux 6.13 or later without mlockall, where stacks need none",
                )
            }
        }
    }
}

impl std::error::Error for StackError {}

/// The value of the sysctl `vm.max_map_count`. Read without allocating: when it is reached, an
/// allocation may fail too.
pub(super) fn max_map_count() -> Option<usize> {
    let mut text = [0; 24];
    let len = File::open("/proc/sys/vm/max_map_count").and_then(|mut file| file.read(&mut text)).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_limit_and_its_value() {
        let limit = max_map_count();
        let text = StackError::TooManyMaps { limit }.to_string();
        assert!(text.contains("vm.max_map_count"));
        assert!(text.contains(&limit.unwrap().to_string()));
        let text = StackError::NoAddressSpace { wanted: 1, os_error: libc::ENOMEM }.to_string();
        assert!(text.contains("RLIMIT_AS"));
        let text = StackError::NoMemory { wanted: 1, os_error: libc::ENOMEM }.to_string();
        assert!(text.contains("RLIMIT_DATA") && text.contains("overcommit"));
    }
}
