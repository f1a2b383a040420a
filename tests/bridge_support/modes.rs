//! Runtimes beside and inside a tokio runtime of a service's own.

use smarm::Runtime;
use smarm_compat::{Builder, LocalWorker};
use tokio::runtime::Runtime as Tokio;

/// A multi-thread service with two worker threads.
pub fn service() -> Tokio {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio starts")
}

/// A smarm runtime of this many workers, attached to the service.
pub fn attached(service: &Tokio, workers: usize) -> Runtime {
    Builder::new().workers(workers).attach(service.handle()).expect("the runtime starts")
}

/// A single-threaded service.
pub fn current_thread() -> Tokio {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts")
}

/// A smarm runtime whose one worker is to be polled by such a service.
pub fn local() -> (Runtime, LocalWorker) {
    Builder::new().local().expect("the runtime starts")
}
