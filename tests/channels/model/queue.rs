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
    /// Of a rendezvous: receives that wait and were not woken.
    offers: VecDeque<usize>,
    closed: bool,
    next: u32,
}

impl Model {
    fn new(capacity: Option<usize>) -> Self {
        let (queue, waiting, offers) = Default::default();
        Model { capacity, queue, waiting, offers, closed: false, next: 0 }
    }

    fn is_rendezvous(&self) -> bool {
        self.capacity == Some(0)
    }

    fn message(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn has_room(&self) -> bool {
        match self.capacity {
            None => true,
            Some(0) => !self.offers.is_empty(),
            Some(capacity) => self.queue.len() < capacity,
        }
    }

    /// What a sender does that need not wait.
    fn push(&mut self, message: u32) {
        self.queue.push_back(message);
        self.offers.pop_front();
    }

    /// What a sender does that waits.
    fn wait(&mut self, message: u32) {
        self.waiting.push_back(message);
        self.offers.pop_front();
    }

    /// How many messages a receiver can take.
    fn there(&self) -> usize {
        self.queue.len() + if self.is_rendezvous() { self.waiting.len() } else { 0 }
    }

    fn pop(&mut self) -> Option<u32> {
        let queued = self.queue.pop_front();
        if self.is_rendezvous() {
            // Who takes what was handed over wakes the next one for who waits to send.
            if queued.is_some() && !self.waiting.is_empty() {
                self.offers.pop_front();
            }
            return queued.or_else(|| self.waiting.pop_front());
        }
        if queued.is_some()
            && let Some(next) = self.waiting.pop_front()
        {
            self.queue.push_back(next);
        }
        queued
    }

    /// A receive was polled, and was ready or waits.
    fn polled(&mut self, receive: usize, ready: bool) {
        if ready {
            self.offers.retain(|offer| *offer != receive);
        } else if self.is_rendezvous() && !self.offers.contains(&receive) {
            self.offers.push_back(receive);
        }
    }

    /// A receive that waits gives up; if it was woken, another one is.
    fn give_up(&mut self, receive: usize) {
        let waited = self.offers.contains(&receive);
        self.offers.retain(|offer| *offer != receive);
        if !waited && self.there() > 0 {
            self.offers.pop_front();
        }
    }

    /// No receiver takes more, or no sender sends more.
    fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.offers.clear();
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
                } else if !model.is_rendezvous() && model.waiting.is_empty() && model.has_room() {
                    assert_eq!(sent, Poll::Ready(Ok(())));
                    model.push(message);
                } else {
                    assert_eq!(sent, Poll::Pending);
                    model.wait(message);
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
        if self.all_gone() {
            model.offers.clear(); // All are woken.
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
        // The receiver's own wait, by `poll_recv`.
        let mut wait: Option<Wakes> = None;
        for step in program {
            senders.step(&mut model, *step);
            let finished = model.closed || senders.all_gone();
            match (*step, &mut rx) {
                (Step::TryRecv, Some(rx)) => {
                    let expected = expect(model.pop(), finished, TryRecvError::Empty, TryRecvError::Closed);
                    assert_eq!(rx.try_recv(), expected);
                }
                (Step::StartRecv | Step::PollRecv(_), Some(rx)) => {
                    let wakes = Wakes::default();
                    let polled = rx.poll_recv(&mut Context::from_waker(&wakes.waker()));
                    let popped = model.pop();
                    let ready = popped.is_some() || finished;
                    model.polled(0, ready);
                    wait = (!ready).then_some(wakes);
                    let expected = expect(popped, finished, None, Some(RecvError::Closed));
                    match expected {
                        Ok(message) => assert_eq!(polled, Poll::Ready(Ok(message))),
                        Err(Some(closed)) => assert_eq!(polled, Poll::Ready(Err(closed))),
                        Err(None) => assert_eq!(polled, Poll::Pending),
                    }
                }
                (Step::DropRecv(_), Some(rx)) => {
                    // A receive that is dropped half-way takes the place of the wait, if there is one.
                    let polled = crate::poll_once(pin!(rx.recv_async()));
                    wait = None;
                    model.polled(0, true);
                    match model.pop() {
                        Some(message) => assert_eq!(polled, Poll::Ready(Ok(message))),
                        None => assert_eq!(polled.is_ready(), finished),
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
            if let (Some(wakes), Some(rx)) = (&wait, &rx) {
                // Who closes needs nobody to wake it.
                let news = model.there() > 0 || (senders.all_gone() && !model.closed);
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
        let mut receives: Vec<(usize, Pending<Result<u32, RecvError>>)> = Vec::new();
        let mut numbers = 0..;
        for step in program {
            senders.step(&mut model, *step);
            let finished = model.closed || senders.all_gone();
            match (*step, receivers.last()) {
                (Step::TryRecv, Some(rx)) => {
                    let expected = expect(model.pop(), finished, TryRecvError::Empty, TryRecvError::Closed);
                    assert_eq!(rx.try_recv(), expected);
                }
                (Step::StartRecv, Some(rx)) => {
                    let rx = Arc::clone(rx);
                    let mut receive = Pending::new(async move { rx.recv_async().await });
                    let polled = receive.poll();
                    match model.pop() {
                        Some(message) => assert_eq!(polled, Poll::Ready(Ok(message))),
                        None if finished => assert_eq!(polled, Poll::Ready(Err(RecvError::Closed))),
                        None => {
                            assert_eq!(polled, Poll::Pending);
                            let number = numbers.next().expect("there are enough");
                            model.polled(number, false);
                            receives.push((number, receive));
                        }
                    }
                }
                (Step::PollRecv(n), _) if !receives.is_empty() => {
                    let n = n % receives.len();
                    let (number, receive) = &mut receives[n];
                    let woken = receive.is_woken();
                    let polled = receive.poll();
                    let taken = if polled.is_ready() { model.pop() } else { None };
                    model.polled(*number, polled.is_ready());
                    match polled {
                        Poll::Ready(Ok(message)) => {
                            let may = woken || model.is_rendezvous();
                            assert!(may, "who is not woken leaves the message to who is");
                            assert_eq!(taken, Some(message));
                        }
                        Poll::Ready(Err(error)) => {
                            assert_eq!((error, finished, model.there()), (RecvError::Closed, true, 0));
                        }
                        Poll::Pending => {
                            assert!(!woken || (model.there() == 0 && !finished));
                            continue;
                        }
                    }
                    receives.remove(n);
                }
                (Step::DropRecv(n), _) if !receives.is_empty() => {
                    let (number, receive) = receives.remove(n % receives.len());
                    drop(receive);
                    model.give_up(number);
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
            let needed = if model.closed || senders.all_gone() { receives.len() } else { model.there() };
            assert!(woken >= needed.min(receives.len()), "{woken} receivers are woken, for {needed}");
            if let Some(rx) = receivers.last() {
                assert_eq!(rx.len(), model.queue.len());
            }
        }
    });
}
