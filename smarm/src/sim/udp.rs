//! Simulated datagrams: each with a latency of its own, so that they overtake each other, and perhaps lost.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use super::net::{Event, Net, Waiters};
use super::wait::Waits;
use super::world::{HostId, Locked, World};
use crate::host::Direction;

/// Datagrams that a socket keeps until they are received; further ones are lost.
const ROOM: usize = 256;
/// The largest datagram, as with IPv4.
const LARGEST: usize = 65_507;

/// A bound socket.
pub(super) struct Datagrams {
    addr: SocketAddr,
    peer: Option<SocketAddr>,
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    waiters: Waiters,
}

impl Locked<'_> {
    /// A datagram comes to where somebody may have a socket.
    pub(super) fn datagram_arrives(
        &mut self,
        from: (HostId, SocketAddr),
        to: (HostId, SocketAddr),
        bytes: Vec<u8>,
    ) -> Vec<Waker> {
        let (sender, target, len) = (from.1, to.1, bytes.len());
        let cut = self.net.is_cut(from.0, to.0);
        let socket = self.net.sockets.get_mut(&(to.0, target.port())).filter(|known| {
            let fits = known.addr.ip().is_unspecified() || known.addr.ip() == target.ip();
            let wanted = known.peer.is_none_or(|peer| peer == sender);
            !cut && fits && wanted && known.queue.len() < ROOM
        });
        let Some(socket) = socket else {
            self.note(format_args!("lose {sender} to {target} datagram {len}"));
            return Vec::new();
        };
        socket.queue.push_back((sender, bytes));
        let wakers = socket.waiters.take().collect();
        self.note(format_args!("arrive {sender} at {target} datagram {len}"));
        wakers
    }
}

/// A socket. Its last handle closes it.
#[derive(Clone)]
pub(crate) struct Udp(Arc<Bound>);

struct Bound {
    world: Arc<World>,
    host: HostId,
    port: u16,
}

impl Udp {
    /// A socket on the host of the calling actor.
    ///
    /// # Errors
    /// The address is not that host's; the port is taken.
    pub(crate) fn bind(world: Arc<World>, addr: SocketAddr) -> io::Result<Self> {
        let mut state = world.lock();
        let host = state.current_host();
        let addr = state.net.bind(host, addr, |net: &Net, port| net.sockets.contains_key(&(host, port)))?;
        let socket = Datagrams { addr, peer: None, queue: VecDeque::new(), waiters: Waiters::default() };
        state.net.sockets.insert((host, addr.port()), socket);
        drop(state);
        Ok(Self(Arc::new(Bound { world, host, port: addr.port() })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Datagrams) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.world.lock();
        f(socket(&mut state, &self.0)?)
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        if bytes.len() > LARGEST {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let Bound { world, host, port } = &*self.0;
        let mut state = world.lock();
        let (far, to) = state.net.route(*host, to)?;
        let from = state.net.source(*host, to, *port);
        let (now, len, parts) = (state.now, bytes.len(), &mut *state);
        if parts.net.is_lost(&mut parts.random, *host, far) {
            state.note(format_args!("lose {from} to {to} datagram {len}"));
            return Ok(len);
        }
        let at = now + parts.net.latency(&mut parts.random, *host, far);
        let event = Event::Datagram { from: (*host, from), to: (far, to), bytes: bytes.to_vec() };
        state.net.schedule(at, event);
        state.note(format_args!("send {from} to {to} datagram {len}"));
        Ok(len)
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_to(bytes, self.peer_addr()?)
    }

    pub(crate) fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.with(|socket| {
            let (from, bytes) = socket.queue.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            Ok((copy(&bytes, buf), from))
        })
    }

    pub(crate) fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.with(|socket| {
            let (from, bytes) = socket.queue.front().ok_or(io::ErrorKind::WouldBlock)?;
            Ok((copy(bytes, buf), *from))
        })
    }

    /// # Errors
    /// No host has that address.
    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let mut state = self.0.world.lock();
        let (_, peer) = state.net.route(self.0.host, peer)?;
        socket(&mut state, &self.0)?.peer = Some(peer);
        Ok(())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with(|socket| socket.peer.ok_or(io::ErrorKind::NotConnected.into()))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with(|socket| Ok(socket.addr))
    }
}

fn socket<'a>(state: &'a mut Locked<'_>, bound: &Bound) -> io::Result<&'a mut Datagrams> {
    state.net.sockets.get_mut(&(bound.host, bound.port)).ok_or(io::ErrorKind::NotConnected.into())
}

fn copy(bytes: &[u8], buf: &mut [u8]) -> usize {
    let count = bytes.len().min(buf.len());
    buf[..count].copy_from_slice(&bytes[..count]);
    count
}

impl Waits for Udp {
    fn world(&self) -> &World {
        &self.0.world
    }

    fn waiters<'a>(&self, state: &'a mut Locked<'_>, _: Direction) -> Option<&'a mut Waiters> {
        Some(&mut state.net.sockets.get_mut(&(self.0.host, self.0.port))?.waiters)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let gone = self.world.lock().net.sockets.remove(&(self.host, self.port));
        drop(gone); // outside the lock
    }
}
