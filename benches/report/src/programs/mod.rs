//! The programs, each written once for both kinds of worlds; see [`world`](crate::world).
//!
//! Each does its work, checks what came of it, and gives the time that it took.

pub mod computing;
pub mod locking;
pub mod messages;
pub mod savina;
pub mod spawning;
pub mod switching;
pub mod waiting;
