//! Actors that borrow from the frame of their parent: [`scope`], which has them all ended when it returns.
//!
//! | word | meaning |
//! |---|---|
//! | parent | the actor or thread that calls [`scope`] |
//! | child | an actor that was spawned with the [`Scope`], by the parent or by another child |
//! | frame | the call of [`scope`]: what lives around it (`'env`), and the scope itself (`'scope`) |
//!
//! ```
//! smarm::run(|| {
//!     let mut words = vec!["one", "two"];
//!     let mut count = 0;
//!     smarm::scope(|s| {
//!         s.spawn(|| count += words.len());
//!         let first = s.spawn(|| words[0]); // both borrow
//!         assert_eq!(first.join().unwrap(), "one");
//!     });
//!     words.push("three"); // nobody borrows any more
//!     assert_eq!(count, 2);
//! });
//! ```
//!
//! # What it promises
//! - Children have ended when [`scope`] returns or unwinds, and their results were dropped or handed over.
//! - If the closure panics, or the parent is killed, or its [deadline or token](crate::cancel) ends the wait for
//!   the children, they are **killed, and waited for**; then the unwinding goes on. Nothing shortens that wait: a
//!   child that neither waits nor says `check!()` holds its parent up.
//! - A child that panicked, and was not joined, makes [`scope`] panic when all have ended, as std's does. One that
//!   was killed does not.
//! - Children inherit the deadline and the tokens of whoever spawns them. If the parent's is over, and one of them
//!   was killed or ended by it, and not joined, [`scope`] unwinds to the [scope of waits](crate::cancel), as if it
//!   had still waited for that child: it returns as if all were done only if nothing that is missing went unheard.
//! - On a plain thread, [`Handle::scope`](crate::Handle::scope) says where the children run.
//!
//! # Protocol
//! 1. Before a child is spawned, the scope counts it. The count stands in the parent's frame, and so does the list of
//!    pids by which children are killed.
//! 2. When a child's closure is gone and its result delivered, or dropped by the child, its outlet takes one off the
//!    count: the child's last access to the frame. Before that it has copied the parent's waker; if it was the last
//!    child and the parent waits, it wakes the parent with the copy, which needs no frame.
//! 3. The parent marks the count as waited for, and waits until it is zero.
//!
//! No wake is lost: mark and count are one word, so the last child sees the mark, or the parent sees zero.
//!
//! # Why it is sound
//! A child may use what it borrows until it has taken itself off the count. That this comes before the frame goes:
//!
//! - *The parent returns*: after step 3 only.
//! - *The parent unwinds, by a panic or a kill*: `scope` catches it, kills the children, waits with a wait that no
//!   kill ends, and then goes on unwinding. (It catches first and then waits, so that neither
//!   `thread::panicking()` is true for the worker's other actors meanwhile, nor a child's panic a double one.)
//! - *A handle is forgotten, or leaked in a cycle*: the count does not depend on handles. A result that was sent to
//!   such a handle is never dropped, so it does not use what it borrows.
//! - *The scope is forgotten*: the closure only gets a reference to it, it is a local of `scope`.
//! - *The runtime shuts down*: it kills parent and children. If a child does not end in time, both are leaked with
//!   their stacks: a stack with live frames is never freed. A spawn that is refused drops its closure at once.
//! - *The runtime of the children ends before the parent*, on a thread or in another runtime: its shutdown ends
//!   the children, or leaks them; then the parent waits for ever.
//! - *The process aborts*: with all its frames.
//! - *A child borrows from the closure of `scope`*, which ends before the children do: `'scope` is longer than the
//!   closure's body, so the compiler refuses:
//!
//! ```compile_fail
//! smarm::run(|| {
//!     smarm::scope(|s| {
//!         let local = 1;
//!         s.spawn(|| assert_eq!(local, 1)); // `local` goes with this closure
//!     });
//! });
//! ```
//! - *A handle or the scope is carried out*: they bear `'scope`, which nothing outside can name.
//!
//! ```compile_fail
//! smarm::run(|| {
//!     let handle = smarm::scope(|s| s.spawn(|| 1));
//!     handle.join().unwrap();
//! });
//! ```
//! ```compile_fail
//! smarm::run(|| {
//!     let mut kept = None;
//!     smarm::scope(|s| kept = Some(s));
//! });
//! ```
//! - *A borrow escapes in a child's result, or to an actor that is not a child*:
//!
//! ```compile_fail
//! smarm::run(|| {
//!     let longer: &str;
//!     {
//!         let text = String::from("short");
//!         longer = smarm::scope(|s| s.spawn(|| text.as_str()).join().unwrap());
//!     }
//!     assert_eq!(longer, "short");
//! });
//! ```
//! ```compile_fail
//! smarm::run(|| {
//!     let text = String::from("short");
//!     smarm::scope(|s| {
//!         s.spawn(|| {
//!             smarm::spawn(|| assert_eq!(text, "short"));
//!         });
//!     });
//! });
//! ```
//! - *Two children change the same thing*: closures are checked as everywhere.
//!
//! ```compile_fail
//! smarm::run(|| {
//!     let mut count = 0;
//!     smarm::scope(|s| {
//!         s.spawn(|| count += 1);
//!         s.spawn(|| count += 1);
//!     });
//! });
//! ```
//!
//! Rejected: shared data in an `Arc`, as std has it (an allocation per scope and two more atomic operations per
//! child; the pid as a waker makes it needless); leaving children to their fate when the parent is killed; killing
//! them when the closure has returned (a scope is for work that is wanted).

mod children;
mod handle;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use self::children::{Children, Outlet};
pub use self::handle::{ScopedJoinHandle, ScopedJoinTimeoutError};
use crate::actor::park::{self, Running};
use crate::actor::scope as waits;
use crate::channel::oneshot;
use crate::join::JoinHandle;
use crate::runtime::Handle;
use crate::spawn::{Builder, SpawnError};

/// Where children are spawned. See [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    children: Children,
    /// Where the children run, if not where their spawner does.
    runtime: Option<Handle>,
    /// Invariant, so that 'scope cannot shrink to less than what `scope` has in mind.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Calls `f` with a [`Scope`], and waits for all children that are spawned with that. They may borrow what lives
/// longer than this call. See the [module](mod@crate::scope).
///
/// # Panics
/// A panic of `f` continues here, after the children were killed and waited for. If `f` returns, and a child has
/// panicked that nobody has joined. Where nothing may wait: in a future that an actor awaits, and on a
/// worker's thread outside any actor.
///
/// ```
/// let mut halves = [1, 2, 3, 4];
/// smarm::run(|| {
///     let (left, right) = halves.split_at_mut(2);
///     smarm::scope(|s| {
///         s.spawn(|| left.reverse());
///         s.spawn(|| right.reverse());
///     });
/// });
/// assert_eq!(halves, [2, 1, 4, 3]);
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    run(None, f)
}

impl Handle {
    /// As [`scope`](crate::scope()), with children on this runtime: for plain threads, and across runtimes.
    ///
    /// # Panics
    /// As [`scope`](crate::scope()).
    ///
    /// ```
    /// let runtime = smarm::runtime::init(smarm::Config::exact(1));
    /// let names = ["a", "b"];
    /// let joined = runtime.handle().scope(|s| {
    ///     let first = s.spawn(|| names[0]);
    ///     let second = s.spawn(|| names[1]);
    ///     first.join().unwrap().to_owned() + second.join().unwrap()
    /// });
    /// assert_eq!(joined, "ab");
    /// ```
    #[track_caller]
    pub fn scope<'env, F, T>(&self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        run(Some(self.clone()), f)
    }
}

#[track_caller]
fn run<'env, F, T>(runtime: Option<Handle>, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    park::check_may_wait(); // before there is something to wait for
    let scope =
        Scope { children: Children::new(park::own_waker()), runtime, scope: PhantomData, env: PhantomData };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let value = f(&scope);
        if !scope.children.all_ended() {
            park::wait_uncancelled(scope.children.end());
        }
        value
    }));
    if outcome.is_err() {
        scope.children.kill_for_good();
        park::wait_unbroken(scope.children.end());
    }
    match outcome {
        Err(payload) => resume_unwind(payload),
        Ok(value) => {
            assert!(!scope.children.unheard_panic(), "smarm: a scoped actor panicked, and nobody joined it");
            if scope.children.unheard_kill()
                && let Some(over) = waits::over()
            {
                waits::unwind(over);
            }
            value
        }
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a child that runs `f`, on whichever worker takes it first. It inherits the deadline and tokens of
    /// the caller, who is the parent or another child.
    ///
    /// Dropping the handle leaves the child running; the scope waits for it all the same.
    ///
    /// # Panics
    /// Outside a runtime (there, use [`Handle::scope`](crate::Handle::scope)), and if there is no stack for the
    /// actor; [`Builder::spawn_scoped`](crate::Builder::spawn_scoped) gives these as errors.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f).unwrap_or_else(|error| match error {
            SpawnError::NoRuntime => panic!(
                "smarm: a scope spawned outside a runtime: call `smarm::scope` in an actor, or `Handle::scope`"
            ),
            error => panic!("smarm: {error}"),
        })
    }

    /// Starts a child that awaits `future`, and gives its output: the future is polled on a worker's own stack, as
    /// [`await_future`](crate::compat::await_future) does, beside the other children. In a runtime of the bridge it
    /// may use tokio.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// ```
    /// smarm::run(|| {
    ///     let text = String::from("borrowed");
    ///     let length = smarm::scope(|s| s.spawn_future(async { text.len() }).join().unwrap());
    ///     assert_eq!(length, 8);
    /// });
    /// ```
    #[track_caller]
    pub fn spawn_future<F>(&'scope self, future: F) -> ScopedJoinHandle<'scope, F::Output>
    where
        F: Future + Send + 'scope,
        F::Output: Send + 'scope,
    {
        self.spawn(move || crate::compat::await_future(future))
    }

    /// Kills all children that there are now. Does not wait: the scope does.
    pub fn kill_all(&self) {
        self.children.kill();
    }

    /// How many children have not ended.
    pub fn running(&self) -> usize {
        self.children.running()
    }
}

impl Builder {
    /// Spawns a child of a scope. See [`Scope::spawn`]. A scope of [`Handle::scope`](crate::Handle::scope) spawns on
    /// its runtime, unless this builder has another.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// ```
    /// smarm::run(|| {
    ///     let name = smarm::scope(|s| {
    ///         let child = smarm::Builder::new().name("child").spawn_scoped(s, smarm::current).unwrap();
    ///         child.join().unwrap().name().map(str::to_owned)
    ///     });
    ///     assert_eq!(name.as_deref(), Some("child"));
    /// });
    /// ```
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let builder = match &scope.runtime {
            Some(runtime) => self.runtime_unless_set(runtime),
            None => self,
        };
        let child = scope.children.admit();
        // SAFETY: closure and result are `Send`. What they borrow outlives the actor: its outlet holds `child`,
        // which is counted from now on, is dropped after closure and result, and is waited for by `run` before
        // anything ends that lives as long as 'scope.
        let spawned = unsafe {
            builder.spawn_into(
                f,
                |pid| {
                    let (result, receiver) = oneshot::channel();
                    (Outlet::new(result, child), JoinHandle::new(pid, receiver))
                },
                |record| {
                    // An actor's child inherits from it anyway.
                    if Running::current().is_none()
                        && let Some(scope) = waits::current()
                    {
                        record.put_into(scope);
                    }
                },
            )
        };
        let handle = spawned?;
        scope.children.enlist(handle.pid());
        Ok(ScopedJoinHandle::new(handle, &scope.children))
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("running", &self.running()).finish_non_exhaustive()
    }
}
