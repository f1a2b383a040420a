//! Actors: their slots, state words, wakers, and how they wait.

pub(crate) mod alarm;
pub(crate) mod belongings;
pub(crate) mod home;
mod hooked;
pub(crate) mod local;
#[cfg(all(test, smarm_loom))]
mod models;
pub(crate) mod native;
pub(crate) mod panic_hook;
pub(crate) mod park;
pub(crate) mod record;
pub(crate) mod reminder;
mod ring;
pub(crate) mod scope;
pub(crate) mod seat;
pub(crate) mod slot;
mod spare;
pub(crate) mod state;
pub(crate) mod token;
mod waker;
