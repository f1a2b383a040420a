//! What must not be done on a worker's thread says so, and does no harm.

use std::future::ready;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use smarm::channel::{bounded, channel, oneshot};
use smarm_compat::{await_future, await_timeout, on_native_stack};
use smarm_workspace::{PATIENCE, panic_message, within, workers};
use tokio::runtime::Handle;

use crate::bridge_support::on_tokio;

const MOMENT: Duration = Duration::from_millis(1);

/// That the worker of the caller still serves both worlds.
fn all_is_well() {
    assert_eq!(smarm::spawn(|| 1).join().unwrap(), 1);
    await_future(tokio::time::sleep(MOMENT));
    smarm::sleep(MOMENT);
    assert_eq!(await_future(tokio::spawn(async { 2 })).unwrap(), 2);
}

/// Runs `misuse` in an actor of its own, which must panic with a message that holds `advice`, twice.
fn refused_in_an_actor(advice: &'static str, misuse: impl Fn() + Send + Sync + 'static) {
    within(PATIENCE, move || {
        on_tokio(1).run(move || {
            for _ in 0..2 {
                let message = panic_message(&misuse);
                assert!(message.contains(advice), "{message}");
                all_is_well();
            }
        });
    });
}

/// Runs `misuse` in a task on a worker's thread, in a future that an actor awaits, and in
/// `on_native_stack`. It must panic each time.
fn refused_outside_an_actors_stack(misuse: fn()) {
    within(PATIENCE, move || {
        on_tokio(1).run(move || {
            let told = await_future(tokio::spawn(async move { panic_message(misuse) })).unwrap();
            assert!(told.contains("on the thread of a worker") && told.contains("async form"), "{told}");
            all_is_well();

            let told = await_future(async move { panic_message(misuse) });
            assert!(told.contains("inside a future") && told.contains("async form"), "{told}");
            all_is_well();

            let told = on_native_stack(move || panic_message(misuse));
            assert!(told.contains("on_native_stack"), "{told}");
            all_is_well();
        });
    });
}

#[test]
fn block_on_in_an_actor_is_refused() {
    refused_in_an_actor("Cannot start a runtime from within a runtime", || {
        Handle::current().block_on(ready(()));
    });
}

#[test]
fn block_on_in_a_future_that_an_actor_awaits_is_refused() {
    refused_in_an_actor("Cannot start a runtime from within a runtime", || {
        await_future(async { Handle::current().block_on(ready(())) });
    });
}

#[test]
fn block_on_of_another_runtime_is_refused_in_an_actor() {
    refused_in_an_actor("Cannot start a runtime from within a runtime", || {
        let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.block_on(ready(()))));
        other.shutdown_background(); // to drop it here is refused, too
        std::panic::resume_unwind(refused.unwrap_err());
    });
}

#[test]
fn block_in_place_in_an_actor_is_refused() {
    refused_in_an_actor("can call blocking only when running on the multi-threaded runtime", || {
        tokio::task::block_in_place(|| ());
    });
}

#[test]
fn blocking_calls_of_tokios_channels_are_refused_in_an_actor() {
    const ADVICE: &str = "Cannot block the current thread from within a runtime";
    refused_in_an_actor(ADVICE, || {
        let (_sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
        receiver.blocking_recv();
    });
    refused_in_an_actor(ADVICE, || {
        let (sender, _receiver) = tokio::sync::mpsc::channel::<()>(1);
        let _ = sender.blocking_send(());
    });
    refused_in_an_actor(ADVICE, || {
        let (_sender, receiver) = tokio::sync::oneshot::channel::<()>();
        drop(receiver.blocking_recv());
    });
    refused_in_an_actor(ADVICE, || drop(tokio::sync::Mutex::new(()).blocking_lock()));
}

#[test]
fn a_nested_wait_for_a_future_that_is_not_ready_is_refused() {
    refused_in_an_actor("inside a future", || await_future(async { await_future(std::future::pending()) }));
    refused_in_an_actor("inside a future", || {
        let _ = await_future(async { await_timeout(MOMENT, std::future::pending::<()>()) });
    });
}

#[test]
fn a_nested_wait_for_a_future_that_is_ready_is_granted() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            assert_eq!(await_future(async { await_future(ready(1)) + 1 }), 2);
            assert_eq!(await_future(async { on_native_stack(|| await_future(ready(2))) }), 2);
            let task = tokio::spawn(async { await_future(ready(3)) });
            assert_eq!(await_future(task).unwrap(), 3);
        });
    });
}

#[test]
fn joining_is_refused_where_it_would_block_the_worker() {
    refused_outside_an_actors_stack(|| drop(smarm::spawn(|| smarm::sleep(MOMENT)).join()));
}

#[test]
fn sleeping_is_refused_where_it_would_block_the_worker() {
    refused_outside_an_actors_stack(|| smarm::sleep(MOMENT));
}

#[test]
fn receiving_and_sending_are_refused_where_they_would_block_the_worker() {
    refused_outside_an_actors_stack(|| {
        let (_sender, receiver) = channel::<()>();
        let _ = receiver.recv();
    });
    refused_outside_an_actors_stack(|| {
        let (sender, _receiver) = bounded(1);
        sender.send(1).unwrap();
        let _ = sender.send(2);
    });
    refused_outside_an_actors_stack(|| {
        let (_sender, receiver) = oneshot::channel::<()>();
        let _ = receiver.recv();
    });
}

#[test]
fn waiting_for_a_socket_is_refused_where_it_would_block_the_worker() {
    refused_outside_an_actors_stack(|| {
        let (near, _far) = UnixStream::pair().unwrap();
        drop(smarm::io::wait_readable_timeout(&near, MOMENT));
    });
    refused_outside_an_actors_stack(|| {
        drop(smarm::net::TcpListener::bind("127.0.0.1:0").unwrap().accept());
    });
}

#[test]
fn waiting_for_a_future_is_refused_where_it_would_block_the_worker() {
    refused_outside_an_actors_stack(|| await_future(tokio::time::sleep(MOMENT)));
}

#[test]
fn running_a_runtime_is_refused_where_it_would_block_the_worker() {
    refused_outside_an_actors_stack(|| workers(1).run(|| ()));
    refused_outside_an_actors_stack(|| on_tokio(1).run(|| ()));
}

#[test]
fn calls_that_need_not_wait_are_granted_everywhere() {
    within(PATIENCE, || {
        fn try_all() {
            let (sender, receiver) = bounded(1);
            sender.send(1).unwrap();
            assert_eq!(receiver.recv(), Ok(1));
            assert!(receiver.try_recv().is_err());
            let (sender, receiver) = oneshot::channel();
            sender.send(2).unwrap();
            assert_eq!(receiver.recv(), Ok(2));
        }
        on_tokio(1).run(|| {
            try_all();
            await_future(async { try_all() });
            await_future(tokio::spawn(async { try_all() })).unwrap();
            on_native_stack(try_all);
        });
    });
}

#[test]
fn a_misuse_in_the_middle_of_an_io_wait_leaves_the_socket_whole() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let near = smarm::net::TcpStream::connect(address).unwrap();
            let (far, _) = listener.accept().unwrap();
            // The descriptor is registered by the wait that is refused.
            let told = await_future(async { panic_message(|| (&far).read(&mut [0; 1])) });
            assert!(told.contains("inside a future"), "{told}");
            (&near).write_all(b"x").unwrap();
            assert_eq!((&far).read(&mut [0; 1]).unwrap(), 1);
            all_is_well();
        });
    });
}
