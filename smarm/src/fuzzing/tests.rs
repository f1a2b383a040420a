//! Some hundred programs of each target, made up and shrunk by proptest.

use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

/// Far more than all programs of a target take together.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs so many programs of up to so many bytes. A program that does not end is a failure, too.
fn check(target: fn(&[u8]), cases: u32, length: usize) {
    let (ended, end) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut runner = TestRunner::new(Cases {
            failure_persistence: None,
            max_shrink_iters: 8192,
            ..Cases::with_cases(cases)
        });
        let outcome = runner.run(&proptest::collection::vec(any::<u8>(), 0..length), |bytes| {
            target(&bytes);
            Ok(())
        });
        let _ = ended.send(());
        if let Err(error) = outcome {
            panic!("{error}");
        }
    });
    if end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("a program does not end");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_wheel_fires_what_a_sorted_map_does_never_early_and_in_the_order_of_ticks() {
    check(super::wheel, 512, 1000);
}

#[test]
fn a_stack_has_one_holder_and_mail_comes_once_and_to_the_life_it_is_for() {
    check(super::slots, 256, 500);
}

#[test]
fn a_channel_loses_nothing_and_nobody_sleeps_over_what_is_there() {
    check(super::channel, 512, 200);
}

#[test]
fn a_channel_with_many_receivers_loses_nothing_and_nobody_sleeps_over_what_is_there() {
    check(super::many, 512, 200);
}

#[test]
fn selects_lose_nothing_and_nobody_sleeps_over_what_is_there() {
    check(super::select, 128, 120);
}

#[test]
fn actors_that_wake_kill_and_join_each_other_all_end() {
    check(super::lives, 128, 120);
}
