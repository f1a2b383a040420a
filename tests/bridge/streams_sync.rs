//! std's traits over tokio's streams: reading, writing, seeking, deadlines, kills and ends.

use std::future::poll_fn;
use std::io::{
    BufRead, BufReader, BufWriter, Cursor, ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write,
};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use smarm::Config;
use smarm_compat::await_future;
use smarm_compat::io::SyncIo;
use smarm_workspace::{Drops, PATIENCE, Signal, calm, panic_message, within};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};

use crate::bridge_support::{last_worker, on_tokio, on_tokio_with, spawn_on};

const MOMENT: Duration = Duration::from_millis(2);
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// Both ends of a connection of tokio's.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

fn pair() -> (SyncIo<TcpStream>, SyncIo<TcpStream>) {
    let (near, far) = await_future(connection());
    (near.into(), far.into())
}

/// Both ends of a pipe in memory, which holds so many bytes in each direction.
fn pipe(size: usize) -> (SyncIo<DuplexStream>, SyncIo<DuplexStream>) {
    let (near, far) = duplex(size);
    (near.into(), far.into())
}

/// Bytes of which each place tells where it was.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Runs `test` in an actor on tokio.
fn in_actor(test: impl FnOnce() + Send) {
    within(PATIENCE, || on_tokio(1).run(test));
}

#[test]
fn an_actor_and_a_task_exchange_bytes() {
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let (near, mut far) = await_future(connection());
                let task = tokio::spawn(async move {
                    for n in 0..500_u32 {
                        far.write_u32(n).await.unwrap();
                        assert_eq!(far.read_u32().await.unwrap(), n);
                    }
                });
                spawn_on(last_worker(), move || {
                    let mut near = SyncIo::new(near);
                    let mut word = [0; 4];
                    for n in 0..500_u32 {
                        near.read_exact(&mut word).unwrap();
                        assert_eq!(u32::from_be_bytes(word), n);
                        near.write_all(&word).unwrap();
                    }
                })
                .join()
                .unwrap();
                await_future(task).unwrap();
            });
        }
    });
}

#[test]
fn a_plain_thread_blocks_in_it() {
    within(PATIENCE, || {
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (near, far) = tokio.block_on(connection());
        let echo = tokio.spawn(async move {
            let (mut reads, mut writes) = far.into_split();
            tokio::io::copy(&mut reads, &mut writes).await.unwrap();
        });
        let _context = tokio.enter();
        let mut near = SyncIo::new(near);
        near.set_read_timeout(Some(MOMENT)).unwrap();
        let before = Instant::now();
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(before.elapsed() >= MOMENT);
        near.set_read_timeout(None).unwrap();
        for _ in 0..100 {
            near.write_all(b"hello").unwrap();
            let mut heard = [0; 5];
            near.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hello");
        }
        near.shutdown().unwrap();
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
        tokio.block_on(echo).unwrap();
    });
}

#[test]
fn many_bytes_go_both_ways_between_two_actors_on_each_end() {
    const SIZE: usize = 2 << 20;
    /// Sends all through one half while it receives all through the other.
    fn both_ways<R, W>(reads: R, writes: W) -> [smarm::JoinHandle<()>; 2]
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (mut reads, mut writes) = (SyncIo::new(reads), SyncIo::new(writes));
        let writer = smarm::spawn(move || {
            writes.write_all(&pattern(SIZE)).unwrap();
            writes.shutdown().unwrap();
        });
        let reader = smarm::spawn(move || {
            let mut all = Vec::new();
            reads.read_to_end(&mut all).unwrap();
            assert!(all == pattern(SIZE));
        });
        [writer, reader]
    }
    within(PATIENCE, || {
        for workers in [1, 2] {
            on_tokio(workers).run(|| {
                let (near, far) = await_future(connection());
                let (reads, writes) = tokio::io::split(near);
                let near = both_ways(reads, writes);
                let (reads, writes) = far.into_split();
                let far = both_ways(reads, writes);
                near.into_iter().chain(far).for_each(|actor| actor.join().unwrap());
            });
        }
    });
}

#[test]
fn a_read_without_bytes_times_out_and_the_stream_goes_on() {
    in_actor(|| {
        let (mut near, mut far) = pair();
        near.set_read_timeout(Some(MOMENT)).unwrap();
        assert_eq!(near.read_timeout(), Some(MOMENT));
        for _ in 0..3 {
            let before = Instant::now();
            assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(before.elapsed() >= MOMENT);
        }
        far.write_all(b"hello").unwrap();
        near.set_read_timeout(Some(FOR_EVER)).unwrap();
        let mut heard = [0; 5];
        near.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    });
}

#[test]
fn a_write_without_room_times_out() {
    in_actor(|| {
        let (mut near, mut far) = pipe(4);
        near.set_write_timeout(Some(MOMENT)).unwrap();
        assert_eq!(near.write(b"hello").unwrap(), 4);
        assert_eq!(near.write(b"o").unwrap_err().kind(), ErrorKind::TimedOut);
        let mut heard = [0; 4];
        far.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hell");
        assert_eq!(near.write(b"o").unwrap(), 1);
    });
}

#[test]
fn what_is_ready_wins_over_the_shortest_timeout() {
    in_actor(|| {
        let (mut near, mut far) = pipe(4);
        near.set_read_timeout(Some(Duration::from_nanos(1))).unwrap();
        far.write_all(b"abcd").unwrap();
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 4);
    });
}

#[test]
fn a_timeout_of_zero_is_refused() {
    let mut stream = SyncIo::new(());
    let zero = Some(Duration::ZERO);
    assert_eq!(stream.set_read_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(stream.set_write_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!((stream.read_timeout(), stream.write_timeout()), (None, None));
    stream.set_write_timeout(Some(MOMENT)).unwrap();
    assert_eq!((stream.read_timeout(), stream.write_timeout()), (None, Some(MOMENT)));
}

#[test]
fn a_kill_in_a_read_unwinds_and_closes_the_stream() {
    in_actor(|| {
        for rounds in 0..10 {
            let (mut near, mut far) = pair();
            let drops = Drops::new();
            let counted = drops.counted();
            let reader = smarm::spawn_local(move || {
                let _counted = counted;
                let _count = near.read(&mut [0; 10]);
                unreachable!("nobody wrote");
            });
            for _ in 0..rounds {
                smarm::yield_now();
            }
            reader.kill();
            assert!(reader.join().unwrap_err().is_killed());
            assert_eq!(drops.count(), 1);
            assert_eq!(far.read(&mut [0]).unwrap(), 0);
        }
    });
}

#[test]
fn a_kill_in_one_half_leaves_the_other_alone() {
    in_actor(|| {
        let (near, far) = await_future(connection());
        let (reads, writes) = tokio::io::split(near);
        let reader = smarm::spawn_local(move || SyncIo::new(reads).read(&mut [0]).unwrap());
        for _ in 0..5 {
            smarm::yield_now();
        }
        reader.kill();
        assert!(reader.join().unwrap_err().is_killed());
        let mut writes = SyncIo::new(writes);
        writes.write_all(b"still here").unwrap();
        writes.shutdown().unwrap();
        let mut heard = String::new();
        SyncIo::new(far).read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "still here");
    });
}

#[test]
fn a_killed_actors_buffer_is_not_flushed_to_a_peer_who_does_not_read() {
    in_actor(|| {
        let (near, _far) = pipe(1);
        let writer = smarm::spawn_local(move || {
            let mut writer = BufWriter::new(near);
            writer.write_all(b"more than there is room for").unwrap();
            smarm::sleep(FOR_EVER);
        });
        for _ in 0..5 {
            smarm::yield_now();
        }
        writer.kill();
        assert!(writer.join().unwrap_err().is_killed());
    });
}

#[test]
fn a_wait_in_a_killed_actors_destructor_says_that_it_was_cancelled() {
    struct ReadsWhenDropped(SyncIo<DuplexStream>, smarm::Sender<Result<usize, std::io::Error>>);
    impl Drop for ReadsWhenDropped {
        fn drop(&mut self) {
            let mut buf = [0; 2];
            self.1.send(self.0.read(&mut buf)).unwrap();
            self.1.send(self.0.read(&mut buf)).unwrap();
        }
    }
    in_actor(|| {
        let (near, mut far) = pipe(2);
        far.write_all(b"ab").unwrap();
        let (sender, results) = smarm::channel();
        let begun = Signal::new();
        let theirs = begun.clone();
        let reader = smarm::spawn_local(move || {
            let _reads = ReadsWhenDropped(near, sender);
            theirs.raise();
            smarm::sleep(FOR_EVER);
        });
        begun.wait(1);
        reader.kill();
        assert!(reader.join().unwrap_err().is_killed());
        assert_eq!(results.recv().unwrap().unwrap(), 2); // it was ready
        let error = results.recv().unwrap().unwrap_err();
        assert!(error.get_ref().unwrap().is::<smarm::io::Cancelled>());
    });
}

#[test]
fn an_actor_that_panics_can_still_write_in_its_destructors() {
    in_actor(|| {
        let (near, mut far) = pipe(1);
        let writer = smarm::spawn_local(move || {
            let mut writer = BufWriter::new(near);
            writer.write_all(b"last words").unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        let mut heard = String::new();
        far.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "last words");
        assert!(writer.join().unwrap_err().is_panic());
    });
}

#[test]
fn a_peer_that_resets_the_connection_is_an_error() {
    in_actor(|| {
        let (mut near, mut far) = pair();
        near.write_all(b"unread").unwrap();
        // There are bytes, and closing with bytes unread resets.
        await_future(far.get_mut().readable()).unwrap();
        drop(far);
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn the_end_of_a_stream_is_zero_bytes_again_and_again() {
    in_actor(|| {
        let (mut near, mut far) = pair();
        far.write_all(b"x").unwrap();
        drop(far);
        assert_eq!(near.read(&mut [0; 9]).unwrap(), 1);
        for _ in 0..3 {
            assert_eq!(near.read(&mut [0; 9]).unwrap(), 0);
        }
    });
}

#[test]
fn shutdown_ends_one_direction_only() {
    in_actor(|| {
        let (mut near, mut far) = pair();
        near.write_all(b"question").unwrap();
        near.shutdown().unwrap();
        let mut text = String::new();
        far.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        far.write_all(b"answer").unwrap();
        drop(far);
        text.clear();
        near.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
    });
}

#[test]
fn short_writes_arrive_whole_and_in_order() {
    in_actor(|| {
        let (mut near, mut far) = pipe(7);
        assert_eq!(near.write(&[0; 100]).unwrap(), 7);
        let writer = smarm::spawn_local(move || {
            near.write_all(&pattern(10_000)).unwrap();
            near.flush().unwrap();
        });
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        assert!(all[7..] == pattern(10_000));
        writer.join().unwrap();
    });
}

#[test]
fn several_buffers_are_read_and_written_in_one_call() {
    in_actor(|| {
        let (mut near, mut far) = pair();
        let bufs = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defgh")];
        assert_eq!(near.write_vectored(&bufs).unwrap(), 8);
        await_future(far.get_mut().readable()).unwrap();
        let (mut first, mut second, mut third) = ([0; 2], [0; 5], [0; 9]);
        let mut bufs = [&mut [][..], &mut first, &mut second, &mut third].map(IoSliceMut::new);
        assert_eq!(far.read_vectored(&mut bufs).unwrap(), 8);
        assert_eq!((&first, &second, &third[..1]), (b"ab", b"cdefg", &b"h"[..]));

        // A large first buffer is read into directly, and alone.
        near.write_all(b"xyz").unwrap();
        let mut large = vec![0; 1 << 16];
        let mut bufs = [IoSliceMut::new(&mut large), IoSliceMut::new(&mut third)];
        assert_eq!(far.read_vectored(&mut bufs).unwrap(), 3);
        assert_eq!(&large[..3], b"xyz");
    });
}

#[test]
fn an_empty_buffer_never_waits() {
    in_actor(|| {
        let (mut near, _far) = pair();
        assert_eq!(near.read(&mut []).unwrap(), 0);
        assert_eq!(near.read_vectored(&mut []).unwrap(), 0);
        assert_eq!(near.write(&[]).unwrap(), 0);
        assert_eq!(near.write_vectored(&[]).unwrap(), 0);
    });
}

#[test]
fn lines_are_read_from_tokios_buffer() {
    // How much is there at each look depends on how far the writer has come.
    let in_calm = |test: fn()| within(PATIENCE, || on_tokio_with(calm(Config::exact(1))).run(test));
    in_calm(|| {
        let (near, mut far) = pipe(10);
        let writer = smarm::spawn_local(move || {
            for n in 0..100 {
                writeln!(far, "line {n}").unwrap();
            }
        });
        let mut near = SyncIo::new(tokio::io::BufReader::with_capacity(8, near.into_inner()));
        near.set_read_timeout(Some(FOR_EVER)).unwrap();
        assert_eq!(near.fill_buf().unwrap(), b"line 0\nl");
        near.consume(5);
        assert_eq!(near.fill_buf().unwrap(), b"0\nl");
        for (n, line) in Read::by_ref(&mut near).lines().enumerate() {
            assert_eq!(line.unwrap(), if n == 0 { "0".into() } else { format!("line {n}") });
        }
        assert_eq!(near.fill_buf().unwrap(), b"");
        writer.join().unwrap();
    });
}

#[test]
fn a_file_of_tokios_is_read_written_and_sought() {
    in_actor(|| {
        let path = std::env::temp_dir().join(format!("smarm-streams-{}", std::process::id()));
        let mut options = tokio::fs::OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = SyncIo::new(await_future(options.open(&path)).unwrap());
        std::fs::remove_file(&path).unwrap();
        file.write_all(b"hello world").unwrap();
        file.flush().unwrap();
        assert_eq!(file.stream_position().unwrap(), 11);
        assert_eq!(file.seek(SeekFrom::Start(6)).unwrap(), 6);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "world");
        assert_eq!(file.seek(SeekFrom::End(-11)).unwrap(), 0);
        assert_eq!(file.seek(SeekFrom::Current(-1)).unwrap_err().kind(), ErrorKind::InvalidInput);
        text.clear();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello world");
        let mut memory = SyncIo::new(Cursor::new(b"abc"));
        assert_eq!(memory.seek(SeekFrom::End(-1)).unwrap(), 2);
        assert_eq!(memory.fill_buf().unwrap(), b"c");
    });
}

#[test]
fn what_is_not_unpin_is_boxed() {
    /// Reads sevens; pinned, for the sake of it.
    struct Sevens(std::marker::PhantomPinned);
    impl AsyncRead for Sevens {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            buf.put_slice(&[7]);
            Poll::Ready(Ok(()))
        }
    }
    in_actor(|| {
        let mut sevens = SyncIo::new(Box::pin(Sevens(std::marker::PhantomPinned)));
        let mut buf = [0; 3];
        sevens.read_exact(&mut buf).unwrap();
        assert_eq!(buf, [7; 3]);
    });
}

#[test]
fn a_panic_of_the_stream_continues_in_the_actor() {
    struct Panics;
    impl AsyncRead for Panics {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            std::panic::resume_unwind(Box::new("no bytes today"));
        }
    }
    in_actor(|| {
        assert_eq!(panic_message(|| SyncIo::new(Panics).read(&mut [0])), "no bytes today");
    });
}

#[test]
fn in_async_code_it_panics_instead_of_blocking_the_worker() {
    in_actor(|| {
        let (near, mut far) = pipe(4);
        let task = tokio::spawn(async move {
            let mut near = near;
            assert!(panic_message(|| near.read(&mut [0])).contains("async"));
            near
        });
        let mut near = await_future(task).unwrap();
        far.write_all(b"x").unwrap();
        // What is ready need not wait.
        await_future(poll_fn(|_| Poll::Ready(near.read(&mut [0]).unwrap())));
    });
}

#[test]
fn std_readers_and_writers_go_around_it() {
    in_actor(|| {
        let (near, far) = pair();
        let (near, far) = (near.into_inner().into_split(), far.into_inner().into_split());
        let echo = smarm::spawn(move || {
            let lines = BufReader::new(SyncIo::new(far.0)).lines();
            let mut writer = BufWriter::new(SyncIo::new(far.1));
            for line in lines {
                writeln!(writer, "{}", line.unwrap().to_uppercase()).unwrap();
                writer.flush().unwrap();
            }
        });
        let (mut lines, mut writes) = (BufReader::new(SyncIo::new(near.0)), SyncIo::new(near.1));
        for n in 0..50 {
            writeln!(writes, "line {n}").unwrap();
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            assert_eq!(line, format!("LINE {n}\n"));
        }
        drop(writes);
        echo.join().unwrap();
    });
}

#[test]
fn an_actor_of_a_runtime_without_tokio_uses_anothers_streams() {
    within(PATIENCE, || {
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (near, mut far) = tokio.block_on(connection());
        let task = tokio.spawn(async move {
            far.write_all(&pattern(100_000)).await.unwrap();
        });
        smarm_workspace::workers(1).run(|| {
            let mut all = Vec::new();
            SyncIo::new(near).read_to_end(&mut all).unwrap();
            assert!(all == pattern(100_000));
        });
        thread::scope(|scope| scope.spawn(|| tokio.block_on(task).unwrap()).join().unwrap());
    });
}

#[test]
fn a_blocked_write_goes_on_when_the_peer_reads_later() {
    in_actor(|| {
        let (mut near, far) = pair();
        let writer = smarm::spawn_local(move || {
            near.set_write_timeout(Some(FOR_EVER)).unwrap();
            near.write_all(&pattern(8 << 20)).unwrap();
        });
        for _ in 0..20 {
            smarm::yield_now();
        }
        let reader = tokio::spawn(async move {
            let mut far = far.into_inner();
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            assert!(all == pattern(8 << 20));
        });
        writer.join().unwrap();
        await_future(reader).unwrap();
    });
}
