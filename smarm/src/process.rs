//! Child processes, under the names of [`std::process`], for actors: `use smarm::process` in place of
//! `use std::process` ports code.
//!
//! | what waits | how |
//! |---|---|
//! | [`Child::wait`] | its descriptor (a pidfd) becomes readable in the worker's epoll when the child ends |
//! | [`ChildStdin`], [`ChildStdout`], [`ChildStderr`] | non-blocking pipes in the same epoll; the child's ends stay blocking |
//! | [`Child::wait_with_output`] | for both pipes at once, so that neither fills up |
//!
//! Each has an async face. On plain OS threads they block that thread. The system's fork is std's, and so is
//! all that happens between that and the program's start. Starting blocks the worker for as long, a
//! millisecond or so.
//!
//! A wait that a deadline, a [scope](crate::cancel) or a kill ends leaves the child as it was: it can be
//! waited for again. A [`Child`] that is dropped while the process runs lets that go on, unless
//! [`Command::kill_on_drop`] says otherwise; once it has ended, the next child that is started or dropped
//! sees to it that no zombie stays.
//!
//! ```
//! use std::io::Write;
//! use smarm::process::{Command, Stdio};
//!
//! # fn main() -> std::io::Result<()> {
//! smarm::run(|| {
//!     let mut child = Command::new("tr").args(["a-z", "A-Z"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//!     child.stdin.take().unwrap().write_all(b"hello")?;
//!     let output = child.wait_with_output()?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"HELLO");
//!     Ok(())
//! })
//! # }
//! ```

mod child;
mod command;
mod output;
mod pipe;

pub use std::process::{
    CommandArgs, CommandEnvs, ExitCode, ExitStatus, Output, Stdio, Termination, abort, exit, id,
};

pub use child::Child;
pub use command::Command;
pub use pipe::{ChildStderr, ChildStdin, ChildStdout};
