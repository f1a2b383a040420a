//! How a file is opened.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::File;
use crate::io::{block_on_io, block_on_io_async};

/// How a file is to be opened; see [`std::fs::OpenOptions`].
///
/// ```
/// use smarm::fs::OpenOptions;
///
/// let missing = OpenOptions::new().read(true).open("/no/such/file");
/// assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions(std::fs::OpenOptions);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, $name: $type) -> &mut Self {
            self.0.$name($name);
            self
        }
    )+};
}

impl OpenOptions {
    /// All flags are off.
    #[expect(clippy::new_without_default, reason = "std's has none")]
    pub fn new() -> Self {
        Self(std::fs::OpenOptions::new())
    }

    flags! {
        /// Whether it can be read.
        read: bool;
        /// Whether it can be written.
        write: bool;
        /// Whether each write goes to the end.
        append: bool;
        /// Whether it loses what it holds.
        truncate: bool;
        /// Whether it is made if it is not there.
        create: bool;
        /// Whether it must be made: opening fails if it is there.
        create_new: bool;
        /// The permissions of a file that is made, less the process's mask.
        mode: u32;
        /// Further flags of `open(2)`.
        custom_flags: i32;
    }

    /// Opens the file.
    ///
    /// # Errors
    /// std's.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (options, path) = (self.0.clone(), path.as_ref().to_owned());
        block_on_io(move || options.open(path)).map(File::from)
    }

    /// [`open`](Self::open) for async code. Dropped half-way, a file that is opened is closed again.
    ///
    /// # Errors
    /// std's.
    pub async fn open_async(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (options, path) = (self.0.clone(), path.as_ref().to_owned());
        block_on_io_async(move || options.open(path)).await.map(File::from)
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> Self {
        Self(options)
    }
}
