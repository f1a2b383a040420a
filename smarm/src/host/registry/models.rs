//! Models of the sources of a reactor, and of the list of sources that a descriptor has had.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | late event | reactor, owner of a source | a source ends while an event of it is on its way; another one takes its place | the event does not come to that | the generation not counted |
//! | other reactor | two workers, the kernel | both wait for a descriptor, and one ends with its reactor; then a byte comes | the other one gets it, through a reactor of its own if need be; all sources end with the descriptor | the look under the lock left out; filling the place torn |
//!
//! The kernel is a list of sources, which it tells of the byte.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::Waker;
use std::{io, iter};

use super::{Registered, Registry};
use crate::host::{self, Attempt, Direction, Reactor, Source};
use crate::io::registration::Registration;
use crate::primitive::Mutex;
use crate::primitive::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Relaxed},
};
use crate::primitive::flaw::{Flaw, Op, Step, omitted, torn};
use crate::primitive::model::{block_on, check, check_flawed, poll_once, spawn};

/// No descriptor: the system refuses whatever is asked of it.
const NONE: i32 = -1;

fn registry() -> Arc<Registry> {
    Arc::new(Registry::new(NONE))
}

fn register(registry: &Arc<Registry>) -> Arc<Registered> {
    let key = registry.reserve();
    let source = Arc::new(Registered::new(registry.clone(), key, NONE, None));
    registry.fill(key, &source);
    source
}

fn late_event() {
    let registry = registry();
    let first = register(&registry);
    let event = first.key; // the kernel has put it into a batch
    let owner = spawn(move || drop(first));
    let second = register(&registry);
    let found = registry.find(event);
    assert!(!found.is_some_and(|found| Arc::ptr_eq(&found, &second)), "a stranger is told");
    owner.join().unwrap();
}

#[test]
fn a_late_event_comes_to_nobody_else() {
    check(4, late_event);
}

#[test]
#[should_panic(expected = "a stranger is told")]
fn a_generation_that_is_not_counted_is_caught() {
    check_flawed(omitted(Step::CountGeneration), 4, late_event);
}

/// What the kernel knows.
#[derive(Default)]
struct Kernel {
    there: AtomicBool,
    sources: Mutex<Vec<std::sync::Weak<Registered>>>,
}

impl Kernel {
    fn read(&self) -> io::Result<Attempt> {
        Ok(if self.there.load(Relaxed) { Attempt::Done(1) } else { Attempt::WouldBlock })
    }

    /// A byte comes.
    fn receive(&self) {
        self.there.store(true, Relaxed);
        let sources: Vec<_> =
            self.sources.lock().unwrap().iter().filter_map(|source| source.upgrade()).collect();
        let mut woken = Vec::new();
        sources.iter().for_each(|source| source.deliver(libc::EPOLLIN as u32, &mut woken));
        woken.into_iter().for_each(Waker::wake);
    }
}

struct Worker {
    registry: Arc<Registry>,
    kernel: Arc<Kernel>,
}

impl Reactor for Worker {
    fn register(&self, _fd: BorrowedFd<'_>) -> io::Result<Arc<dyn Source>> {
        let source = register(&self.registry);
        self.kernel.sources.lock().unwrap().push(Arc::downgrade(&source));
        Ok(source)
    }
}

fn other_reactor() {
    let kernel = Arc::<Kernel>::default();
    let registries = [registry(), registry()];
    let registration = Arc::new(Registration::new());
    // SAFETY: it is never used, and the number is not that of "none".
    let fd = unsafe { BorrowedFd::borrow_raw(0) };

    let (theirs, knows) = (registration.clone(), kernel.clone());
    let worker = Worker { registry: registries[0].clone(), kernel: kernel.clone() };
    let ending = spawn(move || {
        // SAFETY: the guard ends before the reactor.
        let entered = unsafe { host::enter(&worker) };
        let _ = poll_once(&mut theirs.operation(fd, Direction::Read, || knows.read()));
        drop(entered);
        let mut woken = Vec::new();
        worker.registry.end(&mut woken);
        woken.into_iter().for_each(Waker::wake);
    });
    let sends = kernel.clone();
    let peer = spawn(move || sends.receive());

    let worker = Worker { registry: registries[1].clone(), kernel: kernel.clone() };
    // SAFETY: the guard ends before the reactor.
    let entered = unsafe { host::enter(&worker) };
    let read = block_on(registration.operation(fd, Direction::Read, || kernel.read()));
    assert_eq!(read.unwrap(), 1);
    drop(entered);
    iter::once(ending).chain([peer]).for_each(|thread| thread.join().unwrap());
    drop(registration);
    assert_eq!(registries.map(|registry| registry.len()), [0, 0], "a source is left behind");
}

fn flawed(flaw: Flaw) {
    check_flawed(flaw, 3, other_reactor);
}

#[test]
fn a_wait_outlives_the_reactor_that_it_began_with() {
    check(2, other_reactor);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wait_that_misses_the_end_of_its_reactor_is_caught() {
    flawed(omitted(Step::LookUnderLock));
}

#[test]
#[should_panic(expected = "a source is left behind")]
fn a_source_that_takes_anothers_place_is_caught() {
    flawed(torn("io/registration.rs", Op::Exchange, AcqRel));
}
