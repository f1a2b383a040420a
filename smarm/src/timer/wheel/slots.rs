//! Lists of entries, in chunks out of one pool.
//!
//! ```text
//!   List  head ──► chunk ──next──► chunk ──next──► chunk ◄── tail
//!                  ▒▒▒▒████        ████████        ███
//!                  taken
//! ```
//!
//! An entry names its place, where the payload is, and has the low half of its tick with it: so it moves from list
//! to list without a look at the place, which is a cache miss where there are many. A chunk is two cache lines that
//! are read in order, and the next one names the places that can be fetched ahead.
//!
//! Rejected: places that are linked to each other (each step waits for memory); a vector per slot (each slot keeps
//! what it once needed, and allocates when it is used for the first time).

use super::NIL;
use crate::context::prefetch;

/// One entry of a list.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// The low half of the tick.
    pub(super) low: u32,
    pub(super) place: u32,
}

/// How many entries fill a chunk.
const FULL: usize = 15;
/// An empty pool keeps the memory of so many chunks: 8 KiB.
const KEPT: usize = 64;

/// A part of a list, or free.
#[derive(Clone, Copy)]
struct Chunk {
    entries: [Entry; FULL],
    len: u32,
    /// The next one of the list, or of those that are free.
    next: u32,
}

const _: () = assert!(size_of::<Chunk>() == 128);

/// A list, oldest first.
pub(super) struct List {
    head: u32,
    tail: u32,
    /// How many entries have been taken out of the first chunk.
    taken: u32,
}

impl List {
    pub(super) const EMPTY: List = List { head: NIL, tail: NIL, taken: 0 };
}

/// Entries that were in one chunk.
pub(super) struct Part {
    chunk: Chunk,
    taken: u32,
}

impl Part {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.chunk.entries[self.taken as usize..self.chunk.len as usize]
    }
}

/// The pool that all lists of a wheel are made of.
pub(super) struct Chunks {
    chunks: Vec<Chunk>,
    free: u32,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: NIL }
    }

    /// Puts an entry at the end.
    #[inline(always)]
    pub(super) fn push(&mut self, list: &mut List, entry: Entry) {
        if let Some(chunk) = self.chunks.get_mut(list.tail as usize)
            && let Some(vacant) = chunk.entries.get_mut(chunk.len as usize)
        {
            *vacant = entry;
            chunk.len += 1;
        } else {
            self.extend(list, entry);
        }
    }

    /// As [`push`](Self::push), into a chunk of its own.
    fn extend(&mut self, list: &mut List, entry: Entry) {
        let index = match self.chunks.get_mut(self.free as usize) {
            Some(chunk) => {
                let index = std::mem::replace(&mut self.free, chunk.next);
                chunk.entries[0] = entry;
                (chunk.len, chunk.next) = (1, NIL);
                index
            }
            None => {
                let mut chunk = Chunk { entries: [Entry::default(); FULL], len: 1, next: NIL };
                chunk.entries[0] = entry;
                self.chunks.push(chunk);
                // Each chunk but the 576 that slots end with is full, so there are fewer than places.
                self.chunks.len() as u32 - 1
            }
        };
        match self.chunks.get_mut(list.tail as usize) {
            Some(last) => last.next = index,
            None => list.head = index,
        }
        list.tail = index;
    }

    /// Takes the oldest entry out. Says, too, whether it is the first one of its chunk.
    #[inline(always)]
    pub(super) fn take_first(&mut self, list: &mut List) -> Option<(Entry, bool)> {
        let chunk = self.chunks.get(list.head as usize)?;
        let Some(&entry) = chunk.entries[..chunk.len as usize].get(list.taken as usize) else {
            self.drop_first(list); // the last one, from whose end all were taken
            return None;
        };
        list.taken += 1;
        if list.taken == chunk.len {
            self.drop_first(list);
            return Some((entry, false)); // nothing to be fetched together with it
        }
        Some((entry, list.taken == 1))
    }

    /// Takes the first chunk's entries out.
    #[inline(always)]
    pub(super) fn take_part(&mut self, list: &mut List) -> Option<Part> {
        let chunk = *self.chunks.get(list.head as usize)?;
        let part = Part { chunk, taken: list.taken };
        self.drop_first(list);
        let next = self.chunks.as_ptr().wrapping_add(list.head as usize).cast::<u8>();
        prefetch(next);
        prefetch(next.wrapping_add(64));
        Some(part)
    }

    /// Forgets what is in the list.
    #[inline(always)]
    pub(super) fn clear(&mut self, list: &mut List) {
        while list.head != NIL {
            self.drop_first(list);
        }
    }

    #[inline(always)]
    fn drop_first(&mut self, list: &mut List) {
        let first = list.head;
        let chunk = &mut self.chunks[first as usize];
        list.head = std::mem::replace(&mut chunk.next, self.free);
        list.taken = 0;
        if list.head == NIL {
            list.tail = NIL;
        }
        self.free = first;
    }

    /// Takes the newest entry out if it is of this place. `false` if it is not, or not to be seen from the end.
    #[inline(always)]
    pub(super) fn take_last(&mut self, list: &List, place: u32) -> bool {
        let Some(chunk) = self.chunks.get_mut(list.tail as usize) else { return false };
        let there = chunk.entries[..chunk.len as usize].last().is_some_and(|last| last.place == place);
        // The first chunk is never left without an entry that was not taken.
        let alone = list.head == list.tail && list.taken + 1 == chunk.len;
        if there && !alone {
            chunk.len -= 1;
        }
        there && !alone
    }

    /// Takes the oldest entry out if it is of this place. There must be another one.
    #[inline(always)]
    pub(super) fn take_oldest(&mut self, list: &mut List, place: u32) -> bool {
        let Some(chunk) = self.chunks.get(list.head as usize) else { return false };
        let oldest = chunk.entries[..chunk.len as usize].get(list.taken as usize);
        let there = oldest.is_some_and(|oldest| oldest.place == place);
        if there {
            list.taken += 1;
            if list.taken == chunk.len {
                self.drop_first(list);
            }
        }
        there
    }

    /// The places of the list's first two chunks.
    pub(super) fn first_places(&self, list: &List) -> impl Iterator<Item = u32> {
        let first = self.chunks.get(list.head as usize);
        let second = first.and_then(|first| self.chunks.get(first.next as usize));
        let all = first.into_iter().chain(second);
        all.flat_map(|chunk| chunk.entries[..chunk.len as usize].iter().map(|entry| entry.place))
    }

    /// The only entry of a list that has one.
    pub(super) fn only(&self, list: &List) -> Option<Entry> {
        let chunk = self.chunks.get(list.head as usize)?;
        chunk.entries[..chunk.len as usize].get(list.taken as usize).copied()
    }

    /// Gives the memory back, if it is much. All lists must be empty.
    #[inline(always)]
    pub(super) fn shrink(&mut self) {
        if self.chunks.len() > KEPT {
            self.give_back();
        }
    }

    #[cold]
    #[inline(never)]
    fn give_back(&mut self) {
        *self = Self::new();
    }

    #[cfg(any(test, smarm_fuzz))]
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// How many are free.
    #[cfg(any(test, smarm_fuzz))]
    pub(super) fn count_free(&self) -> usize {
        let next = |index: &u32| Some(self.chunks.get(*index as usize)?.next);
        std::iter::successors(Some(self.free), next).filter(|index| *index != NIL).count()
    }

    /// How many a list has, and the entries that it shows.
    #[cfg(any(test, smarm_fuzz))]
    pub(super) fn contents(&self, list: &List) -> (usize, Vec<Entry>) {
        let next = |index: &u32| Some(self.chunks.get(*index as usize)?.next);
        let used = std::iter::successors(Some(list.head), next).filter(|index| *index != NIL);
        let chunks: Vec<_> = used.map(|index| &self.chunks[index as usize]).collect();
        let entries = chunks.iter().flat_map(|chunk| &chunk.entries[..chunk.len as usize]);
        (chunks.len(), entries.skip(list.taken as usize).copied().collect())
    }
}
