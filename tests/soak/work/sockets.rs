//! Sockets, whose users are killed in the middle of everything.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream, UnixStream};

use crate::crew::{Site, end_all, kill_some};
use crate::dice::Dice;
use crate::plant::{self, Plant};

/// Two ends of a stream, far apart, with more bytes than fit into its buffers.
pub(crate) fn streams(dice: &mut Dice, site: &Site) {
    let (mut near, mut far) = UnixStream::pair().expect("there are descriptors");
    if plant::once(Plant::LeakFd) {
        std::mem::forget(near.try_clone().expect("there are descriptors"));
        return;
    }
    let length = 1 + dice.below(600_000);
    let children = [
        site.spawn(dice, move |_| {
            let sent: Vec<u8> = (0..length).map(|at| at as u8).collect();
            // The other one may have been killed.
            let _ = near.write_all(&sent);
        }),
        site.spawn(dice, move |dice| {
            let (mut at, mut buffer) = (0, vec![0; 1 + dice.below(100_000)]);
            loop {
                match far.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => {
                        let right =
                            buffer[..count].iter().enumerate().all(|(nth, &byte)| byte == (at + nth) as u8);
                        assert!(right, "bytes came in another order than they were sent");
                        at += count;
                    }
                    Err(error) => panic!("a read failed: {error}"),
                }
            }
        }),
    ];
    kill_some(dice, &children);
    end_all(children);
}

/// A listener, an actor for each connection, and clients.
pub(crate) fn listeners(dice: &mut Dice, site: &Site) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are descriptors");
    let address = listener.local_addr().expect("it is bound");
    let clients = 1 + dice.below(5);
    let (site_too, mut dice_too) =
        (Site { places: site.places.clone(), home: site.home.clone() }, dice.fork());
    let server = site.spawn(dice, move |_| {
        let mut servers = Vec::new();
        for _ in 0..clients {
            let (stream, _) = listener.accept().expect("a client comes");
            servers.push(site_too.spawn(&mut dice_too, move |_| echo(stream)));
        }
        end_all(servers);
    });
    let children: Vec<_> = (0..clients)
        .map(|_| {
            site.spawn(dice, move |dice| {
                let Ok(mut stream) = TcpStream::connect(address) else { return };
                stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
                for _ in 0..1 + dice.below(10) {
                    let said = [dice.below(256) as u8; 100];
                    let mut heard = [0; 100];
                    match stream.write_all(&said).and_then(|()| stream.read_exact(&mut heard)) {
                        Ok(()) => assert_eq!(said, heard, "an echo differs"),
                        // The server gives up once a client has been killed before it came.
                        Err(error) => assert_ne!(error.kind(), ErrorKind::TimedOut, "an echo never came"),
                    }
                }
            })
        })
        .collect();
    kill_some(dice, &children);
    end_all(children);
    server.kill(); // it may wait for a client that was killed before it came
    end_all([server]);
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 300];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if plant::is(Plant::GarbleBytes) {
            buffer[0] ^= 1;
        }
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}
