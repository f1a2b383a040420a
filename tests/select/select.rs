//! What `select!` decides. The documented semantics of its relatives, and the test for each:
//!
//! | whose | says | here |
//! |---|---|---|
//! | Go | sources are evaluated once each, in source order | `sources_are_evaluated_once_from_the_top` |
//! | Go | of several that can proceed, one is chosen by a uniform pseudo-random selection | `no_ready_arm_starves` |
//! | Go | with a default case and none ready, that is chosen | `default_runs_if_nothing_is_ready_and_only_then` |
//! | Go | without one, it blocks until one can proceed | `a_select_waits_for_whichever_comes_first` |
//! | Go | a `select {}` blocks for ever | refused at compile time (doc test of the macro) |
//! | Go | only the chosen communication happens | `a_loser_consumes_nothing` and `property` |
//! | Go | a `break` in a clause ends the select | differs: `a_handler_breaks_continues_and_returns_from_the_code_around` |
//! | Go | a nil channel is never ready | a condition that does not hold: `an_arm_whose_condition_does_not_hold_is_not_evaluated` |
//! | crossbeam | a disconnected channel is ready | `a_closed_channel_is_ready_on_both_sides` |
//! | crossbeam | a random one of the ready is chosen; `select_biased!` the first | `biased_takes_the_first_that_is_ready` |
//! | crossbeam | `default(timeout)` | `a_timeout_is_an_arm` |
//! | crossbeam | the message of a send is evaluated only if it is chosen | stays in its variable: `a_send_that_loses_still_has_its_message` |
//! | crossbeam | one thread may meet itself in two selects | `two_selects_meet_in_a_rendezvous` |
//! | tokio | a branch whose precondition is false is disabled | `an_arm_whose_condition_does_not_hold_is_not_evaluated` |
//! | tokio | if the pattern does not match, the branch is disabled and the others go on | `an_arm_whose_pattern_does_not_match_is_out` |
//! | tokio | all disabled: `else`, or a panic | `else_runs_when_all_arms_are_out`, `a_select_without_a_way_out_panics` |
//! | tokio | `biased;` polls from the top | `biased_takes_the_first_that_is_ready` |
//! | tokio | the futures of losers are dropped before the handler | `the_handler_may_use_what_the_losers_borrowed` |
//! | tokio | `?` in a handler leaves the surrounding function | `a_question_mark_in_a_handler_leaves_the_function` |
//! | tokio | at most 64 branches | `thirty_arms` |

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use smarm::channel::{RecvError, TryRecvError, bounded, channel};
use smarm::{Mutex, select, spawn};
use smarm_workspace::{PATIENCE, panic_message, until, within, workers};

/// In an actor, and on a plain thread.
fn everywhere(f: impl Fn() + Send + Sync) {
    within(PATIENCE, || {
        workers(2).run(&f);
        f();
    });
}

#[test]
fn a_select_waits_for_whichever_comes_first() {
    everywhere(|| {
        for first in 0..2 {
            let (txs, rxs): (Vec<_>, Vec<_>) = (0..2).map(|_| channel()).unzip();
            let tx = txs[first].clone();
            let sender = std::thread::spawn(move || tx.send(first).unwrap());
            let which = select! {
                message = recv(&rxs[0]) => (0, message),
                message = recv(&rxs[1]) => (1, message),
            };
            assert_eq!(which, (first, Ok(first)));
            sender.join().unwrap();
        }
    });
}

#[test]
fn sources_are_evaluated_once_from_the_top() {
    everywhere(|| {
        let order = RefCell::new(Vec::new());
        let (tx, rx) = channel();
        let note = |n| {
            order.borrow_mut().push(n);
            &rx
        };
        tx.send(()).unwrap();
        select! {
            _ = recv(note(1)) => {}
            _ = recv(note(2)) => {}
            _ = recv(note(3)) => {}
        }
        assert_eq!(*order.borrow(), [1, 2, 3]);
    });
}

#[test]
fn no_ready_arm_starves() {
    everywhere(|| {
        let (tx, rx) = channel();
        (0..3000).for_each(|_| tx.send(()).unwrap());
        let (tx2, rx2) = channel();
        (0..3000).for_each(|_| tx2.send(()).unwrap());
        let mut counts = [0; 3];
        let past = Instant::now();
        for _ in 0..3000 {
            select! {
                _ = recv(&rx) => counts[0] += 1,
                () = at(past) => counts[1] += 1,
                _ = recv(&rx2) => counts[2] += 1,
            }
        }
        assert_eq!(counts.iter().sum::<i32>(), 3000);
        assert_eq!(rx.len() as i32, 3000 - counts[0]);
        assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
    });
}

#[test]
fn biased_takes_the_first_that_is_ready() {
    everywhere(|| {
        let (tx, rx) = channel();
        let (tx2, rx2) = channel();
        (0..100).for_each(|n| tx2.send(n).unwrap());
        (0..50).for_each(|n| tx.send(n).unwrap());
        let mut got = Vec::new();
        for _ in 0..100 {
            got.push(select! {
                biased;
                Ok(_) = recv(&rx) => 1,
                Ok(_) = recv(&rx2) => 2,
            });
        }
        assert!(got[..50].iter().all(|which| *which == 1) && got[50..].iter().all(|which| *which == 2));
    });
}

#[test]
fn default_runs_if_nothing_is_ready_and_only_then() {
    everywhere(|| {
        let (tx, rx) = channel();
        let look = || {
            select! {
                message = recv(&rx) => Some(message),
                () = after(Duration::MAX) => unreachable!(),
                default => None,
            }
        };
        assert_eq!(look(), None);
        tx.send(1).unwrap();
        assert_eq!(look(), Some(Ok(1)));
        assert_eq!(look(), None);
        drop(tx);
        assert_eq!(look(), Some(Err(RecvError::Closed)));
    });
}

#[test]
fn a_timeout_is_an_arm() {
    everywhere(|| {
        let (_tx, rx) = channel::<()>();
        let start = Instant::now();
        select! {
            _ = recv(&rx) => unreachable!(),
            () = after(Duration::from_millis(2)) => {}
        }
        assert!(start.elapsed() >= Duration::from_millis(2), "never early");
        // The earlier of two.
        let end = Instant::now() + Duration::from_millis(2);
        select! {
            () = after(Duration::MAX) => unreachable!(),
            () = at(end + PATIENCE * 10) => unreachable!(),
            () = at(end) => {}
        }
        assert!(Instant::now() >= end);
    });
}

#[test]
fn a_closed_channel_is_ready_on_both_sides() {
    everywhere(|| {
        let (tx, rx) = bounded::<u8>(0);
        let (tx2, rx2) = bounded::<u8>(1);
        drop((tx, rx2));
        let mut message = Some(7);
        for _ in 0..20 {
            select! {
                received = recv(&rx) => assert_eq!(received, Err(RecvError::Closed)),
                sent = send(&tx2, &mut message) => message = Some(sent.unwrap_err().0),
            }
            assert_eq!(message, Some(7), "a send that fails gives its message back");
        }
    });
}

#[test]
fn a_loser_consumes_nothing() {
    everywhere(|| {
        let (tx, rx) = channel();
        let (full, behind) = bounded(1);
        full.send(0).unwrap();
        let mutex = Mutex::new(());
        for n in 0..200 {
            let (now, ready) = channel();
            tx.send(n).unwrap();
            now.send(()).unwrap();
            let mut message = Some(n);
            let won = select! {
                received = recv(&rx) => { assert_eq!(received, Ok(n)); 0 }
                sent = send(&full, &mut message) => { sent.unwrap(); unreachable!() }
                guard = lock(&mutex) => { drop(guard.unwrap()); 1 }
                _ = recv(&ready) => 2,
            };
            assert_eq!(message, Some(n));
            assert!(mutex.try_lock().is_ok());
            assert_eq!(rx.try_recv().is_err(), won == 0);
            assert_eq!(ready.try_recv().is_err(), won == 2);
        }
        assert_eq!(behind.try_recv(), Ok(0));
        assert_eq!(behind.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_send_that_loses_still_has_its_message() {
    everywhere(|| {
        for capacity in [0, 1] {
            let (tx, rx) = bounded(capacity);
            (0..capacity).for_each(|n| tx.send(n).unwrap());
            let mut message = Some(9);
            select! {
                _ = send(&tx, &mut message) => unreachable!("there is no room"),
                () = after(Duration::from_millis(1)) => {}
            }
            assert_eq!(message.take(), Some(9));
            assert_eq!(rx.try_iter().count(), capacity);
        }
    });
}

#[test]
fn two_selects_meet_in_a_rendezvous() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (tx, rx) = bounded(0);
            let sender = spawn(move || {
                for n in 0..1000 {
                    let mut message = Some(n);
                    select! {
                        sent = send(&tx, &mut message) => sent.unwrap(),
                        () = after(PATIENCE) => unreachable!(),
                    }
                }
            });
            let mut next = 0;
            select! {
                message = recv(&rx) => { assert_eq!(message, Ok(next)); next += 1; }
                () = after(PATIENCE) => unreachable!(),
            }
            for message in &rx {
                assert_eq!(message, next);
                next += 1;
            }
            assert_eq!(next, 1000);
            sender.join().unwrap();
        });
    });
}

#[test]
fn an_arm_whose_condition_does_not_hold_is_not_evaluated() {
    everywhere(|| {
        let (tx, rx) = channel();
        tx.send(1).unwrap();
        let evaluated = Cell::new(false);
        let open = false;
        for _ in 0..20 {
            select! {
                _ = recv({ evaluated.set(true); &rx }), if open => unreachable!(),
                () = after(Duration::ZERO), if !open => {}
            }
        }
        assert!(!evaluated.get());
        assert_eq!(rx.try_recv(), Ok(1));
    });
}

#[test]
fn an_arm_whose_pattern_does_not_match_is_out() {
    everywhere(|| {
        let (tx, rx) = channel::<u8>();
        let (tx2, rx2) = channel::<String>();
        drop(tx);
        let sender = std::thread::spawn(move || tx2.send("text".to_owned()).unwrap());
        let text = select! {
            Ok(_) = recv(&rx) => unreachable!(),
            Ok(mut text) = recv(&rx2) => { text.push('!'); text }
        };
        assert_eq!(text, "text!");
        sender.join().unwrap();
    });
}

#[test]
fn else_runs_when_all_arms_are_out() {
    everywhere(|| {
        let (tx, rx) = channel::<u8>();
        tx.send(1).unwrap();
        drop(tx);
        let mut sum = 0;
        loop {
            select! {
                Ok(n) = recv(&rx) => sum += n,
                () = after(PATIENCE), if false => unreachable!(),
                else => break,
            }
        }
        assert_eq!(sum, 1);
        let none = select! { () = after(PATIENCE), if sum == 0 => 1, default => 2 };
        assert_eq!(none, 2);
    });
}

#[test]
fn a_select_without_a_way_out_panics() {
    everywhere(|| {
        let never = false;
        let text = panic_message(|| select! { () = after(Duration::ZERO), if never => () });
        assert!(text.contains("all arms of a select! are out"), "{text}");
        let (tx, rx) = channel::<u8>();
        drop(tx);
        let text = panic_message(|| select! { Ok(n) = recv(&rx) => n });
        assert!(text.contains("all arms of a select! are out"), "{text}");
    });
}

#[test]
fn the_handler_may_use_what_the_losers_borrowed() {
    everywhere(|| {
        let (tx, mut rx) = channel::<u8>();
        let (full, _behind) = bounded(0);
        let mut message = Some(1);
        tx.send(4).unwrap();
        let mut child = smarm::runtime::init(smarm::Config::exact(1)).spawn(|| ()).unwrap();
        select! {
            biased;
            n = recv(&mut rx) => {
                rx.close();
                message = n.ok();
                child.kill();
                child = smarm::runtime::init(smarm::Config::exact(1)).spawn(|| ()).unwrap();
            }
            sent = send(&full, &mut message) => sent.unwrap(),
            ended = join(&mut child) => ended.unwrap(),
        }
        drop(child);
        assert_eq!(message, Some(4));
    });
}

#[test]
fn a_handler_breaks_continues_and_returns_from_the_code_around() {
    fn sum_until(rx: &smarm::Receiver<i32>, limit: i32) -> Option<i32> {
        let mut sum = 0;
        'outer: {
            loop {
                select! {
                    n = recv(rx) => match n {
                        Ok(0) => continue,
                        Ok(-1) => break 'outer,
                        Ok(n) if n > limit => return None,
                        Ok(n) => sum += n,
                        Err(_) => break,
                    },
                    () = after(PATIENCE) => unreachable!(),
                }
            }
            return Some(-sum);
        }
        Some(sum)
    }
    everywhere(|| {
        let fed = |numbers: &[i32]| {
            let (tx, rx) = channel();
            numbers.iter().for_each(|n| tx.send(*n).unwrap());
            rx
        };
        assert_eq!(sum_until(&fed(&[1, 0, 2, -1, 9]), 5), Some(3));
        assert_eq!(sum_until(&fed(&[1, 9, 2]), 5), None);
        assert_eq!(sum_until(&fed(&[1, 0, 2]), 5), Some(-3));
    });
}

#[test]
fn a_question_mark_in_a_handler_leaves_the_function() {
    fn first(rx: &smarm::Receiver<&str>) -> Result<u32, Box<dyn std::error::Error>> {
        let number = select! {
            text = recv(rx) => text?.parse::<u32>()?,
            () = after(PATIENCE) => return Err("late".into()),
        };
        Ok(number + 1)
    }
    everywhere(|| {
        let (tx, rx) = channel();
        tx.send("41").unwrap();
        assert_eq!(first(&rx).unwrap(), 42);
        tx.send("x").unwrap();
        assert!(first(&rx).unwrap_err().is::<std::num::ParseIntError>());
        drop(tx);
        assert_eq!(first(&rx).unwrap_err().downcast_ref(), Some(&RecvError::Closed));
    });
}

#[test]
fn a_select_in_an_arm_of_a_select() {
    everywhere(|| {
        let (tx, rx) = channel();
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        let sum = select! {
            Ok(outer) = recv(&rx) => select! {
                Ok(inner) = recv(&rx) => outer * 10 + inner,
                default => 0,
            },
            default => 0,
        };
        assert_eq!(sum, 12);
    });
}

#[test]
fn a_kill_unwinds_a_select_and_nothing_is_lost() {
    within(PATIENCE, || {
        workers(2).run(|| {
            for _ in 0..100 {
                let (tx, rx) = channel();
                let (waits, waiting) = channel();
                let mutex = std::sync::Arc::new(Mutex::new(()));
                let guard = mutex.lock(PATIENCE).unwrap();
                let theirs = mutex.clone();
                let actor = spawn(move || {
                    waits.send(()).unwrap();
                    select! {
                        n = recv(&rx) => n.unwrap(),
                        _ = lock(&theirs) => 1,
                    }
                });
                waiting.recv().unwrap();
                actor.kill();
                drop(guard);
                match actor.join() {
                    Ok(n) => assert_eq!(n, 1),
                    Err(error) => assert!(error.is_killed()),
                }
                // Handed on, or let go; not poisoned, as nobody held it while unwinding.
                drop(mutex.lock(PATIENCE).unwrap());
                assert!(tx.send(2).is_err(), "its receiver went with it");
            }
        });
    });
}

#[test]
fn a_select_in_a_destructor_of_a_killed_actor_waits() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (tx, rx) = channel::<u32>();
            let (told, tells) = channel();
            let (waits, waiting) = channel();
            let actor = spawn(move || {
                let _end = smarm_workspace::OnDrop(|| {
                    waits.send(()).unwrap();
                    let n = select! {
                        n = recv(&rx) => n.unwrap(),
                        () = after(PATIENCE) => 0,
                    };
                    told.send(n).unwrap();
                });
                waits.send(()).unwrap();
                smarm::sleep(Duration::MAX);
            });
            waiting.recv().unwrap();
            actor.kill();
            waiting.recv().unwrap();
            until(|| !actor.is_finished());
            tx.send(5).unwrap();
            assert_eq!(tells.recv(), Ok(5));
            assert!(actor.join().unwrap_err().is_killed());
        });
    });
}

#[test]
fn the_scope_of_the_caller_ends_a_select() {
    use smarm::cancel::{CancelToken, Interrupted, with_cancel, with_timeout};
    everywhere(|| {
        let (_tx, rx) = channel::<()>();
        let wait = || {
            select! {
                _ = recv(&rx) => unreachable!(),
                () = after(PATIENCE * 10) => unreachable!(),
            }
        };
        assert_eq!(with_timeout(Duration::from_millis(1), wait), Err(Interrupted::TimedOut));
        let token = CancelToken::new();
        token.cancel();
        assert_eq!(with_cancel(&token, wait), Err(Interrupted::Cancelled));
        // An arm that ends before is not touched by it.
        let inside = with_timeout(PATIENCE, || select! { () = after(Duration::from_millis(1)) => 1 });
        assert_eq!(inside, Ok(1));
    });
}

#[test]
fn a_select_in_a_future_that_an_actor_awaits_panics() {
    within(PATIENCE, || {
        workers(1).run(|| {
            let (_tx, rx) = channel::<()>();
            let text = panic_message(|| {
                smarm::compat::await_future(async {
                    select! { _ = recv(&rx) => () }
                });
            });
            assert!(text.contains("async form"), "{text}");
        });
    });
}

#[test]
fn thirty_arms() {
    everywhere(|| {
        let (tx, rx) = channel::<usize>();
        macro_rules! thirty {
            ($($n:literal)*) => {
                select! { $(n = recv(&rx), if $n == 29 || tx.is_closed() => n.map(|n| n + $n),)* }
            };
        }
        tx.send(3).unwrap();
        let sum = thirty!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
                          20 21 22 23 24 25 26 27 28 29);
        assert_eq!(sum, Ok(32));
    });
}
