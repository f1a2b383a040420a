//! What the four steps of the migration share: everything of the service that does not wait for others.
//!
//! The service shortens links, and keeps them in SQLite:
//!
//! | request | answer |
//! |---|---|
//! | `POST /links`, a URL as body | 201, a code; 400 if it is no URL |
//! | `GET /CODE` | 307 to the URL, counted as a visit; 404 |
//! | `GET /links/CODE` | 200, visits and URL; 404 |
//! | `GET /links/CODE/title` | 200, the page's title, which another service knows; 404, 502 or 504 |
//! | `GET /feed` | a WebSocket that is told of each new link and each visit |
//!
//! The steps are the programs `step0` (tokio alone) to `step3` (smarm's own sockets). Each is meant to be
//! read from top to bottom, and beside the one before. `docs/MIGRATING.md` walks through them.
//!
//! | module | what | used by |
//! |---|---|---|
//! | [`links`] | the links in SQLite, by calls that block | the steps |
//! | [`answer`] | what a request is answered | the steps |
//! | [`setup`] | arguments, the signal to stop, `--check` | the steps |
//! | [`titles`] | the other service: a fake on the loopback interface | `--check`, tests, bench |
//! | [`client`], [`check`] | asks the service, and knows what it has to answer | `--check`, tests |
//! | [`process`] | a step as a child process | tests, bench |
//! | [`load`] | asks as much as the service can answer | bench |

pub mod answer;
pub mod check;
pub mod client;
pub mod links;
pub mod load;
pub mod process;
pub mod setup;
pub mod titles;

/// Why a program ends early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
