//! `smarm::channel::oneshot`.
//!
//! tk: `tokio::sync::oneshot`; fo: `futures::channel::oneshot`. Unit tests are in
//! `smarm/src/channel/oneshot/tests.rs`.
//!
//! | line | counterparts | smarm | test |
//! |---|---|---|---|
//! | sending never waits, and takes the sender | tk, fo | yes | unit: `a_value_is_received_once` |
//! | a value that is sent first waits for its receiver | tk, fo | yes | unit: `a_value_sent_before_it_is_asked_for_is_received` |
//! | the sender dropped: the receiver learns it | tk, fo | yes | unit: `a_sender_dropped_wakes_the_receiver` |
//! | the receiver dropped: the value comes back | tk, fo | yes | unit: `a_receiver_gone_gives_the_value_back_and_wakes_who_waits_for_that` |
//! | `close`: what was sent before can be received, later sends fail | tk, fo | yes | unit: `a_closed_receiver_still_takes_what_was_sent_before` |
//! | the sender can wait for the receiver's end | tk: `closed`, fo: `cancellation` | `poll_closed` | unit: the same as for "dropped" |
//! | a value nobody received is dropped, once | tk, fo | yes | unit: `every_value_is_dropped_exactly_once` |
//! | its destructor panics | no word | goes on in who drops the receiver; nothing is dropped twice | `a_value_whose_destructor_panics_is_dropped_once` |
//! | the receiver is a future, and awaiting `&mut` can be given up | tk: cancel safe | yes | `a_wait_for_a_borrowed_receiver_can_be_given_up` |
//! | timeouts leave the value to a later receive | (`tokio::time::timeout`) | yes | unit: `a_timeout_leaves_the_value_to_a_later_receive` |
//! | `try_recv` before, after, and too late | tk: `Empty`, the value, `Closed` | yes | `trying_says_empty_then_the_value_then_closed` |
//! | receiving again after the value | tk: panics (await), `Closed` (try) | `Closed` | the same |

use std::pin::pin;
use std::task::Poll;

use smarm::channel::{TryRecvError, oneshot};

use crate::{Bomb, Wakes, panics};

#[test]
fn a_value_whose_destructor_panics_is_dropped_once() {
    let (tx, rx) = oneshot::channel();
    assert!(tx.send(Bomb).is_ok());
    assert!(panics(|| drop(rx)));
    let (tx, rx) = oneshot::channel();
    drop(rx);
    assert!(panics(|| drop(tx.send(Bomb))));
}

#[test]
fn a_wait_for_a_borrowed_receiver_can_be_given_up() {
    let (tx, mut rx) = oneshot::channel();
    let wakes = Wakes::default();
    assert!(wakes.poll(pin!(&mut rx)).is_pending());
    tx.send(1).unwrap();
    assert_eq!(wakes.count(), 1);
    assert_eq!(wakes.poll(pin!(&mut rx)), Poll::Ready(Ok(1)));
}

#[test]
fn trying_says_empty_then_the_value_then_closed() {
    let (tx, mut rx) = oneshot::channel();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
}
