//! Models of many receivers. A block has two slots here.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | giving up | sender, two receivers | a message is sent while one waits, and one begins to wait and gives up | it comes to who waits | the passing on left out |
//! | rendezvous | sender, two receivers | the same through a channel without room | the same | the same |

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::primitive::flaw::{Step, omitted};
use crate::primitive::model::{block_on, check, check_flawed, spawn};
use crate::sync::mpmc;

fn giving_up(capacity: Option<usize>) {
    let (tx, rx) = capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
    let impatient = rx.clone();
    let gives_up = spawn(move || {
        let mut receive = pin!(impatient.recv_async());
        let mut cx = Context::from_waker(Waker::noop());
        matches!(receive.as_mut().poll(&mut cx), Poll::Ready(Ok(())))
    });
    let waits = spawn(move || block_on(rx.recv_async()).is_ok());
    block_on(tx.send_async(())).expect("somebody receives");
    let came = gives_up.join().unwrap();
    if came {
        drop(tx); // so that the other one ends
        assert!(!waits.join().unwrap(), "the message came twice");
    } else {
        assert!(waits.join().unwrap(), "the message comes to who waits");
    }
}

#[test]
fn a_message_comes_to_who_waits_whoever_gives_up() {
    check(1, || giving_up(None));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_receive_that_is_given_up_and_keeps_its_wake_is_caught() {
    check_flawed(omitted(Step::WakeNext), 2, || giving_up(None));
}

#[test]
fn a_rendezvous_comes_about_with_who_waits_whoever_gives_up() {
    check(1, || giving_up(Some(0)));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_rendezvous_that_is_given_up_and_keeps_its_wake_is_caught() {
    check_flawed(omitted(Step::WakeNext), 2, || giving_up(Some(0)));
}
