//! Libraries that know only std's traits, unchanged, over a tokio stream in an actor and over a
//! smarm one; their peers are tokio's own of the same trade.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use smarm_compat::await_future;
use smarm_compat::io::SyncIo;
use smarm_workspace::{PATIENCE, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tungstenite::Message;

use crate::bridge_support::on_tokio;

/// What an actor reads and writes.
trait Blocking: Read + Write + Send {}
impl<S: Read + Write + Send> Blocking for S {}

/// Where its stream comes from.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// tokio, through [`SyncIo`].
    Tokio,
    /// smarm.
    Smarm,
}

impl Kind {
    fn connect(self, address: SocketAddr) -> Box<dyn Blocking> {
        match self {
            Self::Tokio => {
                Box::new(SyncIo::new(await_future(tokio::net::TcpStream::connect(address)).unwrap()))
            }
            Self::Smarm => Box::new(smarm::net::TcpStream::connect(address).unwrap()),
        }
    }

    /// An address, and what waits for one connection to it.
    fn listen(self) -> (SocketAddr, impl FnOnce() -> Box<dyn Blocking> + Send) {
        let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accept = move || -> Box<dyn Blocking> {
            let stream = listener.accept().unwrap().0;
            match self {
                Self::Tokio => {
                    let stream = std::net::TcpStream::from(std::os::fd::OwnedFd::from(stream));
                    Box::new(SyncIo::new(tokio::net::TcpStream::from_std(stream).unwrap()))
                }
                Self::Smarm => Box::new(stream),
            }
        };
        (address, accept)
    }
}

/// Runs `test` in an actor, for both kinds of streams, with one worker and with two.
fn over_both(test: fn(Kind)) {
    within(PATIENCE, || {
        for workers in [1, 2] {
            for kind in [Kind::Tokio, Kind::Smarm] {
                on_tokio(workers).run(move || test(kind));
            }
        }
    });
}

/// A listener of tokio's.
fn listen() -> (tokio::net::TcpListener, SocketAddr) {
    let listener = await_future(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn messages() -> impl Iterator<Item = Message> {
    (0..50_usize).map(|n| match n % 3 {
        0 => Message::text(format!("message {n}")),
        1 => Message::binary(vec![n as u8; n * 1000]),
        _ => Message::text("x".repeat(n * 100)),
    })
}

#[test]
fn a_websocket_client_in_an_actor_speaks_with_tokios_server() {
    over_both(|kind| {
        let (listener, address) = listen();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() {
                    break;
                }
                socket.send(message).await.unwrap();
            }
        });
        let stream = kind.connect(address);
        let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).unwrap();
        for message in messages() {
            socket.send(message.clone()).unwrap();
            assert_eq!(socket.read().unwrap(), message);
        }
        socket.close(None).unwrap();
        await_future(server).unwrap();
    });
}

#[test]
fn a_websocket_server_in_an_actor_speaks_with_tokios_client() {
    over_both(|kind| {
        let (address, accept) = kind.listen();
        let server = smarm::spawn(move || {
            let mut socket = tungstenite::accept(accept()).unwrap();
            while let Ok(message) = socket.read() {
                if message.is_text() || message.is_binary() {
                    socket.send(message).unwrap();
                }
            }
        });
        let client = tokio::spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (mut socket, _) =
                tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await.unwrap();
            for message in messages() {
                socket.send(message.clone()).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), message);
            }
            socket.close(None).await.unwrap();
        });
        await_future(client).unwrap();
        server.join().unwrap();
    });
}

/// Of a new certificate authority: a server with its certificate, and a client that trusts it.
fn tls() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);

    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

const SECRET: usize = 300_000;

fn secret() -> Vec<u8> {
    (0..SECRET).map(|n| (n % 253) as u8).collect()
}

#[test]
fn a_tls_client_in_an_actor_speaks_with_tokios_server() {
    over_both(|kind| {
        let (server, client) = tls();
        let (listener, address) = listen();
        let echo = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = tokio_rustls::TlsAcceptor::from(server).accept(stream).await?;
            let mut said = vec![0; SECRET];
            stream.read_exact(&mut said).await?;
            stream.write_all(&said).await?;
            stream.shutdown().await
        });
        let connection = ClientConnection::new(client, localhost()).unwrap();
        let mut stream = StreamOwned::new(connection, kind.connect(address));
        stream.write_all(&secret()).unwrap();
        stream.flush().unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert!(heard == secret());
        await_future(echo).unwrap().unwrap();
    });
}

#[test]
fn a_tls_server_in_an_actor_speaks_with_tokios_client() {
    over_both(|kind| {
        let (server, client) = tls();
        let (address, accept) = kind.listen();
        let echo = smarm::spawn(move || {
            let connection = ServerConnection::new(server).unwrap();
            let mut stream = StreamOwned::new(connection, accept());
            let mut said = vec![0; SECRET];
            stream.read_exact(&mut said)?;
            stream.write_all(&said)?;
            stream.conn.send_close_notify();
            stream.flush()
        });
        let task = tokio::spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            let mut stream = tokio_rustls::TlsConnector::from(client).connect(localhost(), stream).await?;
            stream.write_all(&secret()).await?;
            stream.flush().await?;
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await?;
            assert!(heard == secret());
            io::Result::Ok(())
        });
        await_future(task).unwrap().unwrap();
        echo.join().unwrap().unwrap();
    });
}

#[test]
fn a_tls_stream_of_tokios_is_read_by_an_actor() {
    within(PATIENCE, || {
        on_tokio(1).run(|| {
            let (server, client) = tls();
            let (listener, address) = listen();
            let echo = smarm::spawn(move || {
                let (stream, _) = await_future(listener.accept())?;
                let stream = await_future(tokio_rustls::TlsAcceptor::from(server).accept(stream))?;
                let mut stream = SyncIo::new(stream);
                let mut line = String::new();
                BufReader::new(&mut stream).read_line(&mut line)?;
                stream.write_all(line.as_bytes())?;
                stream.shutdown()
            });
            let connection = ClientConnection::new(client, localhost()).unwrap();
            let mut stream = StreamOwned::new(connection, Kind::Smarm.connect(address));
            stream.write_all(b"one line\n").unwrap();
            let mut heard = String::new();
            stream.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "one line\n");
            echo.join().unwrap().unwrap();
        });
    });
}

/// Serves one HTTP request, whose head httparse finds, however it comes in.
fn serve_http(mut stream: Box<dyn Blocking>) -> io::Result<()> {
    let mut head = Vec::new();
    let path = loop {
        let mut buf = [0; 16];
        let count = stream.read(&mut buf)?;
        assert_ne!(count, 0, "the head is not whole");
        head.extend_from_slice(&buf[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if request.parse(&head).unwrap().is_complete() {
            break request.path.unwrap().to_owned();
        }
    };
    let body = format!("you asked for {path}");
    write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    stream.flush()
}

#[test]
fn an_http_server_in_an_actor_answers_reqwest() {
    over_both(|kind| {
        let (address, accept) = kind.listen();
        let server = smarm::spawn(move || serve_http(accept()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = await_future(async {
            client.get(format!("http://{address}/some/page")).send().await?.text().await
        });
        assert_eq!(answer.unwrap(), "you asked for /some/page");
        server.join().unwrap().unwrap();
    });
}
