//! What the types of [`net`](crate::net) hold in a simulation: non-blocking, like the descriptors whose place they
//! take.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use super::{Connection, Listener, Segment, Side, WINDOW};
use crate::actor::park::rouse;
use crate::host::Direction;
use crate::sim::net::{Event, Net, Waiters};
use crate::sim::wait::Waits;
use crate::sim::world::{HostId, Locked, World};

fn would_block<T>() -> io::Result<T> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// One side of a connection. Its last handle closes it.
#[derive(Clone)]
pub(crate) struct Stream(Arc<End>);

struct End {
    world: Arc<World>,
    connection: u64,
    side: usize,
}

impl Stream {
    /// Begins to connect to `addr`, from the host of the calling actor.
    ///
    /// # Errors
    /// No host has that address.
    pub(crate) fn connect(world: Arc<World>, addr: SocketAddr) -> io::Result<Self> {
        let mut state = world.lock();
        let host = state.current_host();
        let (far, addr) = state.net.route(host, addr)?;
        let port = state.net.ephemeral(host, |net, port| net.tcp_port_taken(host, port))?;
        let own = state.net.source(host, addr, port);
        let connection = state.net.id();
        let sides = [Side::new(host, own, false), Side::new(far, addr, true)];
        state.net.connections.insert(connection, Connection { sides, arrived: false });
        let (now, state_mut) = (state.now, &mut *state);
        let latency = state_mut.net.reliable_latency(&mut state_mut.random, host, far);
        state.net.schedule(now + latency, Event::Syn { connection, tries: 0 });
        state.note(format_args!("send {own} to {addr} syn"));
        drop(state);
        Ok(Self(Arc::new(End { world, connection, side: 0 })))
    }

    /// Whether the connection was accepted.
    ///
    /// # Errors
    /// It was refused, or has timed out; [`io::ErrorKind::WouldBlock`] while that is not known.
    pub(crate) fn finish_connect(&self) -> io::Result<()> {
        self.with(|side, _| match side.error.take() {
            Some(error) => Err(error.into()),
            None if side.open => Ok(()),
            None => would_block(),
        })
    }

    /// Calls `f` with this side and the other one.
    fn with<T>(&self, f: impl FnOnce(&mut Side, &mut Side) -> io::Result<T>) -> io::Result<T> {
        with_sides(&mut self.0.world.lock(), &self.0, f)
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (count, wakers) = self.with(|side, peer| {
            let count = look(side, buf)?;
            side.inbox.drain(..count);
            side.unread -= count;
            let wakers: Vec<Waker> =
                if count > 0 { peer.waiters.writers.take().collect() } else { Vec::new() };
            Ok((count, wakers))
        })?;
        wakers.into_iter().for_each(rouse);
        Ok(count)
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|side, _| look(side, buf))
    }

    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let End { world, connection, side: own } = &*self.0;
        let mut state = world.lock();
        let (hosts, room) = with_sides(&mut state, &self.0, |side, peer| {
            if let Some(error) = side.error.take() {
                return Err(error.into());
            }
            if side.broken || side.ended {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if !side.open {
                return Err(io::ErrorKind::NotConnected.into());
            }
            Ok(((side.host, peer.host), WINDOW.saturating_sub(peer.unread)))
        })?;
        if room == 0 {
            return would_block();
        }
        if state.breaks(hosts.0, hosts.1) {
            let wakers = with_sides(&mut state, &self.0, |side, peer| {
                let mut wakers = side.lose(io::ErrorKind::ConnectionReset);
                side.error = None; // told right now
                wakers.extend(peer.lose(io::ErrorKind::ConnectionReset));
                Ok(wakers)
            })?;
            let (local, peer) = (self.addr(&state, *own), self.addr(&state, 1 - *own));
            state.note(format_args!("break {local} and {peer}"));
            drop(state);
            wakers.into_iter().for_each(rouse);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = buf.len().min(room);
        state.send(*connection, 1 - own, Segment::Data(buf[..count].to_vec()));
        Ok(count)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let End { world, connection, side: own } = &*self.0;
        let mut state = world.lock();
        let (ends, wakers) = with_sides(&mut state, &self.0, |side, _| {
            if side.broken || !side.open {
                return Err(io::ErrorKind::NotConnected.into());
            }
            side.deaf |= how != Shutdown::Write;
            let ends = how != Shutdown::Read && !side.ended;
            side.ended |= ends;
            Ok((ends, side.waiters.take()))
        })?;
        if ends {
            state.send(*connection, 1 - own, Segment::Fin);
        }
        drop(state);
        wakers.into_iter().for_each(rouse);
        Ok(())
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with(|side, _| Ok(side.error.take().map(io::Error::from)))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr(&self.0.world.lock(), self.0.side))
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with(|side, peer| {
            if side.open && !side.broken { Ok(peer.addr) } else { Err(io::ErrorKind::NotConnected.into()) }
        })
    }

    fn addr(&self, state: &Locked<'_>, side: usize) -> SocketAddr {
        let connection = state.net.connections.get(&self.0.connection);
        connection.map_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), |known| known.sides[side].addr)
    }
}

fn with_sides<T>(
    state: &mut Locked<'_>,
    end: &End,
    f: impl FnOnce(&mut Side, &mut Side) -> io::Result<T>,
) -> io::Result<T> {
    let connection = state.net.connections.get_mut(&end.connection);
    let [zero, one] = &mut connection.ok_or(io::ErrorKind::NotConnected)?.sides;
    if end.side == 0 { f(zero, one) } else { f(one, zero) }
}

/// Copies what there is to read.
fn look(side: &mut Side, buf: &mut [u8]) -> io::Result<usize> {
    if let Some(error) = side.error.take() {
        return Err(error.into());
    }
    if !side.inbox.is_empty() && !side.deaf {
        let (first, second) = side.inbox.as_slices();
        let in_first = first.len().min(buf.len());
        let in_second = second.len().min(buf.len() - in_first);
        buf[..in_first].copy_from_slice(&first[..in_first]);
        buf[in_first..in_first + in_second].copy_from_slice(&second[..in_second]);
        return Ok(in_first + in_second);
    }
    if side.at_end || side.deaf || side.broken {
        return Ok(0);
    }
    if side.open { would_block() } else { Err(io::ErrorKind::NotConnected.into()) }
}

impl Waits for Stream {
    fn world(&self) -> &World {
        &self.0.world
    }

    fn waiters<'a>(&self, state: &'a mut Locked<'_>, direction: Direction) -> Option<&'a mut Waiters> {
        let connection = state.net.connections.get_mut(&self.0.connection)?;
        Some(connection.sides[self.0.side].waiters.of(direction))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let gone = self.world.lock().close(self.connection, self.side);
        drop(gone);
    }
}

/// A listener. Its last handle closes it.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<Bound>);

struct Bound {
    world: Arc<World>,
    host: HostId,
    addr: SocketAddr,
}

impl Acceptor {
    /// Listens on the host of the calling actor.
    ///
    /// # Errors
    /// The address is not that host's; somebody listens there.
    pub(crate) fn bind(world: Arc<World>, addr: SocketAddr) -> io::Result<Self> {
        let mut state = world.lock();
        let host = state.current_host();
        let addr = state.net.bind(host, addr, |net: &Net, port| net.listeners.contains_key(&(host, port)))?;
        let listener = Listener { addr, backlog: VecDeque::new(), waiters: Waiters::default() };
        state.net.listeners.insert((host, addr.port()), listener);
        state.note(format_args!("listen {addr}"));
        drop(state);
        Ok(Self(Arc::new(Bound { world, host, addr })))
    }

    pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let Bound { world, host, addr } = &*self.0;
        let mut state = world.lock();
        while let Some(connection) =
            state.net.listeners.get_mut(&(*host, addr.port())).and_then(|l| l.backlog.pop_front())
        {
            // One that was given up before it was accepted may be gone.
            if let Some(known) = state.net.connections.get(&connection) {
                let peer = known.sides[0].addr;
                drop(state);
                return Ok((Stream(Arc::new(End { world: world.clone(), connection, side: 1 })), peer));
            }
        }
        would_block()
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.0.addr
    }
}

impl Waits for Acceptor {
    fn world(&self) -> &World {
        &self.0.world
    }

    fn waiters<'a>(&self, state: &'a mut Locked<'_>, _: Direction) -> Option<&'a mut Waiters> {
        Some(&mut state.net.listeners.get_mut(&(self.0.host, self.0.addr.port()))?.waiters)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        let Some(listener) = state.net.listeners.remove(&(self.host, self.addr.port())) else { return };
        let addr = self.addr;
        state.note(format_args!("close {addr}"));
        let Listener { backlog, waiters, .. } = listener;
        for connection in backlog {
            if let Some(known) = state.net.connections.get_mut(&connection) {
                known.sides[1].closed = true;
                state.send(connection, 0, Segment::Reset); // to nobody, if that one has gone, too
            }
        }
        drop(state);
        drop(waiters);
    }
}
