//! A read or write through `SyncIo` allocates nothing, also where it waits.

mod bridge_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};

use bridge_support::on_tokio;
use smarm_compat::await_future;
use smarm_compat::io::SyncIo;
use smarm_workspace::{PATIENCE, within};

thread_local!(static COUNT: Cell<usize> = const { Cell::new(0) });

/// Counts the allocations of each thread.
struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations the worker's thread makes while two actors throw a ball, 200 times. Each
/// waits for the other; what tokio, the host and the worker do meanwhile counts, too.
fn allocations(mut near: impl Read + Write, far: impl Read + Write + Send + 'static) -> usize {
    let mut far = far;
    let echo = smarm::spawn_local(move || {
        let mut ball = [0; 1];
        while far.read(&mut ball).unwrap() == 1 {
            far.write_all(&ball).unwrap();
        }
    });
    let mut play = |rounds| {
        for _ in 0..rounds {
            near.write_all(b"o").unwrap();
            near.read_exact(&mut [0; 1]).unwrap();
        }
    };
    await_future(tokio::task::yield_now()); // tokio's list of those that yielded
    play(200);
    let before = COUNT.get();
    play(200);
    let count = COUNT.get() - before;
    drop(near);
    echo.join().unwrap();
    count
}

#[test]
fn a_wait_for_a_tokio_stream_allocates_nothing() {
    within(PATIENCE, || {
        let count = on_tokio(1).run(|| {
            let (near, far) = await_future(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                (near, listener.accept().await.unwrap().0)
            });
            let (mut near, mut far) = (SyncIo::new(near), SyncIo::new(far));
            // With a deadline, too.
            near.set_read_timeout(Some(PATIENCE)).unwrap();
            far.set_write_timeout(Some(PATIENCE)).unwrap();
            allocations(near, far)
        });
        assert_eq!(count, 0);
    });
}
