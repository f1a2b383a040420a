//! The examples of std's own documentation for `File`, `OpenOptions`, `Command` and `thread`, with smarm's names.

use std::io::prelude::*;
use std::io::{self, BufReader, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use smarm::fs::{self, File, OpenOptions};
use smarm::process::{Command, Stdio};
use smarm::thread;
use smarm_workspace::{PATIENCE, within};

use crate::fs::Dir;

/// Runs an example in an actor and on a plain thread.
fn example(body: fn(&Dir) -> io::Result<()>) {
    within(PATIENCE, || {
        body(&Dir::new()).unwrap();
        smarm::run(|| body(&Dir::new())).unwrap();
    });
}

#[test]
fn file_creates_a_new_file_and_writes_bytes_to_it() {
    example(|dir| {
        let mut file = File::create(dir.file("foo.txt"))?;
        file.write_all(b"Hello, world!")?;
        let mut file = File::open(dir.file("foo.txt"))?;
        let mut contents = String::new();
        file.read_to_string(&mut contents)?;
        assert_eq!(contents, "Hello, world!");
        let file = File::open(dir.file("foo.txt"))?;
        let mut buf_reader = BufReader::new(file);
        let mut contents = String::new();
        buf_reader.read_to_string(&mut contents)?;
        assert_eq!(contents, "Hello, world!");
        Ok(())
    });
}

#[test]
fn file_options_and_create_new() {
    example(|dir| {
        let mut f = File::create_new(dir.file("foo.txt"))?;
        f.write_all("Hello, world!".as_bytes())?;
        let mut f = File::options().append(true).open(dir.file("foo.txt"))?;
        writeln!(&mut f, "new line")?;
        assert_eq!(fs::read_to_string(dir.file("foo.txt"))?, "Hello, world!new line\n");
        Ok(())
    });
}

#[test]
fn file_sync_set_len_metadata_and_try_clone() {
    example(|dir| {
        let mut f = File::create(dir.file("foo.txt"))?;
        f.write_all(b"Hello, world!")?;
        f.sync_all()?;
        f.sync_data()?;
        f.set_len(10)?;
        assert_eq!(f.metadata()?.len(), 10);
        fs::write(dir.file("foo.txt"), "abcdef\n")?;
        let mut file = File::open(dir.file("foo.txt"))?;
        let mut file_copy = file.try_clone()?;
        file.seek(SeekFrom::Start(3))?;
        let mut contents = vec![];
        file_copy.read_to_end(&mut contents)?;
        assert_eq!(contents, b"def\n");
        let mut perms = file.metadata()?.permissions();
        perms.set_readonly(true);
        file.set_permissions(perms)?;
        Ok(())
    });
}

#[test]
fn file_lock_and_unlock() {
    example(|dir| {
        let f = File::create(dir.file("foo.txt"))?;
        f.lock()?;
        f.unlock()?;
        f.lock_shared()?;
        f.unlock()?;
        f.try_lock().expect("nobody else has it");
        Ok(())
    });
}

#[test]
fn open_options() {
    example(|dir| {
        let file = OpenOptions::new().read(true).write(true).create(true).open(dir.file("foo.txt"));
        assert!(file.is_ok());
        let file = OpenOptions::new().read(true).open(dir.file("foo.txt"));
        assert!(file.is_ok());
        let file = OpenOptions::new().write(true).truncate(true).open(dir.file("foo.txt"));
        assert!(file.is_ok());
        let file = OpenOptions::new().write(true).create_new(true).open(dir.file("foo.txt"));
        assert_eq!(file.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        Ok(())
    });
}

#[test]
fn read_dir_visits_a_directory_with_all_below_it() {
    example(|dir| {
        fn visit_dirs(dir: &std::path::Path, cb: &mut dyn FnMut(&fs::DirEntry)) -> io::Result<()> {
            if dir.is_dir() {
                for entry in fs::read_dir(dir)? {
                    let entry = entry?;
                    let path = entry.path();
                    if path.is_dir() { visit_dirs(&path, cb)? } else { cb(&entry) }
                }
            }
            Ok(())
        }
        fs::create_dir_all(dir.file("some/deep"))?;
        fs::write(dir.file("some/deep/one"), "")?;
        fs::write(dir.file("two"), "")?;
        let mut found = vec![];
        visit_dirs(&dir.0, &mut |entry| found.push(entry.file_name()))?;
        found.sort();
        assert_eq!(found, ["one", "two"]);
        Ok(())
    });
}

#[test]
fn command_says_hello() {
    example(|_| {
        let output =
            Command::new("sh").arg("-c").arg("echo hello").output().expect("failed to execute process");
        assert_eq!(output.stdout, b"hello\n");
        let mut list_dir = Command::new("ls");
        list_dir.stdout(Stdio::null());
        assert!(list_dir.status().expect("process failed to execute").success());
        list_dir.current_dir("/");
        assert!(list_dir.status().expect("process failed to execute").success());
        Ok(())
    });
}

#[test]
fn command_pipes_from_one_to_the_other() {
    example(|_| {
        let echo_child = Command::new("echo")
            .arg("Oh no, a tpyo!")
            .stdout(Stdio::piped())
            .spawn()
            .expect("Failed to start echo process");
        let echo_out = echo_child.stdout.expect("Failed to open echo stdout");
        let sed_child = Command::new("sed")
            .arg("s/tpyo/typo/")
            .stdin(Stdio::from(echo_out))
            .stdout(Stdio::piped())
            .spawn()
            .expect("Failed to start sed process");
        let output = sed_child.wait_with_output().expect("Failed to wait on sed");
        assert_eq!(b"Oh no, a typo!\n", output.stdout.as_slice());
        Ok(())
    });
}

#[test]
fn child_stdin_is_written_by_another() {
    example(|_| {
        let mut child = Command::new("rev")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .or_else(|_| Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())
            .expect("Failed to spawn child process");
        let mut stdin = child.stdin.take().expect("Failed to open stdin");
        let write = move || stdin.write_all("otto".as_bytes()).expect("Failed to write to stdin");
        if smarm::try_self_pid().is_some() {
            drop(thread::spawn(write));
        } else {
            std::thread::spawn(write);
        }
        let output = child.wait_with_output().expect("Failed to read stdout");
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("otto"));
        Ok(())
    });
}

#[test]
fn child_kill_wait_and_try_wait() {
    example(|_| {
        let mut child = Command::new("sleep").arg("1000").spawn()?;
        assert!(child.try_wait()?.is_none());
        child.kill().expect("command couldn't be killed");
        assert!(!child.wait()?.success());
        Ok(())
    });
}

/// Runs an example of threads in an actor.
fn threads(body: fn()) {
    within(PATIENCE, || smarm::run(body));
}

#[test]
fn thread_spawn_and_join() {
    threads(|| {
        let thread_join_handle = thread::spawn(|| "some work here");
        assert_eq!(thread_join_handle.join().unwrap(), "some work here");
        let computation = thread::spawn(|| 42);
        let result = computation.join().unwrap();
        assert_eq!(result, 42);
        let builder = thread::Builder::new();
        let handler = builder.spawn(|| 7).unwrap();
        assert_eq!(handler.join().unwrap(), 7);
    });
}

#[test]
fn thread_builder_names_it() {
    threads(|| {
        let handler = thread::Builder::new()
            .name("named thread")
            .spawn(|| {
                let handle = thread::current();
                assert_eq!(handle.name(), Some("named thread"));
            })
            .unwrap();
        handler.join().unwrap();
    });
}

#[test]
fn thread_park_and_unpark_with_a_flag() {
    threads(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let flag2 = Arc::clone(&flag);
        let parked_thread = thread::spawn(move || {
            while !flag2.load(Ordering::Relaxed) {
                thread::park();
            }
        });
        flag.store(true, Ordering::Relaxed);
        parked_thread.thread().unpark();
        parked_thread.join().unwrap();
    });
}

#[test]
fn thread_park_timeout_waits_for_the_complete_duration() {
    threads(|| {
        let timeout = Duration::from_millis(2);
        let beginning_park = Instant::now();
        let mut timeout_remaining = timeout;
        loop {
            thread::park_timeout(timeout_remaining);
            let elapsed = beginning_park.elapsed();
            if elapsed >= timeout {
                break;
            }
            timeout_remaining = timeout - elapsed;
        }
        let now = Instant::now();
        thread::sleep(timeout);
        assert!(now.elapsed() >= timeout);
        thread::yield_now();
    });
}

#[test]
fn thread_ids_differ() {
    threads(|| {
        let other_thread = thread::spawn(|| thread::current().id());
        let other_thread_id = other_thread.join().unwrap();
        assert!(thread::current().id() != other_thread_id);
        let join_handle = thread::spawn(thread::park);
        let thread = join_handle.thread();
        thread.unpark();
        join_handle.join().unwrap();
        assert!(thread::available_parallelism().unwrap().get() >= 1);
    });
}
