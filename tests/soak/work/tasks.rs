//! tokio's tasks beside actors: each awaits the other, and either is given up at any moment. In a world without
//! tokio its place is taken by futures that need none.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use smarm::Handle;
use smarm::channel;
use smarm::compat::{await_future, await_timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::books::Parcel;
use crate::crew::{Site, end_all, kill_some};
use crate::dice::Dice;
use crate::plant::ON_PURPOSE;

pub(crate) fn tasks(dice: &mut Dice, site: &Site) {
    let children: Vec<_> = (0..1 + dice.below(4))
        .map(|_| {
            let place = dice.pick(&site.places).clone();
            match (place.tokio, dice.below(5)) {
                (false, _) => site.spawn_at(&place, dice, |dice| await_future(turns(1 + dice.below(50)))),
                (true, 0) => site.spawn_at(&place, dice, to_a_task),
                (true, 1) => site.spawn_at(&place, dice, from_a_task),
                (true, 2) => site.spawn_at(&place, dice, resources),
                (true, 3) => site.spawn_at(&place, dice, sockets),
                (true, _) => site.spawn_at(&place, dice, panics),
            }
        })
        .collect();
    kill_some(dice, &children);
    end_all(children);
}

/// Pending for some polls, and woken again at once.
fn turns(mut left: usize) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        left -= 1;
        if left == 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Messages to a task through a channel of smarm's, which is aborted now and then.
fn to_a_task(dice: &mut Dice) {
    let (sender, mut receiver) = channel::bounded(2);
    let task = tokio::spawn(async move {
        while let Ok(parcel) = receiver.recv_async().await {
            Parcel::receive(parcel);
        }
    });
    let aborts = dice.once_in(3);
    for number in 0..20 {
        if aborts && number == 10 {
            task.abort();
        }
        if let Err(error) = sender.send(Parcel::new(0, number)) {
            error.0.give_back();
        }
    }
    drop(sender);
    assert!(await_future(task).is_ok() || aborts);
}

/// Messages from a task through a channel of tokio's, and an actor that the task awaits.
fn from_a_task(dice: &mut Dice) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
    let levels = dice.below(10);
    // A task of a service that smarm is attached to is on no worker's thread.
    let actors = Handle::current();
    let task = tokio::spawn(async move {
        for number in 0..20 {
            if let Err(error) = sender.send(Parcel::new(0, number)).await {
                error.0.give_back();
            }
        }
        actors.spawn(move || levels).expect("there is a stack").await.expect("it returns")
    });
    while let Some(parcel) = await_future(receiver.recv()) {
        parcel.receive();
    }
    assert_eq!(await_future(task).expect("it returns"), levels);
}

/// tokio's timers, locks and notifications.
fn resources(dice: &mut Dice) {
    let (notify, lock) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Mutex::new(0)));
    let (notified, theirs) = (notify.clone(), lock.clone());
    let task = tokio::spawn(async move {
        for _ in 0..10 {
            *theirs.lock().await += 1;
            tokio::task::yield_now().await;
        }
        notified.notify_one();
    });
    for _ in 0..10 {
        *await_future(lock.lock()) += 1;
    }
    await_future(notify.notified());
    assert_eq!(*await_future(lock.lock()), 20, "under the lock of tokio's");
    await_future(tokio::time::sleep(dice.moment()));
    assert!(await_timeout(dice.moment(), tokio::time::sleep(std::time::Duration::from_secs(60))).is_err());
    await_future(task).expect("it returns");
}

/// A connection of tokio's between an actor and a task.
fn sockets(dice: &mut Dice) {
    let (mut near, mut far) = tokio::net::UnixStream::pair().expect("there are descriptors");
    let rounds = 1 + dice.below(10);
    let task = tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = far.read(&mut buffer).await {
            if far.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    });
    for round in 0..rounds {
        let said = [round as u8; 50];
        let mut heard = [0; 50];
        await_future(near.write_all(&said)).expect("the task reads");
        await_future(near.read_exact(&mut heard)).expect("the task answers");
        assert_eq!(said, heard, "an echo differs");
    }
    drop(near);
    await_future(task).expect("it returns");
}

/// Panics in a task and in a poll.
fn panics(dice: &mut Dice) {
    let task = tokio::spawn(async { panic!("{ON_PURPOSE}") });
    let ended: Result<(), _> = await_future(task);
    assert!(ended.is_err_and(|error| error.is_panic()));
    if dice.once_in(2) {
        await_future(async { panic!("{ON_PURPOSE}") })
    }
}
