use std::io::ErrorKind;
use std::time::Duration;

use smarm::net::UdpSocket;
use smarm::sim::{self, Sim};

use crate::support::{for_seeds, in_sim, simulated, since};

const SECOND: Duration = Duration::from_secs(1);

/// Sends so many datagrams to `main:9`, and gives how many arrive.
fn arriving(sim: &Sim, count: u32) -> u32 {
    in_sim(sim, || {
        let socket = UdpSocket::bind("0.0.0.0:9").unwrap();
        let sender = sim::host("sender", move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for number in 0..count {
                assert_eq!(socket.send_to(&number.to_le_bytes(), "main:9").unwrap(), 4);
                smarm::sleep(SECOND);
            }
        });
        socket.set_read_timeout(Some(SECOND * 3600)).unwrap();
        let mut arrived = 0;
        while socket.recv_from(&mut [0; 8]).is_ok() {
            arrived += 1;
        }
        sender.join().unwrap();
        arrived
    })
}

#[test]
fn as_many_are_lost_as_was_asked_for() {
    assert_eq!(arriving(&Sim::new(1), 100), 100);
    assert_eq!(arriving(&Sim::new(1).loss(1.0), 100), 0);
    let half = arriving(&Sim::new(1).loss(0.5), 1000);
    assert!((400..600).contains(&half), "{half}");
}

#[test]
fn they_overtake_each_other() {
    let order = in_sim(&Sim::new(1).latency(SECOND..SECOND * 5), || {
        let socket = UdpSocket::bind("0.0.0.0:9").unwrap();
        drop(sim::host("sender", || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for number in 0..20_u8 {
                socket.send_to(&[number], "main:9").unwrap();
            }
        }));
        let mut buf = [0; 1];
        let begin = smarm::time::now();
        let order: Vec<_> = (0..20).map(|_| socket.recv_from(&mut buf).map(|_| buf[0]).unwrap()).collect();
        assert!(since(begin) > SECOND);
        order
    });
    assert!(!order.is_sorted());
    assert_eq!(order.iter().map(|number| u32::from(*number)).sum::<u32>(), 190);
}

#[test]
fn a_partition_loses_them_and_does_not_give_them_back() {
    for_seeds(|| {
        let socket = UdpSocket::bind("0.0.0.0:9").unwrap();
        let (send, to_send) = smarm::channel::<&'static [u8]>();
        drop(sim::host("sender", move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for text in to_send.iter() {
                socket.send_to(text, "main:9").unwrap();
            }
        }));
        smarm::yield_now();
        sim::partition("main", "sender");
        send.send(b"lost").unwrap();
        smarm::sleep(SECOND);
        sim::heal("main", "sender");
        send.send(b"found").unwrap();
        let mut buf = [0; 8];
        let (count, from) = socket.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..count], from.ip()), (&b"found"[..], sim::ip("sender")));
    });
}

#[test]
fn connected_sockets_talk_to_their_peer_alone() {
    for_seeds(|| {
        let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [near, far, stranger] = &sockets;
        let [near_at, far_at, _] = [0, 1, 2].map(|n: usize| sockets[n].local_addr().unwrap());
        assert_eq!(near.send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
        near.connect(far_at).unwrap();
        assert_eq!(near.peer_addr().unwrap(), far_at);
        stranger.send_to(b"noise", near_at).unwrap();
        near.send(b"question").unwrap();
        let mut buf = [0; 4];
        let (count, from) = far.recv_from(&mut buf).unwrap();
        assert_eq!((count, &buf, from), (4, b"ques", near_at), "the rest of a datagram is lost");
        smarm::sleep(SECOND);
        far.send_to(b"answer", from).unwrap();
        let mut buf = [0; 16];
        assert_eq!(near.peek(&mut buf).unwrap(), 6);
        assert_eq!(near.recv(&mut buf).unwrap(), 6);
        assert_eq!(&buf[..6], b"answer");
    });
}

#[test]
fn what_is_too_long_or_goes_to_nobody() {
    simulated(1, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let long = socket.send_to(&vec![0; 65_508], "127.0.0.1:9").unwrap_err();
        assert_eq!(long.raw_os_error(), Some(90), "EMSGSIZE");
        socket.send_to(b"nobody is there", "127.0.0.1:9").unwrap();
        socket.set_read_timeout(Some(SECOND)).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(socket.set_broadcast(true).unwrap_err().kind(), ErrorKind::Unsupported);
    });
}
