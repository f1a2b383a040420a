//! A client that knows neither tokio nor smarm: a connection, a thread, calls that block.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tungstenite::{Message, WebSocket};

use crate::Failure;

/// A service that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is kept for one request after the other.
pub struct Client(BufReader<TcpStream>);

/// What the service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status of HTTP.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(BufReader::new(connect(address)?)))
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// Those of the connection; what comes is no answer.
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Reply, Failure> {
        self.send(method, path, body)?;
        self.receive(method == "HEAD")
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<()> {
        self.send_bytes(&request(method, path, body))
    }

    /// Sends whatever it is.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Waits for an answer; that to a HEAD has no body.
    ///
    /// # Errors
    /// Those of the connection; what comes is no answer.
    pub fn receive(&mut self, is_head: bool) -> Result<Reply, Failure> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("the connection ended without an answer")?.parse()?;
        let (mut location, mut length) = (None, 0);
        while line != "\r\n" {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err("the connection ended within an answer".into());
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "location" => location = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse()?,
                "transfer-encoding" => return Err("this client reads no chunks".into()),
                _ => {}
            }
        }
        let mut body = vec![0; if is_head { 0 } else { length }];
        self.0.read_exact(&mut body)?;
        Ok(Reply { status, location, body: String::from_utf8(body)? })
    }

    /// Waits until the service closes the connection.
    ///
    /// # Errors
    /// Something else came, or nothing in time.
    pub fn expect_end(&mut self) -> Result<(), Failure> {
        match self.0.read(&mut [0])? {
            0 => Ok(()),
            _ => Err("the connection should have ended".into()),
        }
    }
}

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: service\r\n");
    if !body.is_empty() || method == "POST" {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut request = (request + "\r\n").into_bytes();
    request.extend_from_slice(body);
    request
}

/// The feed of events.
pub struct Feed(WebSocket<TcpStream>);

impl Feed {
    /// Opens it. Whatever happens from now on will be told.
    ///
    /// # Errors
    /// Those of the connection; the service refuses.
    pub fn open(address: SocketAddr) -> Result<Self, Failure> {
        let url = format!("ws://{address}/feed");
        let (feed, _) = tungstenite::client(url, connect(address)?).map_err(|error| error.to_string())?;
        Ok(Self(feed))
    }

    /// Waits for the next event. There is none after the service has closed the feed.
    ///
    /// # Errors
    /// Those of the connection; it ended without being closed.
    pub fn next_event(&mut self) -> Result<Option<String>, Failure> {
        loop {
            match self.0.read() {
                Ok(Message::Text(event)) => return Ok(Some(event.as_str().to_owned())),
                Ok(Message::Close(_)) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a ping, and waits for the pong: for what was asked before, all has been told.
    ///
    /// # Errors
    /// Those of the connection; an event comes first.
    pub fn ping(&mut self) -> Result<(), Failure> {
        self.0.send(Message::Ping(b"there?".as_slice().into()))?;
        match self.0.read()? {
            Message::Pong(said) if said == b"there?".as_slice() => Ok(()),
            other => Err(format!("a pong should come: {other:?}").into()),
        }
    }

    /// Tells the service that this feed is no longer read, and waits for its consent.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn close(mut self) -> Result<(), Failure> {
        self.0.close(None)?;
        loop {
            match self.0.read() {
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The connection, for a client that only counts the bytes.
    pub fn into_inner(self) -> TcpStream {
        self.0.get_ref().try_clone().expect("there is a descriptor")
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
