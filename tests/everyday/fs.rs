//! Files do for actors what std's do for threads, and block no worker.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use smarm::compat::await_future;
use smarm::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use smarm_workspace::{PATIENCE, block_on, within};

/// A directory of the test's own, which goes with it.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        loop {
            let number = LAST.fetch_add(1, SeqCst);
            let dir = std::env::temp_dir().join(format!("smarm-everyday-{}-{number}", std::process::id()));
            match std::fs::create_dir(&dir) {
                Ok(()) => return Self(dir),
                // Left by a process that was cut off and had the same number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", dir.display()),
            }
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Runs `test` in an actor, and on a plain thread.
fn everywhere(test: fn(&Dir)) {
    within(PATIENCE, || {
        test(&Dir::new());
        smarm::run(|| test(&Dir::new()));
    });
}

#[test]
fn what_was_written_is_read() {
    everywhere(|dir| {
        let path = dir.file("a");
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.write_all(b"hello, ").unwrap();
        let parts = [std::io::IoSlice::new(b"wor"), std::io::IoSlice::new(b"ld")];
        assert_eq!(file.write_vectored(&parts).unwrap(), 5);
        assert_eq!(file.stream_position().unwrap(), 12);
        file.seek(SeekFrom::Start(7)).unwrap();
        let mut word = [0; 5];
        (&file).read_exact(&mut word).unwrap();
        assert_eq!(&word, b"world");
        assert_eq!(file.read(&mut word).unwrap(), 0);
        file.rewind().unwrap();
        let mut text = String::from("> ");
        assert_eq!(file.read_to_string(&mut text).unwrap(), 12);
        assert_eq!(text, "> hello, world");
        let mut twin = file.try_clone().unwrap();
        twin.seek(SeekFrom::End(-5)).unwrap();
        let mut rest = vec![];
        file.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"world");
        file.write_all_at(b"J", 0).unwrap();
        file.read_exact_at(&mut word, 0).unwrap();
        assert_eq!(&word, b"Jello");
        assert!(file.read_exact_at(&mut word, 10).is_err());
        file.set_len(5).unwrap();
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"Jello");
    });
}

#[test]
fn large_files_go_through_in_pieces() {
    everywhere(|dir| {
        let path = dir.file("large");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        let mut read = vec![0; bytes.len()];
        File::open(&path).unwrap().read_exact(&mut read).unwrap();
        assert!(read == bytes);
        let lines = "a line\n".repeat(10_000);
        fs::write(&path, &lines).unwrap();
        assert_eq!(BufReader::new(File::open(&path).unwrap()).lines().count(), 10_000);
    });
}

#[test]
fn errors_are_stds() {
    everywhere(|dir| {
        use std::io::ErrorKind::{AlreadyExists, NotFound};
        let missing = dir.file("missing");
        assert_eq!(File::open(&missing).unwrap_err().kind(), NotFound);
        assert_eq!(fs::read_to_string(&missing).unwrap_err().kind(), NotFound);
        assert_eq!(fs::create_dir(&dir.0).unwrap_err().kind(), AlreadyExists);
        let path = dir.file("write-only");
        fs::write(&path, "x").unwrap();
        let mut only = OpenOptions::new().append(true).open(&path).unwrap();
        assert!(only.read(&mut [0]).is_err());
        assert!(OpenOptions::new().write(true).create_new(true).open(&path).is_err());
    });
}

#[test]
fn what_the_file_system_knows_can_be_asked_and_set() {
    everywhere(|dir| {
        let path = dir.file("known");
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        file.set_permissions(Permissions::from_mode(0o640)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(fs::metadata(&path).unwrap().permissions().readonly());
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.set_modified(then).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), then);
        let (link, twin) = (dir.file("link"), dir.file("twin"));
        fs::symlink(&path, &link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_link(&link).unwrap(), path);
        assert_eq!(fs::canonicalize(&link).unwrap(), fs::canonicalize(&path).unwrap());
        fs::hard_link(&path, &twin).unwrap();
        assert_eq!(fs::metadata(&twin).unwrap().nlink(), 2);
        fs::rename(&twin, dir.file("renamed")).unwrap();
        assert!(!fs::exists(&twin).unwrap());
        assert_eq!(fs::copy(&path, &twin).unwrap(), 0);
        fs::remove_file(&twin).unwrap();
    });
}

#[test]
fn directories_are_made_read_and_removed() {
    everywhere(|dir| {
        fs::create_dir_all(dir.file("a/b")).unwrap();
        DirBuilder::new().recursive(true).mode(0o700).create(dir.file("a/c")).unwrap();
        for n in 0..300 {
            fs::write(dir.file(&format!("a/{n:03}")), "").unwrap();
        }
        let entries: Vec<_> = fs::read_dir(dir.file("a")).unwrap().map(Result::unwrap).collect();
        let mut names: Vec<_> =
            entries.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        let expected: Vec<_> = (0..300).map(|n| format!("{n:03}")).chain(["b".into(), "c".into()]).collect();
        assert_eq!(names, expected);
        for entry in &entries {
            let is_dir = entry.file_name().len() == 1;
            assert_eq!(entry.file_type().unwrap().is_dir(), is_dir);
            assert_eq!(entry.metadata().unwrap().is_dir(), is_dir);
            assert_eq!(entry.ino(), fs::metadata(entry.path()).unwrap().ino());
        }
        assert!(fs::remove_dir(dir.file("a")).is_err());
        fs::remove_dir(dir.file("a/b")).unwrap();
        fs::remove_dir_all(dir.file("a")).unwrap();
        assert!(!fs::exists(dir.file("a")).unwrap());
    });
}

#[test]
fn async_faces_work_in_any_executor() {
    async fn test(dir: &Dir) {
        let path = dir.file("async");
        fs::write_async(&path, "one two").await.unwrap();
        let file = File::open_async(&path).await.unwrap();
        let mut word = [0; 3];
        assert_eq!(file.read_async(&mut word).await.unwrap(), 3);
        assert_eq!(&word, b"one");
        let file = File::create_async(&path).await.unwrap();
        assert_eq!(file.write_async(b"three").await.unwrap(), 5);
        file.sync_all_async().await.unwrap();
        assert_eq!(fs::read_to_string_async(&path).await.unwrap(), "three");
        let mut entries = fs::read_dir_async(&dir.0).await.unwrap();
        assert_eq!(entries.next_async().await.unwrap().unwrap().path(), path);
        assert!(entries.next_async().await.is_none());
    }
    within(PATIENCE, || {
        block_on(test(&Dir::new()));
        smarm::run(|| await_future(test(&Dir::new())));
    });
}

#[test]
fn a_lock_that_somebody_has_is_waited_for_and_other_actors_run() {
    within(PATIENCE, || {
        smarm::run(|| {
            let dir = Dir::new();
            let path = dir.file("locked");
            let (first, second) = (File::create(&path).unwrap(), File::open(&path).unwrap());
            first.lock().unwrap();
            assert!(matches!(second.try_lock(), Err(TryLockError::WouldBlock)));
            assert!(matches!(second.try_lock_shared(), Err(TryLockError::WouldBlock)));
            let waiter = smarm::spawn(move || {
                second.lock_shared().unwrap();
                second
            });
            for _ in 0..100 {
                smarm::yield_now();
            }
            assert!(!waiter.is_finished());
            first.unlock().unwrap();
            let second = waiter.join().unwrap();
            assert!(matches!(first.try_lock(), Err(TryLockError::WouldBlock)));
            first.try_lock_shared().unwrap();
            drop(second);
        });
    });
}

#[test]
fn a_read_that_blocks_ends_with_its_scope_and_blocks_no_worker() {
    within(PATIENCE, || {
        smarm::run(|| {
            let dir = Dir::new();
            let path = dir.file("fifo");
            let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
            // SAFETY: `name` is a string that ends with a zero.
            assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            // Opened both ways, so that neither the open nor an end of the file ends the wait.
            let fifo = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let over = smarm::with_timeout(Duration::from_millis(2), || {
                let mut byte = [0];
                drop((&fifo).read(&mut byte));
            });
            assert_eq!(over, Err(smarm::cancel::Interrupted::TimedOut));
            // The read that nobody waits for goes on, until there is something.
            (&fifo).write_all(b"x").unwrap();
            let std = fifo.try_into_std().unwrap();
            assert!(std.metadata().is_ok());
        });
    });
}

#[test]
fn conversions_keep_the_file() {
    everywhere(|dir| {
        use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
        let path = dir.file("same");
        fs::write(&path, "same").unwrap();
        let file = File::from(std::fs::File::open(&path).unwrap());
        let number = file.as_raw_fd();
        let fd: OwnedFd = file.into();
        assert_eq!(fd.as_raw_fd(), number);
        let raw = File::from(fd).into_raw_fd();
        // SAFETY: the descriptor was just given up.
        let mut file = unsafe { File::from_raw_fd(raw) };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "same");
    });
}
