//! The workloads: tables of what is measured, and how each peer is started.

use crate::workload::Workload;

/// What smarm, may, tokio and OS threads do by the same program, as a closure that does it once.
macro_rules! on_peer {
    ($job:expr, $config:expr, $module:ident::$program:ident($($argument:expr),*)) => {{
        use $crate::peer::{Peer, self};
        use $crate::world::{green, tasks};
        let (job, config) = ($job, $config);
        macro_rules! tasks_of {
            ($world:ident, $runtime:expr) => {{
                let runtime = $runtime;
                Box::new(move || {
                    let work = tasks::programs::$module::$program::<tasks::$world>($($argument),*);
                    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
                })
            }};
        }
        let once: Box<dyn FnMut() -> _> = match job.peer {
            Peer::Smarm | Peer::SmarmTokio => {
                let runtime = peer::smarm_runtime(job.peer, config);
                Box::new(move || runtime.run(|| green::programs::$module::$program::<green::Smarm>($($argument),*)))
            }
            Peer::May => {
                peer::configure_may(job.workers, job.size);
                Box::new(move || {
                    may::go!(move || green::programs::$module::$program::<green::May>($($argument),*))
                        .join()
                        .expect("it does not panic")
                })
            }
            Peer::Threads => Box::new(move || green::programs::$module::$program::<green::Threads>($($argument),*)),
            Peer::TokioCurrent => tasks_of!(Tokio, peer::current_thread()),
            Peer::SelfWaking => tasks_of!(SelfWaking, peer::current_thread()),
            Peer::TokioMulti => tasks_of!(Tokio, peer::multi_thread(job.workers)),
            Peer::Kanal => tasks_of!(Kanal, peer::multi_thread(job.workers)),
            Peer::Flume => tasks_of!(Flume, peer::multi_thread(job.workers)),
            other => panic!("{other:?} does not take part in this"),
        };
        once
    }};
    ($job:expr, $module:ident::$program:ident($($argument:expr),*)) => {
        on_peer!($job, $job.config(), $module::$program($($argument),*))
    };
}

mod basics;
mod bridge;
mod compute;
mod messages;
mod migration;
mod savina;
mod serving;
mod waiting;

pub use migration::build as build_steps;
pub use serving::serve;

pub const GROUPS: [&[Workload]; 8] = [
    &basics::WORKLOADS,
    &messages::WORKLOADS,
    &waiting::WORKLOADS,
    &compute::WORKLOADS,
    &bridge::WORKLOADS,
    &serving::WORKLOADS,
    &migration::WORKLOADS,
    &savina::WORKLOADS,
];
