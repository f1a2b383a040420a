use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use smarm::sim;

use crate::support::{for_seeds, simulated, start_echo};

#[test]
fn hosts_have_addresses_in_the_order_of_their_making_and_names_that_are_found() {
    simulated(1, || {
        for name in ["one", "two", "one"] {
            sim::host(name, || ()).join().unwrap();
        }
        let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        assert_eq!((sim::ip("main"), sim::ip("one"), sim::ip("two")), (ip(1), ip(2), ip(3)));
        assert_eq!("two:80".to_socket_addrs().unwrap().next().unwrap(), (ip(3), 80).into());
        assert_eq!(("one", 80).to_socket_addrs().unwrap().next().unwrap(), (ip(2), 80).into());
        assert!("localhost:80".to_socket_addrs().unwrap().next().unwrap().ip().is_loopback());
    });
}

#[test]
fn each_host_has_ports_of_its_own_and_what_it_spawns_is_on_it() {
    for_seeds(|| {
        let here = TcpListener::bind("0.0.0.0:80").unwrap();
        assert_eq!(TcpListener::bind("0.0.0.0:80").unwrap_err().kind(), ErrorKind::AddrInUse);
        let there = sim::host("there", || {
            let inner = smarm::spawn(|| {
                let address = (sim::ip("there"), 80);
                TcpListener::bind(address).unwrap().local_addr().unwrap() == address.into()
            });
            let foreign = TcpListener::bind((sim::ip("main"), 81)).unwrap_err().kind();
            (inner.join().unwrap(), foreign)
        });
        assert_eq!(there.join().unwrap(), (true, ErrorKind::AddrNotAvailable));
        drop(here);
        TcpListener::bind("0.0.0.0:80").unwrap();
        UdpSocket::bind("0.0.0.0:80").unwrap();
    });
}

#[test]
fn a_crash_kills_the_actors_of_its_host_alone_and_breaks_their_connections() {
    for_seeds(|| {
        start_echo();
        let mut stream = TcpStream::connect("echo:7").unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
        let sleeper = sim::host("echo", || smarm::sleep(Duration::from_secs(1000)));
        smarm::yield_now();
        sim::crash("echo");
        assert!(sleeper.join().unwrap_err().is_killed());
        assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(TcpStream::connect("echo:7").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        start_echo();
        let mut again = TcpStream::connect("echo:7").unwrap();
        again.write_all(b"x").unwrap();
        again.read_exact(&mut [0; 1]).unwrap();
    });
}
