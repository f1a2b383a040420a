//! `smarm::sim` and `smarm_compat::sim`.
//!
//! | module | promises |
//! |---|---|
//! | `traces` | the same seed, the same trace, in one process and in two; another seed, another trace |
//! | `endings` | how simulations fail, and that the failure names the seed |
//! | `streams` | connections: order, ends, resets, refusals, timeouts, partitions, loss |
//! | `datagrams` | UDP: latency, loss, partitions, sizes |
//! | `hosts` | names, addresses, ports, crashes |
//! | `tasks` | tokio's tasks beside actors, in one virtual time |
//! | `misuse` | what leaves the simulation is told what to use |

mod datagrams;
mod endings;
mod hosts;
mod misuse;
mod streams;
mod support;
mod tasks;
mod traces;
