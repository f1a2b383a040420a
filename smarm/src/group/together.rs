//! Closures side by side: all of them, or the first that fails.

use std::cell::Cell;
use std::panic::resume_unwind;

use crate::actor::park;
use crate::channel::{self, Receiver, Sender};
use crate::join::{JoinError, JoinHandle};
use crate::scope::{Scope, ScopedJoinHandle, scope};

/// What [`join!`](crate::join!) joins: a closure, which it runs in an actor, or the handle of one that runs.
#[diagnostic::on_unimplemented(
    message = "`join!` takes closures without arguments, and join handles; `{Self}` is neither",
    note = "a closure and its result must be `Send`"
)]
pub trait Branch<'scope> {
    /// Of the macro's tuple.
    type Output;
    /// An actor that runs.
    type Started: Started<Output = Self::Output>;

    /// Begins.
    fn start<'env>(self, scope: &'scope Scope<'scope, 'env>) -> Self::Started;
}

/// An actor that runs.
pub trait Started {
    /// What comes of it.
    type Output;

    /// Waits for its end.
    fn finish(self) -> Self::Output;
}

impl<'scope, F, T> Branch<'scope> for F
where
    F: FnOnce() -> T + Send + 'scope,
    T: Send + 'scope,
{
    type Output = T;
    type Started = ScopedJoinHandle<'scope, T>;

    #[track_caller]
    fn start<'env>(self, scope: &'scope Scope<'scope, 'env>) -> Self::Started {
        scope.spawn(self)
    }
}

impl<T> Started for ScopedJoinHandle<'_, T> {
    type Output = T;

    #[track_caller]
    fn finish(self) -> T {
        match self.join() {
            Ok(value) => value,
            Err(JoinError::Panicked(payload)) => resume_unwind(payload.into_inner()),
            Err(JoinError::Killed) => panic!("smarm: an actor of join! was killed"),
        }
    }
}

impl<'scope, T> Branch<'scope> for JoinHandle<T> {
    type Output = Result<T, JoinError>;
    type Started = Self;

    fn start<'env>(self, _: &'scope Scope<'scope, 'env>) -> Self {
        self
    }
}

impl<T> Started for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn finish(self) -> Self::Output {
        self.join()
    }
}

/// Runs closures in actors side by side, and gives a tuple of their results. The closures may borrow.
///
/// The handle of an actor that runs already can take the place of a closure; what it gives is a `Result`.
///
/// All are waited for. They run side by side: every actor is there before the first is waited for. As a
/// [scope](mod@crate::scope), it kills and waits for its actors if it unwinds; those of handles are detached.
///
/// # Panics
/// If a closure panics, its panic continues here, when the others were killed and have ended. And as
/// [`scope`](crate::scope()) and its `spawn`.
///
/// ```
/// smarm::run(|| {
///     let mut left = vec![3, 1, 2];
///     let right = [1, 2, 3];
///     let ((), sum, other) =
///         smarm::join!(|| left.sort(), || right.iter().sum::<i32>(), smarm::spawn(|| "actor"));
///     assert_eq!((left, sum, other.unwrap()), (vec![1, 2, 3], 6, "actor"));
/// });
/// ```
#[macro_export]
macro_rules! join {
    // Each round binds a name of its own, as macros are hygienic. First the closures, which so are evaluated where
    // the macro stands; then, in the scope, the actors.
    (@bind [$($bound:ident)*] $next:expr $(, $rest:expr)*) => {{
        let branch = $next;
        $crate::join!(@bind [$($bound)* branch] $($rest),*)
    }};
    (@bind [$($bound:ident)+]) => {
        $crate::scope(|scope| $crate::join!(@start scope [] $($bound)+))
    };
    (@start $scope:ident [$($started:ident)*] $next:ident $($rest:ident)*) => {{
        let started = $crate::group::Branch::start($next, $scope);
        $crate::join!(@start $scope [$($started)* started] $($rest)*)
    }};
    (@start $scope:ident [$($started:ident)+]) => { ($($crate::group::Started::finish($started),)+) };
    ($($branch:expr),+ $(,)?) => { $crate::join!(@bind [] $($branch),+) };
}

/// The scope of a [`try_join!`](crate::try_join!).
pub struct Tried<'scope, 'env, E> {
    scope: &'scope Scope<'scope, 'env>,
    sender: Sender<Verdict<E>>,
    verdicts: Receiver<Verdict<E>>,
    actors: Cell<usize>,
}

/// How an actor has ended.
enum Verdict<E> {
    Well,
    Failed(E),
    /// It unwound.
    Not,
}

/// Tells of an end that is no other.
struct Unwound<E>(Option<Sender<Verdict<E>>>);

impl<E> Unwound<E> {
    fn tell(&mut self, verdict: Verdict<E>) {
        if let Some(sender) = self.0.take() {
            // The receiver goes only when nobody wants to know any more.
            let _ = sender.try_send(verdict);
        }
    }
}

impl<E> Drop for Unwound<E> {
    fn drop(&mut self) {
        self.tell(Verdict::Not);
    }
}

/// Runs `f` in a scope, whose children fail with an `E`.
#[track_caller]
pub fn try_all<'env, R, E: Send + 'env>(
    f: impl for<'scope> FnOnce(&Tried<'scope, 'env, E>) -> Result<R, E>,
) -> Result<R, E> {
    scope(|scope| {
        let (sender, verdicts) = channel::channel();
        f(&Tried { scope, sender, verdicts, actors: Cell::new(0) })
    })
}

impl<'scope, 'env, E: Send + 'scope> Tried<'scope, 'env, E> {
    /// Starts one. Its value is `None` if it has failed.
    #[track_caller]
    pub fn start<T, F>(&self, f: F) -> ScopedJoinHandle<'scope, Option<T>>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        let mut end = Unwound(Some(self.sender.clone()));
        self.actors.set(self.actors.get() + 1);
        self.scope.spawn(move || {
            let outcome = f();
            match outcome {
                Ok(value) => {
                    end.tell(Verdict::Well);
                    Some(value)
                }
                Err(error) => {
                    end.tell(Verdict::Failed(error));
                    None
                }
            }
        })
    }

    /// Waits until all have ended well, or one has not: the others are killed then.
    ///
    /// # Errors
    /// That of the first that failed; `None` if one has unwound.
    #[track_caller]
    pub fn watch(&self) -> Result<(), Option<E>> {
        for _ in 0..self.actors.get() {
            let verdict = park::wait_uncancelled(channel::Wait::new(&self.verdicts));
            let failure = match verdict.expect("there is a sender here") {
                Verdict::Well => continue,
                Verdict::Failed(error) => Some(error),
                Verdict::Not => None,
            };
            self.scope.kill_all();
            return Err(failure);
        }
        Ok(())
    }

    /// The value of one that has ended well.
    #[track_caller]
    pub fn value<T>(&self, started: ScopedJoinHandle<'scope, Option<T>>) -> T {
        started.finish().expect("all have ended well")
    }

    /// Continues the panic of this one, if it has panicked.
    pub fn resume<T>(&self, started: ScopedJoinHandle<'scope, Option<T>>) {
        if let Err(JoinError::Panicked(payload)) = started.join() {
            resume_unwind(payload.into_inner());
        }
    }

    /// One has unwound, and none has panicked.
    #[cold]
    #[track_caller]
    pub fn killed(&self) -> ! {
        panic!("smarm: an actor of try_join! was killed")
    }
}

impl<E> std::fmt::Debug for Tried<'_, '_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tried").field("actors", &self.actors).finish_non_exhaustive()
    }
}

/// Runs closures in actors side by side, each of which gives a `Result` with the same error type. Gives `Ok` with a
/// tuple of their values; or the first error, and then the others are killed, and have ended when this
/// returns. The closures may borrow.
///
/// # Panics
/// If a closure panics before another one fails, its panic continues here, when the others were killed and have
/// ended. And as [`scope`](crate::scope()) and its `spawn`.
///
/// ```
/// use std::num::ParseIntError;
///
/// smarm::run(|| {
///     let text = String::from("1 x");
///     let words: Vec<_> = text.split(' ').collect();
///     let parse = |word: &str| word.parse::<i32>();
///     let well: Result<_, ParseIntError> = smarm::try_join!(|| parse(words[0]), || Ok("as well"));
///     assert_eq!(well, Ok((1, "as well")));
///     assert!(smarm::try_join!(|| parse(words[0]), || parse(words[1])).is_err());
/// });
/// ```
#[macro_export]
macro_rules! try_join {
    (@bind [$($bound:ident)*] $next:expr $(, $rest:expr)*) => {{
        let branch = $next;
        $crate::try_join!(@bind [$($bound)* branch] $($rest),*)
    }};
    (@bind [$($bound:ident)+]) => {
        $crate::group::try_all(|tried| $crate::try_join!(@start tried [] $($bound)+))
    };
    (@start $tried:ident [$($started:ident)*] $next:ident $($rest:ident)*) => {{
        let started = $tried.start($next);
        $crate::try_join!(@start $tried [$($started)* started] $($rest)*)
    }};
    (@start $tried:ident [$($started:ident)+]) => {
        match $tried.watch() {
            Ok(()) => Ok(($($tried.value($started),)+)),
            Err(Some(error)) => Err(error),
            Err(None) => {
                $($tried.resume($started);)+
                $tried.killed()
            }
        }
    };
    ($($closure:expr),+ $(,)?) => { $crate::try_join!(@bind [] $($closure),+) };
}
