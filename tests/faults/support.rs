//! What the tests of faults share.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use smarm::{Config, Pid, Runtime};
use smarm_workspace::calm;

/// Starts a runtime of this many workers.
type Start = fn(usize) -> Runtime;

/// The worlds that an actor can live in.
pub(crate) const HOSTS: [(&str, Start); 2] = [("native", native), ("tokio", on_tokio)];

/// The same without chaos, for tests in which a yield lets the others come so far as they can.
pub(crate) const CALM_HOSTS: [(&str, Start); 2] = [("native", calm_native), ("tokio", calm_on_tokio)];

fn calm_native(workers: usize) -> Runtime {
    smarm::runtime::init(calm(Config::exact(workers)))
}

fn calm_on_tokio(workers: usize) -> Runtime {
    smarm_compat::Builder::new().config(calm(Config::exact(workers))).start().expect("the runtime starts")
}

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

/// The number of an actor's stack among those of its size.
pub(crate) fn number(pid: Pid) -> u32 {
    let text = pid.to_string();
    let index = text.split('.').next().and_then(|index| index.parse::<u32>().ok());
    index.expect("a pid is printed as index and generation") >> 5 // the lower bits name the size
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

/// Lets this process open `spare` descriptors more, until the guard goes.
#[must_use]
pub(crate) fn spare_descriptors(spare: usize) -> Shortage {
    // The limit is on numbers, so gaps below the highest would count as spare, too: they are filled.
    let highest =
        fs::read_dir("/proc/self/fd").expect("there is /proc").map(descriptor).max().expect("there are some");
    let mut fillers = Vec::new();
    loop {
        let filler = fs::File::open("/dev/null").expect("a descriptor is to be had");
        if filler.as_raw_fd() > highest {
            break;
        }
        fillers.push(filler);
    }
    let before = limit(libc::RLIMIT_NOFILE, (highest + 1) as u64 + spare as u64);
    Shortage { before, _fillers: fillers }
}

fn descriptor(entry: io::Result<fs::DirEntry>) -> RawFd {
    let name = entry.expect("it can be read").file_name();
    name.to_str().and_then(|name| name.parse().ok()).expect("descriptors are numbers")
}

/// Ends the shortage of descriptors when it is dropped.
pub(crate) struct Shortage {
    before: u64,
    _fillers: Vec<fs::File>,
}

impl Drop for Shortage {
    fn drop(&mut self) {
        limit(libc::RLIMIT_NOFILE, self.before);
    }
}
