//! Waits that end otherwise than they hope for: kills, panics, scopes; and what goes to actors by their pid.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use super::{Counted, LONG, everywhere, workers, workers_with};
use crate::cancel::{Interrupted, shield, with_cancel, with_timeout};
use crate::channel::channel;
use crate::hooks::{self, Saved};
use crate::time::send_after;
use crate::{Builder, CancelToken, Config, Group, Mutex, compat, group, mailbox, on_native_stack, spawn};

/// Is pending so often, and then panics.
struct Panics(usize, #[allow(dead_code, reason = "its drop counts")] Counted);

impl Future for Panics {
    type Output = u8;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u8> {
        if self.0 == 0 {
            resume_unwind(Box::new("so it ends"));
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[test]
fn futures_that_panic_or_are_given_up_are_dropped() {
    everywhere(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        for pending in [0, 2] {
            let future = Panics(pending, Counted(drops.clone()));
            let caught = catch_unwind(AssertUnwindSafe(|| compat::await_future(future)));
            assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "so it ends");
        }
        assert_eq!(drops.load(SeqCst), 2);
        let held = Counted(drops.clone());
        let never = async move {
            let _held = held;
            pending::<()>().await;
        };
        assert!(compat::await_timeout(Duration::from_millis(1), never).is_err());
        assert_eq!(drops.load(SeqCst), 3);
        let held = Counted(drops.clone());
        let (begun, begins) = channel();
        let actor = spawn(move || {
            let never = async move {
                let _held = held;
                begun.send(()).unwrap();
                pending::<()>().await;
            };
            compat::await_future(never);
        });
        begins.recv().unwrap();
        actor.kill();
        assert!(actor.join().unwrap_err().is_killed());
        assert_eq!(drops.load(SeqCst), 4);
    });
}

#[test]
fn calls_on_the_workers_stack_pass_values_and_panics() {
    everywhere(|| {
        let mut list = vec![1];
        let sum = on_native_stack(|| {
            list.push(2);
            list.iter().sum::<i32>()
        });
        assert_eq!((sum, list), (3, vec![1, 2]));
        let caught = catch_unwind(|| on_native_stack(|| resume_unwind(Box::new(4_u8))));
        assert_eq!(*caught.map(|()| ()).unwrap_err().downcast::<u8>().unwrap(), 4);
        let output = compat::await_future(async { (String::from("large"), [7_u64; 20]) });
        assert_eq!(output, (String::from("large"), [7; 20]));
    });
}

#[test]
fn scopes_end_what_waits_in_them_and_its_children() {
    everywhere(|| {
        let mut child = None;
        let late = with_timeout(Duration::from_millis(1), || {
            child = Some(spawn(|| crate::sleep(LONG)));
            crate::sleep(LONG);
        });
        assert_eq!(late, Err(Interrupted::TimedOut));
        assert!(child.unwrap().join().unwrap_err().is_killed());
        let token = CancelToken::new();
        let theirs = token.clone();
        let other = spawn(move || theirs.cancel());
        let cancelled = with_cancel(&token, || {
            compat::await_future(pending::<()>());
        });
        assert_eq!(cancelled, Err(Interrupted::Cancelled));
        other.join().unwrap();
        assert_eq!(with_cancel(&token, || shield(|| spawn(|| 3).join().unwrap())), Ok(3));
    });
}

#[test]
fn destructors_wait_while_a_kill_unwinds() {
    struct Joins(Option<crate::JoinHandle<u8>>, Arc<AtomicUsize>);
    impl Drop for Joins {
        fn drop(&mut self) {
            crate::yield_now();
            let joined = self.0.take().map(|actor| actor.join().unwrap());
            self.1.fetch_add(usize::from(joined.unwrap()), SeqCst);
        }
    }
    everywhere(|| {
        let sum = Arc::new(AtomicUsize::new(0));
        let (begun, begins) = channel();
        let actors: Vec<_> = (0..2)
            .map(|n| {
                let (sum, begun) = (sum.clone(), begun.clone());
                spawn(move || {
                    let slow = spawn(move || {
                        crate::yield_now();
                        n + 1
                    });
                    let _joins = Joins(Some(slow), sum);
                    begun.send(()).unwrap();
                    crate::sleep(LONG);
                })
            })
            .collect();
        for _ in &actors {
            begins.recv().unwrap();
        }
        for actor in &actors {
            actor.kill();
        }
        let ended = actors.into_iter().map(|actor| actor.join().unwrap_err().is_killed());
        assert!(ended.eq([true; 2]));
        assert_eq!(sum.load(SeqCst), 3);
    });
}

#[test]
fn a_lock_that_a_panic_leaves_is_poisoned_and_results_go_to_other_threads() {
    let runtime = workers(2);
    let lock = Arc::new(Mutex::new(1));
    let theirs = lock.clone();
    let actor = runtime.spawn(move || {
        let _held = theirs.lock(LONG).unwrap();
        resume_unwind(Box::new(String::from("held")));
    });
    assert!(actor.unwrap().join().unwrap_err().is_panic());
    assert!(lock.lock(LONG).is_err());
    let actors: Vec<_> = (0..3).map(|n| runtime.spawn(move || vec![n; 3]).unwrap()).collect();
    let joiners: Vec<_> =
        actors.into_iter().map(|actor| thread::spawn(move || actor.join().unwrap())).collect();
    for (n, joiner) in (0..).zip(joiners) {
        assert_eq!(joiner.join().unwrap(), [n; 3]);
    }
    runtime.shutdown(LONG).unwrap();
}

#[test]
fn messages_reach_who_has_a_mailbox_and_nobody_after_its_end() {
    everywhere(|| {
        let adder = mailbox::spawn(|numbers: crate::Receiver<Box<u32>>| {
            *numbers.recv().unwrap() + *numbers.recv().unwrap()
        });
        let pid = adder.pid();
        let other = thread::spawn(move || pid.send(Box::new(40_u32)).unwrap());
        pid.send(Box::new(2_u32)).unwrap();
        assert_eq!(adder.join().unwrap(), 42);
        other.join().unwrap();
        let next = spawn(|| crate::yield_now()); // in its slot, perhaps
        assert!(pid.send(Box::new(1_u32)).is_err());
        next.join().unwrap();
    });
}

#[test]
fn messages_that_are_sent_later_come_or_are_taken_back() {
    everywhere(|| {
        let (sender, receiver) = channel();
        let soon = send_after(Duration::from_millis(1), &sender, Box::new(1));
        let later = send_after(LONG, &sender, Box::new(2));
        let never = send_after(LONG, &sender, Box::new(3));
        assert_eq!(*receiver.recv().unwrap(), 1);
        assert!(soon.cancel().is_err());
        assert_eq!(*later.cancel().unwrap(), 2);
        let taken = thread::spawn(move || never.cancel().unwrap()).join().unwrap(); // not on its worker's thread
        assert_eq!(*taken, 3);
    });
}

#[test]
fn of_several_the_first_to_end_counts_or_all() {
    everywhere(|| {
        let first = group::first_of([0, 1, 2].map(|n| {
            move || {
                if n != 1 {
                    crate::sleep(LONG);
                }
                Box::new(n)
            }
        }));
        assert_eq!(*first, 1);
        let mut group = Group::new();
        for n in 0..3 {
            group.spawn(move || Box::new(n));
        }
        group.spawn(|| {
            crate::sleep(LONG);
            Box::new(9)
        });
        let sum: i32 = (0..3).map(|_| *group.join_next().unwrap().unwrap()).sum();
        assert_eq!(sum, 3);
        drop(group); // kills the last one
        let (word, number) = crate::join!(|| String::from("word"), || 5);
        assert_eq!((word.as_str(), number), ("word", 5));
    });
}

#[test]
fn actors_start_where_they_are_sent_to() {
    let runtime = workers(2);
    runtime.run(|| {
        let actors: Vec<_> = (0..4)
            .map(|n| {
                let where_it_runs = || crate::runtime::Handle::current().workers();
                Builder::new().worker(n % 2).name(format!("actor {n}")).spawn(where_it_runs).unwrap()
            })
            .collect();
        assert!(actors.into_iter().all(|actor| actor.join().unwrap() == 2));
    });
    runtime.shutdown(LONG).unwrap();
}

#[test]
fn hooks_are_called_around_each_slice_and_what_they_save_is_dropped() {
    let [begun, ended, dropped] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let (begins, ends, drops) = (begun.clone(), ended.clone(), dropped.clone());
    let hooks = hooks::pair(
        move |saved: &mut Saved| {
            ends.fetch_add(1, SeqCst);
            *saved = Some(Box::new(Counted(drops.clone())));
        },
        move |saved: &mut Saved| {
            begins.fetch_add(1, SeqCst);
            drop(saved.take());
        },
    );
    let runtime = workers_with(Config::exact(1).hooks(hooks));
    runtime.run(|| {
        let actor = spawn(|| {
            crate::yield_now();
            let mut polls = 0;
            compat::await_future(poll_fn(|context| {
                polls += 1;
                context.waker().wake_by_ref();
                if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
            }));
            polls
        });
        assert_eq!(actor.join().unwrap(), 3);
    });
    runtime.shutdown(LONG).unwrap();
    let counts = [&begun, &ended, &dropped].map(|count| count.load(SeqCst));
    assert!(counts[0] > 5 && counts == [counts[0]; 3], "{counts:?}");
}
