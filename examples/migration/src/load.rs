//! Asks as much as the service can answer: one thread, one epoll, plain system calls, the same for every
//! step. A connection sends its next request when its last one is answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::{Client, Feed, request};

/// How many links there are before the first round.
const LINKS: usize = 100;
/// What is asked, and how often of 20 times.
const MIX: [(Kind, usize); 4] = [(Kind::Find, 14), (Kind::Visit, 4), (Kind::Create, 1), (Kind::Title, 1)];

#[derive(Clone, Copy)]
enum Kind {
    Find,
    Visit,
    Create,
    Title,
}

/// Connections to one service, and feeds of it.
pub struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    feeds: Vec<TcpStream>,
    requests: Vec<Request>,
}

struct Request {
    bytes: Vec<u8>,
    status: &'static [u8],
}

struct Connection {
    stream: TcpStream,
    /// Which of the requests is asked.
    asked: usize,
    sent: Instant,
    heard: Vec<u8>,
}

/// What one round brought.
#[derive(Clone, Debug)]
pub struct Round {
    /// How many requests were answered.
    pub requests: usize,
    /// In what time.
    pub elapsed: Duration,
    /// How long each of them took, the shortest first.
    pub latencies: Vec<Duration>,
}

impl Load {
    /// Makes some links, and connects so many times.
    ///
    /// # Errors
    /// Those of the connections; the service answers something wrong.
    pub fn connect(address: SocketAddr, connections: usize, feeds: usize) -> Result<Self, Failure> {
        let mut client = Client::connect(address)?;
        let mut codes = Vec::new();
        for link in 0..LINKS {
            let reply = client.ask("POST", "/links", format!("http://page/{link}").as_bytes())?;
            if reply.status != 201 {
                return Err(format!("a link is not kept: {reply:?}").into());
            }
            codes.push(reply.body.trim_end().to_owned());
        }
        // SAFETY: epoll_create1 takes no pointers.
        let epoll = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was opened just now, and nobody else knows it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let feeds: Vec<_> =
            (0..feeds).map(|_| Ok(Feed::open(address)?.into_inner())).collect::<Result<_, Failure>>()?;
        let connections: Vec<_> = (0..connections)
            .map(|n| {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                // Not all the same at the same time.
                Ok(Connection { stream, asked: n * 7, sent: Instant::now(), heard: Vec::new() })
            })
            .collect::<Result<_, Failure>>()?;
        let streams = connections.iter().map(|connection| &connection.stream).chain(&feeds);
        for (number, stream) in streams.enumerate() {
            stream.set_nonblocking(true)?;
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number as u64 };
            let (epoll, stream) = (epoll.as_raw_fd(), stream.as_raw_fd());
            // SAFETY: `event` is valid for the call.
            checked(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, stream, &mut event) })?;
        }
        Ok(Self { epoll, connections, feeds, requests: requests(&codes) })
    }

    /// Asks for so long.
    ///
    /// # Errors
    /// Those of the connections; the service answers something wrong.
    pub fn play(&mut self, length: Duration) -> Result<Round, Failure> {
        let mut latencies = Vec::with_capacity(1 << 14);
        let mut buffer = vec![0; 1 << 16];
        let mut events =
            vec![libc::epoll_event { events: 0, u64: 0 }; self.connections.len() + self.feeds.len()];
        let begin = Instant::now();
        let end = begin + length;
        for connection in &mut self.connections {
            connection.send(&self.requests)?;
        }
        let mut on_their_way = self.connections.len();
        while on_their_way > 0 {
            let (to, room) = (events.as_mut_ptr(), i32::try_from(events.len())?);
            // SAFETY: `events` has so much room.
            let count = checked(unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), to, room, 30_000) })?;
            if count == 0 {
                return Err("the service has stopped to answer".into());
            }
            for event in &events[..usize::try_from(count)?] {
                let number = event.u64 as usize;
                let Some(connection) = self.connections.get_mut(number) else {
                    read(&mut self.feeds[number - self.connections.len()], &mut buffer)?;
                    continue;
                };
                let count = read(&mut connection.stream, &mut buffer)?;
                connection.heard.extend_from_slice(&buffer[..count]);
                if !connection.is_answered(&self.requests)? {
                    continue;
                }
                let now = Instant::now();
                latencies.push(now - connection.sent);
                connection.asked += 1;
                if now < end {
                    connection.send(&self.requests)?;
                } else {
                    on_their_way -= 1;
                }
            }
        }
        latencies.sort_unstable();
        Ok(Round { requests: latencies.len(), elapsed: begin.elapsed(), latencies })
    }
}

impl Connection {
    fn send(&mut self, requests: &[Request]) -> Result<(), Failure> {
        self.heard.clear();
        self.sent = Instant::now();
        // Short requests on a connection that is idle: there is room.
        self.stream.write_all(&requests[self.asked % requests.len()].bytes)?;
        Ok(())
    }

    /// Whether all of the answer is there.
    fn is_answered(&self, requests: &[Request]) -> Result<bool, Failure> {
        let Some(head) = self.heard.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(false) };
        let expected = requests[self.asked % requests.len()].status;
        if !self.heard.starts_with(expected) {
            let said = String::from_utf8_lossy(&self.heard);
            return Err(format!("it should be {}: {said}", String::from_utf8_lossy(expected)).into());
        }
        let name = b"content-length: ";
        let length = self.heard[..head].windows(name.len()).position(|at| at.eq_ignore_ascii_case(name));
        let length = &self.heard[length.ok_or("an answer has no length")? + name.len()..head];
        let digits = length.iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
        Ok(self.heard.len() >= head + 4 + length)
    }
}

/// What the connections ask in turn.
fn requests(codes: &[String]) -> Vec<Request> {
    let per_cycle: usize = MIX.iter().map(|(_, times)| times).sum();
    codes
        .iter()
        .enumerate()
        .map(|(number, code)| {
            // A stride that meets every place: the kinds are spread over the cycle.
            let mut place = number * 7 % per_cycle;
            let kind = MIX.iter().find(|(_, times)| {
                let found = place < *times;
                place = place.wrapping_sub(*times);
                found
            });
            match kind.expect("a place in the cycle").0 {
                Kind::Find => ask("GET", &format!("/links/{code}"), b"", b"HTTP/1.1 200"),
                Kind::Visit => ask("GET", &format!("/{code}"), b"", b"HTTP/1.1 307"),
                Kind::Create => ask("POST", "/links", b"http://new/", b"HTTP/1.1 201"),
                Kind::Title => ask("GET", &format!("/links/{code}/title"), b"", b"HTTP/1.1 200"),
            }
        })
        .collect()
}

fn ask(method: &str, path: &str, body: &[u8], status: &'static [u8]) -> Request {
    Request { bytes: request(method, path, body), status }
}

/// Reads what is there.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, Failure> {
    match stream.read(buffer) {
        Ok(0) => Err("the service closed a connection".into()),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn checked(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
