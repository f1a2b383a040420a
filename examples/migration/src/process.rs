//! A step as a child process.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::Failure;

/// It ends, by force if need be, when this is dropped.
pub struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    directory: PathBuf,
}

/// What the system has counted for a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The CPU time of all its threads, to some 10 ms.
    pub cpu: Duration,
    /// Its resident memory now, in bytes.
    pub resident: u64,
    /// The most that it ever had, in bytes.
    pub peak: u64,
}

impl Process {
    /// Starts a step with a new database, and waits until it listens. `patience` is how long it waits for
    /// a title.
    ///
    /// # Errors
    /// It does not start, or does not listen.
    pub fn start(program: &str, titles: SocketAddr, patience: Duration) -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("smarm-migration-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(unique);
        fs::create_dir(&directory)?;
        let mut child = Command::new(program)
            .args(["serve", "127.0.0.1:0"])
            .arg(directory.join("links.sqlite"))
            .arg(titles.to_string())
            .arg(patience.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut process = Self { child, address: titles, directory, stdout };
        let mut line = String::new();
        process.stdout.read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("serving http://").and_then(|rest| rest.strip_suffix('/'));
        process.address = address.ok_or_else(|| format!("it does not serve: {line:?}"))?.parse()?;
        Ok(process)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop.
    pub fn stop(&self) {
        let pid = libc::pid_t::try_from(self.id()).expect("Linux's are small");
        // SAFETY: kill takes no pointers. The child has not been waited for, so the number is still its.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }

    /// Waits until it has ended, and gives what it said and how it ended.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(mut self) -> io::Result<(String, ExitStatus)> {
        let mut said = String::new();
        self.stdout.read_to_string(&mut said)?;
        Ok((said, self.child.wait()?))
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> Result<Usage, Failure> {
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.id()));
        let (status, stat) = (of("status")?, of("stat")?);
        let kilobytes = |field: &str| -> Option<u64> {
            status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
        };
        // The name, in parentheses, may hold anything.
        let numbers: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| numbers.get(index).and_then(|text| text.parse::<u64>().ok());
        let unknown = "Linux says something else";
        let ticks = ticks(UTIME).zip(ticks(STIME)).map(|(user, system)| user + system).ok_or(unknown)?;
        // SAFETY: sysconf takes no pointers.
        let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) })?;
        Ok(Usage {
            cpu: Duration::from_millis(ticks * 1000 / per_second),
            resident: kilobytes("VmRSS:").ok_or(unknown)? << 10,
            peak: kilobytes("VmHWM:").ok_or(unknown)? << 10,
        })
    }
}

/// Places in `/proc/PID/stat`, counted from behind the name.
const UTIME: usize = 11;
const STIME: usize = 12;

impl Drop for Process {
    fn drop(&mut self) {
        // Once it has been waited for, this does nothing.
        let (Ok(()) | Err(_)) = self.child.kill();
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}
