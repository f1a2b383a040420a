//! tonic: unary calls and streams in both directions, with messages written by hand, so that no protoc is
//! needed.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use http::uri::PathAndQuery;
use smarm::channel::{Receiver, Sender, bounded};
use smarm_compat::{await_future, await_timeout};
use smarm_ecosystem::{Task, in_every_mode, kill, task};
use smarm_workspace::{OnDrop, PATIENCE, Signal, until, within};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::server::{NamedService, StreamingService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

const SQUARE: &str = "/test.Sums/Square";
const TOTALS: &str = "/test.Sums/Totals";
const NEVER: &str = "/test.Sums/Never";

/// The only message.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

/// A service whose work is done by actors.
#[derive(Clone)]
struct Sums {
    actors: smarm::Handle,
    /// Raised by each actor of a stream that has ended.
    ended: Signal,
}

impl NamedService for Sums {
    const NAME: &'static str = "test.Sums";
}

impl Service<http::Request<Body>> for Sums {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Number, Number>::default());
            Ok(match request.uri().path() {
                SQUARE => grpc.unary(Square(service), request).await,
                TOTALS => grpc.streaming(Totals(service), request).await,
                NEVER => pending().await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// The square of a number from 0 to 99: others are refused, and an actor panics at more than 999.
struct Square(Sums);

impl UnaryService<Number> for Square {
    type Response = Number;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Number>, Status>> + Send>>;

    fn call(&mut self, request: Request<Number>) -> Self::Future {
        let actors = self.0.actors.clone();
        Box::pin(async move {
            let number = request.into_inner().value;
            let actor = actors.spawn(move || match number {
                0..=99 => Ok(Response::new(Number { value: number * number })),
                1000.. => std::panic::resume_unwind(Box::new("on purpose")),
                _ => Err(Status::out_of_range(format!("{number} is not from 0 to 99"))),
            });
            actor
                .expect("there is a stack")
                .await
                .unwrap_or_else(|_| Err(Status::internal("an actor panicked")))
        })
    }
}

/// For each number the sum so far; a negative one ends the stream with an error.
struct Totals(Sums);

impl StreamingService<Number> for Totals {
    type Response = Number;
    type ResponseStream = Receiver<Result<Number, Status>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Number>>) -> Self::Future {
        let (sender, totals) = bounded(2);
        let (numbers, ended) = (request.into_inner(), self.0.ended.clone());
        let actor = self.0.actors.spawn(move || {
            add(numbers, &sender);
            ended.raise();
        });
        drop(actor.expect("there is a stack"));
        std::future::ready(Ok(Response::new(totals)))
    }
}

fn add(mut numbers: Streaming<Number>, totals: &Sender<Result<Number, Status>>) {
    let mut total = 0;
    while let Ok(Some(number)) = await_future(numbers.message()) {
        let answer = match number.value {
            0.. => {
                total += number.value;
                Ok(Number { value: total })
            }
            _ => Err(Status::invalid_argument("it is negative")),
        };
        let last = answer.is_err();
        if totals.send(answer).is_err() || last {
            return;
        }
    }
}

/// A server in a task, which ends when it is told to.
struct Serving {
    address: SocketAddr,
    ended: Signal,
    stop: oneshot::Sender<()>,
    task: Task<()>,
}

fn serve() -> Serving {
    let listener = await_future(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Signal::new();
    let service = Sums { actors: smarm::Handle::current(), ended: ended.clone() };
    let (stop, stopped) = oneshot::channel();
    let task = task(async move {
        let server = Server::builder().add_service(service);
        let serving = server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
            let _ = stopped.await;
        });
        serving.await.unwrap();
    });
    Serving { address, ended, stop, task }
}

fn connect(address: SocketAddr) -> Channel {
    await_future(Endpoint::from_shared(format!("http://{address}")).unwrap().connect()).unwrap()
}

fn call(channel: &Channel, path: &'static str, request: Request<Number>) -> Result<i64, Status> {
    let mut client = Grpc::new(channel.clone());
    await_future(async {
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Number, Number>::default();
        Ok(client.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner().value)
    })
}

fn square(channel: &Channel, value: i64) -> Result<i64, Status> {
    call(channel, SQUARE, Request::new(Number { value }))
}

/// Opens a stream of totals, and gives both its ends.
fn totals(channel: &Channel) -> (Sender<i64>, Streaming<Number>) {
    let (sender, numbers) = bounded(2);
    let mut client = Grpc::new(channel.clone());
    let answers = await_future(async {
        client.ready().await.unwrap();
        let numbers = numbers.map(|value| Number { value });
        let codec = ProstCodec::<Number, Number>::default();
        client.streaming(Request::new(numbers), PathAndQuery::from_static(TOTALS), codec).await
    });
    (sender, answers.unwrap().into_inner())
}

#[test]
fn actors_share_a_channel_for_unary_calls_that_actors_answer() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let channel = connect(server.address);
            let callers: Vec<_> = (0..8)
                .map(|caller| {
                    let channel = channel.clone();
                    smarm::spawn(move || {
                        for n in caller..caller + 20 {
                            assert_eq!(square(&channel, n).unwrap(), n * n);
                        }
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        });
    });
}

#[test]
fn errors_panics_and_unknown_methods_come_as_statuses() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let channel = connect(server.address);
            let refused = square(&channel, -1).unwrap_err();
            assert_eq!((refused.code(), refused.message()), (Code::OutOfRange, "-1 is not from 0 to 99"));
            assert_eq!(square(&channel, 1000).unwrap_err().code(), Code::Internal);
            let unknown = call(&channel, "/test.Sums/Unknown", Request::new(Number { value: 0 }));
            assert_eq!(unknown.unwrap_err().code(), Code::Unimplemented);
            assert_eq!(square(&channel, 2).unwrap(), 4);
        });
    });
}

#[test]
fn a_stream_goes_both_ways_between_four_actors() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let channel = connect(server.address);
            let streams: Vec<_> = (0..4)
                .map(|_| {
                    let (sender, mut answers) = totals(&channel);
                    let feeder = smarm::spawn(move || (1..=200).for_each(|n| sender.send(n).unwrap()));
                    let reader = smarm::spawn(move || {
                        for n in 1..=200 {
                            let total = await_future(answers.message()).unwrap().unwrap().value;
                            assert_eq!(total, n * (n + 1) / 2);
                        }
                        assert!(await_future(answers.message()).unwrap().is_none());
                    });
                    [feeder, reader]
                })
                .collect();
            streams.into_iter().flatten().for_each(|actor| actor.join().unwrap());
            server.ended.wait(4);
        });
    });
}

#[test]
fn a_stream_answers_each_message_before_the_next_and_ends_with_an_error() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let (sender, mut answers) = totals(&connect(server.address));
            let mut total = 0;
            for n in 0..50 {
                sender.send(n).unwrap();
                total += n;
                assert_eq!(await_future(answers.message()).unwrap().unwrap().value, total);
            }
            sender.send(-1).unwrap();
            let status = await_future(answers.message()).unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "it is negative"));
            server.ended.wait(1);
        });
    });
}

#[test]
fn a_client_that_is_killed_ends_the_actor_that_serves_its_stream() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let channel = connect(server.address);
            let flowing = Signal::new();
            let flows = flowing.clone();
            let client = smarm::spawn(move || {
                let (sender, mut answers) = totals(&channel);
                sender.send(1).unwrap();
                await_future(answers.message()).unwrap().unwrap();
                flows.raise();
                await_future(answers.message()).unwrap();
                drop(sender);
            });
            flowing.wait(1);
            kill(client);
            server.ended.wait(1);
        });
    });
}

#[test]
fn a_deadline_of_the_call_and_one_of_the_actor_give_up() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let channel = connect(server.address);
            let moment = Duration::from_millis(50);
            let mut request = Request::new(Number { value: 1 });
            request.set_timeout(moment);
            let late = call(&channel, NEVER, request).unwrap_err();
            assert!(matches!(late.code(), Code::Cancelled | Code::DeadlineExceeded), "{late:?}");

            let mut client = Grpc::new(channel.clone());
            let late = await_timeout(moment, async {
                client.ready().await.unwrap();
                let codec = ProstCodec::<Number, Number>::default();
                client.unary(Request::new(Number { value: 1 }), PathAndQuery::from_static(NEVER), codec).await
            });
            assert!(late.is_err());
            assert_eq!(square(&channel, 3).unwrap(), 9);
        });
    });
}

#[test]
fn a_server_that_shuts_down_lets_a_stream_end_and_takes_no_more_calls() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let channel = connect(server.address);
            let (sender, mut answers) = totals(&channel);
            sender.send(1).unwrap();
            assert_eq!(await_future(answers.message()).unwrap().unwrap().value, 1);
            server.stop.send(()).unwrap();
            sender.send(2).unwrap();
            assert_eq!(await_future(answers.message()).unwrap().unwrap().value, 3);
            drop(sender);
            assert!(await_future(answers.message()).unwrap().is_none());
            server.task.join();
            until(|| square(&channel, 1).is_err());
        });
    });
}

#[test]
fn a_connection_that_breaks_ends_the_stream_with_an_error_at_both_ends() {
    within(PATIENCE, || {
        in_every_mode(|| {
            let server = serve();
            let (address, relay) = relay_to(server.address);
            let (sender, mut answers) = totals(&connect(address));
            sender.send(1).unwrap();
            assert_eq!(await_future(answers.message()).unwrap().unwrap().value, 1);
            kill(relay);
            let last = await_future(answers.message());
            assert!(last.is_err(), "{last:?}");
            server.ended.wait(1);
        });
    });
}

/// An actor that hands on the bytes of one connection, in both directions, and breaks it when it is killed.
fn relay_to(server: SocketAddr) -> (SocketAddr, smarm::JoinHandle<()>) {
    let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let relay = smarm::spawn(move || {
        let near = listener.accept().unwrap().0;
        let far = smarm::net::TcpStream::connect(server).unwrap();
        let _broken = OnDrop(|| {
            for stream in [&near, &far] {
                let _ = stream.shutdown(Shutdown::Both); // whoever is still there has been told
            }
        });
        let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        drop(smarm::spawn(move || std::io::copy(&mut from, &mut to)));
        // An error is an end that went first.
        let _ = std::io::copy(&mut &far, &mut &near);
    });
    (address, relay)
}

#[test]
fn a_peer_that_hangs_up_fails_the_call() {
    within(PATIENCE, || {
        in_every_mode(|| {
            // It takes the connection and never says a word of HTTP/2.
            let listener = smarm::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let peer = smarm::spawn(move || drop(listener.accept().unwrap()));
            let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
            let status = square(&channel, 1).unwrap_err();
            assert!(
                matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled),
                "{status:?}"
            );
            peer.join().unwrap();
        });
    });
}
