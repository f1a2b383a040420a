//! tokio's and futures' traits over smarm's streams: beside a worker, on other runtimes, and nowhere.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smarm::net::{TcpListener, TcpStream};
use smarm_compat::await_future;
use smarm_compat::io::AsyncIo;
use smarm_workspace::{PATIENCE, block_on, within, workers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bridge_support::{on_tokio, tokio_of};

/// Both ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Echoes until the peer ends.
async fn echo(stream: TcpStream) {
    let (mut reads, mut writes) = tokio::io::split(AsyncIo::new(stream));
    tokio::io::copy(&mut reads, &mut writes).await.unwrap();
    writes.shutdown().await.unwrap();
}

/// Sends much to somebody who echoes, and receives it, at the same time.
async fn exchange(stream: TcpStream) {
    const SIZE: usize = 1 << 20;
    let (mut reads, mut writes) = tokio::io::split(AsyncIo::new(stream));
    let write = async {
        writes.write_all(&pattern(SIZE)).await.unwrap();
        writes.shutdown().await.unwrap();
    };
    let mut all = Vec::new();
    let read = async { reads.read_to_end(&mut all).await.unwrap() };
    tokio::join!(write, read);
    assert!(all == pattern(SIZE));
}

#[test]
fn tasks_beside_workers_exchange_many_bytes() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(move || {
                let (near, far) = pair();
                let echo = tokio_of(workers - 1).spawn(echo(far));
                await_future(tokio::spawn(exchange(near))).unwrap();
                await_future(echo).unwrap();
            });
        }
    });
}

#[test]
fn a_task_and_an_actor_with_stds_traits_share_one_stream() {
    within(PATIENCE, || {
        on_tokio(2).run(|| {
            let (near, far) = pair();
            let near = Arc::new(near);
            let mut writes = AsyncIo::new(near.clone());
            let task = tokio_of(1).spawn(async move {
                for n in 0..1000_u32 {
                    AsyncWriteExt::write_all(&mut writes, &n.to_be_bytes()).await.unwrap();
                }
            });
            let echo = smarm::spawn(move || {
                let mut word = [0; 4];
                for _ in 0..1000 {
                    (&far).read_exact(&mut word).unwrap();
                    (&far).write_all(&word).unwrap();
                }
            });
            for n in 0..1000_u32 {
                let mut word = [0; 4];
                (&*near).read_exact(&mut word).unwrap();
                assert_eq!(u32::from_be_bytes(word), n);
            }
            echo.join().unwrap();
            await_future(task).unwrap();
        });
    });
}

#[test]
fn tasks_of_a_tokio_service_without_smarm_use_it() {
    within(PATIENCE, || {
        let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let multi =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        for tokio in [&current, &multi] {
            let (near, far) = pair();
            tokio.block_on(async {
                let echo = tokio::spawn(echo(far));
                tokio::spawn(exchange(near)).await.unwrap();
                echo.await.unwrap();
            });
        }
    });
}

#[test]
fn an_actor_of_a_runtime_without_tokio_awaits_it() {
    within(PATIENCE, || {
        workers(2).run(|| {
            let (near, far) = pair();
            let echo = smarm::spawn(|| await_future(echo(far)));
            await_future(exchange(near));
            echo.join().unwrap();
        });
    });
}

#[test]
fn on_a_thread_without_any_reactor_only_what_is_ready_succeeds() {
    within(PATIENCE, || {
        let (near, far) = pair();
        let mut near = AsyncIo::new(near);
        (&far).write_all(b"x").unwrap();
        let mut buf = [0; 8];
        assert_eq!(block_on(AsyncReadExt::read(&mut near, &mut buf)).unwrap(), 1);
        let error = block_on(AsyncReadExt::read(&mut near, &mut buf)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("in a task of tokio's"));
        // Nothing is broken by that.
        (&far).write_all(b"yz").unwrap();
        smarm::io::wait_readable(near.get_ref()).unwrap();
        assert_eq!(block_on(AsyncReadExt::read(&mut near, &mut buf)).unwrap(), 2);
    });
}

#[test]
fn once_registered_it_is_polled_on_any_thread() {
    within(PATIENCE, || {
        let runtime = on_tokio(1);
        let (near, far) = pair();
        let mut near = AsyncIo::new(near);
        let mut near = runtime.run(move || {
            let polled = Pin::new(&mut near).poll_read_now(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            near
        });
        let writer = thread::spawn(move || (&far).write_all(b"hello").map(|()| far));
        let mut buf = [0; 5];
        block_on(AsyncReadExt::read_exact(&mut near, &mut buf)).unwrap();
        assert_eq!(&buf, b"hello");
        drop(writer.join().unwrap().unwrap());
        drop(runtime);
    });
}

trait PollReadNow {
    fn poll_read_now(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>>;
}

impl PollReadNow for AsyncIo<TcpStream> {
    fn poll_read_now(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        futures_util::io::AsyncRead::poll_read(self, cx, &mut [0; 8])
    }
}

#[test]
fn it_outlives_the_runtime_that_it_was_registered_with() {
    within(PATIENCE, || {
        let (near, far) = pair();
        let mut near = AsyncIo::new(near);
        for round in 0..4_u8 {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let read = |near: &mut AsyncIo<TcpStream>| {
                let mut buf = [0; 1];
                let polled = Pin::new(&mut *near).poll_read_now(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
                (&far).write_all(&[round]).unwrap();
                await_or_block(AsyncReadExt::read_exact(near, &mut buf), &tokio).unwrap();
                assert_eq!(buf, [round]);
            };
            if round % 2 == 0 {
                let _context = tokio.enter();
                read(&mut near);
            } else {
                near = on_tokio(1).run(|| {
                    read(&mut near);
                    near
                });
            }
        }
    });
}

/// In an actor the one, elsewhere the other.
fn await_or_block<T>(future: impl Future<Output = T>, tokio: &tokio::runtime::Runtime) -> T {
    if smarm::try_self_pid().is_some() { await_future(future) } else { tokio.block_on(future) }
}

#[test]
fn futures_own_traits_are_there_too() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = pair();
            let echo = tokio::spawn(async move {
                let (reads, mut writes) = futures_util::io::AsyncReadExt::split(AsyncIo::new(far));
                futures_util::io::copy(reads, &mut writes).await.unwrap();
                writes.close().await.unwrap();
            });
            await_future(async {
                let (mut reads, mut writes) = futures_util::io::AsyncReadExt::split(AsyncIo::new(near));
                let bufs = [IoSlice::new(b"abc"), IoSlice::new(b"defg")];
                assert_eq!(writes.write_vectored(&bufs).await.unwrap(), 7);
                writes.flush().await.unwrap();
                let (mut first, mut second) = ([0; 3], [0; 4]);
                let mut bufs = [&mut first[..], &mut second].map(IoSliceMut::new);
                // What was sent in one call comes back in one.
                assert_eq!(reads.read_vectored(&mut bufs).await.unwrap(), 7);
                assert_eq!((&first, &second), (b"abc", b"defg"));
                writes.close().await.unwrap();
                assert_eq!(reads.read(&mut [0; 4]).await.unwrap(), 0);
            });
            await_future(echo).unwrap();
        });
    });
}

#[test]
fn several_buffers_are_written_in_one_call() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = pair();
            await_future(async {
                let mut near = AsyncIo::new(&near);
                assert!(tokio::io::AsyncWrite::is_write_vectored(&near));
                let bufs = [IoSlice::new(b"abc"), IoSlice::new(b"defg")];
                assert_eq!(AsyncWriteExt::write_vectored(&mut near, &bufs).await.unwrap(), 7);
                AsyncWriteExt::flush(&mut near).await.unwrap();
            });
            let mut heard = [0; 7];
            (&far).read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"abcdefg");
        });
    });
}

#[test]
fn shutdown_ends_one_direction_and_one_that_comes_too_late_is_no_error() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = pair();
            await_future(async {
                let (mut near, mut far) = (AsyncIo::new(near), AsyncIo::new(far));
                near.shutdown().await.unwrap();
                assert_eq!(AsyncReadExt::read(&mut far, &mut [0; 8]).await.unwrap(), 0);
                AsyncWriteExt::write_all(&mut far, b"answer").await.unwrap();
                far.shutdown().await.unwrap();
                let mut text = String::new();
                AsyncReadExt::read_to_string(&mut near, &mut text).await.unwrap();
                assert_eq!(text, "answer");
                near.shutdown().await.unwrap();
            });
        });
    });
}

#[test]
fn a_peer_that_resets_the_connection_is_an_error() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = pair();
            (&near).write_all(b"unread").unwrap();
            far.peek(&mut [0]).unwrap();
            let read = tokio::spawn(async move {
                let mut near = AsyncIo::new(near);
                AsyncReadExt::read(&mut near, &mut [0]).await
            });
            smarm::yield_now();
            drop(far); // with bytes unread
            let error = await_future(read).unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
    });
}

#[test]
fn a_dropped_read_takes_no_bytes() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (near, far) = pair();
            let mut near = AsyncIo::new(near);
            await_future(async {
                let mut buf = [0; 8];
                tokio::select! {
                    biased;
                    _ = AsyncReadExt::read(&mut near, &mut buf) => unreachable!("nobody wrote"),
                    () = tokio::task::yield_now() => {}
                }
            });
            (&far).write_all(b"hello").unwrap();
            let mut buf = [0; 5];
            await_future(AsyncReadExt::read_exact(&mut near, &mut buf)).unwrap();
            assert_eq!(&buf, b"hello");
        });
    });
}
