//! The other service, which knows the title of every page: a fake, on the loopback interface.
//!
//! A thread per connection, and plain calls that block: it has nothing in common with what it tests. What
//! it does depends on the page:
//!
//! | the URL contains | the answer |
//! |---|---|
//! | `broken` | none: the connection is closed |
//! | `failing` | 500 |
//! | `slow` | none for as long as the other end waits |
//! | `held` | the title, once [`Titles::release`] was called |
//! | anything else | the title |

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// The service. It lives as long as the process.
#[derive(Clone)]
pub struct Titles {
    address: SocketAddr,
    held: Arc<Held>,
}

#[derive(Default)]
struct Held {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    released: bool,
}

impl Titles {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// There is no port, or no thread.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let titles = Self { address: listener.local_addr()?, held: Arc::default() };
        let theirs = titles.clone();
        thread::Builder::new().name("titles".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let held = theirs.held.clone();
                // A service that hangs up is no concern of this one.
                thread::spawn(move || drop(serve(stream, &held)));
            }
        })?;
        Ok(titles)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until somebody waits for the title of a `held` page.
    pub fn wait_for_held(&self) {
        let state = self.held.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.held.changed.wait_while(state, |state| state.waiting == 0));
    }

    /// Answers the questions for `held` pages, now and from now on.
    pub fn release(&self) {
        self.held.state.lock().unwrap_or_else(PoisonError::into_inner).released = true;
        self.held.changed.notify_all();
    }
}

impl Held {
    fn wait(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.released));
    }
}

fn serve(stream: TcpStream, held: &Held) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let Some(length) = read_head(&mut stream)? else { return Ok(()) };
        let mut url = vec![0; length];
        stream.read_exact(&mut url)?;
        let url = String::from_utf8_lossy(&url);
        let (mut status, mut title) = ("200 OK", format!("Title of {url}"));
        if url.contains("broken") {
            return Ok(());
        } else if url.contains("failing") {
            (status, title) = ("500 Internal Server Error", String::new());
        } else if url.contains("slow") {
            let (Ok(_) | Err(_)) = stream.read(&mut [0]); // until they hang up
            return Ok(());
        } else if url.contains("held") {
            held.wait();
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{title}", title.len());
        stream.get_mut().write_all(answer.as_bytes())?;
    }
}

/// Gives the length of the body, or that there is no further request.
fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<usize>> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    Ok(Some(length))
}
