//! The worlds that all live at once.

use std::thread;
use std::time::{Duration, Instant};

use smarm::{Config, Handle, Runtime};

/// Where children may be spawned.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) handle: Handle,
    /// Whether tokio's context is there.
    pub(crate) tokio: bool,
}

pub(crate) struct Worlds {
    runtimes: Vec<(&'static str, Runtime)>,
    places: Vec<Place>,
    service: tokio::runtime::Runtime,
}

impl Worlds {
    pub(crate) fn start() -> Self {
        // Short slices, so that actors are often made to yield.
        let config = || Config::exact(2).slice(Duration::from_millis(2));
        let service = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the service starts");
        let on_tokio = smarm_compat::Builder::new().config(config()).name("on-tokio").start();
        let attached =
            smarm_compat::Builder::new().config(config()).name("attached").attach(service.handle());
        let runtimes = vec![
            ("native", smarm::runtime::init(config().name("native"))),
            ("on tokio", on_tokio.expect("the runtime starts")),
            ("attached", attached.expect("the runtime starts")),
        ];
        let place = |(name, runtime): &(&'static str, Runtime)| Place {
            name,
            handle: runtime.handle(),
            tokio: *name != "native",
        };
        let places = runtimes.iter().map(place).collect();
        Self { runtimes, places, service }
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Ends all of them, and gives what would not end.
    pub(crate) fn end(self, patience: Duration) -> Vec<String> {
        let mut failures = Vec::new();
        for (name, runtime) in self.runtimes {
            // An actor counts for a moment longer than its join.
            let deadline = Instant::now() + patience.min(Duration::from_secs(2));
            while runtime.handle().live() > 0 && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            let left = runtime.handle().live();
            if left > 0 {
                failures.push(format!("{left} actors of the world {name} had not ended with the work"));
            }
            if let Err(error) = runtime.shutdown(patience) {
                failures.push(format!("the world {name} does not end: {error}"));
            }
        }
        self.service.shutdown_timeout(patience);
        failures
    }
}
