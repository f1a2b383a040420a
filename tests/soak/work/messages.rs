//! Messages: through channels of all kinds, oneshots and mailboxes, by all faces, with either side killed.

use smarm::channel::{self, TryRecvError, TrySendError, oneshot};
use smarm::compat::{await_future, await_timeout};
use smarm::{Receiver, Sender};

use crate::books::{BOOKS, Parcel};
use crate::crew::{Site, end, end_all, kill_some};
use crate::dice::Dice;
use crate::plant::{self, ON_PURPOSE, Plant};

/// Several senders and one receiver. What each sender sent comes in its order; nothing else comes.
pub(crate) fn channels(dice: &mut Dice, site: &Site) {
    let (sender, receiver) = match dice.below(3) {
        0 => channel::channel(),
        1 => channel::bounded(0),
        _ => channel::bounded(1 + dice.below(8)),
    };
    let (senders, calm) = (1 + dice.below(4), dice.once_in(2));
    let mut children: Vec<_> = (0..senders)
        .map(|nth| {
            let sender = sender.clone();
            site.spawn(dice, move |dice| send_some(dice, nth, &sender, calm))
        })
        .collect();
    drop(sender);
    let receive = site.spawn(dice, move |dice| receive_all(dice, receiver, senders, calm));
    if calm {
        let sent: usize = children.into_iter().filter_map(end).sum();
        let received = end(receive).expect("nobody kills or panics in a calm round");
        assert_eq!(sent, received, "messages were sent, and as many must be received");
        return;
    }
    children.push(receive);
    kill_some(dice, &children);
    end_all(children);
}

/// Sends up to fifty, and gives how many went.
fn send_some(dice: &mut Dice, sender: usize, channel: &Sender<Parcel>, calm: bool) -> usize {
    let mut sent = 0;
    for number in 0..1 + dice.below(50) {
        let number = if number == 3 && plant::once(Plant::Reorder) { 1 } else { number };
        let parcel = Parcel::new(sender, number);
        let returned = match dice.below(5) {
            0 => channel.send_timeout(parcel, dice.moment()).err().map(|error| error.into_inner()),
            1 => match channel.try_send(parcel) {
                Err(TrySendError::Full(parcel)) => channel.send(parcel).err().map(|error| error.0),
                result => result.err().map(TrySendError::into_inner),
            },
            2 => await_future(channel.send_async(parcel)).err().map(|error| error.0),
            // Dropped half-way: either it is sent, or it is dropped with the future.
            3 if !calm => match await_timeout(dice.moment(), channel.send_async(parcel)) {
                Ok(result) => result.err().map(|error| error.0),
                Err(_) => continue,
            },
            _ => channel.send(parcel).err().map(|error| error.0),
        };
        match returned {
            None => sent += 1,
            Some(parcel) => parcel.give_back(),
        }
        if !calm && dice.once_in(100) {
            panic!("{ON_PURPOSE}");
        }
    }
    sent
}

/// Receives until all senders are gone, and gives how many came.
fn receive_all(dice: &mut Dice, mut receiver: Receiver<Parcel>, senders: usize, calm: bool) -> usize {
    let mut next = vec![0; senders];
    let mut came = 0;
    loop {
        let parcel = match dice.below(4) {
            0 => match receiver.recv_timeout(dice.moment()) {
                Ok(parcel) => Some(parcel),
                Err(channel::RecvTimeoutError::TimedOut) => continue,
                Err(_) => None,
            },
            1 => match receiver.try_recv() {
                Ok(parcel) => Some(parcel),
                Err(TryRecvError::Empty) => receiver.recv().ok(),
                Err(TryRecvError::Closed) => None,
            },
            2 => await_future(receiver.recv_async()).ok(),
            _ => receiver.recv().ok(),
        };
        let Some(parcel) = parcel else { return came };
        let (sender, number) = (parcel.sender, parcel.number);
        assert!(number >= next[sender], "of sender {sender}, {number} came after {}", next[sender]);
        next[sender] = number + 1;
        came += 1;
        if plant::once(Plant::LoseMessage) {
            std::mem::forget(parcel);
        } else {
            parcel.receive();
        }
        if plant::once(Plant::CountTwice) {
            BOOKS.count_twice();
        }
        if !calm && dice.once_in(200) {
            panic!("{ON_PURPOSE}");
        }
    }
}

/// Questions with one answer each, some of which nobody waits for.
pub(crate) fn oneshots(dice: &mut Dice, site: &Site) {
    let mut children = Vec::new();
    for nth in 0..1 + dice.below(10) {
        let (sender, mut receiver) = oneshot::channel();
        children.push(site.spawn(dice, move |dice| {
            if dice.once_in(4) {
                smarm::sleep(dice.moment());
            }
            if !dice.once_in(8)
                && let Err(parcel) = sender.send(Parcel::new(nth, 0))
            {
                parcel.give_back();
            }
        }));
        children.push(site.spawn(dice, move |dice| {
            let received = match dice.below(3) {
                0 => receiver.recv().ok(),
                1 => receiver.recv_timeout(dice.moment()).ok(),
                _ => await_future(&mut receiver).ok(),
            };
            received.into_iter().for_each(Parcel::receive);
        }));
    }
    if dice.once_in(2) {
        kill_some(dice, &children);
    }
    end_all(children);
}

/// Messages to pids, some of which are dead.
pub(crate) fn mailboxes(dice: &mut Dice, site: &Site) {
    let (capacity, wanted) = (1 + dice.below(4), dice.below(40));
    let owner = site.spawn(dice, move |_| {
        let mailbox = smarm::mailbox::open_bounded::<Parcel>(capacity).expect("it is the first of this type");
        (0..wanted).map_while(|_| mailbox.recv().ok()).for_each(Parcel::receive);
    });
    let pid = owner.pid();
    let senders: Vec<_> = (0..3)
        .map(|nth| {
            site.spawn(dice, move |dice| {
                for number in 0..20 {
                    let parcel = Parcel::new(nth, number);
                    let result = match dice.below(3) {
                        0 => pid.try_send(parcel),
                        1 => pid.send_timeout(parcel, dice.moment()),
                        _ => await_future(pid.send_async(parcel)),
                    };
                    if let Err(error) = result {
                        error.into_inner().give_back();
                    }
                }
            })
        })
        .collect();
    kill_some(dice, &senders);
    end_all(senders);
    owner.kill(); // fewer may have come than it wanted
    end_all([owner]);
}
