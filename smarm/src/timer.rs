//! Time: sleeping, and the wheels that deadlines wait in.

pub(crate) mod clock;
pub(crate) mod wheel;
