use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use super::*;
use crate::host::epoll::Epoll;
use crate::host::testing::run;

fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    set_nonblocking(&near, true).unwrap();
    (near, far)
}

/// Writes until there is no room.
fn fill(mut stream: &UnixStream) {
    while stream.write(&[0; 4096]).is_ok() {}
}

/// Polls both, in turn, until both are ready.
async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    let (mut a, mut b) = (None, None);
    std::future::poll_fn(move |cx| {
        use std::task::Poll;
        if a.is_none()
            && let Poll::Ready(value) = first.as_mut().poll(cx)
        {
            a = Some(value);
        }
        if b.is_none()
            && let Poll::Ready(value) = second.as_mut().poll(cx)
        {
            b = Some(value);
        }
        match (a.take(), b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (left, right) => {
                (a, b) = (left, right);
                Poll::Pending
            }
        }
    })
    .await
}

#[test]
fn a_thread_waits_until_the_other_end_writes() {
    let (near, far) = pair();
    let writer = thread::spawn(move || write(&far, b"abc").unwrap());
    let mut buf = [0; 8];
    assert_eq!(read(&near, &mut buf).unwrap(), 3);
    assert_eq!(&buf[..3], b"abc");
    assert_eq!(writer.join().unwrap(), 3);
}

#[test]
fn a_thread_waits_for_room() {
    let (near, mut far) = pair();
    fill(&near);
    let reader = thread::spawn(move || far.read_to_end(&mut Vec::new()).unwrap());
    assert_eq!(write(&near, &[0; 10]).unwrap(), 10);
    drop(near);
    assert!(reader.join().unwrap() > 10);
}

#[test]
fn a_wait_without_news_times_out_and_never_early() {
    let (near, _far) = pair();
    fill(&near);
    let span = Duration::from_millis(2);
    let before = Instant::now();
    assert_eq!(wait_readable_timeout(&near, span).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(wait_writable_timeout(&near, span).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(before.elapsed() >= 2 * span);
    let past = Instant::now();
    assert_eq!(read_deadline(&near, &mut [0; 8], past).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(write_deadline(&near, &[0; 8], past).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn a_ready_descriptor_wins_over_a_deadline_in_the_past() {
    let (near, mut far) = pair();
    far.write_all(b"abc").unwrap();
    let past = Instant::now();
    wait_readable_deadline(&near, past).unwrap();
    wait_writable_deadline(&near, past).unwrap();
    wait_readable_timeout(&near, Duration::ZERO).unwrap();
    wait_writable_timeout(&near, Duration::MAX).unwrap();
    assert_eq!(read_deadline(&near, &mut [0; 8], past).unwrap(), 3);
    assert_eq!(write_deadline(&near, &[0; 8], past).unwrap(), 8);
}

#[test]
fn a_hang_up_ends_every_wait() {
    let (near, far) = pair();
    fill(&near);
    drop(far);
    wait_readable(&near).unwrap();
    wait_writable(&near).unwrap();
    let epoll = Epoll::new().unwrap();
    run(&epoll, async {
        wait_readable_async(&near).await.unwrap();
        wait_writable_async(&near).await.unwrap();
    });
}

#[test]
fn a_closed_descriptor_is_an_error_and_a_file_is_always_ready() {
    // SAFETY: no such descriptor is open, nor will be; only the error is of interest.
    let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX - 1) };
    assert_eq!(wait_readable(closed).unwrap_err().raw_os_error(), Some(libc::EBADF));
    assert_eq!(wait_writable(closed).unwrap_err().raw_os_error(), Some(libc::EBADF));
    assert_eq!(read(closed, &mut [0]).unwrap_err().raw_os_error(), Some(libc::EBADF));
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    wait_readable(&file).unwrap();
    let epoll = Epoll::new().unwrap();
    run(&epoll, wait_readable_async(&file)).unwrap();
    assert_eq!(run(&epoll, wait_readable_async(closed)).unwrap_err().raw_os_error(), Some(libc::EBADF));
}

#[test]
fn a_future_waits_in_the_reactor_and_leaves_nothing_there() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let writer = thread::spawn(move || {
        far.write_all(b"x").unwrap();
        far
    });
    run(&epoll, wait_readable_async(&near)).unwrap();
    assert_eq!(read(&near, &mut [0; 8]).unwrap(), 1);
    assert_eq!(epoll.registered(), 0);
    drop(writer.join().unwrap());
}

#[test]
fn two_waits_for_one_descriptor_both_end() {
    let epoll = Epoll::new().unwrap();
    let (near, mut far) = pair();
    let writer = thread::spawn(move || far.write_all(b"x").map(|()| far));
    let (first, second) = run(&epoll, both(wait_readable_async(&near), wait_readable_async(&near)));
    first.unwrap();
    second.unwrap();
    assert_eq!(epoll.registered(), 0);
    writer.join().unwrap().unwrap();
}

#[test]
fn a_future_that_must_wait_without_a_reactor_says_so() {
    let (near, mut far) = pair();
    let poll = |future: &mut (dyn Future<Output = io::Result<()>> + Unpin)| {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    };
    let std::task::Poll::Ready(Err(error)) = poll(&mut Box::pin(wait_readable_async(&near))) else {
        panic!("no error");
    };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    far.write_all(b"x").unwrap();
    assert!(matches!(poll(&mut Box::pin(wait_readable_async(&near))), std::task::Poll::Ready(Ok(()))));
}

#[test]
fn a_cancelled_wait_is_not_retried_by_std() {
    let error = io::Error::from(Cancelled);
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.get_ref().unwrap().is::<Cancelled>());
}
