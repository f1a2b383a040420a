//! Ten thousand actors at a time are killed while parked, in each kind of wait: all end, all destructors run,
//! stacks are used again, and descriptors, mappings and threads are as many as before.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smarm::channel::{self, oneshot};
use smarm::compat::await_future;
use smarm::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use smarm::{Builder, CancelToken, JoinHandle, Runtime};
use smarm_workspace::{Drops, Signal, child, part_of, until};

use crate::support::{HOSTS, descriptors, limit, mappings, native, number, on_tokio, threads};

/// How many actors wait at a time.
fn crowd() -> usize {
    part_of(10_000)
}

const WORKERS: usize = 2;
/// So many actors share a descriptor, of which there are fewer.
const SHARING: usize = 10;
/// A round may leave this many mappings behind: of the allocator, which gives back what it likes.
const STRAY_MAPPINGS: usize = 40;

/// What one actor waits for.
type Wait = Box<dyn FnOnce() + Send>;
/// A wait, whatever it gives: it is to give nothing.
fn waiting<T>(wait: impl FnOnce() -> T + Send + 'static) -> Wait {
    Box::new(move || {
        let _never = wait();
    })
}

/// Looks, once all have ended, whether what they waited for is whole.
type Afterwards = Box<dyn FnOnce()>;

/// Kills the actors of two rounds, one from outside and one from an actor, while all are parked.
fn kill_in(runtime: &Runtime, waits: impl Fn() -> (Vec<Wait>, Afterwards)) {
    let mut before = None;
    for round in 0..3 {
        let (waits, afterwards) = waits();
        let (about_to, drops, crowd) = (Signal::new(), Drops::new(), crowd());
        let actors: Vec<_> = waits
            .into_iter()
            .map(|wait| {
                let (about_to, held) = (about_to.clone(), drops.counted());
                let waits = move || {
                    let _held = held;
                    about_to.raise();
                    wait();
                    unreachable!("a wait without an end has ended");
                };
                runtime.spawn(waits).expect("there is a stack")
            })
            .collect();
        assert_eq!(actors.len(), crowd);
        until(|| about_to.count() == crowd);
        // Whoever said so runs on until it parks: when another actor has its turn on that worker, it has.
        for worker in 0..WORKERS {
            let other = Builder::new().runtime(&runtime.handle()).worker(worker).spawn(|| ());
            other.expect("there is a stack").join().expect("it returns");
        }
        let highest = actors.iter().map(|actor| number(actor.pid())).max().expect("there are some");
        assert!(highest < 2 * crowd as u32 + 2048, "stack {highest} in round {round}");
        if round == 0 {
            actors.iter().for_each(JoinHandle::kill);
            actors.into_iter().for_each(assert_killed);
        } else {
            runtime.run(|| {
                actors.iter().for_each(JoinHandle::kill);
                actors.into_iter().for_each(assert_killed);
            });
        }
        assert_eq!(drops.count(), crowd);
        afterwards();
        until(|| runtime.handle().live() == 0);
        // The first round brings up what later ones use again.
        match before {
            None => before = Some((descriptors(), threads(), mappings())),
            Some((descriptors_then, threads_then, mappings_then)) => {
                until(|| descriptors() == descriptors_then && threads() <= threads_then);
                let now = mappings();
                assert!(now <= mappings_then + STRAY_MAPPINGS, "{mappings_then} mappings, then {now}");
            }
        }
    }
}

#[track_caller]
fn assert_killed(actor: JoinHandle<()>) {
    assert!(actor.join().is_err_and(|error| error.is_killed()));
}

/// In a process of its own, on each host.
fn kill_on_each_host(waits: impl Fn() -> (Vec<Wait>, Afterwards) + Copy) {
    limit(libc::RLIMIT_NOFILE, u64::MAX);
    for (_, start) in HOSTS {
        kill_in(&start(WORKERS), waits);
    }
}

/// As many waits as there are actors, each made from its number.
fn each(wait: impl Fn(usize) -> Wait) -> Vec<Wait> {
    (0..crowd()).map(wait).collect()
}

/// Nothing to look at afterwards but that what was `kept` until then can be dropped.
fn keep<T: 'static>(kept: T) -> Afterwards {
    Box::new(move || drop(kept))
}

#[test]
fn in_recv() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..crowd()).map(|_| smarm::channel::<u8>()).unzip();
            let receivers = receivers.into_iter();
            let waits = receivers.map(|receiver| waiting(move || receiver.recv())).collect();
            let refused = move || assert!(senders.iter().all(|sender| sender.send(1).is_err()));
            (waits, Box::new(refused))
        });
    });
}

/// Senders that wait for room in one channel, which has `capacity` messages.
fn senders(capacity: usize) -> (Vec<Wait>, Afterwards) {
    let (sender, receiver) = channel::bounded(capacity);
    (0..capacity).for_each(|nth| sender.try_send(nth).expect("there is room"));
    let waits = each(|_| {
        let sender = sender.clone();
        waiting(move || sender.send(usize::MAX))
    });
    let whole = move || {
        drop(sender);
        let left: Vec<usize> = receiver.iter().collect();
        assert!(left.into_iter().eq(0..capacity), "what was there is there, and nothing else");
    };
    (waits, Box::new(whole))
}

#[test]
fn in_send_to_a_full_channel() {
    child::run_well(|| kill_on_each_host(|| senders(3)));
}

#[test]
fn in_send_to_a_rendezvous() {
    child::run_well(|| kill_on_each_host(|| senders(0)));
}

#[test]
fn in_recv_of_a_oneshot() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..crowd()).map(|_| oneshot::channel::<u8>()).unzip();
            let receivers = receivers.into_iter();
            let waits = receivers.map(|receiver| waiting(move || receiver.recv())).collect();
            let refused = move || assert!(senders.into_iter().all(|sender| sender.send(1).is_err()));
            (waits, Box::new(refused))
        });
    });
}

#[test]
fn in_lock() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let lock = Arc::new(smarm::Mutex::new(0));
            let held = lock.clone();
            // Held for the time being, by a guard that is nobody's.
            std::mem::forget(held.try_lock().expect("it is free"));
            let waits = each(|_| {
                let lock = lock.clone();
                waiting(move || drop(lock.lock(Duration::MAX)))
            });
            (waits, Box::new(move || assert_eq!(Arc::strong_count(&held), 1)))
        });
    });
}

#[test]
fn in_join() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let go = Signal::new();
            let waits = each(|_| {
                let go = go.clone();
                waiting(move || smarm::spawn_local(move || go.wait(1)).join())
            });
            // The joined ones are detached, and end by themselves.
            (waits, Box::new(move || go.raise()))
        });
    });
}

#[test]
fn in_sleep() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let sleep = |nth| Box::new(move || smarm::sleep(Duration::from_secs(1000 + nth as u64))) as Wait;
            (each(sleep), keep(()))
        });
    });
}

#[test]
fn in_the_wait_for_a_token() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let token = CancelToken::new();
            let waits = each(|_| {
                let token = token.child_token();
                Box::new(move || token.wait())
            });
            (waits, Box::new(move || token.cancel()))
        });
    });
}

#[test]
fn in_the_recv_of_a_mailbox() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let wait = || smarm::mailbox::open::<u8>().expect("the first").recv();
            (each(|_| waiting(wait)), keep(()))
        });
    });
}

#[test]
fn in_a_future_that_nobody_wakes() {
    child::run_well(|| {
        kill_on_each_host(|| (each(|_| Box::new(|| await_future(std::future::pending()))), keep(())));
    });
}

#[test]
fn in_an_awaited_recv_and_an_awaited_lock() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let lock = Arc::new(smarm::Mutex::new(0));
            std::mem::forget(lock.try_lock().expect("it is free"));
            let (sender, receiver) = channel::bounded(1);
            sender.try_send(0).expect("there is room");
            let waits = each(|nth| {
                let (lock, sender) = (lock.clone(), sender.clone());
                match nth % 2 {
                    0 => waiting(move || drop(await_future(lock.lock_async()))),
                    _ => waiting(move || await_future(sender.send_async(1))),
                }
            });
            drop(sender);
            (waits, Box::new(move || assert!(receiver.iter().eq([0]))))
        });
    });
}

/// Connected pairs, the first of each to be waited for by several actors.
fn pairs() -> (Vec<Arc<UnixStream>>, Vec<UnixStream>) {
    let pair = || UnixStream::pair().expect("there are descriptors");
    (0..crowd() / SHARING).map(|_| pair()).map(|(near, far)| (Arc::new(near), far)).unzip()
}

#[test]
fn in_the_wait_for_a_descriptor() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let (near, far) = pairs();
            let waits = each(|nth| {
                let near = near[nth / SHARING].clone();
                Box::new(move || smarm::io::wait_readable(&*near).expect("it can be waited for"))
            });
            (waits, keep((near, far)))
        });
    });
}

#[test]
fn in_read_and_write() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let (near, far) = pairs();
            let waits = each(|nth| {
                let near = near[nth / SHARING].clone();
                match nth % 2 {
                    0 => waiting(move || (&*near).read(&mut [0; 8])),
                    _ => waiting(move || (&*near).write_all(&[0; 4 << 20])),
                }
            });
            (waits, keep((near, far)))
        });
    });
}

#[test]
fn in_accept_and_in_receiving_datagrams() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let listen = |_| Arc::new(TcpListener::bind("127.0.0.1:0").expect("there are descriptors"));
            let listeners: Vec<_> = (0..20).map(listen).collect();
            let bind = |_| Arc::new(UdpSocket::bind("127.0.0.1:0").expect("there are descriptors"));
            let sockets: Vec<_> = (0..20).map(bind).collect();
            let waits = each(|nth| {
                let (listener, socket) = (listeners[nth % 20].clone(), sockets[nth % 20].clone());
                match nth % 2 {
                    0 => waiting(move || listener.accept()),
                    _ => waiting(move || socket.recv_from(&mut [0; 8])),
                }
            });
            (waits, keep((listeners, sockets)))
        });
    });
}

#[test]
fn in_connect() {
    child::run_well(|| {
        kill_on_each_host(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there are descriptors");
            // SAFETY: listen takes no pointers; here it shortens the queue.
            assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
            let address = listener.local_addr().expect("it is bound");
            let queued = std::net::TcpStream::connect(address).expect("there is room for one");
            let waits = each(|_| waiting(move || TcpStream::connect(address)));
            (waits, keep((listener, queued)))
        });
    });
}

#[test]
fn in_a_blocking_call() {
    child::run_well(|| {
        smarm::io::set_block_on_io_threads(16);
        kill_on_each_host(|| {
            let (release, released) = mpsc::channel::<()>();
            let released = Arc::new(Mutex::new(released));
            let waits = each(|_| {
                let released = released.clone();
                Box::new(move || {
                    smarm::io::block_on_io(move || {
                        // Nothing is ever sent: until the other end is dropped.
                        assert!(released.lock().expect("nobody panics").recv().is_err());
                    });
                })
            });
            let at_the_end = move || {
                drop(release);
                // Those that had started end, and those that had not were dropped.
                until(|| Arc::strong_count(&released) == 1);
            };
            (waits, Box::new(at_the_end))
        });
    });
}

#[test]
fn in_awaits_of_tokios_resources() {
    child::run_well(|| {
        limit(libc::RLIMIT_NOFILE, u64::MAX);
        kill_in(&on_tokio(WORKERS), || {
            let notify = Arc::new(tokio::sync::Notify::new());
            let full = Arc::new(tokio::sync::Semaphore::new(0));
            let (sender, _) = tokio::sync::broadcast::channel::<u8>(1);
            let waits = each(|nth| {
                let (notify, full, mut receiver) = (notify.clone(), full.clone(), sender.subscribe());
                match nth % 5 {
                    0 => Box::new(|| await_future(tokio::time::sleep(Duration::from_secs(1000)))),
                    1 => Box::new(move || await_future(notify.notified())),
                    2 => waiting(move || drop(await_future(full.acquire()))),
                    3 => waiting(move || await_future(receiver.recv())),
                    _ => Box::new(|| {
                        drop(await_future(tokio::spawn(std::future::pending::<()>())));
                    }),
                }
            });
            let whole = move || {
                full.add_permits(1);
                assert_eq!(full.available_permits(), 1, "nobody is left who would take it");
                assert_eq!(sender.receiver_count(), 0);
            };
            (waits, Box::new(whole))
        });
    });
}

#[test]
fn in_awaits_of_tokios_sockets() {
    child::run_well(|| {
        limit(libc::RLIMIT_NOFILE, u64::MAX);
        let runtime = on_tokio(WORKERS);
        kill_in(&runtime, || {
            let wait = || {
                let (mut near, _far) = tokio::net::UnixStream::pair().expect("there are descriptors");
                await_future(async {
                    use tokio::io::AsyncReadExt;
                    drop(near.read(&mut [0; 8]).await);
                });
            };
            // Two descriptors each: half of the actors have some.
            let waits = each(|nth| match nth % 2 {
                0 => Box::new(wait),
                _ => Box::new(|| await_future(tokio::time::sleep(Duration::from_secs(1000)))),
            });
            (waits, keep(()))
        });
    });
}

#[test]
fn by_the_end_of_their_runtime() {
    child::run_well(|| {
        for (_, start) in HOSTS {
            let runtime = start(WORKERS);
            let handle = runtime.handle();
            let (about_to, drops, crowd) = (Signal::new(), Drops::new(), crowd());
            for nth in 0..crowd {
                let (about_to, held) = (about_to.clone(), drops.counted());
                let waits = move || {
                    let _held = held;
                    about_to.raise();
                    match nth % 3 {
                        0 => smarm::sleep(Duration::MAX),
                        1 => await_future(std::future::pending()),
                        _ => drop(smarm::spawn(|| smarm::sleep(Duration::MAX)).join()),
                    }
                };
                drop(runtime.spawn(waits).expect("there is a stack"));
            }
            until(|| about_to.count() == crowd);
            runtime.shutdown(smarm_workspace::PATIENCE).expect("all end in time");
            assert_eq!((drops.count(), handle.live()), (crowd, 0));
        }
        assert_eq!(native(1).run(|| 42), 42);
    });
}
