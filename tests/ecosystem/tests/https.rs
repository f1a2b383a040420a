//! reqwest with rustls, against hyper behind tokio-rustls, with a certificate authority of the test's own.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use smarm_compat::await_future;
use smarm_ecosystem::{Task, in_every_mode, kill, task};
use smarm_workspace::{OnDrop, PATIENCE, Signal, within};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const MOMENT: Duration = Duration::from_millis(50);
const LONG: usize = 1_000_000;

/// A new certificate authority, and a server's configuration with a certificate of it.
fn authority() -> (Certificate, Arc<ServerConfig>) {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());

    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);

    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (Certificate::from_der(root.der()).unwrap(), Arc::new(server))
}

fn client(root: Certificate, server: SocketAddr) -> Client {
    Client::builder().tls_certs_only([root]).no_proxy().resolve("localhost", server).build().unwrap()
}

fn url(server: SocketAddr, path: &str) -> String {
    format!("https://localhost:{}{path}", server.port())
}

/// Accepts TLS connections in a task, and gives each that was made to `f`.
fn accept<F>(
    config: Arc<ServerConfig>,
    f: impl Fn(TlsStream<TcpStream>) -> F + Send + 'static,
) -> (SocketAddr, Task<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(config);
    let server = task(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust it goes away.
            if let Ok(stream) = acceptor.accept(stream).await {
                connections.spawn(f(stream));
            }
        }
    });
    (address, server)
}

/// Serves `handle` over TLS.
fn serve<F>(
    config: Arc<ServerConfig>,
    handle: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> (SocketAddr, Task<()>)
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    accept(config, move |stream| {
        let handle = handle.clone();
        async move {
            let service = service_fn(move |request| {
                let answer = handle(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // An error is a client that went away.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    })
}

/// Says what it is told; fails where it is asked to.
async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let missing = request.uri().path() == "/missing";
    let said = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut response = Response::new(Full::new(said));
    if missing {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

fn long() -> Vec<u8> {
    (0..LONG).map(|n| (n % 251) as u8).collect()
}

#[test]
fn actors_share_a_client_that_trusts_the_authority() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (root, config) = authority();
            let (server, _serving) = serve(config, echo);
            let client = client(root, server);
            let actors: Vec<_> = (0..8)
                .map(|actor| {
                    let client = client.clone();
                    smarm::spawn(move || {
                        for n in 0..10 {
                            let text = format!("{actor} says {n}");
                            let response =
                                await_future(client.post(url(server, "/")).body(text.clone()).send())
                                    .unwrap();
                            assert_eq!(response.status(), StatusCode::OK);
                            assert_eq!(await_future(response.text()).unwrap(), text);
                        }
                    })
                })
                .collect();
            actors.into_iter().for_each(|actor| actor.join().unwrap());
        });
    });
}

#[test]
fn a_long_body_goes_there_and_comes_back_in_chunks() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (root, config) = authority();
            let (server, _serving) = serve(config, echo);
            let mut response =
                await_future(client(root, server).post(url(server, "/")).body(long()).send()).unwrap();
            let mut heard = Vec::new();
            while let Some(chunk) = await_future(response.chunk()).unwrap() {
                heard.extend_from_slice(&chunk);
            }
            assert!(heard == long());
        });
    });
}

#[test]
fn a_server_of_another_authority_is_refused() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let ((_, config), (other, _)) = (authority(), authority());
            let (server, _serving) = serve(config, echo);
            let error = await_future(client(other, server).get(url(server, "/")).send()).unwrap_err();
            assert!(error.is_connect(), "{error:?}");
            assert!(format!("{error:?}").contains("InvalidCertificate"), "{error:?}");
        });
    });
}

#[test]
fn an_error_of_the_server_is_one_of_the_client_and_the_connection_lives_on() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (root, config) = authority();
            let (server, _serving) = serve(config, echo);
            let client = client(root, server);
            let response = await_future(client.get(url(server, "/missing")).send()).unwrap();
            assert_eq!(response.error_for_status().unwrap_err().status(), Some(StatusCode::NOT_FOUND));
            assert!(await_future(client.get(url(server, "/")).send()).unwrap().status().is_success());
        });
    });
}

#[test]
fn a_connection_that_breaks_within_a_body_is_an_error() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (root, config) = authority();
            let (server, _serving) = accept(config, |mut stream| async move {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nnot all").await.unwrap();
                stream.flush().await.unwrap();
            });
            // The end may come before the request was sent.
            let error = match await_future(client(root, server).get(url(server, "/")).send()) {
                Ok(response) => await_future(response.bytes()).unwrap_err(),
                Err(error) => error,
            };
            assert!(error.is_body() || error.is_decode() || error.is_request(), "{error:?}");
        });
    });
}

#[test]
fn a_request_ends_by_the_timeout_of_the_client_and_by_the_death_of_its_actor() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (root, config) = authority();
            let (began, given_up) = (Signal::new(), Signal::new());
            let (server, _serving) = {
                let (began, given_up) = (began.clone(), given_up.clone());
                serve(config, move |_request| {
                    let (began, given_up) = (began.clone(), given_up.clone());
                    async move {
                        let _seen = OnDrop(move || given_up.raise());
                        began.raise();
                        pending().await
                    }
                })
            };
            let client = client(root, server);
            let error = await_future(client.get(url(server, "/")).timeout(MOMENT).send()).unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            let reached = began.count();
            let victim = smarm::spawn(move || await_future(client.get(url(server, "/")).send()).map(drop));
            began.wait(reached + 1);
            kill(victim);
            given_up.wait(reached + 1);
        });
    });
}
