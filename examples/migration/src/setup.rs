//! How a step is started, how it is told to stop, and how it checks itself.
//!
//! | command | does |
//! |---|---|
//! | `stepN [--check]` | serves on a free port, asks itself by [`check`], stops itself |
//! | `stepN serve ADDRESS [DATABASE [TITLES [PATIENCE]]]` | serves until SIGTERM or ctrl-c; the service of titles is at the address TITLES and may take PATIENCE ms |
//!
//! A service that stops takes no new connections, answers the requests that it has, and closes its feeds.
//! `--check` stops it like anybody else would, by a signal.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::titles::Titles;
use crate::{Failure, check};

/// How many events a feed may be behind. One that is further behind is closed.
pub const BACKLOG: usize = 4096;
/// How many questions to the database may wait.
pub const QUESTIONS: usize = 1024;

const USAGE: &str = "usage: [--check] | serve ADDRESS [DATABASE [TITLES [PATIENCE_MS]]]";

/// What a step is told from outside.
pub struct Setup {
    /// Where it listens.
    pub address: SocketAddr,
    /// The file of its database.
    pub database: PathBuf,
    /// Where it asks for a title.
    pub titles: String,
    /// How long it waits for one.
    pub patience: Duration,
    checks: bool,
    check: Option<JoinHandle<Result<(), Failure>>>,
}

impl Setup {
    /// As the program's arguments say.
    ///
    /// # Errors
    /// They cannot be understood.
    pub fn from_args() -> Result<Self, Failure> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let titles_at = |address: SocketAddr| format!("http://{address}/title");
        match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] | ["--check"] => {
                let titles = Titles::start()?;
                Ok(Self {
                    address: ([127, 0, 0, 1], 0).into(),
                    database: ":memory:".into(),
                    titles: titles_at(titles.address()),
                    patience: Duration::from_secs(1),
                    checks: true,
                    check: None,
                })
            }
            ["serve", address, ref rest @ ..] if rest.len() <= 3 => Ok(Self {
                address: address.parse()?,
                database: rest.first().unwrap_or(&"links.sqlite").into(),
                titles: titles_at(rest.get(1).unwrap_or(&"127.0.0.1:8090").parse()?),
                patience: Duration::from_millis(rest.get(2).unwrap_or(&"1000").parse()?),
                checks: false,
                check: None,
            }),
            _ => Err(USAGE.into()),
        }
    }

    /// The service listens: says so, and begins the check if one is wanted. The signal to stop must be
    /// expected by now.
    ///
    /// # Errors
    /// There is no thread for the check.
    pub fn listening(&mut self, address: SocketAddr) -> io::Result<()> {
        println!("serving http://{address}/");
        if self.checks {
            let ask = move || {
                let checked =
                    check::check(address).map(|said| said.iter().for_each(|line| println!("{line}")));
                // SAFETY: getpid and kill take no pointers.
                unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
                checked
            };
            // A thread of its own: the client must not depend on what it checks.
            self.check = Some(thread::Builder::new().name("client".into()).spawn(ask)?);
        }
        Ok(())
    }

    /// The service has stopped: gives what came of the check.
    ///
    /// # Errors
    /// The service answered something wrong.
    pub fn finish(self) -> Result<(), Failure> {
        match self.check {
            Some(asked) => asked.join().map_err(|_| "the check panicked")?,
            None => Ok(()),
        }
    }
}

/// Expects SIGTERM and ctrl-c from now on. The future is ready when one of them has come.
///
/// # Errors
/// The system refuses the handlers.
///
/// # Panics
/// Outside of tokio's context.
pub fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
