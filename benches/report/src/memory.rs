//! What the process takes of memory.

use std::fs;
use std::hint::black_box;
use std::mem::MaybeUninit;

/// An empty vector whose room is resident.
pub fn resident<T>(room: usize) -> Vec<T> {
    let mut vector = Vec::with_capacity(room);
    black_box(&mut vector).spare_capacity_mut().fill_with(MaybeUninit::zeroed);
    vector
}

/// The process's resident memory and page tables, in bytes.
pub fn resident_and_page_tables() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says so");
    let kilobytes = |field: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(field)).expect("Linux says so");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("Linux says so")
    };
    (kilobytes("VmRSS:") + kilobytes("VmPTE:")) << 10
}
