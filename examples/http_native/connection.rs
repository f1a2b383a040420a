//! One connection, as its actor sees it: read a request, answer it, and again.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use smarm::net::TcpStream;

use crate::request::{HEAD_TOO_LARGE, Request};

/// Room for what was read and not yet understood. No head can be longer than this, in bytes.
const ROOM: usize = 8 << 10;
/// For a head with the idle time before it, for a body, and for each write.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the peer to read the last answer and close.
const LINGER: Duration = Duration::from_secs(2);

pub struct Connection {
    stream: TcpStream,
    buffer: [u8; ROOM],
    /// What is not yet understood lies in `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Answers to pipelined requests are sent together, before the next read.
    answers: Vec<u8>,
}

/// Why there is no further request.
enum End {
    /// The last one was served, or the peer has gone, or was idle for too long.
    Quiet,
    /// With this status: what came is not served, and nobody knows where the next request begins.
    Refused(&'static str),
    Failed(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: [0; ROOM], start: 0, end: 0, answers: Vec::new() }
    }

    pub fn serve(mut self) {
        let end = loop {
            if let Err(end) = self.serve_one() {
                break end;
            }
        };
        let done = match end {
            End::Quiet => self.close(),
            End::Refused(status) => self.answer(status, status, true).and_then(|()| self.close()),
            End::Failed(error) => Err(error),
        };
        // A peer that has reset the connection, or takes no answer, is no news to anybody here.
        let (Ok(()) | Err(_)) = done;
    }

    fn serve_one(&mut self) -> Result<(), End> {
        let mut deadline = None;
        let request = loop {
            match Request::parse(&self.buffer[self.start..self.end]).map_err(End::Refused)? {
                Some((request, length)) => {
                    self.start += length;
                    break request;
                }
                None => self.fill(*deadline.get_or_insert_with(|| Instant::now() + PATIENCE))?,
            }
        };
        if request.body > 0 {
            self.skip_body(&request)?;
        }
        self.answer(request.status, request.content, request.is_last)?;
        if request.is_head {
            self.answers.truncate(self.answers.len() - request.content.len());
        }
        if request.is_last { Err(End::Quiet) } else { Ok(()) }
    }

    fn skip_body(&mut self, request: &Request) -> Result<(), End> {
        let deadline = Instant::now() + PATIENCE;
        let mut left = request.body;
        if request.expects_continue {
            self.answers.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        loop {
            let here = left.min(self.end - self.start);
            self.start += here;
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill(deadline)?;
        }
    }

    fn answer(&mut self, status: &str, content: &str, is_last: bool) -> io::Result<()> {
        let connection = if is_last { "Connection: close\r\n" } else { "" };
        write!(
            self.answers,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{connection}\r\n{content}",
            content.len(),
        )
    }

    /// Sends the answers, and waits for more of what is not yet understood.
    fn fill(&mut self, deadline: Instant) -> Result<(), End> {
        self.flush()?;
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == ROOM {
            return Err(End::Refused(HEAD_TOO_LARGE));
        }
        match self.read(deadline) {
            Ok(0) => Err(End::Quiet),
            Ok(count) => {
                self.end += count;
                Ok(())
            }
            Err(error) if error.kind() != io::ErrorKind::TimedOut => Err(error.into()),
            Err(_) if self.end == 0 => Err(End::Quiet),
            Err(_) => Err(End::Refused("408 Request Timeout")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.answers.is_empty() {
            self.stream.set_write_timeout(Some(PATIENCE))?;
            self.stream.write_all(&self.answers)?;
            self.answers.clear();
        }
        Ok(())
    }

    /// Reads behind `end`. The timeout is smarm's own, so that setting it costs no system call.
    fn read(&mut self, deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(&mut self.buffer[self.end..])
    }

    /// To close while bytes of the peer are unread would reset the connection, and the peer might
    /// never see the last answer. So this side ends first, and reads on until the other does.
    fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        self.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + LINGER;
        self.end = 0;
        while self.read(deadline)? > 0 {}
        Ok(())
    }
}
