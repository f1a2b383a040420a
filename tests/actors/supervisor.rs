//! Supervision: a parent's mailbox is told of the ends of its children.

use std::time::Duration;

use smarm::supervisor::{self, Reason, Signal as Told};
use smarm::{Builder, JoinHandle};
use smarm_workspace::{PATIENCE, Signal, child, panic_message, within, workers};

fn named<T: Send + 'static>(name: &str, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().name(name).spawn(f).unwrap()
}

#[test]
fn each_kind_of_end_is_told_with_pid_and_name() {
    within(PATIENCE, || {
        smarm::run(|| {
            let mailbox = supervisor::mailbox();

            let pid = named("returns", || ()).pid();
            let told = mailbox.recv().unwrap();
            let name = Some("returns".to_owned());
            assert_eq!(told, Told::Exit { pid, name, reason: Reason::Returned });

            let killed = named("killed", || smarm::sleep(Duration::MAX));
            killed.kill();
            let told = mailbox.recv().unwrap();
            let name = Some("killed".to_owned());
            assert_eq!(told, Told::Exit { pid: killed.pid(), name, reason: Reason::Killed });

            let pid = smarm::spawn(|| panic!("boom {}", 1)).pid();
            match mailbox.recv().unwrap() {
                Told::Panic { pid: of, name: None, message, place: Some(place) } => {
                    assert_eq!((of, message.as_str()), (pid, "boom 1"));
                    assert!(place.starts_with("tests/actors/supervisor.rs:"), "{place}");
                }
                other => panic!("{other:?}"),
            }
        });
    });
}

#[test]
fn only_children_that_are_spawned_after_the_mailbox_are_told_of() {
    within(PATIENCE, || {
        smarm::run(|| {
            let before = smarm::spawn(|| ());
            let mailbox = supervisor::mailbox();
            before.join().unwrap();
            let child = smarm::spawn(|| smarm::spawn(|| ()).join().unwrap());
            let pid = child.pid();
            child.join().unwrap();
            assert_eq!(mailbox.recv().unwrap().pid(), pid);
            assert!(mailbox.try_recv().is_err(), "neither the earlier child nor the grandchild");
        });
    });
}

#[test]
fn a_signal_is_there_before_the_join_returns() {
    within(PATIENCE, || {
        for count in [1, 2] {
            workers(count).run(|| {
                let mailbox = supervisor::mailbox();
                for _ in 0..200 {
                    let child = smarm::spawn(|| ());
                    let pid = child.pid();
                    child.join().unwrap();
                    assert_eq!(mailbox.try_recv().unwrap().pid(), pid);
                }
            });
        }
    });
}

#[test]
fn a_supervisor_restarts_what_panics_until_it_succeeds() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let mailbox = supervisor::mailbox();
            let attempts = Signal::new();
            let start = || {
                let attempts = attempts.clone();
                drop(named("flaky", move || {
                    attempts.raise();
                    assert!(attempts.count() >= 5, "not yet");
                }));
            };
            start();
            let mut restarts = 0;
            loop {
                match mailbox.recv().unwrap() {
                    Told::Panic { message, .. } if message == "not yet" => {
                        restarts += 1;
                        start();
                    }
                    Told::Exit { reason: Reason::Returned, .. } => break,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((restarts, attempts.count()), (4, 5));
        });
    });
}

#[test]
fn a_supervisor_of_a_thousand_children_is_told_of_each_once() {
    const CHILDREN: usize = 1000;
    within(PATIENCE, || {
        workers(2).run(|| {
            let mailbox = supervisor::mailbox();
            let mut pids: Vec<_> = (0..CHILDREN)
                .map(|n| {
                    let child = smarm::spawn(move || assert!(n % 3 != 0, "on purpose"));
                    if n % 3 == 1 {
                        child.kill();
                    }
                    child.pid()
                })
                .collect();
            let mut told: Vec<_> = (0..CHILDREN).map(|_| mailbox.recv().unwrap().pid()).collect();
            pids.sort_unstable();
            told.sort_unstable();
            assert_eq!(told, pids);
            assert!(mailbox.try_recv().is_err());
        });
    });
}

#[test]
fn a_new_mailbox_takes_over_from_then_on() {
    within(PATIENCE, || {
        smarm::run(|| {
            let first = supervisor::mailbox();
            let go = Signal::new();
            let theirs = go.clone();
            let early = smarm::spawn(move || theirs.wait(1)).pid();
            let second = supervisor::mailbox();
            let late = smarm::spawn(|| ()).pid();
            go.raise();
            assert_eq!(first.recv().unwrap().pid(), early);
            assert_eq!(second.recv().unwrap().pid(), late);
        });
    });
}

#[test]
fn children_outlive_their_supervisor_and_its_mailbox() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (go, done) = (Signal::new(), Signal::new());
            let theirs = (go.clone(), done.clone());
            let supervisor = smarm::spawn(move || {
                let _mailbox = supervisor::mailbox();
                drop(smarm::spawn(move || {
                    theirs.0.wait(1);
                    theirs.1.raise();
                }));
            });
            supervisor.join().unwrap();
            go.raise();
            done.wait(1);
        });
    });
}

#[test]
fn a_panic_of_which_a_supervisor_learns_is_not_logged_and_one_without_is() {
    let output = child::run(|| {
        smarm::run(|| {
            let mailbox = supervisor::mailbox();
            drop(named("watched", || panic!("boom")));
            assert!(matches!(mailbox.recv(), Ok(Told::Panic { .. })));
            drop(mailbox);
            drop(named("unwatched", || panic!("boom")));
            let handle = smarm::Handle::current();
            smarm_workspace::until(|| handle.live() == 1);
        });
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", child::text(&output));
        let reports: Vec<_> = child::stderr(&output).lines().map(str::to_owned).collect();
        let reports: Vec<_> = reports.iter().filter(|line| line.starts_with("smarm: actor")).collect();
        assert!(reports.len() == 1 && reports[0].contains("\"unwatched\""), "{reports:?}");
    }
}

#[test]
fn a_mailbox_outside_an_actor_is_refused() {
    within(PATIENCE, || {
        let message = panic_message(supervisor::mailbox);
        assert!(message.contains("outside an actor"), "{message}");
    });
}
