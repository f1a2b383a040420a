//! Actors: their slots, state words, wakers, and how they wait.
pub(crate) mod park;
