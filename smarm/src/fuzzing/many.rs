//! A channel with many receivers, all of whose futures are polled by hand.

use std::sync::Arc;
use std::task::Poll;

use super::by_hand::{Inbox, Parcel, STEPS, Senders, Waiting};
use super::plan::Plan;
use crate::channel::{RecvError, TryRecvError};
use crate::sync::mpmc::{self, Receiver};

/// Drives a channel with many receivers.
///
/// # Panics
/// If a message is lost, doubled, out of order or leaked, or if somebody sleeps over what is there.
pub fn many(bytes: &[u8]) {
    let mut plan = Plan::new(bytes);
    let capacity = [None, Some(0), Some(1), Some(3)][plan.below(4)];
    let (tx, rx) = capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
    let mut senders = Senders::new(capacity, tx);
    let mut crowd = Crowd { receivers: vec![Arc::new(rx)], receives: Vec::new(), closed: false };
    while let Some(step) = plan.next() {
        match step % 16 {
            step @ 0..STEPS => senders.step(step, &mut plan, crowd.inbox()),
            step => crowd.step(step, &mut plan, &mut senders),
        }
        crowd.check(&senders);
    }
    crowd.settle(&mut senders);
    // What was left to somebody who waits comes to who takes all.
    crowd.receives.clear();
    while crowd.try_recv(&mut senders) || senders.settle(crowd.closed) {}
    senders.finish(!crowd.receivers.is_empty());
    drop(crowd);
    senders.check_leaks();
}

/// The receivers' side.
struct Crowd {
    receivers: Vec<Arc<Receiver<Parcel>>>,
    receives: Vec<Waiting<Result<Parcel, RecvError>>>,
    /// No receiver takes more.
    closed: bool,
}

impl Crowd {
    fn inbox(&self) -> Inbox {
        let len = self.receivers.first().map(|rx| rx.len());
        Inbox { len, closed: self.closed, waiting: self.receives.len() }
    }

    fn step(&mut self, step: u8, plan: &mut Plan<'_>, senders: &mut Senders) {
        match step {
            7 => {
                self.try_recv(senders);
            }
            8 | 9 if self.receives.len() < 20 => {
                let Some(rx) = self.receivers.last().map(Arc::clone) else { return };
                self.receives.push(Waiting::new(async move { rx.recv_async().await }));
                self.poll(self.receives.len() - 1, senders);
            }
            10 if !self.receives.is_empty() => {
                let chosen = plan.below(self.receives.len());
                let woken = self.receives[chosen].is_woken();
                let ended = self.poll(chosen, senders);
                // A sender that waits notifies one, and whoever is polled may take its message.
                let ready = self.closed || senders.meet_receivers();
                assert!(woken || !ended || ready, "a receive slept on that was ready");
            }
            11 if !self.receives.is_empty() => {
                let given_up = self.receives.swap_remove(plan.below(self.receives.len()));
                drop(given_up);
                self.note_gone();
            }
            12 if self.receivers.len() < 4 => {
                let clone = self.receivers.last().map(|rx| Arc::new(Receiver::clone(rx)));
                self.receivers.extend(clone);
            }
            13 => self.settle(senders),
            14 => {
                if let Some(rx) = self.receivers.last() {
                    rx.close();
                    self.closed = true;
                }
            }
            15 => {
                drop(self.receivers.pop());
                self.note_gone();
            }
            _ => {}
        }
    }

    /// The channel is closed with its last receiver, which a receive may be the last to hold.
    fn note_gone(&mut self) {
        self.closed |= self.receivers.is_empty() && self.receives.is_empty();
    }

    fn try_recv(&mut self, senders: &mut Senders) -> bool {
        let Some(rx) = self.receivers.last() else { return false };
        let there = rx.len();
        match rx.try_recv() {
            Ok(parcel) => {
                senders.arrived(&parcel);
                return true;
            }
            Err(TryRecvError::Empty) => assert!(there == 0 && !self.is_over(senders)),
            Err(TryRecvError::Closed) => assert!(there == 0 && self.is_over(senders)),
        }
        false
    }

    /// Polls a receive. Says whether it has ended.
    fn poll(&mut self, chosen: usize, senders: &mut Senders) -> bool {
        match self.receives[chosen].poll() {
            Poll::Pending => return false,
            Poll::Ready(Ok(parcel)) => senders.arrived(&parcel),
            Poll::Ready(Err(RecvError::Closed)) => assert!(self.is_over(senders)),
            Poll::Ready(Err(error)) => panic!("nobody cancels this: {error}"),
        }
        drop(self.receives.swap_remove(chosen));
        self.note_gone();
        true
    }

    fn is_over(&self, senders: &Senders) -> bool {
        self.closed || senders.all_gone()
    }

    /// Polls whoever is woken until nobody is, and looks at who then waits.
    fn settle(&mut self, senders: &mut Senders) {
        loop {
            if let Some(chosen) = self.receives.iter().position(Waiting::is_woken) {
                self.poll(chosen, senders);
            } else if !senders.settle(self.closed) {
                break;
            }
        }
        let inbox = self.inbox();
        senders.check_rest(inbox);
        let over = self.is_over(senders);
        assert!(
            self.receives.is_empty() || !(over || inbox.len > Some(0)),
            "a receive sleeps over a message or the end"
        );
    }

    fn check(&self, senders: &Senders) {
        let woken = self.receives.iter().filter(|receive| receive.is_woken()).count();
        let needed = if self.is_over(senders) { self.receives.len() } else { self.inbox().len.unwrap_or(0) };
        assert!(woken >= needed.min(self.receives.len()), "{woken} receives are woken, for {needed}");
    }
}
