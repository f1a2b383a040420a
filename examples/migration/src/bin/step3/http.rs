//! HTTP/1.1 over `smarm::net`: requests out of a connection, answers into it.
//!
//! What hyper does beyond that, and this does not: chunked bodies (501), and the `Date` of an answer.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use smarm::net::TcpStream;
use smarm_migration::answer::Answered;
use tungstenite::handshake::derive_accept_key;

/// Room for what was read and not yet understood. No head can be longer than this, in bytes.
const ROOM: usize = 8 << 10;
/// The longest body, in bytes.
const LONGEST_BODY: usize = 2 << 20;
const MOST_HEADERS: usize = 64;
/// For the rest of a request, and for a client to read an answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
    /// The client wants a WebSocket, and this is its key.
    pub(crate) web_socket: Option<String>,
    /// The client sends no further request.
    pub(crate) is_last: bool,
}

/// A connection with what was read from it and is not yet understood.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Box<[u8; ROOM]>,
    /// What is not yet understood lies in `buffer[start..end]`.
    start: usize,
    end: usize,
    /// The answer, and its body: kept for their room.
    head: Vec<u8>,
    content: Vec<u8>,
}

/// Why no request could be read.
pub(crate) enum Unread {
    /// The client may be told so: this status.
    Refused(u16),
    Failed(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let buffer = Box::new([0; ROOM]);
        Ok(Self { stream, buffer, start: 0, end: 0, head: Vec::new(), content: Vec::new() })
    }

    /// Waits for the next request to begin. Gives whether there is one.
    pub(crate) fn wait(&mut self) -> io::Result<bool> {
        Ok(self.start < self.end || self.fill(None)? > 0)
    }

    /// Reads a request that has begun.
    pub(crate) fn read(&mut self) -> Result<Request, Unread> {
        let mut deadline = None;
        let (mut request, body) = loop {
            let head = parse(&self.buffer[self.start..self.end]).map_err(Unread::Refused)?;
            if let Some((request, length, body)) = head {
                self.start += length;
                break (request, body);
            }
            if self.end - self.start == ROOM {
                return Err(Unread::Refused(431));
            }
            // Only for a request that comes in parts is a clock asked.
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            if self.fill(Some(deadline))? == 0 {
                return Err(Unread::Failed(io::ErrorKind::UnexpectedEof.into()));
            }
        };
        if body > 0 {
            self.read_body(&mut request.body, body)?;
        }
        Ok(request)
    }

    fn read_body(&mut self, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let here = (length - body.len()).min(self.end - self.start);
            body.extend_from_slice(&self.buffer[self.start..self.start + here]);
            self.start += here;
            if body.len() == length {
                return Ok(());
            }
            if self.fill(Some(deadline))? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(crate) fn answer(&mut self, answered: &Answered, request: &Request) -> io::Result<()> {
        self.content.clear();
        let (status, location) = match answered {
            Ok(answer) => {
                write!(self.content, "{answer}")?;
                (answer.status(), answer.location())
            }
            Err(refusal) => {
                write!(self.content, "{refusal}")?;
                (refusal.status(), None)
            }
        };
        self.begin(status)?;
        if let Some(location) = location {
            write!(self.head, "Location: {location}\r\n")?;
        }
        if request.is_last {
            self.head.extend_from_slice(b"Connection: close\r\n");
        }
        let is_head = request.method == "HEAD";
        self.end(is_head)
    }

    /// Refuses what came, and waits until the client has read that: to close a connection with bytes in
    /// it that nobody has read would reset it, and the client might never see why.
    pub(crate) fn refuse(&mut self, status: u16) -> io::Result<()> {
        self.content.clear();
        self.begin(status)?;
        self.head.extend_from_slice(b"Connection: close\r\n");
        self.end(false)?;
        self.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + PATIENCE;
        (self.start, self.end) = (0, 0);
        while self.fill(Some(deadline))? > 0 {
            self.end = 0;
        }
        Ok(())
    }

    /// Agrees to a WebSocket, and gives the connection with what was read from it already.
    pub(crate) fn upgrade(mut self, key: &str) -> io::Result<(TcpStream, Vec<u8>)> {
        write!(
            self.stream,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes()),
        )?;
        Ok((self.stream, self.buffer[self.start..self.end].to_vec()))
    }

    fn begin(&mut self, status: u16) -> io::Result<()> {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        self.head.clear();
        write!(self.head, "HTTP/1.1 {status} {}\r\n", reason.unwrap_or_default())
    }

    fn end(&mut self, without_content: bool) -> io::Result<()> {
        write!(
            self.head,
            "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            self.content.len()
        )?;
        if !without_content {
            self.head.extend_from_slice(&self.content);
        }
        self.stream.write_all(&self.head)
    }

    /// Waits for more, and gives how much has come: nothing at the end. There must be room.
    fn fill(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        let left = match deadline {
            None => None,
            Some(deadline) => match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Err(io::ErrorKind::TimedOut.into()),
                left => Some(left),
            },
        };
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // smarm's own timeouts: no system call.
        self.stream.set_read_timeout(left)?;
        let count = self.stream.read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }
}

/// A head, its length, and that of the body.
type Head = (Request, usize, usize);

/// The head at the beginning of `bytes`, if all of it is there.
///
/// # Errors
/// The status with which it is refused.
fn parse(bytes: &[u8]) -> Result<Option<Head>, u16> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(_) => return Err(400),
    };
    let mut request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        body: Vec::new(),
        web_socket: None,
        is_last: head.version == Some(0),
    };
    let (mut body, mut upgrades, mut key) = (None, false, None);
    for header in head.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let length = decimal(header.value).ok_or(400_u16)?;
            // Two different lengths are how a request is smuggled past a proxy.
            if body.replace(length).is_some_and(|earlier| earlier != length) {
                return Err(400);
            }
        } else if is("transfer-encoding") {
            return Err(501);
        } else if is("connection") {
            request.is_last |= lists(header.value, "close");
        } else if is("upgrade") {
            upgrades = lists(header.value, "websocket");
        } else if is("sec-websocket-key") {
            key = Some(header.value);
        }
    }
    if upgrades {
        request.web_socket = key.and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned);
    }
    match body.unwrap_or(0) {
        body if body > LONGEST_BODY => Err(413),
        body => Ok(Some((request, length, body))),
    }
}

/// Whether a header's value, a list with commas, has this word.
fn lists(value: &[u8], word: &str) -> bool {
    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Digits alone: `str::parse` would take a sign as well.
fn decimal(value: &[u8]) -> Option<usize> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
