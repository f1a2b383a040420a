//! With a paused clock, days pass as soon as all wait, in their order; and not before.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use smarm::compat::await_future;
use smarm::time::{self, Interrupted};
use smarm::{Config, InitError, channel::channel};
use smarm_workspace::{PATIENCE, panic_message, within, workers};

use crate::paused;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn days_pass_at_once_in_the_order_of_the_timers() {
    within(PATIENCE, || {
        for count in [1, 2, 4] {
            let runtime = paused(count);
            let woken = Arc::new(StdMutex::new(vec![]));
            runtime.run(|| {
                let begin = time::now();
                let actors: Vec<_> = [5_u32, 1, 4, 2, 3]
                    .into_iter()
                    .map(|hours| {
                        let woken = woken.clone();
                        smarm::spawn(move || {
                            smarm::sleep(HOUR * hours);
                            woken.lock().unwrap().push((hours, (time::now() - begin).as_secs() / 3600));
                        })
                    })
                    .collect();
                actors.into_iter().for_each(|actor| actor.join().unwrap());
            });
            assert_eq!(*woken.lock().unwrap(), (1..=5).map(|n| (n, u64::from(n))).collect::<Vec<_>>());
        }
    });
}

#[test]
fn all_waits_with_a_limit_follow_it() {
    within(PATIENCE, || {
        paused(2).run(|| {
            let begin = time::now();
            let passed = || (time::now() - begin).as_secs() / 3600;
            let (tx, rx) = channel::<()>();
            assert!(rx.recv_timeout(HOUR).is_err());
            assert_eq!(passed(), 1);
            assert!(rx.recv_deadline(time::now() + HOUR).is_err());
            assert_eq!(passed(), 2);
            let mutex = Arc::new(smarm::Mutex::new(()));
            let theirs = mutex.clone();
            let (held, holds) = channel();
            let holder = smarm::spawn(move || {
                let _guard = theirs.lock(HOUR).unwrap();
                held.send(()).unwrap();
                smarm::sleep(HOUR * 2);
            });
            holds.recv().unwrap();
            assert!(mutex.lock(HOUR).is_err());
            assert_eq!(passed(), 3);
            assert!(holder.join_timeout(HOUR * 9).is_ok());
            assert_eq!(passed(), 4);
            assert!(smarm::compat::await_timeout(HOUR, std::future::pending::<()>()).is_err());
            assert_eq!(passed(), 5);
            await_future(time::sleep_async(HOUR));
            assert_eq!(passed(), 6);
            let over = time::timeout(HOUR, || smarm::sleep(HOUR * 5));
            assert_eq!((over, passed()), (Err(Interrupted::TimedOut), 7));
            let (near, _far) = UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let silent = smarm::io::wait_readable_timeout(&near, HOUR);
            assert_eq!(silent.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            assert_eq!(passed(), 8);
            smarm::thread::park_timeout(HOUR);
            assert_eq!(passed(), 9);
            drop(tx);
        });
    });
}

#[test]
fn locks_signals_selects_and_groups_follow_it_too() {
    use smarm::sync::{
        Barrier, Condvar, Mutex, Notify, RwLock, Semaphore, WaitGroup, broadcast, mpmc, watch,
    };

    fn hours(wait: impl FnOnce()) -> u64 {
        let begin = time::now();
        wait();
        (time::now() - begin).as_secs() / 3600
    }
    within(PATIENCE, || {
        paused(2).run(|| {
            let lock = RwLock::new(());
            let guard = lock.try_write().unwrap();
            assert_eq!(hours(|| assert!(lock.read(HOUR).is_err())), 1);
            drop(guard);
            assert_eq!(hours(|| assert!(Semaphore::new(0).acquire_timeout(HOUR).is_err())), 1);
            assert_eq!(hours(|| assert!(Notify::new().wait_timeout(HOUR).is_err())), 1);
            assert_eq!(hours(|| assert!(Barrier::new(2).wait_timeout(HOUR).is_err())), 1);
            let mutex = Mutex::new(());
            let locked = mutex.lock(HOUR).unwrap();
            assert_eq!(
                hours(|| assert!(Condvar::new().wait_timeout(locked, HOUR).unwrap().1.timed_out())),
                1
            );
            let group = WaitGroup::new();
            let other = group.clone();
            assert_eq!(hours(|| assert!(group.wait_timeout(HOUR).is_err())), 1);
            drop(other);
            let (_sender, receiver) = mpmc::unbounded::<()>();
            assert_eq!(hours(|| assert!(receiver.recv_timeout(HOUR).is_err())), 1);
            let (_sender, mut receiver) = broadcast::channel::<()>(1);
            assert_eq!(hours(|| assert!(receiver.recv_timeout(HOUR).is_err())), 1);
            let (_sender, mut receiver) = watch::channel(0);
            assert_eq!(hours(|| assert!(receiver.changed_timeout(HOUR).is_err())), 1);
            let mut actors = smarm::group::Group::new();
            actors.spawn(|| smarm::sleep(HOUR * 3));
            assert_eq!(hours(|| assert!(actors.join_next_timeout(HOUR).is_err())), 1);
            let (_sender, receiver) = channel::<()>();
            let select = || {
                smarm::select! {
                    _ = smarm::select::recv(&receiver) => panic!("nobody sends"),
                    _ = smarm::select::after(HOUR) => {}
                }
            };
            assert_eq!(hours(select), 1);
        });
    });
}

#[test]
fn time_stands_still_while_anybody_works() {
    within(PATIENCE, || {
        paused(2).run(|| {
            let (begin, over) = (time::now(), Arc::new(AtomicBool::new(false)));
            let theirs = over.clone();
            let sleeper = smarm::spawn(move || {
                smarm::sleep(HOUR);
                theirs.store(true, SeqCst);
            });
            for _ in 0..2_000 {
                smarm::yield_now();
                assert_eq!(time::now(), begin);
            }
            assert!(!over.load(SeqCst));
            sleeper.join().unwrap();
        });
    });
}

#[test]
fn messages_between_workers_come_before_the_leap() {
    within(PATIENCE, || {
        for _ in 0..20 {
            paused(2).run(|| {
                let begin = time::now();
                let (to, from_here) = channel();
                let (back, answers) = channel();
                let echo = smarm::Builder::new().worker(1).spawn(move || {
                    for n in from_here {
                        back.send(n).unwrap();
                    }
                });
                for n in 0..100 {
                    to.send(n).unwrap();
                    assert_eq!(answers.recv_timeout(HOUR), Ok(n));
                }
                assert_eq!(time::now(), begin, "it leapt over work");
                drop(to);
                echo.unwrap().join().unwrap();
            });
        }
    });
}

#[test]
fn a_ready_descriptor_comes_before_the_leap() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = paused(count);
            runtime.run(move || {
                let begin = time::now();
                let (mut near, mut far) = UnixStream::pair().unwrap();
                near.set_nonblocking(true).unwrap();
                far.set_nonblocking(true).unwrap();
                let echo = smarm::Builder::new().worker(count - 1).spawn(move || {
                    for _ in 0..100 {
                        let mut byte = [0];
                        smarm::io::wait_readable_timeout(&far, HOUR).unwrap();
                        far.read_exact(&mut byte).unwrap();
                        far.write_all(&byte).unwrap();
                    }
                });
                for n in 0..100 {
                    near.write_all(&[n]).unwrap();
                    smarm::io::wait_readable_timeout(&near, HOUR).unwrap();
                    let mut byte = [0];
                    near.read_exact(&mut byte).unwrap();
                    assert_eq!(byte, [n]);
                }
                echo.unwrap().join().unwrap();
                assert_eq!(time::now(), begin, "it leapt over what was ready");
            });
        }
    });
}

#[test]
fn a_call_that_blocks_holds_the_time() {
    within(PATIENCE, || {
        paused(2).run(|| {
            let begin = time::now();
            let sleeper = smarm::spawn(|| smarm::sleep(HOUR));
            let (tx, rx) = std::sync::mpsc::channel();
            let caller = smarm::spawn(move || {
                smarm::io::block_on_io(move || rx.recv().unwrap());
                time::now()
            });
            let other = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(5)); // all wait by then, or the test shows less
                tx.send(()).unwrap();
            });
            assert_eq!(caller.join().unwrap(), begin);
            sleeper.join().unwrap();
            assert!(time::now() - begin >= HOUR);
            other.join().unwrap();
        });
    });
}

#[test]
fn advance_moves_it_by_hand() {
    within(PATIENCE, || {
        for count in [1, 2] {
            paused(count).run(|| {
                let begin = time::now();
                time::advance(HOUR);
                assert_eq!(time::now() - begin, HOUR);
                let mut ticks = time::interval(HOUR);
                ticks.tick();
                time::advance(HOUR / 2);
                assert!(ticks.try_tick().is_none());
                time::advance(HOUR / 2);
                assert!(ticks.try_tick().is_some());
            });
        }
    });
}

#[test]
fn who_is_due_after_an_advance_goes_first() {
    within(PATIENCE, || {
        paused(1).run(|| {
            let due = Arc::new(AtomicBool::new(false));
            let theirs = due.clone();
            let (ready, sleeps) = channel();
            let sleeper = smarm::spawn(move || {
                ready.send(()).unwrap(); // on one worker, nobody runs before it sleeps
                smarm::sleep(HOUR);
                theirs.store(true, SeqCst);
            });
            sleeps.recv().unwrap();
            time::advance(HOUR + HOUR);
            smarm_workspace::until(|| due.load(SeqCst));
            sleeper.join().unwrap();
        });
    });
}

#[test]
fn where_the_time_is_not_paused_it_cannot_be_moved() {
    within(PATIENCE, || {
        assert!(time::try_advance(HOUR).is_err());
        workers(1).run(|| {
            let said = panic_message(|| time::advance(HOUR));
            assert!(said.contains("paused_clock"), "{said}");
        });
        let refused = smarm_compat::Builder::new().config(Config::exact(1).paused_clock(true)).start();
        let Err(error) = refused else { panic!("its workers are tokio's") };
        assert!(matches!(error, InitError::PausedClock), "{error}");
        assert!(error.to_string().contains("tokio::time::pause"), "{error}");
    });
}

#[test]
fn another_runtime_and_plain_threads_keep_the_systems_time() {
    within(PATIENCE, || {
        let (still, other) = (paused(1), workers(1));
        still.run(|| smarm::sleep(HOUR * 24));
        let span = Duration::from_millis(2);
        let begin = Instant::now();
        other.run(|| smarm::sleep(span));
        smarm::sleep(span);
        assert!(begin.elapsed() >= span * 2);
        assert!(time::now() < begin + HOUR);
        still.run(move || assert!(time::now() > begin + HOUR * 23));
    });
}

#[test]
fn it_shuts_down_while_somebody_sleeps() {
    within(PATIENCE, || {
        let runtime = paused(3);
        let (tx, rx) = std::sync::mpsc::channel();
        for _ in 0..10 {
            let tx = tx.clone();
            let waits = move || {
                let (_open, never) = channel::<()>();
                tx.send(()).unwrap();
                let _ = never.recv();
            };
            drop(runtime.spawn(waits).unwrap());
        }
        (0..10).for_each(|_| rx.recv().unwrap());
        runtime.shutdown(PATIENCE).unwrap();
    });
}
