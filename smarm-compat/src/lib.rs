//! The bridge between smarm actors and tokio.
