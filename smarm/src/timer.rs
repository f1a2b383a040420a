//! Time: the wheel that holds what is due later.
pub(crate) mod wheel;
