//! A channel with one receiver, all of whose futures are polled by hand.

use std::task::{Context, Poll};

use super::by_hand::{Inbox, Parcel, STEPS, Senders};
use super::plan::Plan;
use crate::channel::testing::Wakes;
use crate::channel::{self, Receiver, RecvError, TryRecvError};

/// Drives a channel with one receiver.
///
/// # Panics
/// If a message is lost, doubled, out of order or leaked, or if somebody sleeps over what is there.
pub fn channel(bytes: &[u8]) {
    let mut plan = Plan::new(bytes);
    let capacity = [None, Some(0), Some(1), Some(3)][plan.below(4)];
    let (tx, rx) = capacity.map_or_else(channel::channel, channel::bounded);
    let mut senders = Senders::new(capacity, tx);
    let mut receiver = One { rx: Some(rx), wait: None, closed: false };
    while let Some(step) = plan.next() {
        match step % 16 {
            step @ 0..STEPS => senders.step(step, &mut plan, receiver.inbox()),
            step => receiver.step(step, &mut senders),
        }
        receiver.check(&senders);
    }
    receiver.settle(&mut senders);
    while receiver.try_recv(&mut senders) || senders.settle(receiver.closed) {}
    senders.finish(receiver.rx.is_some());
    drop(receiver);
    senders.check_leaks();
}

/// The receiver's side.
struct One {
    rx: Option<Receiver<Parcel>>,
    /// Of a wait: how often it has been woken.
    wait: Option<Wakes>,
    closed: bool,
}

impl One {
    fn inbox(&self) -> Inbox {
        let len = self.rx.as_ref().map(Receiver::len);
        Inbox { len, closed: self.closed, waiting: usize::from(self.wait.is_some()) }
    }

    fn step(&mut self, step: u8, senders: &mut Senders) {
        match step {
            7 | 8 => {
                self.try_recv(senders);
            }
            9..=11 => {
                self.poll(senders);
            }
            // A receive that is dropped half-way takes the place of the wait.
            12 => {
                let Some(rx) = &mut self.rx else { return };
                self.wait = None;
                let wakes = Wakes::new();
                let mut receive = rx.recv_async();
                let polled = wakes.poll(&mut receive);
                drop(receive);
                assert_eq!(wakes.references(), 1, "it still has the waker of who gave up");
                self.note(polled, senders);
            }
            13 => self.settle(senders),
            14 => {
                if let Some(rx) = &self.rx {
                    rx.close();
                    self.closed = true;
                }
            }
            _ => {
                self.rx = None;
                self.wait = None;
                self.closed = true;
            }
        }
    }

    fn try_recv(&mut self, senders: &mut Senders) -> bool {
        let Some(rx) = &self.rx else { return false };
        let there = rx.len();
        match rx.try_recv() {
            Ok(parcel) => {
                senders.arrived(&parcel);
                // It may have used up what the wait had offered and was woken for.
                self.wait = None;
                return true;
            }
            Err(TryRecvError::Empty) => assert!(there == 0 && !self.is_over(senders)),
            Err(TryRecvError::Closed) => assert!(there == 0 && self.is_over(senders)),
        }
        false
    }

    fn poll(&mut self, senders: &mut Senders) {
        let Some(rx) = &mut self.rx else { return };
        let slept = self.wait.take().is_some_and(|wait| wait.count() == 0);
        let wakes = Wakes::new();
        let polled = rx.poll_recv(&mut Context::from_waker(&wakes.waker()));
        // Who closes needs nobody to wake it.
        assert!(!slept || self.closed || polled.is_pending(), "the receiver slept over a message or the end");
        self.wait = polled.is_pending().then_some(wakes);
        self.note(polled, senders);
    }

    fn note(&mut self, polled: Poll<Result<Parcel, RecvError>>, senders: &mut Senders) {
        match polled {
            Poll::Ready(Ok(parcel)) => senders.arrived(&parcel),
            Poll::Ready(Err(RecvError::Closed)) => assert!(self.is_over(senders)),
            Poll::Ready(Err(error)) => panic!("nobody cancels this: {error}"),
            Poll::Pending => assert!(!self.is_over(senders), "it waits though there is nothing to come"),
        }
    }

    fn is_over(&self, senders: &Senders) -> bool {
        self.closed || senders.all_gone()
    }

    /// Polls whoever is woken until nobody is, and looks at who then waits.
    fn settle(&mut self, senders: &mut Senders) {
        loop {
            if self.wait.as_ref().is_some_and(|wait| wait.count() > 0) {
                self.poll(senders);
            } else if !senders.settle(self.closed) {
                break;
            }
        }
        senders.check_rest(self.inbox());
    }

    fn check(&self, senders: &Senders) {
        let (Some(wait), Some(rx)) = (&self.wait, &self.rx) else { return };
        let news = !rx.is_empty() || (senders.all_gone() && !self.closed);
        assert!(!news || wait.count() > 0, "the receiver sleeps over a message or the end");
    }
}
