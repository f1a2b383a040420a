//! An HTTP/1.1 server in straight-line code on `smarm::net`: an actor per connection.
//!
//! | command | does |
//! |---|---|
//! | `cargo run --example http_native` | serves on a free port, asks itself, prints the answers, ends |
//! | `cargo run --release --example http_native serve [ADDRESS]` | serves on 127.0.0.1:8080 until it is killed |

mod connection;
mod request;

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

use connection::Connection;
use smarm::net::{TcpListener, TcpStream};
use smarm::{Config, Handle};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = smarm::runtime::init(Config::default());
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let addr = listener.local_addr()?.to_string();
            let server = runtime.spawn(move || serve(&listener))?;
            let asked = runtime.run(|| ask(&addr));
            server.kill();
            asked
        }
        ["serve", ref addr @ ..] => {
            let listener = TcpListener::bind(*addr.first().unwrap_or(&"127.0.0.1:8080"))?;
            println!("serving on http://{}", listener.local_addr()?);
            runtime.run(|| serve(&listener));
            Ok(())
        }
        _ => Err("usage: http_native [serve [ADDRESS]]".into()),
    }
}

fn serve(listener: &TcpListener) {
    // An actor stays on the worker that starts it, and connections live long. Left to the first
    // worker that is free, most would stay with the one that accepts.
    let workers = (0..Handle::current().workers()).cycle();
    for (stream, worker) in listener.incoming().zip(workers) {
        if let Err(error) = stream.and_then(|stream| start(stream, worker)) {
            eprintln!("a connection was lost: {error}");
            // If descriptors or memory have run out: connections that end give some back.
            smarm::sleep(Duration::from_millis(10));
        }
    }
}

fn start(stream: TcpStream, worker: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let actor = smarm::Builder::new().worker(worker).spawn(|| Connection::new(stream).serve());
    actor.map(drop).map_err(io::Error::other)
}

/// The client, an actor too.
fn ask(addr: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut client = Client::connect(addr)?;
    client.send("GET / HTTP/1.1\r\nHost: here\r\n\r\n")?;
    client.expect("200")?;
    println!("-- two requests at once, on the same connection:");
    client.send("HEAD / HTTP/1.1\r\nHost: here\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n")?;
    client.expect_head("200")?;
    client.expect("404")?;
    println!("-- a request in pieces, whose body is not read, and the last one:");
    for piece in ["POST / HT", "TP/1.1\r\nHost: here\r\nContent-Le", "ngth: 5\r\n\r\nhe", "llo"] {
        client.send(piece)?;
    }
    client.expect("405")?;
    client.send("GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    client.expect("200")?;
    client.expect_end()?;
    println!("-- not HTTP, on another connection:");
    let mut client = Client::connect(addr)?;
    client.send("How are you?\r\n\r\n")?;
    client.expect("400")?;
    client.expect_end()
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(addr: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.0.get_mut().write_all(text.as_bytes())
    }

    fn expect(&mut self, status: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut content = vec![0; self.expect_head(status)?];
        self.0.read_exact(&mut content)?;
        println!("   {}", String::from_utf8(content)?.trim_end());
        Ok(())
    }

    /// Gives the length of the content.
    fn expect_head(&mut self, status: &str) -> Result<usize, Box<dyn Error + Send + Sync>> {
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line)?;
        println!("{}", line.trim_end());
        if line.split(' ').nth(1) != Some(status) {
            return Err(format!("the status should be {status}").into());
        }
        while line != "\r\n" {
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim_end().parse()?;
            }
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err("the answer ends too early".into());
            }
        }
        Ok(length)
    }

    fn expect_end(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.0.read(&mut [0])? > 0 {
            return Err("the server should have closed the connection".into());
        }
        println!("(closed by the server)");
        Ok(())
    }
}
