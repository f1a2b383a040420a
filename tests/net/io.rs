//! Waiting for descriptors and blocking calls: the worker goes on, kills and deadlines end it.

use std::fs::File;
use std::io::{self, Read, Write, pipe};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use smarm::io::{
    block_on_io, block_on_io_async, read, read_deadline, set_nonblocking, wait_readable, wait_readable_async,
    wait_readable_timeout, wait_writable, write,
};
use smarm_workspace::{Drops, OnDrop, PATIENCE, Signal, panic_message, within, workers};

/// Two connected sockets that do not block.
fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    set_nonblocking(&near, true).unwrap();
    set_nonblocking(&far, true).unwrap();
    (near, far)
}

#[test]
fn an_actor_that_waits_for_a_descriptor_leaves_its_worker_to_the_others() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (near, far) = pair();
            let waiting = Signal::new();
            let theirs = waiting.clone();
            let reads = smarm::spawn(move || {
                theirs.raise();
                wait_readable(&near).unwrap();
                let mut buf = [0; 10];
                let count = read(&near, &mut buf).unwrap();
                buf[..count].to_vec()
            });
            waiting.wait(1);
            smarm::yield_now();
            assert!(!reads.is_finished());
            (&far).write_all(b"hello").unwrap();
            assert_eq!(reads.join().unwrap(), b"hello");
        });
    });
}

#[test]
fn actors_play_ping_pong_through_sockets_thousands_of_times() {
    within(PATIENCE, || {
        for count in [1, 2] {
            let runtime = workers(count);
            let (near, far) = pair();
            let echo = runtime
                .spawn(move || {
                    let mut byte = [0];
                    while read(&far, &mut byte).unwrap() > 0 {
                        assert_eq!(write(&far, &byte).unwrap(), 1);
                    }
                })
                .unwrap();
            let plays = runtime
                .spawn(move || {
                    for round in 0..2000_u32 {
                        let said = [round as u8];
                        assert_eq!(write(&near, &said).unwrap(), 1);
                        let mut heard = [0];
                        assert_eq!(read(&near, &mut heard).unwrap(), 1);
                        assert_eq!(heard, said);
                    }
                })
                .unwrap();
            plays.join().unwrap();
            echo.join().unwrap();
        }
    });
}

#[test]
fn a_stream_larger_than_every_buffer_arrives_whole() {
    const SIZE: usize = 8 << 20;
    within(PATIENCE, || {
        let runtime = workers(2);
        let (near, far) = pair();
        let sends = runtime
            .spawn(move || {
                let data: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8).collect();
                let mut left = &data[..];
                while !left.is_empty() {
                    left = &left[write(&near, left).unwrap()..];
                }
            })
            .unwrap();
        let receives = runtime
            .spawn(move || {
                let (mut at, mut buf) = (0, [0; 10_000]);
                loop {
                    let count = read(&far, &mut buf).unwrap();
                    if count == 0 {
                        return at;
                    }
                    for &byte in &buf[..count] {
                        assert_eq!(byte, (at / 7) as u8);
                        at += 1;
                    }
                }
            })
            .unwrap();
        sends.join().unwrap();
        assert_eq!(receives.join().unwrap(), SIZE);
    });
}

#[test]
fn a_killed_wait_for_a_descriptor_unwinds_and_the_descriptor_goes_on() {
    within(PATIENCE, || {
        let runtime = workers(2);
        for _ in 0..100 {
            let (near, far) = pair();
            let drops = Drops::new();
            let (held, theirs) = (drops.counted(), near.try_clone().unwrap());
            let waiting = Signal::new();
            let signal = waiting.clone();
            let waits = runtime
                .spawn(move || {
                    let _held = held;
                    signal.raise();
                    wait_readable(&theirs)
                })
                .unwrap();
            waiting.wait(1);
            waits.kill();
            assert!(waits.join().unwrap_err().is_killed());
            assert_eq!(drops.count(), 1);
            let next = runtime
                .spawn(move || {
                    let mut byte = [0];
                    read(&near, &mut byte).map(|_| byte[0])
                })
                .unwrap();
            (&far).write_all(&[7]).unwrap();
            assert_eq!(next.join().unwrap().unwrap(), 7);
        }
    });
}

#[test]
fn a_wait_in_a_destructor_during_a_kill_is_cancelled_unless_it_is_ready() {
    within(PATIENCE, || {
        smarm::run(|| {
            let parked = Signal::new();
            let theirs = parked.clone();
            let (report, reported) = mpsc::channel();
            let actor = smarm::spawn(move || {
                let _waits = OnDrop(move || {
                    let (near, far) = pair();
                    let error = wait_readable(&near).unwrap_err();
                    assert!(error.get_ref().is_some_and(|inner| inner.is::<smarm::io::Cancelled>()));
                    (&far).write_all(&[1]).unwrap();
                    wait_readable(&near).unwrap();
                    wait_writable(&near).unwrap();
                    report.send("all as promised").unwrap();
                });
                theirs.raise();
                smarm::sleep(Duration::MAX);
            });
            parked.wait(1);
            actor.kill();
            assert!(actor.join().unwrap_err().is_killed());
            assert_eq!(reported.try_recv(), Ok("all as promised"));
        });
    });
}

#[test]
fn a_deadline_is_never_early_and_what_is_ready_wins_over_one_in_the_past() {
    const TIME: Duration = Duration::from_millis(3);
    within(PATIENCE, || {
        let try_it = || {
            let (near, far) = pair();
            let start = Instant::now();
            let error = wait_readable_timeout(&near, TIME).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(start.elapsed() >= TIME);
            let mut byte = [0];
            let error = read_deadline(&near, &mut byte, Instant::now() + TIME).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            (&far).write_all(&[7]).unwrap();
            assert_eq!(read_deadline(&near, &mut byte, start).unwrap(), 1);
            assert_eq!(byte, [7]);
        };
        try_it();
        smarm::run(try_it);
    });
}

#[test]
fn the_end_of_the_other_side_wakes_those_who_wait() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (reader, writer) = pipe().unwrap();
            let waits = smarm::spawn(move || {
                wait_readable(&reader).unwrap();
                let mut end = Vec::new();
                (&reader).read_to_end(&mut end).unwrap();
                end
            });
            smarm::yield_now();
            drop(writer);
            assert_eq!(waits.join().unwrap(), b"");
        });
    });
}

#[test]
fn many_actors_wait_for_many_descriptors() {
    within(PATIENCE, || {
        let runtime = workers(2);
        let (ends, actors): (Vec<_>, Vec<_>) = (0..200_u8)
            .map(|n| {
                let (near, far) = pair();
                let actor = runtime.spawn(move || {
                    let mut byte = [0];
                    assert_eq!(read(&near, &mut byte).unwrap(), 1);
                    assert_eq!(byte, [n]);
                    write(&near, &[n + 1]).unwrap()
                });
                (far, actor.unwrap())
            })
            .unzip();
        for (n, far) in ends.iter().enumerate().rev() {
            (&mut &*far).write_all(&[n as u8]).unwrap();
        }
        actors.into_iter().for_each(|actor| assert_eq!(actor.join().unwrap(), 1));
        for (n, far) in ends.iter().enumerate() {
            let mut byte = [0];
            wait_readable(far).unwrap();
            (&mut &*far).read_exact(&mut byte).unwrap();
            assert_eq!(usize::from(byte[0]), n + 1);
        }
    });
}

#[test]
fn a_future_waits_for_a_descriptor_in_an_actor() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (near, far) = pair();
            drop(smarm::spawn(move || (&far).write_all(&[7]).map(|()| far)));
            smarm::compat::await_future(wait_readable_async(&near)).unwrap();
            let given_up =
                smarm::compat::await_timeout(Duration::ZERO, wait_readable_async(&pair().0)).is_err();
            assert!(given_up);
        });
    });
}

#[test]
fn block_on_io_leaves_the_worker_to_the_others() {
    within(PATIENCE, || {
        smarm::run(|| {
            let (go, blocked) = mpsc::channel();
            let here = thread::current().id();
            let blocks = smarm::spawn(move || {
                block_on_io(move || {
                    assert_ne!(thread::current().id(), here);
                    blocked.recv()
                })
            });
            smarm::yield_now();
            // This actor runs on the same worker, and unblocks the other one.
            assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
            go.send(42).unwrap();
            assert_eq!(blocks.join().unwrap(), Ok(42));
            let text = block_on_io(|| {
                let mut text = String::new();
                File::open("/proc/version").and_then(|mut file| file.read_to_string(&mut text)).map(|_| text)
            });
            assert!(text.unwrap().starts_with("Linux"));
        });
    });
}

#[test]
fn a_panic_in_block_on_io_continues_in_the_actor() {
    within(PATIENCE, || {
        smarm::run(|| {
            assert_eq!(panic_message(|| block_on_io(|| panic!("boom"))), "boom");
            assert_eq!(
                panic_message(|| smarm::compat::await_future(block_on_io_async(|| panic!("boom")))),
                "boom"
            );
            assert_eq!(block_on_io(|| 1), 1);
        });
    });
}

#[test]
fn an_actor_killed_in_block_on_io_does_not_wait_for_it() {
    within(PATIENCE, || {
        let runtime = workers(1);
        let (started, running) = mpsc::channel();
        let (go, blocked) = mpsc::channel::<()>();
        let drops = Drops::new();
        let result = drops.counted();
        let actor = runtime
            .spawn(move || {
                block_on_io(move || {
                    started.send(()).unwrap();
                    let _ = blocked.recv();
                    result
                });
            })
            .unwrap();
        running.recv().unwrap();
        actor.kill();
        assert!(actor.join().unwrap_err().is_killed());
        assert_eq!(drops.count(), 0, "it runs on");
        drop(go);
        smarm_workspace::until(|| drops.count() == 1);
    });
}

#[test]
fn a_hundred_calls_block_side_by_side() {
    within(PATIENCE, || {
        smarm::run(|| {
            let calls = 100;
            let barrier = std::sync::Arc::new(std::sync::Barrier::new(calls));
            let actors: Vec<_> = (0..calls)
                .map(|n| {
                    let barrier = barrier.clone();
                    smarm::spawn(move || {
                        block_on_io(move || {
                            barrier.wait();
                            n
                        })
                    })
                })
                .collect();
            for (n, actor) in actors.into_iter().enumerate() {
                assert_eq!(actor.join().unwrap(), n);
            }
        });
    });
}
