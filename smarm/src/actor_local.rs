//! Values of which each actor has its own.
//!
//! [`actor_local!`](macro@crate::actor_local) is to actors what `std::thread_local!` is to threads. A value is
//! made when an actor first asks for it, and dropped when the actor's closure has ended, on the actor's
//! own stack, before those who join it are woken; the one made last is dropped first.
//!
//! ```
//! use std::cell::Cell;
//!
//! smarm::actor_local! {
//!     static COUNT: Cell<u32> = Cell::new(0);
//! }
//!
//! smarm::run(|| {
//!     let counters: Vec<_> = (1..=3)
//!         .map(|n| {
//!             smarm::spawn(move || {
//!                 for _ in 0..n {
//!                     COUNT.set(COUNT.get() + 1);
//!                     smarm::yield_now();
//!                 }
//!                 COUNT.get()
//!             })
//!         })
//!         .collect();
//!     let counts: Vec<_> = counters.into_iter().map(|counter| counter.join().unwrap()).collect();
//!     assert_eq!(counts, [1, 2, 3]);
//! });
//! ```
//!
//! | the caller | whose value |
//! |---|---|
//! | an actor | the actor's |
//! | a future that an actor awaits, `on_native_stack`, a context hook | that actor's |
//! | anything else: a task, a plain thread | the thread's, as with `thread_local!` |
//!
//! So code that uses one works everywhere, and a value never passes from an actor to the next one in its
//! slot or to its neighbours. Nothing need be `Send` or `Sync`, because an actor never changes thread. A
//! borrow may be held across a wait: nobody but the actor itself has the value.
//!
//! The address of the `static` names the value; an actor looks for it in a list of those that it has, so
//! some dozens are fine and thousands are not.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::ptr::NonNull;
use std::thread::LocalKey;

use crate::actor::belongings::{Kept, Key, Word};
use crate::actor::local::Local;

/// Declares values of which each actor has its own. See [`ActorLocal`] and the [module](mod@crate::actor_local).
///
/// The syntax is that of `std::thread_local!`.
///
/// ```
/// use std::cell::RefCell;
///
/// smarm::actor_local! {
///     /// What the actor has done.
///     pub static LOG: RefCell<Vec<String>> = RefCell::default();
///     static LIMIT: u32 = const { 7 };
/// }
/// smarm::run(|| {
///     LOG.with_borrow_mut(|log| log.push("began".into()));
///     assert_eq!(LIMIT.with(|limit| *limit), 7);
///     assert_eq!(LOG.take(), ["began"]);
/// });
/// ```
#[macro_export]
macro_rules! actor_local {
    () => {};
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = $init:expr; $($rest:tt)*) => {
        $crate::actor_local!($(#[$attribute])* $vis static $name: $type = $init);
        $crate::actor_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = $init:expr) => {
        $(#[$attribute])*
        $vis static $name: $crate::actor_local::ActorLocal<$type> = {
            fn init() -> $type {
                $init
            }
            ::std::thread_local!(static OUTSIDE: $type = init());
            $crate::actor_local::ActorLocal::declared(init, OUTSIDE)
        };
    };
}

/// A value of which each actor has its own, declared with [`actor_local!`](macro@crate::actor_local).
pub struct ActorLocal<T: 'static> {
    init: fn() -> T,
    /// The value of a caller that is no actor.
    outside: LocalKey<T>,
}

impl<T: 'static> ActorLocal<T> {
    /// For the macro.
    #[doc(hidden)]
    pub const fn declared(init: fn() -> T, outside: LocalKey<T>) -> Self {
        Self { init, outside }
    }

    /// Calls `f` with the caller's value, which is made first if need be.
    ///
    /// # Panics
    /// If the value has been dropped already; see [`try_with`](Self::try_with).
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("smarm: {error}"),
        }
    }

    /// As [`with`](Self::with).
    ///
    /// # Errors
    /// The actor's closure has ended and the value has been dropped: the caller is a destructor of another
    /// such value, or of the actor's result.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let Some(actor) = Local::current().and_then(Local::on_behalf_of) else {
            return self.outside.try_with(f).map_err(|_| AccessError);
        };
        // SAFETY: the record of the actor on whose behalf this thread runs is alive, and this thread's.
        let value = self.find_or_make(unsafe { &(*actor.record()).belongings })?;
        // SAFETY: the value stays where it is until the actor's closure has ended, and `f` cannot keep the
        // reference longer than this call. It is dropped by the actor itself, on this thread, which is here.
        Ok(f(unsafe { value.as_ref() }))
    }

    fn find_or_make(&'static self, word: &Word) -> Result<NonNull<T>, AccessError> {
        let key = Key::new(NonNull::from(self).cast(), TypeId::of::<T>());
        let find = || match word.belongings()?.find(key) {
            Kept::Absent => None,
            Kept::Gone => Some(Err(AccessError)),
            Kept::There(value) => Some(Ok(value.cast::<T>())),
        };
        if let Some(found) = find() {
            return found;
        }
        if word.is_over() {
            return Err(AccessError);
        }
        let value = (self.init)();
        // `init` may have asked for the value itself: then the first one made stays.
        find().unwrap_or_else(|| Ok(word.make().keep(key, Box::new(value)).cast::<T>()))
    }
}

impl<T: 'static> ActorLocal<Cell<T>> {
    /// Sets the value.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// A copy of the value.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the value and leaves the default.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Sets the value and gives the old one.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> ActorLocal<RefCell<T>> {
    /// Calls `f` with the contents.
    ///
    /// # Panics
    /// If they are mutably borrowed, and as [`with`](Self::with).
    #[track_caller]
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Calls `f` with the contents, to be changed.
    ///
    /// # Panics
    /// If they are borrowed, and as [`with`](Self::with).
    #[track_caller]
    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Sets the contents.
    ///
    /// # Panics
    /// If they are borrowed, and as [`with`](Self::with).
    #[track_caller]
    pub fn set(&'static self, value: T) {
        self.replace(value);
    }

    /// Takes the contents and leaves the default.
    ///
    /// # Panics
    /// If they are borrowed, and as [`with`](Self::with).
    #[track_caller]
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Sets the contents and gives the old ones.
    ///
    /// # Panics
    /// If they are borrowed, and as [`with`](Self::with).
    #[track_caller]
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> fmt::Debug for ActorLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorLocal").finish_non_exhaustive()
    }
}

/// The value has been dropped already, because the actor's closure has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a value of `actor_local!` was asked for when the actor had dropped it already, in its end",
        )
    }
}

impl Error for AccessError {}
