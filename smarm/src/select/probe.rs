//! How the macro tells smarm's own futures from others: by which of two methods of the same name the compiler
//! finds first. The one for [`Shallow`] futures needs one reference less.
//!
//! Where the type of a future is not known but for being a `Future`, it is one of others.

use std::cell::Cell;
use std::fmt;

use super::{AnyFuture, Shallow};

/// A source, before it is known what it is.
pub struct Probe<S>(Cell<Option<S>>);

impl<S> Probe<S> {
    /// Of this source.
    #[inline(always)]
    pub fn new(source: S) -> Self {
        Self(Cell::new(Some(source)))
    }

    #[inline(always)]
    fn take(&self) -> S {
        self.0.take().expect("the macro takes it once")
    }
}

impl<S> fmt::Debug for Probe<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").finish_non_exhaustive()
    }
}

/// A `future(f)` whose `f` needs no other stack.
pub trait OwnSource {
    /// What the arm waits for.
    type Source;
    /// Takes it out.
    fn take_source(&self) -> Self::Source;
}

impl<F: Shallow> OwnSource for Probe<AnyFuture<F>> {
    type Source = F;
    #[inline(always)]
    fn take_source(&self) -> F {
        self.take().into_inner()
    }
}

/// Any other source.
pub trait KeepSource {
    /// What the arm waits for.
    type Source;
    /// Takes it out.
    fn take_source(&self) -> Self::Source;
}

impl<S> KeepSource for &Probe<S> {
    type Source = S;
    #[inline(always)]
    fn take_source(&self) -> S {
        self.take()
    }
}
