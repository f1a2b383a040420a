//! What all four steps promise, each asked as a process of its own.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use smarm_migration::check::check;
use smarm_migration::client::{Client, Feed, Reply, request};
use smarm_migration::process::Process;
use smarm_migration::titles::Titles;
use smarm_workspace::{PATIENCE, within};
use tokio::net::TcpSocket;

const STEPS: [&str; 4] = [
    env!("CARGO_BIN_EXE_step0"),
    env!("CARGO_BIN_EXE_step1"),
    env!("CARGO_BIN_EXE_step2"),
    env!("CARGO_BIN_EXE_step3"),
];

/// So long that it never ends a wait.
const LONG: Duration = Duration::from_secs(600);

/// Does the same with each step, side by side, and gives what came of it.
fn each<T: Send>(titles: SocketAddr, patience: Duration, play: impl Fn(&Process) -> T + Sync) -> Vec<T> {
    let play = &play;
    thread::scope(|scope| {
        let players = STEPS.map(|program| {
            scope.spawn(move || {
                let process = Process::start(program, titles, patience).expect("it starts");
                let played = play(&process);
                process.stop();
                let (_, status) = process.wait().expect("it ends");
                assert!(status.success(), "{program} ended with {status}");
                played
            })
        });
        players.map(|player| player.join().expect("its assertions hold")).into()
    })
}

fn titles() -> Titles {
    Titles::start().expect("there is a port")
}

#[test]
fn all_steps_give_the_same_answers() {
    within(PATIENCE, || {
        let said = each(titles().address(), Duration::from_secs(2), |process| {
            check(process.address()).expect("it answers as it should")
        });
        for other in &said[1..] {
            assert_eq!(other, &said[0]);
        }
    });
}

#[test]
fn a_feed_is_told_of_each_event_once() {
    const CLIENTS: usize = 4;
    const LINKS: usize = 50;
    within(PATIENCE, || {
        each(titles().address(), LONG, |process| {
            let address = process.address();
            let mut feeds = [0; 2].map(|_| Feed::open(address).expect("it agrees"));
            thread::scope(|scope| {
                for client in 0..CLIENTS {
                    scope.spawn(move || {
                        let mut connection = Client::connect(address).expect("it listens");
                        for link in 0..LINKS {
                            let target = format!("http://client{client}/{link}");
                            let reply = connection.ask("POST", "/links", target.as_bytes());
                            assert_eq!(reply.expect("it answers").status, 201);
                        }
                    });
                }
            });
            let told = feeds.each_mut().map(|feed| {
                let mut next = || feed.next_event().expect("it is open").expect("it stays open");
                let events: Vec<_> = (0..CLIENTS * LINKS).map(|_| next()).collect();
                feed.ping().expect("there is nothing more");
                events
            });
            assert_eq!(told[0], told[1], "in the same order");
            let targets: BTreeSet<_> = told[0].iter().map(|event| event.split(' ').nth(2)).collect();
            assert_eq!(targets.len(), CLIENTS * LINKS);
        });
    });
}

#[test]
fn a_service_of_titles_that_is_not_there_is_a_502() {
    within(PATIENCE, || {
        // Bound, so that nobody else is there, but not listening.
        let nobody = TcpSocket::new_v4().expect("there is a descriptor");
        nobody.bind(([127, 0, 0, 1], 0).into()).expect("there is a port");
        each(nobody.local_addr().expect("it is bound"), LONG, |process| {
            let mut client = Client::connect(process.address()).expect("it listens");
            assert_eq!(client.ask("POST", "/links", b"http://one/").expect("it answers").status, 201);
            assert_eq!(client.ask("GET", "/links/1/title", b"").expect("it answers").status, 502);
            assert_eq!(client.ask("GET", "/links/1", b"").expect("it answers").status, 200);
        });
    });
}

#[test]
fn a_service_that_stops_finishes_its_requests_and_closes_its_feeds() {
    within(PATIENCE, || {
        for program in STEPS {
            let titles = titles();
            let process = Process::start(program, titles.address(), LONG).expect("it starts");
            let mut feed = Feed::open(process.address()).expect("it agrees");
            let mut idle = Client::connect(process.address()).expect("it listens");
            assert_eq!(idle.ask("POST", "/links", b"http://held/").expect("it answers").status, 201);
            let mut busy = Client::connect(process.address()).expect("it listens");
            busy.send("GET", "/links/1/title", b"").expect("it listens");
            titles.wait_for_held();

            process.stop();
            idle.expect_end().expect("a connection without a request ends");
            while TcpStream::connect(process.address()).is_ok() {
                thread::yield_now();
            }
            titles.release();
            let expected = Reply { status: 200, location: None, body: "Title of http://held/\n".into() };
            assert_eq!(busy.receive(false).expect("it answers"), expected, "{program}");
            assert_eq!(feed.next_event().expect("it is open").as_deref(), Some("created 1 http://held/"));
            assert_eq!(feed.next_event().expect("it is closed and not torn"), None, "{program}");
            let (_, status) = process.wait().expect("it ends");
            assert!(status.success(), "{program} ended with {status}");
        }
    });
}

#[test]
fn requests_may_come_in_pieces_or_several_at_once() {
    within(PATIENCE, || {
        each(titles().address(), LONG, |process| {
            let mut client = Client::connect(process.address()).expect("it listens");
            for piece in
                ["POST /li", "nks HTTP/1.1\r\nHost: service\r\nContent-Le", "ngth: 11\r\n\r\nhtt", "p://one/"]
            {
                client.send_bytes(piece.as_bytes()).expect("it reads");
            }
            assert_eq!(client.receive(false).expect("it answers").body, "1\n");
            let three = [
                request("HEAD", "/links/1", b""),
                request("POST", "/links", b"http://two/"),
                request("GET", "/links/2", b""),
            ];
            client.send_bytes(&three.concat()).expect("it reads");
            assert_eq!(client.receive(true).expect("it answers").status, 200);
            assert_eq!(client.receive(false).expect("it answers").body, "2\n");
            assert_eq!(client.receive(false).expect("it answers").body, "0 http://two/\n");
            client
                .send_bytes(b"GET /links/1 HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n")
                .expect("it reads");
            assert_eq!(client.receive(false).expect("it answers").status, 200);
            client.expect_end().expect("that was the last request");
        });
    });
}

#[test]
fn what_is_not_http_is_refused() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: service\r\n\r\n", "x".repeat(20_000));
    within(PATIENCE, || {
        let process = Process::start(STEPS[3], titles().address(), LONG).expect("it starts");
        for (sent, status) in [
            ("How are you?\r\n\r\n", 400),
            ("POST /links HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            ("POST /links HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST /links HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
            ("POST /links HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
            (&long, 431),
        ] {
            let mut client = Client::connect(process.address()).expect("it listens");
            client.send_bytes(sent.as_bytes()).expect("it reads");
            assert_eq!(client.receive(false).expect("it answers").status, status, "{sent:.80}");
            client.expect_end().expect("where the next request begins, nobody knows");
        }
        process.stop();
        assert!(process.wait().expect("it ends").1.success());
    });
}
