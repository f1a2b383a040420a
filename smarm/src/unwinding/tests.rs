use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use super::*;

/// Unwinds, and calls `f` in a destructor meanwhile.
fn while_unwinding(f: impl FnOnce()) {
    struct Within<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Within<F> {
        fn drop(&mut self) {
            assert!(thread::panicking());
            self.0.take().expect("dropped once")();
            assert!(thread::panicking());
        }
    }
    let payload = catch_unwind(AssertUnwindSafe(|| {
        let _within = Within(Some(f));
        resume_unwind(Box::new("unwinds"));
    }));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"unwinds"));
}

#[test]
fn an_exception_ends_where_it_did_not_begin() {
    let begun = thread::spawn(|| {
        let begun = Exception::begin();
        assert!(thread::panicking());
        begun
    });
    let begun = begun.join().unwrap();
    assert!(!thread::panicking());
    while_unwinding(|| {
        begun.end();
        assert!(!thread::panicking());
        // As the thread that has ended had begun one more.
        let _nobodys = Exception::begin();
    });
    assert!(!thread::panicking());
}

#[test]
fn what_is_set_aside_does_not_count_until_it_is_taken_up_again() {
    while_unwinding(|| {
        let outer = set_aside();
        assert!(!thread::panicking());
        while_unwinding(|| {
            let inner = set_aside();
            assert!(!thread::panicking());
            assert!(catch_unwind(|| resume_unwind(Box::new(()))).is_err());
            assert!(!thread::panicking());
            drop(inner);
        });
        assert!(!thread::panicking());
        drop(outer);
        // Two at once.
        while_unwinding(|| {
            let both = set_aside();
            assert_eq!(both.0, 2);
            assert!(!thread::panicking());
            drop(both);
        });
    });
    assert!(!thread::panicking());
    drop(set_aside());
    assert!(!thread::panicking());
}

#[test]
fn many_threads_set_aside_what_they_like_and_nothing_is_left() {
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                for round in 0..300 {
                    nest(number + round % 20);
                    assert!(!thread::panicking());
                }
            });
        }
    });
    loop {
        let books = books();
        if !books.open {
            assert!(books.pool.is_empty() && books.aside == 0);
            return;
        }
        drop(books);
        thread::yield_now();
    }
}

/// Unwindings in destructors of others, each set aside for the next.
fn nest(depth: usize) {
    if depth > 0 {
        while_unwinding(|| {
            let own = set_aside();
            nest(depth - 1);
            drop(own);
        });
    }
}
