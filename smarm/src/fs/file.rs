//! An open file.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::SystemTime;

use super::{FileTimes, Metadata, OpenOptions, Permissions, may_block};
use crate::host::sys::check;
use crate::io::{block_on_io, block_on_io_async};

/// So many bytes one read or write moves at most: they are copied on the way to the pool.
const LONGEST: usize = 1 << 20;

/// An open file; see [`std::fs::File`], and the [module](super).
pub struct File {
    /// Shared with calls of the pool that nobody waits for any more.
    inner: Arc<std::fs::File>,
}

impl File {
    /// Opens a file to be read.
    ///
    /// # Errors
    /// std's.
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens an empty file to be written, made if it is not there.
    ///
    /// # Errors
    /// std's.
    pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file to be read and written, which must not be there.
    ///
    /// # Errors
    /// std's.
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// How to open a file otherwise.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// [`open`](Self::open) for async code.
    ///
    /// # Errors
    /// std's.
    pub async fn open_async(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open_async(path).await
    }

    /// [`create`](Self::create) for async code.
    ///
    /// # Errors
    /// std's.
    pub async fn create_async(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open_async(path).await
    }

    /// Brings all that was written, and what the file system knows of the file, to the disk.
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    pub fn sync_all(&self) -> io::Result<()> {
        self.call(|file| file.sync_all())
    }

    /// Brings all that was written to the disk.
    ///
    /// # Errors
    /// Those of `fdatasync(2)`.
    pub fn sync_data(&self) -> io::Result<()> {
        self.call(|file| file.sync_data())
    }

    /// [`sync_all`](Self::sync_all) for async code. Dropped half-way, it goes on.
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    pub async fn sync_all_async(&self) -> io::Result<()> {
        let file = self.inner.clone();
        block_on_io_async(move || file.sync_all()).await
    }

    /// Cuts the file off, or makes it longer with zeros.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.call(move |file| file.set_len(size))
    }

    /// What the file system knows of the file.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.call(|file| file.metadata())
    }

    /// Sets what may be done with the file.
    ///
    /// # Errors
    /// Those of `fchmod(2)`.
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.call(move |file| file.set_permissions(permissions))
    }

    /// Sets when the file was accessed and modified.
    ///
    /// # Errors
    /// Those of `futimens(2)`.
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.call(move |file| file.set_times(times))
    }

    /// Sets when the file was modified.
    ///
    /// # Errors
    /// Those of `futimens(2)`.
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time))
    }

    /// A second handle to the same open file, with the same position in it.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: out of descriptors.
    pub fn try_clone(&self) -> io::Result<File> {
        self.inner.try_clone().map(File::from)
    }

    /// Waits for the file's lock. It keeps out whoever else asks for it, in this process through another open
    /// file; it goes with [`unlock`](Self::unlock), or with the last handle.
    ///
    /// # Errors
    /// Those of `flock(2)`.
    pub fn lock(&self) -> io::Result<()> {
        self.call(|file| flock(file, libc::LOCK_EX))
    }

    /// Waits for a share in the file's lock.
    ///
    /// # Errors
    /// Those of `flock(2)`.
    pub fn lock_shared(&self) -> io::Result<()> {
        self.call(|file| flock(file, libc::LOCK_SH))
    }

    /// Takes the file's lock if it is free.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is not; those of `flock(2)`.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        Ok(self.call(|file| flock(file, libc::LOCK_EX | libc::LOCK_NB))?)
    }

    /// Takes a share in the file's lock if nobody has the whole.
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock).
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        Ok(self.call(|file| flock(file, libc::LOCK_SH | libc::LOCK_NB))?)
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// Those of `flock(2)`.
    pub fn unlock(&self) -> io::Result<()> {
        self.call(|file| flock(file, libc::LOCK_UN))
    }

    /// Reads from `offset` on, which leaves the position alone. Gives the number of bytes.
    ///
    /// # Errors
    /// Those of `pread(2)`.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let place = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.read_by(buf, place, move |file, buf| file.read_at(buf, offset))
    }

    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    /// Those of [`read_at`](Self::read_at); [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the file ends
    /// before.
    pub fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    buf = &mut buf[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }

    /// Writes at `offset`, which leaves the position alone. Gives the number of bytes.
    ///
    /// # Errors
    /// Those of `pwrite(2)`.
    pub fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.write_by(&[IoSlice::new(buf)], move |file, buf| file.write_at(buf, offset))
    }

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    /// Those of [`write_at`](Self::write_at).
    pub fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => {
                    buf = &buf[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }

    /// `Read::read` for async code. Dropped half-way, bytes that were read are lost: the position has moved.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub async fn read_async(&self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(count) = read_cached(&self.inner, buf, -1)? {
            return Ok(count);
        }
        let (file, mut read) = (self.inner.clone(), vec![0; buf.len().min(LONGEST)]);
        let (count, read) =
            block_on_io_async(move || (&*file).read(&mut read).map(|count| (count, read))).await?;
        buf[..count].copy_from_slice(&read[..count]);
        Ok(count)
    }

    /// `Write::write` for async code. Dropped half-way, the bytes may be written.
    ///
    /// # Errors
    /// Those of `write(2)`.
    pub async fn write_async(&self, buf: &[u8]) -> io::Result<usize> {
        let (file, bytes) = (self.inner.clone(), buf[..buf.len().min(LONGEST)].to_vec());
        block_on_io_async(move || (&*file).write(&bytes)).await
    }

    /// std's file. If a call of an actor that was killed still goes on, it is a duplicate.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: out of descriptors.
    pub fn try_into_std(self) -> io::Result<std::fs::File> {
        Arc::try_unwrap(self.inner).or_else(|shared| shared.try_clone())
    }

    fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = self.inner.clone();
        block_on_io(move || f(&file))
    }

    /// Reads by `f`, at `offset`, of which -1 is the position.
    fn read_by(
        &self,
        buf: &mut [u8],
        offset: i64,
        f: impl FnOnce(&std::fs::File, &mut [u8]) -> io::Result<usize> + Send + 'static,
    ) -> io::Result<usize> {
        if may_block() {
            return f(&self.inner, buf);
        }
        if let Some(count) = read_cached(&self.inner, buf, offset)? {
            return Ok(count);
        }
        let mut read = vec![0; buf.len().min(LONGEST)];
        let (count, read) = self.call(move |file| f(file, &mut read).map(|count| (count, read)))?;
        buf[..count].copy_from_slice(&read[..count]);
        Ok(count)
    }

    fn write_by(
        &self,
        bufs: &[IoSlice<'_>],
        f: impl FnOnce(&std::fs::File, &[u8]) -> io::Result<usize> + Send + 'static,
    ) -> io::Result<usize> {
        if let [buf] = bufs
            && may_block()
        {
            return f(&self.inner, buf);
        }
        let mut bytes = Vec::new();
        for buf in bufs {
            let room = LONGEST - bytes.len();
            bytes.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        self.call(move |file| f(file, &bytes))
    }
}

/// Reads what the kernel has in memory. `None` if it would have to fetch it, or cannot tell.
fn read_cached(file: &std::fs::File, buf: &mut [u8], offset: i64) -> io::Result<Option<usize>> {
    let part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: `part` names the bytes of `buf`, which are writable for the call.
    let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, offset, libc::RWF_NOWAIT) };
    match check(count) {
        Ok(count) => Ok(Some(count.cast_unsigned())),
        Err(error) => match error.raw_os_error() {
            Some(
                libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::EINTR | libc::ESPIPE,
            ) => Ok(None),
            _ => Err(error),
        },
    }
}

fn flock(file: &std::fs::File, operation: libc::c_int) -> io::Result<()> {
    loop {
        // SAFETY: flock takes no pointers.
        match check(unsafe { libc::flock(file.as_raw_fd(), operation) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(drop),
        }
    }
}

/// Why a file's lock was not taken.
#[derive(Debug)]
pub enum TryLockError {
    /// The system says so.
    Error(io::Error),
    /// Somebody else has it.
    WouldBlock,
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::WouldBlock => f.write_str("somebody else has the lock of the file"),
        }
    }
}

impl Error for TryLockError {}

impl From<io::Error> for TryLockError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock { Self::WouldBlock } else { Self::Error(error) }
    }
}

impl Read for &File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_by(buf, -1, |mut file, buf| file.read(buf))
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        if may_block() {
            return (&*self.inner).read_to_end(buf);
        }
        let mut read = self.call(|mut file| {
            let mut read = Vec::new();
            file.read_to_end(&mut read).map(|_| read)
        })?;
        let count = read.len();
        buf.append(&mut read);
        Ok(count)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        if may_block() {
            return (&*self.inner).read_to_string(buf);
        }
        let read = self.call(|mut file| {
            let mut read = String::new();
            file.read_to_string(&mut read).map(|_| read)
        })?;
        buf.push_str(&read);
        Ok(read.len())
    }
}

impl Write for &File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_by(&[IoSlice::new(buf)], |mut file, bytes| file.write(bytes))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_by(bufs, |mut file, bytes| file.write(bytes))
    }

    /// There is nothing to flush.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&*self.inner).seek(position)
    }
}

impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        (&*self).read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        (&*self).read_to_string(buf)
    }
}

impl Write for File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    /// There is nothing to flush.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&*self).seek(position)
    }
}

impl From<std::fs::File> for File {
    fn from(inner: std::fs::File) -> File {
        File { inner: Arc::new(inner) }
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        std::fs::File::from(fd).into()
    }
}

/// # Panics
/// If a call of an actor that was killed still goes on, and there is no descriptor for a duplicate; see
/// [`File::try_into_std`].
impl From<File> for OwnedFd {
    fn from(file: File) -> OwnedFd {
        file.try_into_std().expect("smarm: no descriptor for a duplicate of a file in use").into()
    }
}

/// As for [`OwnedFd`].
impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        OwnedFd::from(file).into()
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// As for [`OwnedFd`].
impl IntoRawFd for File {
    fn into_raw_fd(self) -> RawFd {
        OwnedFd::from(self).into_raw_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> File {
        // SAFETY: the caller owns the descriptor.
        unsafe { OwnedFd::from_raw_fd(fd) }.into()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
