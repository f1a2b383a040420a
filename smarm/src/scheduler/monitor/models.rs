//! Models of the monitor's sleep.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | sleep | worker, monitor | the worker begins to run, and goes on, while the monitor falls asleep | the monitor sees it | the look after the pause left out; the worker's looking before it says that it runs |
//!
//! The worker is one whose announced sleep stands while it runs. In place of a pause the monitor has a fence: what was
//! stored before it is seen after it.

use super::{Monitor, at_rest};
use crate::actor::home::Home;
use crate::primitive::atomic::{Ordering::SeqCst, fence};
use crate::primitive::flaw::{Flaw, Op, Step, omitted, weakened};
use crate::primitive::model::{Parker, check, check_flawed, keep, spawn};

fn sleep() {
    let monitor = keep(Monitor::default());
    let (parker, seen) = (Parker::new(), Parker::new());
    monitor.waker.set(parker.waker()).unwrap();
    let home = Home::claim();
    home.fall_asleep();
    home.pulse.rest(true);
    let (theirs, tells) = (seen.clone(), seen.waker());
    let worker = spawn(move || {
        monitor.stir(&home.pulse);
        theirs.park(); // runs until the monitor has seen it
    });
    let mut idle = 0;
    loop {
        let for_good = monitor.drowse(&mut idle, || at_rest(home));
        if idle == 0 {
            break;
        }
        if for_good {
            parker.park();
        } else {
            fence(SeqCst);
        }
    }
    tells.wake();
    worker.join().unwrap();
}

#[test]
fn a_worker_that_begins_to_run_is_seen_however_tired_the_monitor_is() {
    check(4, sleep);
}

fn flawed(flaw: Flaw) {
    check_flawed(flaw, 4, sleep);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_monitor_that_does_not_look_once_more_is_caught() {
    flawed(omitted(Step::LookOnceMore));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_worker_that_looks_before_it_is_heard_is_caught() {
    flawed(weakened("scheduler/monitor.rs", Op::Fence, SeqCst));
}
