//! Models of the protocols by which actors are woken, killed and ended from elsewhere.
//!
//! | model | threads | steps | property | planted bugs |
//! |---|---|---|---|---|
//! | inbox | worker, two pushers | each pushes an actor, the worker, too, which takes all twice | none is lost, none comes twice | the push without ordering, or torn |
//! | wake | worker, two wakers | each publishes, then wakes by pid; the actor looks, parks and is woken until it has seen both | no wake is lost; a slot is once in the inbox | the wake, the taking of mail and the second look without ordering; the second look left out; the sleep not announced; mail taken after the actor has looked |
//! | exposure | worker, killer | the actor makes its first waker while it is being killed, then parks | no kill is lost | the exposure skipped, or torn |
//! | end | worker, waker, killer | the actor ends, and the slot's next life begins at another worker, while the first life is woken and killed | the next life gets neither; a slot is in one inbox at a time, and freed once | mail overlooked when it is freed; the wake torn, so that it takes another life for its own |
//!
//! What the switch does is not in them: an actor is a flag here, and its looking a closure. That the commit comes
//! after the switch is seen in the order in which a worker parks and takes mail, which is one thread's own.

use super::home::Home;
use super::local::{kill, wake};
use super::seat::{Commit, Woken};
use super::slot::{Slot, modelled};
use super::state::Freed;
use crate::pid::{LAST_GENERATION, Pid};
use crate::primitive::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Relaxed, SeqCst},
};
use crate::primitive::flaw::{Flaw, Op, Step, omitted, skipped, torn, weakened};
use crate::primitive::model::{Parker, check, check_flawed, keep, spawn};
use crate::primitive::omits;

/// When the worker takes an actor's mail.
#[derive(Clone, Copy, PartialEq)]
enum Taken {
    /// Before the actor looks for what it waits for.
    First,
    /// After that, which is wrong.
    Last,
}

/// An actor that has begun, at a worker of its own.
fn started(actor: &'static Slot) -> (&'static Home, Pid) {
    let home = Home::claim();
    actor.seat.vacate();
    let generation = actor.state.occupy();
    actor.seat.take(home);
    (home, Pid::new(actor.index(), generation))
}

/// A worker with one actor, which parks until `done` says that it has found all it waits for.
fn work(actor: &'static Slot, home: &'static Home, taken: Taken, done: impl Fn() -> bool) {
    let parker = Parker::new();
    home.set_host(parker.waker());
    let mut mail_is_left = false;
    loop {
        let found = done();
        if mail_is_left {
            let _ = actor.state.take_mail();
        }
        if found {
            return;
        }
        match actor.seat.commit(actor.state.load().killed()) {
            Commit::Refused => continue,
            Commit::Parked => {}
        }
        let mut woken = false;
        while !woken {
            if !home.has_mail() {
                home.fall_asleep();
                if omits(Step::SecondLook) || !home.has_mail() {
                    parker.park();
                }
                home.wake_up();
            }
            let mut count = 0;
            home.take(|mail| {
                count += 1;
                assert!(std::ptr::eq(mail, actor) && count == 1, "in the inbox twice");
                mail_is_left = taken == Taken::Last;
                if !mail_is_left {
                    assert!(mail.state.take_mail().live());
                }
                woken = mail.seat.wake() == Woken::Schedule;
            });
        }
    }
}

fn two_wakes(taken: Taken) {
    let actor = modelled::prepare(1)[0];
    let (home, pid) = started(actor);
    let _ = actor.waker();
    let published = keep([AtomicBool::new(false), AtomicBool::new(false)]);
    for news in published {
        spawn(move || {
            news.store(true, Relaxed);
            wake(pid);
        });
    }
    work(actor, home, taken, || published.iter().all(|news| news.load(Relaxed)));
}

fn flawed_wakes(flaw: Flaw) {
    check_flawed(flaw, 2, || two_wakes(Taken::First));
}

#[test]
fn no_wake_from_elsewhere_is_lost() {
    check(2, || two_wakes(Taken::First));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_without_ordering_is_caught() {
    flawed_wakes(weakened("actor/state.rs", Op::Exchange, AcqRel));
}

#[test]
#[should_panic(expected = "deadlock")]
fn mail_that_is_taken_without_ordering_is_caught() {
    flawed_wakes(weakened("actor/state.rs", Op::Modify, AcqRel));
}

#[test]
#[should_panic(expected = "deadlock")]
fn mail_that_is_taken_too_late_is_caught() {
    check(2, || two_wakes(Taken::Last));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_without_a_second_look_is_caught() {
    flawed_wakes(omitted(Step::SecondLook));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_second_look_without_ordering_is_caught() {
    flawed_wakes(weakened("actor/home.rs", Op::Load, SeqCst));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_that_is_not_announced_is_caught() {
    flawed_wakes(skipped("actor/home.rs", Op::Modify, SeqCst));
}

/// Three actors of a worker are pushed at once; each push links the one before.
fn one_inbox() {
    let actors = modelled::prepare(3);
    let home = Home::claim();
    let pushers: Vec<_> = actors[1..]
        .iter()
        .map(|&actor| {
            spawn(move || {
                let _ = home.push(actor);
            })
        })
        .collect();
    let _ = home.push(actors[0]);
    let mut taken = 0;
    let mut take = || {
        home.take(|_| {
            taken += 1;
            assert!(taken <= 3, "an actor came out twice");
        });
    };
    take();
    pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
    take();
    assert_eq!(taken, 3, "an actor was lost");
}

#[test]
fn all_that_is_pushed_is_taken_once() {
    check(3, one_inbox);
}

#[test]
#[should_panic(expected = "an actor")]
fn a_push_without_ordering_is_caught() {
    check_flawed(weakened("actor/home.rs", Op::Exchange, SeqCst), 2, one_inbox);
}

#[test]
#[should_panic(expected = "an actor")]
fn a_torn_push_is_caught() {
    check_flawed(torn("actor/home.rs", Op::Exchange, SeqCst), 2, one_inbox);
}

fn kill_at_the_first_waker() {
    let actor = modelled::prepare(1)[0];
    let (home, pid) = started(actor);
    spawn(move || kill(pid));
    let _ = actor.waker();
    work(actor, home, Taken::First, || actor.state.load().killed());
}

#[test]
fn no_kill_is_lost_before_the_first_waker() {
    check(4, kill_at_the_first_waker);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_first_waker_that_is_not_exposed_is_caught() {
    check_flawed(skipped("actor/state.rs", Op::Modify, AcqRel), 2, kill_at_the_first_waker);
}

#[test]
#[should_panic(expected = "deadlock")]
fn an_exposure_that_overwrites_a_kill_is_caught() {
    check_flawed(torn("actor/state.rs", Op::Modify, AcqRel), 2, kill_at_the_first_waker);
}

/// `heeds` says whether freeing minds that others may have set `MAIL`.
fn an_end(heeds: bool, visitors: &[fn(Pid)]) {
    let actor = modelled::prepare(1)[0];
    let (home, pid) = started(actor);
    let _ = actor.waker();
    for &visit in visitors {
        spawn(move || visit(pid));
    }
    let freed = match actor.state.free(LAST_GENERATION, heeds) {
        Freed::Posted => {
            let parker = Parker::new();
            home.set_host(parker.waker());
            let mut freed = None;
            while freed.is_none() {
                home.fall_asleep();
                if !home.has_mail() {
                    parker.park();
                }
                home.wake_up();
                home.take(|mail| {
                    assert!(freed.is_none() && !mail.state.take_mail().live());
                    freed = Some(mail.state.free_posted(LAST_GENERATION));
                });
            }
            freed
        }
        freed => Some(freed),
    };
    assert_eq!(freed, Some(Freed::Reusable));
    let (next, again) = started(actor);
    assert_eq!(again.generation(), pid.generation() + 1);
    let _ = actor.waker();
    wake_again(actor, next, again);
    assert!(!home.has_mail(), "a slot in the inbox of a worker that it has left");
    assert!(!actor.state.load().killed(), "killed in another's place");
}

/// The next life is woken as any other: its mail is not taken for the earlier one's.
fn wake_again(actor: &'static Slot, home: &'static Home, pid: Pid) {
    wake(pid);
    let mut woken = 0;
    home.take(|mail| {
        assert!(std::ptr::eq(mail, actor) && mail.state.take_mail().live());
        woken += 1;
    });
    assert_eq!(woken, 1, "a wake was lost");
}

#[test]
fn a_stale_wake_and_a_stale_kill_do_nothing_to_the_next_life() {
    check(3, || an_end(true, &[wake]));
    check(3, || an_end(true, &[kill]));
}

#[test]
fn a_stale_wake_and_a_stale_kill_at_once_do_nothing_to_the_next_life() {
    check(1, || an_end(true, &[wake, kill]));
}

#[test]
#[should_panic]
fn a_slot_that_is_freed_over_its_mail_is_caught() {
    check(2, || an_end(false, &[wake]));
}

#[test]
#[should_panic]
fn a_wake_that_takes_another_life_for_its_own_is_caught() {
    check_flawed(torn("actor/state.rs", Op::Exchange, AcqRel), 2, || an_end(true, &[wake, kill]));
}
