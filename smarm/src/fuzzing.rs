//! Programs made of bytes, each against a model that is simple enough to be seen to be right: what a fuzzer
//! feeds, and what proptest makes up and shrinks.
//!
//! | target | what it drives | model |
//! |---|---|---|
//! | [`wheel`] | the timer wheel | a sorted map |
//! | [`slots`] | stacks, their slots, state words | who holds which stack; a word taken apart |
//! | [`channel`] | a channel with one receiver, all polls by hand | the order of sending; who may sleep |
//! | [`many`] | one with many receivers | the same |
//! | [`select`] | actors with `select!` over channels, a mutex and timers, some killed | each message is in one place; who may sleep |
//! | [`lives`] | actors that spawn, wait, wake, kill, join and unwind | tokens; who may have been killed; who may sleep |
//!
//! A target takes any bytes, reads its program from them (see [`plan`]), and panics if a promise is broken. The tests
//! here run some hundred programs of each; `tests/fuzz` runs them under libFuzzer, which looks for new ways through
//! the code. This module is there in tests and with `--cfg smarm_fuzz`, and is no part of the API.
//!
//! # Who may sleep
//! A lost wake shows as a wait that goes on although what it waits for is there. Polls by hand see that at once. The
//! actors' targets run with a paused clock, which leaps only when all rest: after a sleep of an hour nothing moves
//! any more, and what each actor then waits for is compared with what there is. So nothing hangs, and a failure is
//! the program's and not the machine's.

mod by_hand;
mod channels;
mod lives;
mod many;
mod plan;
mod selects;
mod slots;
#[cfg(test)]
mod tests;
mod wheel;

pub use channels::channel;
pub use lives::lives;
pub use many::many;
pub use selects::select;
pub use slots::slots;
pub use wheel::wheel;
