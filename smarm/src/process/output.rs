//! Reading a child's standard output and standard error at the same time: a child that fills one pipe while
//! its parent reads the other would wait for ever, and so would the parent.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::task::{Context, Poll};
use std::time::Instant;

use super::pipe::Pipe;
use crate::actor::park::{self, Interrupt};
use crate::actor::scope;
use crate::host;
use crate::host::sys::{check, timespec};
use crate::io::Cancelled;
use crate::io::registration::uninterrupted;

/// How many reads one poll makes at most, so that a child that never stops writing stops nobody.
const READS: usize = 32;
const CHUNK: usize = 16 << 10;

/// One pipe and what was read from it.
pub(super) struct Reading<'a> {
    /// `None` at its end.
    pipe: Option<&'a Pipe>,
    read: Vec<u8>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(pipe: Option<&'a Pipe>) -> Self {
        Self { pipe, read: Vec::new() }
    }

    /// Reads by `read`, which gives `None` if nothing is there. Says whether there may be more at once.
    fn step(&mut self, read: impl FnOnce(&Pipe, &mut [u8]) -> io::Result<Option<usize>>) -> io::Result<bool> {
        let Some(pipe) = self.pipe else { return Ok(false) };
        let len = self.read.len();
        self.read.resize(len + CHUNK, 0);
        let outcome = read(pipe, &mut self.read[len..]);
        self.read.truncate(len + outcome.as_ref().map_or(0, |count| count.unwrap_or(0)));
        match outcome? {
            Some(0) => {
                self.pipe = None;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Ok(false),
        }
    }
}

/// Reads both to their ends.
///
/// # Errors
/// Those of `read(2)`; [`io::ErrorKind::TimedOut`] and [`Cancelled`] by the caller's scope.
pub(super) fn read_both(out: Option<&Pipe>, err: Option<&Pipe>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut both = [Reading::new(out), Reading::new(err)];
    if host::with_reactor(|reactor| reactor.is_none()) {
        read_on_thread(&mut both, scope::soonest(None))?;
    } else {
        match park::wait(poll_fn(|cx| poll_both(&mut both, cx))) {
            Ok(result) => result?,
            Err(Interrupt::TimedOut) => return Err(io::ErrorKind::TimedOut.into()),
            Err(Interrupt::Cancelled) => return Err(Cancelled.into()),
        }
    }
    let [out, err] = both;
    Ok((out.read, err.read))
}

/// [`read_both`] for async code.
pub(super) async fn read_both_async(
    out: Option<&Pipe>,
    err: Option<&Pipe>,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut both = [Reading::new(out), Reading::new(err)];
    poll_fn(|cx| poll_both(&mut both, cx)).await?;
    let [out, err] = both;
    Ok((out.read, err.read))
}

fn poll_both(both: &mut [Reading<'_>; 2], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    for reading in &mut *both {
        let mut reads = 0;
        while reading.step(|pipe, buf| match pipe.poll_read(cx, buf) {
            Poll::Ready(result) => result.map(Some),
            Poll::Pending => Ok(None),
        })? {
            reads += 1;
            if reads == READS {
                cx.waker().wake_by_ref();
                break;
            }
        }
    }
    if both.iter().all(|reading| reading.pipe.is_none()) { Poll::Ready(Ok(())) } else { Poll::Pending }
}

fn read_on_thread(both: &mut [Reading<'_>; 2], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        for reading in &mut *both {
            while reading.step(|pipe, buf| uninterrupted(&mut || pipe.try_read(buf)))? {}
        }
        let mut waits = both.each_ref().map(|reading| libc::pollfd {
            // A negative one is left out.
            fd: reading.pipe.map_or(-1, |pipe| pipe.as_fd().as_raw_fd()),
            events: libc::POLLIN,
            revents: 0,
        });
        if waits.iter().all(|wait| wait.fd < 0) {
            return Ok(());
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let span = left.map(timespec);
        let span = span.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: `waits` are two valid pollfds, `span` is null or points to a timespec that lives to the end
        // of this round, and the null mask leaves the signals alone.
        match check(unsafe { libc::ppoll(waits.as_mut_ptr(), 2, span, ptr::null()) }) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            // Ready, out of time, or interrupted: the next reads and the clock tell.
            Ok(_) | Err(_) => {}
        }
    }
}
