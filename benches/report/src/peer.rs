//! Who is compared.

use smarm::Config;
use tokio::runtime::{self, Runtime as TokioRuntime};

/// A peer: a runtime, or a way to use one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Smarm,
    SmarmTokio,
    SmarmAttached,
    SmarmLocal,
    SmarmStreams,
    TokioCurrent,
    SelfWaking,
    TokioMulti,
    TokioPerCore,
    TwoTokios,
    Axum,
    Kanal,
    Flume,
    May,
    Threads,
    BlockOn,
    SpawnBlocking,
    Epoll,
    Step0,
    Step1,
    Step2,
    Step3,
}

use Peer::*;

impl Peer {
    pub const ALL: [Self; 22] = [
        Smarm,
        SmarmTokio,
        SmarmAttached,
        SmarmLocal,
        SmarmStreams,
        TokioCurrent,
        SelfWaking,
        TokioMulti,
        TokioPerCore,
        TwoTokios,
        Axum,
        Kanal,
        Flume,
        May,
        Threads,
        BlockOn,
        SpawnBlocking,
        Epoll,
        Step0,
        Step1,
        Step2,
        Step3,
    ];

    /// As an argument, and as a mark in tables.
    pub fn slug(self) -> &'static str {
        match self {
            Smarm => "smarm",
            SmarmTokio => "smarm-on-tokio",
            SmarmAttached => "smarm-attached",
            SmarmLocal => "smarm-local",
            SmarmStreams => "smarm-tokio-streams",
            TokioCurrent => "tokio-current",
            SelfWaking => "tokio-self-waking",
            TokioMulti => "tokio-multi",
            TokioPerCore => "tokio-per-core",
            TwoTokios => "two-tokios",
            Axum => "axum",
            Kanal => "kanal",
            Flume => "flume",
            May => "may",
            Threads => "threads",
            BlockOn => "block-on",
            SpawnBlocking => "spawn-blocking",
            Epoll => "epoll",
            Step0 => "step-0",
            Step1 => "step-1",
            Step2 => "step-2",
            Step3 => "step-3",
        }
    }

    pub fn what(self) -> &'static str {
        match self {
            Smarm => "smarm with its own epoll loop",
            SmarmTokio => {
                "smarm's workers as tasks of tokio `current_thread` runtimes, one a worker (`smarm_compat::run`)"
            }
            SmarmAttached => {
                "smarm attached to a multi-thread tokio runtime (`smarm_compat::attach`): workers on threads of their own"
            }
            SmarmLocal => "a smarm worker as a local future of a service with one thread (`Builder::local`)",
            SmarmStreams => "actors that read and write tokio's streams (`SyncIo`)",
            TokioCurrent => "tokio, `current_thread`; with hyper for HTTP",
            SelfWaking => {
                "the same, giving way by waking oneself: cheaper than `yield_now`, and the I/O driver does not run"
            }
            TokioMulti => "tokio, `multi_thread`; with hyper for HTTP",
            TokioPerCore => {
                "a tokio `current_thread` runtime per core, with a listener each; with hyper for HTTP"
            }
            TwoTokios => "tasks of two tokio `multi_thread` runtimes, one thread each",
            Axum => "axum on tokio `multi_thread`",
            Kanal => "tasks of tokio `multi_thread` with kanal's channels",
            Flume => "tasks of tokio `multi_thread` with flume's channels",
            May => "may: stackful coroutines that move between threads",
            Threads => "OS threads, with crossbeam's channels and std's mutex",
            BlockOn => "an OS thread that calls `Handle::block_on` for each wait",
            SpawnBlocking => {
                "blocking code as people run it today: in `spawn_blocking`, with `Handle::block_on` in it"
            }
            Epoll => "a plain epoll loop per core: what the kernel alone costs",
            Step0 => "the service of `examples/migration` on tokio `multi_thread` alone, with axum",
            Step1 => "the same with its first actor, attached",
            Step2 => "the same, mostly actors, attached",
            Step3 => "the same on smarm's own sockets (`smarm_compat::run`)",
        }
    }

    pub fn is_smarm(self) -> bool {
        matches!(self, Smarm | SmarmTokio | SmarmAttached | SmarmLocal | SmarmStreams | Step1 | Step2 | Step3)
    }

    /// tokio with what belongs to it.
    pub fn is_tokio(self) -> bool {
        matches!(self, TokioCurrent | SelfWaking | TokioMulti | TokioPerCore | Step0)
    }

    pub fn named(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.slug() == slug)
    }
}

/// A smarm runtime as the peer has it.
pub fn smarm_runtime(peer: Peer, config: Config) -> smarm::Runtime {
    match peer {
        Smarm => smarm::runtime::init(config),
        SmarmTokio | SmarmStreams => smarm_compat::Builder::new().config(config).start().expect("a runtime"),
        other => panic!("{other:?} is not a smarm runtime of its own"),
    }
}

pub fn current_thread() -> TokioRuntime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub fn multi_thread(workers: usize) -> TokioRuntime {
    runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime")
}

/// may has one runtime a process, which takes what is set before its first use.
pub fn configure_may(workers: usize, coroutines: u64) {
    // As many stacks are kept as are used at a time: what a burst needs is there when it comes again.
    may::config().set_workers(workers).set_pool_capacity(coroutines.max(1_000) as usize);
}
