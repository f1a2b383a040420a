//! More ways to communicate and to share, for actors, tasks and OS threads alike.

pub mod broadcast;
pub mod mpmc;
pub mod watch;
