//! The sources of one epoll, found by the key that the kernel hands back with each event.
//!
//! A key is (index, generation). An entry's generation goes up when its source ends, so an event
//! that the kernel had already put into a batch finds nothing, even if the index and the number of
//! the descriptor have new owners by then.
//!
//! A source may end on any thread; it takes its descriptor out of the epoll itself, under the
//! table's lock, which also tells it whether the epoll still exists.
//!
//! Rejected: the source's address as the key. A source that ends on another thread while a batch
//! is being worked off would have to be kept until that batch is done.

#[cfg(all(test, smarm_loom))]
mod models;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use super::readiness::Readiness;
use super::sys::check;
use super::{Attempt, Direction, Source, WaitId};
use crate::chaos;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::{Mutex, MutexGuard, Step, omits};

/// What the epoll's events carry. The two largest belong to the reactor's own descriptors; a table
/// never grows to such an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(pub(super) u64);

impl Key {
    pub(super) const NOTIFIER: Key = Key(u64::MAX);
    pub(super) const TIMER: Key = Key(u64::MAX - 1);

    fn new(index: usize, generation: u32) -> Key {
        Key((index as u64) << 32 | u64::from(generation))
    }

    fn index(self) -> usize {
        (self.0 >> 32) as usize
    }

    fn generation(self) -> u32 {
        self.0 as u32
    }
}

pub(super) struct Registry {
    /// Guards the entries and, while it is held, that the epoll is not closed. Nothing foreign
    /// runs under it: no waker, and no source is dropped.
    table: Mutex<Table>,
    /// How many sources there are, to be read without the lock.
    len: AtomicUsize,
}

struct Table {
    /// `None` after the reactor has ended.
    epoll: Option<RawFd>,
    entries: Vec<Entry>,
    /// The indices of the entries without a source.
    free: Vec<usize>,
}

struct Entry {
    generation: u32,
    source: Weak<Registered>,
}

impl Registry {
    /// The registry of `epoll`, whose owner calls [`end`](Registry::end) before closing it.
    pub(super) fn new(epoll: RawFd) -> Registry {
        let table = Table { epoll: Some(epoll), entries: Vec::new(), free: Vec::new() };
        Registry { table: Mutex::new(table), len: AtomicUsize::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// An entry for a source that is about to be registered.
    pub(super) fn reserve(&self) -> Key {
        let mut table = self.lock();
        let index = table.free.pop().unwrap_or_else(|| {
            let index = table.entries.len();
            table.entries.push(Entry { generation: 0, source: Weak::new() });
            // So that the end of a source never allocates: it may be part of an unwinding.
            table.free.reserve(index + 1);
            index
        });
        self.len.fetch_add(1, Ordering::Relaxed);
        Key::new(index, table.entries[index].generation)
    }

    /// Gives the entry its source, once the kernel knows the descriptor.
    pub(super) fn fill(&self, key: Key, source: &Arc<Registered>) {
        self.lock().entries[key.index()].source = Arc::downgrade(source);
    }

    /// Gives the entry back; `fd` is taken out of the epoll if there is one.
    pub(super) fn remove(&self, key: Key, fd: Option<RawFd>) {
        let mut table = self.lock();
        if let (Some(epoll), Some(fd)) = (table.epoll, fd) {
            // SAFETY: EPOLL_CTL_DEL takes no event; the lock keeps the epoll open. A failure means
            // that the descriptor was closed early, and then the kernel has removed it.
            unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, ptr::null_mut()) };
        }
        let entry = &mut table.entries[key.index()];
        entry.generation = entry.generation.wrapping_add(u32::from(!omits(Step::CountGeneration)));
        entry.source = Weak::new();
        table.free.push(key.index());
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    /// The source of an event, unless it has ended.
    pub(super) fn find(&self, key: Key) -> Option<Arc<Registered>> {
        let table = self.lock();
        let entry = table.entries.get(key.index())?;
        if entry.generation == key.generation() { entry.source.upgrade() } else { None }
    }

    /// Ends all sources; the caller wakes what is put into `woken`, and may then close the epoll.
    pub(super) fn end(&self, woken: &mut Vec<Waker>) {
        let mut table = self.lock();
        table.epoll = None;
        let sources: Vec<_> = table.entries.iter().filter_map(|entry| entry.source.upgrade()).collect();
        drop(table);
        for source in sources {
            source.read.end(woken);
            source.write.end(woken);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A descriptor that is registered with an epoll.
pub(super) struct Registered {
    registry: Arc<Registry>,
    key: Key,
    fd: RawFd,
    /// Holds `fd` if that is a duplicate made for this registration. The kernel forgets it in
    /// `drop`, which comes before it is closed here.
    _duplicate: Option<OwnedFd>,
    read: Readiness,
    write: Readiness,
}

impl Registered {
    /// The source of `fd`, which the kernel knows under `key`.
    pub(super) fn new(
        registry: Arc<Registry>,
        key: Key,
        fd: RawFd,
        duplicate: Option<OwnedFd>,
    ) -> Registered {
        let (read, write) = (Readiness::new(), Readiness::new());
        Registered { registry, key, fd, _duplicate: duplicate, read, write }
    }

    /// Passes an event on; the caller wakes what is put into `woken`.
    pub(super) fn deliver(&self, events: u32, woken: &mut Vec<Waker>) {
        const BOTH: i32 = libc::EPOLLHUP | libc::EPOLLERR;
        const READ_LASTING: i32 = BOTH | libc::EPOLLRDHUP | libc::EPOLLPRI;
        let any = |mask: i32| events & mask as u32 != 0;
        if any(libc::EPOLLIN | READ_LASTING) {
            self.read.set(any(READ_LASTING), woken);
        }
        if any(libc::EPOLLOUT | BOTH) {
            self.write.set(any(BOTH), woken);
        }
    }

    fn readiness(&self, direction: Direction) -> &Readiness {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }
}

impl Source for Registered {
    fn poll_io(
        &self,
        direction: Direction,
        id: WaitId,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>> {
        self.readiness(direction).poll(id, cx, attempt)
    }

    fn forget(&self, direction: Direction, id: WaitId) {
        self.readiness(direction).forget(id);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.remove(self.key, Some(self.fd));
    }
}

/// What sources listen to. Urgent data is among it because a read stops short in front of it.
pub(super) const SOURCE_EVENTS: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI;

/// Tells the kernel to report edges of `events` at `fd` under `key`.
///
/// # Errors
/// `EEXIST` if the epoll has this descriptor already; else as for [`super::Reactor::register`].
pub(super) fn add(epoll: &OwnedFd, fd: RawFd, events: i32, key: Key) -> io::Result<()> {
    chaos::fault(libc::ENOSPC)?;
    let mut event = libc::epoll_event { events: (events | libc::EPOLLET) as u32, u64: key.0 };
    // SAFETY: `event` is valid for the call, which copies it.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })?;
    Ok(())
}
