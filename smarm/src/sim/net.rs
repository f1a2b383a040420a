//! The network of a simulation: hosts, links, and what is on its way.
//!
//! | word | meaning |
//! |---|---|
//! | host | a name, an address, and the actors that were started on it |
//! | link | what lies between two hosts, or a host and itself (loopback) |
//! | cut | a link that a partition has cut: what arrives meanwhile is lost or held |
//! | event | something that arrives, at its time; of one time, in the order in which they were sent |
//!
//! A packet's latency is drawn when it is sent. A datagram that is lost, or comes to a cut link, is gone. A
//! segment of a connection is sent again: a lost one comes later by a retransmission's time, one that comes to a cut
//! link is held until the partition is healed, and those behind it wait, as the bytes of a stream stay in order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::task::Waker;

use super::random::Random;
use super::tcp::{Connection, Listener};
use super::udp::Datagrams;
use super::world::{HostId, Locked, MAIN};
use crate::host::Direction;

/// The first port that a host gives to who asks for none.
const FIRST_EPHEMERAL: u16 = 49152;
/// What a packet takes from a host to itself, in nanoseconds.
const LOOPBACK: Range<u64> = 1_000..50_000;
/// After so long a lost segment is sent again, in nanoseconds; after the double, if that is lost, too.
const RETRANSMISSION: u64 = 200_000_000;
/// So many times in a row a segment is lost at most.
const MOST_LOSSES: u32 = 8;

/// What a simulation's network is like.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    /// Nanoseconds.
    pub(super) latency: Range<u64>,
    /// How often a packet is lost.
    pub(super) loss: f64,
    /// How often a write breaks its connection.
    pub(super) breaks: f64,
}

pub(super) struct Net {
    pub(super) weather: Weather,
    hosts: Vec<Host>,
    /// The lower host first.
    cut: BTreeSet<(HostId, HostId)>,
    pub(super) listeners: BTreeMap<(HostId, u16), Listener>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) sockets: BTreeMap<(HostId, u16), Datagrams>,
    events: BTreeMap<(u64, u64), Event>,
    last_id: u64,
    /// Something was sent since somebody last asked.
    news: bool,
}

struct Host {
    name: String,
    ip: Ipv4Addr,
    next_port: u16,
}

/// What arrives.
pub(super) enum Event {
    /// A connection wants to be accepted. It has tried so many times in vain.
    Syn { connection: u64, tries: u32 },
    /// The oldest segment on the way to a side of a connection.
    Segment { connection: u64, to: usize },
    /// A datagram.
    Datagram { from: (HostId, SocketAddr), to: (HostId, SocketAddr), bytes: Vec<u8> },
}

/// Who waits for one direction of a socket. A wait is named by a number; poll functions are 0.
#[derive(Default)]
pub(crate) struct Waiters(Vec<(u64, Waker)>);

impl Waiters {
    /// Gives the earlier waker of this wait, to be dropped outside the lock.
    #[must_use]
    pub(super) fn add(&mut self, id: u64, waker: &Waker) -> Option<Waker> {
        let waker = waker.clone();
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => Some(std::mem::replace(known, waker)),
            None => {
                self.0.push((id, waker));
                None
            }
        }
    }

    /// Gives the waker of this wait, to be dropped outside the lock.
    #[must_use]
    pub(super) fn remove(&mut self, id: u64) -> Option<Waker> {
        let at = self.0.iter().position(|(known, _)| *known == id)?;
        Some(self.0.remove(at).1)
    }

    /// All of them, the one that came first first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|(_, waker)| waker)
    }
}

/// The waiters of both directions.
#[derive(Default)]
pub(super) struct BothWaiters {
    pub(super) readers: Waiters,
    pub(super) writers: Waiters,
}

impl BothWaiters {
    pub(super) fn of(&mut self, direction: Direction) -> &mut Waiters {
        match direction {
            Direction::Read => &mut self.readers,
            Direction::Write => &mut self.writers,
        }
    }

    pub(super) fn take(&mut self) -> Vec<Waker> {
        self.readers.take().chain(self.writers.take()).collect()
    }
}

impl Net {
    pub(super) fn new(weather: Weather) -> Self {
        let mut net = Self {
            weather,
            hosts: Vec::new(),
            cut: BTreeSet::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            sockets: BTreeMap::new(),
            events: BTreeMap::new(),
            last_id: 0,
            news: false,
        };
        assert_eq!(net.host("main"), MAIN);
        net
    }

    /// The host of this name; a new one, if there is none.
    pub(super) fn host(&mut self, name: &str) -> HostId {
        if let Some(known) = self.find_host(name) {
            return known;
        }
        let index = self.hosts.len();
        let [_, a, b, c] = u32::try_from(index + 1).expect("a simulation has few hosts").to_be_bytes();
        let ip = Ipv4Addr::new(10, a, b, c);
        self.hosts.push(Host { name: name.to_owned(), ip, next_port: FIRST_EPHEMERAL });
        HostId(index)
    }

    pub(super) fn find_host(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|host| host.name == name).map(HostId)
    }

    pub(super) fn name(&self, host: HostId) -> &str {
        &self.hosts[host.0].name
    }

    pub(super) fn ip(&self, host: HostId) -> Ipv4Addr {
        self.hosts[host.0].ip
    }

    /// A number for something new.
    pub(super) fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whose address this is, seen from `host`, and the address in full: an unspecified one is loopback.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn route(&self, host: HostId, to: SocketAddr) -> io::Result<(HostId, SocketAddr)> {
        let IpAddr::V4(ip) = to.ip() else { return Err(only_v4()) };
        if ip.is_loopback() || ip.is_unspecified() {
            return Ok((host, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), to.port())));
        }
        match self.hosts.iter().position(|known| known.ip == ip) {
            Some(index) => Ok((HostId(index), to)),
            None => Err(io::Error::new(
                io::ErrorKind::HostUnreachable,
                format!("no host of the simulation has the address {ip}"),
            )),
        }
    }

    /// The address that `host` sends from to `to`, with a port of its own if there is none given.
    pub(super) fn source(&self, host: HostId, to: SocketAddr, port: u16) -> SocketAddr {
        let ip = if to.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { self.ip(host) };
        SocketAddr::new(ip.into(), port)
    }

    /// Chooses the port for a socket that is to be bound.
    ///
    /// # Errors
    /// The address is not the host's; the port is taken.
    pub(super) fn bind(
        &mut self,
        host: HostId,
        addr: SocketAddr,
        taken: impl Fn(&Self, u16) -> bool,
    ) -> io::Result<SocketAddr> {
        let IpAddr::V4(ip) = addr.ip() else { return Err(only_v4()) };
        if !ip.is_loopback() && !ip.is_unspecified() && ip != self.ip(host) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if addr.port() == 0 {
            let port = self.ephemeral(host, taken)?;
            return Ok(SocketAddr::new(ip.into(), port));
        }
        if taken(self, addr.port()) { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(addr) }
    }

    /// A port of the host that nobody has.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn ephemeral(&mut self, host: HostId, taken: impl Fn(&Self, u16) -> bool) -> io::Result<u16> {
        for _ in FIRST_EPHEMERAL..=u16::MAX {
            let port = self.hosts[host.0].next_port;
            self.hosts[host.0].next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
            if !taken(self, port) {
                return Ok(port);
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    pub(super) fn is_cut(&self, a: HostId, b: HostId) -> bool {
        self.cut.contains(&ordered(a, b))
    }

    pub(super) fn cut(&mut self, a: HostId, b: HostId) {
        if a != b {
            self.cut.insert(ordered(a, b));
        }
    }

    /// Whether the link was cut.
    pub(super) fn mend(&mut self, a: HostId, b: HostId) -> bool {
        self.cut.remove(&ordered(a, b))
    }

    /// What a packet takes from one to the other, in nanoseconds.
    pub(super) fn latency(&self, random: &mut Random, from: HostId, to: HostId) -> u64 {
        random.within(if from == to { &LOOPBACK } else { &self.weather.latency })
    }

    /// As [`latency`](Self::latency), of what is sent again when it is lost.
    pub(super) fn reliable_latency(&self, random: &mut Random, from: HostId, to: HostId) -> u64 {
        let mut delay = 0;
        for losses in 0..MOST_LOSSES {
            if !self.is_lost(random, from, to) {
                break;
            }
            delay += RETRANSMISSION << losses;
        }
        delay + self.latency(random, from, to)
    }

    /// Whether a packet is lost on its way.
    pub(super) fn is_lost(&self, random: &mut Random, from: HostId, to: HostId) -> bool {
        from != to && random.strikes(self.weather.loss)
    }

    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        let id = self.id();
        self.events.insert((at, id), event);
        self.news = true;
    }

    /// When the next event is due.
    pub(super) fn next_event(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    fn pop_due(&mut self, now: u64) -> Option<Event> {
        let entry = self.events.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

impl Locked<'_> {
    /// Has all events happen that are due. Gives whom they wake.
    pub(super) fn deliver(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let now = self.now;
        while let Some(event) = self.net.pop_due(now) {
            wakers.extend(match event {
                Event::Syn { connection, tries } => self.syn_arrives(connection, tries),
                Event::Segment { connection, to } => self.segment_arrives(connection, to),
                Event::Datagram { from, to, bytes } => self.datagram_arrives(from, to, bytes),
            });
        }
        wakers
    }
}

impl Locked<'_> {
    /// Whether a write between these hosts breaks its connection.
    pub(super) fn breaks(&mut self, from: HostId, to: HostId) -> bool {
        let probability = self.net.weather.breaks;
        from != to && self.random.strikes(probability)
    }
}

fn ordered(a: HostId, b: HostId) -> (HostId, HostId) {
    (a.min(b), a.max(b))
}

fn only_v4() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the simulated network has IPv4 addresses alone")
}
