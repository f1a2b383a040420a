use std::io::ErrorKind;
use std::time::Duration;

use smarm::sim::{self, Outcome, Reason};
use smarm_workspace::{PATIENCE, within};

#[track_caller]
fn message<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
    match outcome.failure().map(|failure| failure.reason()) {
        Some(Reason::Panicked { message, .. }) => message.clone(),
        Some(Reason::Outside(what)) => what.clone(),
        _ => panic!("no misuse was found: {outcome:?}"),
    }
}

#[test]
fn the_blocking_pool_is_refused_by_name() {
    let said = message(sim::run(9, || smarm::io::block_on_io(|| 1)));
    assert!(said.contains("block_on_io") && said.contains("seed 9"), "{said}");
    let said = message(sim::run(9, || smarm::fs::read("Cargo.toml").map(drop).is_ok()));
    assert!(said.contains("fs"), "{said}");
}

#[test]
fn a_real_descriptor_is_refused() {
    let kind = sim::run(1, || {
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let error = smarm::io::wait_readable(&near).unwrap_err();
        assert!(error.to_string().contains("smarm::net"), "{error}");
        error.kind()
    });
    assert_eq!(kind.unwrap(), ErrorKind::Unsupported);
}

#[test]
fn a_socket_from_outside_the_simulation_is_refused_and_works_afterwards() {
    let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let kind = sim::run(1, || listener.accept().unwrap_err().kind());
    assert_eq!(kind.unwrap(), ErrorKind::Unsupported);
    let stream = smarm::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap());
    drop(stream);
}

#[test]
fn an_os_thread_that_wakes_an_actor_is_found() {
    let outcome = within(PATIENCE, || {
        sim::run(1, || {
            let (sender, receiver) = smarm::channel();
            let (go, gone) = std::sync::mpsc::channel::<()>();
            let waiting = smarm::spawn(move || receiver.recv());
            smarm::sleep(Duration::from_millis(1)); // it waits now
            let thread = std::thread::spawn(move || {
                gone.recv().unwrap();
                let (Ok(()) | Err(_)) = sender.send(());
            });
            go.send(()).unwrap();
            thread.join().unwrap(); // blocks the simulation while the thread wakes an actor
            drop(waiting.join());
        })
    });
    assert!(message(outcome).contains("OS thread"));
}

#[test]
fn spawn_blocking_is_found() {
    let outcome = within(PATIENCE, || {
        smarm_compat::sim::run(1, || smarm_compat::await_future(tokio::task::spawn_blocking(|| 1)).unwrap())
    });
    let said = message(outcome);
    assert!(said.contains("spawn_blocking"), "{said}");
}

#[test]
fn tokio_s_sockets_are_refused() {
    let outcome = within(PATIENCE, || {
        smarm_compat::sim::run(1, || {
            smarm_compat::await_future(tokio::net::TcpListener::bind("127.0.0.1:0")).is_ok()
        })
    });
    assert!(message(outcome).contains("IO is disabled"));
}

#[test]
fn calls_that_the_simulated_network_does_not_have_are_refused_by_name() {
    let said = sim::run(1, || {
        let listener = smarm::net::TcpListener::bind_reuse_port("0.0.0.0:80").unwrap_err();
        let socket = smarm::net::UdpSocket::bind("0.0.0.0:80").unwrap();
        assert_eq!(listener.kind(), ErrorKind::Unsupported);
        (listener.to_string(), socket.multicast_ttl_v4().unwrap_err().to_string())
    });
    let (listener, socket) = said.unwrap();
    assert!(
        listener.contains("bind_reuse_port") && socket.contains("multicast_ttl_v4"),
        "{listener}; {socket}"
    );
}

#[test]
fn a_simulated_socket_has_no_descriptor() {
    let said = message(sim::run(1, || {
        let listener = smarm::net::TcpListener::bind("0.0.0.0:80").unwrap();
        let taken = std::net::TcpListener::try_from(smarm::net::TcpListener::bind("0.0.0.0:81").unwrap());
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::Unsupported);
        std::os::fd::AsRawFd::as_raw_fd(&listener)
    }));
    assert!(said.contains("has no descriptor"), "{said}");
}

#[test]
fn calls_outside_a_simulation_say_where_they_belong() {
    let panicked = std::panic::catch_unwind(|| sim::partition("a", "b")).unwrap_err();
    let said = panicked.downcast_ref::<String>().unwrap();
    assert!(said.contains("sim::partition") && said.contains("smarm::sim::run"), "{said}");
    sim::note("nobody hears this");
}

#[test]
fn an_unknown_host_is_named() {
    assert!(message(sim::run(1, || sim::partition("main", "mars"))).contains("\"mars\""));
}

#[test]
fn a_simulation_in_an_actor_is_refused() {
    let said = smarm::run(|| {
        let panicked = std::panic::catch_unwind(|| sim::run(1, || ())).unwrap_err();
        panicked
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or(panicked.downcast_ref::<String>().cloned())
    });
    assert!(said.unwrap().contains("on a plain thread"));
}
