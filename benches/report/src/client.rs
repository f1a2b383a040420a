//! The client: one thread, one epoll, plain system calls; it costs every server the same.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::measure::{cpu_clock_of, cpu_time};

/// What is asked, again and again.
#[derive(Clone, Copy)]
pub enum Question {
    /// So many bytes, which are to come back.
    Echo(usize),
    Http,
}

/// How many addresses of this machine connections go to, so that there are ports enough.
const ADDRESSES: usize = 8;

pub struct Client {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    question: Vec<u8>,
    /// An answer as it is to be; for HTTP its first and last bytes count, as dates differ.
    answer: Vec<u8>,
    is_echo: bool,
}

struct Connection {
    stream: TcpStream,
    sent: Instant,
    heard: usize,
}

/// What one round brought.
pub struct Round {
    pub elapsed: Duration,
    pub latencies: Vec<Duration>,
    /// The server's CPU time.
    pub server_time: Duration,
}

impl Client {
    /// Connects `count` times, to each server in turn.
    pub fn connect(servers: &[SocketAddr], count: usize, question: Question) -> Self {
        // SAFETY: epoll_create1 takes no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert_ne!(epoll, -1, "there is a descriptor for an epoll");
        // SAFETY: the descriptor was opened just now, and nobody else knows it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let mut connections: Vec<_> = (0..count)
            .map(|n| {
                let host = Ipv4Addr::new(127, 0, 0, 1 + (n / servers.len() % ADDRESSES) as u8);
                let address = SocketAddr::from((host, servers[n % servers.len()].port()));
                let stream = TcpStream::connect(address).expect("the server listens");
                stream.set_nodelay(true).expect("it is a TCP socket");
                Connection { stream, sent: Instant::now(), heard: 0 }
            })
            .collect();
        let (question, answer, is_echo) = match question {
            Question::Echo(length) => (vec![b'x'; length], vec![b'x'; length], true),
            Question::Http => {
                let question = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec();
                let answer = first_answer(&mut connections[0].stream, &question);
                (question, answer, false)
            }
        };
        for (n, connection) in connections.iter().enumerate() {
            connection.stream.set_nonblocking(true).expect("it is a socket");
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: n as u64 };
            let stream = connection.stream.as_raw_fd();
            // SAFETY: `event` is valid for the call.
            let added =
                unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, stream, &mut event) };
            assert_eq!(added, 0, "the epoll takes it");
        }
        Self { epoll, connections, question, answer, is_echo }
    }

    /// Asks on all connections, and again whenever an answer has come, for so long.
    pub fn play(&mut self, length: Duration, server: u32) -> Round {
        let mut buffer = vec![0; self.answer.len()];
        let mut latencies = Vec::with_capacity(1 << 20);
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; self.connections.len().min(1_024)];
        let clock = cpu_clock_of(server);
        let (begin, begin_server) = (Instant::now(), cpu_time(clock));
        let end = begin + length;
        for connection in &mut self.connections {
            connection.send(&self.question);
        }
        let mut on_their_way = self.connections.len();
        while on_their_way > 0 {
            for n in self.wait(&mut events) {
                let connection = &mut self.connections[n];
                let wanted = &mut buffer[..self.answer.len() - connection.heard];
                let count = connection.stream.read(wanted).expect("the server answers");
                assert!(count > 0, "the server keeps the connection");
                let expected = &self.answer[connection.heard..connection.heard + count];
                connection.heard += count;
                let whole = connection.heard == self.answer.len();
                if self.is_echo {
                    assert!(wanted[..count] == *expected, "the server echoes what it was sent");
                } else {
                    let same =
                        wanted[..count].iter().zip(expected).filter(|(one, other)| one == other).count();
                    assert!(same + DATE >= count, "the answer is the same, but for its date");
                }
                if !whole {
                    continue;
                }
                let now = Instant::now();
                latencies.push(now - connection.sent);
                if now < end {
                    connection.send(&self.question);
                } else {
                    on_their_way -= 1;
                }
            }
        }
        Round { elapsed: begin.elapsed(), latencies, server_time: cpu_time(clock) - begin_server }
    }

    /// Sleeps until there are answers, and gives the numbers of their connections.
    fn wait<'a>(&self, events: &'a mut [libc::epoll_event]) -> impl Iterator<Item = usize> + use<'a> {
        let (buffer, len) = (events.as_mut_ptr(), events.len() as i32);
        // SAFETY: `buffer` has room for `len` events.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), buffer, len, 30_000) };
        assert_ne!(count, 0, "the server has stopped to answer");
        let count = usize::try_from(count).unwrap_or(0); // a signal came
        events[..count].iter().map(|event| event.u64 as usize)
    }
}

/// The length of a date in a header.
const DATE: usize = 29;

/// Asks once, blocking, and gives the whole answer.
fn first_answer(stream: &mut TcpStream, question: &[u8]) -> Vec<u8> {
    stream.write_all(question).expect("the server listens");
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the server keeps the connection");
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 200"), "the answer is {head}");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() == length.expect("the answer says its length") {
            assert_eq!(body, "hello, world\n");
            return answer;
        }
    }
}

impl Connection {
    fn send(&mut self, question: &[u8]) {
        self.heard = 0;
        self.sent = Instant::now();
        let sent = self.stream.write(question).expect("the server listens");
        assert_eq!(sent, question.len(), "there is room for one question");
    }
}
