//! How a child process is to be started.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};

use super::Child;

/// How a child process is to be started; see [`std::process::Command`].
///
/// ```
/// use smarm::process::Command;
///
/// let output = Command::new("echo").arg("hello").output()?;
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Command {
    inner: std::process::Command,
    /// Which of the three were set: standard input, output, and error.
    set: [bool; 3],
    kill_on_drop: bool,
}

impl Command {
    /// The program of this name, looked for along `PATH`, with the parent's environment and directory.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        std::process::Command::new(program).into()
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, args: I) -> &mut Self {
        self.inner.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.inner.envs(vars);
        self
    }

    /// Leaves a variable out.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env_remove(key);
        self
    }

    /// Leaves all variables out that are not set here.
    pub fn env_clear(&mut self) -> &mut Self {
        self.inner.env_clear();
        self
    }

    /// The directory that it starts in.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.inner.current_dir(dir);
        self
    }

    /// Its standard input: inherited unless set, and nothing for [`output`](Self::output).
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.inner.stdin(stdio);
        self.set[0] = true;
        self
    }

    /// Its standard output: inherited unless set, and piped for [`output`](Self::output).
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.inner.stdout(stdio);
        self.set[1] = true;
        self
    }

    /// Its standard error: inherited unless set, and piped for [`output`](Self::output).
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.inner.stderr(stdio);
        self.set[2] = true;
        self
    }

    /// Whether the process is killed when its [`Child`] is dropped: so that it ends with the actor that waits
    /// for it, if that is killed. Off unless set.
    pub fn kill_on_drop(&mut self, yes: bool) -> &mut Self {
        self.kill_on_drop = yes;
        self
    }

    /// The user that it runs as.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.inner.uid(id);
        self
    }

    /// The group that it runs as.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.inner.gid(id);
        self
    }

    /// Its first argument, in place of the program's name.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg0(arg);
        self
    }

    /// Its process group; 0 is one of its own.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.inner.process_group(group);
        self
    }

    /// Calls `f` in the child before the program starts.
    ///
    /// # Safety
    /// std's: `f` runs after a fork, where most of what a program may do is forbidden.
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: passed on.
        unsafe { self.inner.pre_exec(f) };
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// std's; the system refuses the descriptor of the process, or knows none (before Linux 5.3).
    pub fn spawn(&mut self) -> io::Result<Child> {
        Child::adopt(self.inner.spawn()?, self.kill_on_drop)
    }

    /// Starts it, waits for its end, and says how it ended.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// [`status`](Self::status) for async code; see [`Child::wait_async`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait_async`].
    pub async fn status_async(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait_async().await
    }

    /// Starts it, and waits for its end and for all that it writes.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    pub fn output(&mut self) -> io::Result<Output> {
        self.spawn_for_output()?.wait_with_output()
    }

    /// [`output`](Self::output) for async code; see [`Child::wait_with_output_async`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output_async`].
    pub async fn output_async(&mut self) -> io::Result<Output> {
        self.spawn_for_output()?.wait_with_output_async().await
    }

    fn spawn_for_output(&mut self) -> io::Result<Child> {
        let unset = self.set.map(|set| !set);
        let choose = |inner: &mut std::process::Command, choices: [fn() -> Stdio; 3]| {
            if unset[0] {
                inner.stdin(choices[0]());
            }
            if unset[1] {
                inner.stdout(choices[1]());
            }
            if unset[2] {
                inner.stderr(choices[2]());
            }
        };
        choose(&mut self.inner, [Stdio::null, Stdio::piped, Stdio::piped]);
        let spawned = self.spawn();
        choose(&mut self.inner, [Stdio::inherit; 3]); // as for the next `spawn`
        spawned
    }

    /// Replaces this process by the program; returns only if that fails.
    pub fn exec(&mut self) -> io::Error {
        self.inner.exec()
    }

    /// The program.
    pub fn get_program(&self) -> &OsStr {
        self.inner.get_program()
    }

    /// The arguments.
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.inner.get_args()
    }

    /// The variables that were set or left out.
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.inner.get_envs()
    }

    /// The directory, if it was set.
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.inner.get_current_dir()
    }
}

/// What it sets of the three standard streams counts as not set for [`Command::output`].
impl From<std::process::Command> for Command {
    fn from(inner: std::process::Command) -> Command {
        Command { inner, set: [false; 3], kill_on_drop: false }
    }
}
