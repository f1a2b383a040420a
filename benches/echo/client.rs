//! The client: one thread, one epoll, plain system calls; it costs every server the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Connections to one server.
pub struct Client {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    message: usize,
}

struct Connection {
    stream: TcpStream,
    sent: Instant,
    /// How much of the answer has come.
    heard: usize,
}

/// What one round brought.
pub struct Round {
    pub requests: u64,
    pub elapsed: Duration,
    pub p50: Duration,
    pub p99: Duration,
    /// The CPU time of all threads but this one.
    pub server_time: Duration,
}

impl Client {
    /// Connects `count` times, to each address in turn.
    pub fn connect(addresses: &[SocketAddr], count: usize, message: usize) -> Self {
        // SAFETY: epoll_create1 takes no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert_ne!(epoll, -1, "there is a descriptor for an epoll");
        // SAFETY: the descriptor was opened just now, and nobody else knows it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let connections: Vec<_> = (0..count)
            .map(|n| {
                let stream = TcpStream::connect(addresses[n % addresses.len()]).expect("the server listens");
                stream.set_nodelay(true).expect("it is a TCP socket");
                stream.set_nonblocking(true).expect("it is a socket");
                let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: n as u64 };
                // SAFETY: `event` is valid for the call.
                let added = unsafe {
                    libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, stream.as_raw_fd(), &mut event)
                };
                assert_eq!(added, 0, "the epoll takes it");
                Connection { stream, sent: Instant::now(), heard: 0 }
            })
            .collect();
        Self { epoll, connections, message }
    }

    /// Sends on all connections, and again whenever an answer has come, for so long.
    pub fn play(&mut self, length: Duration) -> Round {
        let (message, mut answer) = (vec![b'x'; self.message], vec![0; self.message]);
        let mut latencies = Vec::with_capacity(1 << 16);
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; self.connections.len()];
        let (begin, begin_all, begin_own) =
            (Instant::now(), cpu_time(libc::RUSAGE_SELF), cpu_time(libc::RUSAGE_THREAD));
        let end = begin + length;
        for connection in &mut self.connections {
            connection.send(&message);
        }
        let mut on_their_way = self.connections.len();
        while on_their_way > 0 {
            for n in self.wait(&mut events) {
                let connection = &mut self.connections[n];
                connection.heard +=
                    connection.stream.read(&mut answer[connection.heard..]).expect("the server echoes");
                if connection.heard < self.message {
                    continue;
                }
                assert!(answer == message, "the server echoes what it was sent");
                let now = Instant::now();
                latencies.push(now - connection.sent);
                if now < end {
                    connection.send(&message);
                } else {
                    on_their_way -= 1;
                }
            }
        }
        let elapsed = begin.elapsed();
        let server_time =
            cpu_time(libc::RUSAGE_SELF) - begin_all - (cpu_time(libc::RUSAGE_THREAD) - begin_own);
        latencies.sort_unstable();
        Round {
            requests: latencies.len() as u64,
            elapsed,
            p50: latencies[latencies.len() / 2],
            p99: latencies[latencies.len() * 99 / 100],
            server_time,
        }
    }

    /// Sleeps until there are answers, and gives the numbers of their connections.
    fn wait<'a>(&self, events: &'a mut [libc::epoll_event]) -> impl Iterator<Item = usize> + use<'a> {
        let (buffer, len) = (events.as_mut_ptr(), events.len() as i32);
        // SAFETY: `buffer` has room for `len` events.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), buffer, len, -1) };
        let count = usize::try_from(count).unwrap_or(0); // a signal came
        events[..count].iter().map(|event| event.u64 as usize)
    }
}

impl Connection {
    fn send(&mut self, message: &[u8]) {
        self.heard = 0;
        self.sent = Instant::now();
        let sent = self.stream.write(message).expect("the server listens");
        assert_eq!(sent, message.len(), "there is room for one message");
    }
}

/// The CPU time of the process, or of the calling thread.
fn cpu_time(who: libc::c_int) -> Duration {
    // SAFETY: a rusage of zeros is valid, and it is valid for the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(who, &mut usage), 0, "Linux knows them");
        usage
    };
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    duration(usage.ru_utime) + duration(usage.ru_stime)
}
