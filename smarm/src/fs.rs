//! Files, under the names of [`std::fs`], for actors: `use smarm::fs` in place of `use std::fs` ports code.
//!
//! The kernel has no way to wait for a file: its calls block the thread. Here an actor parks while a thread of
//! [`block_on_io`]'s pool makes the call. On a plain OS thread the calls are std's.
//!
//! | | blocking | async |
//! |---|---|---|
//! | functions | [`read()`], [`metadata`], [`rename`], ... | [`read_async`], [`metadata_async`], ... |
//! | [`File`] | `Read`, `Write`, `Seek`, its methods | [`read_async`](File::read_async), [`write_async`](File::write_async) |
//!
//! A read of what the kernel holds in memory takes no thread, where the file system can tell
//! (`RWF_NOWAIT`). `Seek` does not either.
//!
//! # Waits that end early
//! When the actor is killed, or the time of its [scope](crate::cancel) is over ([`time::timeout`](crate::time::timeout)
//! around the call), it unwinds at once. A call that has begun goes on to its end in the pool: the file may be
//! written, and the position in it moved. A file that is dropped meanwhile is closed after that.
//!
//! ```
//! use std::io::{Read, Seek, SeekFrom, Write};
//! use smarm::fs::{self, File};
//!
//! # fn main() -> std::io::Result<()> {
//! smarm::run(|| {
//!     let path = std::env::temp_dir().join(format!("smarm-fs-{}", std::process::id()));
//!     let mut file = File::options().read(true).write(true).create(true).open(&path)?;
//!     file.write_all(b"hello")?;
//!     file.seek(SeekFrom::Start(1))?;
//!     let mut text = String::new();
//!     file.read_to_string(&mut text)?;
//!     assert_eq!(text, "ello");
//!     assert_eq!(fs::metadata(&path)?.len(), 5);
//!     fs::remove_file(&path)
//! })
//! # }
//! ```

mod dir;
mod file;
mod options;

use std::io;
use std::path::{Path, PathBuf};

pub use std::fs::{FileTimes, FileType, Metadata, Permissions};

pub use dir::{DirBuilder, DirEntry, ReadDir, read_dir, read_dir_async};
pub use file::{File, TryLockError};
pub use options::OpenOptions;

use crate::host;
use crate::io::{block_on_io, block_on_io_async};

/// Whether a call may block here: the thread is no worker's.
fn may_block() -> bool {
    host::with_reactor(|reactor| reactor.is_none())
}

/// Functions of std's that take paths, in both faces.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident, $name_async:ident = $std:path, ($($path:ident),+ $(; $value:ident: $type:ty)?)
        -> $output:ty;)+) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// std's.
        pub fn $name($($path: impl AsRef<Path>,)+ $($value: $type)?) -> io::Result<$output> {
            $(let $path = $path.as_ref().to_owned();)+
            block_on_io(move || $std($($path,)+ $($value)?))
        }

        #[doc = concat!("[`", stringify!($name), "`] for async code. Dropped half-way, what has begun goes on.")]
        ///
        /// # Errors
        /// std's.
        pub async fn $name_async($($path: impl AsRef<Path>,)+ $($value: $type)?) -> io::Result<$output> {
            $(let $path = $path.as_ref().to_owned();)+
            block_on_io_async(move || $std($($path,)+ $($value)?)).await
        }
    )+};
}

calls! {
    /// The absolute path without links in it; see [`std::fs::canonicalize`].
    canonicalize, canonicalize_async = std::fs::canonicalize, (path) -> PathBuf;
    /// Copies a file with its permissions, and gives how many bytes that were; see [`std::fs::copy`].
    copy, copy_async = std::fs::copy, (from, to) -> u64;
    /// Makes a directory; see [`std::fs::create_dir`].
    create_dir, create_dir_async = std::fs::create_dir, (path) -> ();
    /// Makes a directory, and those that it is to be in; see [`std::fs::create_dir_all`].
    create_dir_all, create_dir_all_async = std::fs::create_dir_all, (path) -> ();
    /// Whether there is something at the path; see [`std::fs::exists`].
    exists, exists_async = std::fs::exists, (path) -> bool;
    /// Makes another name for a file; see [`std::fs::hard_link`].
    hard_link, hard_link_async = std::fs::hard_link, (original, link) -> ();
    /// What the file system knows of a file, at the end of links; see [`std::fs::metadata`].
    metadata, metadata_async = std::fs::metadata, (path) -> Metadata;
    /// What the file system knows of a file or link; see [`std::fs::symlink_metadata`].
    symlink_metadata, symlink_metadata_async = std::fs::symlink_metadata, (path) -> Metadata;
    /// The whole file; see [`std::fs::read`].
    read, read_async = std::fs::read, (path) -> Vec<u8>;
    /// Where a link points to; see [`std::fs::read_link`].
    read_link, read_link_async = std::fs::read_link, (path) -> PathBuf;
    /// The whole file, as text; see [`std::fs::read_to_string`].
    read_to_string, read_to_string_async = std::fs::read_to_string, (path) -> String;
    /// Removes an empty directory; see [`std::fs::remove_dir`].
    remove_dir, remove_dir_async = std::fs::remove_dir, (path) -> ();
    /// Removes a directory with all that is in it; see [`std::fs::remove_dir_all`].
    remove_dir_all, remove_dir_all_async = std::fs::remove_dir_all, (path) -> ();
    /// Removes a file; see [`std::fs::remove_file`].
    remove_file, remove_file_async = std::fs::remove_file, (path) -> ();
    /// Gives a file or directory another name; see [`std::fs::rename`].
    rename, rename_async = std::fs::rename, (from, to) -> ();
    /// Sets what may be done with a file; see [`std::fs::set_permissions`].
    set_permissions, set_permissions_async = std::fs::set_permissions, (path; permissions: Permissions) -> ();
    /// Makes a link; see [`std::os::unix::fs::symlink`].
    symlink, symlink_async = std::os::unix::fs::symlink, (original, link) -> ();
}

/// Makes `contents` the whole of the file; see [`std::fs::write`].
///
/// # Errors
/// std's.
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    if may_block() {
        return std::fs::write(path, contents);
    }
    let (path, contents) = (path.as_ref().to_owned(), contents.as_ref().to_vec());
    block_on_io(move || std::fs::write(path, contents))
}

/// [`write()`] for async code. Dropped half-way, what has begun goes on.
///
/// # Errors
/// std's.
pub async fn write_async(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let (path, contents) = (path.as_ref().to_owned(), contents.as_ref().to_vec());
    block_on_io_async(move || std::fs::write(path, contents)).await
}
