//! A child process that was started.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{ExitStatus, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::output::{read_both, read_both_async};
use super::pipe::{ChildStderr, ChildStdin, ChildStdout};
use crate::host::sys::check;
use crate::host::{Attempt, Direction};
use crate::io::deadline_after;
use crate::io::registration::Registration;

/// Children that were dropped while they ran.
static ORPHANS: Mutex<Vec<std::process::Child>> = Mutex::new(Vec::new());

/// Takes leave of the orphans that have ended, so that they do not stay as zombies.
fn bury_orphans() {
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    orphans.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

/// A child process; see [`std::process::Child`], and the [module](super).
pub struct Child {
    /// The pipe to its standard input, if that was [`piped`](super::Stdio::piped).
    pub stdin: Option<ChildStdin>,
    /// The pipe from its standard output, if that was piped.
    pub stdout: Option<ChildStdout>,
    /// The pipe from its standard error, if that was piped.
    pub stderr: Option<ChildStderr>,
    process: Process,
}

/// Apart from the pipes, which can be moved out of a `Child` because that has no destructor itself.
struct Process {
    /// Stands before the descriptor, so that its source ends before that is closed.
    registration: Registration,
    /// Readable once the child has ended.
    pidfd: OwnedFd,
    /// `None` only once it is dropped.
    inner: Option<std::process::Child>,
    kill_on_drop: bool,
}

impl Child {
    /// # Errors
    /// The system refuses a descriptor, or knows no pidfd (before Linux 5.3). The child has been killed then.
    pub(super) fn adopt(mut inner: std::process::Child, kill_on_drop: bool) -> io::Result<Child> {
        bury_orphans();
        let mut parts = || {
            let pidfd = pidfd(inner.id())?;
            let stdin = inner.stdin.take().map(ChildStdin::try_from).transpose()?;
            let stdout = inner.stdout.take().map(ChildStdout::try_from).transpose()?;
            let stderr = inner.stderr.take().map(ChildStderr::try_from).transpose()?;
            Ok((pidfd, stdin, stdout, stderr))
        };
        let (pidfd, stdin, stdout, stderr) = match parts() {
            Ok(parts) => parts,
            Err(error) => {
                // Killed, it ends at once; that it could not be is of no interest beside the error.
                let (Ok(()) | Err(_)) = inner.kill();
                let (Ok(_) | Err(_)) = inner.wait();
                return Err(error);
            }
        };
        let registration = Registration::new();
        let process = Process { registration, pidfd, inner: Some(inner), kill_on_drop };
        Ok(Child { stdin, stdout, stderr, process })
    }

    fn inner(&mut self) -> &mut std::process::Child {
        self.process.inner.as_mut().expect("there until the drop")
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.process.inner.as_ref().expect("there until the drop").id()
    }

    /// Ends the process, by `SIGKILL`. One that has ended does not mind. It is still to be waited for.
    ///
    /// # Errors
    /// Those of `kill(2)`.
    pub fn kill(&mut self) -> io::Result<()> {
        self.inner().kill()
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.inner().try_wait()
    }

    /// Closes the pipe to its standard input, waits for the end of the process, and says how it ended; again,
    /// if it was waited for before.
    ///
    /// # Errors
    /// Those of `waitpid(2)`; [`TimedOut`](io::ErrorKind::TimedOut) and [`Cancelled`](crate::io::Cancelled) by
    /// the caller's [scope](crate::cancel). The process goes on then.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.wait_until(None)
    }

    /// As [`wait`](Self::wait), for at most `timeout`; but the pipe stays open.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// ```
    /// use smarm::process::Command;
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut child = Command::new("sleep").arg("1000").spawn()?;
    /// let late = child.wait_timeout(Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    /// child.kill()?;
    /// assert!(!child.wait()?.success());
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        self.wait_until(deadline_after(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn wait_deadline(&mut self, deadline: Instant) -> io::Result<ExitStatus> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> io::Result<ExitStatus> {
        let mut ended = None;
        let Process { registration, pidfd, inner, .. } = &mut self.process;
        let inner = inner.as_mut().expect("there until the drop");
        registration.run(pidfd.as_fd(), Direction::Read, deadline, || attempt(inner, &mut ended))?;
        Ok(ended.expect("the attempt that was done has found it"))
    }

    /// As [`wait`](Self::wait), for async code. Dropped half-way, the process goes on, and can be waited for.
    ///
    /// # Errors
    /// Those of `waitpid(2)`; [`Unsupported`](io::ErrorKind::Unsupported) if it has to wait on a thread without
    /// a reactor.
    pub async fn wait_async(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        let mut ended = None;
        let Process { registration, pidfd, inner, .. } = &mut self.process;
        let inner = inner.as_mut().expect("there until the drop");
        registration.operation(pidfd.as_fd(), Direction::Read, || attempt(inner, &mut ended)).await?;
        Ok(ended.expect("the attempt that was done has found it"))
    }

    /// Closes the pipe to its standard input, reads what the process writes to its ends that are piped, and
    /// waits for its end.
    ///
    /// # Errors
    /// Those of `read(2)` and of [`wait`](Self::wait). The process goes on then, as if the child had been
    /// dropped.
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (out, err) = (self.stdout.take(), self.stderr.take());
        let (stdout, stderr) =
            read_both(out.as_ref().map(|out| &out.pipe), err.as_ref().map(|err| &err.pipe))?;
        Ok(Output { status: self.wait()?, stdout, stderr })
    }

    /// As [`wait_with_output`](Self::wait_with_output), for async code. Dropped half-way, the process goes on,
    /// as if the child had been dropped.
    ///
    /// # Errors
    /// As [`wait_async`](Self::wait_async), and those of `read(2)`.
    pub async fn wait_with_output_async(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (out, err) = (self.stdout.take(), self.stderr.take());
        let (stdout, stderr) =
            read_both_async(out.as_ref().map(|out| &out.pipe), err.as_ref().map(|err| &err.pipe)).await?;
        Ok(Output { status: self.wait_async().await?, stdout, stderr })
    }
}

fn attempt(inner: &mut std::process::Child, ended: &mut Option<ExitStatus>) -> io::Result<Attempt> {
    *ended = inner.try_wait()?;
    Ok(if ended.is_some() { Attempt::Done(0) } else { Attempt::WouldBlock })
}

/// The descriptor of a child that nobody has waited for, so that the number is still its own.
fn pidfd(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes no pointers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, id as libc::pid_t, 0_u32) })?;
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Makes the pipes non-blocking.
impl TryFrom<std::process::Child> for Child {
    type Error = io::Error;

    fn try_from(inner: std::process::Child) -> io::Result<Child> {
        Child::adopt(inner, false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut inner = self.inner.take().expect("only the drop takes it");
        if self.kill_on_drop {
            // One that cannot be killed has ended, or has become somebody else.
            let (Ok(()) | Err(_)) = inner.kill();
        }
        if let Ok(None) = inner.try_wait() {
            ORPHANS.lock().unwrap_or_else(PoisonError::into_inner).push(inner);
        } else {
            mem::drop(inner);
        }
        bury_orphans();
    }
}

/// The process's descriptor, readable once it has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.process.pidfd.as_raw_fd()
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("id", &self.id()).finish_non_exhaustive()
    }
}
