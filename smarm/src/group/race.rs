//! The first of several closures to end.

use std::panic::resume_unwind;

use crate::actor::park;
use crate::channel;
use crate::join::JoinError;
use crate::scope::scope;

/// Says which closure has ended, however it did.
struct Finish(usize, channel::Sender<usize>);

impl Drop for Finish {
    fn drop(&mut self) {
        // The receiver goes only when nobody wants to know any more.
        let _ = self.1.try_send(self.0);
    }
}

/// Runs the closures in actors side by side, and gives the result of the first that ends. The others are killed, and
/// have ended when this returns. They may borrow. [`race!`](crate::race!) does the same for closures of different
/// types.
///
/// # Panics
/// If there are none. If the first one to end does so by a panic: that continues here, when the others have
/// ended. If all were killed. And as [`scope`](crate::scope()) and its `spawn`.
///
/// ```
/// smarm::run(|| {
///     let delays = [20, 1, 30].map(std::time::Duration::from_millis);
///     let first = smarm::group::first_of(delays.iter().map(|delay| || {
///         smarm::sleep(*delay);
///         *delay
///     }));
///     assert_eq!(first, delays[1]);
/// });
/// ```
#[track_caller]
pub fn first_of<T, F, I>(closures: I) -> T
where
    T: Send,
    F: FnOnce() -> T + Send,
    I: IntoIterator<Item = F>,
{
    scope(|s| {
        let (sender, ends) = channel::channel();
        let start = |(index, closure): (usize, F)| {
            let finish = Finish(index, sender.clone());
            Some(s.spawn(move || {
                let _finish = finish;
                closure()
            }))
        };
        let mut handles: Vec<_> = closures.into_iter().enumerate().map(start).collect();
        assert!(!handles.is_empty(), "smarm: a race needs a closure at least");
        for _ in 0..handles.len() {
            let index = park::wait_uncancelled(channel::Wait::new(&ends)).expect("there is a sender here");
            let first = handles[index].take().expect("each ends once");
            match first.join() {
                Ok(value) => {
                    s.kill_all();
                    return value;
                }
                Err(JoinError::Panicked(payload)) => resume_unwind(payload.into_inner()),
                Err(JoinError::Killed) => {} // the others may yet end well
            }
        }
        panic!("smarm: all closures of a race were killed");
    })
}

/// Runs closures in actors side by side, and gives the result of the first that ends; the others are killed, and have
/// ended when this returns. All give the same type; they may borrow.
///
/// # Panics
/// As [`first_of`](crate::group::first_of).
///
/// ```
/// smarm::run(|| {
///     let answer = String::from("quick");
///     let first = smarm::race!(
///         || answer.as_str(),
///         || {
///             smarm::sleep(std::time::Duration::MAX);
///             "never"
///         },
///     );
///     assert_eq!(first, "quick");
/// });
/// ```
#[macro_export]
macro_rules! race {
    ($($closure:expr),+ $(,)?) => {
        $crate::group::first_of::<_, ::std::boxed::Box<dyn ::core::ops::FnOnce() -> _ + ::core::marker::Send + '_>, _>(
            [$(::std::boxed::Box::new($closure) as _),+]
        )
    };
}
