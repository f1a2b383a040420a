use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use smarm::net::{TcpListener, TcpStream};
use smarm::sim::{self, Sim};

use crate::support::{for_seeds, in_sim, simulated, since, start_echo};

const SECOND: Duration = Duration::from_secs(1);

fn exchange(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    let mut buf = vec![0; text.len()];
    stream.read_exact(&mut buf).unwrap();
    assert_eq!(buf, text);
}

#[test]
fn bytes_come_in_order_whatever_the_latencies_and_losses_are() {
    let rough = Sim::new(0).latency(Duration::ZERO..SECOND).loss(0.3);
    let text: Vec<u8> = (0..200_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    for seed in 0..5 {
        in_sim(&rough.clone().seed(seed), || {
            start_echo();
            let mut writer = TcpStream::connect("echo:7").unwrap();
            let mut reader = writer.try_clone().unwrap();
            let sent = text.clone();
            let sending = smarm::spawn(move || {
                writer.write_all(&sent).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            reader.read_to_end(&mut back).unwrap();
            sending.join().unwrap();
            assert!(back == text);
        });
    }
}

#[test]
fn latency_is_what_was_asked_for() {
    let slow = Sim::new(1).latency(SECOND..SECOND * 2);
    in_sim(&slow, || {
        start_echo();
        let begin = smarm::time::now();
        let mut stream = TcpStream::connect("echo:7").unwrap();
        let connected = since(begin);
        assert!(connected >= SECOND * 2 && connected <= SECOND * 4 + SECOND / 10, "{connected:?}");
        exchange(&mut stream, b"there and back");
        let exchanged = since(begin) - connected;
        assert!(exchanged >= SECOND * 2 && exchanged <= SECOND * 4 + SECOND / 10, "{exchanged:?}");
    });
}

#[test]
fn an_unchanged_program_on_one_host_works() {
    for_seeds(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap(), address);
        assert_eq!(server.local_addr().unwrap(), address);
        assert_eq!(server.peer_addr().unwrap(), peer);
        client.set_nodelay(true).unwrap();
        client.write_all(b"hello").unwrap();
        let mut buf = [0; 5];
        assert!(server.peek(&mut buf).unwrap() > 0);
        server.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"hello");
        drop(client);
        assert_eq!(server.read(&mut buf).unwrap(), 0);
        assert!(server.take_error().unwrap().is_none());
    });
}

#[test]
fn a_connect_to_nobody_is_refused_and_to_no_host_unreachable() {
    simulated(1, || {
        start_echo();
        let kind = |to: (&str, u16)| TcpStream::connect(to).unwrap_err().kind();
        assert_eq!(kind(("echo", 8)), ErrorKind::ConnectionRefused);
        assert_eq!(kind(("127.0.0.1", 8)), ErrorKind::ConnectionRefused);
        assert_eq!(kind(("10.9.9.9", 7)), ErrorKind::HostUnreachable);
        assert_eq!(kind(("nobody", 7)), ErrorKind::NotFound);
        assert_eq!(kind(("::1", 7)), ErrorKind::Unsupported);
    });
}

#[test]
fn a_listener_at_loopback_is_not_reached_from_elsewhere() {
    simulated(1, || {
        let listener = TcpListener::bind("127.0.0.1:80").unwrap();
        let elsewhere = sim::host("elsewhere", || TcpStream::connect("main:80").unwrap_err().kind());
        assert_eq!(elsewhere.join().unwrap(), ErrorKind::ConnectionRefused);
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    });
}

#[test]
fn a_read_timeout_is_virtual_time_and_leaves_the_stream_usable() {
    for_seeds(|| {
        start_echo();
        let mut stream = TcpStream::connect("echo:7").unwrap();
        stream.set_read_timeout(Some(SECOND * 600)).unwrap();
        let begin = smarm::time::now();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(since(begin) >= SECOND * 600);
        exchange(&mut stream, b"still there");
        stream.set_nonblocking(true).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_writer_waits_when_the_reader_does_not_read() {
    simulated(3, || {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        let writer = sim::host("writer", || {
            let mut stream = TcpStream::connect("main:80").unwrap();
            stream.set_write_timeout(Some(SECOND)).unwrap();
            let mut written = 0;
            while let Ok(count) = stream.write(&[7; 1000]) {
                written += count;
            }
            sim::note(format_args!("{written} bytes"));
            stream.set_write_timeout(None).unwrap();
            stream.write_all(&[8; 1000]).unwrap();
            written
        });
        let (mut stream, _) = listener.accept().unwrap();
        smarm::sleep(SECOND * 10);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let written = writer.join().unwrap();
        assert_eq!(all.len(), written + 1000);
        assert_eq!(written, 64 << 10);
    });
}

#[test]
fn a_partition_holds_what_is_sent_and_heal_lets_it_go_on() {
    for_seeds(|| {
        start_echo();
        let mut stream = TcpStream::connect("echo:7").unwrap();
        exchange(&mut stream, b"before");
        sim::partition("main", "echo");
        stream.write_all(b"during").unwrap();
        stream.set_read_timeout(Some(SECOND * 30)).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        stream.write_all(b", more").unwrap();
        sim::heal("main", "echo");
        let mut buf = [0; 12];
        stream.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"during, more");
    });
}

#[test]
fn a_connect_under_a_partition_times_out_or_succeeds_when_it_is_healed() {
    for_seeds(|| {
        start_echo();
        sim::partition("main", "echo");
        let begin = smarm::time::now();
        let late = TcpStream::connect_timeout(&(sim::ip("echo"), 7).into(), SECOND * 5);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(since(begin) >= SECOND * 5 && since(begin) < SECOND * 6);
        let begin = smarm::time::now();
        assert_eq!(TcpStream::connect("echo:7").unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(since(begin) >= SECOND * 100 && since(begin) < SECOND * 130, "{:?}", since(begin));
        let healer = smarm::spawn(|| {
            smarm::sleep(SECOND * 4);
            sim::heal("main", "echo");
        });
        exchange(&mut TcpStream::connect("echo:7").unwrap(), b"after");
        healer.join().unwrap();
    });
}

#[test]
fn a_partition_is_between_two_hosts_alone() {
    simulated(1, || {
        start_echo();
        let third = sim::host("third", || {
            smarm::sleep(SECOND);
            exchange(&mut TcpStream::connect("echo:7").unwrap(), b"unharmed");
        });
        sim::partition("main", "echo");
        third.join().unwrap();
    });
}

#[test]
fn a_reset_wakes_readers_and_is_reported_once() {
    for_seeds(|| {
        start_echo();
        let mut stream = TcpStream::connect("echo:7").unwrap();
        exchange(&mut stream, b"before");
        let breaker = smarm::spawn(|| {
            smarm::sleep(SECOND);
            sim::reset("main", "echo");
        });
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(stream.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        breaker.join().unwrap();
        exchange(&mut TcpStream::connect("echo:7").unwrap(), b"anew");
    });
}

#[test]
fn a_write_to_a_peer_that_has_gone_brings_a_reset() {
    for_seeds(|| {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        let peer = sim::host("peer", || drop(TcpStream::connect("main:80").unwrap()));
        let (mut stream, _) = listener.accept().unwrap();
        peer.join().unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        stream.write_all(b"anybody?").unwrap();
        let mut kinds = Vec::new();
        while kinds.last() != Some(&ErrorKind::BrokenPipe) {
            smarm::sleep(SECOND);
            if let Err(error) = stream.write_all(b"?") {
                kinds.push(error.kind());
            }
        }
        assert_eq!(kinds, [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe]);
    });
}

#[test]
fn a_listener_that_goes_resets_what_it_has_not_accepted() {
    for_seeds(|| {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        let peer = sim::host("peer", || {
            let mut stream = TcpStream::connect("main:80").unwrap();
            stream.read(&mut [0; 8]).unwrap_err().kind()
        });
        smarm::sleep(SECOND);
        drop(listener);
        assert_eq!(peer.join().unwrap(), ErrorKind::ConnectionReset);
        TcpListener::bind("0.0.0.0:80").unwrap();
    });
}

#[test]
fn connections_break_as_often_as_was_asked_for() {
    let fragile = |probability| {
        in_sim(&Sim::new(5).breaks(probability), || {
            start_echo();
            let mut broken = 0;
            for _ in 0..300 {
                let mut stream = TcpStream::connect("echo:7").unwrap();
                let mut buf = [0; 1];
                let exchanged = stream.write_all(b"x").and_then(|()| stream.read_exact(&mut buf));
                broken += u32::from(exchanged.is_err());
            }
            broken
        })
    };
    assert_eq!(fragile(0.0), 0);
    assert_eq!(fragile(1.0), 300);
    assert!((40..180).contains(&fragile(0.2)), "{}", fragile(0.2));
}

#[test]
fn an_accept_has_a_deadline_and_its_wait_ends_with_its_scope() {
    simulated(1, || {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        let begin = smarm::time::now();
        let late = listener.accept_deadline(begin + SECOND * 9);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(since(begin) >= SECOND * 9);
        let ended = smarm::time::timeout(SECOND, || listener.accept().unwrap_err().kind());
        assert!(since(begin) >= SECOND * 10 && since(begin) < SECOND * 11);
        assert!(ended.is_err() || ended == Ok(ErrorKind::TimedOut), "{ended:?}");
    });
}

#[test]
fn a_killed_reader_leaves_the_stream_to_others() {
    for_seeds(|| {
        start_echo();
        let stream = TcpStream::connect("echo:7").unwrap();
        let mut other = stream.try_clone().unwrap();
        let reader = smarm::spawn(move || drop((&stream).read(&mut [0; 8])));
        smarm::sleep(SECOND);
        reader.kill();
        assert!(reader.join().unwrap_err().is_killed());
        exchange(&mut other, b"mine");
    });
}
