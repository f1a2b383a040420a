//! Actors: their stacks and context, how they are scheduled, spawned and joined, how they end, and how runtimes do.

mod actor;
mod actor_local;
mod context;
mod hazards;
mod join;
mod pid;
mod preempt;
mod runtime;
mod scheduler;
mod spawn;
mod spinning;
mod stack;
mod supervisor;
