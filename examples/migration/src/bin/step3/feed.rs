//! A feed: an actor that waits for events and for its client at once.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use smarm::channel::Receiver;
use smarm::net::TcpStream;
use smarm_compat::await_future;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// Tells the client of the events until there are no more, or until it has gone.
pub(crate) fn serve(stream: TcpStream, early: Vec<u8>, mut events: Receiver<Arc<str>>) {
    let wire = Wire { stream, came: Box::new([0; ROOM]), start: 0, end: 0, ended: false };
    // tungstenite clears its buffer for each read: a small one does for clients that say little.
    let config = WebSocketConfig::default().read_buffer_size(ROOM);
    let mut socket = WebSocket::from_partially_read(wire, early, Role::Server, Some(config));
    if take_all(&mut socket).is_err() {
        return;
    }
    loop {
        let wire = socket.get_mut();
        let next = await_future(poll_fn(|cx| match events.poll_recv(cx) {
            Poll::Ready(event) => Poll::Ready(Next::Event(event.ok())),
            Poll::Pending => wire.poll_fill(cx).map(Next::Bytes),
        }));
        match next {
            Next::Event(Some(event)) => {
                if socket.send(Message::text(&*event)).is_err() {
                    return;
                }
            }
            Next::Event(None) => break, // the service stops, or this feed was too slow
            Next::Bytes(came) => {
                if came.is_err() || take_all(&mut socket).is_err() {
                    return;
                }
            }
        }
    }
    // The client may be gone.
    let (Ok(()) | Err(_)) = socket.close(None).and_then(|()| socket.flush());
}

/// Takes what has come. Pings, and the client's wish to close, are answered in here.
fn take_all(socket: &mut WebSocket<Wire>) -> Result<(), Error> {
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

enum Next {
    Event(Option<Arc<str>>),
    Bytes(io::Result<()>),
}

const ROOM: usize = 4 << 10;

/// The connection. A read gives what has come, and never waits; a write waits.
struct Wire {
    stream: TcpStream,
    came: Box<[u8; ROOM]>,
    /// What was not yet taken lies in `came[start..end]`.
    start: usize,
    end: usize,
    ended: bool,
}

impl Wire {
    /// Waits for bytes, or for the end. All that came before must have been taken.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read(cx, &mut self.came[..]).map_ok(|count| {
            (self.start, self.end) = (0, count);
            self.ended = count == 0;
        })
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = (&self.came[self.start..self.end]).read(buf)?;
        self.start += count;
        if count == 0 && !self.ended { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
