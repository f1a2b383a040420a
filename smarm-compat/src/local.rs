//! A worker as a future on a single-threaded runtime of the service's own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use smarm::host::Worker;
use tokio::runtime::Handle;

use crate::host;

/// The one worker of a runtime that [`Builder::local`](crate::Builder::local) has made: a future to be
/// polled by a `LocalSet` or by a current-thread runtime, which is ready once the runtime has shut
/// down and its actors have ended.
///
/// It may be sent to another thread before its first poll. From then on it belongs to its thread.
///
/// Dropped before it is ready, it kills its actors, who unwind in there, within the context of the
/// tokio runtime that polled it.
///
/// # Panics
/// When it is polled on another thread than before, or outside a tokio runtime.
#[must_use = "the runtime's actors run only while this is polled"]
pub struct LocalWorker {
    /// `None` only while it is dropped.
    driven: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The tokio runtime that polls it, since its first poll.
    tokio: Option<Handle>,
}

impl LocalWorker {
    pub(crate) fn new(worker: Worker) -> Self {
        Self { driven: Some(Box::pin(host::drive(worker, false))), tokio: None }
    }
}

impl Future for LocalWorker {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.tokio.is_none() {
            let Ok(tokio) = Handle::try_current() else {
                panic!(
                    "smarm: a LocalWorker was polled outside tokio: spawn it on a `LocalSet`, or give it to the \
                     `block_on` of a current-thread runtime"
                )
            };
            self.tokio = Some(tokio);
        }
        self.driven.as_mut().expect("there until the drop").as_mut().poll(cx)
    }
}

impl Drop for LocalWorker {
    fn drop(&mut self) {
        // What actors hold of tokio's is dropped in its context, which a `LocalSet` that goes last lacks.
        let _context = self.tokio.as_ref().map(Handle::enter);
        self.driven = None;
    }
}

impl fmt::Debug for LocalWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalWorker").field("tokio", &self.tokio).finish_non_exhaustive()
    }
}
