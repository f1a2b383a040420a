//! Directories.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileType, Metadata};
use crate::io::{block_on_io, block_on_io_async};

/// How many entries one call of the pool reads.
const BATCH: usize = 128;

type Batch = (std::fs::ReadDir, VecDeque<io::Result<std::fs::DirEntry>>);

/// The entries of a directory; see [`std::fs::read_dir`].
///
/// # Errors
/// std's.
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let (rest, read) = block_on_io(move || Ok::<Batch, io::Error>(batch(std::fs::read_dir(path)?)))?;
    Ok(ReadDir { rest: Some(rest), read })
}

/// [`read_dir`] for async code; goes on with [`ReadDir::next_async`].
///
/// # Errors
/// std's.
pub async fn read_dir_async(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let first = block_on_io_async(move || Ok::<Batch, io::Error>(batch(std::fs::read_dir(path)?)));
    let (rest, read) = first.await?;
    Ok(ReadDir { rest: Some(rest), read })
}

fn batch(mut rest: std::fs::ReadDir) -> Batch {
    let read = rest.by_ref().take(BATCH).collect();
    (rest, read)
}

/// Gives the entries of a directory, which it reads some ahead.
pub struct ReadDir {
    /// `None` once all was read, and if a wait for more was cut off.
    rest: Option<std::fs::ReadDir>,
    read: VecDeque<io::Result<std::fs::DirEntry>>,
}

impl ReadDir {
    /// The next entry, for async code. Dropped half-way, it ends the iteration.
    pub async fn next_async(&mut self) -> Option<io::Result<DirEntry>> {
        if self.read.is_empty() {
            let rest = self.rest.take()?;
            self.refill(block_on_io_async(move || batch(rest)).await);
        }
        self.pop()
    }

    fn refill(&mut self, (rest, read): Batch) {
        self.rest = (!read.is_empty()).then_some(rest);
        self.read = read;
    }

    fn pop(&mut self) -> Option<io::Result<DirEntry>> {
        Some(self.read.pop_front()?.map(|entry| DirEntry(Arc::new(entry))))
    }
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        if self.read.is_empty() {
            let rest = self.rest.take()?;
            self.refill(block_on_io(move || batch(rest)));
        }
        self.pop()
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").finish_non_exhaustive()
    }
}

/// An entry of a directory.
pub struct DirEntry(Arc<std::fs::DirEntry>);

impl DirEntry {
    /// The path that was read, with the entry's name.
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Its name.
    pub fn file_name(&self) -> OsString {
        self.0.file_name()
    }

    /// What the file system knows of it; of a link, not of what that points to.
    ///
    /// # Errors
    /// std's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        let entry = self.0.clone();
        block_on_io(move || entry.metadata())
    }

    /// What it is; most file systems have told that already.
    ///
    /// # Errors
    /// std's.
    pub fn file_type(&self) -> io::Result<FileType> {
        let entry = self.0.clone();
        block_on_io(move || entry.file_type())
    }

    /// Its number in the file system.
    pub fn ino(&self) -> u64 {
        self.0.ino()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a directory is to be made; see [`std::fs::DirBuilder`].
#[derive(Debug, Default)]
pub struct DirBuilder {
    recursive: bool,
    mode: Option<u32>,
}

impl DirBuilder {
    /// One directory, with the permissions that the process's mask leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether those that it is to be in are made, too, and it is no error if it is there.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// The permissions, less the process's mask.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = Some(mode);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// std's.
    pub fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(self.recursive);
        if let Some(mode) = self.mode {
            builder.mode(mode);
        }
        let path = path.as_ref().to_owned();
        block_on_io(move || builder.create(path))
    }
}
