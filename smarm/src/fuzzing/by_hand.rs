//! What the targets of channels share: futures that are polled by hand, and the senders' side.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use super::plan::Plan;
use crate::channel::testing::{Counted, Token, Wakes};
use crate::channel::{SendError, Sender, TrySendError};

/// A message.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) number: u32,
    _token: Token,
}

/// A future that has been polled.
pub(super) struct Waiting<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    wakes: Wakes,
    /// How often it had been woken when it was last polled.
    heard: usize,
}

impl<T> Waiting<T> {
    pub(super) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Waiting { future: Box::pin(future), wakes: Wakes::new(), heard: 0 }
    }

    pub(super) fn poll(&mut self) -> Poll<T> {
        self.heard = self.wakes.count();
        self.wakes.poll(&mut self.future)
    }

    pub(super) fn is_woken(&self) -> bool {
        self.wakes.count() > self.heard
    }
}

/// What the receivers' side knows when the senders' side has a turn.
#[derive(Clone, Copy)]
pub(super) struct Inbox {
    /// Messages that are there; not known when only receives are left.
    pub(super) len: Option<usize>,
    /// No receiver takes more.
    pub(super) closed: bool,
    /// Receives that wait.
    pub(super) waiting: usize,
}

/// What a send gives.
type Sent = Result<(), SendError<Parcel>>;

/// The senders of a channel, and what has become of their messages.
pub(super) struct Senders {
    capacity: Option<usize>,
    handles: Vec<Sender<Parcel>>,
    sends: Vec<(u32, Waiting<Sent>)>,
    counted: Counted,
    next: u32,
    /// Messages of whose sending the sender was told.
    sent: BTreeSet<u32>,
    /// The last message that was received.
    last: Option<u32>,
    received: BTreeSet<u32>,
}

/// The steps of the senders' side are below this number.
pub(super) const STEPS: u8 = 7;

impl Senders {
    pub(super) fn new(capacity: Option<usize>, first: Sender<Parcel>) -> Self {
        Senders {
            capacity,
            handles: vec![first],
            sends: Vec::new(),
            counted: Counted::new(),
            next: 0,
            sent: BTreeSet::new(),
            last: None,
            received: BTreeSet::new(),
        }
    }

    fn parcel(&mut self) -> Parcel {
        self.next += 1;
        Parcel { number: self.next, _token: self.counted.token() }
    }

    pub(super) fn step(&mut self, step: u8, plan: &mut Plan<'_>, inbox: Inbox) {
        let handle = self.handles.len().checked_sub(1).map(|last| plan.below(last + 1));
        match (step, handle) {
            (0, Some(handle)) => {
                let parcel = self.parcel();
                let number = parcel.number;
                match self.handles[handle].try_send(parcel) {
                    Ok(()) => {
                        assert!(!inbox.closed && !self.any_waits(), "it went past those who wait");
                        self.sent.insert(number);
                    }
                    Err(TrySendError::Full(back)) => {
                        assert_eq!(back.number, number);
                        assert!(!inbox.closed && !self.has_room(inbox), "there was room");
                    }
                    Err(TrySendError::Closed(back)) => {
                        assert_eq!(back.number, number);
                        assert!(inbox.closed);
                    }
                }
            }
            (1 | 2, Some(handle)) if self.sends.len() < 40 => {
                let parcel = self.parcel();
                let number = parcel.number;
                let tx = self.handles[handle].clone();
                self.sends.push((number, Waiting::new(async move { tx.send_async(parcel).await })));
                self.poll(self.sends.len() - 1, inbox.closed);
            }
            (3, _) if !self.sends.is_empty() => {
                let chosen = plan.below(self.sends.len());
                let woken = self.sends[chosen].1.is_woken();
                let sent = self.poll(chosen, inbox.closed);
                assert!(woken || !sent, "a send slept on that was ready");
            }
            (4, _) if !self.sends.is_empty() => {
                let given_up = self.sends.remove(plan.below(self.sends.len()));
                drop(given_up);
            }
            (5, Some(handle)) if self.handles.len() < 4 => {
                let clone = self.handles[handle].clone();
                self.handles.push(clone);
            }
            (6, Some(handle)) => drop(self.handles.swap_remove(handle)),
            _ => {}
        }
    }

    /// Whether who tries to send must be able to.
    fn has_room(&self, inbox: Inbox) -> bool {
        let room = match self.capacity {
            None => true,
            Some(0) => false, // as many as receives have offered to take, which is theirs to know
            Some(capacity) => inbox.len.is_some_and(|len| len < capacity),
        };
        room && !self.any_waits()
    }

    /// Whether a send waits that has not been woken: one that has may have sent its message.
    fn any_waits(&self) -> bool {
        self.sends.iter().any(|(_, send)| !send.is_woken())
    }

    /// Polls a send. Says whether it has ended.
    fn poll(&mut self, chosen: usize, closed: bool) -> bool {
        let (number, send) = &mut self.sends[chosen];
        match send.poll() {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => {
                self.sent.insert(*number);
            }
            Poll::Ready(Err(SendError(back))) => {
                assert!(closed, "refused though somebody receives");
                assert_eq!(back.number, *number);
            }
        }
        self.sends.remove(chosen);
        true
    }

    /// A message has come.
    pub(super) fn arrived(&mut self, parcel: &Parcel) {
        assert!(self.last < Some(parcel.number), "not in the order of sending");
        self.last = Some(parcel.number);
        self.received.insert(parcel.number);
    }

    pub(super) fn all_gone(&self) -> bool {
        self.handles.is_empty() && self.sends.is_empty()
    }

    /// Polls all that are woken. Says whether there were any.
    pub(super) fn settle(&mut self, closed: bool) -> bool {
        let woken = self.sends.iter().position(|(_, send)| send.is_woken());
        if let Some(chosen) = woken {
            self.poll(chosen, closed);
        }
        woken.is_some()
    }

    /// Whether a message passes only from a sender to a receiver that are both there.
    pub(super) fn meet_receivers(&self) -> bool {
        self.capacity == Some(0)
    }

    /// Nobody waits for what is there, when nobody is woken.
    pub(super) fn check_rest(&self, inbox: Inbox) {
        if self.sends.is_empty() {
            return;
        }
        assert!(!inbox.closed, "a send waits though nobody receives");
        assert!(inbox.waiting == 0, "a send and a receive wait for each other");
        assert!(
            self.capacity.is_some_and(|capacity| inbox.len.is_none_or(|len| len >= capacity)),
            "a send waits though there is room"
        );
    }

    /// The end: all sends and senders go. What was sent was received, unless there was nobody left for it.
    pub(super) fn finish(&mut self, complete: bool) {
        if complete {
            assert!(self.sent.is_subset(&self.received), "a message was lost");
        }
        self.sends.clear();
        self.handles.clear();
    }

    /// After all of the channel is gone.
    pub(super) fn check_leaks(&self) {
        assert_eq!(self.counted.alive(), 0, "a message was leaked");
    }
}
