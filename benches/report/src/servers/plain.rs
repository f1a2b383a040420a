//! A loop around `epoll_wait` per core: no runtime at all.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use super::{ANY, BUFFER};

pub fn loops(workers: usize) -> Vec<SocketAddr> {
    (0..workers)
        .map(|_| {
            let listener = TcpListener::bind(ANY).expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            thread::spawn(move || serve(&listener));
            address
        })
        .collect()
}

fn serve(listener: &TcpListener) {
    // SAFETY: epoll_create1 takes no pointers.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert_ne!(epoll, -1, "there is a descriptor for an epoll");
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
    let add = |fd: i32| {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: `event` is valid for the call.
        let added = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        assert_eq!(added, 0, "the epoll takes it");
    };
    add(listener.as_raw_fd());
    let mut streams: HashMap<u64, TcpStream> = HashMap::new();
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1_024];
    let mut buffer = [0; BUFFER];
    loop {
        // SAFETY: `events` has room for as many as it is long.
        let count =
            unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let fd = event.u64;
            if fd == listener.as_raw_fd() as u64 {
                let (stream, _) = listener.accept().expect("the client connects");
                stream.set_nodelay(true).expect("it is a TCP socket");
                stream.set_nonblocking(true).expect("it is a socket");
                add(stream.as_raw_fd());
                streams.insert(stream.as_raw_fd() as u64, stream);
                continue;
            }
            let Some(stream) = streams.get_mut(&fd) else { continue };
            match stream.read(&mut buffer) {
                Ok(0) => drop(streams.remove(&fd)),
                Ok(count) => stream.write_all(&buffer[..count]).expect("the client reads"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => drop(streams.remove(&fd)),
            }
        }
    }
}
