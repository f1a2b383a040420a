//! tokio-tungstenite: clients and servers in actors.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use smarm_compat::io::AsyncIo;
use smarm_compat::{await_future, await_timeout};
use smarm_ecosystem::{in_every_mode, kill};
use smarm_workspace::{PATIENCE, Signal, within};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn connect(address: SocketAddr) -> Client {
    await_future(tokio_tungstenite::connect_async(format!("ws://{address}/"))).unwrap().0
}

/// An actor that accepts one connection, makes the handshake, and hands it to `f`.
fn serve<T, F>(f: F) -> (SocketAddr, smarm::JoinHandle<T>)
where
    T: Send + 'static,
    F: FnOnce(WebSocketStream<TcpStream>) -> T + Send + 'static,
{
    let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let server = smarm::spawn(move || {
        let (stream, _) = await_future(listener.accept()).unwrap();
        f(await_future(tokio_tungstenite::accept_async(stream)).unwrap())
    });
    (address, server)
}

/// Sends back what comes, until the peer closes.
fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) -> Result<(), Error> {
    while let Some(message) = await_future(socket.next()) {
        let message = message?;
        if message.is_text() || message.is_binary() {
            await_future(socket.send(message))?;
        }
    }
    Ok(())
}

fn messages() -> impl Iterator<Item = Message> {
    (0..60_usize).map(|n| match n % 3 {
        0 => Message::text(format!("message {n}")),
        1 => Message::binary(vec![n as u8; n * 1000]),
        _ => Message::text("x".repeat(n * 100)),
    })
}

#[test]
fn a_client_and_a_server_in_actors_speak_and_close() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (address, server) = serve(echo);
            let mut client = connect(address);
            for message in messages() {
                await_future(client.send(message.clone())).unwrap();
                assert_eq!(await_future(client.next()).unwrap().unwrap(), message);
            }
            let farewell = CloseFrame { code: CloseCode::Normal, reason: "enough".into() };
            await_future(client.close(Some(farewell.clone()))).unwrap();
            let answer = await_future(client.next()).unwrap().unwrap();
            assert_eq!(answer, Message::Close(Some(farewell)));
            assert!(await_future(client.next()).is_none());
            server.join().unwrap().unwrap();
        });
    });
}

#[test]
fn the_two_halves_of_a_client_are_two_actors() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (address, server) = serve(echo);
            let (mut sink, mut stream) = connect(address).split();
            let reader = smarm::spawn(move || {
                for message in messages() {
                    assert_eq!(await_future(stream.next()).unwrap().unwrap(), message);
                }
                stream
            });
            for message in messages() {
                await_future(sink.send(message)).unwrap();
            }
            let stream = reader.join().unwrap();
            await_future(sink.close()).unwrap();
            drop((sink, stream));
            // The client leaves without waiting for the answer to its close.
            let _ = server.join().unwrap();
        });
    });
}

#[test]
fn both_ends_work_over_sockets_of_smarm() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = smarm::spawn(move || {
                let stream = AsyncIo::new(listener.accept().unwrap().0);
                echo(await_future(tokio_tungstenite::accept_async(stream)).unwrap())
            });
            let stream = AsyncIo::new(smarm::net::TcpStream::connect(address).unwrap());
            let client = tokio_tungstenite::client_async("ws://localhost/", stream);
            let mut client = await_future(client).unwrap().0;
            for message in messages() {
                await_future(client.send(message.clone())).unwrap();
                assert_eq!(await_future(client.next()).unwrap().unwrap(), message);
            }
            await_future(client.close(None)).unwrap();
            assert!(await_future(client.next()).unwrap().unwrap().is_close());
            server.join().unwrap().unwrap();
        });
    });
}

#[test]
fn a_peer_that_is_killed_breaks_the_connection_without_a_farewell() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let open = Signal::new();
            let opened = open.clone();
            let (address, server) = serve(move |mut socket| {
                opened.raise();
                await_future(socket.next()).unwrap().unwrap();
            });
            let mut client = connect(address);
            open.wait(1);
            kill(server);
            let error = await_future(client.next()).unwrap().unwrap_err();
            assert!(
                matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)),
                "{error:?}"
            );
            assert!(await_future(client.next()).is_none());
        });
    });
}

#[test]
fn a_server_that_speaks_no_websocket_refuses_the_handshake() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            let server = smarm::spawn(move || {
                await_future(async {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
                    stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                });
            });
            let error =
                await_future(tokio_tungstenite::connect_async(format!("ws://{address}/"))).unwrap_err();
            assert!(matches!(&error, Error::Http(response) if response.status() == 404), "{error:?}");
            server.join().unwrap();
        });
    });
}

#[test]
fn a_message_that_is_too_long_is_refused() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            let server = smarm::spawn(move || {
                let (stream, _) = await_future(listener.accept()).unwrap();
                let config = WebSocketConfig::default().max_message_size(Some(1000));
                let accepting = tokio_tungstenite::accept_async_with_config(stream, Some(config));
                let mut socket = await_future(accepting).unwrap();
                await_future(socket.next()).unwrap().unwrap_err()
            });
            let mut client = connect(address);
            await_future(client.send(Message::text("x".repeat(1001)))).unwrap();
            let error = server.join().unwrap();
            assert!(matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })), "{error:?}");
        });
    });
}

#[test]
fn a_wait_for_a_message_that_was_given_up_loses_none() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (address, server) = serve(echo);
            let mut client = connect(address);
            for message in messages() {
                assert!(await_timeout(Duration::ZERO, client.next()).is_err());
                await_future(client.send(message.clone())).unwrap();
                let answer = loop {
                    if let Ok(answer) = await_timeout(Duration::from_micros(100), client.next()) {
                        break answer;
                    }
                };
                assert_eq!(answer.unwrap().unwrap(), message);
            }
            await_future(client.close(None)).unwrap();
            assert!(await_future(client.next()).unwrap().unwrap().is_close());
            server.join().unwrap().unwrap();
        });
    });
}
