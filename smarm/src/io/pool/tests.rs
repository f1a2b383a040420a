use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::host::epoll::Epoll;
use crate::host::testing::run;

const LONG: Duration = Duration::from_secs(3600);

/// A pool of a test's own.
fn pool(limit: usize, idle_for: Duration) -> &'static Pool {
    Box::leak(Box::new(Pool::new(limit, idle_for)))
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_call_runs_on_another_thread_and_gives_its_value() {
    let epoll = Epoll::new().unwrap();
    let here = thread::current().id();
    let pool = pool(4, LONG);
    let there = run(&epoll, Call::New(pool, || thread::current().id()));
    assert_ne!(here, there);
}

#[test]
fn a_plain_thread_runs_the_closure_itself() {
    let here = thread::current().id();
    assert_eq!(block_on_io(|| thread::current().id()), here);
}

#[test]
fn a_panic_goes_on_in_the_caller() {
    let epoll = Epoll::new().unwrap();
    let pool = pool(1, LONG);
    let call = || run(&epoll, Call::New(pool, || panic::resume_unwind(Box::new("the closure's"))));
    let payload: Box<dyn Any + Send> = panic::catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "the closure's");
    assert_eq!(run(&epoll, Call::New(pool, || 7)), 7);
}

#[test]
fn the_pool_grows_to_its_limit_and_queues_in_order_beyond_it() {
    let epoll = Epoll::new().unwrap();
    let pool = pool(3, LONG);
    let (begin, begun) = mpsc::channel();
    let begun = Arc::new(Mutex::new(begun));
    let (started, starts) = mpsc::channel();
    let mut calls: Vec<_> = (0..3)
        .map(|_| {
            let (begun, started) = (Arc::clone(&begun), started.clone());
            Call::New(pool, move || {
                started.send(()).unwrap();
                begun.lock().unwrap().recv().unwrap();
            })
        })
        .collect();
    for call in &mut calls {
        assert!(poll_once(call).is_pending());
    }
    // All three run at the same time.
    for _ in 0..3 {
        starts.recv().unwrap();
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut later: Vec<_> = (0..10)
        .map(|at| {
            let order = Arc::clone(&order);
            Call::New(pool, move || order.lock().unwrap().push(at))
        })
        .collect();
    for call in &mut later {
        assert!(poll_once(call).is_pending());
    }
    assert_eq!(pool.lock().threads, 3);
    assert_eq!(pool.lock().queue.len(), 10);
    // One thread alone, freed, serves the queue in order.
    begin.send(()).unwrap();
    for call in later {
        run(&epoll, call);
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    begin.send(()).unwrap();
    begin.send(()).unwrap();
    for call in calls {
        run(&epoll, call);
    }
    assert_eq!(pool.lock().threads, 3);
}

#[test]
fn idle_threads_keep_no_call_waiting() {
    const CALLS: usize = 8;
    let epoll = Epoll::new().unwrap();
    for _ in 0..20 {
        let pool = pool(CALLS, LONG);
        run(&epoll, Call::New(pool, || ()));
        // None returns before all have started, so each needs a thread of its own.
        let barrier = Arc::new(std::sync::Barrier::new(CALLS));
        let mut calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                Call::New(pool, move || barrier.wait().is_leader())
            })
            .collect();
        for call in &mut calls {
            assert!(poll_once(call).is_pending());
        }
        for call in calls {
            run(&epoll, call);
        }
        pool.lock().limit = 1;
    }
}

#[test]
fn idle_threads_end() {
    let epoll = Epoll::new().unwrap();
    let pool = pool(4, Duration::from_millis(1));
    for round in 0..20 {
        assert_eq!(run(&epoll, Call::New(pool, move || round)), round);
    }
    let patience = Instant::now() + Duration::from_secs(20);
    while pool.lock().threads > 0 {
        assert!(Instant::now() < patience, "the pool's threads did not end");
        thread::yield_now();
    }
    assert_eq!(pool.lock().idle, 0);
    assert_eq!(run(&epoll, Call::New(pool, || 7)), 7);
}

/// Counts how many of its kind were dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_call_that_is_dropped_in_the_queue_never_runs() {
    let epoll = Epoll::new().unwrap();
    let pool = pool(1, LONG);
    let (go, gone) = mpsc::channel::<()>();
    let mut first = Call::New(pool, move || gone.recv().unwrap());
    assert!(poll_once(&mut first).is_pending());
    let drops = Arc::new(AtomicUsize::new(0));
    let token = Dropped(Arc::clone(&drops));
    let mut second = Call::New(pool, move || -> () {
        let _token = token;
        unreachable!("it was dropped before it could run");
    });
    assert!(poll_once(&mut second).is_pending());
    drop(second);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    go.send(()).unwrap();
    run(&epoll, first);
    run(&epoll, Call::New(pool, || ()));
}

#[test]
fn the_result_of_a_call_that_is_dropped_while_it_runs_is_dropped() {
    let epoll = Epoll::new().unwrap();
    let pool = pool(1, LONG);
    let (go, gone) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let drops = Arc::new(AtomicUsize::new(0));
    let token = Dropped(Arc::clone(&drops));
    let mut call = Call::New(pool, move || {
        started.send(()).unwrap();
        gone.recv().unwrap();
        token
    });
    assert!(poll_once(&mut call).is_pending());
    start.recv().unwrap();
    drop(call);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    go.send(()).unwrap();
    run(&epoll, Call::New(pool, || ()));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn a_thread_survives_a_result_whose_destructor_panics() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic::resume_unwind(Box::new("the result's"));
        }
    }
    let epoll = Epoll::new().unwrap();
    let pool = pool(1, LONG);
    let (go, gone) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let mut call = Call::New(pool, move || {
        started.send(()).unwrap();
        gone.recv().unwrap();
        Bomb
    });
    assert!(poll_once(&mut call).is_pending());
    start.recv().unwrap();
    drop(call);
    go.send(()).unwrap();
    assert_eq!(run(&epoll, Call::New(pool, || 7)), 7);
}

#[test]
fn without_any_thread_all_queued_calls_are_refused() {
    let pool = pool(1, LONG);
    let mut calls = [1, 2].map(|at| Call::New(pool, move || at));
    // The thread counts as being started, and then is not.
    pool.lock().threads = 1;
    for call in &mut calls {
        assert!(poll_once(call).is_pending());
    }
    pool.not_started(io::ErrorKind::WouldBlock);
    for call in &mut calls {
        let payload = panic::catch_unwind(AssertUnwindSafe(|| poll_once(call))).unwrap_err();
        let text = payload.downcast::<String>().unwrap();
        assert!(text.contains("could not start a thread"), "{text}");
    }
}

#[test]
fn a_lowered_limit_ends_threads_and_loses_no_call() {
    let epoll = Epoll::new().unwrap();
    let pool = pool(8, LONG);
    let mut calls: Vec<_> = (0..200).map(|at| Call::New(pool, move || at)).collect();
    for (at, call) in calls.iter_mut().enumerate() {
        assert!(poll_once(call).is_pending());
        if at == 100 {
            pool.lock().limit = 1;
        }
    }
    for (at, call) in calls.into_iter().enumerate() {
        assert_eq!(run(&epoll, call), at);
    }
}
