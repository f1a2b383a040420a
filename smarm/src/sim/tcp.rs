//! Simulated connections: streams of bytes in order, with an end, a reset, refused and timed-out connects.
//!
//! # A connection's life
//! 1. `connect` sends a Syn. It comes to a listener and waits there to be accepted (its answer opens the near side),
//!    comes to nobody (its answer refuses), or comes to a cut link or a full queue: then it is sent again after 1, 2,
//!    4, ... 64 seconds, and at last the connect times out, as on Linux.
//! 2. What a side writes goes to the other side's queue of segments, and an event is made for its arrival. The event
//!    takes out the oldest segment, so bytes stay in order whatever their latencies are.
//! 3. A side ends with a Fin in that queue. A segment that comes to a side whose handles are all gone is answered by a
//!    reset, which the peer's next call reports, once.
//!
//! A side takes [`WINDOW`] bytes that have not been read; a writer waits for room. That room becomes free is known to
//! the writer at once.

mod handle;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Waker;

use super::net::{BothWaiters, Event, Net, Waiters};
use super::world::{HostId, Locked};

pub(crate) use handle::{Acceptor, Stream};

/// Bytes that may be on their way to a side, or lie there unread.
const WINDOW: usize = 64 << 10;
/// Connections that a listener keeps until they are accepted.
const BACKLOG: usize = 128;
/// A connect that was sent again so many times in vain has timed out.
const TRIES: u32 = 7;
const SECOND: u64 = 1_000_000_000;

pub(super) struct Listener {
    addr: SocketAddr,
    backlog: VecDeque<u64>,
    waiters: Waiters,
}

/// The side that connects is 0.
pub(super) struct Connection {
    sides: [Side; 2],
    /// A listener has it, or had it.
    arrived: bool,
}

struct Side {
    host: HostId,
    addr: SocketAddr,
    /// It may be read and written.
    open: bool,
    /// Every handle to it is gone.
    closed: bool,
    /// Arrived and not read.
    inbox: VecDeque<u8>,
    /// On the way to this side.
    in_flight: VecDeque<Segment>,
    /// So many of those came to a cut link.
    held: usize,
    /// When the last of those arrives.
    last_arrival: u64,
    /// Bytes in `in_flight` and `inbox`.
    unread: usize,
    /// The peer's end has arrived.
    at_end: bool,
    /// This side has sent its end.
    ended: bool,
    /// Reading was shut down.
    deaf: bool,
    /// The connection is lost.
    broken: bool,
    /// To be reported by the next call.
    error: Option<io::ErrorKind>,
    waiters: BothWaiters,
}

enum Segment {
    /// The connection was accepted.
    Accepted,
    /// Nobody listens.
    Refused,
    Data(Vec<u8>),
    Fin,
    Reset,
}

impl Segment {
    fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accept",
            Self::Refused => "refuse",
            Self::Data(_) => "data",
            Self::Fin => "fin",
            Self::Reset => "reset",
        }
    }

    fn len(&self) -> usize {
        if let Self::Data(bytes) = self { bytes.len() } else { 0 }
    }
}

impl Side {
    fn new(host: HostId, addr: SocketAddr, open: bool) -> Self {
        Self {
            host,
            addr,
            open,
            closed: false,
            inbox: VecDeque::new(),
            in_flight: VecDeque::new(),
            held: 0,
            last_arrival: 0,
            unread: 0,
            at_end: false,
            ended: false,
            deaf: false,
            broken: false,
            error: None,
            waiters: BothWaiters::default(),
        }
    }

    /// Loses the connection.
    fn lose(&mut self, error: io::ErrorKind) -> Vec<Waker> {
        if !self.broken {
            self.error = Some(error);
        }
        self.broken = true;
        self.unread -= self.inbox.len();
        self.inbox.clear();
        self.waiters.take()
    }
}

impl Connection {
    fn hosts(&self) -> (HostId, HostId) {
        (self.sides[0].host, self.sides[1].host)
    }
}

impl Net {
    fn tcp_port_taken(&self, host: HostId, port: u16) -> bool {
        let used = |side: &Side| side.host == host && side.addr.port() == port;
        self.listeners.contains_key(&(host, port)) || self.connections.values().any(|c| used(&c.sides[0]))
    }
}

impl Locked<'_> {
    /// Sends a segment to a side of a connection.
    fn send(&mut self, id: u64, to: usize, segment: Segment) {
        let now = self.now;
        let state = &mut **self;
        let Some(connection) = state.net.connections.get(&id) else { return };
        let (from, target) = (&connection.sides[1 - to], &connection.sides[to]);
        let (from_addr, to_addr) = (from.addr, target.addr);
        let latency = state.net.reliable_latency(&mut state.random, from.host, target.host);
        let (what, len) = (segment.name(), segment.len());
        let Some(connection) = state.net.connections.get_mut(&id) else { return };
        let side = &mut connection.sides[to];
        let at = side.last_arrival.max(now.saturating_add(latency));
        side.last_arrival = at;
        side.unread += len;
        side.in_flight.push_back(segment);
        state.net.schedule(at, Event::Segment { connection: id, to });
        self.note(format_args!("send {from_addr} to {to_addr} {what} {len}"));
    }

    /// A connection comes to where somebody may listen.
    pub(super) fn syn_arrives(&mut self, id: u64, tries: u32) -> Vec<Waker> {
        let now = self.now;
        let Some(connection) = self.net.connections.get(&id) else { return Vec::new() };
        let (near, far) = connection.hosts();
        let (from, to) = (connection.sides[0].addr, connection.sides[1].addr);
        let fits = |ip: IpAddr| ip.is_unspecified() || ip == to.ip();
        let cut = self.net.is_cut(near, far);
        let listener = self.net.listeners.get_mut(&(far, to.port())).filter(|known| fits(known.addr.ip()));
        match listener {
            _ if cut => {}
            Some(listener) if listener.backlog.len() >= BACKLOG => {}
            Some(listener) => {
                listener.backlog.push_back(id);
                let wakers = listener.waiters.take().collect();
                self.net.connections.get_mut(&id).expect("it was there above").arrived = true;
                self.note(format_args!("arrive {from} at {to} syn"));
                self.send(id, 0, Segment::Accepted);
                return wakers;
            }
            None => {
                self.note(format_args!("arrive {from} at {to} syn, nobody listens"));
                self.send(id, 0, Segment::Refused);
                return Vec::new();
            }
        }
        self.note(format_args!("lose {from} to {to} syn"));
        if tries < TRIES {
            self.net.schedule(now + (SECOND << tries), Event::Syn { connection: id, tries: tries + 1 });
            return Vec::new();
        }
        let connection = self.net.connections.get_mut(&id).expect("it was there above");
        connection.sides[0].lose(io::ErrorKind::TimedOut)
    }

    /// A segment comes to a side.
    pub(super) fn segment_arrives(&mut self, id: u64, to: usize) -> Vec<Waker> {
        let state = &mut **self;
        let Some(connection) = state.net.connections.get(&id) else { return Vec::new() };
        let (from, target) = connection.hosts();
        let cut = state.net.is_cut(from, target);
        let connection = state.net.connections.get_mut(&id).expect("it was there above");
        let (from, at) = (connection.sides[1 - to].addr, connection.sides[to].addr);
        let [zero, one] = &mut connection.sides;
        let (side, peer) = if to == 0 { (zero, one) } else { (one, zero) };
        if cut {
            side.held += 1;
            self.note(format_args!("hold {from} to {at}"));
            return Vec::new();
        }
        let Some(segment) = side.in_flight.pop_front() else { return Vec::new() };
        let (what, len) = (segment.name(), segment.len());
        let mut answer = false;
        let wakers = match segment {
            Segment::Accepted => {
                side.open = true;
                side.waiters.take()
            }
            Segment::Refused => side.lose(io::ErrorKind::ConnectionRefused),
            Segment::Reset => side.lose(io::ErrorKind::ConnectionReset),
            Segment::Data(bytes) if side.closed || side.deaf || side.broken => {
                side.unread -= bytes.len();
                answer = side.closed;
                peer.waiters.writers.take().collect()
            }
            Segment::Data(bytes) => {
                side.inbox.extend(bytes);
                side.waiters.readers.take().collect()
            }
            Segment::Fin => {
                side.at_end = true;
                side.waiters.readers.take().collect()
            }
        };
        self.note(format_args!("arrive {from} at {at} {what} {len}"));
        if answer {
            self.send(id, 1 - to, Segment::Reset);
        }
        wakers
    }

    /// Sends on what a cut link has held.
    pub(super) fn release_held(&mut self, a: HostId, b: HostId) {
        let now = self.now;
        let state = &mut **self;
        let mut released = Vec::new();
        for (id, connection) in &mut state.net.connections {
            let hosts = connection.hosts();
            if hosts == (a, b) || hosts == (b, a) {
                for (to, side) in connection.sides.iter_mut().enumerate() {
                    released.extend((0..std::mem::take(&mut side.held)).map(|_| (*id, to)));
                }
            }
        }
        for (connection, to) in released {
            let latency = state.net.latency(&mut state.random, a, b);
            state.net.schedule(now + latency, Event::Segment { connection, to });
        }
    }

    /// Breaks all connections between two hosts, on both sides at once.
    pub(super) fn reset_between(&mut self, a: HostId, b: HostId) -> Vec<Waker> {
        let between = |hosts| hosts == (a, b) || hosts == (b, a);
        self.lose_connections(|connection| between(connection.hosts()))
    }

    /// Breaks all connections of a host, on both sides at once.
    pub(super) fn reset_all_of(&mut self, host: HostId) -> Vec<Waker> {
        self.lose_connections(|connection| connection.sides.iter().any(|side| side.host == host))
    }

    fn lose_connections(&mut self, which: impl Fn(&Connection) -> bool) -> Vec<Waker> {
        let lost = |(_, connection): &(&u64, &mut Connection)| which(connection);
        let connections = self.net.connections.iter_mut().filter(lost);
        let sides = connections.flat_map(|(_, connection)| &mut connection.sides);
        sides.flat_map(|side| side.lose(io::ErrorKind::ConnectionReset)).collect()
    }

    /// The last handle of a side has gone. Gives the connection if it has, too, to be dropped outside the lock.
    #[must_use]
    fn close(&mut self, id: u64, own: usize) -> Option<Connection> {
        let connection = self.net.connections.get_mut(&id)?;
        let arrived = connection.arrived;
        let [zero, one] = &mut connection.sides;
        let (side, peer) = if own == 0 { (zero, one) } else { (one, zero) };
        side.closed = true;
        let (unread, ended, broken, open) = (!side.inbox.is_empty(), side.ended, side.broken, side.open);
        if peer.closed || !arrived {
            return self.net.connections.remove(&id);
        } else if (unread || !open) && !broken {
            self.send(id, 1 - own, Segment::Reset);
        } else if !ended && !broken {
            self.send(id, 1 - own, Segment::Fin);
        }
        None
    }
}
