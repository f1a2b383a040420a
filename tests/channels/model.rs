//! Random programs, step by step, against models simple enough to be seen to be right.
//!
//! Each program runs in one actor, which polls all futures by hand, so that every outcome is determined. Each
//! property is a function over a [`Config`], to be run in other modes too.
//!
//! | channel | model | besides |
//! |---|---|---|
//! | unbounded, bounded, rendezvous; one receiver or many | a queue, the senders that wait, the receives that wait | no waiter sleeps over a message, a room, an end |
//! | broadcast | the list of all messages, a position for each receiver | |
//! | watch | a value and a version, a version for each receiver | |

mod casts;
mod queue;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use smarm::Config;
use smarm_workspace::{PATIENCE, within};

/// Checks `property` of this many random programs, in an actor of a runtime.
fn check<S: Strategy<Value: Clone>>(
    config: Config,
    cases: u32,
    step: impl Fn() -> S + Send + 'static,
    property: impl Fn(&[S::Value]) + Send + 'static,
) {
    within(PATIENCE, || {
        smarm::runtime::init(config).run(move || {
            let mut runner = TestRunner::new(Cases { failure_persistence: None, ..Cases::with_cases(cases) });
            let programs = proptest::collection::vec(step(), 1..60);
            let outcome = runner.run(&programs, |program| {
                property(&program);
                Ok(())
            });
            if let Err(error) = outcome {
                panic!("{error}");
            }
        });
    });
}

const CASES: u32 = 60;

#[test]
fn channels_with_one_receiver_do_as_the_model_does() {
    for capacity in [None, Some(0), Some(1), Some(3)] {
        queue::one_receiver(Config::exact(1), CASES, capacity);
    }
}

#[test]
fn channels_with_many_receivers_do_as_the_model_does() {
    for capacity in [None, Some(0), Some(1), Some(3)] {
        queue::many_receivers(Config::exact(1), CASES, capacity);
    }
}

#[test]
fn broadcasts_do_as_the_model_does() {
    for capacity in [1, 3] {
        casts::broadcast(Config::exact(1), CASES, capacity);
    }
}

#[test]
fn watches_do_as_the_model_does() {
    casts::watch(Config::exact(1), CASES);
}
