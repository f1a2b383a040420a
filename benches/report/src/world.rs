//! Two kinds of worlds, so that each program is written once and is the same for all peers.
//!
//! In a *green* world code blocks: smarm's actors, may's coroutines, OS threads. In a world of *tasks* it
//! awaits. A program (see [`programs`](self::green::programs)) is compiled once for each kind; its text has
//! `go!` for what is spawned and `wait!` around what may wait:
//!
//! | | green | tasks |
//! |---|---|---|
//! | `program!(fn f() { … })` | `fn f<W: World>() { … }` | `async fn f<W: World>() { … }` |
//! | `go!({ … })` | `W::spawn(move \|\| { … })` | `W::spawn(async move { … })` |
//! | `wait!(x)` | `x` | `x.await` |
//!
//! Everything is monomorphic: no peer pays for the others.

pub mod green;
pub mod tasks;
