use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::task::Waker;
use std::thread;

use super::*;
use crate::host::enter;
use crate::host::epoll::Epoll;
use crate::host::testing;

fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    (near, far)
}

/// A read of eight bytes at most that counts its system calls.
fn read<'a>(mut stream: &'a UnixStream, calls: &'a Cell<usize>) -> impl FnMut() -> io::Result<Attempt> + 'a {
    move || {
        calls.set(calls.get() + 1);
        moved_of(8, stream.read(&mut [0; 8]))
    }
}

fn poll_once<F: Future + Unpin>(epoll: &Epoll, future: &mut F) -> Poll<F::Output> {
    // SAFETY: the guard ends with this function.
    let _entered = unsafe { enter(epoll) };
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn what_is_ready_at_once_is_not_registered() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let (registration, calls) = (Registration::new(), Cell::new(0));
    far.write_all(b"abc").unwrap();
    let operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
    assert_eq!(testing::run(&epoll, operation).unwrap(), 3);
    assert_eq!((epoll.registered(), calls.get()), (0, 1));
}

#[test]
fn the_first_wait_registers_and_a_short_read_saves_the_next_one_a_call() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let (registration, calls) = (Registration::new(), Cell::new(0));
    let mut operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
    assert!(poll_once(&epoll, &mut operation).is_pending());
    assert_eq!(epoll.registered(), 1);
    far.write_all(b"abc").unwrap();
    assert_eq!(testing::run(&epoll, operation).unwrap(), 3);
    calls.set(0);
    let mut operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
    assert!(poll_once(&epoll, &mut operation).is_pending());
    assert_eq!(calls.get(), 0);
    far.write_all(b"abc").unwrap();
    assert_eq!(testing::run(&epoll, operation).unwrap(), 3);
    assert_eq!((epoll.registered(), calls.get()), (1, 1));
    drop(registration);
    assert_eq!(epoll.registered(), 0);
}

#[test]
fn a_wait_goes_on_in_another_reactor_when_its_own_ends() {
    let (near, mut far) = pair();
    let (registration, calls) = (Registration::new(), Cell::new(0));
    let mut operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
    for _ in 0..3 {
        let epoll = Epoll::new().unwrap();
        assert!(poll_once(&epoll, &mut operation).is_pending());
        assert_eq!(epoll.registered(), 1);
    }
    let epoll = Epoll::new().unwrap();
    assert!(poll_once(&epoll, &mut operation).is_pending());
    far.write_all(b"abc").unwrap();
    assert_eq!(testing::run(&epoll, operation).unwrap(), 3);
    assert_eq!(epoll.registered(), 1);
}

#[test]
fn a_source_serves_other_workers() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let registration = Registration::new();
    let calls = Cell::new(0);
    let mut operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
    assert!(poll_once(&epoll, &mut operation).is_pending());
    drop(operation);
    let (began, begun) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let epoll = Epoll::new().unwrap();
            let calls = Cell::new(0);
            let mut operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
            assert!(poll_once(&epoll, &mut operation).is_pending());
            assert_eq!(epoll.registered(), 0);
            began.send(()).unwrap();
            testing::run(&epoll, operation).unwrap()
        });
        begun.recv().unwrap();
        far.write_all(b"abc").unwrap();
        while !other.is_finished() {
            epoll.wait(Some(std::time::Duration::from_millis(1))).unwrap();
        }
        assert_eq!(other.join().unwrap(), 3);
    });
}

#[test]
fn a_dropped_wait_leaves_no_waker_behind() {
    struct Held;
    impl std::task::Wake for Held {
        fn wake(self: Arc<Self>) {}
    }
    let epoll = Epoll::new().unwrap();
    let (near, _far) = pair();
    let (registration, calls) = (Registration::new(), Cell::new(0));
    let held = Arc::new(Held);
    let waker = Waker::from(Arc::clone(&held));
    let mut operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
    {
        // SAFETY: the guard ends with this block.
        let _entered = unsafe { enter(&epoll) };
        assert!(Pin::new(&mut operation).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&held), 3);
    drop(operation);
    assert_eq!(Arc::strong_count(&held), 2);
}

#[test]
fn readiness_that_the_reactor_has_not_seen_wins_over_the_deadline() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let (registration, calls) = (Registration::new(), Cell::new(0));
    let mut operation = registration.operation(near.as_fd(), Direction::Read, read(&near, &calls));
    assert!(poll_once(&epoll, &mut operation).is_pending());
    drop(operation);
    // SAFETY: the guard ends with this function, before the reactor.
    let _entered = unsafe { enter(&epoll) };
    let past = Some(Instant::now());
    let error = registration.run(near.as_fd(), Direction::Read, past, read(&near, &calls)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    far.write_all(b"abc").unwrap();
    assert_eq!(registration.run(near.as_fd(), Direction::Read, past, read(&near, &calls)).unwrap(), 3);
}

#[test]
fn an_interrupted_attempt_is_repeated() {
    let epoll = Epoll::new().unwrap();
    let (near, _far) = pair();
    let attempt = |failures: usize| {
        let left = Cell::new(failures);
        move || {
            if left.replace(left.get().saturating_sub(1)) > 0 {
                return Err(ErrorKind::Interrupted.into());
            }
            Ok(Attempt::Done(7))
        }
    };
    let registration = Registration::new();
    assert_eq!(registration.run(near.as_fd(), Direction::Read, None, attempt(3)).unwrap(), 7);
    let operation = registration.operation(near.as_fd(), Direction::Read, attempt(3));
    assert_eq!(testing::run(&epoll, operation).unwrap(), 7);
}
