//! What must not compile, each beside what differs from it in one thing and does compile.
//!
//! # What an actor takes along is `Send`
//! It may start on another thread.
//! ```compile_fail,E0277
//! smarm::run(|| {
//!     let rc = std::rc::Rc::new(1);
//!     smarm::spawn(move || *rc).join().unwrap();
//! });
//! ```
//! ```
//! smarm::run(|| {
//!     let rc = std::rc::Rc::new(1);
//!     smarm::spawn_local(move || *rc).join().unwrap();
//! });
//! ```
//! So is what it returns,
//! ```compile_fail,E0277
//! smarm::run(|| drop(smarm::spawn(|| std::rc::Rc::new(1)).join()));
//! ```
//! ```
//! smarm::run(|| drop(smarm::spawn(|| std::sync::Arc::new(1)).join()));
//! ```
//! also for the first one, and for calls on the blocking pool.
//! ```compile_fail,E0277
//! let rc = std::rc::Rc::new(1);
//! smarm::run(|| assert_eq!(*rc, 1));
//! ```
//! ```compile_fail,E0277
//! let rc = std::rc::Rc::new(1);
//! smarm::io::block_on_io(move || *rc);
//! ```
//! ```
//! let arc = std::sync::Arc::new(1);
//! smarm::run(|| assert_eq!(*arc, 1));
//! smarm::io::block_on_io(move || *arc);
//! ```
//!
//! # An actor borrows nothing that it may outlive
//! ```compile_fail,E0373
//! smarm::run(|| {
//!     let local = 1;
//!     smarm::spawn(|| local + 1).join().unwrap();
//! });
//! ```
//! ```
//! let local = 1;
//! smarm::run(|| local + 1); // which waits for its end
//! ```
//!
//! # What is tied to its thread stays there
//! The guard of a mutex,
//! ```compile_fail,E0277
//! static LOCK: smarm::Mutex<i32> = smarm::Mutex::new(1);
//! smarm::run(|| {
//!     let guard = LOCK.try_lock().unwrap();
//!     smarm::spawn(move || drop(guard)).join().unwrap();
//! });
//! ```
//! ```
//! static LOCK: smarm::Mutex<i32> = smarm::Mutex::new(1);
//! smarm::run(|| {
//!     let guard = LOCK.try_lock().unwrap();
//!     smarm::spawn_local(move || drop(guard)).join().unwrap();
//! });
//! ```
//! which is shared only if what it guards may be,
//! ```compile_fail,E0277
//! let lock = smarm::Mutex::new(std::cell::Cell::new(1));
//! let guard = lock.try_lock().unwrap();
//! std::thread::scope(|scope| drop(scope.spawn(|| guard.set(2))));
//! ```
//! ```
//! let lock = smarm::Mutex::new(std::sync::atomic::AtomicU8::new(1));
//! let guard = lock.try_lock().unwrap();
//! std::thread::scope(|scope| drop(scope.spawn(|| guard.store(2, std::sync::atomic::Ordering::Relaxed))));
//! ```
//! the guard that keeps an actor from being made to yield,
//! ```compile_fail,E0277
//! smarm::run(|| {
//!     let undisturbed = smarm::preempt::disable();
//!     smarm::spawn(move || drop(undisturbed)).join().unwrap();
//! });
//! ```
//! and the handle of an actor whose result is.
//! ```compile_fail,E0277
//! smarm::run(|| {
//!     let handle = smarm::spawn_local(|| std::rc::Rc::new(1));
//!     smarm::spawn(move || drop(handle.join())).join().unwrap();
//! });
//! ```
//! ```
//! smarm::run(|| {
//!     let handle = smarm::spawn_local(|| std::sync::Arc::new(1));
//!     smarm::spawn(move || drop(handle.join())).join().unwrap();
//! });
//! ```
//!
//! # Messages are `Send`
//! ```compile_fail,E0277
//! smarm::run(|| {
//!     let (sender, receiver) = smarm::channel();
//!     smarm::spawn(move || sender.send(std::rc::Rc::new(1)).unwrap());
//!     receiver.recv().unwrap();
//! });
//! ```
//! ```
//! smarm::run(|| {
//!     let (sender, receiver) = smarm::channel();
//!     smarm::spawn(move || sender.send(std::sync::Arc::new(1)).unwrap());
//!     receiver.recv().unwrap();
//! });
//! ```
//! Through a oneshot, and to a pid, too.
//! ```compile_fail,E0277
//! smarm::run(|| {
//!     let (sender, receiver) = smarm::channel::oneshot::channel();
//!     smarm::spawn(move || sender.send(std::rc::Rc::new(1)).unwrap());
//!     receiver.recv().unwrap();
//! });
//! ```
//! ```compile_fail,E0277
//! smarm::run(|| drop(smarm::self_pid().send(std::rc::Rc::new(1))));
//! ```
//! ```
//! smarm::run(|| drop(smarm::self_pid().send(std::sync::Arc::new(1))));
//! ```
//!
//! # A channel has one receiver
//! ```compile_fail,E0277
//! let (sender, receiver) = smarm::channel::<i32>();
//! drop(sender);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| receiver.recv());
//!     scope.spawn(|| receiver.recv());
//! });
//! ```
//! ```compile_fail,E0599
//! let (sender, receiver) = smarm::channel::<i32>();
//! drop((sender, receiver.clone()));
//! ```
//! ```
//! let (sender, receiver) = smarm::channel::<i32>();
//! drop(sender.clone());
//! drop(sender);
//! std::thread::scope(|scope| drop(scope.spawn(move || receiver.recv())));
//! ```
//!
//! # What is used up is gone
//! An actor is joined once, and a oneshot sends once.
//! ```compile_fail,E0382
//! smarm::run(|| {
//!     let handle = smarm::spawn(|| 1);
//!     drop(handle.join());
//!     drop(handle.join());
//! });
//! ```
//! ```compile_fail,E0382
//! let (sender, _receiver) = smarm::channel::oneshot::channel();
//! drop(sender.send(1));
//! drop(sender.send(2));
//! ```
//! ```
//! smarm::run(|| {
//!     let handle = smarm::spawn(|| 1);
//!     drop(handle.join());
//! });
//! let (sender, _receiver) = smarm::channel::oneshot::channel();
//! drop(sender.send(1));
//! ```
#![cfg_attr(
    feature = "sim",
    doc = r"
# A simulation's stage stays on its thread
There it is the only one, and cannot be exchanged for another.
```compile_fail,E0277
fn send<T: Send>() {}
send::<smarm::sim::Stage>();
```
```
fn send<T: Send>() {}
send::<smarm::sim::Outcome<u32>>();
```
"
)]
