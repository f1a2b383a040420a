//! What the tests of faults share.

use std::fs;
use std::io;

use smarm::{Config, Runtime};

/// The worlds that an actor can live in.
pub(crate) const HOSTS: [(&str, fn(usize) -> Runtime); 2] = [("native", native), ("tokio", on_tokio)];

pub(crate) fn native(workers: usize) -> Runtime {
    smarm::runtime::init(Config::exact(workers))
}

pub(crate) fn on_tokio(workers: usize) -> Runtime {
    smarm_compat::Builder::new().workers(workers).start().expect("the runtime starts")
}

/// How many descriptors this process has open, without the one that looks.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("there is /proc").count() - 1
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("there is /proc").count()
}

/// How many mappings this process has.
pub(crate) fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("there is /proc").lines().count()
}

/// The CPU time that this process has used, in milliseconds.
pub(crate) fn cpu_millis() -> u64 {
    // SAFETY: all zero is a valid timespec, which the call overwrites.
    let spent = unsafe {
        let mut spent: libc::timespec = std::mem::zeroed();
        assert_eq!(libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut spent), 0);
        spent
    };
    spent.tv_sec.cast_unsigned() * 1000 + spent.tv_nsec.cast_unsigned() / 1_000_000
}

/// The soft and the hard limit of a resource.
pub(crate) fn limits(resource: libc::__rlimit_resource_t) -> (u64, u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a valid place for the answer.
    assert_eq!(unsafe { libc::getrlimit(resource, &mut limit) }, 0);
    (limit.rlim_cur, limit.rlim_max)
}

/// Sets the soft limit of a resource of this process, and gives what it was.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, soft: u64) -> u64 {
    let (before, hard) = limits(resource);
    let limit = libc::rlimit { rlim_cur: soft.min(hard), rlim_max: hard };
    // SAFETY: the limit is valid for the call.
    let done = unsafe { libc::setrlimit(resource, &limit) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
    before
}

/// Lets this process open `spare` descriptors more, and gives the limit of before.
pub(crate) fn spare_descriptors(spare: usize) -> u64 {
    // The limit is on numbers, so gaps below the highest would count as spare, too: they are filled.
    let filler = fs::File::open("/dev/null").expect("a descriptor is to be had");
    let mut fillers = Vec::new();
    let highest = fs::read_dir("/proc/self/fd")
        .expect("there is /proc")
        .map(|entry| {
            entry.expect("it can be read").file_name().to_string_lossy().parse::<usize>().expect("a number")
        })
        .max()
        .expect("there are some");
    loop {
        use std::os::fd::AsRawFd;
        let next = filler.try_clone().expect("a descriptor is to be had");
        if next.as_raw_fd().cast_unsigned() as usize > highest {
            break;
        }
        fillers.push(next);
    }
    std::mem::forget((filler, fillers));
    limit(libc::RLIMIT_NOFILE, (highest + 1 + spare) as u64)
}
