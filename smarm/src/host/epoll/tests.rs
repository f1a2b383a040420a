use std::fs::File;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread;

use super::*;
use crate::host::testing::run;
use crate::host::{Attempt, Direction, ReactorGone, WaitId};

const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn new() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (Arc::clone(&count), count.into())
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    (near, far)
}

/// Reads once, as smarm's streams do: a short read says so. Counts its system calls.
fn read_from<'a>(
    mut stream: impl Read + 'a,
    len: usize,
    into: &'a mut Vec<u8>,
    calls: &'a mut usize,
) -> impl FnMut() -> io::Result<Attempt> + 'a {
    move || {
        *calls += 1;
        let mut buf = vec![0; len];
        match stream.read(&mut buf) {
            Ok(count) => {
                into.extend(&buf[..count]);
                Ok(if count > 0 && count < len { Attempt::Short(count) } else { Attempt::Done(count) })
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Attempt::WouldBlock),
            Err(error) => Err(error),
        }
    }
}

fn poll_read(
    source: &Arc<dyn Source>,
    id: u64,
    waker: &Waker,
    stream: impl Read,
    len: usize,
) -> (Poll<io::Result<usize>>, usize) {
    let (mut bytes, mut calls) = (Vec::new(), 0);
    let mut attempt = read_from(stream, len, &mut bytes, &mut calls);
    let result = source.poll_io(Direction::Read, WaitId(id), &mut Context::from_waker(waker), &mut attempt);
    drop(attempt);
    (result, calls)
}

#[track_caller]
fn ready(polled: (Poll<io::Result<usize>>, usize)) -> (usize, usize) {
    match polled {
        (Poll::Ready(Ok(count)), calls) => (count, calls),
        other => panic!("not ready with bytes: {other:?}"),
    }
}

#[test]
fn an_edge_wakes_the_waiter() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    let (count, waker) = Count::new();
    assert!(poll_read(&source, 1, &waker, &near, 8).0.is_pending());
    epoll.wait(NOT_AT_ALL).unwrap();
    far.write_all(b"abc").unwrap();
    while count.wakes() == 0 {
        epoll.wait(Some(Duration::from_secs(5))).unwrap();
    }
    assert_eq!(ready(poll_read(&source, 1, &waker, &near, 8)), (3, 1));
}

/// Calls the reactor's waker when it is woken, as an idle worker's actor does.
struct Stir(Waker);

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

#[test]
fn a_call_by_who_is_woken_in_a_wait_writes_nothing() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    let waker = Arc::new(Stir(epoll.waker())).into();
    assert!(poll_read(&source, 1, &waker, &near, 8).0.is_pending());
    epoll.wait(NOT_AT_ALL).unwrap(); // the edge of a new descriptor
    far.write_all(b"abc").unwrap();
    assert_eq!(epoll.wait(Some(Duration::from_secs(20))).unwrap(), 1);
    let mut eventfd = File::from(epoll.notifier.as_fd().try_clone_to_owned().unwrap());
    assert_eq!(eventfd.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    epoll.waker().wake(); // and calls after the wait are heard
    epoll.wait(None).unwrap();
}

#[test]
fn after_a_short_read_the_next_wait_makes_no_call() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    let (_, waker) = Count::new();
    far.write_all(b"abc").unwrap();
    epoll.wait(NOT_AT_ALL).unwrap();
    assert_eq!(ready(poll_read(&source, 1, &waker, &near, 8)), (3, 1));
    let (polled, calls) = poll_read(&source, 1, &waker, &near, 8);
    assert!(polled.is_pending());
    assert_eq!(calls, 0);
}

#[test]
fn an_event_during_an_attempt_is_not_cleared_by_it() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    epoll.wait(NOT_AT_ALL).unwrap();
    let (_, waker) = Count::new();
    let mut calls = 0;
    let polled = source.poll_io(Direction::Read, WaitId(1), &mut Context::from_waker(&waker), &mut || {
        calls += 1;
        if calls == 1 {
            // The worst moment: the attempt has seen nothing, and the edge is delivered before the
            // attempt's readiness is cleared.
            far.write_all(b"x").unwrap();
            assert_eq!(epoll.wait(NOT_AT_ALL).unwrap(), 1);
            return Ok(Attempt::WouldBlock);
        }
        (&near).read(&mut [0; 8]).map(Attempt::Done)
    });
    assert!(matches!(polled, Poll::Ready(Ok(1))), "{polled:?}");
}

thread_local! {
    /// What happens while [`HOOKED`] is cloned.
    static HOOK: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

static HOOKED: std::task::RawWakerVTable = {
    fn clone(_: *const ()) -> std::task::RawWaker {
        if let Some(hook) = HOOK.take() {
            hook();
        }
        std::task::RawWaker::new(ptr::null(), &HOOKED)
    }
    fn nothing(_: *const ()) {}
    std::task::RawWakerVTable::new(clone, nothing, nothing, nothing)
};

#[test]
fn an_event_before_the_waker_is_kept_is_not_missed() {
    let epoll = std::rc::Rc::new(Epoll::new().unwrap());
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    epoll.wait(NOT_AT_ALL).unwrap();
    // The waker is cloned after the readiness was looked at, and before the waker is kept.
    let reactor = std::rc::Rc::clone(&epoll);
    HOOK.set(Some(Box::new(move || {
        far.write_all(b"x").unwrap();
        assert_eq!(reactor.wait(NOT_AT_ALL).unwrap(), 1);
    })));
    // SAFETY: the functions of the table do not use the pointer.
    let waker = unsafe { Waker::new(ptr::null(), &HOOKED) };
    assert_eq!(ready(poll_read(&source, 1, &waker, &near, 8)), (1, 2));
}

#[test]
fn an_event_during_a_short_read_is_not_cleared_by_it() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    let (_, waker) = Count::new();
    let polled = source.poll_io(Direction::Read, WaitId(1), &mut Context::from_waker(&waker), &mut || {
        far.write_all(b"x").unwrap();
        epoll.wait(NOT_AT_ALL).unwrap();
        Ok(Attempt::Short(1))
    });
    assert!(polled.is_ready());
    assert_eq!(ready(poll_read(&source, 1, &waker, &near, 8)), (1, 1));
}

#[test]
fn the_end_of_the_stream_survives_a_short_read() {
    let epoll = Epoll::new().unwrap();
    let (near, far) = tcp_pair();
    let source = epoll.register(near.as_fd()).unwrap();
    let (count, waker) = Count::new();
    assert!(poll_read(&source, 1, &waker, &near, 8).0.is_pending());
    (&far).write_all(b"abc").unwrap();
    drop(far);
    while count.wakes() == 0 {
        epoll.wait(Some(Duration::from_secs(5))).unwrap();
    }
    let wait = || run(&epoll, poll_fn(|cx| poll_read(&source, 1, cx.waker(), &near, 8).0)).unwrap();
    // The hang-up may have come with the data, as one edge.
    assert_eq!((wait(), wait()), (3, 0));
}

#[test]
fn data_behind_an_urgent_byte_survives_a_short_read() {
    let epoll = Epoll::new().unwrap();
    let (near, far) = tcp_pair();
    far.set_nodelay(true).unwrap();
    let source = epoll.register(near.as_fd()).unwrap();
    (&far).write_all(b"abc").unwrap();
    // SAFETY: one byte is readable at the pointer.
    assert_eq!(unsafe { libc::send(far.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) }, 1);
    (&far).write_all(b"def").unwrap();
    // One edge for all of it, before the read that stops at the mark.
    epoll.wait(Some(Duration::from_secs(5))).unwrap();
    let mut bytes = 0;
    while bytes < 6 {
        bytes += run(&epoll, poll_fn(|cx| poll_read(&source, 1, cx.waker(), &near, 8).0)).unwrap();
    }
}

#[test]
fn one_edge_wakes_all_who_wait() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    let waiters: Vec<_> = (0..5).map(|_| Count::new()).collect();
    for (id, (_, waker)) in waiters.iter().enumerate() {
        assert!(poll_read(&source, id as u64, waker, &near, 8).0.is_pending());
    }
    epoll.wait(NOT_AT_ALL).unwrap();
    let before: Vec<_> = waiters.iter().map(|(count, _)| count.wakes()).collect();
    far.write_all(b"x").unwrap();
    assert_eq!(epoll.wait(Some(Duration::from_secs(5))).unwrap(), 1);
    for ((count, _), before) in waiters.iter().zip(before) {
        assert_eq!(count.wakes(), before + 1);
    }
}

#[test]
fn a_wait_polled_again_is_woken_once_and_through_its_last_waker() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    epoll.wait(NOT_AT_ALL).unwrap();
    let ((old, old_waker), (new, new_waker)) = (Count::new(), Count::new());
    assert!(poll_read(&source, 1, &old_waker, &near, 8).0.is_pending());
    assert!(poll_read(&source, 1, &new_waker, &near, 8).0.is_pending());
    far.write_all(b"x").unwrap();
    epoll.wait(Some(Duration::from_secs(5))).unwrap();
    assert_eq!((old.wakes(), new.wakes()), (0, 1));
}

#[test]
fn a_forgotten_wait_keeps_no_waker_and_takes_none_from_others() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    epoll.wait(NOT_AT_ALL).unwrap();
    let (count, waker) = Count::new();
    for id in 0..2 {
        assert!(poll_read(&source, id, &waker, &near, 8).0.is_pending());
    }
    assert_eq!(Arc::strong_count(&count), 4);
    source.forget(Direction::Read, WaitId(0));
    assert_eq!(Arc::strong_count(&count), 3);
    far.write_all(b"x").unwrap();
    epoll.wait(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(count.wakes(), 1);
}

#[test]
fn a_registered_descriptor_is_registered_again_as_a_duplicate() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let sources = [epoll.register(near.as_fd()).unwrap(), epoll.register(near.as_fd()).unwrap()];
    assert_eq!(epoll.registered(), 2);
    epoll.wait(NOT_AT_ALL).unwrap();
    let (count, waker) = Count::new();
    for source in &sources {
        assert!(poll_read(source, 1, &waker, &near, 8).0.is_pending());
    }
    far.write_all(b"x").unwrap();
    while count.wakes() < 2 {
        epoll.wait(Some(Duration::from_secs(5))).unwrap();
    }
    let [first, second] = sources;
    drop(first);
    assert_eq!(ready(poll_read(&second, 1, &waker, &near, 8)), (1, 1));
    assert!(poll_read(&second, 1, &waker, &near, 8).0.is_pending());
    far.write_all(b"y").unwrap();
    epoll.wait(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(count.wakes(), 3);
    drop(second);
    assert_eq!(epoll.registered(), 0);
}

/// Ends another source, and puts a new one in its place, from inside a wake.
struct Replace {
    victim: std::sync::Mutex<Option<(UnixStream, Arc<dyn Source>)>>,
}

impl Wake for Replace {
    fn wake(self: Arc<Self>) {
        self.victim.lock().unwrap().take();
    }
}

#[test]
fn an_event_of_a_source_that_has_ended_reaches_nobody() {
    let epoll = Epoll::new().unwrap();
    let (first, mut first_far) = pair();
    let (second, mut second_far) = pair();
    let (near, _far) = pair();
    let sources = [epoll.register(first.as_fd()).unwrap(), epoll.register(second.as_fd()).unwrap()];
    epoll.wait(NOT_AT_ALL).unwrap();
    // Both have events in one batch; whoever comes first ends both sources.
    let streams = [first, second];
    let wakers: Vec<_> = (0..2).map(|_| Arc::new(Replace { victim: std::sync::Mutex::new(None) })).collect();
    for ((source, stream), waker) in sources.iter().zip(&streams).zip(&wakers) {
        assert!(poll_read(source, 1, &Arc::clone(waker).into(), stream, 8).0.is_pending());
    }
    let [first, second] = sources;
    let [first_stream, second_stream] = streams;
    *wakers[0].victim.lock().unwrap() = Some((second_stream, second));
    *wakers[1].victim.lock().unwrap() = Some((first_stream, first));
    first_far.write_all(b"x").unwrap();
    second_far.write_all(b"x").unwrap();
    assert_eq!(epoll.wait(Some(Duration::from_secs(5))).unwrap(), 1);
    assert_eq!(epoll.registered(), 1);
    // The freed entry and descriptor number have new owners now, and a stale key finds neither.
    let source = epoll.register(near.as_fd()).unwrap();
    let (count, waker) = Count::new();
    assert!(poll_read(&source, 1, &waker, &near, 8).0.is_pending());
    let stale: Vec<_> = (0..2).filter(|&index| epoll.registry.find(Key(index << 32)).is_some()).collect();
    assert_eq!(stale.len(), 1, "of the first two keys one is in use, and the other's life is over");
    epoll.wait(NOT_AT_ALL).unwrap();
    assert_eq!(count.wakes(), 0);
}

#[test]
fn the_end_of_the_reactor_wakes_the_waiters_and_is_told() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let source = epoll.register(near.as_fd()).unwrap();
    let (count, waker) = Count::new();
    assert!(poll_read(&source, 1, &waker, &near, 8).0.is_pending());
    drop(epoll);
    assert_eq!(count.wakes(), 1);
    let (Poll::Ready(Err(error)), 0) = poll_read(&source, 1, &waker, &near, 8) else {
        panic!("no error");
    };
    assert!(ReactorGone::is(&error));
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    // Another reactor takes the descriptor, although the old source still exists.
    let epoll = Epoll::new().unwrap();
    let renewed = epoll.register(near.as_fd()).unwrap();
    far.write_all(b"x").unwrap();
    let wait = poll_fn(|cx| poll_read(&renewed, 1, cx.waker(), &near, 8).0);
    assert_eq!(run(&epoll, wait).unwrap(), 1);
    drop(source);
    assert_eq!(epoll.registered(), 1);
}

#[test]
fn a_call_from_another_thread_ends_the_wait() {
    let epoll = Epoll::new().unwrap();
    let waker = epoll.waker();
    let caller = thread::spawn(move || waker.wake());
    assert_eq!(epoll.wait(None).unwrap(), 0);
    caller.join().unwrap();
}

#[test]
fn a_call_before_the_wait_is_kept_and_many_are_one() {
    let epoll = Epoll::new().unwrap();
    let waker = epoll.waker();
    for _ in 0..1000 {
        waker.wake_by_ref();
    }
    let mut writes = 0_u64;
    // SAFETY: eight bytes are writable at the pointer.
    let read = unsafe { libc::read(epoll.notifier.as_fd().as_raw_fd(), (&raw mut writes).cast(), 8) };
    assert_eq!((read, writes), (8, 1));
    // The edge was taken back by that read; the next call after a wait makes a new one.
    epoll.wait(NOT_AT_ALL).unwrap();
    epoll.notifier.acknowledge();
    waker.wake_by_ref();
    epoll.wait(None).unwrap();
}

#[test]
fn every_call_is_answered_by_a_wait_that_sees_its_work() {
    const CALLS: usize = 20_000;
    let epoll = Epoll::new().unwrap();
    let work = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (waker, work) = (epoll.waker(), Arc::clone(&work));
            thread::spawn(move || {
                for _ in 0..CALLS {
                    work.fetch_add(1, Ordering::Relaxed);
                    waker.wake_by_ref();
                }
            })
        })
        .collect();
    let mut seen = 0;
    while seen < 2 * CALLS {
        let before = Instant::now();
        epoll.wait(Some(Duration::from_secs(20))).unwrap();
        assert!(before.elapsed() < Duration::from_secs(15), "a call was lost");
        seen = work.load(Ordering::Relaxed);
    }
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

#[test]
fn a_waker_outlives_the_reactor() {
    let epoll = Epoll::new().unwrap();
    let waker = epoll.waker();
    drop(epoll);
    waker.wake();
}

#[test]
fn no_wait_ends_early() {
    let epoll = create().unwrap();
    let timer = timer_in(&epoll).unwrap();
    for epoll in [Epoll::new().unwrap(), Epoll::with_clock(epoll, timer).unwrap()] {
        for micros in [1, 70, 300, 1500] {
            let span = Duration::from_micros(micros);
            let before = Instant::now();
            epoll.wait(Some(span)).unwrap();
            assert!(before.elapsed() >= span, "{span:?}");
        }
    }
}

#[test]
fn the_timer_of_an_old_kernel_does_not_disturb_later_waits() {
    let inner = create().unwrap();
    let timer = timer_in(&inner).unwrap();
    let epoll = Epoll::with_clock(inner, timer).unwrap();
    let waker = epoll.waker();
    waker.wake_by_ref();
    epoll.wait(Some(Duration::from_millis(5))).unwrap();
    // The timer has not fired; a wait without limit must not be ended by it.
    let caller = thread::spawn(move || waker.wake());
    epoll.wait(None).unwrap();
    caller.join().unwrap();
    epoll.wait(NOT_AT_ALL).unwrap();
}

#[test]
fn a_descriptor_that_cannot_be_polled_is_refused() {
    let epoll = Epoll::new().unwrap();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let error = epoll.register(file.as_fd()).err().unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    // SAFETY: no such descriptor is open, nor will be; only the error is of interest.
    let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX - 1) };
    let error = epoll.register(closed).err().unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    assert_eq!(epoll.registered(), 0);
}

#[test]
fn a_source_may_end_on_any_thread_at_any_time() {
    let epoll = Epoll::new().unwrap();
    for _ in 0..200 {
        let (near, mut far) = pair();
        let source = epoll.register(near.as_fd()).unwrap();
        let ender = thread::spawn(move || {
            drop(source);
            drop(near);
        });
        // It may fail: the other end may be gone already.
        let (Ok(_) | Err(_)) = far.write(b"x");
        epoll.wait(NOT_AT_ALL).unwrap();
        ender.join().unwrap();
    }
    assert_eq!(epoll.registered(), 0);
}

#[test]
fn bytes_between_threads_never_leave_the_reader_waiting() {
    const BYTES: usize = 50_000;
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    far.set_nonblocking(false).unwrap();
    let writer = thread::spawn(move || {
        for at in 0..BYTES {
            far.write_all(&[at as u8]).unwrap();
        }
    });
    let source = epoll.register(near.as_fd()).unwrap();
    let mut total = 0;
    while total < BYTES {
        total += run(&epoll, poll_fn(|cx| poll_read(&source, 1, cx.waker(), &near, 64).0)).unwrap();
    }
    writer.join().unwrap();
}
