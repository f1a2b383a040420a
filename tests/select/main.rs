//! `select!`, scopes and groups: what they promise, each promise beside those of their relatives.

mod select;
