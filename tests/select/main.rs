//! `select!`, scopes and groups: what they promise, each promise beside those of their relatives.

mod group;
mod property;
mod rendezvous;
mod scope;
mod select;
mod select_sources;
