//! axum, and hyper's own server and client, on sockets of tokio's and of smarm's.

use std::future::pending;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use smarm_compat::await_future;
use smarm_compat::io::AsyncIo;
use smarm_ecosystem::{Mode, Task, in_every_mode, kill, task};
use smarm_workspace::{OnDrop, PATIENCE, Signal, within};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const LONG: usize = 1_000_000;

/// Serves `router` in a task, until the guard is dropped.
fn serve(router: Router) -> (SocketAddr, Task<()>) {
    let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    (address, task(async move { axum::serve(listener, router).await.unwrap() }))
}

/// Connects hyper's client; an actor drives the connection.
fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    client_over(await_future(TcpStream::connect(address)).unwrap())
}

fn client_over<S>(stream: S) -> SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = await_future(handshake(TokioIo::new(stream))).unwrap();
    drop(smarm::spawn(move || await_future(connection)));
    client
}

fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::new(body.into()))
        .unwrap()
}

fn ask(
    client: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> hyper::Result<(StatusCode, Bytes)> {
    await_future(async {
        client.ready().await?;
        let response = client.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    })
}

fn fetch(client: &mut SendRequest<Full<Bytes>>, path: &str) -> (StatusCode, Bytes) {
    ask(client, request(Method::GET, path, "")).unwrap()
}

/// hyper's service: what was said, backwards.
async fn backwards(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let mut said = request.into_body().collect().await?.to_bytes().to_vec();
    said.reverse();
    Ok(Response::new(Full::new(said.into())))
}

/// Serves one connection in the calling actor.
fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(backwards));
    await_future(connection).unwrap();
}

/// A listener of smarm's, and an actor that serves so many of its connections, each in an actor.
fn serve_in_actors(connections: usize, tokios: bool) -> (SocketAddr, smarm::JoinHandle<()>) {
    let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = smarm::spawn(move || {
        let accept = || listener.accept().unwrap().0;
        let serving: Vec<_> = (0..connections)
            .map(|_| {
                let stream = accept();
                smarm::spawn(move || match tokios {
                    true => serve_connection(smarm_compat::io::IntoTokio::into_tokio(stream).unwrap()),
                    false => serve_connection(AsyncIo::new(stream)),
                })
            })
            .collect();
        serving.into_iter().for_each(|actor| actor.join().unwrap());
    });
    (address, server)
}

fn long() -> Vec<u8> {
    (0..LONG).map(|n| (n % 251) as u8).collect()
}

#[test]
fn handlers_of_axum_ask_actors_and_are_asked_by_clients_in_actors() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let actors = smarm::Handle::current();
            let router = Router::new().route(
                "/square/{n}",
                get(move |axum::extract::Path(n): axum::extract::Path<u64>| async move {
                    let square = actors.spawn(move || {
                        smarm::yield_now();
                        n * n
                    });
                    square.unwrap().await.unwrap().to_string()
                }),
            );
            let (address, _server) = serve(router);
            let clients: Vec<_> = (0..8_u64)
                .map(|client| {
                    smarm::spawn(move || {
                        let mut connection = connect(address);
                        for n in client..client + 20 {
                            let (status, body) = fetch(&mut connection, &format!("/square/{n}"));
                            assert_eq!((status, &*body), (StatusCode::OK, (n * n).to_string().as_bytes()));
                        }
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
        });
    });
}

#[test]
fn a_handler_whose_actor_panics_answers_for_itself_and_the_connection_lives_on() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let actors = smarm::Handle::current();
            let fail = move || async move {
                match actors.spawn(|| std::panic::resume_unwind(Box::new("on purpose"))).unwrap().await {
                    Ok(()) => StatusCode::OK,
                    Err(error) => {
                        assert!(error.is_panic());
                        StatusCode::INTERNAL_SERVER_ERROR
                    }
                }
            };
            let (address, _server) =
                serve(Router::new().route("/fail", get(fail)).route("/", get(|| async { "ok" })));
            let mut client = connect(address);
            assert_eq!(fetch(&mut client, "/fail").0, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(fetch(&mut client, "/nowhere").0, StatusCode::NOT_FOUND);
            assert_eq!(fetch(&mut client, "/").1, "ok");
        });
    });
}

#[test]
fn hypers_server_and_client_speak_over_sockets_of_both_worlds_each_in_an_actor() {
    within(PATIENCE, || {
        in_every_mode(|| {
            for tokios in [true, false] {
                let (address, server) = serve_in_actors(2, tokios);
                let mut expected = long();
                expected.reverse();
                for smarms in [true, false] {
                    let mut client = match smarms {
                        true => client_over(AsyncIo::new(smarm::net::TcpStream::connect(address).unwrap())),
                        false => connect(address),
                    };
                    let (status, body) = ask(&mut client, request(Method::POST, "/", long())).unwrap();
                    assert_eq!(status, StatusCode::OK);
                    assert!(body == expected);
                    let (_, body) = ask(&mut client, request(Method::POST, "/", "again")).unwrap();
                    assert_eq!(body, "niaga");
                }
                server.join().unwrap();
            }
        });
    });
}

#[test]
fn a_graceful_shutdown_lets_the_request_that_is_being_served_end() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (stop, go, began) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Signal::new());
            let router = {
                let (go, began) = (go.clone(), began.clone());
                let slow = move || async move {
                    began.raise();
                    go.notified().await;
                    "done"
                };
                Router::new().route("/slow", get(slow))
            };
            let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            let stopped = stop.clone();
            let server = smarm::spawn(move || {
                let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
                    stopped.notified().await;
                });
                await_future(serving.into_future())
            });
            let client = smarm::spawn(move || fetch(&mut connect(address), "/slow"));
            began.wait(1);
            stop.notify_one();
            go.notify_one();
            assert_eq!(client.join().unwrap(), (StatusCode::OK, "done".into()));
            server.join().unwrap().unwrap();
            assert!(await_future(TcpStream::connect(address)).is_err(), "nobody listens any more");
        });
    });
}

#[test]
fn a_connection_that_breaks_within_a_body_is_an_error_of_the_client() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = smarm::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nnot all").unwrap();
            });
            let error = ask(&mut connect(address), request(Method::GET, "/", "")).unwrap_err();
            assert!(format!("{error:?}").contains("Incomplete"), "{error:?}"); // hyper has no name for it
            server.join().unwrap();
        });
    });
}

#[test]
fn a_request_that_is_given_up_or_killed_is_dropped_by_the_server() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let (began, dropped) = (Signal::new(), Signal::new());
            let never = {
                let (began, dropped) = (began.clone(), dropped.clone());
                move || async move {
                    let _seen = OnDrop(move || dropped.raise());
                    began.raise();
                    pending::<&'static str>().await
                }
            };
            let (address, _server) = serve(Router::new().route("/", get(never)));

            let mut client = connect(address);
            await_future(async {
                tokio::select! {
                    answer = client.send_request(request(Method::GET, "/", "")) => panic!("{answer:?}"),
                    () = began.reached(1) => {}
                }
            });
            drop(client);
            dropped.wait(1);

            let victim = smarm::spawn(move || fetch(&mut connect(address), "/"));
            began.wait(2);
            kill(victim);
            dropped.wait(2);
        });
    });
}

#[test]
fn a_server_that_goes_with_its_runtime_ends_the_connections_of_another() {
    within(PATIENCE, || {
        for mode in Mode::ALL {
            mode.run(|| {
                let (told, tell) = (Signal::new(), std::sync::mpsc::channel());
                let ended = told.clone();
                let thread = std::thread::spawn(move || {
                    smarm_compat::Builder::new().workers(1).run(move || {
                        let (address, _server) = serve(Router::new().route("/", get(|| async { "ok" })));
                        tell.0.send(address).unwrap();
                        ended.wait(1);
                    });
                });
                let address = smarm::io::block_on_io(move || tell.1.recv().unwrap());
                let mut client = connect(address);
                assert_eq!(fetch(&mut client, "/").1, "ok");
                told.raise();
                smarm::io::block_on_io(move || thread.join().unwrap());
                assert!(ask(&mut client, request(Method::GET, "/", "")).is_err());
            });
        }
    });
}
