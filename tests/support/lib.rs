//! Shared helpers of the examples, tests and benches.
