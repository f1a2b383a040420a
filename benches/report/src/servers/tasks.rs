//! Servers of tokio's tasks: by hand, by hyper, by axum.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use axum::body::Body;
use axum::routing::get;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{ANY, BUFFER};
use crate::peer::{current_thread, multi_thread};

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) if stream.write_all(&buffer[..count]).await.is_ok() => {}
            Ok(_) => return,
        }
    }
}

/// Without a date, which the example in straight-line code does not send either.
async fn http(stream: TcpStream) {
    let hello = |_: Request<hyper::body::Incoming>| async {
        let response = Response::builder().header(CONTENT_TYPE, "text/plain");
        Ok::<_, Infallible>(response.body(Body::from("hello, world\n")).expect("it is well-formed"))
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service_fn(hello));
    // A client that has gone is no news.
    let (Ok(()) | Err(_)) = connection.await;
}

async fn serve(listener: TcpListener, is_http: bool) {
    loop {
        let (stream, _) = listener.accept().await.expect("the client connects");
        stream.set_nodelay(true).expect("it is a TCP socket");
        if is_http {
            tokio::spawn(http(stream));
        } else {
            tokio::spawn(echo(stream));
        }
    }
}

pub fn per_core(workers: usize, is_http: bool) -> Vec<SocketAddr> {
    (0..workers)
        .map(|_| {
            let (sender, address) = mpsc::channel();
            thread::spawn(move || {
                let runtime = current_thread();
                // As a task: a runtime's root future is polled more often than need be.
                let serving = runtime.spawn(async move {
                    let listener = TcpListener::bind(ANY).await.expect("a free port");
                    sender.send(listener.local_addr().expect("it is bound")).expect("main waits");
                    serve(listener, is_http).await;
                });
                runtime.block_on(serving).expect("it does not panic");
            });
            address.recv().expect("the server says where it listens")
        })
        .collect()
}

pub fn shared(workers: usize, is_http: bool) -> Vec<SocketAddr> {
    let runtime = multi_thread(workers);
    let listener = runtime.block_on(TcpListener::bind(ANY)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(serve(listener, is_http));
    // For as long as the process.
    std::mem::forget(runtime);
    vec![address]
}

pub fn axum(workers: usize) -> Vec<SocketAddr> {
    let runtime = multi_thread(workers);
    let listener = runtime.block_on(TcpListener::bind(ANY)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let router = axum::Router::new().route("/", get(|| async { "hello, world\n" }));
    runtime.spawn(async { axum::serve(listener, router).await.expect("it serves for ever") });
    std::mem::forget(runtime);
    vec![address]
}
