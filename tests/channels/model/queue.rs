//! Channels that are queues.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use proptest::prelude::*;
use smarm::Config;
use smarm::channel::{self, RecvError, SendError, Sender, TryRecvError, TrySendError};
use smarm::sync::mpmc;

use crate::Wakes;

/// A step of a program. Numbers choose among those that there are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    TrySend,
    StartSend,
    PollSend(usize),
    DropSend(usize),
    DropSenders,
    TryRecv,
    StartRecv,
    PollRecv(usize),
    DropRecv(usize),
    CloneReceiver,
    DropReceiver,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        6 => Just(TrySend),
        6 => Just(StartSend),
        4 => (0..8_usize).prop_map(PollSend),
        2 => (0..8_usize).prop_map(DropSend),
        1 => Just(DropSenders),
        6 => Just(TryRecv),
        6 => Just(StartRecv),
        6 => (0..8_usize).prop_map(PollRecv),
        3 => (0..8_usize).prop_map(DropRecv),
        1 => Just(CloneReceiver),
        1 => Just(DropReceiver),
        1 => Just(Close),
    ]
}

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// A future under way, and its waker.
struct Pending<T> {
    future: Boxed<T>,
    wakes: Wakes,
    /// How often it had been woken when it was last polled.
    heard: usize,
}

impl<T> Pending<T> {
    fn new(future: impl Future<Output = T> + 'static) -> Self {
        Pending { future: Box::pin(future), wakes: Wakes::default(), heard: 0 }
    }

    fn poll(&mut self) -> Poll<T> {
        self.heard = self.wakes.count();
        self.wakes.poll(self.future.as_mut())
    }

    fn is_woken(&self) -> bool {
        self.wakes.count() > self.heard
    }
}

struct Model {
    capacity: Option<usize>,
    queue: VecDeque<u32>,
    waiting: VecDeque<u32>,
    /// Of a rendezvous: offers of receives that no sender has taken, ...
    permits: usize,
    /// ... and receives that have made one.
    offering: usize,
    closed: bool,
    next: u32,
}

impl Model {
    fn new(capacity: Option<usize>) -> Self {
        let (queue, waiting) = Default::default();
        Model { capacity, queue, waiting, permits: 0, offering: 0, closed: false, next: 0 }
    }

    fn message(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn has_room(&self) -> bool {
        match self.capacity {
            None => true,
            Some(0) => self.permits > 0,
            Some(capacity) => self.queue.len() < capacity,
        }
    }

    /// What a sender does that need not wait.
    fn push(&mut self, message: u32) {
        self.queue.push_back(message);
        self.permits = self.permits.saturating_sub(1);
    }

    /// A receive begins. Says whether it has made an offer.
    fn offer(&mut self) -> bool {
        if self.capacity != Some(0) || self.queue.len() + self.permits > self.offering {
            return false;
        }
        self.offering += 1;
        self.permits += 1;
        if let Some(message) = self.waiting.pop_front() {
            self.push(message);
        }
        true
    }

    /// A receive gives up.
    fn withdraw(&mut self, offered: bool) {
        if offered {
            self.offering -= 1;
            self.permits = self.permits.saturating_sub(1);
        }
    }

    fn pop(&mut self, offered: bool) -> Option<u32> {
        let message = self.queue.pop_front()?;
        self.offering -= usize::from(offered);
        if self.capacity != Some(0)
            && let Some(next) = self.waiting.pop_front()
        {
            self.queue.push_back(next);
        }
        Some(message)
    }

    /// No receiver takes more, or no sender sends more.
    fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }
}

type Sent = Result<(), SendError<u32>>;

/// The senders' side of a program: the same for all.
struct Senders {
    handle: Option<Sender<u32>>,
    sends: Vec<(u32, Pending<Sent>)>,
}

impl Senders {
    fn step(&mut self, model: &mut Model, step: Step) {
        match step {
            Step::TrySend => {
                let Some(tx) = &self.handle else { return };
                let message = model.message();
                let sent = tx.try_send(message);
                if model.closed {
                    assert_eq!(sent, Err(TrySendError::Closed(message)));
                } else if model.waiting.is_empty() && model.has_room() {
                    assert_eq!(sent, Ok(()));
                    model.push(message);
                } else {
                    assert_eq!(sent, Err(TrySendError::Full(message)));
                }
            }
            Step::StartSend => {
                let Some(tx) = self.handle.clone() else { return };
                let message = model.message();
                let mut send = Pending::new(async move { tx.send_async(message).await });
                let sent = send.poll();
                if model.closed {
                    assert_eq!(sent, Poll::Ready(Err(SendError(message))));
                } else if model.waiting.is_empty() && model.has_room() {
                    assert_eq!(sent, Poll::Ready(Ok(())));
                    model.push(message);
                } else {
                    assert_eq!(sent, Poll::Pending);
                    model.waiting.push_back(message);
                    self.sends.push((message, send));
                }
            }
            Step::PollSend(n) if !self.sends.is_empty() => {
                let n = n % self.sends.len();
                let (message, send) = &mut self.sends[n];
                let polled = send.poll();
                if model.waiting.contains(message) {
                    assert_eq!(polled, Poll::Pending);
                } else if model.closed {
                    // Refused, or taken before the end.
                    assert!(matches!(polled, Poll::Ready(Ok(()) | Err(SendError(_)))));
                } else {
                    assert_eq!(polled, Poll::Ready(Ok(())));
                }
                if polled.is_ready() {
                    self.sends.remove(n);
                }
            }
            Step::DropSend(n) if !self.sends.is_empty() => {
                let (message, _) = self.sends.remove(n % self.sends.len());
                model.waiting.retain(|waiting| *waiting != message);
            }
            Step::DropSenders => {
                self.handle = None;
            }
            _ => {}
        }
    }

    fn all_gone(&self) -> bool {
        self.handle.is_none() && self.sends.is_empty()
    }

    /// Nobody sleeps who has something to learn.
    fn check_wakes(&self, model: &Model) {
        for (message, send) in &self.sends {
            assert!(model.waiting.contains(message) || send.is_woken(), "the send of {message} sleeps on");
        }
    }
}

/// What a receive gives, given what the model gave.
fn expect<E>(model: Option<u32>, finished: bool, empty: E, closed: E) -> Result<u32, E> {
    model.ok_or(if finished { closed } else { empty })
}

pub(super) fn one_receiver(config: Config, cases: u32, capacity: Option<usize>) {
    super::check(config, cases, step, move |program| {
        let (tx, rx) = capacity.map_or_else(channel::channel, channel::bounded);
        let mut rx = Some(rx);
        let mut senders = Senders { handle: Some(tx), sends: Vec::new() };
        let mut model = Model::new(capacity);
        // The receiver's own wait, by `poll_recv`: whether it has made an offer, and its waker.
        let mut wait: Option<(bool, Wakes)> = None;
        for step in program {
            senders.step(&mut model, *step);
            let finished = model.closed || senders.all_gone();
            let offered = wait.as_ref().is_some_and(|wait| wait.0);
            match (*step, &mut rx) {
                (Step::TryRecv, Some(rx)) => {
                    let own = !offered && model.offer();
                    let popped = model.pop(offered || own);
                    if popped.is_none() {
                        model.withdraw(own);
                    } else {
                        // The message used the offer of the wait, if there was one.
                        wait = wait.take().map(|(_, wakes)| (false, wakes));
                    }
                    let expected = expect(popped, finished, TryRecvError::Empty, TryRecvError::Closed);
                    assert_eq!(rx.try_recv(), expected);
                }
                (Step::StartRecv | Step::PollRecv(_), Some(rx)) => {
                    let wakes = Wakes::default();
                    let polled = rx.poll_recv(&mut Context::from_waker(&wakes.waker()));
                    let offered = offered || model.offer();
                    match model.pop(offered) {
                        Some(message) => {
                            assert_eq!(polled, Poll::Ready(Ok(message)));
                            wait = None;
                        }
                        None if finished => {
                            assert_eq!(polled, Poll::Ready(Err(RecvError::Closed)));
                            model.withdraw(offered);
                            wait = None;
                        }
                        None => {
                            assert_eq!(polled, Poll::Pending);
                            wait = Some((offered, wakes));
                        }
                    }
                }
                (Step::DropRecv(_), Some(rx)) => {
                    // A receive that is dropped half-way takes the place of the wait, if there is one.
                    let polled = crate::poll_once(pin!(rx.recv_async()));
                    let offered = offered || model.offer();
                    wait = None;
                    match model.pop(offered) {
                        Some(message) => assert_eq!(polled, Poll::Ready(Ok(message))),
                        None => {
                            model.withdraw(offered);
                            assert_eq!(polled.is_ready(), finished);
                        }
                    }
                }
                (Step::DropReceiver, receiver @ Some(_)) => {
                    drop(receiver.take());
                    model.close();
                    model.queue.clear();
                    wait = None;
                }
                (Step::Close, Some(rx)) => {
                    rx.close();
                    model.close();
                }
                _ => {}
            }
            senders.check_wakes(&model);
            if let (Some((_, wakes)), Some(rx)) = (&wait, &rx) {
                // Who closes needs nobody to wake it.
                let news = !model.queue.is_empty() || (senders.all_gone() && !model.closed);
                assert!(!news || wakes.count() > 0, "the receiver sleeps on");
                assert_eq!(rx.len(), model.queue.len());
            }
        }
    });
}

pub(super) fn many_receivers(config: Config, cases: u32, capacity: Option<usize>) {
    super::check(config, cases, step, move |program| {
        let (tx, rx) = capacity.map_or_else(mpmc::unbounded, mpmc::bounded);
        let mut receivers = vec![Arc::new(rx)];
        let mut senders = Senders { handle: Some(tx), sends: Vec::new() };
        let mut model = Model::new(capacity);
        let mut receives: Vec<(bool, Pending<Result<u32, RecvError>>)> = Vec::new();
        for step in program {
            senders.step(&mut model, *step);
            let finished = model.closed || senders.all_gone();
            match (*step, receivers.last()) {
                (Step::TryRecv, Some(rx)) => {
                    let own = model.offer();
                    let popped = model.pop(own);
                    if popped.is_none() {
                        model.withdraw(own);
                    }
                    let expected = expect(popped, finished, TryRecvError::Empty, TryRecvError::Closed);
                    assert_eq!(rx.try_recv(), expected);
                }
                (Step::StartRecv, Some(rx)) => {
                    let rx = Arc::clone(rx);
                    let mut receive = Pending::new(async move { rx.recv_async().await });
                    let polled = receive.poll();
                    let offered = model.offer();
                    match model.pop(offered) {
                        Some(message) => assert_eq!(polled, Poll::Ready(Ok(message))),
                        None if finished => {
                            model.withdraw(offered);
                            assert_eq!(polled, Poll::Ready(Err(RecvError::Closed)));
                        }
                        None => {
                            assert_eq!(polled, Poll::Pending);
                            receives.push((offered, receive));
                        }
                    }
                }
                (Step::PollRecv(n), _) if !receives.is_empty() => {
                    let n = n % receives.len();
                    let (offered, receive) = &mut receives[n];
                    let woken = receive.is_woken();
                    match receive.poll() {
                        Poll::Ready(Ok(message)) => {
                            assert!(woken, "who is not woken leaves the message to who is");
                            assert_eq!(model.pop(*offered), Some(message));
                        }
                        Poll::Ready(Err(error)) => {
                            assert_eq!((error, finished, model.queue.len()), (RecvError::Closed, true, 0));
                            model.withdraw(*offered);
                        }
                        Poll::Pending => {
                            assert!(!woken || (model.queue.is_empty() && !finished));
                            continue;
                        }
                    }
                    receives.remove(n);
                }
                (Step::DropRecv(n), _) if !receives.is_empty() => {
                    let (offered, receive) = receives.remove(n % receives.len());
                    drop(receive);
                    model.withdraw(offered);
                }
                (Step::CloneReceiver, Some(rx)) => {
                    let clone = mpmc::Receiver::clone(rx);
                    receivers.push(Arc::new(clone));
                }
                (Step::DropReceiver, Some(_)) => {
                    receivers.pop();
                }
                (Step::Close, Some(rx)) => {
                    rx.close();
                    model.close();
                }
                _ => {}
            }
            if receivers.is_empty() && receives.is_empty() {
                model.close();
                model.queue.clear();
            }
            senders.check_wakes(&model);
            let woken = receives.iter().filter(|(_, receive)| receive.is_woken()).count();
            let needed = if model.closed || senders.all_gone() { receives.len() } else { model.queue.len() };
            assert!(woken >= needed.min(receives.len()), "{woken} receivers are woken, for {needed}");
            if let Some(rx) = receivers.last() {
                assert_eq!(rx.len(), model.queue.len());
            }
        }
    });
}
